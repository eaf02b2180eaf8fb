"""Values that a class makes for a parameter and drops: `torch.full(self.gain.size(), 0.5)` as a statement."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.initialisation._parameters import Made, is_self
from autofix.tree import walk


@dataclass(frozen=True, slots=True)
class Dropped:
    """The statement, the parameter in it, and the number that every element was meant to have."""

    statement: ast.Expr
    parameter: ast.Attribute
    value: ast.expr


def values_dropped(module: Module, made: Made) -> Dropped | None:
    """The statement of the class that makes a tensor of the parameter's size and keeps it nowhere."""
    for node in walk(made.cls):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        call = node.value
        if module.qualified(call.func) not in ("torch.full", "torch.full_like") or len(call.args) != 2 or call.keywords:
            continue
        parameter = _sized(call.args[0])
        if parameter is not None and parameter.attr == made.name:
            return Dropped(node, parameter, call.args[1])
    return None


def _sized(node: ast.expr) -> ast.Attribute | None:
    """`self.gain` in `self.gain`, `self.gain.size()` and `self.gain.shape`."""
    if (
        isinstance(node, ast.Call)
        and not node.args
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "size"
    ):
        node = node.func.value
    elif isinstance(node, ast.Attribute) and node.attr == "shape":
        node = node.value
    return node if isinstance(node, ast.Attribute) and is_self(node.value) else None
