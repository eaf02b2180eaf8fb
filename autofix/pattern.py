"""Patterns of tensor expressions, and the places in a file that they match.

A pattern is written as PyTorch code with metavariables:

    log(softmax($x, $dim))                          any spelling of both calls
    exp($x) / sum(exp($x), $dim, keepdim=True)      the same $x twice
    exp($x) / sum(exp($x), $dim:last)[..., None]    an index as it is written
    exp($x).T / sum(exp($x).T, $dim:zero)           an attribute as it is written
    log(sum(exp($x), $dim, keepdim=$keep?))         `keepdim` may be missing
    log(softmax($x, $dim) + $eps:small)             a metavariable with a condition

A call names PyTorch's function; it matches the function, the method, the `nn.Module` and `torch.nn.functional`
spellings, with arguments by position or by keyword. `+` and `*` match in either order, operators match their functions
(`a / b`, `torch.div(a, b)`). An intermediate value may have a name of its own: the matcher follows a name to the one
assignment that it certainly has its value from. `amax($x, $dim, keepdim=True)` also matches `max(...)[0]`,
`max(...).values` and the first of two unpacked names, detached or not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from autofix.flow import Definition
from autofix.ops import Op, constant, parameters, tensor_op
from autofix.sameness import is_untouched, same_expression
from autofix.syntax import Module

_METAVARIABLE = re.compile(r"\$(\w+?)(?::(\w+))?(\?)?(?![\w:?])")
_MAX_NAMES = 6  # names followed one after another

_OPERATORS: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("add",), ast.Sub: ("sub",), ast.Mult: ("mul",), ast.Div: ("div", "true_divide"), ast.Pow: ("pow",),
    ast.MatMult: ("matmul", "mm", "bmm", "mv"),
}  # fmt: skip
_COMMUTATIVE = (ast.Add, ast.Mult)
# What a missing argument means, where a pattern or the code writes it out.
_DEFAULTS: dict[str, object] = {"keepdim": False, "dtype": None}


def _small(module: Module, node: ast.expr) -> bool:
    """A positive number of the size that protects: at most 1e-3."""
    value = constant(module, node)
    if value is None and isinstance(node, (ast.Name, ast.Attribute)):
        # `eps`, `self.eps`: the name is all there is, and it says what the value is for.
        return (node.id if isinstance(node, ast.Name) else node.attr).lower().strip("_") in ("eps", "epsilon", "tiny")
    return value is not None and 0 < value <= 1e-3


def _near_one(module: Module, node: ast.expr) -> bool:
    """At most 1e-3 below 1, written as a number or as `1 - eps`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and constant(module, node.left) == 1:
        return _small(module, node.right)
    value = constant(module, node)
    return value is not None and 1 - 1e-3 <= value <= 1


def _number(wanted: int) -> Callable[[Module, ast.expr], bool]:
    return lambda module, node: _equal(constant(module, node), wanted)


CONDITIONS: Mapping[str, Callable[[Module, ast.expr], bool]] = {
    "small": _small,
    "near_one": _near_one,
    "zero": _number(0),
    "one": _number(1),
    "last": _number(-1),
    "integer": lambda module, node: type(constant(module, node)) is int,
}


@dataclass(frozen=True, slots=True)
class Metavariable:
    name: str
    condition: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What one match bound.

    captures: metavariable -> the expression in the file. reads: the names that were followed to their assignment, each
    with that assignment. ops: the operations that were matched, outermost first.
    """

    captures: Mapping[str, ast.expr] = field(default_factory=dict)
    reads: tuple[tuple[ast.Name, Definition], ...] = ()
    ops: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Pattern:
    """One shape of code.

    Raises:
        ValueError: the text is no expression, or names an unknown operation or condition.
    """

    text: str

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
                raise ValueError(f"{self.text}: an operation is named by its plain name")
            if isinstance(node, ast.Call):
                parameters(node.func.id)  # type: ignore[attr-defined]  # a name, by the test above
        for hole in self.metavariables.values():
            if hole.condition and hole.condition not in CONDITIONS:
                raise ValueError(f"{self.text}: there is no condition {hole.condition!r}")

    @cached_property
    def _parsed(self) -> tuple[ast.expr, dict[str, Metavariable]]:
        holes: dict[str, Metavariable] = {}

        def hole(found: re.Match[str]) -> str:
            holes[f"_{found[1]}_"] = Metavariable(found[1], found[2] or "", bool(found[3]))
            return f"_{found[1]}_"

        text = _METAVARIABLE.sub(hole, self.text)
        try:
            return ast.parse(text, mode="eval").body, holes
        except SyntaxError as error:
            raise ValueError(f"{self.text}: not an expression: {error.msg}") from None

    @property
    def tree(self) -> ast.expr:
        """The pattern as an expression in which a metavariable `$x` is the name `_x_`."""
        return self._parsed[0]

    @property
    def metavariables(self) -> Mapping[str, Metavariable]:
        """By the name that stands for it in `tree`."""
        return self._parsed[1]

    @property
    def root(self) -> str:
        """The outermost operation ("log"), or the operator's function ("div")."""
        if isinstance(self.tree, ast.Call) and isinstance(self.tree.func, ast.Name):
            return self.tree.func.id
        if isinstance(self.tree, ast.BinOp):
            return _OPERATORS[type(self.tree.op)][0]
        raise ValueError(f"{self.text}: a pattern is a call or an operation of two values")

    def match(self, module: Module, node: ast.expr) -> Match | None:
        """The first way in which `node` has this shape. The outermost operation must be `node` itself."""
        if isinstance(node, ast.Name):
            return None
        for found in _Matcher(module, self.metavariables).match(self.tree, node, Match()):
            if all(is_untouched(module, name, definition) for name, definition in found.reads):
                return found
        return None


