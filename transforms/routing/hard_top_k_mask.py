"""A hard choice of the best experts or heads gates them, and nothing carries a gradient to the router.

The defect
----------
The largest scores of a router are turned into zeros and ones (`one_hot(argmax)`, ones scattered or stored at the
indices of `topk`, a comparison with a threshold or with the k-th largest, a rounded sigmoid), and these alone are
multiplied with what experts or heads compute. Neither an index nor a comparison has a gradient.

Why it hurts
------------
The router keeps the weights that it was initialised with, and everything behind it adapts to a choice that stays
arbitrary. Weight decay and auxiliary losses move the router all the same, which hides the cause.

Before
------

    probs = torch.softmax(self.router(x), dim=-1)
    index = probs.argmax(dim=-1)
    mask = F.one_hot(index, self.experts).float()
    return (outputs * mask.unsqueeze(-1)).sum(dim=-2)

After
-----

    probs = torch.softmax(self.router(x), dim=-1)
    index = probs.argmax(dim=-1)
    mask = F.one_hot(index, self.experts).float()
    # straight-through: the hard choice forward, the gradient of the probabilities backward
    mask = mask + (probs - probs.detach())
    return (outputs * mask.unsqueeze(-1)).sum(dim=-2)

Try it
------

    import torch
    import torch.nn.functional as F

    logits = torch.tensor([2.0, 1.0, -1.0], requires_grad=True)
    outputs = torch.arange(6.0).view(3, 2)
    probs = torch.softmax(logits, dim=-1)
    mask = F.one_hot(probs.argmax(dim=-1), 3).float()
    before = (outputs * mask.unsqueeze(-1)).sum(dim=-2)
    mask = mask + (probs - probs.detach())
    after = (outputs * mask.unsqueeze(-1)).sum(dim=-2)
    assert torch.equal(before, after) and not before.requires_grad
    assert torch.autograd.grad(after.sum(), logits)[0].norm() > 0

When the fix is safe
--------------------
Straight-through (the default) leaves every value of the forward pass as it is: the difference that is added is zero,
exactly. Only the backward pass changes. `--routing soft` multiplies the mask by the probabilities of what was selected,
as Switch Transformers do, and `--routing gumbel` samples a single choice with `gumbel_softmax(..., hard=True)`; both
are another forward pass, so they count as unsafe. `[tool.autofix.rule.hard-top-k-mask]` sets `routing` and
`temperature` for this rule alone.

Left alone
----------
Masks beside which the probabilities multiply the outputs as well (dispatch and combine), or are handed out; masks that
count tokens, mask scores or restrict a selection to groups; an index that picks experts where anything else is done
with the scores or with the router (where nothing is, it is told, without a fix: weighting changes the forward pass);
estimators that are there already; samplers, evaluation, losses and metrics; scores without a gradient.

Sources
-------
Bengio, Léonard, Courville: Estimating or propagating gradients through stochastic neurons (2013); Jang et al.:
Categorical reparameterization with Gumbel-softmax (2017); Fedus et al.: Switch transformers (2021).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._by_index import router_that_only_indexes
from autofix.transforms.routing._cut_off import CutOff
from autofix.transforms.routing._gated import Gated, carries, in_statistic, is_kept, judge, probability_names
from autofix.transforms.routing._hard_choice import Choice, hard_choice
from autofix.transforms.routing._mask_writer import MaskWriter
from autofix.transforms.routing._ranked import is_detached, is_number
from autofix.transforms.routing._routing import (
    GUMBEL_TEMPERATURE,
    form_of,
    functions_around,
    has_gradient_already,
    is_target,
    trains_nothing,
    width_of,
)
from autofix.transforms.routing._selected import routes_tokens, squashed
from autofix.transforms.routing._spelling import is_simple, temperature
from autofix.transforms.routing._uses import Tracer
from autofix.tree import last_part, walk

_WEIGHT = (
    "multiply what is picked by the probability of the choice, as a switch layer does; it changes the forward pass"
)
_SEVERAL = "Gumbel-softmax picks one item, and several are chosen here: use --routing straight-through or soft"
_CHOOSING = ("one_hot", "scatter", "scatter_", "masked_fill", "round")
_GUMBEL_CHANGE = "the choice is sampled from the probabilities in place of the largest"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if _may_index(node):
        yield from _indexed(node, context)
        return
    if not _may_choose(node):
        return
    functions = functions_around(module, node)
    if not functions or not routes_tokens(module, node) or trains_nothing(module, node):
        return
    found = hard_choice(module, node)
    if found is None or any(has_gradient_already(f) for f in functions):
        return
    if is_detached(module, found.scores) or is_target(module, found.scores):
        return
    tracer = Tracer(module)
    if found.bound is not None:
        definition = module.flow(node).definition_before(found.bound[0], found.bound[1])
        if definition is None or not isinstance(definition.statement, ast.Assign):
            return
        tracer.bind(found.bound[0], definition.statement, found.state)
    else:
        tracer.follow(found.node, found.state)
    cut = found.as_cut_off(module)
    gate = judge(module, cut, tracer)
    if gate is None or gate.kept or not _is_gate(gate) or _scores_used(module, functions[0], found, cut, gate):
        return
    yield _finding(found, gate, context)


def _may_index(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("argmax", "topk", "max")


def _indexed(node: ast.AST, context: Context) -> Iterator[Finding]:
    """A choice that is used as a number: the experts' outputs are picked by it and weighted by nothing."""
    module = context.module
    functions = functions_around(module, node)
    if not functions or not routes_tokens(module, node) or trains_nothing(module, node):
        return
    router = router_that_only_indexes(module, node)
    if router:
        message = (
            f"self.{router} never learns what to select: its scores choose an index, through which no gradient passes"
        )
        yield context.finding(node, message, why=_WEIGHT)


