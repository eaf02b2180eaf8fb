"""Range analysis: the interval that an expression's values lie in, proved from what the file says.

Anything unknown is (-inf, inf); nothing is assumed but that dimensions are not empty and, unless switched off, that
names of sizes (`head_dim`) and of small constants (`eps`) mean what they say. The analysis follows single
definitions, unpacked chunks, methods and functions of the same file, and relations such as `x - x.max()`.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Mapping

from autofix import intervals as iv
from autofix.attributes import clamped_attribute, lasting_attribute
from autofix.calls import Call, call_of, returned
from autofix.flow import Definition
from autofix.guards import Condition, before_statement, narrowed, within_statement
from autofix.intervals import UNKNOWN, Interval
from autofix.operations import clamp, operate, operation
from autofix.ops import constant
from autofix.relations import (
    attribute_definition,
    changes_in_place,
    in_place_changes,
    is_store,
    never_above,
    reaches,
    same,
    signed_factors,
    signed_terms,
    words,
)
from autofix.syntax import Module
from autofix.transfer import MODULES, UNARY
from autofix.tree import parameter_names, walk

__all__ = ["Interval", "Ranges", "analysis", "interval"]

_MAX_DEPTH = 60
_EPSILON = re.compile(r"(^|_)(eps|epsilon|tiny|tol)\d*$", re.I)
_SIZE = re.compile(
    r"^_?(d|dim|d_k|d_v|d_model|d_head|d_ff|n_embd|head_dim|dim_head|head_size|hidden_dim|hidden_size|embed_dim|"
    r"embedding_dim|embed_size|emb_dim|key_dim|depth|(num_|n_)(heads?|layers?|classes|channels|features|kv_heads)|"
    r"attention_head_size|attention_hidden_size|in_features|out_features|batch_size|seq_len(gth)?)$"
)
_TWO_RESULTS = ("max", "min", "topk", "sort", "cummax", "cummin", "median", "kthvalue")
PARTS = ("chunk", "split", "unbind", "tensor_split")


def interval(module: Module, node: ast.expr) -> Interval:
    """The values that `node` can take."""
    return analysis(module).of(node)


def analysis(module: Module) -> Ranges:
    """The analysis of a file, shared by all who ask; it goes when the module is let go."""
    kept: Ranges = vars(module).setdefault("_analysis", None) or Ranges(module)
    vars(module)["_analysis"] = kept
    return kept


def _identifiers(node: ast.expr) -> frozenset[str]:
    """The names that an expression reads; of attributes of `self`, theirs."""
    found = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    if "self" in found:
        found.discard("self")
        found |= {n.attr for n in walk(node) if isinstance(n, ast.Attribute)}
    return frozenset(found)


def plain_value(statement: ast.stmt, name: str) -> ast.expr | None:
    """What a statement assigns to a plain name, when it does nothing else with it."""
    if isinstance(statement, ast.Assign):
        plain = any(isinstance(t, ast.Name) and t.id == name for t in statement.targets)
        return statement.value if plain else None
    return statement.value if isinstance(statement, ast.AnnAssign) else None


def _step(value: ast.expr, name: str) -> ast.expr | None:
    """What `name + step` adds to a name."""
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return None
    for own, other in ((value.left, value.right), (value.right, value.left)):
        if isinstance(own, ast.Name) and own.id == name:
            return other
    return None


class Ranges:
    """The analysis of one file. `leaves` gives the intervals of names that nothing in the file defines."""

    def __init__(self, module: Module, leaves: Mapping[str, Interval] | None = None, *, names: bool = True) -> None:
        self.module = module
        self._leaves = leaves or {}
        self._names = names
        self._known: dict[ast.AST, Interval] = {}
        self._depth = 0
        self._conditions: dict[ast.stmt, list[tuple[Condition, frozenset[str]]]] = {}

    def of(self, node: ast.expr) -> Interval:
        if node in self._known:
            return self._known[node]
        if self._depth > _MAX_DEPTH:
            return UNKNOWN
        self._known[node] = UNKNOWN  # the answer inside a circle
        self._depth += 1
        try:
            self._known[node] = self._guarded(node, self._evaluate(node))
        finally:
            self._depth -= 1
        return self._known[node]

    def _guarded(self, node: ast.expr, found: Interval) -> Interval:
        """What is left of an interval by the branches, asserts and early exits that lead to `node`."""
        if not isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) or not hasattr(node, "lineno"):
            return found
        given = [(c, _identifiers(c[0])) for c in within_statement(self.module, node)]
        given += self._before(self.module.statement(node))
        mine = _identifiers(node) if given else frozenset()
        for condition, theirs in given:
            if mine & theirs:
                found = narrowed(self.module, node, found, condition, self.of)
        return found

    def _before(self, statement: ast.stmt) -> list[tuple[Condition, frozenset[str]]]:
        if statement not in self._conditions:
            found = [(c, _identifiers(c[0])) for c in before_statement(self.module, statement)]
            self._conditions[statement] = found
        return self._conditions[statement]

    def _evaluate(self, node: ast.expr) -> Interval:
        if isinstance(node, ast.Constant):
            return iv.constant(node.value) if isinstance(node.value, (int, float)) else UNKNOWN
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.Compare):
            return iv.BOOLEAN
        if isinstance(node, ast.IfExp):
            return iv.join(self.of(node.body), self.of(node.orelse))
        if isinstance(node, ast.BoolOp):
            return iv.join(*(self.of(v) for v in node.values))
        if isinstance(node, ast.NamedExpr):
            return self.of(node.value)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
            return iv.join(*(self.of(e) for e in node.elts))
        if isinstance(node, ast.Call):
            return self._call(node)
        return UNKNOWN

    # -- names -----------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> Interval:
        number = constant(self.module, node)
        if number is not None:
            return iv.constant(number)
        definition = self.module.flow(node).definition(node)
        if definition is not None and definition.kind != "parameter":
            return self._changed(node, definition, self.definition(definition))
        if definition is None and self.module.flow(node).stores(node.id):
            return self._accumulated(node)
        if node.id in self._leaves:
            return self._leaves[node.id]
        return self._by_name(node.id)

    def _accumulated(self, node: ast.Name) -> Interval:
        """A name that is set to something not negative and then only grows, whichever way the loops go."""
        flow = self.module.flow(node)
        if node.id in parameter_names(flow.scope) or changes_in_place(self.module, node):
            return UNKNOWN
        starts: list[Interval] = []
        steps: list[Interval] = []
        for statement in flow.stores(node.id):
            if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
                steps.append(self.of(statement.value))
                continue
            value = plain_value(statement, node.id)
            if value is None:
                return UNKNOWN
            step = _step(value, node.id)
            (starts if step is None else steps).append(self.of(value if step is None else step))
        if not starts or not all(i.low >= 0 for i in (*starts, *steps)):
            return UNKNOWN
        start = iv.join(*starts)
        if not steps:
            return start
        whole = all(i.integer for i in (*starts, *steps))
        return iv.make(start.low, max(start.high, math.inf), zero=start.zero, integer=whole)

    def _by_name(self, name: str) -> Interval:
        if self._names and _EPSILON.search(name):
            return iv.POSITIVE
        if self._names and _SIZE.search(name.lower()):
            return iv.SIZE
        return UNKNOWN

    def definition(self, found: Definition) -> Interval:
        """The interval of what one definition binds to its name."""
        if found.value is not None:
            return self.of(found.value)
        statement = found.statement
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            before = self.module.flow(statement).definition_before(found.name, statement)
            if before is None:
                return self._accumulated(statement.target)
            old = self.definition(before) if before.kind != "parameter" else self._leaves.get(found.name, UNKNOWN)
            return operate(statement.op, old, self.of(statement.value))
        if found.kind == "unpack" and isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, (ast.Tuple, ast.List)):
                    return self._unpacked(target, found.name, statement.value)
        if found.kind == "loop" and isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
            called = statement.iter
            if isinstance(called, ast.Call) and isinstance(called.func, ast.Name) and called.func.id == "range":
                starts = self.of(called.args[0]) if len(called.args) > 1 else iv.COUNT
                return iv.COUNT if starts.low >= 0 and len(called.args) < 3 else UNKNOWN
        return UNKNOWN

    def _unpacked(self, target: ast.Tuple | ast.List, name: str, value: ast.expr) -> Interval:
        if any(isinstance(e, ast.Starred) for e in target.elts):
            return UNKNOWN
        for index, element in enumerate(target.elts):
            if isinstance(element, ast.Name) and element.id == name:
                return self.element(value, index)
        return UNKNOWN

    def element(self, value: ast.expr, index: int) -> Interval:
        """The interval of one element of what is a tuple, or is split into parts."""
        value = self.module.flow(value).value(value)
        if isinstance(value, (ast.Tuple, ast.List)):
            whole = index < len(value.elts) and not any(isinstance(e, ast.Starred) for e in value.elts)
            return self.of(value.elts[index]) if whole else UNKNOWN
        if isinstance(value, ast.Attribute) and value.attr == "shape":
            return iv.SIZE
        if not isinstance(value, ast.Call):
            return UNKNOWN
        call = call_of(self.module, value)
        if call is not None and call.name in PARTS:
            return self.of(call.input)
        if call is not None and call.name in _TWO_RESULTS:
            return self.of(call.input) if index == 0 else iv.COUNT
        if call is not None and call.name == "size":
            return iv.SIZE
        if self._depth > _MAX_DEPTH:
            return UNKNOWN
        results = returned(self.module, value)
        self._depth += 8  # a function that calls itself
        try:
            return iv.join(*(self.element(r, index) for r in results)) if results else UNKNOWN
        finally:
            self._depth -= 8

    def _changed(self, node: ast.Name, definition: Definition, before: Interval) -> Interval:
        """The interval of a name after in-place operations between its definition and this read."""
        found = before
        for change in in_place_changes(self.module, node, definition):
            after = self._after(node, found, change)
            if after is None:
                return UNKNOWN
            found = after if reaches(self.module, change, node) else iv.join(found, after)
        return found

    def _after(self, node: ast.Name, before: Interval, change: ast.AST) -> Interval | None:
        """What one change in place makes of a tensor whose values were those of `before`."""
        if isinstance(change, ast.Subscript):
            statement = self.module.parent(change)
            if not isinstance(statement, ast.Assign) or not isinstance(change.value, ast.Name):
                return None
            kept = narrowed(self.module, node, before, (change.slice, False), self.of)
            return iv.join(kept, self.of(statement.value))
        call = call_of(self.module, change) if isinstance(change, ast.Call) else None
        if call is None or not isinstance(call.input, ast.Name):
            return None
        return operation(self.module, call, lambda n: before if n is call.input else self.of(n))

    def _attribute(self, node: ast.Attribute) -> Interval:
        number = constant(self.module, node)
        if number is not None:
            return iv.constant(number)
        if node.attr in ("eps", "tiny", "smallest_normal", "resolution") and isinstance(node.value, ast.Call):
            return iv.POSITIVE
        if node.attr in ("values", "T", "mT", "data", "real"):
            return self.of(node.value)
        if node.attr == "indices":
            return iv.COUNT
        if node.attr in ("ndim", "itemsize"):
            return iv.SIZE
        found = self._assigned(node)
        return found if found.known else self._by_name(node.attr)

    def _assigned(self, node: ast.Attribute) -> Interval:
        """What this function, or else the class once and for all, assigns to `self.x`."""
        assigned = attribute_definition(self.module, node)
        if assigned is not None:
            value = assigned.value
            return self.of(value) if assigned.index is None else self.element(value, assigned.index)
        text = words(self.module, node)
        cls = self.module.class_of(node)
        if cls is None or any(is_store(self.module, n, text) for n in self.module.nodes(self.module.flow(node).scope)):
            return UNKNOWN
        if words(self.module, node.value) != "self":
            return UNKNOWN
        clamped = clamped_attribute(self.module, node)
        if clamped is not None:
            return clamp(UNKNOWN, clamped, self.of)
        once = lasting_attribute(self.module, cls, node.attr)
        return self.of(once) if once is not None else UNKNOWN

    # -- operators -------------------------------------------------------------------------------------

    def _unary(self, node: ast.UnaryOp) -> Interval:
        if isinstance(node.op, ast.USub):
            return self._sum(node)
        inner = self.of(node.operand)
        if isinstance(node.op, ast.UAdd):
            return inner
        return iv.BOOLEAN if isinstance(node.op, ast.Not) or inner == iv.BOOLEAN else UNKNOWN

    def _binary(self, node: ast.BinOp) -> Interval:
        if isinstance(node.op, (ast.Add, ast.Sub)):
            return self._sum(node)
        if isinstance(node.op, ast.Mult):
            return self._product(node)
        return operate(node.op, self.of(node.left), self.of(node.right))

    def _product(self, node: ast.expr) -> Interval:
        """A product; a factor that occurs twice makes a square."""
        sign, rest = signed_factors(node)
        found = iv.constant(float(sign))
        while rest:
            factor = rest.pop(0)
            twin = next((f for f in rest if same(self.module, factor, f)), None)
            value = self.of(factor)
            if twin is not None:
                rest.remove(twin)
                value = UNARY["square"](value)
            found = value if found == iv.constant(1.0) else iv.multiply(found, value)
        return found

    def _sum(self, node: ast.expr) -> Interval:
        """A sum of signed terms; a term and its own maximum are taken together."""
        terms = signed_terms(self.module, node)
        plus = [t for sign, t in terms if sign > 0]
        minus = [t for sign, t in terms if sign < 0]
        parts: list[Interval] = []
        for term in list(plus):
            for other in list(minus):
                pair = self._difference(term, other)
                if pair is not None:
                    plus.remove(term)
                    minus.remove(other)
                    parts.append(pair)
                    break
        # Terms that cancel in mathematics round on the way: (1 + x) - 1 is 0 for a tiny x.
        rounds = bool(parts) and len(terms) > 2
        parts += [self.of(t) for t in plus]
        parts += [iv.negate(self.of(t)) for t in minus]
        found = functools.reduce(iv.add, parts)
        return iv.make(found.low, found.high, integer=found.integer) if rounds else found

    def _difference(self, plus: ast.expr, minus: ast.expr) -> Interval | None:
        if same(self.module, plus, minus):
            return iv.constant(0.0)
        if never_above(self.module, plus, minus):
            return iv.NON_POSITIVE
        return iv.NON_NEGATIVE if never_above(self.module, minus, plus) else None

    def _subscript(self, node: ast.Subscript) -> Interval:
        index = node.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, str):
            return UNKNOWN
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            return iv.SIZE
        if isinstance(node.value, ast.Call) and isinstance(index, ast.Constant) and isinstance(index.value, int):
            call = call_of(self.module, node.value)
            if call is not None and call.name in (*_TWO_RESULTS, "size"):
                return self.element(node.value, index.value)
            if call is None:
                return self.element(node.value, index.value)
        return self.of(node.value)

    # -- calls -----------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Interval:
        number = constant(self.module, node)
        if number is not None:
            return iv.constant(number)
        call = call_of(self.module, node)
        if call is None:
            results = returned(self.module, node)
            return iv.join(*(self.of(r) for r in results)) if results else UNKNOWN
        if call.form == "module":
            return self._module(call)
        return operation(self.module, call, self.of)

    def _module(self, call: Call) -> Interval:
        """A torch.nn module applied to its input; of a Sequential the last part decides."""
        maker: ast.expr = call.maker or call.node
        for _ in range(4):
            name = (self.module.qualified(maker.func) or "").rpartition(".")[2] if isinstance(maker, ast.Call) else ""
            if name == "Sequential" and isinstance(maker, ast.Call) and maker.args:
                maker = self.module.flow(maker).value(maker.args[-1])
                call = Call(call.name, call.node, ast.Constant(None), call.args, call.form, maker)
                continue
            break
        function = MODULES.get(name, "")
        if function == "view":
            return self.of(call.input)
        return UNARY[function](self.of(call.input)) if function in UNARY else self._bounds_of(maker, function)

    def _bounds_of(self, maker: ast.expr, function: str) -> Interval:
        if function != "hardtanh" or not isinstance(maker, ast.Call):
            return UNKNOWN
        given = {k.arg: k.value for k in maker.keywords}
        ends = [*maker.args[:2], given.get("min_val"), given.get("max_val")]
        low, high = ([e for e in ends if e is not None] + [None, None])[:2]
        if low is None or high is None:
            return iv.SIGNED_UNIT
        return iv.join(self.of(low), self.of(high))
