"""Parsing only what will be looked at: functions without an anchor stay text until somebody asks what is in them.

A folded function is a node like any other: it has its name, place and decorators, and is parsed as soon as any other
attribute of it is read. Half of the time of a scan went into parsing functions that no rule ever entered.
"""

from __future__ import annotations

import ast
import functools
import re
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_LEAST_LINES = 4  # below, folding costs more than parsing
# Begin with a literal, which `re` skips to.
_DEF = re.compile(r"def +(\w+)")
_CLASS = re.compile(r"\nclass\b")
_MARGIN = re.compile(r"\n(?=[^\s#)\]}])")
_KNOWN = frozenset({"name", "lineno", "col_offset", "decorator_list", "_fields", "_attributes"})


class FoldError(Exception):
    """The text of a folded function is none by itself: the file has to be parsed as a whole."""


class _Head(NamedTuple):
    """The beginning of a function, or of a class at the top (whose name is left empty).

    start: of its line; end: of its name; indentation: of its line; words: "def" or "async def" as they are written.
    """

    start: int
    end: int
    indentation: str
    words: str
    name: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A function as text. line: of its `def`. indentation: of its `def`, "" at the top."""

    start: int
    end: int
    line: int
    indentation: str
    head: str


class _Folded(ast.FunctionDef):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name not in _KNOWN and not name.startswith("__"):
            _unfold(self, ast.FunctionDef)
        return object.__getattribute__(self, name)


class _FoldedAsync(ast.AsyncFunctionDef):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name not in _KNOWN and not name.startswith("__"):
            _unfold(self, ast.AsyncFunctionDef)
        return object.__getattribute__(self, name)


class _OpenClass(ast.ClassDef):
    """A class whose last member is folded: where it ends is known when that is parsed."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name == "end_lineno" or name == "end_col_offset":
            last = object.__getattribute__(self, "body")[-1]
            self.end_lineno, self.end_col_offset = last.end_lineno, last.end_col_offset
            self.__class__ = ast.ClassDef  # type: ignore[assignment]
        return object.__getattribute__(self, name)


def last_line(node: ast.stmt) -> int:
    """The last line of a statement, without unfolding it."""
    return node.__dict__.get("_last_line") or node.end_lineno or node.lineno


def holds(lines: Sequence[int], first: int, last: int) -> bool:
    """Whether one of some ascending lines lies from `first` to `last`."""
    place = bisect_left(lines, first)
    return place < len(lines) and lines[place] <= last


def folded_text(node: ast.stmt) -> str | None:
    """The text of a function that is still folded."""
    return node.__dict__.get("_folded")


def parse_outline(text: str, lines: Sequence[int]) -> ast.Module | None:
    """The tree of a file in which functions that hold none of `lines` (1-based) are folded. None where the text does
    not allow it, or is no Python."""
    if "\r" in text or "\f" in text:
        return None
    pieces = _pieces(text, sorted(lines))
    kept: list[str] = []
    at = 0
    for piece in pieces:
        blank = "\n" * text.count("\n", piece.start, piece.end)
        kept += [text[at : piece.start], f"{piece.indentation}{piece.head}(): ...{blank}"]
        at = piece.end
    try:
        tree = quietly("".join([*kept, text[at:]]))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if _fold(tree, text, pieces) else None


def _pieces(text: str, lines: Sequence[int]) -> list[_Piece]:
    """The functions to fold: at the top, and direct members of classes at the top."""
    out: list[_Piece] = []
    members: list[_Head] = []
    line, counted = 1, 0
    chosen: list[tuple[_Head, int]] = []
    in_class = False
    for head in _heads(text):
        if not head.name:
            chosen += _direct(text, members)
            members, in_class = [], True
        elif not head.indentation:
            chosen += _direct(text, members)
            members, in_class = [], False
            chosen.append((head, _end(text, head)))
        elif in_class:
            members.append(head)
    chosen += _direct(text, members)
    for head, end in chosen:
        start = head.start
        line += text.count("\n", counted, start)
        counted = start
        last = line + text.count("\n", start, end)
        if holds(lines, line, last) or last - line < _LEAST_LINES:
            continue
        piece = text[start:end]
        # A string that goes on beyond the piece, or began before it.
        if piece.count('"""') % 2 or piece.count("'''") % 2 or piece.rstrip().endswith("\\"):
            continue
        out.append(_Piece(start, end, line, head.indentation, f"{head.words} {head.name}"))
    return out