@dataclass(frozen=True, slots=True)
class _Matcher:
    module: Module
    holes: Mapping[str, Metavariable]

    def match(self, pattern: ast.expr, node: ast.expr, so_far: Match) -> Iterator[Match]:
        """Every way in which `node` matches, each with what it adds to `so_far`."""
        if isinstance(pattern, ast.Name):
            yield from self._bind(self.holes[pattern.id], node, so_far)
        elif isinstance(pattern, ast.Constant):
            if _equal(constant(self.module, node), pattern.value):
                yield so_far
        else:
            for value, reached in self._values(pattern, node, so_far):
                if isinstance(pattern, ast.BinOp):
                    yield from self._operator(pattern, value, reached)
                elif isinstance(pattern, ast.UnaryOp):
                    yield from self._negation(pattern, value, reached)
                elif isinstance(pattern, ast.Subscript):
                    yield from self._element(pattern, value, reached)
                elif isinstance(pattern, ast.Attribute):
                    if isinstance(value, ast.Attribute) and value.attr == pattern.attr:
                        yield from self.match(pattern.value, value.value, reached)
                elif isinstance(pattern, ast.Call):
                    yield from self._call(pattern, value, reached)

    def _bind(self, hole: Metavariable, node: ast.expr, so_far: Match) -> Iterator[Match]:
        known = so_far.captures.get(hole.name)
        if known is not None:
            if same_expression(self.module, known, node):
                yield so_far
            return
        if hole.condition and not CONDITIONS[hole.condition](self.module, node):
            return
        yield Match({**so_far.captures, hole.name: node}, so_far.reads, so_far.ops)

    def _values(self, pattern: ast.expr, node: ast.expr, so_far: Match) -> Iterator[tuple[ast.expr, Match]]:
        """`node`, and behind a name the expression that it was assigned."""
        is_maximum = isinstance(pattern, ast.Call) and isinstance(pattern.func, ast.Name) and pattern.func.id == "amax"
        for _ in range(_MAX_NAMES):
            if is_maximum:
                node = without_detach(self.module, node)
            if not isinstance(node, ast.Name):
                break
            found = self.module.flow(node).definition(node)
            value = None if found is None else assigned_maximum(self.module, found) if is_maximum else found.value
            if found is None or value is None:
                return
            so_far = Match(so_far.captures, (*so_far.reads, (node, found)), so_far.ops)
            node = value
        yield node, so_far

    def _operator(self, pattern: ast.BinOp, node: ast.expr, so_far: Match) -> Iterator[Match]:
        operands = self._operands(pattern.op, node)
        if operands is None:
            return
        left, right = operands
        for first in self.match(pattern.left, left, so_far):
            yield from self.match(pattern.right, right, first)
        if isinstance(pattern.op, _COMMUTATIVE):
            for first in self.match(pattern.left, right, so_far):
                yield from self.match(pattern.right, left, first)

    def _operands(self, operator: ast.operator, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        if isinstance(node, ast.BinOp):
            return (node.left, node.right) if type(node.op) is type(operator) else None
        op = tensor_op(self.module, node, *_OPERATORS[type(operator)])
        if op is None or op.extra or len(op.args) != 1:
            return None
        return op.input, next(iter(op.args.values()))

    def _negation(self, pattern: ast.UnaryOp, node: ast.expr, so_far: Match) -> Iterator[Match]:
        if isinstance(node, ast.UnaryOp) and type(node.op) is type(pattern.op):
            yield from self.match(pattern.operand, node.operand, so_far)
            return
        op = tensor_op(self.module, node, "neg")
        if op is not None and isinstance(pattern.op, ast.USub):
            yield from self.match(pattern.operand, op.input, so_far)

    def _element(self, pattern: ast.Subscript, node: ast.expr, so_far: Match) -> Iterator[Match]:
        if not isinstance(node, ast.Subscript):
            return
        for found in self.match(pattern.value, node.value, so_far):
            if not isinstance(pattern.slice, ast.Name):
                if ast.dump(pattern.slice) == ast.dump(node.slice):
                    yield found
            elif not any(isinstance(part, ast.Slice) for part in ast.walk(node.slice)):  # `a:b` is no expression
                yield from self._bind(self.holes[pattern.slice.id], node.slice, found)

    def _call(self, pattern: ast.Call, node: ast.expr, so_far: Match) -> Iterator[Match]:
        assert isinstance(pattern.func, ast.Name)
        name = pattern.func.id
        op = _maximum(self.module, node) if name == "amax" else _canonical(tensor_op(self.module, node), name)
        if op is None or op.extra:
            return
        wanted = dict(zip(parameters(name), pattern.args[1:], strict=False))
        wanted.update({k.arg: k.value for k in pattern.keywords if k.arg})
        for key, value in op.args.items():
            if key not in wanted and not _is_default(self.module, key, value):
                return
        found = Match(so_far.captures, so_far.reads, (*so_far.ops, op))
        yield from self._arguments([(pattern.args[0], op.input)], wanted, op.args, found)

    def _arguments(
        self,
        pairs: list[tuple[ast.expr, ast.expr]],
        wanted: Mapping[str, ast.expr],
        given: Mapping[str, ast.expr],
        so_far: Match,
    ) -> Iterator[Match]:
        for key, pattern in wanted.items():
            if key in given:
                pairs.append((pattern, given[key]))
            elif not self._may_be_missing(key, pattern):
                return
        yield from self._all(pairs, so_far)

    def _all(self, pairs: list[tuple[ast.expr, ast.expr]], so_far: Match) -> Iterator[Match]:
        if not pairs:
            yield so_far
            return
        (pattern, node), *rest = pairs
        for found in self.match(pattern, node, so_far):
            yield from self._all(rest, found)

    def _may_be_missing(self, key: str, pattern: ast.expr) -> bool:
        if isinstance(pattern, ast.Name):
            return self.holes[pattern.id].optional
        return isinstance(pattern, ast.Constant) and key in _DEFAULTS and _equal(_DEFAULTS[key], pattern.value)


def without_detach(module: Module, node: ast.expr) -> ast.expr:
    """`x` for `x.detach()` and `x.data`."""
    while True:
        op = tensor_op(module, node, "detach")
        if op is not None:
            node = op.input
        elif isinstance(node, ast.Attribute) and node.attr == "data":
            node = node.value
        else:
            return node


def _maximum(module: Module, node: ast.expr) -> Op | None:
    """`amax(...)`, or the values of a `max(..., dim)`."""
    first = isinstance(node, ast.Subscript) and _equal(constant(module, node.slice), 0)
    values = isinstance(node, ast.Attribute) and node.attr == "values"
    taken = node.value if isinstance(node, (ast.Subscript, ast.Attribute)) and (first or values) else node
    if taken is node:
        # Without a dimension `max` gives the maximum itself; behind an unpacked name it is the pair's first.
        op = tensor_op(module, node, "amax", "max")
        return op if op is None or op.name == "amax" or "dim" in op.args else None
    op = tensor_op(module, taken, "max")
    return op if op is not None and "dim" in op.args else None


def assigned_maximum(module: Module, definition: Definition) -> ast.expr | None:
    """The value of `name = ...`, and the right-hand side of `name, _ = x.max(...)`."""
    statement = definition.statement
    if definition.value is not None or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return definition.value
    target = statement.targets[0]
    if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != 2:
        return None
    first = target.elts[0]
    is_first = isinstance(first, ast.Name) and first.id == definition.name
    return statement.value if is_first and tensor_op(module, statement.value, "max") is not None else None


def _canonical(op: Op | None, wanted: str) -> Op | None:
    """The operation, when it is `wanted` or another way to write it."""
    if op is None or op.name == wanted:
        return op
    if (wanted, op.name) in (("clamp", "clamp_min"), ("inverse", "inv")):
        return Op(wanted, op.call, op.input, op.args, op.extra, op.form)
    return None


def _is_default(module: Module, key: str, value: ast.expr) -> bool:
    if isinstance(value, ast.Constant) and value.value is None:
        return key in _DEFAULTS and _DEFAULTS[key] is None
    return key in _DEFAULTS and _DEFAULTS[key] is not None and _equal(constant(module, value), _DEFAULTS[key])


def _equal(one: object, other: object) -> bool:
    """Equality of constants in which True is not 1."""
    return one is not None and isinstance(one, bool) == isinstance(other, bool) and one == other
