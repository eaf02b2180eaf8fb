"""A log-sum-exp written out as logarithm, sum and exponential.

The defect
----------
`log(exp(x).sum(dim))` forms the exponentials themselves. The result is close to the largest `x`, an ordinary number;
the way to it goes through numbers that do not fit.

Why it hurts
------------
In float32 and bfloat16 `exp` overflows above 88.7 (float16: 11.09), so the result is inf and the gradient NaN. If all
entries lie below -104, every exponential rounds to 0 and the result is -inf. Log-likelihoods of mixtures, importance
weights and energies reach such values in ordinary training.

Before
------

    log_likelihood = torch.log(torch.exp(log_joint).sum(dim=-1))

After
-----

    log_likelihood = torch.logsumexp(log_joint, dim=-1)

Try it
------

    import torch

    log_joint = torch.tensor([[100.0, 0.0], [-200.0, -300.0]], requires_grad=True)
    before = torch.log(torch.exp(log_joint).sum(dim=-1))
    after = torch.logsumexp(log_joint, dim=-1)
    (gradient,) = torch.autograd.grad(after.sum(), log_joint)
    assert before.tolist() == [float("inf"), -float("inf")]
    assert after.tolist() == [100, -200] and gradient.isfinite().all()

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. A sum over everything becomes a
`logsumexp` of the flattened tensor, since `logsumexp` needs a dimension. A mean becomes a `logsumexp` less the
logarithm of the number of terms, and `log(1 + ...)` a `softplus` of it. A weighted sum is rewritten where every
weight is certainly positive (a softmax, the probabilities of a categorical distribution, a power of a scale): its
logarithm joins the exponent. An eps inside the logarithm is removed and stated.

Left alone
----------
Exponents that have their own maximum subtracted already; exponents proved to stay small; functions that their file
calls with clamped tensors only; `math`, NumPy and loggers; complex tensors; sums of something other than exponentials.
Weights whose sign is not known, such as masks, are reported without a rewrite, because the logarithm of 0 has no
gradient. Where the exponent is masked, an eps is reported and not removed: it decides what a row without any position
becomes.

Sources
-------
PyTorch documentation: `torch.logsumexp`. Blanchard, Higham, Higham: Accurately computing the log-sum-exp and softmax
functions (2021).
"""

from __future__ import annotations

import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.transforms.identities._log_domain import (
    consequence,
    exponent_is_free,
    exponent_is_shifted,
    has_unknown_weight,
    is_weighted_exp,
    log_terms,
)
from autofix.transforms.identities._operands import in_full, is_shifted_or_bounded, masked_reason
from autofix.transforms.identities._training import given_clamped

_FUNCTION = "torch.logsumexp({x}, dim={dim}, keepdim={keep})"
_METHOD = "{x}.logsumexp(dim={dim}, keepdim={keep})"
_FLAT = "torch.logsumexp({x}.flatten(), dim=0)"
_EPS_MESSAGE = (
    "the result is inf with a NaN gradient once an exponent passes 88.7 (11.09 in float16), and {eps} makes it "
    "constant, without a gradient, when all lie far below 0"
)
_EPS_CHANGE = (
    "sums near and below {eps} are no longer raised towards it; elsewhere the result changes by less than {eps} "
    "divided by the sum"
)
_X, _DIM, _EPS = Operand(), Operand(code="-1"), Operand(code="1e-8")
_SEVERAL = "the number of terms is needed as well, and which dimensions are averaged does not show here"
_MEAN_CHANGE = "in half precision only, a result much smaller than the logarithm of the count is rounded at that size"
_WEIGHTS = (
    "the weights in this sum are not certainly positive, and a weight of 0 has no logarithm; subtract the row's "
    "maximum from the exponent, or fold a mask into it with masked_fill"
)
_WEIGHTED = "log(sum($p, $dim, keepdim=$keep?))"

