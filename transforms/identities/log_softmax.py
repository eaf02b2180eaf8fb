"""The logarithm of a softmax, taken in two steps.

The defect
----------
`log(softmax(x))` rounds small probabilities to 0 before it takes their logarithm. The exact result is an ordinary
number (the logit's distance from the row's log-sum-exp); only the way to it goes through 0.

Why it hurts
------------
In float32 a logit that lies more than 104 below its row's largest gives probability 0, so the loss is -inf, the
gradient NaN, and one optimizer step makes every parameter NaN. In float16 a distance of 17 is enough. A small
constant inside the logarithm (`log(softmax(x) + 1e-8)`) hides this without curing it: the value stays finite, but
where the probability has rounded to 0 the gradient is exactly **zero**, so the model stops learning precisely where
it is most wrong.

Before
------

    probs = F.softmax(logits, dim=-1)
    loss = -(target * torch.log(probs + 1e-8)).sum(-1)

After
-----

    loss = -(target * F.log_softmax(logits, dim=-1)).sum(-1)

Try it
------

    import torch
    import torch.nn.functional as F

    logits = torch.tensor([0.0, 200.0], requires_grad=True)  # the target is class 0
    loss = -torch.log(F.softmax(logits, dim=-1) + 1e-8)[0]
    (before,) = torch.autograd.grad(loss, logits)
    assert torch.log(F.softmax(logits, dim=-1))[0].isinf()
    assert loss < 19 and (before == 0).all()
    loss = -F.log_softmax(logits, dim=-1)[0]
    (after,) = torch.autograd.grad(loss, logits)
    assert loss == 200 and after.tolist() == [-1, 1]

When the fix is safe
--------------------
`log_softmax` is the same function; values and gradients agree wherever today's are accurate. Where an eps or a clamp
is removed, log-probabilities below about the eps's logarithm are no longer raised to it, and that is stated. A
softmax that is read elsewhere as well (attention weights, an entropy) stays as it is. Logits that have no name get
one, so that nothing is computed twice.

Left alone
----------
`math.log`, NumPy and loggers; complex tensors; a name that may hold another value by the time its logarithm is taken; a
softmax under `no_grad` whose logarithm is not. An entropy `p * log(p + eps)`, where the eps does no harm. Where the
logits are masked, an eps is reported and not removed: `target * log(p + eps)` is finite at a masked position, and
`target * log_softmax(x)` would be NaN there.

Sources
-------
PyTorch documentation: `torch.nn.functional.log_softmax`. Blanchard, Higham, Higham: Accurately computing the
log-sum-exp and softmax functions (2021).
"""

from __future__ import annotations

import re
from dataclasses import replace

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.identities._boundary import crossing
from autofix.transforms.identities._links import links_to, reshaped_log_softmax
from autofix.transforms.identities._operands import in_full, masked_reason
from autofix.transforms.identities._training import outside_models, where_nothing_learns
from autofix.transforms.identities._weighed import weighs_itself

_FUNCTION = "torch.log_softmax|torch.nn.functional.log_softmax({x}, dim={dim}, dtype={dtype})"
_METHOD = "{x}.log_softmax(dim={dim}, dtype={dtype})"
_LOGITS = Operand()
_DIM = Operand(code="-1")

_FLAT = (
    "where a probability falls below {eps} the loss flattens out and the gradient vanishes, so the model stops "
    "learning where it is most wrong"
)
_CHANGE = (
    "log-probabilities near and below log({eps}) are no longer raised towards it; elsewhere they change "
    "by less than {eps} divided by the probability"
)
_HANDED = "the logits have to be handed over in place of the probabilities, which other callers may read"


def _is_unmasked(module: Module, match: Match) -> bool:
    """Whether nothing shows that the logits may be -inf, where the eps keeps products finite."""
    found = links_to(module, match.captures["p"], "softmax")
    return found is not None and not masked_reason(module, Match({"x": found.op.input}))


def _is_flat_aside(module: Module, match: Match) -> bool:
    """Whether the logarithm of a protected probability stands where nothing learns: there is no gradient to lose."""
    return "eps" in match.captures and where_nothing_learns(module, match)