def _heads(text: str) -> list[_Head]:
    """The functions of every depth and the classes at the top, in order. What the file begins with is never folded."""
    heads = [_Head(m.start() + 1, m.end(), "", "", "") for m in _CLASS.finditer(text)]
    for found in _DEF.finditer(text):
        start = text.rfind("\n", 0, found.start()) + 1
        before = text[start : found.start()]
        words = before.lstrip(" \t")
        if start and (not words or words.rstrip(" ") == "async"):
            indentation = before[: len(before) - len(words)]
            heads.append(_Head(start, found.end(), indentation, f"{words}def", found[1]))
    return sorted(heads)


def _direct(text: str, members: list[_Head]) -> list[tuple[_Head, int]]:
    """The direct members of a class, with the place where each ends."""
    least = min((len(m.indentation) for m in members), default=0)
    return [(m, _end(text, m)) for m in members if len(m.indentation) == least]


def _end(text: str, head: _Head) -> int:
    """Where a function ends: before the next line that is indented no more than its `def`, comments apart."""
    width = len(head.indentation)
    pattern = _MARGIN if not width else _ends(width)
    found = pattern.search(text, head.end)
    return found.start() if found else len(text.rstrip("\n"))


@functools.cache
def _ends(width: int) -> re.Pattern[str]:
    return re.compile(rf"\n(?=[ \t]{{0,{width}}}[^\s#)\]}}])")


def _fold(tree: ast.Module, text: str, pieces: Sequence[_Piece]) -> bool:
    """Turn the stand-ins into folded functions; whether each was found."""
    functions = {
        node.lineno: node
        for part in tree.body
        for node in (part.body if isinstance(part, ast.ClassDef) else [part])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for piece in pieces:
        node = functions.get(piece.line)
        if node is None or node.col_offset != len(piece.indentation):
            return False
        node.__dict__["_folded"] = text[piece.start : piece.end]
        node.__dict__["_last_line"] = piece.line + text.count("\n", piece.start, piece.end)
        node.__class__ = _Folded if isinstance(node, ast.FunctionDef) else _FoldedAsync
    for part in tree.body:
        if isinstance(part, ast.ClassDef) and isinstance(part.body[-1], (_Folded, _FoldedAsync)):
            part.__class__ = _OpenClass
    return True


def _unfold(
    node: ast.FunctionDef | ast.AsyncFunctionDef, kind: type[ast.FunctionDef] | type[ast.AsyncFunctionDef]
) -> None:
    """Parse a function's text in its place.

    Raises:
        FoldError: it is not the text of one function.
    """
    text: str = node.__dict__["_folded"]
    before = "\n" * (node.lineno - 2) + "if 1:\n" if node.col_offset else "\n" * (node.lineno - 1)
    try:
        body = quietly(before + text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FoldError(str(error)) from error
    if node.col_offset and isinstance(body[0], ast.If):
        body = body[0].body
    if len(body) != 1 or not isinstance(body[0], kind):
        raise FoldError(f"line {node.lineno}: not one function")
    node.__class__ = kind
    del node.__dict__["_folded"]
    decorators = node.decorator_list
    node.__dict__.update(body[0].__dict__)
    node.decorator_list = decorators


def quietly(text: str) -> ast.Module:
    """Parse without Python's own remarks about a file that is not ours to remark on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)
