"""The comparison at the heart of top-p: accumulated probability, in sorted order, against a threshold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._ranked import (
    DEPTH,
    SAME_VALUE,
    Ranked,
    is_number,
    is_probability,
    ranked_values,
    same,
)
from autofix.tree import walk


@dataclass(frozen=True, slots=True)
class Step:
    """A change of order on the way. kind: "scatter" or "gather". dim and index as they stand there."""

    kind: str
    dim: ast.expr
    index: ast.expr


@dataclass(frozen=True, slots=True)
class Mass:
    """An accumulated probability. total: the expression of the running sum. before: without the item itself.
    sliced: its last entry is cut off (a shift by concatenation is under way). late: one item more is kept than lie
    below the threshold, so that what counts is the mass before each."""

    total: ast.expr
    ranked: Ranked
    before: bool = False
    sliced: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class CutOff:
    """node: the comparison. quantity and threshold: its two sides. true_below: whether it is true where the quantity
    lies below the threshold. steps: reorderings that the mask has behind it when it is made."""

    node: ast.expr
    quantity: ast.expr
    threshold: ast.expr
    mass: Mass
    true_below: bool
    steps: tuple[Step, ...] = ()

    @property
    def probabilities(self) -> ast.expr:
        """What was sorted: the router's probabilities, or its logits."""
        return self.mass.ranked.base


def cut_off(module: Module, node: ast.AST) -> CutOff | None:
    """The top-p cut-off that a comparison makes, when it is one."""
    sides = _sides(module, node)
    if sides is None or not isinstance(node, ast.expr):
        return None
    left, right, below = sides
    if not below:
        left, right = right, left
    counted = _counted(module, node, left, right, True)
    if counted is not None:
        return counted
    left, right, below = sides
    for quantity, threshold, true_below in ((left, right, below), (right, left, not below)):
        if constant(module, quantity) is not None:
            continue
        mass = _mass(module, quantity, 0)
        if mass is None or (mass.sliced and mass.before):
            continue
        if _mass(module, threshold, 0) is not None:
            return None
        return CutOff(node, quantity, threshold, mass, true_below)
    return None


def _counted(module: Module, node: ast.AST, left: ast.expr, right: ast.expr, below: bool) -> CutOff | None:
    """`rank < count`, where `count` is how many running sums lie below a threshold, perhaps one more."""
    if not below or not isinstance(node, ast.expr):
        return None
    count = _count(module, right, 0)
    if count is None:
        return None
    inner, more = count
    strict = not isinstance(node, ast.Compare) or isinstance(node.ops[0], ast.Lt)
    more += 0 if strict else 1
    if more not in (0, 1):
        return None
    mass = Mass(inner.mass.total, inner.mass.ranked, inner.mass.before, late=more == 1 and not inner.mass.before)
    if more == 1 and inner.mass.before:
        return None
    rank = module.flow(left).value(left) if isinstance(left, ast.Name) else left
    steps: tuple[Step, ...] = ()
    ranks = tensor_op(module, rank, "argsort")
    if ranks is not None:
        steps = (Step("gather", ranks.args.get("dim") or ast.parse("-1", mode="eval").body, left),)
    elif not _is_range(module, rank):
        return None
    return CutOff(node, inner.quantity, inner.threshold, mass, true_below=True, steps=steps)


def _is_range(module: Module, node: ast.expr) -> bool:
    calls = (part for part in walk(node) if isinstance(part, ast.Call))
    return any(module.qualified(call.func) == "torch.arange" for call in calls)


def _count(module: Module, node: ast.expr, depth: int) -> tuple[CutOff, int] | None:
    """The cut-off that a count counts, and what is added to the count."""
    if depth > DEPTH:
        return None
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return _count(module, value, depth + 1) if value is not node else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            added = constant(module, other)
            if added == 1:
                inner = _count(module, one, depth + 1)
                return None if inner is None else (inner[0], inner[1] + 1)
        return None
    if isinstance(node, ast.Subscript):
        return _count(module, node.value, depth + 1)
    if not isinstance(node, ast.Call):
        return None
    op = tensor_op(module, node, "sum", "clamp", "clamp_min", "clamp_max", "unsqueeze", "long", "int", "to", "argmax")
    if op is not None and op.name == "sum":
        found = cut_off(module, _uncast(module, op.input))
        counts = found is not None and found.true_below and found.mass.ranked.descending and not found.steps
        return (found, 0) if found is not None and counts else None
    if op is not None and op.name == "argmax":  # the first place that reaches the threshold
        found = cut_off(module, _uncast(module, op.input))
        if found is None or found.true_below or not found.mass.ranked.descending:
            return None
        return CutOff(found.node, found.quantity, found.threshold, found.mass, true_below=True), 0
    if op is not None:
        return _count(module, op.input, depth + 1)
    if module.qualified(node.func) == "torch.searchsorted" and len(node.args) >= 2:
        mass = _mass(module, node.args[0], 0)
        if mass is not None and mass.ranked.descending and not mass.sliced:
            return CutOff(node, node.args[0], node.args[1], mass, true_below=True), 0
    return None


