"""Whether a gradient flows through an expression, as far as names and uses tell."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.syntax import Module

_NO_GRADIENT = re.compile(
    r"^(n|h|w|t|size|num\w*|height|width|length|steps?)$|running_|(^|_)grid|mesh|sigma_data|moving_|ema_|exp_avg|second_moment|sq_avg|alphas?_|betas?_|^alphas?$|^betas?$|sigmas?$"
)
_ASIDE_PATH = re.compile(
    r"(^|/)(metrics?|pipelines?|modular_pipelines|schedulers?|datasets?|preprocessing|testing|optim|optimizers?|quantizers?|"
    r"inference|augment(ation)?s?)/"
    r"|(^|/)(processing|image_processing|feature_extraction|tokenization|generation|scheduling)_\w+\.py$"
)
_ASIDE_CLASS = re.compile(r"(FeatureExtractor|Processor|Scheduler|Pipeline|Metric|Dataset|Tokenizer)$")
_CUT = ("detach", "item", "long", "int", "bool", "floor", "ceil", "round", "sign", "argmax", "argmin", "numel")
_SELECTING = (
    "argmin",
    "argmax",
    "topk",
    "sort",
    "argsort",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "isnan",
    "isinf",
    "isfinite",
)


def carries_gradient(module: Module, node: ast.expr) -> bool:
    """Whether a gradient may flow through `node`: not when its every tensor is detached, a running statistic, a noise
    schedule, an index or a number."""
    return any(_may_carry(module, leaf) for leaf in _leaves(module, node, 0))


def _leaves(module: Module, node: ast.expr, depth: int) -> list[ast.expr]:
    """What `node` is computed from, through single definitions."""
    if depth > 12:
        return [node]
    if isinstance(node, ast.Call):
        op = tensor_op(module, node)
        if op is None:
            method = isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else node
            own = isinstance(receiver, ast.Name) and receiver.id in ("self", "cls")
            return _leaves(module, receiver, depth + 1) if method and not own else [node]
        if op.name in _CUT:
            return []
        inputs = [op.input, *(v for k, v in op.args.items() if k in ("other", "mat2", "src"))]
        return [leaf for i in inputs for leaf in _leaves(module, i, depth + 1)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        return []
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        parts = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        return [leaf for part in parts for leaf in _leaves(module, part, depth + 1)]
    if isinstance(node, ast.Subscript):
        return _leaves(module, node.value, depth + 1)
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if value is not node and not isinstance(value, ast.Name):
            return _leaves(module, value, depth + 1) or []
    return [node]


def _may_carry(module: Module, leaf: ast.expr) -> bool:
    if isinstance(leaf, ast.Constant) or constant(module, leaf) is not None:
        return False
    name = leaf.attr if isinstance(leaf, ast.Attribute) else getattr(leaf, "id", "")
    if _NO_GRADIENT.search(name):
        return False
    if isinstance(leaf, ast.Call):
        dotted = module.qualified(leaf.func) or getattr(leaf.func, "attr", "") or str(getattr(leaf.func, "id", ""))
        return not re.search(
            r"^(numpy|math)\.|^(len|int|float)$|(^|[._])(meshgrid|arange|linspace|size|tensor|rand\w*)$", dotted
        )
    return True


def out_of_model(module: Module, node: ast.AST) -> bool:
    """Whether the code prepares data, samples, measures or rounds the result: no gradient flows through it."""
    if _ASIDE_PATH.search(module.path.replace("\\", "/")):
        return True
    if any((op := tensor_op(module, a)) is not None and op.name in _CUT for a in module.ancestors(node)):
        return True
    cls = module.class_of(node)
    return cls is not None and _ASIDE_CLASS.search(cls.name) is not None


def only_compared(module: Module, node: ast.AST) -> bool:
    """Whether all that becomes of `node` is a comparison or an index: no gradient returns from there."""
    parent = module.parent(node)
    if isinstance(parent, ast.Compare):
        return True
    if isinstance(parent, ast.Attribute):
        called = module.parent(parent)
        return isinstance(called, ast.Call) and called.func is parent and parent.attr in _SELECTING
    if isinstance(parent, ast.Call) and tensor_op(module, parent, *_SELECTING) is not None:
        return True
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
        flow = module.flow(parent)
        reads = [r for r in flow.loads.get(parent.targets[0].id, []) if module.chars(r)[0] > module.chars(node)[1]]
        return bool(reads) and all(only_compared(module, r) for r in reads)
    return False
