"""Square roots however they are spelled, and whether a gradient flows through what they are taken of."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import constant, tensor_op
from autofix.syntax import Module

_NO_GRADIENT = re.compile(
    r"running_|moving_|ema_|exp_avg|second_moment|sq_avg|alphas?_|betas?_|^alphas?$|^betas?$|sigmas?$"
)
_CUT = ("detach", "item", "long", "int", "bool", "floor", "ceil", "round", "sign", "argmax", "argmin", "numel")


@dataclass(frozen=True, slots=True)
class Root:
    """A square root of a tensor. template: the same spelling around another argument `{x}`. inverse: `rsqrt`."""

    node: ast.expr
    argument: ast.expr
    template: str
    inverse: bool = False


def root_of(module: Module, node: ast.AST) -> Root | None:
    """The square root that `node` is: `sqrt`, `rsqrt`, `** 0.5`, `** -0.5` and `pow(x, 0.5)`, of a tensor."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = constant(module, node.right)
        if power not in (0.5, -0.5) or not looks_like_tensor(module, node.left):
            return None
        return Root(node, node.left, f"{{x}} ** {power}", power < 0)
    op = tensor_op(module, node, "sqrt", "rsqrt", "pow")
    if op is None or op.extra or not isinstance(node, ast.expr):
        return None
    if op.name == "pow":
        power = constant(module, op.args.get("exponent"))
        if power not in (0.5, -0.5):
            return None
        spelled = f"{{x}}.pow({power})" if op.form == "method" else f"{module.source(op.call.func)}({{x}}, {power})"
        return Root(node, op.input, spelled, power < 0)
    spelled = f"{{x}}.{op.name}()" if op.form == "method" else f"{module.source(op.call.func)}({{x}})"
    return Root(node, op.input, spelled, op.name == "rsqrt")


def looks_like_tensor(module: Module, node: ast.expr) -> bool:
    """Whether some tensor operation is in `node`, or in the values of its names: `**` works on numbers too."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and tensor_op(module, part) is not None:
            return True
        if isinstance(part, ast.Name) and part is not node:
            value = module.flow(part).value(part)
            if value is not part and isinstance(value, ast.Call) and tensor_op(module, value) is not None:
                return True
    value = module.flow(node).value(node)
    return value is not node and looks_like_tensor(module, value)


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
            return [node]
        if op.name in _CUT:
            return []
        inputs = [op.input, *(v for k, v in op.args.items() if k in ("other", "mat2", "src"))]
        return [leaf for i in inputs for leaf in _leaves(module, i, depth + 1)]
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
        return not re.search(r"^(numpy|math)\.|^(len|int|float)$|(^|\.)(arange|linspace|size|tensor|rand\w*)$", dotted)
    return True
