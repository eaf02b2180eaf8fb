"""Other spellings of a hard choice: a comparison with the k-th largest, a rank, the first of a sorted order."""

from __future__ import annotations

import ast

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._ranked import same
from autofix.transforms.routing._selected import selects
from autofix.tree import last_part

_SAME_VALUE = ("unsqueeze", "view", "reshape", "expand_as", "expand", "detach", "min", "amin")
_DEPTH = 8


def is_one(module: Module, node: ast.expr | None) -> bool:
    """Whether a value is 1 or true, or a tensor of ones."""
    if node is None:
        return False
    if constant(module, node) in (1, 1.0, True):
        return True
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    if not isinstance(value, ast.Call):
        return False
    if last_part(value.func) in ("ones_like", "ones", "new_ones"):
        return True
    scalar = module.qualified(value.func) in ("torch.tensor", "torch.as_tensor") and len(value.args) == 1
    return scalar and constant(module, value.args[0]) in (1, 1.0)


def ones_like(module: Module, node: ast.expr) -> bool:
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    return isinstance(value, ast.Call) and last_part(value.func) in ("ones_like", "ones", "new_ones")


def compared_scores(module: Module, node: ast.Compare) -> tuple[ast.expr, bool] | None:
    """What `p >= kth`, `p == p.max()` or `rank < k` chooses from, and whether it chooses a single one."""
    if len(node.ops) != 1:
        return None
    left, right = node.left, node.comparators[0]
    if isinstance(node.ops[0], (ast.Lt, ast.LtE)):
        ranked = _ranked_by(module, left)
        if ranked is not None and isinstance(node.ops[0], ast.Lt):
            return ranked, constant(module, right) == 1
        left, right = right, left
    elif not isinstance(node.ops[0], (ast.Gt, ast.GtE, ast.Eq)):
        return None
    found = _smallest_kept(module, right, 0)
    if found is None or not same(module, found[0], left):
        return None
    largest = found[1]
    return None if isinstance(node.ops[0], ast.Eq) and not largest else (left, largest)


def _ranked_by(module: Module, node: ast.expr) -> ast.expr | None:
    """The scores whose descending rank a value is: `p.argsort(descending=True).argsort()`."""
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    outer = tensor_op(module, value, "argsort")
    if outer is None or "descending" in outer.args:
        return None
    inner = module.flow(outer.input).value(outer.input) if isinstance(outer.input, ast.Name) else outer.input
    return sorted_descending(module, inner)


def sorted_descending(module: Module, node: ast.expr) -> ast.expr | None:
    """The scores that an argsort in descending order is of."""
    op = tensor_op(module, node, "argsort")
    if op is None:
        return None
    if isinstance(op.input, ast.UnaryOp) and isinstance(op.input.op, ast.USub):
        return op.input.operand
    return op.input if constant(module, op.args.get("descending")) in (True, 1) else None


def first_of_sorted(module: Module, node: ast.Subscript) -> tuple[ast.expr, ast.expr] | None:
    """The scores and k of `p.argsort(descending=True)[..., :k]`."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    last = parts[-1] if parts else None
    if not isinstance(last, ast.Slice) or last.upper is None or last.lower is not None or last.step is not None:
        return None
    value = module.flow(node.value).value(node.value) if isinstance(node.value, ast.Name) else node.value
    scores = sorted_descending(module, value)
    return None if scores is None else (scores, last.upper)


def _smallest_kept(module: Module, node: ast.expr, depth: int) -> tuple[ast.expr, bool] | None:
    """The scores of which a value is the k-th largest, and whether k is 1."""
    if depth > _DEPTH:
        return None
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        if definition is None:
            return None
        if definition.value is not None:
            return _smallest_kept(module, definition.value, depth + 1)
        statement = definition.statement
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(statement, ast.Assign) or not isinstance(target, (ast.Tuple, ast.List)):
            return None
        first = target.elts[0]
        return _kept_by(module, statement.value) if isinstance(first, ast.Name) and first.id == node.id else None
    if isinstance(node, ast.Attribute) and node.attr == "values":
        return _kept_by(module, node.value)
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and node.slice.value == 0 and isinstance(node.value, ast.Call):
            return _kept_by(module, node.value)
        return _smallest_kept(module, node.value, depth + 1) if _takes_last(node.slice) else None
    if not isinstance(node, ast.Call):
        return None
    op = tensor_op(module, node, "amax", *_SAME_VALUE)
    if op is None:
        return None
    if op.name == "amax":
        return (op.input, True) if constant(module, op.args.get("keepdim")) in (True, 1) else None
    return _smallest_kept(module, op.input, depth + 1)


def _kept_by(module: Module, node: ast.expr) -> tuple[ast.expr, bool] | None:
    call = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    found = selects(module, call)
    if found is not None and found.op is not None:
        return found.base, constant(module, found.count) == 1
    if isinstance(call, ast.Call) and last_part(call.func) == "kthvalue":
        is_function = module.qualified(call.func) == "torch.kthvalue" and call.args
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        of = call.args[0] if is_function else receiver
        return None if of is None else (of, False)
    op = tensor_op(module, call, "max")
    return None if op is None or "dim" not in op.args else (op.input, True)


def _takes_last(index: ast.expr) -> bool:
    """`[..., -1:]`, `[:, -1]`, `[..., -1, None]`: the last of the kept ones."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    taken = [p for p in parts if not (isinstance(p, ast.Constant) and p.value in (None, ...)) and not _is_all(p)]
    if len(taken) != 1:
        return not taken
    last = taken[0].lower if isinstance(taken[0], ast.Slice) and taken[0].upper is None else taken[0]
    return isinstance(last, ast.UnaryOp) and ast.unparse(last) == "-1"


def _is_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Slice) and node.lower is None and node.upper is None and node.step is None


def stored_index(target: ast.Subscript) -> ast.expr | None:
    """The chosen indices in `mask[rows, chosen] = 1`, `mask[chosen] = 1`, `mask[i, chosen[i]] = 1`."""
    parts = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
    last = parts[-1] if parts else None
    if isinstance(last, (ast.Slice, ast.Constant)) or last is None:
        return None
    if isinstance(last, ast.Subscript) and len(parts) == 2 and ast.unparse(last.slice) == ast.unparse(parts[0]):
        return last.value
    return last
