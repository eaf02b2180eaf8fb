"""Denominators that degenerate data makes zero: lengths, spreads, amplitudes, ranges, sums of what may all vanish."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix import intervals as iv
from autofix.calls import Call, call_of
from autofix.ops import constant
from autofix.ranges import analysis
from autofix.relations import same, words
from autofix.syntax import Module
from autofix.transfer import MOVES

_NORMS = ("norm", "vector_norm", "cdist", "pairwise_distance", "dist")
_SPREADS = ("std", "var")
_EXTREMES = ("max", "amax")
_TOTALS = ("sum", "mean", "nansum", *_EXTREMES)
_VANISHING = ("relu", "relu_", "abs", "absolute", "square", "norm", "vector_norm", "diff")
_SHAPED = ("view", "unsqueeze", "reshape", "expand")
_SIDES = re.compile(r"^_?(w|h|d|width|height|depth|w_?\d|h_?\d|\w+_(w|h|width|height)|img_?[wh]|[wh]_?(in|out))$", re.I)


@dataclass(frozen=True, slots=True)
class Vanishing:
    """Why a denominator can be zero. kind: "norm", "spread", "amplitude", "maximum", "range", "total" or "size".
    at: the expression to keep away from zero. source: the tensor it is computed from. when: in words.
    """

    kind: str
    at: ast.expr
    source: ast.expr | None
    when: str
    floating: bool = False


def vanishing(module: Module, node: ast.expr) -> Vanishing | None:
    """Why `node`, a denominator, can be zero, when its own form says so."""
    found = _vanishing(module, node, 0)
    if found is None or not analysis(module).of(node).zero:
        return None
    return found


def _vanishing(module: Module, node: ast.expr, depth: int) -> Vanishing | None:
    if depth > 10:
        return None
    if isinstance(node, ast.Name):
        return _named(module, node, depth)
    if isinstance(node, ast.BinOp):
        return _combined(module, node, depth)
    if not isinstance(node, ast.Call):
        inner = node.value if isinstance(node, (ast.Subscript, ast.Attribute)) else None
        if isinstance(node, ast.Attribute) and node.attr != "values":
            return None
        if isinstance(node, ast.Subscript) and not _keeps_all(node):
            return None
        found = _vanishing(module, inner, depth + 1) if inner is not None else None
        return found and Vanishing(found.kind, node, found.source, found.when, found.floating)
    call = call_of(module, node)
    return _called(module, node, call, depth) if call is not None else None


def _keeps_all(node: ast.Subscript) -> bool:
    """`[..., None]`, or the values of a (values, indices) pair."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if isinstance(node.value, ast.Call) and isinstance(node.slice, ast.Constant) and node.slice.value == 0:
        return getattr(node.value.func, "attr", "") in (*_EXTREMES, "min", "amin")
    return all(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value in (None, ...)) for p in parts)


def _named(module: Module, node: ast.Name, depth: int) -> Vanishing | None:
    found = module.flow(node).definition(node)
    if found is None:
        return None
    value = found.value
    if value is None and found.kind == "unpack" and isinstance(found.statement, ast.Assign):
        return _first_of_two(module, node, found.statement)
    inner = _vanishing(module, value, depth + 1) if value is not None else None
    if inner is None or inner.kind == "size":
        return inner and Vanishing("size", node, inner.source, inner.when)
    return Vanishing(inner.kind, node, node, inner.when, inner.floating)


def _first_of_two(module: Module, node: ast.Name, statement: ast.Assign) -> Vanishing | None:
    """`largest, _ = x.abs().max(dim=1)`, `spread, mean = torch.std_mean(x)`."""
    target = statement.targets[0]
    first = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else None
    if not isinstance(first, ast.Name) or first.id != node.id or not isinstance(statement.value, ast.Call):
        return None
    call = call_of(module, statement.value)
    inner = _called(module, statement.value, call, 1) if call is not None else None
    return inner and Vanishing(inner.kind, node, node, inner.when, inner.floating)


def _combined(module: Module, node: ast.BinOp, depth: int) -> Vanishing | None:
    if isinstance(node.op, ast.Mult):
        left, right = _vanishing(module, node.left, depth + 1), _vanishing(module, node.right, depth + 1)
        if left is not None and right is not None:
            return Vanishing(left.kind, node, left.source, f"{left.when}, or {right.when}", left.floating)
        found, other = (left, node.right) if left is not None else (right, node.left)
        if found is None or found.kind == "size" or not analysis(module).of(other).positive:
            return None
        return Vanishing(found.kind, node, found.source, found.when, found.floating)
    if isinstance(node.op, ast.Pow) and constant(module, node.right) in (2, 0.5):
        found = _vanishing(module, node.left, depth + 1)
        return found and Vanishing(found.kind, node, found.source, found.when, found.floating)
    if not isinstance(node.op, ast.Sub):
        return None
    if analysis(module).of(node.right) == iv.constant(1.0) and _is_size(module, node.left):
        return Vanishing("size", node, node.left, "for a size of 1")
    if _is_range(module, node.left, node.right):
        return Vanishing("range", node, measured(module, node.left), "where all values are equal")
    return None


