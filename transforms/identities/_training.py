"""Whether gradients flow where an expression stands."""

from __future__ import annotations

import ast

from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared, out_of_model


def without_gradient(module: Module, match: Match) -> bool:
    """Whether the matched expression is computed for its value alone: tests, evaluation, logging, initialisation,
    sampling, the preparation of data, or a comparison."""
    if not match.ops:
        return False
    call = match.ops[0].call
    return learns_nothing(module, call) or only_compared(module, call)


def where_nothing_learns(module: Module, match: Match) -> bool:
    """Whether the matched expression stands in tests, evaluation, sampling or the like, whatever becomes of it."""
    return bool(match.ops) and learns_nothing(module, match.ops[0].call)


def from_data_alone(module: Module, match: Match) -> bool:
    """Whether what the matched expression is computed from carries no gradient."""
    return "x" in match.captures and not carries_gradient(module, match.captures["x"])


def ends_in_a_comparison(module: Module, match: Match) -> bool:
    """Whether all that becomes of the matched expression is a comparison, an index or a number."""
    return bool(match.ops) and only_compared(module, match.ops[0].call)


def outside_models(module: Module, match: Match) -> bool:
    """Whether the code samples, prepares data or measures, where the last digits matter little."""
    return bool(match.ops) and out_of_model(module, match.ops[0].call)


def with_gradient(module: Module, match: Match) -> bool:
    return not without_gradient(module, match)


def is_no_tensor(module: Module, node: ast.expr) -> bool:
    """Whether `node` is plainly a Python number."""
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
