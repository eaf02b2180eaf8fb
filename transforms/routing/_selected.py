"""The few that `topk` selects, however they are reached, and what routers call what they compute."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

from autofix.flow import parameter_default
from autofix.model import Claim, Relation
from autofix.ops import Op, constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._ranked import SAME_VALUE, is_number
from autofix.transforms.routing._routing import functions_around
from autofix.tree import spaced, walk

_STRONG = re.compile(
    r"expert|rout(e|er|ing)(?![a-z])|(?<![a-z])mo[eh](?![a-z])|mixture_?of|switch_?(mlp|ffn|layer|feed)"
    r"|(?<![a-z])(gate|gates|gating|dispatch|top_?k_?gat\w*)(?![a-z])",
    re.I,
)
_LOGITS = re.compile(r"logit|(gate|gating|router|routing)_?(out|output|scores?)?$", re.I)
_LINEAR = re.compile(
    r"^(w_?)?(gate|gating|router|route|wg|w_g|to_gates|classifier)(_?(proj|layer|net|linear|fn))?$", re.I
)
_SHAPED = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "permute", "expand")
_DEPTH = 10
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Selection:
    """What a `topk` returns. call: the call that selects, of `topk` itself or of a function of this file around it.
    op: the operation, None for such a function. base: what it selects from. count: how many."""

    call: ast.Call
    op: Op | None
    base: ast.expr
    count: ast.expr | None


def weighs(module: Module, found: Selection, name: str, whole: bool, change: str) -> Claim:
    """The claim of a fix that makes the selected values shares of one: what they were is another function, on purpose.

    name: of the selected values. whole: they sum up to one, not to less.
    """
    given = found.op.args.get("dim") if found.op is not None else None
    dim = -1 if given is None else constant(module, given)
    if not isinstance(dim, int):
        return Claim(Relation.INTENDED, change=change)
    hazard = ("value", "gradient", "whole shares" if whole else "shares")
    return Claim(Relation.INTENDED, results=(name,), hazard=hazard, parameters={"dim": dim}, change=change)


def routes_tokens(module: Module, node: ast.AST) -> bool:
    """Whether the function around a node, or its class, certainly speaks of experts, routers or gates."""
    functions = functions_around(module, node)
    owners = [a for a in module.ancestors(node) if isinstance(a, (ast.ClassDef, ast.FunctionDef))]
    if any(_is_strong(o.name) for o in owners):
        return True
    return bool(functions) and any(_is_strong(n) for n in names_in(module, functions[0]))


@functools.lru_cache(maxsize=65_536)
def _is_strong(name: str) -> bool:
    return _STRONG.search(spaced(name)) is not None


def names_in(module: Module, function: ast.AST) -> set[str]:
    """Names and attributes that a function reads or binds."""
    known: dict[ast.AST, set[str]] = vars(module).setdefault("_routing_names", {})
    if function not in known:
        known[function] = {n for part in walk(function) if (n := _name(part))}
    return known[function]


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.arg if isinstance(node, ast.arg) else ""


def selection(module: Module, node: ast.expr, depth: int = 0) -> Selection | None:
    """The selection whose values `node` holds, unchanged but for shape and dtype."""
    if depth > _DEPTH:
        return None
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        if definition is None:
            return None
        if definition.value is not None:
            return selection(module, definition.value, depth + 1)
        statement = definition.statement
        if definition.kind != "unpack" or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        target = statement.targets[0]
        if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != 2:
            return None
        first = target.elts[0]
        return selects(module, statement.value) if isinstance(first, ast.Name) and first.id == node.id else None
    if isinstance(node, ast.Attribute) and node.attr == "values":
        return selects(module, node.value)
    if isinstance(node, ast.Subscript) and is_number(node.slice, 0):
        return selects(module, node.value)
    if isinstance(node, ast.Call):
        op = tensor_op(module, node, *SAME_VALUE, *_SHAPED)
        if op is not None and op.name not in ("detach", "clamp"):
            return selection(module, op.input, depth + 1)
    return None


def selects(module: Module, node: ast.expr) -> Selection | None:
    """The selection that a call makes, of `topk` or of a function of this file that returns it."""
    call = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    if not isinstance(call, ast.Call):
        return None
    op = tensor_op(module, call, "topk")
    if op is not None:
        if constant(module, op.args.get("largest")) in (False, 0):
            return None
        return Selection(call, op, op.input, op.args.get("k"))
    return _through_helper(module, call)


def _through_helper(module: Module, call: ast.Call) -> Selection | None:
    if not isinstance(call.func, ast.Name) or not call.args or call.func.id == "topk":
        return None
    helper = _visible(module, call, call.func.id)
    for _ in range(3):
        if helper is None or not helper.args.args:
            return None
        parameters = [a.arg for a in helper.args.args]
        returned = [n.value for n in walk(helper) if isinstance(n, ast.Return) and isinstance(n.value, ast.Call)]
        for value in returned:
            op = tensor_op(module, value, "topk")
            if op is None or not isinstance(op.input, ast.Name) or op.input.id != parameters[0]:
                continue
            k = op.args.get("k")
            position = parameters.index(k.id) if isinstance(k, ast.Name) and k.id in parameters else -1
            count = call.args[position] if 0 <= position < len(call.args) else None
            return Selection(call, None, call.args[0], count)
        names = [v.func.id for v in returned if isinstance(v.func, ast.Name) and v.func.id != helper.name]
        helper = _visible(module, call, names[0]) if names else None
    return None


def _visible(module: Module, node: ast.AST, name: str) -> ast.FunctionDef | None:
    """A function of that name, defined in a function around the node or at the top level."""
    for scope in [*functions_around(module, node), module.tree]:
        found = [s for s in scope.body if isinstance(s, ast.FunctionDef) and s.name == name]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def how_many(module: Module, count: ast.expr | None) -> tuple[int | None, bool]:
    """k, when it is certain or a default says so, and whether it is certain."""
    value = constant(module, count)
    if isinstance(value, int):
        return value, True
    if isinstance(count, ast.Name):
        definition = module.flow(count).definition(count)
        if definition is not None and definition.kind == "parameter":
            return _number(parameter_default(definition.statement, count.id)), False
    if isinstance(count, ast.Attribute) and isinstance(count.value, ast.Name) and count.value.id == "self":
        cls = module.class_of(count)
        made = module.self_attribute(cls, count.attr) if cls is not None else None
        if made is None:
            return None, False
        value = _number(made)
        if value is not None:
            return value, True
        if isinstance(made, ast.Name):
            return _number(parameter_default(module.function_scope(made), made.id)), False
    return None, False


def _number(node: ast.expr | None) -> int | None:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def squashed(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value has certainly been through a softmax, a sigmoid or another map to shares or to (0, 1)."""
    if depth > _DEPTH:
        return False
    for part in walk(node):
        if isinstance(part, ast.Call):
            name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            if re.search(r"softmax|sigmoid|sinkhorn|normali[sz]e|relu|softplus|exp$|tanh|entmax", name):
                return True
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = module.flow(part).value(part)
            if value is not part and squashed(module, value, depth + 1):
                return True
    return False


