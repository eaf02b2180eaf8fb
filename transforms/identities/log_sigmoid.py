"""The logarithm of a sigmoid, taken in two steps.

The defect
----------
`log(sigmoid(x))` rounds small probabilities to 0 before it takes their logarithm, and `log(1 - sigmoid(x))` rounds
probabilities near 1 to 1 and takes the logarithm of 0. The exact result is about x, or -x, an ordinary number.

Why it hurts
------------
In float32 `log(sigmoid(x))` is -inf with a NaN gradient below x = -104; `log(1 - sigmoid(x))` already above x = 17,
where sigmoid(x) is exactly 1. In float16 both fail at single digits. A small constant inside the logarithm hides this
without curing it: the value stays finite, but the gradient is **zero** exactly where the model is most wrong.

Before
------

    probs = torch.sigmoid(logits)
    loss = -(target * torch.log(probs + 1e-8) + (1 - target) * torch.log(1 - probs + 1e-8))

After
-----

    loss = -(target * F.logsigmoid(logits) + (1 - target) * F.logsigmoid(-logits))

Try it
------

    import torch
    import torch.nn.functional as F

    logits = torch.tensor([20.0], requires_grad=True)  # certain, and the target is 0
    loss = -torch.log(1 - torch.sigmoid(logits) + 1e-8)
    (before,) = torch.autograd.grad(loss, logits)
    assert torch.log(1 - torch.sigmoid(logits)).isinf()
    assert loss < 19 and before == 0
    loss = -F.logsigmoid(-logits)
    (after,) = torch.autograd.grad(loss, logits)
    assert loss == 20 and after == 1

When the fix is safe
--------------------
`logsigmoid` is the same function; values and gradients agree wherever today's are accurate. Where an eps or a clamp
is removed, log-probabilities below about the eps's logarithm are no longer raised to it, and that is stated. A
sigmoid that is read elsewhere as well (the weight of a focal loss) stays as it is. `log(t * p + (1 - t) * (1 - p))`
becomes the sum of the two logarithms, which is the same for targets that are 0 or 1: that rewrite is unsafe, because
nothing but the formula says so. Where the probability comes out of another function or class of the file, there is
advice that names both places: the logits have to be handed over instead.

Left alone
----------
`math.log`, NumPy and loggers; complex tensors; other bases; a name that may hold another value by the time its
logarithm is taken; other constants than 1; a sum with an eps that has other readers, as the scale of a flow whose
log-determinant must match; a gate that is one parameter with an eps added. Where the logits are masked, an eps is
reported and not removed; an eps in code without gradients (matching costs, metrics) is right as it is. Information
where the function divides by the same sigmoid: that quotient is inf where the logarithm was.

Sources
-------
PyTorch documentation: `torch.nn.functional.logsigmoid`. Lin et al.: Focal loss for dense object detection (2017).
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Applicability, Severity
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.identities._boundary import crossing
from autofix.transforms.identities._links import reshaped_logits
from autofix.transforms.identities._operands import in_full, minus_infinity_reason
from autofix.transforms.identities._training import has_a_floor_of_its_own, with_gradient
from autofix.transforms.identities._weighed import weighs_itself

_LOG = "torch.nn.functional.logsigmoid({x})"
_LOG_OF_REST = "torch.nn.functional.logsigmoid(-{x})"
_SMALL = "the logarithm is -inf and its gradient NaN once the logit lies below -104 (-17 in float16)"
_REST = "sigmoid rounds to 1, and the logarithm of the rest is -inf with a NaN gradient, once the logit passes 17"
_FLAT = (
    "where the probability falls below {eps} the loss flattens out and the gradient vanishes, so the model stops "
    "learning where it is most wrong"
)
_CHANGE = (
    "log-probabilities near and below log({eps}) are no longer raised towards it; elsewhere they change by less than "
    "{eps} divided by the probability"
)
_X, _EPS, _TOP = Operand(), Operand(code="1e-8"), Operand(code="1.0")
_HANDED = "the logits have to be handed over in place of the probability, which other callers may read"


def _crosses(module: Module, match: Match) -> bool:
    found = crossing(module, match.captures["p"])
    return found is not None and found.name == "sigmoid"


def _is_a_value(module: Module, match: Match) -> bool:
    """Whether the sum of the sigmoid and the eps has a name that something else reads too: the scale of a flow, whose
    log-determinant must be the logarithm of that very number."""
    name = match.ops[0].input if match.ops else None
    if not isinstance(name, ast.Name):
        return False
    flow = module.flow(name)
    found = flow.definition(name)
    readers = flow.readers(found) if found is not None else None
    raised = found is not None and isinstance(found.value, ast.BinOp) and isinstance(found.value.op, ast.Add)
    return raised and readers is not None and len(readers) > 1


def _divides(module: Module, match: Match) -> bool:
    """Whether the function divides by the very sigmoid: the quotient stays inf where its logarithm was -inf."""
    name = match.ops[0].input if match.ops else None
    if not isinstance(name, ast.Name):
        return False
    flow = module.flow(name)
    found = flow.definition(name)
    for read in (flow.readers(found) or []) if found is not None else []:
        parent = module.parent(read)
        if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.right is read:
            return True
    return False


def _is_predicted(module: Module, match: Match) -> bool:
    """Whether the logit is no parameter of the class: those are one number each, and no loss drives them far away."""
    x = match.captures["x"]
    cls = module.class_of(x)
    if cls is None or not isinstance(x, ast.Attribute) or not isinstance(x.value, ast.Name) or x.value.id != "self":
        return True
    made = module.self_attribute(cls, x.attr)
    return not isinstance(made, ast.Call) or module.qualified(made.func) != "torch.nn.Parameter"


def _both_places(module: Module, match: Match) -> str:
    found = crossing(module, match.captures["p"])
    assert found is not None
    return (
        f"{found.function} applies the sigmoid on line {found.line} and its logarithm is taken here: the two together "
        "are logsigmoid, which does not round the probability to 0 or 1 in between"
    )


IDENTITY = Identity(
    name="log-sigmoid",
    summary="log(sigmoid(x)) becomes logsigmoid(x)",
    severity=Severity.ERROR,
    triggers=((b"sigmoid", b"Sigmoid", b"exp("), (b"log(", b"log1p(")),
    anchor=re.compile(r"log(?:1p)?\((?<!math\.log\()(?<!np\.log\()(?<!np\.log1p\()(?<!\wlog\()"),
    at_anchor=True,
    title="write {new}, which takes the logarithm without rounding the probability first",
    forms=(
        Form(
            ("log(sigmoid($x))", "log(1 / (1 + exp(-$x)))", "log(exp($x) / (1 + exp($x)))"),
            _LOG,
            _SMALL,
            operands={"x": _X},
        ),
        Form(
            ("log(1 - sigmoid(-$x))", "log(-sigmoid(-$x) + 1)", "log1p(-sigmoid(-$x))"),
            _LOG,
            "sigmoid rounds to 1, and the logarithm of the rest is -inf with a NaN gradient, once the logit falls "
            "below -17",
            operands={"x": _X},
        ),
        Form(
            ("log(1 - sigmoid($x))", "log(-sigmoid($x) + 1)", "log1p(-sigmoid($x))", "log(1 - 1 / (1 + exp(-$x)))"),
            _LOG_OF_REST,
            _REST,
            operands={"x": _X},
        ),
        Form(
            (
                "log(sigmoid($x) + $eps:small)",
                "log(clamp(sigmoid($x), $eps:small, max=$top:near_one?))",
                "log(1 / (1 + exp(-$x)) + $eps:small)",
            ),
            _LOG,
            _FLAT,
            change=_CHANGE,
            hazard=("zero-gradient", "value", "gradient"),
            severity=Severity.WARNING,
            when=(with_gradient, _is_predicted),
            refuse=(minus_infinity_reason,),
            operands={"x": _X, "eps": _EPS, "top": _TOP},
        ),
        Form(
            (
                "log(1 - sigmoid($x) + $eps:small)",
                "log(1 + $eps:small - sigmoid($x))",
                "log(-sigmoid($x) + 1 + $eps:small)",
                "log(1 - clamp(sigmoid($x), $eps:small, max=$top:near_one?))",
                "log(clamp(1 - sigmoid($x), $eps:small, max=$top:near_one?))",
            ),
            _LOG_OF_REST,
            _FLAT,
            change=_CHANGE,
            hazard=("zero-gradient", "value", "gradient"),
            severity=Severity.WARNING,
            when=(with_gradient, _is_predicted),
            refuse=(minus_infinity_reason,),
            operands={"x": _X, "eps": _EPS, "top": _TOP},
        ),
        Form(
            (
                "log($t * sigmoid($x) + (1 - $t) * (1 - sigmoid($x)))",
                "log($t * sigmoid($x) + (1 - $t) * sigmoid(-$x))",
            ),
            "{t} * torch.nn.functional.logsigmoid({x}) + (1 - {t}) * torch.nn.functional.logsigmoid(-{x})",
            "the logarithm is -inf and its gradient NaN for a target that the model finds impossible: logits beyond "
            "17 on the wrong side",
            title="write {new}, the logarithm of whichever of the two probabilities the target chooses",
            applicability=Applicability.UNSAFE,
            assumptions=("{t} is 0 or 1",),
        ),
        Form(
            ("log(1 - $p)",),
            "torch.nn.functional.logsigmoid(-{logits})",
            _REST,
            derive={"logits": reshaped_logits},
        ),
        Form(("log($p)",), "torch.nn.functional.logsigmoid({logits})", _SMALL, derive={"logits": reshaped_logits}),
        Form(("log($p)", "log(1 - $p)"), "", _both_places, why=_HANDED, severity=Severity.INFO, when=(_crosses,)),
        Form(
            ("log($p + $eps:small)", "log(1 - $p + $eps:small)"),
            "",
            _both_places,
            why=_HANDED,
            severity=Severity.INFO,
            when=(_crosses,),
        ),
    ),
    silent=(_is_a_value, weighs_itself),
    quiet=(has_a_floor_of_its_own, _divides),
    in_full=in_full,
    near_misses=(
        "torch.log(2 - torch.sigmoid(x))",
        "torch.log(torch.sigmoid(x) * y)",
        "torch.log(torch.sigmoid(x).mean(0))",
        "torch.log(torch.sigmoid(x) + 0.5)",
        "torch.log(1 + torch.sigmoid(x))",
        "torch.log2(torch.sigmoid(x))",
        "torch.log1p(torch.sigmoid(x))",
        "torch.log(torch.softmax(x, dim=-1))",
        "torch.log(1 - torch.sigmoid(x) * y)",
        "torch.log(torch.sigmoid(x), out=y)",
        "F.logsigmoid(x)",
        "math.log(torch.sigmoid(x)[0, 0])",
        "np.log(torch.sigmoid(x))",
        "torch.log(torch.sigmoid(1j * x))",
    ),
)
RULE = IDENTITY.rule
