"""A sigmoid written by hand.

The defect
----------
`1 / (1 + exp(-x))` forms an exponential that may be any size, though the result lies between 0 and 1.

Why it hurts
------------
Below x = -88.7 (float16: -11.09) `exp(-x)` is inf. The value is still right, 1 / inf = 0, which is why nobody
notices; the gradient is 0 times inf, NaN, and after one optimizer step every parameter is. Written as `exp(x) / (1 +
exp(x))` it is the other side that fails, and the value itself becomes inf / inf = NaN.

Before
------

    gate = 1 / (1 + torch.exp(-scores))
    return gate * values

After
-----

    gate = torch.sigmoid(scores)
    return gate * values

Try it
------

    import torch

    scores = torch.tensor([-100.0], requires_grad=True)
    old = 1 / (1 + torch.exp(-scores))
    new = torch.sigmoid(scores)
    (before,) = torch.autograd.grad(old, scores)
    (after,) = torch.autograd.grad(new, scores)
    assert old == 0 and before.isnan()
    assert new < 1e-40 and after.isfinite()

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. A numerator other than 1 becomes a
factor. An exponential that is read elsewhere as well stays.

Left alone
----------
Exponents proved to stay small, and positions of a fixed grid; code without gradients, where the value is right
anyway; denominators with another constant than 1; NumPy, `math`, `out=` and complex tensors.

Sources
-------
PyTorch documentation: `torch.sigmoid`.
"""

from __future__ import annotations

import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import constant, tensor_op
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.identities._negation import negated
from autofix.transforms.identities._operands import in_full, is_bounded, is_fixed_grid
from autofix.transforms.identities._training import with_gradient, without_gradient

_FALLING = (
    "the value is right but its gradient is NaN once the exponential overflows: the exponent passes 88.7 "
    "(11.09 in float16) and 0 times inf follows"
)
_RATIO = "the ratio is inf / inf, NaN, once the exponent passes 88.7 (11.09 in float16)"
_X = Operand()


def _is_silent(module: Module, match: Match) -> bool:
    return is_bounded(module, match) or is_fixed_grid(module, match)


def _is_scaled(module: Module, match: Match) -> bool:
    """Whether the numerator is a factor: neither the number 1 nor another exponential."""
    a = match.captures["a"]
    is_factor = constant(module, a) != 1 and tensor_op(module, a, "exp") is None
    return is_factor and with_gradient(module, match)


IDENTITY = Identity(
    name="manual-sigmoid",
    summary="1 / (1 + exp(-x)) becomes sigmoid(x)",
    severity=Severity.ERROR,
    triggers=((b"exp(",), (b"1 +", b"1. +", b"1.0 +", b"1+", b"1.+", b"1.0+", b"+ 1", b"+1")),
    anchor=re.compile(r"exp\((?<!math\.exp\()(?<!np\.exp\()(?<!numpy\.exp\()(?<!tl\.exp\()(?!.*\barange\b)"),
    title="write {new}, whose gradient is finite at any size",
    local="scores",
    forms=(
        Form(
            ("exp($x) / (1 + exp($x))",),
            "torch.sigmoid({x})",
            _RATIO,
            method="{x}.sigmoid()",
            severity=Severity.INFO,
            when=(without_gradient,),
        ),
        Form(
            ("exp($x) / (1 + exp($x))",),
            "torch.sigmoid({x})",
            _RATIO,
            method="{x}.sigmoid()",
            operands={"x": _X},
        ),
        Form(
            ("1 / (1 + exp(-$x))", "reciprocal(1 + exp(-$x))", "(1 + exp(-$x)) ** -1"),
            "torch.sigmoid({x})",
            _FALLING,
            method="{x}.sigmoid()",
            hazard=("gradient",),
            when=(with_gradient,),
            operands={"x": _X},
        ),
        Form(
            ("1 / (1 + exp($x))", "reciprocal(1 + exp($x))", "(1 + exp($x)) ** -1"),
            "torch.sigmoid({n})",
            _FALLING,
            hazard=("gradient",),
            when=(with_gradient,),
            derive={"n": negated},
        ),
        Form(
            ("1 / (1 + exp($x))", "reciprocal(1 + exp($x))", "(1 + exp($x)) ** -1"),
            "torch.sigmoid(-{x})",
            _FALLING,
            hazard=("gradient",),
            when=(with_gradient,),
            operands={"x": _X},
        ),
        Form(
            ("$a / (1 + exp(-$x))",),
            "{a} * torch.sigmoid({x})",
            _FALLING,
            hazard=("gradient",),
            tidy=True,
            when=(_is_scaled,),
            operands={"x": _X, "a": Operand(code="2.5")},
        ),
        Form(
            ("$a / (1 + exp($x))",),
            "{a} * torch.sigmoid({n})",
            _FALLING,
            hazard=("gradient",),
            tidy=True,
            when=(_is_scaled,),
            derive={"n": negated},
        ),
        Form(
            ("$a / (1 + exp($x))",),
            "{a} * torch.sigmoid(-{x})",
            _FALLING,
            hazard=("gradient",),
            tidy=True,
            when=(_is_scaled,),
            operands={"x": _X, "a": Operand(code="2.5")},
        ),
    ),
    silent=(_is_silent,),
    in_full=in_full,
    near_misses=(
        "1 / (2 + torch.exp(-x))",
        "1 / (1 - torch.exp(-x))",
        "1 / (1 + torch.exp(-torch.tanh(x)))",
        "torch.exp(y) / (torch.exp(x) + torch.exp(y))",
        "1 + torch.exp(-x)",
        "(1 + torch.exp(-x)) ** -2",
        "(1 + torch.exp(-x)) / 2",
        "torch.sigmoid(x)",
        "1 / (1 + np.exp(-x))",
        "1 / (1 + math.exp(-3.0)) * x",
        "1 / (1 + torch.exp(-x, out=y))",
        "1 / (1 + torch.exp(-1j * x))",
    ),
)
RULE = IDENTITY.rule
