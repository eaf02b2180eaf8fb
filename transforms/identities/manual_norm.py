"""A Euclidean norm written by hand.

The defect
----------
`sqrt((x ** 2).sum(dim))` takes the root of a sum that may be exactly 0, and squares numbers that may be large.

Why it hurts
------------
The gradient of the root at 0 is infinite and the square's is 0: their product is NaN. One zero vector is enough (two
equal embeddings, padding, the diagonal of a distance matrix), and after one optimizer step every parameter is NaN. In
float16 the squares overflow at 256, so the norm of a vector with one entry of 300 is inf.

Before
------

    distance = torch.sqrt(torch.sum((a - b) ** 2, dim=-1))

After
-----

    distance = torch.linalg.vector_norm(a - b, dim=-1)

Try it
------

    import torch

    a = torch.ones(3, requires_grad=True)
    b = torch.ones(3)
    (before,) = torch.autograd.grad(torch.sqrt(torch.sum((a - b) ** 2, dim=-1)), a)
    (after,) = torch.autograd.grad(torch.linalg.vector_norm(a - b, dim=-1), a)
    assert before.isnan().all() and (after == 0).all()

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. At a zero vector the gradient becomes
0, the smallest subgradient. A square that is read elsewhere as well stays.

Left alone
----------
Roots with an eps or a clamp inside, which are protected; means of squares (an RMS is no norm); sums of squares of
different quantities; other exponents; code without gradients; complex tensors and `out=`.

Sources
-------
PyTorch documentation: `torch.linalg.vector_norm`.
"""

from __future__ import annotations

import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.transforms.identities._training import without_gradient

_MESSAGE = (
    "the gradient is NaN at a zero vector (infinite at the root, times 0), and in float16 the squares overflow at 256"
)
_X = Operand(hazard=(0.0, 0.0))
_SQUARES = ("abs($x) ** 2", "$x ** 2", "$x * $x", "square($x)")
_ALONG = tuple(
    root.format(f"sum({square}, $dim, keepdim=$keep?)") for root in ("sqrt({})", "{} ** 0.5") for square in _SQUARES
)
_WHOLE = tuple(root.format(f"sum({square})") for root in ("sqrt({})", "{} ** 0.5") for square in _SQUARES)

IDENTITY = Identity(
    name="manual-norm",
    summary="sqrt((x ** 2).sum(dim)) becomes linalg.vector_norm(x, dim=dim)",
    severity=Severity.WARNING,
    triggers=((b"sqrt(", b"0.5"), (b"sum(",), (b"**", b"pow(", b"square(", b"*")),
    anchor=re.compile(
        r"sum\((?<!np\.sum\()(?=(?s:.{1,300}?)(?:sqrt\(|\*\* ?\(?0?\.5|pow\(0?\.5))"
        r"|sqrt\((?<!math\.sqrt\()(?<!np\.sqrt\()(?=(?s:.{1,120}?)sum\()"
    ),
    title="write {new}, whose gradient at a zero vector is 0",
    local="difference",
    forms=(
        Form(
            _ALONG,
            "torch.linalg.vector_norm({x}, dim={dim}, keepdim={keep})",
            _MESSAGE,
            hazard=("gradient", "value"),
            operands={"x": _X, "dim": Operand(code="-1"), "keep": Operand(code="True")},
        ),
        Form(
            _WHOLE,
            "torch.linalg.vector_norm({x})",
            _MESSAGE,
            hazard=("gradient", "value"),
            operands={"x": _X},
        ),
    ),
    silent=(without_gradient,),
    near_misses=(
        "torch.sqrt((x**3).sum(-1))",
        "torch.sqrt((x * y).sum(-1))",
        "torch.sqrt((x**2).mean(-1))",
        "torch.sqrt((x**2).sum(-1) + 1e-8)",
        "torch.sqrt((x**2).sum(-1).clamp(min=1e-8))",
        "torch.sqrt((x**2 + y**2).sum(-1))",
        "torch.sqrt(x**2)",
        "(x**2).sum(-1)",
        "(x**2).sum(-1) ** 2",
        "torch.rsqrt((x**2).sum(-1))",
        "torch.linalg.vector_norm(x, dim=-1)",
        "np.sqrt((x**2).sum(-1))",
        "torch.sqrt((x**2).sum(-1), out=y)",
    ),
)
RULE = IDENTITY.rule
