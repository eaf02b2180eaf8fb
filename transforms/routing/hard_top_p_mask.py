"""A hard top-p cut-off chooses heads or experts, and no gradient passes the choice.

The defect
----------
A router's probabilities are sorted, accumulated and compared with a threshold; the boolean mask that comes out gates
experts or heads. A comparison has no gradient: nothing tells the router, or the module that predicts the threshold,
which choices were good.

Why it hurts
------------
The loss falls for a while, because everything behind the gate adapts to a choice that stays arbitrary, and then
stops far above the level that the same model reaches with everything switched on. Statistics of the router move all
the same (an auxiliary loss or weight decay moves them), which hides the cause. The gate that has the hard cut-off as
its limit is

    sigmoid((threshold - mass_before) / temperature),   mass_before = cumsum(p) - p

in sorted order: it lies above one half exactly where the hard mask is one. (In a check on a thousand random rows of
eight this held everywhere at every temperature; the form `sigmoid((cumulative - threshold) * temperature)`, which is
also in circulation, agreed in one place of eight: its sign is turned round.)

Before
------

    ranked, order = probs.sort(dim=-1, descending=True)
    mass_before = ranked.cumsum(dim=-1) - ranked
    keep = mass_before < self.threshold
    mask = torch.zeros_like(keep).scatter(-1, order, keep)
    return (heads * mask.unsqueeze(-1)).sum(dim=-2)

After
-----

    ranked, order = probs.sort(dim=-1, descending=True)
    mass_before = ranked.cumsum(dim=-1) - ranked
    keep = mass_before < self.threshold
    mask = torch.zeros_like(keep).scatter(-1, order, keep)
    # straight-through: the hard mask forward, the gradient of its soft gate backward
    soft_gate = torch.sigmoid((self.threshold - mass_before) / GATE_TEMPERATURE)
    soft_gate = soft_gate.scatter(-1, order, soft_gate)
    mask = mask.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
    return (heads * mask.unsqueeze(-1)).sum(dim=-2)

Try it
------

    import torch

    logits = torch.tensor([2.0, 1.0, 0.5, -1.0], requires_grad=True)
    heads, threshold = torch.arange(12.0).view(4, 3), 0.8
    ranked, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
    mass_before = ranked.cumsum(dim=-1) - ranked
    keep = mass_before < threshold
    mask = torch.zeros_like(keep).scatter(-1, order, keep)
    before = (heads * mask.unsqueeze(-1)).sum(dim=-2)
    soft_gate = torch.sigmoid((threshold - mass_before) / 0.1)
    soft_gate = soft_gate.scatter(-1, order, soft_gate)
    mask = mask.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
    after = (heads * mask.unsqueeze(-1)).sum(dim=-2)
    assert torch.equal(before, after) and not before.requires_grad
    assert torch.autograd.grad(after.sum(), logits)[0].norm() > 0

When the fix is safe
--------------------
Straight-through (the default) leaves every value of the forward pass as it is: the difference that is added is zero,
exactly. Only the backward pass changes, from no gradient to the gate's. Heads that a minimum or a rule keeps on stay
on. Where the code compares the mass with the item included, the gradient is still that of the mass before it: with
the item included, more probability for an item would push it out. (Moved along that gradient, the hard choice went
the wrong way in a trial; along the other one, the right way.) `--routing soft` writes `p * gate`, renormalised, in
place of the mask; that is another forward pass, so it counts as unsafe. `--routing gumbel` cannot express a choice of
several and writes nothing. `[tool.autofix.rule.hard-top-p-mask]` sets `routing` and `temperature` for this rule alone.

Left alone
----------
Samplers and logits processors, code without gradients, evaluation, losses and metrics; masks that put minus infinity
into scores; an estimator that is there already (`hard + soft - soft.detach()`, Gumbel, an autograd function). Where
the kept probabilities also multiply the outputs, the router has a gradient and the hard form may be meant: with a
fixed threshold that is information only, with a learnt one it is a warning, since the threshold still has none.

Sources
-------
Bengio, Léonard, Courville: Estimating or propagating gradients through stochastic neurons (2013), for the
straight-through estimator. Jin et al.: MoH, multi-head attention as mixture-of-head attention (2024). Huang et al.:
Harder tasks need more experts, dynamic routing in MoE models (2024).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity, Span
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.transforms.routing._cut_off import CutOff, cut_off
from autofix.transforms.routing._gate import Writer, Written
from autofix.transforms.routing._gated import Gated, gated
from autofix.transforms.routing._ranked import is_detached
from autofix.transforms.routing._routing import (
    form_of,
    functions_around,
    has_gradient_already,
    is_target,
    routes,
    trains_nothing,
    width_of,
)
from autofix.transforms.routing._spelling import without_conversion
from autofix.transforms.routing._top_p_loop import LoopCutOff, gated_loop, loop_cut_off, write_loop

_GUMBEL = "Gumbel-softmax picks one item, and a top-p cut-off keeps several: use --routing straight-through or soft"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    found: CutOff | LoopCutOff | None
    found = loop_cut_off(module, node) if isinstance(node, (ast.For, ast.While)) else cut_off(module, node)
    if found is None or trains_nothing(module, node):
        return
    functions = functions_around(module, node)
    if not functions or any(has_gradient_already(f) for f in functions) or not routes(module, functions[0]):
        return
    if is_detached(module, found.probabilities) or is_target(module, found.probabilities):
        return
    gate = gated_loop(module, found) if isinstance(found, LoopCutOff) else gated(module, found)
    if gate is None:
        return
    yield _finding(found, gate, context)


def _finding(found: CutOff | LoopCutOff, gate: Gated, context: Context) -> Finding:
    severity = Severity.ERROR
    if gate.kept:
        severity = Severity.WARNING if gate.learnt else Severity.INFO
    message = _message(found, gate, context)
    if severity is Severity.INFO:
        why = "the kept probabilities carry a gradient to the router, so the hard cut-off may be meant"
        return context.finding(found.node, message, why=why, severity=severity)
    if gate.why:
        return context.finding(found.node, message, why=gate.why, severity=severity)
    form = form_of(context)
    if form == "gumbel":
        return context.finding(found.node, message, why=_GUMBEL, severity=severity)
    soft = form == "soft"
    if soft and gate.kept:
        why = "the outputs are multiplied by the kept probabilities already: use --routing straight-through"
        return context.finding(found.node, message, why=why, severity=severity)
    try:
        if isinstance(found, LoopCutOff):
            written = write_loop(context.module, found, gate, soft, width_of(context))
        else:
            writer = Writer(context.module, found, gate.tracer, gate.uses, soft)
            writer.width = width_of(context)
            written = writer.write()
    except Unrewritable as reason:
        return context.finding(found.node, message, why=str(reason), severity=severity)
    return context.finding(found.node, message, fix=_fix(written, found, context, soft), severity=severity)


def _message(found: CutOff | LoopCutOff, gate: Gated, context: Context) -> str:
    probabilities = _short(found.probabilities, "the scores", context)
    threshold = _short(found.threshold, "its threshold", context)
    if gate.kept and gate.learnt:
        return f"{threshold} is only ever compared, so it gets no gradient: how many items are kept is never learnt"
    if gate.kept:
        return f"items beyond the top-p cut-off give {probabilities} no gradient; it comes from the kept ones alone"
    cut = "no gradient passes the hard top-p mask, so"
    if gate.learnt:
        return f"{cut} neither the router behind {probabilities} nor {threshold} learns which items to keep"
    return f"{cut} the router behind {probabilities} never learns which items to keep"


def _short(node: ast.expr, otherwise: str, context: Context) -> str:
    text = context.module.source(without_conversion(node))
    return text if len(text) <= 40 else otherwise


def _fix(written: Written, found: CutOff | LoopCutOff, context: Context, soft: bool) -> Fix:
    module = context.module
    start, end = module.chars(written.first)[0], module.chars(written.last)[1]
    region = Span(module.byte(start), module.byte(end))
    if soft:
        return Fix(
            title="weight by probability times the gate whose limit the hard mask is, so that the choice is learnt",
            edits=written.edits,
            applicability=Applicability.UNSAFE,
            claim=Claim(
                Relation.SOFT,
                region=region,
                results=(written.name,) if written.name else (),
                hazard=("zero-gradient",),
                parameters={"temperature": width_of(context), "temperature_name": written.temperature},
                change="the hard mask becomes weights that sum to one; they tend to the kept probabilities as the "
                "temperature falls",
            ),
        )
    return Fix(
        title="add the gradient of the gate whose limit the hard mask is; the forward pass stays as it is",
        edits=written.edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.STRAIGHT_THROUGH,
            region=region,
            results=(written.name,) if written.name else (),
            hazard=("zero-gradient",),
        ),
    )


RULE = Rule(
    name="hard-top-p-mask",
    summary="A hard top-p cut-off chooses heads or experts, and no gradient passes the choice.",
    severity=Severity.ERROR,
    triggers=((b"cumsum", b"break", b"while "), (b"sort", b"topk"), (b"softmax", b"sigmoid", b"prob")),
    anchor=re.compile(r"cumsum(?!\((?:dim ?= ?)?-?\d\) - 1)(?!\([\w.]*\.int\(\))"),
    beside=re.compile(r"[<>]|\.[lg][te]\(|searchsorted|argmax"),
    further=((re.compile(r"break\b|while\b"), re.compile(r"prob|softmax|sigmoid|gat|rout|score|weight|logit|top_?p")),),
    nodes=(ast.Compare, ast.Call, ast.For, ast.While),
    check=check,
)