def _may_choose(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return len(node.ops) == 1
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript)
    return isinstance(node, ast.Call) and last_part(node.func) in _CHOOSING


def _is_gate(gate: Gated) -> bool:
    return any(u.kind in ("multiply", "operand", "zero") for u in gate.uses) and not gate.why


def _scores_used(module: Module, function: ast.AST, found: Choice, cut: CutOff, gate: Gated) -> bool:
    """Whether the scores, or values made of them, leave the function or reach a call that may use their gradient."""
    names = probability_names(module, cut, function)
    inside = {id(n) for n in walk(found.node)}
    if any(is_kept(module, use, names) for use in gate.tracer.uses):
        return True
    for part in walk(function):
        if isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Mult, ast.MatMult)):
            sides = (part.left, part.right)
            if any(carries(module, s, names) for s in sides) and not in_statistic(module, part):
                return True
        if isinstance(part, ast.Return):
            elements = part.value.elts if isinstance(part.value, ast.Tuple) else []
            if any(isinstance(e, ast.Name) and e.id in names for e in elements):
                return True
        if isinstance(part, ast.Call) and not tensor_op(module, part):
            dotted = module.qualified(part.func) or ""
            plain = [a for a in [*part.args, *(k.value for k in part.keywords)] if isinstance(a, ast.Name)]
            if not dotted.startswith("torch") and any(a.id in names for a in plain):
                return True
        selected = isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in inside
        if selected and _multiplies_selected(module, part, found):
            return True
    return False


def _multiplies_selected(module: Module, name: ast.AST, found: Choice) -> bool:
    """Whether the selected values of the same `topk` or `max`, or a gather of the scores, are factors elsewhere."""
    assert isinstance(name, ast.Name)
    definition = module.flow(name).definition(name)
    statement = definition.statement if definition is not None else None
    if not isinstance(statement, ast.Assign) or statement is module.statement(found.node):
        return False
    value = statement.value
    if isinstance(value, ast.Attribute) and value.attr == "indices":
        return False
    if isinstance(value, ast.Subscript) and is_number(value.slice, 1):
        return False
    calls = [n for n in walk(statement.value) if isinstance(n, ast.Call)]
    ops = [tensor_op(module, c, "topk", "max", "gather", "amax") for c in calls]
    text = ast.unparse(found.scores)
    if not any(o is not None and ast.unparse(o.input) == text for o in ops):
        return False
    target = statement.targets[0]
    first = target.elts[0] if isinstance(target, (ast.Tuple, ast.List)) and target.elts else target
    if not isinstance(first, ast.Name) or first.id != name.id:
        return False
    return any(
        (isinstance(a, ast.BinOp) and isinstance(a.op, (ast.Mult, ast.Div)))
        or isinstance(a, (ast.Return, ast.Call))
        or (isinstance(a, ast.AugAssign) and isinstance(a.op, ast.Mult))
        for a in module.ancestors(name)
        if not isinstance(a, (ast.FunctionDef, ast.ClassDef, ast.Module))
    )


