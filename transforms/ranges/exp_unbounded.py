"""The exponential of a learned or predicted quantity that nothing bounds.

The defect
----------
A network, a parameter or a difference of log-probabilities is exponentiated, and nothing between it and the `exp`
limits how large it gets: the log-variance of a variational autoencoder, the log-scale of a flow, the log-std of a
policy, a contrastive logit scale, an importance log-ratio.

Why it hurts
------------
`exp` overflows to inf above 88.72 in float32 and bfloat16, and above 11.09 in float16. Where the value is inf the
gradient is inf or, after the next subtraction or product with zero, NaN, and one optimizer step later every parameter
is. A badly scaled batch or a learning rate that is a little too high is enough: exponents drift upwards because
larger scales explain outliers.

Before
------

    log_s, shift = self.net(a).chunk(2, dim=-1)
    y = b * torch.exp(log_s) + shift
    log_det = log_s.sum(dim=-1)

After
-----

    log_s, shift = self.net(a).chunk(2, dim=-1)
    log_s = log_s.clamp(min=-10.0, max=10.0)
    y = b * torch.exp(log_s) + shift
    log_det = log_s.sum(dim=-1)

Try it
------

    import torch

    log_s = torch.tensor([100.0], requires_grad=True)
    b, shift = torch.zeros(1), torch.ones(1)
    before = b * torch.exp(log_s) + shift
    after = b * torch.exp(log_s.clamp(min=-10.0, max=10.0)) + shift
    (gradient,) = torch.autograd.grad(after, log_s)
    assert before.isnan()
    assert after == 1 and gradient == 0

When the fix is safe
--------------------
Inside the bounds nothing changes, neither values nor gradients; outside, the quantity is held at the bound and its
gradient there is zero. The bounds are those of convention for its role: log-variance -30 to 20, log-std half of that,
-15 to 10, and -20 to 2 where the code speaks of a policy and its actions, log-scale of a flow -10 to 10, logit scale
at most ln 100, log-ratio of probabilities -20 to 20; each is configurable as `<role>-min` and `<role>-max`, for
instance `log-std-max`. The quantity is clamped where it is defined, or bound to a local above its first use, so that
a log-determinant or a KL term in the same function sees the same value; where some reader cannot be covered there is a
finding without a fix.

Left alone
----------
Exponents that the range analysis proves bounded above (`-x.pow(2)`, `x - x.max()`, `log_softmax`, `clamp`, `tanh`,
positional encodings); exponents that anything in the file bounds, in place or under the same name; log-probabilities;
results that are clamped afterwards; code under `no_grad`, in tests, or that only logs; and exponents whose meaning
neither their name nor their origin tells: such an `exp` may be the definition of what is computed; files whose model
refuses to be trained. Log-ratios, logit scales and parameters, which no input multiplies, are information: training
moves them slowly, and a temperature that scales no contrastive logits gets no bound, since none is conventional. So is
a sample of a distribution that no loss ever sees; a learned weight of a loss that pays for itself (`loss * w.exp()
- w`), and the log-std or log-variance of a Gaussian likelihood (the square of a residual over it, plus the quantity
itself; `gaussian_nll_loss`), which their own gradient pulls back; and what a function computes that the caller hands to
the constructor, which may bound it itself. float16 is not spoken of where the exponent is cast to float32 in view.

Sources
-------
Kingma and Welling: Auto-encoding variational Bayes (2014). Dinh et al.: Density estimation using Real NVP (2017).
Radford et al.: Learning transferable visual models from natural language supervision (2021), which limits the logit
scale to 100. Haarnoja et al.: Soft actor-critic algorithms and applications (2018).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.ops import Op, tensor_op
from autofix.ranges import analysis
from autofix.relations import same, words
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.precision._half import never_half
from autofix.transforms.ranges._clamping import Clamping, clamping
from autofix.transforms.ranges._context import (
    clamped_afterwards,
    is_compared,
    is_formula,
    is_of_a_policy,
    is_trained_with,
    is_used_plainly,
    maker_function,
    out_of_training,
    refuses_training,
    result_name,
    role_in_use,
    shared_with_methods,
    weights_a_loss,
)
from autofix.transforms.ranges._exponents import (
    Quantity,
    bounded_by_hand,
    bounded_elsewhere,
    is_bounded_by_its_maker,
    is_buffer,
    is_own_parameter,
    quantity,
)
from autofix.transforms.ranges._gradients import out_of_model
from autofix.transforms.ranges._held_back import is_given, is_paid_for
from autofix.transforms.ranges._roles import (
    LOG_RATIO,
    LOG_SCALE,
    LOG_STD,
    LOGIT_SCALE,
    POLICY_LOG_STD,
    Bounds,
    bounds,
    is_of_a_schedule,
)
from autofix.tree import last_part, walk

_CONTRASTIVE = re.compile(r"contrast|(?<![a-z])clip(?![a-z])|info_?nce|siglip", re.I)
_HALF, _FULL = 11.09, 88.7  # where exp overflows in float16, and in float32 and bfloat16


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    found = _unbounded(module, node)
    if found is None or _was_reported(module, node, found):
        return
    is_wide = _is_wide(module, node)
    message = _message(module, found, is_wide)
    severity = Severity.INFO if _is_quiet(module, node, found) else None
    role = POLICY_LOG_STD if found.role is LOG_STD and is_of_a_policy(module, found.node) else found.role
    limits = bounds(role, context.rule, context.options)
    try:
        reason = shared_with_methods(module, found)
        if reason:
            raise Unrewritable(reason)
        if role is LOGIT_SCALE and not _is_contrastive(module, found) and not _is_set(context):
            raise Unrewritable("how sharp it may become is the model's to say: set logit-scale-max, or clamp it")
        fix = _fix(module, found, limits, clamping(module, found.node, limits), is_wide)
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _is_contrastive(module: Module, found: Quantity) -> bool:
    """Whether it scales the similarities of a contrastive loss, for which ln 100 is the published cap."""
    return "logit" in words(module, found.node).lower() or _CONTRASTIVE.search(module.text) is not None


def _is_set(context: Context) -> bool:
    return context.options.setting(context.rule, "logit-scale-max", None) is not None


def _is_slow(module: Module, found: Quantity) -> bool:
    """Whether training moves it slowly: a ratio of nearby policies, or a parameter, which no input multiplies. Its
    bound is advice about long runs."""
    return found.role in (LOG_RATIO, LOGIT_SCALE) or is_own_parameter(module, found.node)


def _is_quiet(module: Module, node: ast.AST, found: Quantity) -> bool:
    """Whether something holds the quantity back, or no loss of this code moves it."""
    if _is_slow(module, found) or not is_trained_with(module, found) or is_given(module, found):
        return True
    return isinstance(node, ast.Call) and (weights_a_loss(module, found, node) or is_paid_for(module, found, node))


def _unbounded(module: Module, node: ast.AST) -> Quantity | None:
    """The quantity that `node` exponentiates and that nothing bounds."""
    op = _exponential(module, node)
    if op is None or op.args or op.extra:
        return None
    found = quantity(module, op.input, result_name(module, op.call))
    if found is None or _is_harmless(module, op, found):
        return None
    return Quantity(found.node, role_in_use(module, found, op.call), found.factor)


def _exponential(module: Module, node: ast.AST) -> Op | None:
    name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    return tensor_op(module, node, "exp", "exp_", "expm1") if name in ("exp", "exp_", "expm1") else None


def _was_reported(module: Module, node: ast.AST, found: Quantity) -> bool:
    """Whether an earlier exponential in the function has the same cause, and so the same fix."""
    here = module.chars(node)[0]
    for other in walk(module.flow(found.node).scope):
        if _exponential(module, other) is None or other is node or module.chars(other)[0] >= here:
            continue
        earlier = _unbounded(module, other)
        if earlier is not None and (same(module, earlier.node, found.node) or _one_place(module, earlier, found)):
            return True
    if _shares_its_maker(module, node, found):
        return True
    return is_bounded_by_its_maker(module, found.node, lambda n: _unbounded(module, n) is not None)


def _shares_its_maker(module: Module, node: ast.AST, found: Quantity) -> bool:
    """Whether an earlier method exponentiates what the same function of the file gave it: one place to bound both."""
    maker, cls = maker_function(module, found.node), module.class_of(node)
    if maker is None or cls is None:
        return False
    here = module.chars(node)[0]
    for other in walk(cls):
        if _exponential(module, other) is None or module.chars(other)[0] >= here:
            continue
        earlier = _unbounded(module, other)
        if earlier is not None and earlier.role is found.role and maker_function(module, earlier.node) is maker:
            return True
    return False


def _one_place(module: Module, a: Quantity, b: Quantity) -> bool:
    """Whether two reads of a name, in branches that do not rebind it, have the same values."""
    if not isinstance(a.node, ast.Name) or not isinstance(b.node, ast.Name) or a.node.id != b.node.id:
        return False
    flow = module.flow(a.node)
    if flow.definition(a.node) is not None or flow.definition(b.node) is not None:
        return False
    first, last = sorted((module.chars(a.node)[0], module.chars(b.node)[0]))
    return not any(first <= module.chars(s)[0] <= last for s in flow.stores(a.node.id))


def _is_harmless(module: Module, op: Op, found: Quantity) -> bool:
    if found.role is LOGIT_SCALE and found.negative:
        return True
    if (
        out_of_training(module, op.call)
        or out_of_model(module, op.call)
        or clamped_afterwards(module, op.call)
        or refuses_training(module)
    ):
        return True
    if is_formula(module, found) or is_compared(module, found) or is_used_plainly(module, found):
        return True
    if analysis(module).of(op.input).high <= _HALF:
        return True
    if bounded_by_hand(module, found.node) or is_buffer(module, found.node):
        return True
    if is_of_a_schedule(last_part(found.node)):
        return True
    return bounded_elsewhere(module, found.node)


def _message(module: Module, found: Quantity, is_wide: bool) -> str:
    text = re.sub(r"\s+", " ", module.source(found.node))
    side = "below -" if found.negative else "above "
    size = abs(found.factor)
    half = "" if is_wide else f" ({'-' if found.negative else ''}{_HALF / size:.3g} in float16)"
    return (
        f"nothing bounds {text}, {found.role.words}: exp overflows once it is {side}{_FULL / size:.3g}{half}, "
        "and the gradients become inf or NaN"
    )


def _is_wide(module: Module, node: ast.AST) -> bool:
    """Whether the exponent is certainly not float16."""
    op = _exponential(module, node)
    return op is not None and never_half(module, op.input)


def _fix(module: Module, found: Quantity, limits: Bounds, made: Clamping, is_wide: bool) -> Fix:
    span = f"at most {limits.high:.4g}" if limits.low is None else f"{limits.low:g} to {limits.high:g}"
    ends = [e * found.factor for e in (limits.low, limits.high) if e is not None]
    where = "" if max(ends) <= _HALF or is_wide else " in float32 and bfloat16"
    return Fix(
        title=f"clamp {made.quantity} to {span} {made.where}, where exp is finite{where}",
        edits=made.edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLAMPED,
            region=made.region,
            parameters={"quantity": made.quantity, "min": limits.low, "max": _written(limits.high)},
            change=f"values of {made.quantity} outside {span} are held at the bound and get no gradient there",
            extra=("jacobian",) if found.role is LOG_SCALE and _is_summed(module, found) else (),
        ),
    )


def _is_summed(module: Module, found: Quantity) -> bool:
    """Whether the function sums the quantity somewhere, as the log-determinant of a flow does."""
    text = ast.unparse(found.node)
    calls = (n for n in walk(module.flow(found.node).scope) if isinstance(n, ast.Call))
    sums = (c for c in calls if getattr(c.func, "attr", "").startswith(("sum", "mean")))
    return any(isinstance(n, ast.expr) and ast.unparse(n) == text for c in sums for n in walk(c))


def _written(value: float) -> float:
    """The bound as it stands in the code."""
    return 4.6052 if abs(value - 4.605170185988092) < 1e-9 else value


RULE = Rule(
    name="exp-unbounded",
    summary="The exponential of a learned or predicted quantity that nothing bounds.",
    severity=Severity.WARNING,
    triggers=((b"exp(", b"exp_(", b"expm1("),),
    anchor=re.compile(r"exp(?:_|m1)?\((?<!math\.exp\()(?<!np\.exp\()(?<!numpy\.exp\()(?<!tl\.exp\()(?!.*\barange\b)"),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
)
