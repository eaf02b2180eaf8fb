"""Fixes chosen one by one: what a person says becomes a report whose patches hold what was accepted."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autofix import patch
from autofix.edits import apply_edits, encoding_of
from autofix.model import Edit, Finding, Patch, Source, Span
from autofix.report import FileReport, Item, Report, Status


class Answer(enum.Enum):
    YES = "y"
    NO = "n"
    ALL = "a"  # this one and all that follow
    QUIT = "q"  # neither this one nor any that follow


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer, and the item that it is about: another one, where the person edited its fix."""

    answer: Answer
    item: Item


Ask = Callable[[Source, Item], Choice]


def choose(report: Report, ask: Ask) -> Report:
    """The report after `ask` was asked about every fix that would be applied, file by file, from top to bottom.

    A fix is all or nothing: its hunks are accepted together, since its evidence is about all of them. What was declined
    is `Status.DECLINED`. Fixes of later passes build on the earlier ones: where not all of those are taken as they are,
    they wait for the next run.
    """
    standing: list[Answer] = []  # "all" or "quit", once it was said

    def asked(source: Source, item: Item) -> Choice:
        if standing:
            return Choice(standing[0], item)
        choice = ask(source, item)
        if choice.answer in (Answer.ALL, Answer.QUIT):
            standing.append(choice.answer)
        return choice

    return replace(report, files=tuple(_chosen(file, asked) for file in report.files))


def _chosen(file: FileReport, ask: Ask) -> FileReport:
    if file.patch is None:
        return file
    items: list[Item] = []
    accepted: list[Finding] = []
    untouched = True
    for item in file.items:
        if item.status is not Status.PATCHED or item.pass_number > 1:
            items.append(item)
            continue
        choice = ask(file.source, item)
        taken = choice.answer in (Answer.YES, Answer.ALL)
        untouched = untouched and taken and choice.item is item
        items.append(choice.item if taken else replace(item, status=Status.DECLINED))
        if taken:
            accepted.append(choice.item.finding)
    if untouched:
        return file
    made = patch.compose(file.source, accepted) if accepted else None
    applied = set(made.applied) if made else set()
    return FileReport(
        file.path, tuple(_settled(i, applied) for i in items), file.source, made if made and made.edits else None
    )


def _settled(item: Item, applied: set[Finding]) -> Item:
    if item.status is Status.PATCHED and item.finding not in applied:
        return replace(item, status=Status.DEFERRED)
    return item


# -- a fix alone -----------------------------------------------------------------------------------------------


def alone(source: Source, item: Item) -> Patch:
    """The patch of one fix.

    Raises:
        ValueError: the finding has none.
    """
    if item.finding.fix is None:
        raise ValueError(f"{item.finding.rule}: a finding without a fix")
    edits = item.finding.fix.edits
    return Patch(source, apply_edits(source, edits), edits)


def lines_of(source: Source, item: Item) -> str:
    """The whole lines that a fix touches, as they are after it: what a person edits."""
    made, span = alone(source, item), _region(source, item)
    end = len(made.after) - (len(source.data) - span.end)
    return made.after[span.start : end].decode(encoding_of(source.data), "surrogateescape")


def with_lines(source: Source, item: Item, text: str) -> Item:
    """The item with `text` in the place of those lines. It has no evidence until it is executed."""
    fix = item.finding.fix
    if fix is None:
        return item
    region = _region(source, item)
    encoding = encoding_of(source.data)
    # Only what differs: the ends of an edit tell which statements it touches.
    changes = patch.minimal(source.data, [(region, text.encode(encoding, "surrogateescape"))])
    edits = tuple(Edit(span, new.decode(encoding, "surrogateescape"), exact=True) for span, new in changes)
    edited = replace(fix, title=f"{fix.title} (edited)", edits=edits)
    return replace(item, finding=replace(item.finding, fix=edited), evidence=None)


def _region(source: Source, item: Item) -> Span:
    edits: Sequence[Edit] = item.finding.fix.edits if item.finding.fix else ()
    start, end = min(e.span.start for e in edits), max(e.span.end for e in edits)
    start = source.data.rfind(b"\n", 0, start) + 1
    if end and source.data[end - 1 : end] == b"\n" and end > start:
        return Span(start, end)
    found = source.data.find(b"\n", end)
    return Span(start, len(source.data) if found < 0 else found + 1)
