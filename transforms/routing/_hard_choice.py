"""Hard choices other than top-p: the mask of the k largest, of the largest one, of what lies above a threshold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._cut_off import CutOff, Mass
from autofix.transforms.routing._mask import State
from autofix.transforms.routing._ranked import Ranked, is_number
from autofix.transforms.routing._routing import zero_like
from autofix.transforms.routing._selected import is_logits, is_router_call, selects, squashed
from autofix.transforms.routing._spelled_choice import compared_scores, first_of_sorted, is_one, ones_like, stored_index
from autofix.tree import last_part, walk

_ORDERED = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
_SAME_INDEX = ("unsqueeze", "squeeze", "view", "reshape", "long", "to")


@dataclass(frozen=True, slots=True)
class Choice:
    """node: the expression that makes the mask. scores: what decides. threshold: what scores are compared with, None
    for a rank. single: one item is chosen. state: what the mask is when it is made. bound: the name and the statement
    where it is made in place, else None. index: what the choice is read from."""

    node: ast.expr
    scores: ast.expr
    threshold: ast.expr | None
    single: bool
    state: State
    bound: tuple[str, ast.stmt] | None = None

    def as_cut_off(self, module: Module) -> CutOff:
        """The same as the tracer's cut-off, whose "below" is what is kept."""
        family = ast.Tuple(list(_family(module, self.scores)), ast.Load())
        ranked = Ranked(self.scores, None, family, descending=True, partial=False)
        return CutOff(self.node, self.scores, self.threshold or self.scores, Mass(self.scores, ranked), true_below=True)


def _family(module: Module, node: ast.expr) -> Iterator[ast.Name]:
    """The names on the way from the router's linear layer to the scores."""
    for _ in range(12):
        if isinstance(node, ast.Name):
            yield node
            value = module.flow(node).value(node)
            if value is node:
                return
            node = value
            continue
        op = tensor_op(module, node) if isinstance(node, ast.Call) else None
        if op is None:
            return
        node = op.input


def hard_choice(module: Module, node: ast.AST) -> Choice | None:
    """The hard choice that an expression makes from a router's scores."""
    if isinstance(node, ast.Compare):
        return _stored_by_mask(module, node) or _kth(module, node) or _above(module, node)
    if isinstance(node, ast.Assign):
        return _stored(module, node)
    if not isinstance(node, ast.Call):
        return None
    name = last_part(node.func)
    if name == "one_hot":
        return _one_hot(module, node)
    if name in ("scatter", "scatter_"):
        return _scattered(module, node)
    if name == "masked_fill":
        return _filled(module, node)
    if name == "round":
        return _rounded(module, node)
    return None


def _kth(module: Module, node: ast.Compare) -> Choice | None:
    """`p >= topk(p, k).values[..., -1:]`, `p == p.max(...)`, `rank < k`."""
    found = compared_scores(module, node)
    if found is None or not from_router(module, found[0]):
        return None
    return Choice(node, found[0], None, found[1], State(true_below=True, kind="bool"))


def _stored(module: Module, node: ast.Assign) -> Choice | None:
    """`mask[rows, chosen] = 1` into zeros."""
    target = node.targets[0]
    if len(node.targets) != 1 or not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return None
    index = stored_index(target)
    if index is None or not is_one(module, node.value):
        return None
    made = _made_before(module, target.value.id, node)
    made_zeros = zero_like(module, made)
    found = _chosen(module, index, 0)
    if made_zeros is None or found is None or not from_router(module, found[0]):
        return None
    state = State(true_below=True, kind=_kind(module, made_zeros))
    return Choice(target, found[0], None, found[1], state, (target.value.id, node))


def _made_before(module: Module, name: str, statement: ast.stmt) -> ast.expr | None:
    """What a name is bound to where a statement changes it, be it in a loop."""
    stores = [s for s in module.flow(statement).stores(name) if isinstance(s, ast.Assign)]
    plain = [s for s in stores if isinstance(s.targets[0], ast.Name)]
    return plain[0].value if len(plain) == 1 else None


