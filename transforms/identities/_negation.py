"""Writing `-x` without a double minus."""

from __future__ import annotations

import ast

from autofix.pattern import Match
from autofix.substitute import Derived
from autofix.syntax import Module


def negated(module: Module, match: Match) -> Derived | None:
    """`-x` for a captured `x` that begins with a minus, or is a difference, and stands where the match stands."""
    if match.reads:
        return None
    captures: dict[str, ast.expr] = {}
    template = _without_minus(match.captures["x"], captures)
    return None if template is None else Derived(template, captures)


def _without_minus(node: ast.expr, captures: dict[str, ast.expr]) -> str | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _captured(node.operand, captures)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        left = _without_minus(node.left, captures)
        if left is None and isinstance(node.op, ast.Mult) and _is_difference(node.right):
            return f"{_captured(node.left, captures)} * ({_without_minus(node.right, captures)})"
        if left is None:
            return None
        factor = f"({left})" if _is_difference(node.left) else left
        return f"{factor} {'*' if isinstance(node.op, ast.Mult) else '/'} {_captured(node.right, captures)}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return f"{_captured(node.right, captures)} - {_captured(node.left, captures)}"
    return None


def _is_difference(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)


def _captured(node: ast.expr, captures: dict[str, ast.expr]) -> str:
    name = f"n{len(captures)}"
    captures[name] = node
    return f"{{{name}}}"