def is_logits(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value certainly is what a router's linear layer gives, by its name or by the call that made it."""
    if depth > _DEPTH or squashed(module, node):
        return False
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if value is not node and is_logits(module, value, depth + 1):
            return True
        return bool(re.search(r"logit", node.id, re.I))
    if isinstance(node, ast.Attribute):
        return bool(re.search(r"logit", node.attr, re.I))
    if isinstance(node, ast.BinOp):
        return is_logits(module, node.left, depth + 1)
    if isinstance(node, ast.Call):
        op = tensor_op(module, node, *SAME_VALUE, *_SHAPED)
        if op is not None:
            return is_logits(module, op.input, depth + 1)
        return is_router_call(module, node)
    return False


def is_router_call(module: Module, node: ast.Call) -> bool:
    """`self.gate(x)` with a linear layer, or what is called like one where the class does not say."""
    if module.qualified(node.func) in ("torch.nn.functional.linear",):
        return any(_LINEAR.match(n) or "rout" in n or "gate" in n for n in map(_name, walk(node)) if n)
    func = node.func
    if not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Name) or func.value.id != "self":
        return False
    if not _LINEAR.match(func.attr):
        return False
    made = _built(module, module.class_of(func), func.attr)
    return isinstance(made, ast.Call) and (module.qualified(made.func) or "").endswith("Linear")


def _built(module: Module, cls: ast.ClassDef | None, name: str) -> ast.expr | None:
    """What a class of this file, or a base of it, binds to `self.<name>`."""
    for _ in range(4):
        if cls is None:
            return None
        made = module.self_attribute(cls, name)
        if made is not None:
            return made
        bases = {b.id for b in cls.bases if isinstance(b, ast.Name)}
        cls = next((s for s in module.tree.body if isinstance(s, ast.ClassDef) and s.name in bases), None)
    return None


def reads_of(module: Module, statement: ast.stmt, name: str) -> list[ast.Name] | None:
    """Every read that sees what a statement binds to a name; None when one may or may not."""
    flow = module.flow(statement)
    out: list[ast.Name] = []
    for load in flow.loads.get(name, []):
        found = flow.definition(load)
        if found is None:
            return None
        if found.statement is statement:
            out.append(load)
    return out


def use_as_weight(module: Module, read: ast.expr) -> str:
    """What becomes of a read: "factor", "shape" (nothing is computed with it), or "other"."""
    node: ast.expr = read
    while True:
        parent = module.parent(node)
        if isinstance(parent, ast.Subscript) and parent.value is node:
            node = parent
        elif isinstance(parent, ast.Attribute):
            call = module.parent(parent)
            if not isinstance(call, ast.Call) or call.func is not parent:
                return "shape" if parent.attr in ("shape", "dtype", "device") else "other"
            if tensor_op(module, call, "mul") is not None:
                return "factor"
            if tensor_op(module, call, *SAME_VALUE, *_SHAPED) is None:
                return "shape" if parent.attr in ("size", "dim", "numel") else "other"
            node = call
        elif isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult):
            other = parent.right if parent.left is node else parent.left
            return "factor" if constant(module, other) is None else "other"
        else:
            return "other"