def _stored_by_mask(module: Module, node: ast.Compare) -> Choice | None:
    """`mask[p > threshold] = 1` into zeros, `mask[p < threshold] = 0` into ones."""
    target = module.parent(node)
    statement = module.parent(target) if isinstance(target, ast.Subscript) else None
    if not isinstance(target, ast.Subscript) or target.slice is not node or not isinstance(statement, ast.Assign):
        return None
    if not isinstance(target.value, ast.Name) or statement.targets != [target]:
        return None
    made = _made_before(module, target.value.id, statement)
    above, below = _sides_of(node)
    if made is None:
        return None
    if is_one(module, statement.value) and zero_like(module, made) is not None:
        scores, threshold = above, below
    elif constant(module, statement.value) in (0, 0.0, False) and ones_like(module, made):
        scores, threshold = below, above
    else:
        return None
    if not _is_threshold(module, scores, threshold):
        return None
    state = State(true_below=True, kind=_kind(module, made) if isinstance(made, ast.Call) else "float")
    return Choice(target, scores, threshold, False, state, (target.value.id, statement))


def _sides_of(node: ast.Compare) -> tuple[ast.expr, ast.expr]:
    """The greater side of a comparison and the lesser."""
    left, right = node.left, node.comparators[0]
    return (right, left) if isinstance(node.ops[0], (ast.Lt, ast.LtE)) else (left, right)


def _filled(module: Module, node: ast.Call) -> Choice | None:
    """`ones.masked_fill(p < threshold, 0)`."""
    op = tensor_op(module, node, "masked_fill")
    mask = op.args.get("mask") if op is not None else None
    if op is None or not isinstance(mask, ast.Compare) or len(mask.ops) != 1 or not ones_like(module, op.input):
        return None
    if constant(module, op.args.get("value")) not in (0, 0.0):
        return None
    threshold, scores = _sides_of(mask)
    if not isinstance(mask.ops[0], _ORDERED) or not _is_threshold(module, scores, threshold):
        return None
    return Choice(node, scores, threshold, False, State(true_below=True, kind="float"))


def _rounded(module: Module, node: ast.Call) -> Choice | None:
    """`sigmoid(logits).round()`."""
    is_method = isinstance(node.func, ast.Attribute) and not node.args and module.qualified(node.func) is None
    inside = node.func.value if is_method and isinstance(node.func, ast.Attribute) else None
    if module.qualified(node.func) == "torch.round" and len(node.args) == 1:
        inside = node.args[0]
    value = module.flow(inside).value(inside) if inside is not None else None
    if inside is None or value is None or tensor_op(module, value, "sigmoid") is None:
        return None
    if not from_router(module, inside):
        return None
    return Choice(node, inside, None, False, State(true_below=True, kind="float"))


def _one_hot(module: Module, node: ast.Call) -> Choice | None:
    if module.qualified(node.func) != "torch.nn.functional.one_hot" or not node.args:
        return None
    found = _chosen(module, node.args[0], 0)
    if found is None or not from_router(module, found[0]):
        return None
    scores, single, keeps = found
    mask: ast.expr = node
    if not single or keeps:  # the choices of one token lie in a dimension of their own: they are put together
        parent = module.parent(node)
        call = module.parent(parent) if isinstance(parent, ast.Attribute) else None
        op = tensor_op(module, call, "sum", "amax", "squeeze") if isinstance(call, ast.Call) else None
        if op is None or op.input is not node or constant(module, op.args.get("dim")) not in (-2, 1):
            return None
        mask = op.call
    return Choice(mask, scores, None, single, State(true_below=True, kind="int"))


def _scattered(module: Module, node: ast.Call) -> Choice | None:
    op = tensor_op(module, node, "scatter", "scatter_")
    if op is None or "index" not in op.args:
        return None
    value = op.args.get("src") or op.args.get("value")
    if not is_one(module, value):
        return None
    base = module.flow(op.input).value(op.input) if isinstance(op.input, ast.Name) else op.input
    zeros = zero_like(module, base)
    found = _chosen(module, op.args["index"], 0)
    if zeros is None or found is None or not from_router(module, found[0]):
        return None
    state = State(true_below=True, kind=_kind(module, zeros))
    statement = module.statement(node)
    if op.name == "scatter_" and isinstance(statement, ast.Expr) and statement.value is node:
        if not isinstance(op.input, ast.Name):
            return None
        return Choice(node, found[0], None, found[1], state, (op.input.id, statement))
    return Choice(node, found[0], None, found[1], state)


