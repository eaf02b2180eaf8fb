"""Writing a gradient beside a hard mask: the straight-through sum, or the probabilities of what is selected."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Fix, Relation, Span
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.routing._gated import Gated
from autofix.transforms.routing._hard_choice import Choice
from autofix.transforms.routing._mask import Held, Use
from autofix.transforms.routing._routing import fresh
from autofix.transforms.routing._selected import squashed
from autofix.transforms.routing._spelling import bracketed, is_simple, temperature

_COMMENT = "# straight-through: the hard choice forward, the gradient of the {} backward"
_WIDTH = "width of the gate around the threshold, in the units of the scores"
_SOFT_CHANGE = "what is selected is weighted by its probability in place of 1"


def _reads_twice(module: Module, node: ast.expr) -> bool:
    """Whether a value may be spelled again: a name, or its absolute value or sigmoid."""
    op = tensor_op(module, node, "abs", "sigmoid") if isinstance(node, ast.Call) else None
    return is_simple(node) or (op is not None and is_simple(op.input))


@dataclass(frozen=True, slots=True)
class MaskWriter:
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
            if not _reads_twice(module, scores) or not _reads_twice(module, self.found.threshold):
                raise Unrewritable("scores and threshold must have names that can be read again")
            tau, edits = temperature(module, scope, number=self.width, meaning=_WIDTH)
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
        comment = [] if self.soft else [_COMMENT.format(self._what())]
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
            title=f"add the gradient of the {self._what()} to the hard choice; the forward pass stays as it is",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=Claim(
                Relation.STRAIGHT_THROUGH,
                region=region,
                results=results,
                hazard=("zero-gradient",),
            ),
        )

    def _what(self) -> str:
        return "gate" if self.found.threshold is not None else "probabilities"

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
            around = {mutation, *self.module.ancestors(mutation)}  # it may stand in a loop over the tokens
            inside = next((s for s in block if s in around), None)
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
