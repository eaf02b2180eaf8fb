"""What is known of a mask on its way from the comparison to its uses."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix.transforms.routing._cut_off import Step


@dataclass(frozen=True, slots=True)
class Held:
    """A variable that holds the mask. binding: the statement that binds it. arrived: what happened to the mask
    between the variable before it (or the comparison) and this one."""

    name: str
    binding: ast.stmt
    state: State
    arrived: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What is known of the mask at one point of its way.

    true_below: whether true (or one) means "below the threshold". kind: "bool", "int", "float" (of the tensor's own
    or an explicit width: exact), "cast" (a float of some other tensor's width). shifted: moved one place towards the
    end of the sorted order.
    """

    true_below: bool
    kind: str = "bool"
    shifted: bool = False
    sliced: bool = False
    shaped: bool = False
    scaled: bool = False
    steps: tuple[Step, ...] = ()
    after: tuple[str, ...] = ()  # what happened since the last variable


@dataclass(frozen=True, slots=True)
class Use:
    """kind: "multiply" (with the other factors), "operand" (einsum, matmul), "zero" (fills zeros elsewhere), "minus-
    infinity", "index", "count", "returned", "passed", "stored", "other". path: the variables on the way, the first
    one first, each with the read that leads on. node: the expression used. mask: the outermost expression that is
    still the mask itself."""

    kind: str
    node: ast.AST
    mask: ast.expr
    state: State
    path: tuple[tuple[Held, ast.Name], ...]
    factors: tuple[ast.expr, ...] = ()
