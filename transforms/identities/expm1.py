"""An exponential minus one.

The defect
----------
For small x, `exp(x)` is 1 plus a small number, and what the subtraction leaves is the rounding of that sum.

Why it hurts
------------
`exp(1e-8) - 1` is exactly 0 in float32, and at x = 1e-4 three of seven digits are left (float16: below x = 5e-4
nothing is). Probabilities of rare events, KL estimates, discount rates and the left branch of an ELU are such
quantities. Nothing becomes infinite, so this is information.

Before
------

    hazard = 1 - torch.exp(-rate * dt)

After
-----

    hazard = -torch.expm1(-rate * dt)

Try it
------

    import torch

    x = torch.tensor(1e-8)
    before = 1 - torch.exp(-x)
    after = -torch.expm1(-x)
    assert before == 0
    torch.testing.assert_close(after, x)

When the fix is safe
--------------------
It is the same function, computed without the cancellation; values and gradients agree up to the rounding of today's.
In half precision the gradient, which PyTorch computes as the result plus 1, rounds to 0 below x = -7 (bfloat16: -5):
that is stated.

Left alone
----------
An exponential that is read elsewhere as well; exponents proved to lie away from 0, chosen by a `where` from some size
on, or computed from a fixed grid; differences that are added to a number or a logarithm, which rounds such digits away
itself; other constants than 1; NumPy, `math`, `out=` and complex tensors.

Sources
-------
PyTorch documentation: `torch.expm1`. Goldberg: What every computer scientist should know about floating-point
arithmetic (1991).
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import constant, tensor_op
from autofix.pattern import Match
from autofix.ranges import interval
from autofix.syntax import Module
from autofix.transforms.identities._digits import is_absorbed
from autofix.transforms.identities._operands import in_full, is_fixed_grid
from autofix.transforms.identities._training import outside_models

_MESSAGE = "for exponents near 0 the subtraction leaves only rounding: exactly 0 below 6e-8 (5e-4 in float16)"
_CHANGE = "in half precision only, the gradient rounds to 0 where exp(x) lies below the spacing of 1"
# Tells the two apart: exp rounds to 1 there.
_X = Operand(hazard=(1e-9, 2e-9))


def _is_of_numbers(module: Module, match: Match) -> bool:
    """`torch.tensor([1 - eps])`: one number, chosen by the author."""
    value = module.flow(match.captures["x"]).value(match.captures["x"])
    if not isinstance(value, ast.Call) or module.qualified(value.func) not in ("torch.tensor", "torch.Tensor"):
        return False
    return bool(value.args) and isinstance(value.args[0], (ast.List, ast.Constant))


def _is_chosen_for_large(module: Module, match: Match) -> bool:
    """Whether a `where` takes the difference on one side of a number other than 0: small exponents have a form of
    their own."""
    inner: ast.AST = match.ops[0].call
    for ancestor in module.ancestors(inner):
        if isinstance(ancestor, ast.Call) and tensor_op(module, ancestor, "where") is not None:
            test = ancestor.args[0] if len(ancestor.args) == 3 else None
            bound = constant(module, test.comparators[0]) if isinstance(test, ast.Compare) else None
            return test is not inner and bound is not None and bound != 0
        if isinstance(ancestor, ast.stmt):
            return False
        inner = ancestor
    return False


def _is_large(module: Module, match: Match) -> bool:
    values = interval(module, match.captures["x"])
    return values.low > 0.5 or values.high < -0.5


IDENTITY = Identity(
    name="expm1",
    summary="exp(x) - 1 becomes expm1(x)",
    severity=Severity.INFO,
    triggers=((b"exp(",), (b"- 1", b"-1", b"-  1", b"1 -", b"1-", b"1. -", b"1.0 -", b"+ 1", b"1 +")),
    anchor=re.compile(r"exp\((?<!math\.exp\()(?<!np\.exp\()(?<!numpy\.exp\()(?<!tl\.exp\()(?!.*\barange\b)"),
    title="write {new}, which keeps its digits near 0",
    local="exponent",
    forms=(
        Form(
            ("exp($x) - 1", "exp($x) + -1"),
            "torch.expm1({x})",
            _MESSAGE,
            method="{x}.expm1()",
            change=_CHANGE,
            hazard=("underflow",),
            tidy=True,
            operands={"x": _X},
        ),
        Form(
            ("1 - exp($x)", "-exp($x) + 1"),
            "-torch.expm1({x})",
            _MESSAGE,
            method="-{x}.expm1()",
            change=_CHANGE,
            hazard=("underflow",),
            tidy=True,
            operands={"x": _X},
        ),
        Form(
            ("exp($x) - $x - 1",),
            "torch.expm1({x}) - {x}",
            _MESSAGE,
            method="{x}.expm1() - {x}",
            change=_CHANGE,
            hazard=("underflow",),
            tidy=True,
        ),
    ),
    silent=(_is_large, is_absorbed, is_fixed_grid, _is_of_numbers, _is_chosen_for_large, outside_models),
    in_full=in_full,
    near_misses=(
        "torch.exp(x) - 2",
        "torch.exp(x) + 1",
        "torch.exp(x) - y",
        "2 - torch.exp(x)",
        "torch.exp(x) - 1e-8",
        "torch.exp2(x) - 1",
        "torch.exp(x.abs() + 1) - 1",
        "torch.exp(x, out=y) - 1",
        "torch.expm1(x)",
        "math.exp(0.5) - 1 + x",
        "np.exp(x) - 1",
        "torch.exp(1j * x) - 1",
    ),
)
RULE = IDENTITY.rule
