"""Calls that clip gradients: torch's own, and the methods of the frameworks that wrap it."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

from autofix.model import Scalar
from autofix.syntax import Module

_TORCH = "torch.nn.utils."
_FUNCTIONS = ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_")
_NO_BOUND = 1e6  # a bound that nothing reaches measures the norm and clips nothing


@dataclass(frozen=True, slots=True)
class Clip:
    """call: the call; parameters: what it clips; bound: its limit as an expression; by_value: a limit on each element.

    statement: what has to move with it: the call's own statement, or the `if` that holds nothing else.
    """

    call: ast.Call
    parameters: ast.expr
    bound: ast.expr
    by_value: bool
    statement: ast.stmt


def clip_call(module: Module, node: ast.AST) -> Clip | None:
    """The clip that `node` is, when it is certainly torch's, and its bound is none that only measures the norm."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    if not is_clip_function(module, node.func):
        return None
    by_value = "value" in (module.qualified(node.func) or "")
    named = ("clip_value",) if by_value else ("max_norm",)
    bound = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg in named), None)
    if bound is None or _is_huge(bound):
        return None
    return Clip(node, node.args[0], bound, by_value, unit_of(module, node))


def is_clip_function(module: Module, function: ast.expr) -> bool:
    dotted = module.qualified(function) or ""
    return dotted.startswith(_TORCH) and dotted.rpartition(".")[2] in _FUNCTIONS


def _is_huge(bound: ast.expr) -> bool:
    if isinstance(bound, ast.Constant):
        return isinstance(bound.value, (int, float)) and not 0 < bound.value < _NO_BOUND
    return any(word in ast.unparse(bound).lower() for word in ("inf", "huge"))


def unit_of(module: Module, call: ast.Call) -> ast.stmt:
    """The call's statement, or the outermost `if` around it that does nothing else but check."""
    statement = module.statement(call)
    while True:
        parent = module.parent(statement)
        if not isinstance(parent, ast.If) or parent.orelse:
            return statement
        if any(s is not statement and not isinstance(s, ast.Assert) for s in parent.body):
            return statement
        statement = parent


def claimed_bound(clip: Clip) -> dict[str, Scalar]:
    """The claim's figure: the bound where it is written out, 1.0 where the code reads it from somewhere."""
    value = clip.bound.value if isinstance(clip.bound, ast.Constant) else 1.0
    known = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
    return {"clip_value" if clip.by_value else "max_norm": float(value) if known else 1.0}  # type: ignore[arg-type]
