"""Plans the trial of a patch to a training loop: which statements run, and what they are bound to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autofix.model import Edit, Fix, Problem, Relation, Source, Span
from autofix.patch import apply_edits
from autofix.smoke.bind import Bindings
from autofix.smoke.job import Job
from autofix.smoke.loopnames import BACKWARD, STEP, called, training_calls
from autofix.syntax import Module, parse

_HEADER = "if __region__:\n"
Container = ast.For | ast.AsyncFor | ast.While | ast.FunctionDef | ast.AsyncFunctionDef | ast.Module
_CONTAINERS = (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class _Region:
    """Statements of one side: their bytes, whether an indented block, and the lines (of `text`) the patch touches."""

    text: str
    changed: tuple[int, ...]
    body: tuple[ast.stmt, ...]


def plan(module: Module, fix: Fix) -> Job | str:
    """A job for a fix of a training loop, or why it cannot be executed: "block" for the relation CLIP, "raising" for a
    loop that raises, "training" for one that warns, keeps graphs or sums up gradients."""
    after = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    if isinstance(after, Problem):
        return f"the patched file does not parse: {after.message}"
    edits = sorted((e for e in fix.edits if not _is_import(e)), key=lambda e: (e.span.start, e.span.end))
    if not edits and fix.claim.region is None:
        return "the fix has no edit inside a training loop"
    container = _container(module, edits, fix.claim.region)
    if container is None:
        return "no optimizer step stands in the same loop or function as the patch"
    span = _span(module, container)
    shift = _growth(module, [e for e in fix.edits if e.span.start < span.start])
    inner = [e for e in fix.edits if span.start <= e.span.start <= span.end]
    after_span = Span(span.start + shift, span.end + shift + _growth(module, inner))
    one = _region(module, span, [(e.span.start, e.span.end) for e in inner])
    two = _region(after, after_span, list(_places(module, inner, shift)))
    if one is None or two is None:
        return "the statements around the patch cannot be taken out of the file"
    bindings = Bindings(module, container, [(module, one.body), (after, two.body)], fix)
    refusal = bindings.resolve()
    if refusal:
        return refusal
    spec: dict[str, Any] = {
        "before": one.text,
        "after": two.text,
        "before_changed": list(one.changed),
        "after_changed": list(two.changed),
        "index": _index(container),
        **bindings.spec(),
    }
    if fix.claim.relation is Relation.CLIP:
        return Job("block", spec)
    hazard = fix.claim.hazard[0]
    if hazard == "exception":
        return Job("raising", spec)
    kept = {fix.claim.results[0]: fix.claim.parameters.get("start", "0")} if fix.claim.results else {}
    return Job("training", {**spec, "hazard": hazard, "kept": kept, "change": fix.claim.change})


def is_about_a_loop(fix: Fix) -> bool:
    """Whether a fix is tried on the statements of a training loop."""
    claim = fix.claim
    if claim.relation is Relation.CLIP or claim.hazard in (("warning",), ("stale gradients",)):
        return True
    if claim.hazard == ("graph",):
        return "start" in claim.parameters
    return claim.relation is Relation.EQUAL and claim.hazard == ("exception",)


def _is_import(edit: Edit) -> bool:
    return edit.text.strip().startswith(("import ", "from "))


def _growth(module: Module, edits: list[Edit]) -> int:
    """By how many bytes the file grows when only these edits are made."""
    return len(apply_edits(module.source_file, edits)) - len(module.data) if edits else 0


def _places(module: Module, edits: list[Edit], shift: int) -> Iterator[tuple[int, int]]:
    """Where the text of each edit (without the white space around it) lies in the patched bytes."""
    ordered = sorted(edits, key=lambda e: (e.span.start, e.span.end))
    for number, edit in enumerate(ordered):
        start = edit.span.start + shift + _growth(module, ordered[:number])
        length = edit.span.end - edit.span.start + _growth(module, [edit])
        if edit.text.strip():
            lead = len(edit.text) - len(edit.text.lstrip())
            yield start + lead, start + length


def _container(module: Module, edits: list[Edit], region: Span | None) -> Container | None:
    """The innermost loop around all edits that holds both a backward pass and an optimizer's step; else the
    innermost loop or function with a step; else the module when its own statements step."""
    spans = [e.span for e in edits] + ([region] if region else [])
    nodes = [n for n in ast.walk(module.tree) if isinstance(n, _CONTAINERS)]
    around = [n for n in nodes if all(_holds(module, n, s) for s in spans)]
    around.sort(key=lambda n: (n.lineno, n.col_offset), reverse=True)  # nested in each other: the innermost first
    own: list[Container] = []
    for node in around:
        own.append(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
    else:
        own.append(module.tree)
    stepping = [n for n in own if called(n, *STEP)]
    full = [n for n in stepping if called(n, *BACKWARD)]
    return (full or stepping or [None])[0]  # type: ignore[list-item]


def _holds(module: Module, node: ast.stmt, span: Span) -> bool:
    """Whether `span` lies in the body of `node`; the start of the line below its end counts as inside, for an
    insertion there may continue the body."""
    start, end = module.chars(node)
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
    first = module.line_start(module.chars(body[0])[0])
    last = _line_end(module, end)
    return module.byte(max(start, first)) <= span.start and span.end <= module.byte(last)


def _line_end(module: Module, char: int) -> int:
    """The offset just behind the line break of the line that holds `char`."""
    line = module.position(char).line
    return module.line_start(char) + len(module.line_text(line))


def _span(module: Module, container: Container) -> Span:
    body = container.body
    if isinstance(container, ast.Module):
        training = [n for n, s in enumerate(body) if training_calls(s)]
        body = body[training[0] : training[-1] + 1]
    start, _ = module.chars(body[0])
    decorated = [module.chars(d)[0] for d in getattr(body[0], "decorator_list", [])]
    start = min([start, *decorated])
    line = module.line_start(start)
    if not module.text[line:start].strip():
        start = line
    _, end = module.chars(body[-1])
    return Span(module.byte(start), module.byte(_line_end(module, end)))


def _region(module: Module, span: Span, places: list[tuple[int, int]]) -> _Region | None:
    codec = "utf-8" if module.encoding == "utf-8-sig" else module.encoding
    raw = module.data[span.start : span.end]
    text = raw.decode(codec).replace("\r\n", "\n").replace("\r", "\n")
    indented = text[:1] in (" ", "\t")
    if indented:
        text = _HEADER + text
    try:
        ast.parse(text)
    except (SyntaxError, RecursionError):
        return None
    changed: set[int] = set()
    for start, end in places:
        part = module.data[start:end]
        first = module.data.count(b"\n", span.start, start) + 1 + indented
        changed.update(range(first, first + part.rstrip().count(b"\n") + 1) if part.strip() else ())
    return _Region(text, tuple(sorted(changed)), _original(module, span))


def _original(module: Module, span: Span) -> tuple[ast.stmt, ...]:
    """The outermost statements of the module's own tree inside `span`: names are looked up from these."""
    found: list[ast.stmt] = []
    pending: list[ast.AST] = [module.tree]
    while pending:
        for child in ast.iter_child_nodes(pending.pop()):
            if isinstance(child, ast.stmt):
                place = module.span(child)
                if span.start <= place.start and place.end <= span.end:
                    found.append(child)
                    continue
                if place.end < span.start or place.start > span.end:
                    continue
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
                pending.append(child)
    return tuple(sorted(found, key=lambda s: s.lineno))


def _index(container: Container) -> str:
    """The name that counts the turns: of `enumerate` or `range`, else none."""
    if not isinstance(container, (ast.For, ast.AsyncFor)):
        return ""
    source, target = container.iter, container.target
    names = {c.func.id for c in ast.walk(source) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
    if "enumerate" in names and isinstance(target, ast.Tuple) and isinstance(target.elts[0], ast.Name):
        return target.elts[0].id
    if ("range" in names or "trange" in names) and isinstance(target, ast.Name):
        return target.id
    return ""
