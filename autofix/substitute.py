"""Writing a matched pattern's replacement, with everything that has to happen around it.

The captured expressions may stand in earlier statements: they move when nothing can have changed their value, and get
a name of their own when they cannot move or would be evaluated twice. Statements whose value nobody reads any more
are removed, where that loses no comment.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autofix import rewrite
from autofix.flow import Definition
from autofix.model import Edit
from autofix.ops import tensor_op
from autofix.pattern import Match
from autofix.rewrite import Unrewritable
from autofix.sameness import is_cheap, is_pure, movable, same_contexts
from autofix.syntax import Module
from autofix.tree import walk

_REFERENCE = re.compile(r"\b(?:torch|math)(?:\.[A-Za-z_]\w*)+(?:\|(?:torch|math)(?:\.[A-Za-z_]\w*)+)*")
_OPTIONAL = re.compile(r", (\w+)=\{(\w+)\}")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MAX_DROPPED = 12
_CONDITIONAL = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Substitution:
    """The edits, and the expression as it is written. complete: every name on the way of the match is gone."""

    edits: tuple[Edit, ...]
    text: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Derived:
    """An expression made from others, for a template.

    template: source text with `{name}` for each of `captures`, which are moved. reads: names that were followed to get
    at them, each with its assignment.
    """

    template: str
    captures: Mapping[str, ast.expr]
    reads: tuple[tuple[ast.Name, Definition], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """An expression to replace.

    In the template `{x}` stands for a capture of the match or a derived expression, `torch.a|torch.b` for the shorter
    of two spellings in this file; `, name={capture}` is left out when the capture is missing.
    """

    node: ast.expr
    match: Match
    template: str
    derived: Mapping[str, Derived]

    def parts(self) -> tuple[str, dict[str, ast.expr], dict[str, ast.expr]]:
        """The template with derived expressions written out, the captures in it, and the expressions those add."""
        text = _without_missing(self.template, self.match)
        made: dict[str, ast.expr] = {}
        for name, value in self.derived.items():
            if f"{{{name}}}" in text:
                made.update(value.captures)
                text = text.replace(f"{{{name}}}.", f"({value.template}).").replace(f"{{{name}}}", value.template)
        names = [name for name in _PLACEHOLDER.findall(text) if name not in made]
        return text, {name: self.match.captures[name] for name in names}, made


def substitute(module: Module, target: Target, beside: Sequence[Target], local: str) -> Substitution:
    """Replace one target by its template.

    beside: targets in the same statement that are replaced in the same fix. local: what to call a captured expression
    that needs a name.

    Raises:
        Unrewritable: with the reason.
    """
    match, statement = target.match, module.statement(target.node)
    template, wanted, made = target.parts()
    text, imports = _spelled(module, target.node, template)
    dropped = [node for name, node in match.captures.items() if name not in wanted and not made]
    for node in dropped:
        if not is_pure(module, node):
            raise Unrewritable(f"`{module.source(node)}` may have an effect of its own")
    reads = [*match.reads, *(r for d in target.derived.values() for r in d.reads)]
    _check_contexts(module, reads, statement)
    reads += _reads_of_dropped(module, dropped)
    replaced = [target.node, *(t.node for t in beside)]
    moved = [n for t in (target, *beside) for part in t.parts()[1:] for n in part.values()]
    removable = {d.statement for _, d in reads if _assigns_only(d) and _removal(module, d.statement) is not None}
    removed = _unread(module, replaced, reads, removable, moved)
    for node in made.values():
        _require_movable(module, node, statement, removed)
    filled: dict[str, ast.expr | str] = {**made, **wanted}
    staying = _staying(module, target, text, wanted, removed)
    for name, home in staying.items():
        filled[name] = _fresh_name(module, target, home, local)
    renamed = {home for home in staying.values() if home is not statement and _assigned_name(home) is not None}
    removed = _unread(module, replaced, reads, removable | renamed, moved)
    edits: list[Edit] = []
    for name, home in staying.items():
        if home is statement:
            edits.append(_bound_above(module, home, wanted[name], str(filled[name])))
            continue
        write = _renamed if home in removed else _named
        edits += write(module, home, wanted[name], str(filled[name]))
    edits += [e for s in removed if s not in staying.values() and (e := _removal(module, s)) is not None]
    edits += rewrite.replace(module, target.node, text, **filled)
    complete = all(d.statement in removed for _, d in match.reads)
    return Substitution((*imports, *edits), rewrite.expression(module, text, **filled), complete)


def _staying(
    module: Module, target: Target, text: str, wanted: Mapping[str, ast.expr], removed: list[ast.stmt]
) -> dict[str, ast.stmt]:
    """The captures that need a name where they stand, each with its statement: those that cannot move, and those that
    would be computed twice."""
    statement = module.statement(target.node)
    out: dict[str, ast.stmt] = {}
    for name, node in wanted.items():
        home = module.statement(node)
        twice = text.count(f"{{{name}}}") > 1 and not is_cheap(node)
        if home is statement and twice:
            _require_liftable(module, node, statement)
        elif home is statement or (not twice and _moves(module, node, statement, home, removed)):
            continue
        elif not any(home is d.statement for _, d in target.match.reads):
            raise Unrewritable(movable(module, node, statement) or "its parts are spread over several statements")
        out[name] = home
    return out


def _without_missing(template: str, match: Match) -> str:
    def keep(found: re.Match[str]) -> str:
        return found[0] if found[2] in match.captures else ""

    return _OPTIONAL.sub(keep, template)


def _spelled(module: Module, target: ast.expr, template: str) -> tuple[str, tuple[Edit, ...]]:
    """The template with its torch names as this file writes them."""
    imports: list[Edit] = []

    def spell(found: re.Match[str]) -> str:
        known = [r for r in (module.names.reference(d, target) for d in found[0].split("|")) if r is not None]
        if not known:
            raise Unrewritable(f"the name `{found[0].partition('.')[0]}` is bound to something else here")
        best = min(known, key=lambda r: (len(r.edits), len(r.text)))
        imports.extend(best.edits)
        return best.text

    return _REFERENCE.sub(spell, template), tuple(dict.fromkeys(imports))


def _require_movable(module: Module, node: ast.expr, to: ast.stmt, removed: list[ast.stmt]) -> None:
    reason = movable(module, node, to, removed)
    home = module.statement(node)
    if not reason and home is not to and not is_pure(module, node):
        reason = f"`{module.source(node)}` may have an effect of its own"
    if not reason and home is not to and home not in removed and not is_cheap(node):
        reason = f"`{module.source(node)}` would be computed twice"
    if reason:
        raise Unrewritable(reason)


def _reads_of_dropped(module: Module, dropped: list[ast.expr]) -> list[tuple[ast.Name, Definition]]:
    """The names behind captures that are not written again, with assignments that may go when nothing has an effect."""
    out: list[tuple[ast.Name, Definition]] = []
    pending = [*dropped]
    while pending and len(out) < _MAX_DROPPED:
        for name in [n for n in walk(pending.pop()) if isinstance(n, ast.Name)]:
            found = module.flow(name).definition(name)
            value = getattr(found.statement, "value", None) if found and found.kind in ("assign", "unpack") else None
            if found is not None and isinstance(value, ast.expr) and is_pure(module, value):
                out.append((name, found))
                pending.append(value)
    return out


def _check_contexts(module: Module, reads: list[tuple[ast.Name, Definition]], statement: ast.stmt) -> None:
    for name, definition in reads:
        if isinstance(definition.statement, ast.stmt) and not same_contexts(module, definition.statement, statement):
            raise Unrewritable(f"`{name.id}` is computed under another context manager")


def _moves(module: Module, node: ast.expr, to: ast.stmt, home: ast.stmt, removed: list[ast.stmt]) -> bool:
    if movable(module, node, to, removed):
        return False
    return is_cheap(node) or (home in removed and is_pure(module, node))


def _removal(module: Module, statement: ast.AST) -> Edit | None:
    """The edit that removes a statement; a comment behind it keeps its line."""
    if not isinstance(statement, ast.stmt):
        return None
    try:
        return rewrite.delete(module, statement)
    except Unrewritable:
        start, end = module.chars(statement)
    if len(module.block(statement)) == 1 or module.indentation(statement) is None:
        return None
    if any(start <= at < end for at, _ in module.comments):
        return None
    comment = next((at for at, _ in module.comments if at >= end), None)
    if comment is None or module.text[end:comment].strip(" \t"):
        return None
    return Edit(module.char_span(start, comment), "")


def _unread(
    module: Module,
    replaced: Sequence[ast.expr],
    reads: list[tuple[ast.Name, Definition]],
    candidates: Collection[ast.AST],
    moved: list[ast.expr],
) -> list[ast.stmt]:
    """The candidates, among the statements behind `reads`, whose value nobody reads once the expressions are
    replaced and they are gone themselves."""
    flow = module.flow(replaced[0])
    if flow.scope is module.tree:
        return []  # another module may import the name
    found = {d.statement: d for _, d in reads if d.statement in candidates}
    while True:
        kept = [s for s, d in found.items() if not _all_gone(module, d, [*replaced, *found], moved)]
        if not kept:
            return [s for s in found if isinstance(s, ast.stmt)]
        for statement in kept:
            del found[statement]


def _assigns_only(definition: Definition) -> bool:
    statement = definition.statement
    if isinstance(statement, ast.Assign):
        return len(statement.targets) == 1 and isinstance(statement.targets[0], (ast.Name, ast.Tuple))
    return isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)


def _all_gone(module: Module, definition: Definition, gone: list[ast.AST], moved: list[ast.expr]) -> bool:
    flow = module.flow(definition.statement)
    assigned = definition.statement.targets[0] if isinstance(definition.statement, ast.Assign) else None
    names = [n.id for n in assigned.elts if isinstance(n, ast.Name)] if isinstance(assigned, ast.Tuple) else []
    for name in names or [definition.name]:
        if any(isinstance(s, ast.Delete) for s in flow.stores(name)):
            return False
        readers = flow.readers(Definition(name, definition.statement, None, definition.kind))
        if readers is None:
            return False
        for reader in readers:
            around = [reader, *module.ancestors(reader)]
            if any(m in around for m in moved) or not any(n in around for n in gone):
                return False
    return True


def _assigned_name(home: ast.stmt) -> ast.Name | None:
    """`name` of `name = ...`, the only target."""
    target = home.targets[0] if isinstance(home, ast.Assign) and len(home.targets) == 1 else None
    return target if isinstance(target, ast.Name) else None


def _renamed(module: Module, home: ast.stmt, node: ast.expr, fresh: str) -> Iterator[Edit]:
    """`name = f(node)` becomes `fresh = node`."""
    target = _assigned_name(home)
    if target is None or not isinstance(home, ast.Assign):
        raise Unrewritable("it is unpacked from several values")
    yield Edit(module.span(target), fresh)
    yield from rewrite.replace(module, home.value, "{node}", node=node)


def _named(module: Module, home: ast.stmt, node: ast.expr, fresh: str) -> Iterator[Edit]:
    """`name = f(node)` becomes `fresh = node` and `name = f(fresh)`."""
    yield _bound_above(module, home, node, fresh)
    start, end = module.chars(node)
    bracketed = module.text[start - 1 : start] == "(" and module.text[end : end + 1] == ")"
    if bracketed and not isinstance(module.parent(node), ast.Call):  # brackets of its own, which a name needs no longer
        start, end = start - 1, end + 1
    yield Edit(module.char_span(start, end), fresh)


def _bound_above(module: Module, home: ast.stmt, node: ast.expr, fresh: str) -> Edit:
    text = rewrite.expression(module, "{node}", node=node)
    return rewrite.insert_before(module, home, f"{fresh} = ({text})" if "\n" in text else f"{fresh} = {text}")


def _require_liftable(module: Module, node: ast.expr, statement: ast.stmt) -> None:
    """Whether `node` may be computed just before its statement: it always is, once, and nothing else moves past it."""
    around = itertools.takewhile(lambda a: a is not statement, module.ancestors(node))
    simple = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr))
    if not simple or any(isinstance(a, _CONDITIONAL) for a in around):
        raise Unrewritable(f"`{module.source(node)}` would be computed twice")


def _fresh_name(module: Module, target: Target, home: ast.stmt, local: str) -> str:
    """`local` when nothing else in the function can want that name. Else one that mirrors the name assigned at `home`,
    which is right wherever the assigned name is; a number where nothing is assigned."""
    scope = module.flow(target.node).scope
    taken = {n.id for n in walk(scope) if isinstance(n, ast.Name)}
    taken |= {n.arg for n in walk(scope) if isinstance(n, ast.arg)}
    inner = target.match.ops[-1]
    calls = [n for n in walk(scope) if tensor_op(module, n, inner.name) is not None]
    names = [f"{name.id}_{local}" for name, found in target.match.reads if found.statement is home]
    if home is module.statement(target.node):
        names = [f"{local}{calls.index(inner.call) + 1}"]
    if len(calls) == 1:
        names.insert(0, local)
    for name in names:
        if name not in taken and module.names.lookup(name, target.node) is None:
            return name
    raise Unrewritable(f"the names {', '.join(names)} are taken")
