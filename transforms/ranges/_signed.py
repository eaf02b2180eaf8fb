"""Denominators of either sign that data makes zero: a coordinate, a disparity, a reference element."""

from __future__ import annotations

import ast
import re

from autofix.calls import call_of
from autofix.ops import constant
from autofix.ranges import analysis
from autofix.relations import same
from autofix.syntax import Module
from autofix.transforms.ranges._division import Division
from autofix.transforms.ranges._networks import sees_a_camera
from autofix.tree import last_part

_ZERO_IN_DATA = re.compile(r"^(disparity|disparities|disp|z|z_vec|z_coord|inv_depth)$")
_SMALL = 1e-2


def signed_zero(module: Module, found: Division) -> str:
    """When the denominator is zero, in words; empty where nothing says that it can be."""
    denominator = found.denominator
    return _clamped_coordinate(module, denominator) or _own_element(module, found) or _named_zero(module, denominator)


def _clamped_coordinate(module: Module, node: ast.expr) -> str:
    """`clamp(z, eps)` of a coordinate: what is behind the camera lands in front of it."""
    value = module.flow(node).value(node)
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    if call is None or call.name not in ("clamp", "clamp_min") or "max" in call.args:
        return ""
    low = call.args.get("min")
    bound = analysis(module).of(low) if low is not None else None
    if bound is None or not bound.positive or bound.high > _SMALL:
        return ""
    if not _is_coordinate(module.flow(call.input).value(call.input)) or analysis(module).of(call.input).low >= 0:
        return ""
    text = re.sub(r"\s+", " ", module.source(call.input))
    return f"{text} is a coordinate and may be negative: the clamp turns every negative one into a tiny positive one"


def _is_coordinate(node: ast.expr) -> bool:
    """`points[..., -1:]`, `p[:, 2]`."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Tuple):
        return False
    *leading, last = node.slice.elts
    whole = all(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value is ...) for p in leading)
    return bool(leading) and whole and _is_place(last)


def _is_place(node: ast.expr) -> bool:
    """A fixed index, or a slice of length one at the start or the end."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if not isinstance(node, ast.Slice) or node.step is not None:
        return False
    if node.lower is None:
        return isinstance(node.upper, ast.Constant) and node.upper.value == 1
    if node.upper is None:
        return isinstance(node.lower, ast.UnaryOp) and getattr(node.lower.operand, "value", None) == 1
    low, high = getattr(node.lower, "value", None), getattr(node.upper, "value", None)
    return isinstance(low, int) and high == low + 1


def _own_element(module: Module, found: Division) -> str:
    """`x / x[..., :1]`, `p[..., :2] / p[..., 2:3]`."""
    denominator = found.denominator
    if not isinstance(denominator, ast.Subscript) or not _is_coordinate(denominator):
        return ""
    numerator = found.numerator
    whole = numerator.value if isinstance(numerator, ast.Subscript) else numerator
    if not same(module, whole, denominator.value) or not analysis(module).of(denominator).zero:
        return ""
    if constant(module, numerator) is not None or _is_in_the_plane(module, denominator.value):
        return ""
    if sees_a_camera(module, denominator):
        return ""
    text = re.sub(r"\s+", " ", module.source(denominator))
    return f"{text} is an element of what is divided and may be 0, and the quotient is then inf or NaN"


def _is_in_the_plane(module: Module, node: ast.expr) -> bool:
    """`stack([x, y, ones]) @ m`: points of a plane, whose last coordinate is 1 until a map tilts the plane away."""
    value = module.flow(node).value(node)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.MatMult):
        return False
    joined = module.flow(value.left).value(value.left)
    if not isinstance(joined, ast.Call) or last_part(joined.func) not in ("stack", "cat", "concat") or not joined.args:
        return False
    parts = getattr(joined.args[0], "elts", [])
    return bool(parts) and isinstance(parts[-1], ast.Call) and last_part(parts[-1].func) in ("ones", "ones_like")


def _named_zero(module: Module, node: ast.expr) -> str:
    if not isinstance(node, ast.Name) or not _ZERO_IN_DATA.match(node.id):
        return ""
    definition = module.flow(node).definition(node)
    parameter = definition is not None and definition.kind == "parameter"
    if not parameter and not (
        definition is not None and definition.value is not None and _is_coordinate(definition.value)
    ):
        return ""
    if not analysis(module).of(node).zero:
        return ""
    return f"{node.id} is 0 for a point at infinity or in the camera's plane, and the quotient is then inf or NaN"
