"""Where a finding lies, as other programs want to be told: paths, characters, replacements and fingerprints."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autofix.edits import encoding_of, to_changes
from autofix.model import Applicability, Position, Severity, Source, Span
from autofix.report import Item, Report, Status

_BOM = b"\xef\xbb\xbf"
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Place(NamedTuple):
    """A half-open range of a file: 1-based lines and columns in characters, and the same columns in bytes of UTF-8."""

    start: Position
    end: Position
    start_byte: int
    end_byte: int


class Replacement(NamedTuple):
    """What a fix puts in the place of what stands there."""

    place: Place
    text: str


class Located(NamedTuple):
    """A finding with all that a list of findings needs to know of its place."""

    item: Item
    path: str
    place: Place
    fingerprint: str
    source: Source


def located(report: Report) -> Iterator[Located]:
    """Every finding of a run in order, placed in the files as they were when it began.

    The fingerprint is made of the path, the rule and the text of the lines: it stays the same when lines are added
    above. Findings that share all three are numbered.
    """
    for file in report.files:
        seen: Counter[str] = Counter()
        path = relative(file.path)
        for item in file.items:
            where = place(file.source, item.origin or item.finding.span)
            content = " ".join(_whole_lines(file.source, item.origin or item.finding.span).split())
            key = "\0".join([path, item.finding.rule, content])
            seen[key] += 1
            digest = hashlib.sha256(f"{key}\0{seen[key]}".encode("utf-8", "surrogateescape"))
            yield Located(item, path, where, digest.hexdigest()[:32], file.source)


def relative(path: str) -> str:
    """As seen from the working directory, with `/`; a file that lies elsewhere keeps its absolute path."""
    here = Path.cwd()
    full = Path(os.path.normpath(here / path))
    return (full.relative_to(here) if full.is_relative_to(here) else full).as_posix()


def place(source: Source, span: Span) -> Place:
    start, start_byte = _position(source, span.start)
    end, end_byte = _position(source, span.end)
    return Place(start, end, start_byte, end_byte)


def offsets(source: Source, span: Span) -> tuple[int, int]:
    """A span in characters of the file's text, the BOM not counted."""
    return len(_text(source, 0, span.start)), len(_text(source, 0, span.end))


def _position(source: Source, offset: int) -> tuple[Position, int]:
    text = _text(source, 0, offset)
    breaks = list(_LINE_BREAK.finditer(text))
    column = text[breaks[-1].end() :] if breaks else text
    return Position(len(breaks) + 1, len(column) + 1), len(column.encode("utf-8", "surrogateescape")) + 1


def _text(source: Source, start: int, end: int) -> str:
    """Bytes as text in the file's own encoding, without its BOM."""
    bom = len(_BOM) if source.data.startswith(_BOM) else 0
    return source.data[max(start, bom) : end].decode(encoding_of(source.data), "surrogateescape")


def _whole_lines(source: Source, span: Span) -> str:
    start = source.data.rfind(b"\n", 0, span.start) + 1
    end = source.data.find(b"\n", span.end)
    return _text(source, start, len(source.data) if end < 0 else end)


# -- fixes -----------------------------------------------------------------------------------------------------


def offered(item: Item) -> bool:
    """Whether another program may apply the fix on a click: only what autofix itself would apply. A fix of a later
    pass fits no text but the one that the earlier ones leave."""
    if item.finding.fix is None or item.pass_number > 1:
        return False
    if item.status is Status.LISTED:
        return item.finding.fix.applicability is Applicability.SAFE
    return item.status in (Status.PATCHED, Status.UNWRITTEN)


def replacements(found: Located) -> list[tuple[Span, Replacement]]:
    """The edits of an offered fix, in the file's own line breaks."""
    fix = found.item.finding.fix
    if fix is None or not offered(found.item):
        return []
    encoding = encoding_of(found.source.data)
    return [
        (span, Replacement(place(found.source, span), new.decode(encoding, "surrogateescape")))
        for span, new in to_changes(found.source, fix.edits)
    ]


def as_one(found: Located) -> Replacement | None:
    """The edits of an offered fix joined, with the text between them, so that nobody can take half of a fix."""
    edits = replacements(found)
    if not edits:
        return None
    whole = Span(edits[0][0].start, edits[-1][0].end)
    text, upto = "", whole.start
    for span, replacement in edits:
        text += _text(found.source, upto, span.start) + replacement.text
        upto = span.end
    return Replacement(place(found.source, whole), text)


# -- words -----------------------------------------------------------------------------------------------------

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def as_severity(severity: Severity, names: tuple[str, str, str]) -> str:
    """What another program calls it: its names for error, warning and information."""
    return names[_ORDER.index(severity)]
