"""What the operand of an identity is made of, as far as the function shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.ops import constant, tensor_op
from autofix.origins import origins
from autofix.pattern import Match, assigned_maximum, without_detach
from autofix.ranges import interval
from autofix.sameness import same_expression
from autofix.syntax import Module
from autofix.transforms.precision._half import never_half
from autofix.tree import walk

_EXP_RANGE = 80.0
_WIDENED = ("expand_as", "expand", "view", "view_as", "reshape", "broadcast_to", "repeat")
_GRIDS = {"arange", "linspace", "logspace", "meshgrid", "create_meshgrid", "hann_window", "kaiser_window"}
_FILLING_METHODS = {"masked_fill_", "masked_scatter_", "index_fill_", "fill_"}
_MASKING_METHODS = {"masked_fill", "where", "masked_scatter"} | _FILLING_METHODS


def is_fixed_grid(module: Module, match: Match) -> bool:
    """Whether `x` is computed from the positions of a fixed grid: the weights of a Gaussian window and the like,
    whose centre is part of the grid."""
    for part in origins(module, match.captures["x"]):
        if isinstance(part, ast.Call):
            name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            if name in _GRIDS:
                return True
    return False


def in_full(module: Module, match: Match) -> bool:
    """Whether what is computed is certainly not float16."""
    captured = (match.captures[name] for name in ("x", "p", "a") if name in match.captures)
    return any(never_half(module, node) for node in (*captured, *(op.call for op in match.ops)))


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


def minus_infinity_reason(module: Module, match: Match) -> str:
    """Why the eps of this code may be needed: `x` is visibly filled with something, which may be -inf."""
    x = match.captures["x"]
    for part in origins(module, x):
        name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
        if name in _MASKING_METHODS or (isinstance(part, ast.expr) and constant(module, part) == float("-inf")):
            return "its input is masked and may hold -inf, where the eps keeps products with the result finite"
    return ""


def _is_filled(module: Module, name: ast.Name) -> bool:
    """Whether elements of `name` are assigned, or filled in place, anywhere in the function."""
    for part in walk(module.flow(name).scope):
        owner: ast.expr | None = None
        if isinstance(part, ast.Subscript) and not isinstance(part.ctx, ast.Load):
            owner = part.value
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _FILLING_METHODS:
            owner = part.func.value
        if isinstance(owner, ast.Name) and owner.id == name.id:
            return True
    return False


def is_shifted(module: Module, match: Match) -> bool:
    """Whether `x` is a difference from its own maximum over the dimension that is summed, whatever else is added."""
    return shift_of(module, match.captures["x"], match.captures.get("dim")) == "row"


def is_shifted_by_row(module: Module, match: Match) -> bool:
    """Whether the captured `m`, which is subtracted, is certainly the maximum along the dimension that is summed."""
    return _certain_maximum(module, match) == "row"


def is_shifted_by_all(module: Module, match: Match) -> bool:
    """Whether the captured `m`, which is subtracted, is certainly the maximum of a whole tensor."""
    return _certain_maximum(module, match) == "all"


def _certain_maximum(module: Module, match: Match) -> str:
    """Which maximum `m` is: "row" along `dim`, keeping the dimension; "all" for one number. Either drops out of a
    softmax along `dim`."""
    node, dim = match.captures["m"], match.captures["dim"]
    keeps = same_expression(module, dim, ast.Constant(0))
    for _ in range(8):
        node = without_detach(module, node)
        found = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
        value = assigned_maximum(module, found) if found is not None else None
        if value is not None:
            node = value
            continue
        op = tensor_op(module, node, "max", "amax", "unsqueeze")
        if op is not None and op.name == "unsqueeze":
            keeps = keeps or same_expression(module, op.args["dim"], dim) if "dim" in op.args else keeps
            node = op.input
        elif op is not None and "dim" not in op.args:
            return "all" if not op.args else ""
        elif op is not None:
            keeps = keeps or constant(module, op.args.get("keepdim")) is True
            return "row" if keeps and same_expression(module, op.args["dim"], dim) else ""
        elif isinstance(node, ast.Attribute) and node.attr == "values":
            node = node.value
        elif isinstance(node, ast.Subscript):
            widened = isinstance(node.slice, ast.Tuple) and any(
                isinstance(e, ast.Constant) and e.value is None for e in node.slice.elts
            )
            if not widened and constant(module, node.slice) != 0:
                return ""
            keeps, node = keeps or widened, node.value
        else:
            return ""
    return ""


def shift_of(module: Module, x: ast.expr, dim: ast.expr | None) -> str:
    """What is subtracted from the exponent `x`: "row" for its maximum along `dim`, "all" for the maximum of everything,
    else nothing. Of a name that both branches of an `if` bind, what is subtracted in each."""
    values = _alternatives(module, x)
    if values:
        kinds = {shift_of(module, v, dim) for v in values}
        return kinds.pop() if len(kinds) == 1 else ""
    for negative in _subtracted(module, x):
        kind = maximum_of(module, negative, dim)
        if kind:
            return kind
    return ""


def _alternatives(module: Module, node: ast.expr) -> list[ast.expr]:
    """The values of a name that the two branches of one `if` bind; none for any other."""
    if not isinstance(node, ast.Name) or module.flow(node).definition(node) is not None:
        return []
    statements = module.flow(node).stores(node.id)
    choice = module.parent(statements[0]) if len(statements) == 2 else None
    if not isinstance(choice, ast.If) or any(module.parent(s) is not choice for s in statements):
        return []
    if sum(s in choice.body for s in statements) != 1:
        return []
    values = [v for s in statements if isinstance(s, ast.Assign) and not isinstance(v := s.value, ast.Name)]
    return values if len(values) == 2 else []


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
    """What `node` is: "row" for a maximum (or minimum) along `dim`, "all" for that of everything, else nothing.

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
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WIDENED:
            node = node.func.value
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
