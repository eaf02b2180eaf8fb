"""An optimizer steps on gradients whose norm nothing bounds.

The defect
----------
Between `backward()` and the optimizer's `step()` nothing limits the size of the gradient, so the batch with the
largest gradient, not the learning rate, decides how far the weights move.

Why it hurts
------------
Gradients of recurrent nets, attention, flows, differential equations and policy losses have heavy tails: one batch
in thousands is orders of magnitude above the rest. Plain SGD moves by its full length; adaptive methods carry it in
their moments for many steps. Loss spikes and divergence after long healthy training are the usual sight.

Clipping the norm bounds large steps. It does **not** cure NaN: `clip_grad_norm_` on a gradient that holds one NaN or
inf makes every gradient NaN (`error_if_nonfinite=True` makes it raise instead). The cause of a non-finite gradient
has to be repaired where it arises; other rules do that.

Before
------

    for batch in loader:
        optimizer.zero_grad()
        scaler.scale(criterion(model(batch))).backward()
        scaler.step(optimizer)
        scaler.update()

After
-----

    for batch in loader:
        optimizer.zero_grad()
        scaler.scale(criterion(model(batch))).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        scaler.step(optimizer)
        scaler.update()

Try it
------

    import copy

    import torch

    model = torch.nn.Linear(3, 1)
    batch, target = torch.full((2, 3), 100.0), torch.full((2, 1), 1e4)
    moved = {}
    for clip in (False, True):
        trained = copy.deepcopy(model)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        torch.nn.functional.mse_loss(trained(batch), target).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(trained.parameters(), max_norm=1.0)
        optimizer.step()
        moved[clip] = (trained.weight - model.weight).norm()
    assert moved[False] > 10_000 and moved[True] <= 0.1001

When the fix is safe
--------------------
While the norm stays below the bound (`max_norm`, 1.0 unless configured), every step is what it was; above it, the
gradient keeps its direction and gets the bound's length. The clip is written immediately before the step, in the
step's own block, so that accumulated gradients are clipped once, when they are complete. With a `GradScaler` the
gradients are unscaled first, once. Accelerate, Fabric and Lightning's manual optimisation get their own calls. Where
the function reads its settings from a `TrainingArguments` of transformers, the bound is its `max_grad_norm`, as in the
library's own Trainer, and nothing is clipped where that is 0.

The finding is a warning where something in view makes large gradients likely, and the message says what: a recurrent
net, attention, experts, a policy loss, a density that can be raised without limit (a flow, a width that is learnt),
float16 with a scaler, a check for losses that are not finite. It is information where the reason is weaker (SGD's step
is as long as the gradient, gradients through gradients, adversarial players, whose step sizes are part of a recipe),
and in Lightning's manual optimisation, where a callback may clip out of sight. The reason is read off the model whose
parameters the optimizer was built of, in whichever file of the project it is defined, or handed over to this one, and
off what feeds its loss; another model in the same class or file is none, nor is a frozen one that feeds it, where all
of the stepped model is in view. Where no reason is in view, the rule is silent.

Left alone
----------
Loops in which anything clips already, by whatever helper or hook, or handles `.grad` by hand; loops beside a setting
for clipping, since 0 or None mean that somebody decided against it, or one that the file lists as not supported;
optimizers that bound their own steps or can by an argument, LBFGS and every `step(closure)`; optimizers of an image, a
latent, a temperature, a linear probe, or of a part of a module by that module; shallow nets in view under an adaptive
optimizer; experts that all see every token, and gates without experts; policy losses on normalised advantages or
clamped ratios; critics with a gradient penalty or spectral norm; loops that see the same data every turn, or data that
are made up; losses summed over a batch or the whole data set; the terms of an evidence bound; players whose losses a
model hands over; linear heads; code that is deprecated or stands behind a `raise`; tools around training (learning rate
finders, explainers); steps of a runtime with hooks or of an optimizer that is another object's; actors and critics that
take turns on losses without a policy gradient; optimizers inside the backward pass; DeepSpeed, Lightning's automatic
optimisation and the Trainer of transformers, which clip by configuration; differentially private training; optimizers'
own code; tests and benchmarks; and a single step that nothing repeats.
A finding without a fix remains where a clip is commented out, where a setting of the file or of a file beside it is not
applied, and where the right call cannot be written here: sharded, tensor-parallel or sparse parameters, and optimizers
that synchronise or scale inside themselves.

Sources
-------
Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013). PyTorch documentation:
`torch.nn.utils.clip_grad_norm_`, and "Gradient clipping" among the automatic mixed precision examples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._clipping import (
    alternates,
    commented_out,
    handled,
    inside_optimizer,
    is_test,
    needs_no_clipping,
    trains,
)
from autofix.transforms.loops._loops import Pair, optimizer_step, pair
from autofix.transforms.loops._risks import ADVERSARIAL, Risk, risk
from autofix.transforms.loops._settings import (
    is_readable,
    refuses_setting,
    setting_beside,
    setting_elsewhere,
    training_arguments,
)
from autofix.transforms.loops._spared import is_handed_over, is_remote, is_small, needs_none, without_batches
from autofix.transforms.loops._written import bound_of, clipping_fix


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    step = optimizer_step(module, node)
    if step is None or is_test(module, node) or inside_optimizer(module, node):
        return
    found = pair(module, step)
    if found is None or not trains(module, found) or needs_no_clipping(module, step.optimizer):
        return
    if handled(module, found):
        return
    if needs_none(module, found):
        return
    reason = risk(module, found)
    strong = reason is not None and reason.strong
    if not strong and _is_unlikely(module, found, reason):
        return
    message = _message(module, found, reason)
    setting, switched_off = setting_elsewhere(module), commented_out(module, found)
    if reason is None and not setting and not switched_off:
        return
    if setting and refuses_setting(module):
        return
    if setting:
        why = f"the file has a setting {setting!r} that this step does not apply; use it here"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    arguments = training_arguments(module, found)
    if arguments is not None and not is_readable(module, arguments, found):
        why = f"{module.source(arguments)} is a TrainingArguments: clip by its max_grad_norm where it is above 0"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    if arguments is None and (beside := setting_beside(module, node)):
        why = f"{beside[1]} beside it clips by the setting {beside[0]!r}: read it and clip by it here as well"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    if switched_off:
        why = "a clip stands here commented out: restore it if leaving it out was not meant"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    quiet = not strong or found.backward.kind == "lightning" or alternates(module, found)
    severity = Severity.INFO if quiet or is_remote(module, found) else None
    try:
        fix = clipping_fix(found, context, bound_of(context, arguments))
    except Unrewritable as obstacle:
        yield context.finding(found.step.call, message, why=str(obstacle), severity=severity)
        return
    yield context.finding(found.step.call, message, fix=fix, severity=severity)


def _is_unlikely(module: Module, found: Pair, reason: Risk | None) -> bool:
    """Whether, with no strong reason against it, this loop is one that goes well without a bound, or somebody else's
    to decide about. Players without an adversary follow recipes (DDPG, TD3, SAC) that do without."""
    if is_remote(module, found) or is_small(module, found) or without_batches(module, found):
        return True
    if reason is None and is_handed_over(module, found):
        return True
    return reason is not ADVERSARIAL and alternates(module, found)


def _message(module: Module, found: Pair, reason: Risk | None) -> str:
    optimizer = module.source(found.step.optimizer)
    start = f"nothing bounds the gradients that {optimizer} steps on"
    cure = "clipping their norm bounds such steps (it does not cure NaN)"
    if reason is None:
        return f"{start}; nothing in view says that they spike, but where the loss does, {cure}"
    return f"{start}, and {reason.because}: one outlier batch can throw the weights off; {cure}"


RULE = Rule(
    name="grad-clip-missing",
    summary="An optimizer steps on gradients whose norm nothing bounds.",
    severity=Severity.WARNING,
    triggers=((b".step(",), (b"backward(",)),
    anchor=re.compile(r"\.step\("),
    nodes=(ast.Call,),
    check=check,
)
