"""A fix as two columns of code, before and after, with the colours of the syntax."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape
from pygments.lexers.python import PythonLexer
from pygments.token import Token

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


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    markup: Markup


def rows(source: Source, fix: Fix, context: int = 2) -> list[Row]:
    """The lines that a fix changes, with some around them."""
    patch = Patch(source, apply_edits(source, fix.edits), fix.edits)
    old, new = _coloured(source.data), _coloured(patch.after)
    found: list[Row] = []
    for hunk in diff.diff(patch, "file.py", git_header=False):
        if found:
            found.append(Row("gap"))
        lines = [(li.line_type, li.source_line_no, li.target_line_no) for li in hunk if li.line_type in " +-"]
        found += _trimmed(list(_paired(lines, old, new)), context)
    return _shifted(found)


def _paired(
    lines: Sequence[tuple[str, int | None, int | None]], old: Sequence[Markup], new: Sequence[Markup]
) -> Iterator[Row]:
    """Removed lines beside the added ones that stand in their place."""
    removed: list[_Line] = []
    added: list[_Line] = []
    for kind, before, after in [*lines, (" ", None, None)]:
        if kind == "-" and before is not None:
            removed.append(_Line(before, _at(old, before)))
        elif kind == "+" and after is not None:
            added.append(_Line(after, _at(new, after)))
        else:
            for number in range(max(len(removed), len(added))):
                left = removed[number] if number < len(removed) else None
                right = added[number] if number < len(added) else None
                yield Row(
                    "changed",
                    left.number if left else None,
                    left.markup if left else Markup(),
                    right.number if right else None,
                    right.markup if right else Markup(),
                )
            removed, added = [], []
            if before is not None and after is not None:
                yield Row("same", before, _at(old, before), after, _at(new, after))


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


def _at(lines: Sequence[Markup], number: int) -> Markup:
    return lines[number - 1] if number <= len(lines) else Markup()


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