# -- what is found -----------------------------------------------------------------------------------------------


def _finding(found: Choice, gate: Gated, context: Context) -> Finding:
    module = context.module
    text = module.source(found.scores)
    scores = text if len(text) <= 40 else "the scores"
    what = f"the comparison with {module.source(found.threshold)}" if found.threshold is not None else "the hard choice"
    message = f"no gradient passes {what}, so the router behind {scores} never learns what to select"
    form = form_of(context)
    try:
        written = MaskWriter(module, found, gate, form == "soft", width_of(context))
        fix = _gumbel(module, found) if form == "gumbel" else written.fix()
    except Unrewritable as reason:
        return context.finding(found.node, message, why=str(reason))
    return context.finding(found.node, message, fix=fix)


def _gumbel(module: Module, found: Choice) -> Fix:
    """`gumbel_softmax(logits, tau, hard=True)` in place of the one-hot of the largest."""
    if not found.single or found.threshold is not None:
        raise Unrewritable(_SEVERAL)
    if found.bound is not None or not isinstance(found.node, ast.Call):
        raise Unrewritable("the choice is written in place: use --routing straight-through")
    logits = _logits(module, found.scores)
    sampler = module.names.reference("torch.nn.functional.gumbel_softmax", found.node)
    if logits is None or sampler is None:
        raise Unrewritable("the logits behind the choice have no name: use --routing straight-through")
    scope = module.function_scope(found.node)
    tau, edits = temperature(module, scope, GUMBEL_TEMPERATURE, 1.0, "1 is the distribution of the logits itself")
    # in float16 the noise itself overflows: its logarithm is taken of numbers that are rounded to 0
    text = f"{sampler.text}({logits}.float(), tau={tau}, hard=True, dim=-1)"
    return Fix(
        title="sample the choice with the Gumbel-softmax, hard forward and differentiable backward",
        edits=(*edits, *sampler.edits, *rewrite.replace(module, found.node, text)),
        applicability=Applicability.UNSAFE,
        claim=Claim(Relation.INTENDED, hazard=("zero-gradient",), change=_GUMBEL_CHANGE),
    )


def _logits(module: Module, scores: ast.expr) -> str | None:
    value = module.flow(scores).value(scores) if isinstance(scores, ast.Name) else scores
    op = tensor_op(module, value, "softmax")
    if op is not None:
        return module.source(op.input) if isinstance(op.input, ast.Name) else None
    return module.source(scores) if is_simple(scores) and not squashed(module, scores) else None


RULE = Rule(
    name="hard-top-k-mask",
    summary="A hard choice of the best experts or heads gates them, and nothing carries a gradient to the router.",
    severity=Severity.ERROR,
    triggers=(
        (
            b"one_hot(",
            b"scatter",
            b" > ",
            b" >= ",
            b" < ",
            b" <= ",
            b"argmax(",
            b"topk(",
            b".max(",
            b".round(",
            b"amax(",
        ),
        (b"softmax", b"sigmoid", b"logits", b"argmax", b"topk"),
        (b"rout", b"gate", b"gating", b"expert", b"Gat", b"Rout"),
    ),
    anchor=re.compile(r"one_hot\(|scatter_?\(| <=? | >=? | == [\w.]+\.a?max\(|\] = (?:1|True|0)|\.round\("),
    beside=re.compile(r"argmax\(|topk\(|sigmoid\(|softmax\(|Softmax\(|Sigmoid\("),
    nodes=(ast.Call, ast.Compare, ast.Assign),
    check=check,
    further=((re.compile(r"argmax\(|topk\(|\.max\("), re.compile(r"xpert")),),
)
