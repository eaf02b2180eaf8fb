"""Whether gradients flow where an expression stands."""

from __future__ import annotations

import ast

from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.ranges._context import out_of_training


def without_gradient(module: Module, match: Match) -> bool:
    """Whether the matched expression is computed for its value alone: tests, evaluation, logging, initialisation."""
    return out_of_training(module, match.ops[0].call) if match.ops else False


def with_gradient(module: Module, match: Match) -> bool:
    return not without_gradient(module, match)


def is_no_tensor(module: Module, node: ast.expr) -> bool:
    """Whether `node` is plainly a Python number."""
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
