"""A softplus written by hand.

The defect
----------
`log(1 + exp(x))` forms an exponential that overflows, though the result is close to x there.

Why it hurts
------------
Above x = 88.7 (float16: 11.09) `exp(x)` is inf, the logarithm of it inf, and the gradient inf / inf = NaN: a logistic
loss or a positive scale fails exactly on the examples that the model gets most wrong. `log1p(exp(x))` fails at the
same place.

Before
------

    loss = torch.log(1 + torch.exp(-margin)).mean()

After
-----

    loss = F.softplus(-margin).mean()

Try it
------

    import torch
    import torch.nn.functional as F

    margin = torch.tensor([-100.0], requires_grad=True)
    old = torch.log(1 + torch.exp(-margin)).mean()
    new = F.softplus(-margin).mean()
    (before,) = torch.autograd.grad(old, margin)
    (after,) = torch.autograd.grad(new, margin)
    assert old.isinf() and before.isnan()
    assert new == 100 and after == -1

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. Above 20 `softplus` returns x itself,
which differs by less than 2.1e-9. An exponential that is read elsewhere as well stays.

Left alone
----------
Exponents proved to stay below the overflow, such as `log(1 + exp(-abs(x)))`, the second half of a softplus that is
already split by hand, or a difference from a maximum; the parameter of a lambda; a function that this file calls with
clamped tensors only; other constants than 1; sums of exponentials (`manual-logsumexp`); NumPy, `math`, `out=` and
complex tensors.

Sources
-------
PyTorch documentation: `torch.nn.functional.softplus`. Mächler: Accurately computing log(1 - exp(-|a|)) (2012).
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import tensor_op
from autofix.pattern import Match
from autofix.ranges import interval
from autofix.syntax import Module
from autofix.transforms.identities._operands import in_full, is_fixed_grid, is_shifted
from autofix.transforms.identities._training import given_clamped
from autofix.tree import parameter_names


def _is_silent(module: Module, match: Match) -> bool:
    if is_shifted(module, match) or is_fixed_grid(module, match) or _is_never_positive(module, match.captures["x"]):
        return True
    return interval(module, match.captures["x"]).high <= 80


def _is_chosen(module: Module, match: Match) -> bool:
    """Whether a `where` around the softplus picks something else for large exponents: its value is right."""
    for ancestor in module.ancestors(match.captures["x"]):
        if isinstance(ancestor, ast.stmt):
            return False
        if tensor_op(module, ancestor, "where") is not None:
            return True
    return False


def _is_of_a_safe_input(module: Module, match: Match) -> bool:
    """Whether the exponent is the parameter of a lambda: what it is called with is not known."""
    x = match.captures["x"]
    inner = next((a for a in module.ancestors(x) if isinstance(a, (ast.Lambda, ast.stmt))), None)
    return isinstance(inner, ast.Lambda) and isinstance(x, ast.Name) and x.id in parameter_names(inner)


def _is_never_positive(module: Module, x: ast.expr) -> bool:
    """Whether `x` is a minimum less a maximum, logaddexp by hand, or a quotient that is never positive."""
    if isinstance(x, ast.BinOp) and isinstance(x.op, ast.Div):
        return interval(module, x.left).non_positive and interval(module, x.right).low >= 0
    if not isinstance(x, ast.BinOp) or not isinstance(x.op, ast.Sub):
        return False
    low, high = (module.flow(part).value(part) for part in (x.left, x.right))
    return (
        tensor_op(module, low, "min", "minimum", "amin") is not None
        and tensor_op(module, high, "max", "maximum", "amax") is not None
    )


IDENTITY = Identity(
    name="manual-softplus",
    summary="log(1 + exp(x)) becomes softplus(x)",
    severity=Severity.ERROR,
    triggers=((b"exp(",), (b"log(", b"log1p(")),
    anchor=re.compile(r"log(?:1p)?\((?<!math\.log\()(?<!np\.log\()(?<!np\.log1p\()"),
    at_anchor=True,
    beside=re.compile(r"exp\("),
    title="write {new}, which never forms the exponential",
    local="exponent",
    forms=(
        Form(
            ("log(1 + exp($x))", "log1p(exp($x))"),
            "torch.nn.functional.softplus({x})",
            "where picks the right value, but the gradient is 0 * inf = NaN once the exponent passes 88.7 "
            "(11.09 in float16): both sides are computed and differentiated",
            hazard=("gradient",),
            when=(_is_chosen,),
        ),
        Form(
            ("log(1 + exp($x))", "log1p(exp($x))"),
            "torch.nn.functional.softplus({x})",
            "the result is inf with a NaN gradient once the exponent passes 88.7 (11.09 in float16)",
            operands={"x": Operand()},
        ),
    ),
    silent=(_is_silent, _is_of_a_safe_input, given_clamped),
    in_full=in_full,
    near_misses=(
        "torch.log(2 + torch.exp(x))",
        "torch.log(1 - torch.exp(x))",
        "torch.log(torch.exp(x) - 1)",
        "torch.log(1 + torch.exp(-x.abs()))",
        "torch.log1p(torch.exp(torch.tanh(x)))",
        "torch.log(1 + torch.exp(x).sum(dim=-1))",
        "torch.log2(1 + torch.exp(x))",
        "torch.log(1 + torch.exp(x) + torch.exp(y))",
        "torch.log(1 + torch.exp(x), out=y)",
        "F.softplus(x)",
        "np.log(1 + np.exp(x))",
        "torch.log(1 + torch.exp(1j * x))",
    ),
)
RULE = IDENTITY.rule