def _kind(module: Module, zeros: ast.Call) -> str:
    said = [module.qualified(k.value) or "" for k in zeros.keywords if k.arg == "dtype"]
    if said and said[0] == "torch.bool":
        return "bool"
    return "int" if said and said[0] in ("torch.long", "torch.int", "torch.int64", "torch.int32") else "float"


def _above(module: Module, node: ast.Compare) -> Choice | None:
    """`scores > threshold`, with the scores of a router's sigmoid or softmax."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], _ORDERED):
        return None
    left, right = node.left, node.comparators[0]
    scores, threshold = (left, right) if isinstance(node.ops[0], (ast.Gt, ast.GtE)) else (right, left)
    if not _is_threshold(module, scores, threshold):
        return None
    return Choice(node, scores, threshold, False, State(true_below=True, kind="bool"))


def _is_threshold(module: Module, scores: ast.expr, threshold: ast.expr) -> bool:
    """Whether one side is the scores of a router's sigmoid or softmax, and the other no value made of scores."""
    if not squashed(module, scores) or not from_router(module, scores):
        return False
    return not any(isinstance(n, ast.Call) for n in walk(threshold)) and not squashed(module, threshold)


def _chosen(module: Module, node: ast.expr, depth: int) -> tuple[ast.expr, bool, bool] | None:
    """What an index chooses from, whether it is a single one, and whether it keeps a dimension for its choices."""
    if depth > 8:
        return None
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        if definition is None:
            return None
        if definition.value is not None:
            return _chosen(module, definition.value, depth + 1)
        statement = definition.statement
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(statement, ast.Assign) or not isinstance(target, (ast.Tuple, ast.List)):
            return None
        second = target.elts[1] if len(target.elts) == 2 else None
        if not isinstance(second, ast.Name) or second.id != node.id:
            return None
        return _indices(module, statement.value)
    if isinstance(node, ast.Attribute) and node.attr == "indices":
        return _indices(module, node.value)
    if isinstance(node, ast.Subscript):
        if is_number(node.slice, 1):
            return _indices(module, node.value)
        first = first_of_sorted(module, node)
        return None if first is None else (first[0], constant(module, first[1]) == 1, True)
    if not isinstance(node, ast.Call):
        return None
    op = tensor_op(module, node, "argmax", *_SAME_INDEX)
    if op is None:
        return None
    if op.name == "argmax":
        dim = constant(module, op.args.get("dim"))
        keeps = constant(module, op.args.get("keepdim")) in (True, 1)
        return (op.input, True, keeps) if dim == -1 else None
    inner = _chosen(module, op.input, depth + 1)
    if inner is None:
        return None
    keeps = op.name == "unsqueeze" or (inner[2] and op.name not in ("squeeze", "view", "reshape"))
    return inner[0], inner[1], keeps


def _indices(module: Module, node: ast.expr) -> tuple[ast.expr, bool, bool] | None:
    found = selects(module, node)
    if found is not None and found.op is not None:
        dim = found.op.args.get("dim")
        if dim is not None and constant(module, dim) not in (-1, 1):
            return None
        return found.base, constant(module, found.count) == 1, True
    op = tensor_op(module, node, "max")
    if op is not None and constant(module, op.args.get("dim")) == -1:
        return op.input, True, constant(module, op.args.get("keepdim")) in (True, 1)
    return None


def from_router(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether scores come from a router's linear layer or are called its logits or probabilities."""
    if depth > 8:
        return False
    if is_logits(module, node):
        return True
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return value is not node and from_router(module, value, depth + 1)
    if isinstance(node, ast.Call):
        if is_router_call(module, node):
            return True
        inner = list(node.args[:1])
        if isinstance(node.func, ast.Attribute):
            inner.append(node.func.value)
        return any(from_router(module, i, depth + 1) for i in inner)
    if isinstance(node, ast.BinOp):
        return from_router(module, node.left, depth + 1)
    return False
