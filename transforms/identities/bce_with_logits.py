"""A sigmoid followed by a binary cross-entropy.

The defect
----------
`binary_cross_entropy(sigmoid(x), t)`, or `nn.BCELoss` on a sigmoid's output, rounds the probability to 0 or 1 before
the loss takes its logarithm.

Why it hurts
------------
PyTorch clamps that logarithm at -100, so nothing looks wrong: the loss saturates at 100 and its gradient is exactly
**zero** where the sigmoid has rounded, which is where the model is most wrong (above x = 17 for a negative example,
below -104 for a positive one, single digits in float16). Under autocast, `binary_cross_entropy` refuses to run at
all.

Before
------

    probs = torch.sigmoid(logits)
    loss = F.binary_cross_entropy(probs, target)

After
-----

    loss = F.binary_cross_entropy_with_logits(logits, target)

Try it
------

    import torch
    import torch.nn.functional as F

    logits = torch.tensor([20.0], requires_grad=True)
    target = torch.tensor([0.0])
    loss = F.binary_cross_entropy(torch.sigmoid(logits), target)
    (before,) = torch.autograd.grad(loss, logits)
    assert loss == 100 and before == 0  # the worst possible answer, and nothing to learn from it
    loss = F.binary_cross_entropy_with_logits(logits, target)
    (after,) = torch.autograd.grad(loss, logits)
    assert loss == 20 and after == 1

When the fix is safe
--------------------
It is the same function of the logits, weight and reduction included: values and gradients agree wherever today's are
accurate. A sigmoid that is read elsewhere as well (for an accuracy) stays. Changes of shape in between move along. A
`BCELoss` made in `__init__` becomes `BCEWithLogitsLoss` only where every use of it in the class has a sigmoid to give
up. Where the probability comes out of another function or class of the file, there is advice that names both places.

Left alone
----------
Probabilities of unknown origin, mixed or averaged ones; the same with an eps by name or number, when the logits are
masked; losses of a project's own.

Sources
-------
PyTorch documentation: `torch.nn.BCEWithLogitsLoss`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.declare import Form, Identity, Operand
from autofix.model import Finding, Severity
from autofix.pattern import Match
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.identities._bce_module import CHANGE, MESSAGE, check_module
from autofix.transforms.identities._boundary import crossing
from autofix.transforms.identities._links import reshaped_logits
from autofix.transforms.identities._operands import minus_infinity_reason

_OPTIONS = "weight=$w?, size_average=$s?, reduce=$u?, reduction=$r?"
_REST = "{t}, weight={w}, size_average={s}, reduce={u}, reduction={r})"
_NEW = "torch.nn.functional.binary_cross_entropy_with_logits("
_HAZARD = ("zero-gradient",)
_X, _T = Operand(), Operand(code="torch.sigmoid(y)")
_EPS_CHANGE = "probabilities are no longer kept {eps} away from 0 and 1, where the gradient was 0"
_HANDED = "the logits have to be handed over in place of the probability, which other callers may read"


def _is_function(module: Module, match: Match) -> bool:
    return match.ops[0].form == "function"


def _is_crossing(module: Module, match: Match) -> bool:
    found = crossing(module, match.captures["p"])
    return _is_function(module, match) and found is not None and found.name == "sigmoid"


def _both_places(module: Module, match: Match) -> str:
    found = crossing(module, match.captures["p"])
    assert found is not None
    return (
        f"{found.function} applies the sigmoid on line {found.line} and binary_cross_entropy takes its logarithm here: "
        "where the sigmoid has rounded to 0 or 1 the gradient is exactly 0"
    )


IDENTITY = Identity(
    name="bce-with-logits",
    summary="binary_cross_entropy(sigmoid(x), t) becomes binary_cross_entropy_with_logits(x, t)",
    severity=Severity.WARNING,
    triggers=((b"BCELoss", b"binary_cross_entropy("),),
    anchor=re.compile(r"BCELoss\(|binary_cross_entropy\("),
    title="write {new}, which never rounds the probability",
    forms=(
        Form(
            (f"binary_cross_entropy(sigmoid($x), $t, {_OPTIONS})",),
            f"{_NEW}{{x}}, {_REST}",
            MESSAGE,
            change=CHANGE,
            hazard=_HAZARD,
            when=(_is_function,),
            operands={"x": _X, "t": _T, "w": Operand(code="torch.sigmoid(y)"), "r": Operand(code='"none"')},
        ),
        Form(
            (
                f"binary_cross_entropy(clamp(sigmoid($x), $eps:small, $top:near_one), $t, {_OPTIONS})",
                f"binary_cross_entropy(sigmoid($x) + $eps:small, $t, {_OPTIONS})",
            ),
            f"{_NEW}{{x}}, {_REST}",
            MESSAGE,
            change=f"{CHANGE}; {_EPS_CHANGE}",
            hazard=_HAZARD,
            when=(_is_function,),
            refuse=(minus_infinity_reason,),
        ),
        Form(
            (f"binary_cross_entropy($p, $t, {_OPTIONS})",),
            f"{_NEW}{{logits}}, {_REST}",
            MESSAGE,
            change=CHANGE,
            hazard=_HAZARD,
            when=(_is_function,),
            derive={"logits": reshaped_logits},
        ),
        Form(
            (f"binary_cross_entropy($p, $t, {_OPTIONS})",),
            "",
            _both_places,
            why=_HANDED,
            severity=Severity.INFO,
            when=(_is_crossing,),
        ),
    ),
    near_misses=(
        "F.binary_cross_entropy(x, y)",
        "F.binary_cross_entropy_with_logits(x, y)",
        "F.binary_cross_entropy(torch.sigmoid(x) * y, y)",
        "F.binary_cross_entropy(torch.sigmoid(x).mean(0), y)",
        "F.binary_cross_entropy(torch.softmax(x, -1), y)",
        "F.binary_cross_entropy(torch.tanh(x), y)",
        "F.binary_cross_entropy(y, torch.sigmoid(x))",
        "F.mse_loss(torch.sigmoid(x), y)",
        "F.binary_cross_entropy((torch.sigmoid(x) + torch.sigmoid(y)) / 2, y)",
        "x.binary_cross_entropy(torch.sigmoid(x), y)",
        "F.cross_entropy(x, y)",
        "F.binary_cross_entropy(1 - torch.sigmoid(x), y)",
    ),
)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    yield from IDENTITY.check(node, context)
    if isinstance(node, ast.Call):
        yield from check_module(node, context)


RULE = Rule(IDENTITY.name, IDENTITY.summary, IDENTITY.severity, IDENTITY.triggers, IDENTITY.anchor, (ast.Call,), check)
