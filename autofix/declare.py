"""Rules that are declared: a pattern, what it becomes, and the inputs that tell the two apart.

From one `Identity` come the rule's check, its fix, the claim that the verifier runs, and the code snippets (in every
spelling) on which the declaration itself is tested.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.origins import has_complex
from autofix.pattern import Match, Pattern
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.substitute import Derived, Substitution, Target, substitute
from autofix.syntax import Module
from autofix.tree import walk

Guard = Callable[[Module, Match], bool]
Words = Callable[[Module, Match], str]
Derive = Callable[[Module, Match], "Derived | None"]
# "(11.09 in float16)", and a last clause such as ", and in float16 the squares overflow".
_OF_HALF = re.compile(r" \([^()]* in float16\)|(?:;|, and) in float16 [^;]*$")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Operand:
    """What a metavariable stands for when the declaration is tested.

    code: source text of the value, for one that is no tensor ("1", "1e-8"). ordinary: the bounds within which original
    and replacement agree. hazard: the bounds of an evenly spaced tensor on which the original fails.
    """

    code: str = ""
    ordinary: tuple[float, float] = (-3.0, 3.0)
    hazard: tuple[float, float] = (-1000.0, 1000.0)


@dataclass(frozen=True)
class Form:
    """One kind of the defect.

    patterns: see `autofix.pattern`; the first that matches counts. replacement: see `autofix.substitute`; empty when
    there is none, and `why` says why. method: the replacement where every matched operation is written as a method.
    message, change: `{x}` stands for the source of a capture (a message may also be made by a function). change: which
    finite values change and by how much; empty when none does. title: what this form's fix does, where the identity's
    own title does not say it. relation, applicability, assumptions: of the claim and the fix. when: all must hold, or
    another form is tried. refuse: a reason, where this code must not be rewritten. derive: expressions made from the
    match, for the replacement; the form does not apply where one gives None. tidy: nothing diverges today, so it is
    worth saying only where the rewrite leaves nothing of the old way behind. operands: what the metavariables stand for
    in tests.
    """

    patterns: tuple[str, ...]
    replacement: str
    message: str | Words
    method: str = ""
    why: str = ""
    change: str = ""
    title: str = ""
    hazard: tuple[str, ...] = ("value", "gradient")
    relation: Relation = Relation.EQUAL
    applicability: Applicability = Applicability.SAFE
    assumptions: tuple[str, ...] = ()
    severity: Severity | None = None
    when: tuple[Guard, ...] = ()
    refuse: tuple[Words, ...] = ()
    tidy: bool = False
    derive: Mapping[str, Derive] = field(default_factory=dict)
    operands: Mapping[str, Operand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.replacement) == bool(self.why):
            raise ValueError(f"{self.patterns[0]}: give either a replacement or the reason that there is none")
        known = {hole.name for p in self.compiled for hole in p.metavariables.values()} | set(self.derive)
        message = self.message if isinstance(self.message, str) else ""
        for text in (self.replacement, self.method, message, self.change, self.why):
            unknown = set(_PLACEHOLDER.findall(text)) - known
            if unknown:
                raise ValueError(f"{self.patterns[0]}: {sorted(unknown)[0]!r} is bound nowhere")

    @cached_property
    def compiled(self) -> tuple[Pattern, ...]:
        return tuple(Pattern(text) for text in self.patterns)

    @cached_property
    def _roots(self) -> tuple[frozenset[str], ...]:
        return tuple(frozenset((pattern.root,)) for pattern in self.compiled)

    def match(self, module: Module, node: ast.Call | ast.BinOp) -> Match | None:
        for pattern, root in zip(self.compiled, self._roots, strict=True):
            found = pattern.match(module, node) if _may_be(node, root) else None
            if found is not None and all(guard(module, found) for guard in self.when):
                return found
        return None


@dataclass(frozen=True)
class Identity:
    """A pair of expressions that are equal on paper, of which one is stable.

    name, summary, severity, triggers, anchor, beside, at_anchor: as in `Rule`. title: what the fix does, in one clause;
    `{new}` stands for what is written. forms: tried in order; the first that matches speaks. local: a name for the
    operand where it needs one. silent: code that must never be touched, whichever form matches (complex tensors never
    are). quiet: code where the finding is information. in_full: whether the values are certainly not float16, of which
    the message then says nothing. near_misses: expressions of `x` and `y` that only resemble a form, for the tests.
    """

    name: str
    summary: str
    severity: Severity
    triggers: tuple[tuple[bytes | re.Pattern[bytes], ...], ...]
    anchor: re.Pattern[str]
    title: str
    forms: tuple[Form, ...]
    local: str = "logits"
    silent: tuple[Guard, ...] = ()
    quiet: tuple[Guard, ...] = ()
    in_full: Guard | None = None
    near_misses: tuple[str, ...] = ()
    beside: re.Pattern[str] | None = None
    at_anchor: bool = False

    @cached_property
    def roots(self) -> frozenset[str]:
        """The outermost operations of the forms."""
        return frozenset(pattern.root for form in self.forms for pattern in form.compiled)

    @cached_property
    def rule(self) -> Rule:
        nodes: tuple[type[ast.AST], ...] = (ast.Call,)
        if any(isinstance(pattern.tree, ast.BinOp) for form in self.forms for pattern in form.compiled):
            nodes = (ast.Call, ast.BinOp)
        return Rule(
            self.name,
            self.summary,
            self.severity,
            self.triggers,
            self.anchor,
            nodes,
            self.check,
            beside=self.beside,
            at_anchor=self.at_anchor,
        )

    def check(self, node: ast.AST, context: Context) -> Iterator[Finding]:
        """At most one finding: the first form that `node` has.

        The fix rewrites every match in the statement: one that stays would still fail, whatever became of the other.
        What the fix of an earlier match rewrites all the same is not told again.
        """
        module = context.module
        found = self._found(module, node)
        if found is None:
            return
        reason, made = found.why, {}
        if not reason:
            statement = module.statement(found.node)
            others = [self._found(module, n) for n in walk(statement) if n is not node]
            beside = [o for o in others if o and o.is_like(found) and module.statement(o.node) is statement]
            try:
                made = self._rewritten(module, [found, *_apart(module, found, beside)])
            except Unrewritable as error:
                reason = str(error)
        if found.form.tidy and (reason or not made[found.node].complete):
            return
        is_quiet = any(guard(module, found.match) for guard in self.quiet)
        severity = Severity.INFO if is_quiet else found.form.severity
        if reason:
            yield context.finding(found.node, found.message, why=reason, severity=severity)
            return
        matches = [o for o in (found, *beside) if o.node in made]
        claim = Claim(
            found.form.relation,
            hazard=tuple(dict.fromkeys(h for o in matches for h in o.form.hazard)),
            change="; ".join(dict.fromkeys(o.change for o in matches if o.change)),
            assumptions=tuple(dict.fromkeys(a for o in matches for a in o.assumptions)),
        )
        edits = _edits(made)
        others_first = sorted((o for o in beside if o.node in made), key=lambda o: module.chars(o.node))
        if others_first and self._is_told(module, others_first[0], found, [*beside, found], edits):
            return
        title = (found.form.title or self.title).replace("{new}", _short(made[found.node].text))
        fix = Fix(title, edits, found.form.applicability, claim)
        yield context.finding(found.node, found.message, fix=fix, severity=severity)

    def _found(self, module: Module, node: ast.AST) -> _Found | None:
        if not isinstance(node, (ast.Call, ast.BinOp)) or not _may_be(node, self.roots):
            return None
        for form in self.forms:
            match = form.match(module, node)
            if match is None:
                continue
            if has_complex(module, match.captures.values()) or any(guard(module, match) for guard in self.silent):
                return None
            derived = {name: derive(module, match) for name, derive in form.derive.items()}
            made = {name: value for name, value in derived.items() if value is not None}
            if len(made) == len(derived):
                found = _Found.of(module, node, form, match, made)
                in_full = self.in_full is not None and self.in_full(module, match)
                return replace(found, message=_OF_HALF.sub("", found.message)) if in_full else found
        return None

    def _is_told(
        self, module: Module, first: _Found, found: _Found, group: list[_Found], edits: tuple[Edit, ...]
    ) -> bool:
        """Whether the finding at `first`, earlier in the statement, has the same edits as that at `found`."""
        if module.chars(first.node) > module.chars(found.node) or not found.is_like(first):
            return False
        beside = [o for o in group if o is not first]
        try:
            made = self._rewritten(module, [first, *_apart(module, first, beside)])
        except Unrewritable:
            return False
        if first.form.tidy and not made[first.node].complete:
            return False
        return set(_edits(made)) == set(edits)

    def _rewritten(self, module: Module, group: list[_Found]) -> dict[ast.expr, Substitution]:
        """The rewrites of the first match and of those beside it that can be rewritten too.

        Raises:
            Unrewritable: the first cannot.
        """
        while True:
            targets = [Target(o.node, o.match, o.template, o.derived) for o in group]
            made: dict[ast.expr, Substitution] = {}
            for found, target in zip(group, targets, strict=True):
                try:
                    made[found.node] = substitute(module, target, [t for t in targets if t is not target], self.local)
                except Unrewritable:
                    if found is group[0]:
                        raise
            if len(made) == len(group):
                return made
            group = [o for o in group if o.node in made]


@dataclass(frozen=True, slots=True)
class _Found:
    """A match and what there is to say about it. why: the reason that it is not rewritten, if there is one."""

    node: ast.expr
    form: Form
    match: Match
    derived: Mapping[str, Derived]
    message: str
    change: str
    why: str
    assumptions: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: Module, node: ast.expr, form: Form, match: Match, derived: Mapping[str, Derived]) -> _Found:
        texts = {name: " ".join(module.source(part).split()) for name, part in match.captures.items()}
        said = form.message if isinstance(form.message, str) else form.message(module, match)
        why = _filled(form.why, texts) or next((r for r in (f(module, match) for f in form.refuse) if r), "")
        assumed = tuple(_filled(a, texts) for a in form.assumptions)
        return cls(node, form, match, derived, _filled(said, texts), _filled(form.change, texts), why, assumed)

    def is_like(self, other: _Found) -> bool:
        """Whether this can be rewritten in the same fix as `other`: it promises as much."""
        same = self.form.relation is other.form.relation and self.form.applicability is other.form.applicability
        return same and not self.why

    @property
    def template(self) -> str:
        by_method = self.form.method and all(op.form == "method" for op in self.match.ops)
        return self.form.method if by_method else self.form.replacement


def _edits(made: Mapping[ast.expr, Substitution]) -> tuple[Edit, ...]:
    return tuple(dict.fromkeys(e for m in made.values() for e in m.edits))


def _apart(module: Module, found: _Found, others: list[_Found]) -> list[_Found]:
    """The matches that neither hold one another nor `found`."""
    out = [found]
    for other in others:
        if not any(module.span(other.node).touches(module.span(o.node)) for o in out):
            out.append(other)
    return out[1:]


def _filled(text: str, texts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: texts.get(found[1], ""), text)


def _short(text: str, longest: int = 60) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 3] + "..."


_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow",
    ast.MatMult: "matmul",
}  # fmt: skip


def _may_be(node: ast.Call | ast.BinOp, roots: frozenset[str]) -> bool:
    """A cheap test before any pattern is tried."""
    if isinstance(node, ast.BinOp):
        return _OPERATORS.get(type(node.op), "") in roots
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in roots:
        return True
    return (name == "true_divide" and "div" in roots) or (name in ("mm", "bmm", "mv") and "matmul" in roots)
