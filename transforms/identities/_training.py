"""Whether gradients flow where an expression stands."""

from __future__ import annotations

import ast

from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._gradients import only_compared, out_of_model


def without_gradient(module: Module, match: Match) -> bool:
    """Whether the matched expression is computed for its value alone: tests, evaluation, logging, initialisation,
    sampling, the preparation of data, or a comparison."""
    if not match.ops:
        return False
    call = match.ops[0].call
    return out_of_training(module, call) or out_of_model(module, call) or only_compared(module, call)


def outside_models(module: Module, match: Match) -> bool:
    """Whether the code samples, prepares data or measures, where the last digits matter little."""
    return bool(match.ops) and out_of_model(module, match.ops[0].call)


def with_gradient(module: Module, match: Match) -> bool:
    return not without_gradient(module, match)


def is_no_tensor(module: Module, node: ast.expr) -> bool:
    """Whether `node` is plainly a Python number."""
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