IDENTITY = Identity(
    name="manual-logsumexp",
    summary="log(exp(x).sum(dim)) becomes logsumexp(x, dim)",
    severity=Severity.ERROR,
    triggers=((b"exp(",), (b"log(", b"log1p("), (b"sum(", b"mean(")),
    anchor=re.compile(r"log(?:1p)?\((?<!math\.log\()(?<!np\.log\()"),
    at_anchor=True,
    beside=re.compile(r"exp\("),
    title="write {new}, which never forms the exponentials",
    local="exponent",
    forms=(
        Form(
            ("log(sum(exp($x), $dim, keepdim=$keep?))",),
            _FUNCTION,
            consequence,
            method=_METHOD,
            operands={"x": _X, "dim": _DIM, "keep": Operand(code="True")},
        ),
        Form(("log(sum(exp($x)))",), _FLAT, consequence, operands={"x": _X}),
        Form(
            (
                "log(sum(exp($x), $dim, keepdim=$keep?) + $eps:small)",
                "log(clamp(sum(exp($x), $dim, keepdim=$keep?), $eps:small))",
            ),
            _FUNCTION,
            _EPS_MESSAGE,
            method=_METHOD,
            change=_EPS_CHANGE,
            refuse=(masked_reason,),
            operands={"x": _X, "dim": _DIM, "keep": Operand(code="True"), "eps": _EPS},
        ),
        Form(
            ("log(sum(exp($x)) + $eps:small)",),
            _FLAT,
            _EPS_MESSAGE,
            change=_EPS_CHANGE,
            refuse=(masked_reason,),
            operands={"x": _X, "eps": _EPS},
        ),
        Form(
            ("log(sum(exp($x), $dim, keepdim=$keep?) + 1)", "log1p(sum(exp($x), $dim, keepdim=$keep?))"),
            "torch.nn.functional.softplus(torch.logsumexp({x}, dim={dim}, keepdim={keep}))",
            "the result is inf with a NaN gradient once an exponent passes 88.7 (11.09 in float16)",
            operands={"x": _X, "dim": _DIM, "keep": Operand(code="True")},
        ),
        Form(
            ("log(sum(exp($x)) + 1)", "log1p(sum(exp($x)))"),
            "torch.nn.functional.softplus(torch.logsumexp({x}.flatten(), dim=0))",
            "the result is inf with a NaN gradient once an exponent passes 88.7 (11.09 in float16)",
            operands={"x": _X},
        ),
        Form(
            ("log(mean(exp($x), $dim:integer, keepdim=$keep?))",),
            "torch.logsumexp({x}, dim={dim}, keepdim={keep}) - math.log({x}.size({dim}))",
            consequence,
            change=_MEAN_CHANGE,
            operands={"x": _X, "dim": _DIM, "keep": Operand(code="True")},
        ),
        Form(
            ("log(mean(exp($x)))",),
            "torch.logsumexp({x}.flatten(), dim=0) - math.log({x}.numel())",
            consequence,
            change=_MEAN_CHANGE,
            operands={"x": _X},
        ),
        Form(("log(mean(exp($x), $dim, keepdim=$keep?))",), "", consequence, why=_SEVERAL),
        Form(
            (_WEIGHTED,),
            "torch.logsumexp({terms}, dim={dim}, keepdim={keep})",
            "the weights are multiplied in before the logarithm: where weight and exponential are far apart, the sum "
            "rounds to 0 and the result is -inf",
            severity=Severity.WARNING,
            when=(is_weighted_exp, exponent_is_shifted),
            derive={"terms": log_terms},
        ),
        Form(
            (_WEIGHTED,),
            "torch.logsumexp({terms}, dim={dim}, keepdim={keep})",
            consequence,
            when=(is_weighted_exp,),
            derive={"terms": log_terms},
            operands={"p": Operand(code="torch.softmax(y, dim=-1) * torch.exp(x)"), "dim": _DIM, "x": _X},
        ),
        Form(
            ("log(sum($p))",),
            "torch.logsumexp({terms}.flatten(), dim=0)",
            consequence,
            when=(is_weighted_exp,),
            derive={"terms": log_terms},
        ),
        Form(
            (_WEIGHTED, "log(sum($p))"),
            "",
            consequence,
            why=_WEIGHTS,
            when=(is_weighted_exp, has_unknown_weight, exponent_is_free),
        ),
    ),
    silent=(is_shifted_or_bounded, given_clamped),
    in_full=in_full,
    near_misses=(
        "torch.log(torch.exp(x).sum(dim=-1), out=y)",
        "torch.log(torch.exp(x).cumsum(dim=-1))",
        "torch.log(torch.exp(x).prod(dim=-1))",
        "torch.log(torch.exp(x).max(dim=-1).values)",
        "torch.log(torch.exp(x)).sum(dim=-1)",
        "torch.log(torch.exp(x).sum(dim=-1) + y)",
        "torch.log(torch.exp2(x).sum(dim=-1))",
        "torch.log2(torch.exp(x).sum(dim=-1))",
        "torch.log((torch.exp(x) - 1).sum(dim=-1))",
        "torch.log(torch.exp(x - x.max(dim=-1, keepdim=True)[0]).sum(dim=-1))",
        "torch.log(torch.exp(torch.tanh(x)).sum(dim=-1))",
        "torch.logsumexp(x, dim=-1)",
        "np.log(np.exp(x).sum(-1))",
        "torch.log(torch.exp(1j * x).sum(dim=-1))",
    ),
)
RULE = IDENTITY.rule
