"""Probabilities in sorted order, however they were sorted."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.tree import walk

_PROBABILITY = re.compile(
    r"prob|(?<![a-z])p(?![a-z])|(?<![a-z])pi(?![a-z])|weight|gate|gating|rout|score|softmax|dist|importance|alpha|mass",
    re.I,
)
SAME_VALUE = ("float", "double", "half", "bfloat16", "to", "clone", "contiguous", "type_as", "type", "detach", "clamp")
DEPTH = 12


@dataclass(frozen=True, slots=True)
class Ranked:
    """Values in sorted order. values: the sorted values as an expression. order: the sorting permutation, when it has
    a name. base: what was sorted (probabilities or logits). descending: None when the call does not say."""

    values: ast.expr
    order: ast.expr | None
    base: ast.expr
    descending: bool
    partial: bool  # topk: perhaps fewer values than there are


def is_number(node: ast.expr | None, number: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == number


def ranked_values(module: Module, node: ast.expr, depth: int = 0) -> Ranked | None:
    """What is known of values that come out of a sort, whatever was done to them since that keeps their order."""
    if depth > DEPTH:
        return None
    if isinstance(node, ast.Name):
        return _ranked_name(module, node, depth)
    if isinstance(node, ast.Call):
        op = tensor_op(module, node, "softmax", "normalize", *SAME_VALUE)
        if op is not None:
            inner = ranked_values(module, op.input, depth + 1)
            return _with_values(inner, node)
        return _gathered(module, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _with_values(ranked_values(module, node.left, depth + 1), node)
    if isinstance(node, ast.Subscript):
        if is_number(node.slice, 0):
            return _sorted(module, node.value, node)
        order = _order(module, node.slice, depth)
        if order is not None:
            return Ranked(node, node.slice, node.value, order[1], partial=False)
    if isinstance(node, ast.Attribute) and node.attr == "values":
        return _sorted(module, node.value, node)
    return None


def _with_values(ranked: Ranked | None, node: ast.expr) -> Ranked | None:
    return None if ranked is None else Ranked(node, ranked.order, ranked.base, ranked.descending, ranked.partial)


def _ranked_name(module: Module, node: ast.Name, depth: int) -> Ranked | None:
    definition = module.flow(node).definition(node)
    if definition is None:
        return None
    if definition.value is not None:
        return _with_values(ranked_values(module, definition.value, depth + 1), node)
    statement = definition.statement
    if definition.kind != "unpack" or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != 2:
        return None
    if not isinstance(target.elts[0], ast.Name) or target.elts[0].id != node.id:
        return None
    return _sorted(module, statement.value, node, target.elts[1])


def _sorted(module: Module, node: ast.expr, values: ast.expr, order: ast.expr | None = None) -> Ranked | None:
    """`values` is the first thing that the sort `node` returns."""
    call = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    op = tensor_op(module, call, "sort", "topk")
    if op is None or (op.form == "method" and op.name == "sort" and not op.args):
        return None
    if isinstance(order, ast.Name) and order.id == "_":
        order = None
    if order is None and isinstance(node, ast.Name):
        order = ast.Attribute(value=node, attr="indices", ctx=ast.Load())
        ast.copy_location(order, node)
    descending = True
    if op.name == "sort":
        said = op.args.get("descending")
        descending = said is not None and constant(module, said) in (True, 1)
    elif constant(module, op.args.get("largest")) in (False, 0):
        return None
    base, flipped = _negated(op.input)
    if flipped:
        return None
    return Ranked(values, order, base, descending, partial=op.name == "topk")


def _gathered(module: Module, node: ast.Call) -> Ranked | None:
    """`probs.gather(-1, order)` with `order` from an argsort."""
    op = tensor_op(module, node, "gather")
    index, base = (op.args.get("index"), op.input) if op is not None else (None, None)
    if module.qualified(node.func) == "torch.take_along_dim" and len(node.args) > 1:
        base, index = node.args[0], node.args[1]
    if index is None or base is None:
        return None
    order = _order(module, index, 0)
    return None if order is None else Ranked(node, index, base, order[1], partial=False)


def _order(module: Module, node: ast.expr, depth: int) -> tuple[ast.expr, bool] | None:
    """What an index expression argsorts, and whether it sorts descending."""
    if isinstance(node, (ast.Tuple, ast.Slice)) or depth > DEPTH:
        return None
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    op = tensor_op(module, value, "argsort")
    if op is not None:
        base, negative = _negated(op.input)
        said = op.args.get("descending")
        return base, negative or (said is not None and constant(module, said) in (True, 1))
    if isinstance(value, ast.Attribute) and value.attr == "indices":
        found = _sorted(module, value.value, value)
        return None if found is None else (found.base, found.descending)
    if isinstance(value, ast.Subscript) and is_number(value.slice, 1):
        found = _sorted(module, value.value, value)
        return None if found is None else (found.base, found.descending)
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        statement = definition.statement if definition else None
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], (ast.Tuple, ast.List)):
            found = _sorted(module, statement.value, node)
            if found is not None:
                return found.base, found.descending
    return None


def _negated(node: ast.expr) -> tuple[ast.expr, bool]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand, True
    return node, False


# -- what the values are ---------------------------------------------------------------------------------------


def is_probability(module: Module, ranked: Ranked) -> bool:
    """Whether the sorted values are shares of a whole, as far as one can see."""
    return any(_normalised(module, side, 0) for side in (ranked.values, ranked.base))


def _normalised(module: Module, node: ast.expr, depth: int) -> bool:
    if depth > DEPTH:
        return False
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if value is not node and _normalised(module, value, depth + 1):
            return True
        return bool(_PROBABILITY.search(node.id))
    if isinstance(node, ast.Attribute):
        return bool(_PROBABILITY.search(node.attr))
    if isinstance(node, ast.Call):
        if tensor_op(module, node, "softmax", "sigmoid", "normalize") is not None:
            return True
        if isinstance(node.func, ast.Attribute) and (
            _PROBABILITY.search(node.func.attr) or _normalised(module, node.func.value, depth + 1)
        ):
            return True
        return any(_normalised(module, a, depth + 1) for a in node.args[:1])
    if isinstance(node, ast.BinOp):
        return _normalised(module, node.left, depth + 1)
    if isinstance(node, ast.Subscript):
        return _normalised(module, node.value, depth + 1)
    return False


def is_detached(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value was taken off the graph on its way here."""
    if depth > DEPTH:
        return False
    for part in walk(node):
        if isinstance(part, ast.Attribute) and part.attr in ("detach", "data", "item", "numpy", "cpu"):
            return True
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = module.flow(part).value(part)
            if value is not part and is_detached(module, value, depth + 1):
                return True
    return False


def same(module: Module, one: ast.expr, other: ast.expr) -> bool:
    """Whether two expressions read the same value: the same text, or names with one definition."""
    if ast.unparse(one) == ast.unparse(other):
        return True
    if isinstance(one, ast.Name):
        value = module.flow(one).value(one)
        if value is not one:
            return ast.unparse(value) == ast.unparse(other)
    return False
