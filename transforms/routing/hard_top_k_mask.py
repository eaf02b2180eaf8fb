"""A hard choice of the best experts or heads gates them, and nothing carries a gradient to the router.

The defect
----------
The largest scores of a router are turned into zeros and ones (`one_hot(argmax)`, ones scattered to the indices of
`topk`, a comparison with a threshold), and these alone are multiplied with what experts or heads compute. Neither an
index nor a comparison has a gradient.

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
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._by_index import router_that_only_indexes
from autofix.transforms.routing._cut_off import CutOff
from autofix.transforms.routing._gated import Gated, carries, in_statistic, is_kept, judge, probability_names
from autofix.transforms.routing._hard_choice import Choice, hard_choice
from autofix.transforms.routing._mask import Held, Use
from autofix.transforms.routing._ranked import is_detached, is_number
from autofix.transforms.routing._routing import (
    GUMBEL_TEMPERATURE,
    form_of,
    fresh,
    functions_around,
    has_gradient_already,
    is_target,
    trains_nothing,
    width_of,
)
from autofix.transforms.routing._selected import routes_tokens, squashed
from autofix.transforms.routing._spelling import bracketed, is_simple, temperature
from autofix.transforms.routing._uses import Tracer
from autofix.tree import walk

_COMMENT = "# straight-through: the hard choice forward, the gradient of the {} backward"
_WEIGHT = (
    "multiply what is picked by the probability of the choice, as a switch layer does; it changes the forward pass"
)
_SEVERAL = "Gumbel-softmax picks one item, and several are chosen here: use --routing straight-through or soft"
_SOFT_CHANGE = "what is selected is weighted by its probability in place of 1"
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
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("one_hot", "scatter", "scatter_")


def _is_gate(gate: Gated) -> bool:
    return any(u.kind in ("multiply", "operand", "zero") for u in gate.uses) and not gate.why


def _scores_used(module: Module, function: ast.AST, found: Choice, cut: CutOff, gate: Gated) -> bool:
    """Whether the scores, or values made of them, leave the function or reach a call that may use their gradient."""
    names = probability_names(module, cut, function)
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
        selected = isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
        if selected and _multiplies_selected(module, part, found):
            return True
    return False


def _multiplies_selected(module: Module, name: ast.AST, found: Choice) -> bool:
    """Whether the selected values of the same `topk` or `max`, or a gather of the scores, are factors elsewhere."""
    assert isinstance(name, ast.Name)
    definition = module.flow(name).definition(name)
    statement = definition.statement if definition is not None else None
    if not isinstance(statement, ast.Assign):
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
        written = _Written(module, found, gate, form == "soft", width_of(context))
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


@dataclass(frozen=True, slots=True)
class _Written:
    """Writes the gradient beside the mask, or the probabilities into it."""

    module: Module
    found: Choice
    gate: Gated
    soft: bool
    width: float

    def fix(self) -> Fix:
        """The fix.

        Raises:
            Unrewritable: with the reason, for a person.
        """
        module, found = self.module, self.found
        held = self._held()
        scope = module.function_scope(found.node)
        lines, edits, soft, named = self._probabilities(scope)
        if held is None:
            return self._inline(soft, lines, edits)
        at = self._after(held)
        kind = held.state.kind
        name = held.name
        if kind in ("bool", "int") and not self._only_gates(held):
            raise Unrewritable(f"{name} is used as an index or counted as well; give the gate a name of its own there")
        text = self._sum(name, soft, kind)
        comment = [] if self.soft else [_COMMENT.format(named)]
        edits = (*edits, rewrite.insert_after(module, at, *comment, *lines, f"{name} = {text}"))
        return self._fix(edits, name, found.node, at)

    def _probabilities(self, scope: ast.AST) -> tuple[list[str], tuple[Edit, ...], str, str]:
        """The lines before the sum, edits elsewhere, the name of the soft gate and what to call it."""
        module, scores = self.module, self.found.scores
        if self.found.threshold is not None and not self.soft:
            if not is_simple(scores) or not is_simple(self.found.threshold):
                raise Unrewritable("scores and threshold must have names that can be read again")
            tau, edits = temperature(module, scope, number=self.width)
            soft = fresh(scope, "soft_gate", "gate_probability")
            sigmoid = module.names.reference("torch.sigmoid", self.found.node)
            if sigmoid is None:
                raise Unrewritable("torch is another name here")
            inside = f"{module.source(scores)} - {bracketed(module.source(self.found.threshold))}"
            line = f"{soft} = {sigmoid.text}(({inside}) / {tau})"
            return [line], (*edits, *sigmoid.edits), soft, "gate"
        if squashed(module, scores):
            if not is_simple(scores):
                raise Unrewritable("give the probabilities a name, and use it for the choice and for the gradient")
            return [], (), module.source(scores), "probabilities"
        if not is_simple(scores):
            raise Unrewritable("give the logits a name, and use it for the choice and for the gradient")
        softmax = module.names.reference("torch.softmax", self.found.node)
        if softmax is None:
            raise Unrewritable("torch is another name here")
        soft = fresh(scope, "soft_gate", "gate_probability")
        return [f"{soft} = {softmax.text}({module.source(scores)}, dim=-1)"], softmax.edits, soft, "probabilities"

    def _sum(self, name: str, soft: str, kind: str) -> str:
        if self.soft:
            return f"{name} * {soft}"
        if kind == "cast":
            return f"{name} + ({soft} - {soft}.detach()).to({name}.dtype)"
        hard = f"{name}.to({soft}.dtype)" if kind in ("bool", "int") else name
        return f"{hard} + ({soft} - {soft}.detach())"

    def _inline(self, soft: str, lines: list[str], edits: tuple[Edit, ...]) -> Fix:
        """The mask stands in the expression that uses it: give it a line of its own."""
        module = self.module
        if len(self.gate.uses) > 1:
            raise Unrewritable("the mask has no name of its own; give it one")
        use = self.gate.uses[0]
        whole = self._plain(use)
        statement = module.statement(whole)
        if any(isinstance(a, (ast.Lambda, ast.ListComp, ast.GeneratorExp)) for a in module.ancestors(whole)):
            raise Unrewritable("the mask has no name of its own; give it one")
        name = fresh(module.function_scope(whole), "gate", "hard_gate")
        comment = (
            [] if self.soft else [_COMMENT.format("gate" if self.found.threshold is not None else "probabilities")]
        )
        kind = self.found.state.kind if whole is self.found.node else use.state.kind
        text = self._sum(name, soft, kind)
        added = [f"{name} = {module.source(whole)}", *comment, *lines, f"{name} = {text}"]
        start, end = module.chars(whole)
        edits = (*edits, rewrite.insert_before(module, statement, *added), Edit(module.char_span(start, end), name))
        return self._fix(edits, "", statement, statement)

    def _plain(self, use: Use) -> ast.expr:
        """The mask with its cast, before its shape changes."""
        node: ast.expr = self.found.node
        while node is not use.mask:
            parent = self.module.parent(node)
            call = self.module.parent(parent) if isinstance(parent, ast.Attribute) else None
            casts = isinstance(parent, ast.Attribute) and parent.attr in ("float", "to", "type_as", "double")
            if not casts or not isinstance(call, ast.Call):
                break
            node = call
        return node

    def _fix(self, edits: tuple[Edit, ...], name: str, first: ast.AST, last: ast.stmt) -> Fix:
        module = self.module
        start, end = module.chars(module.statement(first))[0], module.chars(last)[1]
        region = Span(module.byte(start), module.byte(end))
        results = (name,) if name else ()
        if self.soft:
            return Fix(
                title="multiply the mask by the probabilities of what it selects",
                edits=edits,
                applicability=Applicability.UNSAFE,
                claim=Claim(
                    Relation.INTENDED, region=region, results=results, hazard=("zero-gradient",), change=_SOFT_CHANGE
                ),
            )
        return Fix(
            title="add the gradient of the probabilities to the hard choice; the forward pass stays as it is",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=Claim(
                Relation.STRAIGHT_THROUGH,
                region=region,
                results=results,
                hazard=("zero-gradient",),
            ),
        )

    # -- where -----------------------------------------------------------------------------------------------

    def _held(self) -> Held | None:
        """The last variable on the way to every gate that holds the plain mask, in the scores' own shape."""
        uses = [u for u in self.gate.uses if u.path] if self.gate.uses else []
        if len(uses) < len(self.gate.uses) or not uses:
            return None
        common = [h for h, _ in uses[0].path]
        for use in uses[1:]:
            mine = [h for h, _ in use.path]
            common = [a for a, b in zip(common, mine, strict=False) if a is b]
        for held in reversed(common):
            plain = not held.state.shaped and not held.state.scaled and held.state.true_below
            if plain and "combine" not in held.arrived:
                return held
        raise Unrewritable(
            "the mask is combined with others or reshaped on the way to its use; add the gate by hand there"
        )

    def _after(self, held: Held) -> ast.stmt:
        """The statement after which the mask is final."""
        first = min(self.module.statement(u.node).lineno for u in self.gate.uses)
        at = held.binding
        block = self.module.block(held.binding)
        for mutation in self.gate.tracer.mutations.get(held.binding, []):
            inside = next((s for s in block if s is mutation), None)
            if inside is None or inside.lineno >= first:
                raise Unrewritable("the mask still changes after its first use")
            at = inside if inside.lineno > at.lineno else at
        if isinstance(at, ast.AugAssign) or any(h is held for h, _ in self.gate.tracer.unclear):
            raise Unrewritable(f"{held.name} has several meanings where it is used; name the gate apart first")
        return at

    def _only_gates(self, held: Held) -> bool:
        mine = {id(u) for u in self.gate.uses}
        others = (u for u in self.gate.tracer.uses if any(h is held for h, _ in u.path) and id(u) not in mine)
        return all(u.kind == "count" for u in others)


RULE = Rule(
    name="hard-top-k-mask",
    summary="A hard choice of the best experts or heads gates them, and nothing carries a gradient to the router.",
    severity=Severity.ERROR,
    triggers=(
        (b"one_hot(", b"scatter", b" > ", b" >= ", b" < ", b" <= ", b"argmax(", b"topk(", b".max("),
        (b"softmax", b"sigmoid", b"logits", b"argmax", b"topk"),
        (b"rout", b"gate", b"gating", b"expert", b"Gat", b"Rout"),
    ),
    anchor=re.compile(r"one_hot\(|scatter_?\(| <=? | >=? "),
    beside=re.compile(r"argmax\(|topk\(|sigmoid\(|softmax\(|Softmax\(|Sigmoid\("),
    nodes=(ast.Call, ast.Compare),
    check=check,
    further=((re.compile(r"argmax\(|topk\(|\.max\("), re.compile(r"xpert")),),
)
