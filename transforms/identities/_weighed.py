"""Logarithms that are multiplied by their own probability, as in an entropy."""

from __future__ import annotations

import ast

from autofix.ops import constant
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.tree import walk


def weighs_itself(module: Module, match: Match) -> bool:
    """Whether the logarithm of a protected probability is multiplied by that probability, at once or by its name, as
    in an entropy: the product goes to 0 with the probability, and so does its gradient, whatever the eps."""
    if "eps" not in match.captures:
        return False
    log = match.ops[0].call
    names = {n.id for n in walk(log) if isinstance(n, ast.Name)}
    reads: list[ast.expr] = [log]
    parent = module.parent(log)
    if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
        found = module.flow(log).loads.get(parent.targets[0].id, [])
        reads = [r for r in found if module.chars(r) > module.chars(log)]
    return bool(reads) and all(_is_times(module, r, names) for r in reads)


def _is_times(module: Module, node: ast.expr, names: set[str]) -> bool:
    parent = module.parent(node)
    if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, ast.Mult):
        return False
    other = parent.left if parent.right is node else parent.right
    other = other.operand if isinstance(other, ast.UnaryOp) else other
    if isinstance(other, ast.BinOp) and isinstance(other.op, ast.Sub) and constant(module, other.left) == 1:
        other = other.right
    return isinstance(other, ast.Name) and other.id in names
