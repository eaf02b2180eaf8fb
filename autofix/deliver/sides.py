"""A fix as two columns of code, before and after, with the colours of the syntax."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape
from pygments.lexers.python import PythonLexer
from pygments.token import Token
from unidiff.patch import Line

from autofix import diff
from autofix.edits import apply_edits, encoding_of
from autofix.model import Fix, Patch, Source

_MOST_LEXED = 400_000  # bytes: a larger file is shown without colours


class Row(NamedTuple):
    """A line on each side, None where one side has none. kind: "same", "changed" or "gap" between two hunks."""

    kind: str
    old_number: int | None = None
    old: Markup = Markup()
    new_number: int | None = None
    new: Markup = Markup()


def rows(source: Source, fix: Fix, context: int = 2) -> list[Row]:
    """The lines that a fix changes, with some around them."""
    patch = Patch(source, apply_edits(source, fix.edits), fix.edits)
    old = _coloured(source.data)
    found: list[Row] = []
    for hunk in diff.diff(patch, "file.py", git_header=False):
        if found:
            found.append(Row("gap"))
        lines = [li for li in hunk if li.line_type in " +-"]
        found += _trimmed(list(_paired(lines, old)), context)
    return _shifted(found)


def _paired(lines: Sequence[Line], old: Sequence[Markup]) -> Iterator[Row]:
    """Removed lines beside the added ones that stand in their place."""
    removed: list[Line] = []
    added: list[Line] = []
    for line in (*lines, Line("", " ")):
        if line.line_type == "-":
            removed.append(line)
        elif line.line_type == "+":
            added.append(line)
        else:
            # Added lines are lexed by themselves: whole statements, as a rule.
            colours = _coloured("".join(li.value for li in added).encode("utf-8", "surrogateescape"))
            for number in range(max(len(removed), len(added))):
                before = removed[number].source_line_no if number < len(removed) else None
                after = added[number].target_line_no if number < len(added) else None
                yield Row("changed", before, _at(old, before), after, colours[number] if after else Markup())
            removed, added = [], []
            if line.source_line_no:
                shown = _at(old, line.source_line_no)
                yield Row("same", line.source_line_no, shown, line.target_line_no, shown)


def _trimmed(found: list[Row], context: int) -> list[Row]:
    """Without lines further than `context` from a change; what is left out between two changes is a gap."""
    changed = [n for n, row in enumerate(found) if row.kind == "changed"]
    kept: list[Row] = []
    last = -1
    for number, row in enumerate(found):
        if any(abs(number - c) <= context for c in changed):
            if kept and number != last + 1:
                kept.append(Row("gap"))
            kept.append(row)
            last = number
    return kept


def _shifted(found: Sequence[Row]) -> list[Row]:
    """Without the indentation that all lines between two gaps share: two columns are narrow."""
    parts: list[list[Row]] = [[]]
    for row in found:
        if row.kind == "gap":
            parts.append([])
        parts[-1].append(row)
    out: list[Row] = []
    for part in parts:
        code = [side for row in part for side in (row.old, row.new) if side.strip()]
        shared = min((len(side) - len(side.lstrip(" ")) for side in code), default=0)
        out += [row._replace(old=Markup(row.old[shared:]), new=Markup(row.new[shared:])) for row in part]
    return out


def _at(lines: Sequence[Markup], number: int | None) -> Markup:
    return lines[number - 1] if number is not None and number <= len(lines) else Markup()


# The few kinds of token that are worth a colour; a class for every one would make a page five times as long.
_CLASSES = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "m"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
    (Token.Name.Decorator, "f"),
    (Token.Name.Builtin, "b"),
)


@functools.lru_cache(maxsize=64)
def _coloured(data: bytes) -> list[Markup]:
    """Each line of a file as HTML. Lexed whole: a docstring may begin far above."""
    text = data.decode(encoding_of(data), "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    if len(data) > _MOST_LEXED:
        return [Markup.escape(line) for line in text.split("\n")]
    parts: list[list[str]] = [[]]
    for kind, value in PythonLexer(stripnl=False, ensurenl=False).get_tokens(text):
        name = next((name for token, name in _CLASSES if kind in token), "")
        for number, piece in enumerate(value.split("\n")):
            if number:
                parts.append([])
            if piece:
                parts[-1].append(f'<b class="{name}">{escape(piece)}</b>' if name else str(escape(piece)))
    return [Markup("".join(line)) for line in parts]
