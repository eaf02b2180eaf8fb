"""Edits as bytes: in the file's own encoding and line endings, everything else untouched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from autofix.model import Edit, Source, Span
from autofix.tree import detect_encoding

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_BREAK_BYTES = re.compile(rb"\r\n|\r|\n")
Change = tuple[Span, bytes]  # these bytes of the original become those


def encoding_of(data: bytes) -> str:
    """The codec of a Python file's text, without the BOM ("utf-8" when its cookie names none that exists)."""
    try:
        encoding = detect_encoding(data)
    except SyntaxError:
        return "utf-8"
    return "utf-8" if encoding == "utf-8-sig" else encoding


def apply_edits(source: Source, edits: Sequence[Edit]) -> bytes:
    """The file's bytes after `edits`, in whichever order they are given.

    An insertion at the border of another edit goes before what starts there and after what ends there; several
    insertions at one place keep their order. A character that the file's encoding lacks is written as the escape
    that Python strings use (`\\u2013`): `compose` turns such a fix away before it comes to that.

    Raises:
        ValueError: two edits overlap, or one lies outside the file.
    """
    return replaced(source.data, to_changes(source, edits))


def to_changes(source: Source, edits: Iterable[Edit]) -> list[Change]:
    """The edits as bytes for bytes, in order of position.

    Raises:
        ValueError: two edits overlap, or one lies outside the file.
    """
    encoding = encoding_of(source.data)
    ordered = sorted(edits, key=lambda e: (e.span.start, e.span.end))
    end = 0
    for edit in ordered:
        if edit.span.start < end:
            raise ValueError(f"{source.path}: an edit at byte {edit.span.start} overlaps another one")
        end = edit.span.end
    if end > len(source.data):
        raise ValueError(f"{source.path}: an edit ends at byte {end}, after the end of the file")
    return [(edit.span, _edit_bytes(source.data, edit, encoding)) for edit in ordered]


def line_ending(data: bytes, at: int) -> str:
    """The line break of the line that holds byte `at`, else the file's first, else `\\n`."""
    found = _LINE_BREAK_BYTES.search(data, at) or _LINE_BREAK_BYTES.search(data)
    return found.group().decode("ascii") if found else "\n"


def _edit_bytes(data: bytes, edit: Edit, encoding: str) -> bytes:
    if edit.exact:
        return edit.text.encode(encoding, "surrogateescape")
    text = edit.text
    if "\n" in text or "\r" in text:
        text = _LINE_BREAK.sub(line_ending(data, edit.span.start), text)
    return text.encode(encoding, "backslashreplace")


def replaced(data: bytes, changes: Iterable[Change], start: int = 0, end: int | None = None) -> bytes:
    """What `data[start:end]` becomes."""
    parts: list[bytes] = []
    done = start
    for span, new in changes:
        parts += (data[done : span.start], new)
        done = span.end
    return b"".join((*parts, data[done:end]))