def _uncast(module: Module, node: ast.expr) -> ast.expr:
    for _ in range(DEPTH):
        op = tensor_op(module, node, "long", "int", "float", "to")
        inner = op.input if op is not None else module.flow(node).value(node)
        if inner is node:
            break
        node = inner
    return node


def _sides(module: Module, node: ast.AST) -> tuple[ast.expr, ast.expr, bool] | None:
    """Left, right, and whether `left < right` (or <=) is what is asked."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        if isinstance(node.ops[0], (ast.Lt, ast.LtE)):
            return node.left, node.comparators[0], True
        if isinstance(node.ops[0], (ast.Gt, ast.GtE)):
            return node.left, node.comparators[0], False
        return None
    op = tensor_op(module, node, "lt", "le", "gt", "ge")
    if op is not None and "other" in op.args:
        return op.input, op.args["other"], op.name in ("lt", "le")
    return None


def _mass(module: Module, node: ast.expr, depth: int) -> Mass | None:
    if depth > DEPTH:
        return None
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return _renamed(_mass(module, value, depth + 1), node, value) if value is not node else None
    if isinstance(node, ast.BinOp):
        return _mass_arithmetic(module, node.left, node.op, node.right, depth)
    if isinstance(node, ast.Subscript):
        inner = _mass(module, node.value, depth + 1)
        if inner is not None and isinstance(node.slice, (ast.Name, ast.Constant)):  # one row: `cumulative[i]`
            return inner
        cut = inner is not None and cuts_last(node)
        return Mass(inner.total, inner.ranked, inner.before, sliced=True) if cut and inner is not None else None
    if not isinstance(node, ast.Call):
        return None
    op = tensor_op(module, node, "cumsum")
    if op is not None:
        ranked = ranked_values(module, op.input, depth + 1)
        return Mass(node, ranked) if ranked is not None and is_probability(module, ranked) else None
    op = tensor_op(module, node, "sub")
    if op is not None and "other" in op.args and len(op.args) == 1:
        return _mass_arithmetic(module, op.input, ast.Sub(), op.args["other"], depth)
    op = tensor_op(module, node, *SAME_VALUE)
    if op is not None and op.name != "detach":
        return _mass(module, op.input, depth + 1)
    return _mass_shifted(module, node, depth)


def _renamed(mass: Mass | None, name: ast.Name, value: ast.expr) -> Mass | None:
    """A running sum that a name holds is best called by that name."""
    if mass is None or mass.total is not value:
        return mass
    return Mass(name, mass.ranked, mass.before, mass.sliced)


def _mass_arithmetic(
    module: Module, first: ast.expr, operator: ast.operator, second: ast.expr, depth: int
) -> Mass | None:
    left = _mass(module, first, depth + 1)
    if left is None or left.before or left.sliced:
        return None
    if isinstance(operator, ast.Sub):
        if constant(module, second) is not None:
            return left
        subtracted = ranked_values(module, second, depth + 1)
        if subtracted is not None and (
            same(module, subtracted.values, left.ranked.values)
            or ast.unparse(subtracted.base) == ast.unparse(left.ranked.base)
        ):
            return Mass(left.total, left.ranked, before=True)
        return None
    if isinstance(operator, ast.Add) and constant(module, second) is not None:
        return left
    return None


def _mass_shifted(module: Module, call: ast.Call, depth: int) -> Mass | None:
    """`F.pad(total[..., :-1], (1, 0))`, `torch.cat([zeros, total[..., :-1]], dim=-1)`: the mass before each item."""
    for part in shifted_parts(module, call):
        inner = _mass(module, part, depth + 1)
        if inner is not None and inner.sliced:
            return Mass(inner.total, inner.ranked, before=True)
    return None


def shifted_parts(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    """What stands behind the one entry that a call puts in front."""
    name = module.qualified(call.func) or ""
    if name in ("torch.cat", "torch.concat", "torch.concatenate") and call.args:
        parts = call.args[0]
        if isinstance(parts, (ast.List, ast.Tuple)) and len(parts.elts) == 2:
            yield parts.elts[1]
    if name == "torch.nn.functional.pad" and len(call.args) > 1:
        width = call.args[1]
        if isinstance(width, (ast.Tuple, ast.List)) and [constant(module, e) for e in width.elts[:2]] == [1, 0]:
            yield call.args[0]


def cuts_last(node: ast.Subscript) -> bool:
    """`x[..., :-1]`, `x[:, :-1]`, `x[:-1]`."""
    index = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    if not isinstance(index, ast.Slice) or index.lower is not None or index.step is not None:
        return False
    upper = index.upper
    return isinstance(upper, ast.UnaryOp) and isinstance(upper.op, ast.USub) and is_number(upper.operand, 1)


def cuts_first(node: ast.Subscript) -> bool:
    """`x[..., 1:]`."""
    index = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    return isinstance(index, ast.Slice) and index.upper is None and is_number(index.lower, 1)
