"""Gradients that a loop accumulates by hand: a backward pass in every turn, a step in every so many."""

from __future__ import annotations

import ast
import re

from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, own_nodes
from autofix.transforms.loops._loops import backward_call, optimizer_step

_STEPS = re.compile(r"^(optim\w*_step|step_optim\w*)$")


def step_of_accumulation(module: Module, unit: ast.stmt) -> ast.stmt | None:
    """The statement that steps, every so many turns, on gradients that `unit` in the same block handles each turn.

    None unless the block runs a backward pass before `unit`, the step stands directly in an `if` behind it whose test
    counts (`(i + 1) % n == 0`), and the gradients are emptied there and nowhere else.
    """
    block = module.block(unit)
    at = block.index(unit)
    if not any(_runs_backward(module, n) for s in block[:at] for n in own_nodes(s)):
        return None
    for index, guard in enumerate(block[at + 1 :], at + 1):
        steps = [s for s in [guard] if any(_step(module, n) for n in own_nodes(s))]
        if not steps:
            if any(_runs_backward(module, n) for n in own_nodes(guard)):
                return None
            continue
        if not isinstance(guard, ast.If) or guard.orelse or not _counts(module, guard.test):
            return None
        rest = [s for i, s in enumerate(block) if i != index]
        if not any(_empties(n) for n in own_nodes(guard)) or any(_empties(n) for s in rest for n in own_nodes(s)):
            return None
        found = [s for s in guard.body if any(_step(module, n) for n in own_nodes(s))]
        return found[0] if len(found) == 1 and isinstance(found[0], (ast.Expr, ast.Assign)) else None
    return None


def _runs_backward(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return backward_call(module, node) is not None or "backward" in last_name(node.func)


def _step(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return optimizer_step(module, node) is not None or bool(_STEPS.match(last_name(node.func)))


def _empties(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("zero_grad", "grad")


def _counts(module: Module, test: ast.expr) -> bool:
    """Whether a condition is true every so many turns."""
    parts = [test, *(module.flow(n).value(n) for n in own_nodes(test) if isinstance(n, ast.Name))]
    return any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mod) for p in parts for n in own_nodes(p))
