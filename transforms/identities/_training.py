"""Whether gradients flow where an expression stands."""

from __future__ import annotations

import ast

from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared, out_of_model
from autofix.transforms.ranges._upstream import is_drawn


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


def is_a_draw(module: Module, match: Match) -> bool:
    """Whether what the matched expression is computed from is a random draw, which is never exactly zero."""
    return "x" in match.captures and is_drawn(module, match.captures["x"])


def given_clamped(module: Module, match: Match) -> bool:
    """Whether the function around the expression is given clamped tensors wherever its file calls it: what is said
    lies outside the range that its author gives it."""
    function = module.function(match.ops[0].call) if match.ops else None
    if not isinstance(function, ast.FunctionDef):
        return False
    calls = module.calls(function.name)
    return bool(calls) and all(any(_is_clamped(module, a) for a in c.args) for c in calls)


def _is_clamped(module: Module, node: ast.expr) -> bool:
    """Whether a value is a tensor bounded on both sides by hand."""
    value = module.flow(node).value(node)
    if not isinstance(value, ast.Call) or getattr(value.func, "attr", "") not in ("clamp", "clip"):
        return False
    return len(value.args) + len(value.keywords) >= 2


def has_a_floor_of_its_own(module: Module, match: Match) -> bool:
    """Whether the eps is a setting of the class, which says how far a loss may rise."""
    return isinstance(match.captures.get("eps"), ast.Attribute)
