"""A classification loss on probabilities.

The defect
----------
`nll_loss(log(softmax(x)), t)` takes the logarithm of rounded probabilities. `cross_entropy(softmax(x), t)` and
`CrossEntropyLoss` on a softmax's output are a mistake of another kind: cross_entropy applies a log-softmax itself, so
the softmax is applied twice. `nll_loss(softmax(x), t)` lacks the logarithm.

Why it hurts
------------
The first is -inf with a NaN gradient once a logit lies 104 below the largest of its row. The second never fails and
hardly learns: the inputs lie in 0..1, so with 10 classes the loss cannot fall below 1.46 however right the model is,
and where the softmax has saturated the gradient is exactly zero. The third is bounded by -1 and has the same zero
gradients.

Before
------

    loss = F.nll_loss(torch.log(F.softmax(logits, dim=1)), target)

After
-----

    loss = F.cross_entropy(logits, target)

Try it
------

    import torch
    import torch.nn.functional as F

    logits = torch.tensor([[0.0, 200.0]], requires_grad=True)
    target = torch.tensor([0])
    old = F.nll_loss(torch.log(F.softmax(logits, dim=1)), target)
    new = F.cross_entropy(logits, target)
    (gradient,) = torch.autograd.grad(new, logits)
    assert old.isinf() and new == 200 and gradient.tolist() == [[-1, 1]]

    right = 200 * F.one_hot(target, num_classes=10).float()
    assert F.cross_entropy(F.softmax(right, dim=1), target) > 1.46  # a softmax too many
    assert F.cross_entropy(right, target) == 0

When the fix is safe
--------------------
For `nll_loss(log(softmax(x, dim=1)))` it is the same function, weight, ignore_index and reduction included. Handing
logits to `cross_entropy` in place of probabilities changes the loss and every gradient, on purpose: that fix is
unsafe and has to be asked for. A softmax that is read elsewhere as well stays. Where the probabilities come out of
another function or class of the file, there is advice that names both places.

Left alone
----------
`nll_loss` on a log-softmax, which is stable; softmax along another dimension than the classes'; probabilities as the
*target* of a distillation; `cross_entropy` of a project's own; `NLLLoss` on log(softmax(x)), whose logarithm
`log-softmax` repairs.

Sources
-------
PyTorch documentation: `torch.nn.CrossEntropyLoss`, `torch.nn.functional.nll_loss`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.declare import Form, Identity
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.ops import Op, tensor_op
from autofix.pattern import Match
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.sameness import is_cheap, is_pure, is_untouched, movable
from autofix.syntax import Module
from autofix.transforms.identities._boundary import crossing
from autofix.transforms.identities._loss_modules import calls_of
from autofix.transforms.identities._operands import in_full

_OPTIONS = "weight=$w?, size_average=$s?, ignore_index=$i?, reduce=$u?, reduction=$r?"
_REST = "{t}, weight={w}, size_average={s}, ignore_index={i}, reduce={u}, reduction={r}"
_NEW = "torch.nn.functional.cross_entropy("
_LOG = "the loss is inf and its gradient NaN once a logit lies 104 below the largest of its row (17 in float16)"
_TWICE = (
    "cross_entropy applies a log-softmax itself, so this softmax is the second: the loss cannot fall to 0 however "
    "right the model is, and saturated rows get no gradient"
)
_NO_LOG = "nll_loss expects log-probabilities and gets probabilities: saturated rows get no gradient"
_TITLE = "write {new}: the logits, to which the loss applies the softmax itself"
_CHANGE = "the loss and every gradient change: this is the loss that was meant"
_HANDED = "the logits have to be handed over in place of the probabilities, which other callers may read"
_LOSSES = ("torch.nn.CrossEntropyLoss", "torch.nn.modules.loss.CrossEntropyLoss")


def _is_function(module: Module, match: Match) -> bool:
    return match.ops[0].form == "function"


IDENTITY = Identity(
    name="nll-of-log-softmax",
    summary="nll_loss(log(softmax(x)), t) becomes cross_entropy(x, t); cross_entropy takes logits, not probabilities",
    severity=Severity.ERROR,
    triggers=(
        (b"nll_loss(", b"cross_entropy(", b"CrossEntropyLoss"),
        # Not `= nn.functional.softmax(`: the attention of every transformer would have to be parsed.
        (
            *(b"= F.softmax(", b"= torch.softmax(", b"(F.softmax(", b"(torch.softmax(", b"(nn.functional.softmax("),
            *(
                b"return F.softmax(",
                b"return torch.softmax(",
                b"return nn.functional.softmax(",
                b"return self.softmax(",
            ),
            *(b"nn.Softmax(", b".softmax(1", b".softmax(-1", b".softmax(dim", b"= softmax(", b"(softmax("),
        ),
    ),
    anchor=re.compile(r"nll_loss\(|(?<!binary_)cross_entropy\(|CrossEntropyLoss\("),
    title="write {new}, which takes log-softmax and loss in one",
    local="logits",
    forms=(
        Form(
            tuple(f"nll_loss(log(softmax($x, {dim})), $t, {_OPTIONS})" for dim in ("$dim:one", "$dim:last")),
            f"{_NEW}{{x}}, {_REST})",
            _LOG,
            when=(_is_function,),
        ),
        Form(
            tuple(f"nll_loss(softmax($x, {dim}), $t, {_OPTIONS})" for dim in ("$dim:one", "$dim:last")),
            f"{_NEW}{{x}}, {_REST})",
            _NO_LOG,
            title=_TITLE,
            change=_CHANGE,
            hazard=("zero-gradient",),
            relation=Relation.INTENDED,
            applicability=Applicability.UNSAFE,
            severity=Severity.WARNING,
            when=(_is_function,),
        ),
        Form(
            tuple(
                f"cross_entropy({inner}, $t, {_OPTIONS}, label_smoothing=$k?)"
                for inner in ("softmax($x, $dim:one)", "softmax($x, $dim:last)", "softmax($x)")
            ),
            f"{_NEW}{{x}}, {_REST}, label_smoothing={{k}})",
            _TWICE,
            title=_TITLE,
            change=_CHANGE,
            hazard=("zero-gradient",),
            relation=Relation.INTENDED,
            applicability=Applicability.UNSAFE,
            severity=Severity.WARNING,
            when=(_is_function,),
        ),
    ),
    in_full=in_full,
    near_misses=(
        "F.nll_loss(F.log_softmax(x, dim=1), y)",
        "F.cross_entropy(x, y)",
        "F.cross_entropy(x, torch.softmax(y, dim=1))",
        "F.cross_entropy(torch.log_softmax(x, dim=1), y)",
        "F.cross_entropy(torch.softmax(x, dim=1) * y, y)",
        "F.cross_entropy(torch.sigmoid(x), y)",
        "F.nll_loss(torch.log(torch.softmax(x, dim=0)), y)",
        "F.nll_loss(torch.log(x), y)",
        "F.binary_cross_entropy(torch.softmax(x, dim=1), y)",
        "F.kl_div(torch.log(torch.softmax(x, dim=1)), y)",
        "F.mse_loss(torch.softmax(x, dim=1), y)",
        "y.cross_entropy(torch.softmax(x, dim=1), y)",
    ),
)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    found = [*IDENTITY.check(node, context)]
    yield from found
    if not found and isinstance(node, ast.Call):
        yield from _of_module(node, context)


def _of_module(node: ast.Call, context: Context) -> Iterator[Finding]:
    """The calls of the `CrossEntropyLoss` that `node` makes; and `cross_entropy` of what another function returns."""
    module = context.module
    dotted = module.qualified(node.func)
    if dotted in _LOSSES:
        for call in calls_of(module, node).nodes:
            yield from _on_probabilities(call, "CrossEntropyLoss", context)
    elif dotted == "torch.nn.functional.cross_entropy":
        yield from _on_probabilities(node, "cross_entropy", context)


def _on_probabilities(node: ast.Call, loss: str, context: Context) -> Iterator[Finding]:
    module = context.module
    if not node.args:
        return
    argument = node.args[0]
    found = _softmax(module, argument)
    if found is not None:
        yield _without_softmax(node, found, context)
        return
    crossed = crossing(module, argument)
    if crossed is not None and crossed.name == "softmax":
        said = (
            f"{crossed.function} applies the softmax on line {crossed.line}, and {loss} applies another one here: the "
            "loss cannot fall to 0 however right the model is, and saturated rows get no gradient"
        )
        yield context.finding(node, said, why=_HANDED, severity=Severity.INFO)


def _softmax(module: Module, node: ast.expr) -> Op | None:
    for _ in range(4):
        if not isinstance(node, ast.Name):
            break
        found = module.flow(node).definition(node)
        if found is None or found.value is None or not is_untouched(module, node, found):
            return None
        node = found.value
    return tensor_op(module, node, "softmax")


def _without_softmax(node: ast.Call, found: Op, context: Context) -> Finding:
    module, argument = context.module, node.args[0]
    reason = movable(module, found.input, module.statement(node))
    if not reason and found.call is not argument and not (is_cheap(found.input) and is_pure(module, found.input)):
        reason = "the logits have no name"
    try:
        if reason:
            raise Unrewritable(reason)
        edits = rewrite.replace(module, argument, "{x}", x=found.input)
    except Unrewritable as error:
        return context.finding(node, _TWICE, why=str(error), severity=Severity.WARNING)
    claim = Claim(Relation.INTENDED, hazard=("zero-gradient",), change=_CHANGE)
    title = "hand the logits to the loss, which applies the softmax itself"
    return context.finding(node, _TWICE, Fix(title, edits, Applicability.UNSAFE, claim), severity=Severity.WARNING)


RULE = Rule(IDENTITY.name, IDENTITY.summary, IDENTITY.severity, IDENTITY.triggers, IDENTITY.anchor, (ast.Call,), check)