def _crosses(module: Module, match: Match) -> bool:
    found = crossing(module, match.captures["p"])
    return found is not None and found.name == "softmax"


def _both_places(module: Module, match: Match) -> str:
    found = crossing(module, match.captures["p"])
    assert found is not None
    return (
        f"{found.function} applies the softmax on line {found.line} and its logarithm is taken here: the two together "
        "are log_softmax, which does not round probabilities to 0 in between"
    )


_VALUE = "the logarithm is -inf once a logit lies 104 below the largest of its row (17 in float16)"
_BOTH = "the logarithm is -inf and its gradient NaN once a logit lies 104 below the largest of its row (17 in float16)"
_ALONG = Form(
    ("log(softmax($x, $dim, dtype=$dtype?))",),
    _FUNCTION,
    _BOTH,
    method=_METHOD,
    operands={"x": _LOGITS, "dim": _DIM},
)
_SELECTED = Form(("log($p)",), "{selected}", _BOTH, derive={"selected": reshaped_log_softmax})
_WHOLE = Form(("log(softmax($x))",), "torch.nn.functional.log_softmax({x})", _BOTH, operands={"x": _LOGITS})

IDENTITY = Identity(
    name="log-softmax",
    summary="log(softmax(x)) becomes log_softmax(x)",
    severity=Severity.ERROR,
    triggers=((b"softmax", b"Softmax"), (b"log(",)),
    anchor=re.compile(r"log\((?<!math\.log\()(?<!np\.log\()(?<!\wlog\()"),
    at_anchor=True,
    title="write {new}, which takes the logarithm without rounding the probability to 0 first",
    forms=(
        replace(_ALONG, message=_VALUE, severity=Severity.INFO, when=(where_nothing_learns,)),
        replace(_WHOLE, message=_VALUE, severity=Severity.INFO, when=(where_nothing_learns,)),
        _ALONG,
        _WHOLE,
        Form(
            (
                "log(softmax($x, $dim, dtype=$dtype?) + $eps:small)",
                "log(clamp(softmax($x, $dim, dtype=$dtype?), $eps:small, max=$top:near_one?))",
            ),
            _FUNCTION,
            _FLAT,
            method=_METHOD,
            change=_CHANGE,
            hazard=("zero-gradient", "value", "gradient"),
            severity=Severity.WARNING,
            refuse=(masked_reason,),
            operands={"x": _LOGITS, "dim": _DIM, "eps": Operand(code="1e-8"), "top": Operand(code="1.0")},
        ),
        replace(_SELECTED, message=_VALUE, severity=Severity.INFO, when=(where_nothing_learns,)),
        _SELECTED,
        Form(
            ("log($p + $eps:small)", "log(clamp($p, $eps:small, max=$top:near_one?))"),
            "{selected}",
            _FLAT,
            change=_CHANGE,
            hazard=("zero-gradient", "value", "gradient"),
            severity=Severity.WARNING,
            when=(_is_unmasked,),
            derive={"selected": reshaped_log_softmax},
        ),
        Form(
            ("log($p)", "log($p + $eps:small)"), "", _both_places, why=_HANDED, severity=Severity.INFO, when=(_crosses,)
        ),
    ),
    silent=(outside_models, weighs_itself, _is_flat_aside),
    in_full=in_full,
    near_misses=(
        "torch.log(torch.softmax(x, dim=-1) * y)",
        "torch.log(torch.softmax(x, dim=-1) + 0.5)",
        "torch.log(torch.softmax(x, dim=-1).mean(0))",
        "torch.log(1 - torch.softmax(x, dim=-1))",
        "torch.log(torch.softmax(x, dim=-1).clamp(min=0.2))",
        "torch.log(torch.softmax(x, dim=-1), out=y)",
        "torch.log1p(torch.softmax(x, dim=-1))",
        "torch.log2(torch.softmax(x, dim=-1))",
        "torch.log(torch.sigmoid(x))",
        "torch.log_softmax(x, dim=-1)",
        "torch.log(torch.softmax(x * 1j, dim=-1))",
        "math.log(torch.softmax(x, dim=-1)[0, 0])",
        "np.log(torch.softmax(x, dim=-1))",
    ),
)
RULE = IDENTITY.rule
