"""What the operand of an identity is made of, as far as the function shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.ops import constant, tensor_op
from autofix.pattern import Match, without_detach
from autofix.ranges import interval
from autofix.sameness import is_cheap
from autofix.syntax import Module

_MOST_NODES = 400
_EXP_RANGE = 80.0
_GRIDS = {"arange", "linspace", "logspace", "meshgrid", "create_meshgrid", "hann_window", "kaiser_window"}
_MASKING_METHODS = {"masked_fill", "masked_fill_", "where", "masked_scatter", "masked_scatter_"}


def origins(module: Module, node: ast.expr) -> Iterator[ast.AST]:
    """`node` and everything that it is made of. Names are followed to the assignment they have their value from, or to
    all of the function's where that is not certain."""
    pending: list[ast.AST] = [node]
    seen: set[ast.AST] = set()
    while pending and len(seen) < _MOST_NODES:
        part = pending.pop()
        if part in seen:
            continue
        seen.add(part)
        yield part
        pending.extend(ast.iter_child_nodes(part))
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            flow = module.flow(part)
            found = flow.definition(part)
            for statement in [found.statement] if found is not None else flow.stores(part.id):
                value = getattr(statement, "value", None)
                if isinstance(value, ast.expr):
                    pending.append(value)


def is_complex(module: Module, match: Match) -> bool:
    """Whether a captured value is made of complex numbers."""
    for node in match.captures.values():
        for part in origins(module, node):
            if isinstance(part, ast.Constant) and isinstance(part.value, complex):
                return True
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if name in ("view_as_complex", "polar", "fft", "rfft", "stft", "cfloat", "cdouble", "imag"):
                return True
            if name.startswith("complex"):
                return True
    return False


def is_fixed_grid(module: Module, match: Match) -> bool:
    """Whether `x` is computed from the positions of a fixed grid: the weights of a Gaussian window and the like,
    whose centre is part of the grid."""
    for part in origins(module, match.captures["x"]):
        if isinstance(part, ast.Call):
            name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            if name in _GRIDS:
                return True
    return False


def is_bounded(module: Module, match: Match) -> bool:
    """Whether `x` provably stays where exp neither overflows nor rounds to 0 in single precision."""
    values = interval(module, match.captures["x"])
    return values.low >= -_EXP_RANGE and values.high <= _EXP_RANGE


def is_non_positive(module: Module, match: Match) -> bool:
    """Whether `x` provably never exceeds 0, so that exp can only round to 0."""
    return interval(module, match.captures["x"]).non_positive


def is_shifted_or_bounded(module: Module, match: Match) -> bool:
    """Whether the exponentials of `x`, where there is an `x`, are safe as they are."""
    return "x" in match.captures and (is_shifted(module, match) or is_bounded(module, match))


def mean_is_countable(module: Module, match: Match) -> bool:
    """Whether `x` can be written a second time, to ask for its size."""
    x = match.captures["x"]
    return is_cheap(x) and not isinstance(x, ast.Constant)


def masked_reason(module: Module, match: Match) -> str:
    """Why the eps of this code may be needed: `x` shows signs of a mask, so it may hold -inf."""
    x = match.captures["x"]
    for part in origins(module, x):
        name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
        is_mask = "mask" in name.lower() or name in _MASKING_METHODS
        if is_mask or (isinstance(part, (ast.expr)) and constant(module, part) == float("-inf")):
            return "its input is masked and may hold -inf, where the eps keeps products with the result finite"
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and _is_filled(module, part):
            return f"elements of `{part.id}` are overwritten here and may be -inf, where the eps keeps products finite"
    return ""


def _is_filled(module: Module, name: ast.Name) -> bool:
    """Whether elements of `name` are assigned, or filled in place, anywhere in the function."""
    for part in ast.walk(module.flow(name).scope):
        owner: ast.expr | None = None
        if isinstance(part, ast.Subscript) and not isinstance(part.ctx, ast.Load):
            owner = part.value
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _MASKING_METHODS:
            owner = part.func.value
        if isinstance(owner, ast.Name) and owner.id == name.id:
            return True
    return False


def is_shifted(module: Module, match: Match) -> bool:
    """Whether `x` is a difference from its own maximum over the dimension that is summed, whatever else is added."""
    return shift_of(module, match.captures["x"], match.captures.get("dim")) == "row"


def is_shifted_by_row(module: Module, match: Match) -> bool:
    """Whether the captured `m`, which is subtracted, is the maximum along the dimension that is summed."""
    return maximum_of(module, match.captures["m"], match.captures["dim"]) == "row"


def is_shifted_by_all(module: Module, match: Match) -> bool:
    """Whether the captured `m`, which is subtracted, is the maximum of the whole tensor."""
    return maximum_of(module, match.captures["m"], match.captures["dim"]) == "all"


def shift_of(module: Module, x: ast.expr, dim: ast.expr | None) -> str:
    """ "row" when the exponent `x` has its maximum along `dim` subtracted, "all" when it is the maximum of everything,
    else nothing."""
    for negative in _subtracted(module, x):
        kind = maximum_of(module, negative, dim)
        if kind:
            return kind
    return ""


def _subtracted(module: Module, node: ast.expr) -> Iterator[ast.expr]:
    """The terms of a sum that are subtracted, and those added that are minima (`m - x` shifts by a minimum)."""
    node = module.flow(node).value(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield node.right
        yield from _subtracted(module, node.left)
        if isinstance(node.op, ast.Add):
            yield node.left
            yield from _subtracted(module, node.right)
        return
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):  # a temperature
        yield from _subtracted(module, node.left)
        if isinstance(node.op, ast.Mult):
            yield from _subtracted(module, node.right)
        return
    op = tensor_op(module, node, "sub", "div", "true_divide", "mul")
    if op is not None and op.name == "sub":
        yield from op.args.values()
    elif op is not None:
        yield from _subtracted(module, op.input)


def maximum_of(module: Module, node: ast.expr, dim: ast.expr | None) -> str:
    """ "row" when `node` is a maximum (or minimum) along `dim`, "all" when it is that of everything, else nothing.

    A name or a function that says `max` and is not seen through counts as a maximum along `dim`.
    """
    named = ""
    for _ in range(8):
        node = without_detach(module, node)
        if isinstance(node, ast.Name) and re.search(r"max|min(?!i)", node.id, re.I):
            named = "row"
        op = tensor_op(module, node, "max", "min", "amax", "amin", "unsqueeze", "clamp", "clamp_min", "maximum")
        if op is not None and op.name in ("max", "min", "amax", "amin"):
            return _reduction(module, op.args.get("dim"), dim)
        if op is not None:
            node = op.input
        elif isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr == "values"):
            node = node.value
        elif isinstance(node, ast.Name):
            found = module.flow(node).definition(node)
            value = getattr(found.statement, "value", None) if found and found.kind in ("assign", "unpack") else None
            if not isinstance(value, ast.expr):
                return named
            node = value
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            return "row" if "max" in name else named
        else:
            return named
    return named


def _reduction(module: Module, mine: ast.expr | None, dim: ast.expr | None) -> str:
    if mine is None:
        return "all" if dim is not None else "row"
    if dim is None:
        return ""
    first, second = constant(module, mine), constant(module, dim)
    if first is None or second is None:
        return "row" if ast.dump(mine) == ast.dump(dim) else ""
    # Without the rank, -1 and 1 may be the same dimension: the hand-written maximum is given the benefit.
    return "row" if first == second or (first < 0) != (second < 0) else ""
