"""The logarithm of one plus something.

The defect
----------
For small x, `1 + x` rounds x away before the logarithm is taken.

Why it hurts
------------
`log(1 + 1e-8)` is exactly 0 in float32, and at x = 1e-4 three of seven digits are left (float16: below x = 5e-4
nothing is). Log-determinants of maps near the identity, survival probabilities and signed logarithms are such
quantities. Nothing becomes infinite, so this is information.

Before
------

    log_det = torch.log(1 + torch.sum(w * psi, dim=-1))

After
-----

    log_det = torch.log1p(torch.sum(w * psi, dim=-1))

Try it
------

    import torch

    x = torch.tensor(1e-8)
    before = torch.log(1 + x)
    after = torch.log1p(x)
    assert before == 0
    torch.testing.assert_close(after, x)

When the fix is safe
--------------------
It is the same function, computed without the rounding in between; values and gradients agree up to that of today's.

Left alone
----------
Sigmoids, exponentials and hyperbolic tangents, which have logarithms of their own (`log-sigmoid`, `manual-softplus`);
terms that are proved to be as large as 1, or that are counts; sums that are read elsewhere as well; other constants
than 1; terms of a log-density or log-determinant and of other sums with a logarithm or a number, which round such
digits away themselves; constructors, buffers and other code that no gradient passes; NumPy, `math`, `out=` and complex
tensors.

Sources
-------
PyTorch documentation: `torch.log1p`. Goldberg: What every computer scientist should know about floating-point
arithmetic (1991).
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import constant, tensor_op
from autofix.origins import origins
from autofix.pattern import Match
from autofix.ranges import interval
from autofix.syntax import Module
from autofix.transforms.identities._digits import is_absorbed, is_of_a_log_density
from autofix.transforms.identities._operands import in_full
from autofix.transforms.identities._training import where_nothing_learns

_MESSAGE = "for small terms the sum with 1 rounds them away: the logarithm is exactly 0 below 6e-8 (5e-4 in float16)"
_X = Operand(ordinary=(-0.5, 3.0), hazard=(1e-9, 2e-9))
_COUNT = re.compile(r"(^|_)(n|num|count|counts|counter|length|lengths|len|degree|deg|steps?|bins?)(_|\d|$)", re.I)


def _has_its_own(module: Module, match: Match) -> bool:
    """Whether the term is the result of an activation whose logarithm is another rule's, or no small term at all."""
    x = match.captures["x"]
    if constant(module, x) is not None:
        return True
    values = interval(module, x)
    if values.low >= 0.5 or values.high <= -0.5:
        return True
    last = x.attr if isinstance(x, ast.Attribute) else x.id if isinstance(x, ast.Name) else ""
    if _COUNT.search(last):
        return True
    for part in origins(module, x):
        if isinstance(part, ast.Call) and tensor_op(
            module, part, "exp", "expm1", "sigmoid", "softmax", "tanh", "floor", "ceil", "round"
        ):
            return True
        if isinstance(part, ast.Attribute) and part.attr in ("arange", "bincount", "long", "int"):
            return True
    return False


IDENTITY = Identity(
    name="log1p",
    summary="log(1 + x) becomes log1p(x)",
    severity=Severity.INFO,
    triggers=((b"log(",), (b"1 +", b"1 -", b"+ 1", b"1. +", b"1. -", b"1.0 +", b"1.0 -", b"1+", b"1-", b"+1)")),
    anchor=re.compile(
        r"log\((?<!math\.log\()(?<!np\.log\()(?:\s*\(?1(?:\.0*)?\s*[-+]|[^#\n]*\+\s*1(?:\.0*)?\s*\))"
        r"|1(?:\.0*)?\s*[-+][^#\n]*\)\.log\(\)|\+\s*1(?:\.0*)?\)\.log\(\)|= 1(?:\.0*)? [-+] "
    ),
    title="write {new}, which keeps its digits near 0",
    local="term",
    forms=(
        Form(
            ("log(1 + $x)",),
            "torch.log1p({x})",
            _MESSAGE,
            hazard=("underflow",),
            tidy=True,
            operands={"x": _X},
        ),
        Form(
            ("log(1 - $x)",),
            "torch.log1p(-{x})",
            _MESSAGE,
            hazard=("underflow",),
            tidy=True,
            operands={"x": Operand(ordinary=(-3.0, 0.5), hazard=(1e-9, 2e-9))},
        ),
    ),
    silent=(_has_its_own, is_absorbed, is_of_a_log_density, where_nothing_learns),
    in_full=in_full,
    near_misses=(
        "torch.log(2 + x)",
        "torch.log(x - 1)",
        "torch.log(1 + torch.exp(x))",
        "torch.log(1 - torch.sigmoid(x))",
        "torch.log(1 - torch.tanh(x) ** 2)",
        "torch.log(1 + x.abs() + 1)",
        "torch.log(1 + (x.abs() + 1))",
        "torch.log(1 + 3)",
        "torch.log2(1 + x)",
        "torch.log10(1 + x)",
        "torch.log(1 + x, out=y)",
        "torch.log1p(x)",
        "math.log(1 + 0.5) * x",
        "np.log(1 + x)",
        "torch.log(1 + 1j * x)",
    ),
)
RULE = IDENTITY.rule
