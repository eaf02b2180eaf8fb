"""Parsing a file, and what the names in it mean. Detection reads only this."""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from autofix.flow import Flow
from autofix.fold import parse_outline, quietly
from autofix.model import Problem, Source
from autofix.names import Names
from autofix.tree import FunctionNode, Tree, Unit, detect_encoding

__all__ = ["FunctionNode", "Module", "Unit", "parse", "with_deep_stack"]

_DEEP_STACK_BYTES = 512 * 1024 * 1024
_DEEP_RECURSION = 60_000
T = TypeVar("T")


class Module(Tree):
    """One parsed file, with the meaning of its names. Build it with `parse`."""

    @cached_property
    def names(self) -> Names:
        return Names(self)

    def qualified(self, node: ast.AST) -> str | None:
        """Dotted name of an imported thing ("torch.nn.functional.softmax"), or None when it is not one,
        or when the name is bound to something else here."""
        return self.names.qualified(node)

    @cached_property
    def _flows(self) -> dict[ast.AST, Flow]:
        return {}

    def flow(self, node: ast.AST) -> Flow:
        """Definitions and uses in the innermost function (or module) around `node`."""
        scope: ast.AST = node if isinstance(node, ast.Module) else self.function_scope(node)
        if scope not in self._flows:
            self._flows[scope] = Flow(self, scope)
        return self._flows[scope]


def parse(source: Source, lines: Sequence[int] | None = None) -> Module | Problem:
    """Decode and parse, or say in one line what is wrong and what would help.

    Of the functions, only those that hold one of `lines` (1-based) are parsed at once, when it is given; then reading
    the tree can raise `fold.FoldError`.
    """
    decoded = _decode(source)
    if isinstance(decoded, Problem):
        return decoded
    text, encoding, bom = decoded
    outline = parse_outline(text, lines) if lines is not None else None
    if outline is not None:
        return Module(source, text, encoding, bom, outline)
    try:
        tree = quietly(text)
    except (RecursionError, MemoryError):
        return _parse_deep(source, text, encoding, bom)
    except (SyntaxError, ValueError) as error:
        return _syntax_problem(source, text, error)
    return Module(source, text, encoding, bom, tree)


def _parse_deep(source: Source, text: str, encoding: str, bom: int) -> Module | Problem:
    """Parse again with a deep stack; `ast` itself recurses while it builds the tree."""
    try:
        tree = with_deep_stack(lambda: quietly(text))
    except (RecursionError, MemoryError):
        return Problem(source.path, "skipped: an expression is nested too deeply for Python's own parser; split it")
    except (SyntaxError, ValueError) as error:
        return _syntax_problem(source, text, error)
    return Module(source, text, encoding, bom, tree)


def with_deep_stack(work: Callable[[], T]) -> T:
    """Run `work` in a thread with a 512 MB stack and a matching recursion limit."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller, below
            errors.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size(_DEEP_STACK_BYTES)
    sys.setrecursionlimit(_DEEP_RECURSION)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0]
    return results[0]


def _decode(source: Source) -> tuple[str, str, int] | Problem:
    """Text without BOM, the codec's name, and the number of bytes of the BOM."""
    try:
        encoding = detect_encoding(source.data)
    except SyntaxError as error:
        said = str(error.msg or error)
        if "invalid or missing" not in said:
            return Problem(source.path, f"skipped: {said}; save the file as UTF-8 or declare its encoding")
        encoding = "utf-8"  # not valid as such either: decoding says where
    bom = 3 if source.data.startswith(b"\xef\xbb\xbf") else 0
    codec = "utf-8" if encoding == "utf-8-sig" else encoding
    try:
        text = source.data[bom:].decode(codec)
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, bom + error.start) + 1
        return Problem(
            source.path,
            f"skipped: not valid {codec.upper()} at byte {bom + error.start}; "
            "save the file as UTF-8 or declare its encoding on the first line",
            line,
        )
    if text.encode(codec) != source.data[bom:]:
        return Problem(source.path, f"skipped: {codec} does not round-trip here; save the file as UTF-8")
    return text, encoding, bom


_PYTHON_2 = re.compile(
    r"^\s*(print\s+[\"'\w%]|exec\s+[\"'\w]|except\s+[\w.]+\s*,\s*\w+\s*:|raise\s+\w+\s*,)|<>|\bur[\"']", re.M
)


def _syntax_problem(source: Source, text: str, error: Exception) -> Problem:
    line = getattr(error, "lineno", None)
    said = getattr(error, "msg", None) or str(error)
    if _PYTHON_2.search(text):
        return Problem(source.path, f"skipped: Python 2 code ({said}); convert it to Python 3 first", line)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    newer = re.search(r"^\s*type\s+\w+(\[.*\])?\s*=|^\s*(def|class)\s+\w+\[|^\s*except\*|\bt[\"']", text, re.M)
    if newer:
        return Problem(
            source.path,
            f"skipped: syntax newer than Python {version}, which runs autofix ({said}); "
            "install autofix under the Python that runs this project",
            line,
        )
    return Problem(source.path, f"skipped: syntax error ({said}); fix it and run again", line)