def _called(module: Module, node: ast.Call, call: Call, depth: int) -> Vanishing | None:
    if call.name in _NORMS:
        if _is_never_all_zero(module, call.input):
            return None
        return Vanishing("norm", node, call.input, "for a zero vector", True)
    if call.name in _SPREADS:
        return Vanishing("spread", node, call.input, "where all values are equal", True)
    if call.name in ("sqrt", "square") or call.name in MOVES:
        found = _vanishing(module, call.input, depth + 1)
        floating = found is not None and (found.floating or call.name == "sqrt")
        if found is None or found.kind == "size" or call.name in ("item", "tolist"):
            return None
        return Vanishing(found.kind, node, found.source, found.when, floating)
    if call.name in _TOTALS and _may_all_vanish(module, call.input, 0):
        kind = "amplitude" if call.name in _EXTREMES else "total"
        return Vanishing(kind, node, _plain_source(module, call.input), "where everything it sums up is 0")
    if call.name in _EXTREMES and call.form == "method" and "other" not in call.args:
        return Vanishing("maximum", node, call.input, "where nothing is positive")
    return None


def _is_never_all_zero(module: Module, node: ast.expr) -> bool:
    """Whether a tensor is an identity matrix or all ones, as it is or moved and cast."""
    for _ in range(4):
        node = module.flow(node).value(node)
        call = call_of(module, node) if isinstance(node, ast.Call) else None
        if call is None or call.name not in MOVES:
            break
        node = call.input
    called = node.func if isinstance(node, ast.Call) else None
    return called is not None and module.qualified(called) in ("torch.eye", "torch.ones", "torch.ones_like")


def _may_all_vanish(module: Module, node: ast.expr, depth: int) -> bool:
    """Whether all elements can be exactly zero at once, and none negative."""
    value = module.flow(node).value(node)
    if depth > 6 or analysis(module).of(node).low < 0:
        return False
    if isinstance(value, ast.BinOp):
        if isinstance(value.op, ast.Pow):
            return constant(module, value.right) == 2
        if isinstance(value.op, ast.Mult):
            squared = same(module, value.left, value.right)
            return squared or any(_may_all_vanish(module, v, depth + 1) for v in (value.left, value.right))
        return False
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    if call is None:
        return False
    if call.name == "pow":
        return constant(module, call.args.get("exponent")) == 2
    if call.name in ("clamp", "clamp_min"):
        return constant(module, call.args.get("min")) == 0
    return call.name in _VANISHING or (call.name in MOVES and _may_all_vanish(module, call.input, depth + 1))


def _plain_source(module: Module, node: ast.expr) -> ast.expr:
    """The tensor below abs, relu or a square: it has the dtype."""
    for _ in range(4):
        call = call_of(module, node) if isinstance(node, ast.Call) else None
        if call is not None and call.name in (*_VANISHING, "pow", "clamp", "clamp_min"):
            node = call.input
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            node = node.left
    return node


def is_range_of(module: Module, node: ast.expr, source: ast.expr) -> bool:
    """Whether `node` is the largest value of `source` less the smallest, as it is or copied."""
    value = module.flow(node).value(node)
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    if call is not None and call.name in MOVES:
        value = module.flow(call.input).value(call.input)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Sub):
        return False
    high = _extreme_of(module, value.left, ("max", "amax"))
    return high == words(module, source) and _is_range(module, value.left, value.right)


def measured(module: Module, node: ast.expr) -> ast.expr | None:
    """The tensor that an extreme is taken of."""
    value = module.flow(node).value(node)
    while isinstance(value, (ast.Subscript, ast.Attribute)):
        value = value.value
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    return call.input if call is not None else None


def _is_range(module: Module, high: ast.expr, low: ast.expr) -> bool:
    """`x.max() - x.min()`."""
    return _extreme_of(module, high, ("max", "amax")) != "" and _extreme_of(
        module, high, ("max", "amax")
    ) == _extreme_of(module, low, ("min", "amin"))


def _extreme_of(module: Module, node: ast.expr, names: tuple[str, ...]) -> str:
    """The text of what `node` is the maximum (or minimum) of."""
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        if found is not None and found.kind == "unpack" and isinstance(found.statement, ast.Assign):
            target = found.statement.targets[0]
            first = target.elts[0] if isinstance(target, ast.Tuple) else None
            if not isinstance(first, ast.Name) or first.id != node.id:
                return ""
            node = found.statement.value
        else:
            node = module.flow(node).value(node)
    for _ in range(4):
        if (isinstance(node, ast.Subscript) and _keeps_all(node)) or (
            isinstance(node, ast.Attribute) and node.attr == "values"
        ):
            node = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
            "view",
            "unsqueeze",
            "reshape",
            "expand",
        ):
            node = getattr(node.func, "value", node)
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    if call is None or call.name not in names or "other" in call.args:
        return ""
    return words(module, call.input)


def _is_size(module: Module, node: ast.expr) -> bool:
    """Whether an expression is the extent of a dimension, a Python whole number."""
    value = module.flow(node).value(node)
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") == "len" or (
            isinstance(value.func, ast.Attribute) and value.func.attr == "size" and bool(value.args)
        )
    if isinstance(value, ast.Subscript):
        return isinstance(value.value, ast.Attribute) and value.value.attr == "shape"
    if not isinstance(node, ast.Name):
        return False
    found = module.flow(node).definition(node)
    if found is None:
        return False
    if found.whole is not None:
        shape = found.whole.value if isinstance(found.whole, ast.Subscript) else found.whole
        if isinstance(shape, ast.Call):
            return isinstance(shape.func, ast.Attribute) and shape.func.attr == "size" and not shape.args
        return isinstance(shape, ast.Attribute) and shape.attr == "shape"
    return found.kind == "parameter" and _SIDES.match(node.id) is not None and _is_whole(found.statement, node.id)


def _is_whole(function: ast.AST, name: str) -> bool:
    """Whether a parameter is annotated as a whole number."""
    args = getattr(function, "args", None)
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs] if isinstance(args, ast.arguments) else []
    return any(a.arg == name and isinstance(a.annotation, ast.Name) and a.annotation.id == "int" for a in every)
