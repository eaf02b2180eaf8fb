"""The logarithm of a determinant, taken in two steps.

The defect
----------
`log(det(A))` forms the determinant itself: a product of as many factors as the matrix has rows.

Why it hurts
------------
The determinant of a 40 x 40 diagonal matrix of 0.05 is 9e-53 and of 20 is 1e52; float32 holds neither, so the
logarithm is -inf or inf and the gradient NaN, although the result (-119.8 and 119.8) is an ordinary number.
Log-likelihoods of Gaussians, flows with matrices and Laplace approximations take this logarithm.

Before
------

    log_det = torch.log(torch.det(weight))

After
-----

    log_det = torch.logdet(weight)

Try it
------

    import torch

    weight = (0.05 * torch.eye(40)).requires_grad_()
    before = torch.log(torch.det(weight))
    after = torch.logdet(weight)
    (gradient,) = torch.autograd.grad(after, weight)
    assert before.isinf()
    torch.testing.assert_close(after, 40 * torch.tensor(0.05).log())
    assert gradient.isfinite().all()

When the fix is safe
--------------------
`logdet` is the same function, NaN for a negative determinant included: values and gradients agree wherever today's
are finite. `log(abs(det(A)))` becomes `logabsdet` of `linalg.slogdet`. Where an eps is removed, the change is stated.

Left alone
----------
Determinants that are not only logarithms; NumPy, other bases, `out=` and complex matrices.

Sources
-------
PyTorch documentation: `torch.logdet`, `torch.linalg.slogdet`.
"""

from __future__ import annotations

import re

from autofix.declare import Form, Identity
from autofix.model import Severity
from autofix.transforms.identities._training import without_gradient

_MESSAGE = (
    "the determinant leaves the range of the dtype (40 factors of 0.05 or of 20 do), and its logarithm is -inf or inf"
)
_EPS_MESSAGE = "{eps} hides a determinant that has rounded to 0: the logarithm is constant there and has no gradient"
_EPS_WHY = (
    "{eps} also decides what a singular matrix gives: add it to the diagonal of the matrix and take the logdet of that"
)
_TITLE = "write {new}, which adds logarithms instead of multiplying and keeps the sign apart"
_OF_SIZE = "torch.linalg.slogdet({x}).logabsdet"

IDENTITY = Identity(
    name="log-det",
    summary="log(det(A)) becomes logdet(A)",
    severity=Severity.ERROR,
    triggers=((b"det(",), (b"log(",)),
    anchor=re.compile(r"\bdet\((?<!logdet\()(?<!np\.linalg\.det\()"),
    title="write {new}, which adds logarithms instead of multiplying",
    local="matrix",
    forms=(
        Form(
            ("log(abs(det($x)))",),
            _OF_SIZE,
            _MESSAGE,
            title=_TITLE,
            severity=Severity.INFO,
            when=(without_gradient,),
        ),
        Form(("log(abs(det($x)))",), _OF_SIZE, _MESSAGE, title=_TITLE),
        Form(
            ("log(det($x))",),
            "torch.logdet({x})",
            _MESSAGE,
            method="{x}.logdet()",
            severity=Severity.INFO,
            when=(without_gradient,),
        ),
        Form(("log(det($x))",), "torch.logdet({x})", _MESSAGE, method="{x}.logdet()"),
        Form(
            (
                "log(det($x) + $eps:small)",
                "log(clamp(det($x), $eps:small))",
                "log(abs(det($x)) + $eps:small)",
                "log(clamp(abs(det($x)), $eps:small))",
            ),
            "",
            _EPS_MESSAGE,
            why=_EPS_WHY,
            severity=Severity.WARNING,
        ),
    ),
    near_misses=(
        "torch.det(x)",
        "torch.log(torch.det(x) + 1)",
        "torch.log(torch.det(x) * y)",
        "torch.log(-torch.det(x))",
        "torch.log2(torch.det(x))",
        "torch.log1p(torch.det(x))",
        "torch.log(torch.det(x).sum())",
        "torch.log(torch.det(x), out=y)",
        "torch.logdet(x)",
        "torch.linalg.slogdet(x)[1]",
        "np.log(np.linalg.det(x))",
        "torch.log(torch.det(1j * x))",
    ),
)
RULE = IDENTITY.rule
