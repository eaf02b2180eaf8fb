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
from autofix.tree import walk

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
        return _above(module, node)
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "one_hot":
        return _one_hot(module, node)
    if name in ("scatter", "scatter_"):
        return _scattered(module, node)
    return None


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
    if value is None or constant(module, value) not in (1, 1.0, True):
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
    if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Gt, ast.GtE, ast.Lt, ast.LtE)):
        return None
    left, right = node.left, node.comparators[0]
    scores, threshold = (left, right) if isinstance(node.ops[0], (ast.Gt, ast.GtE)) else (right, left)
    if not squashed(module, scores) or not from_router(module, scores):
        return None
    if any(isinstance(n, ast.Call) for n in walk(threshold)) or squashed(module, threshold):
        return None
    return Choice(node, scores, threshold, False, State(true_below=True, kind="bool"))


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
    if isinstance(node, ast.Subscript) and is_number(node.slice, 1):
        return _indices(module, node.value)
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
