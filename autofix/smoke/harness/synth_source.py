"""The syntax trees of the files that user code comes from: functions, classes, and the statement on a line."""

from __future__ import annotations

import ast
import functools
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

OVERLAY: dict[str, str] = {}  # patched bytes (as latin-1 text, for JSON) by real path


def prepare(filename: str | None) -> None:
    """Read a file before forking, once for all its classes."""
    if filename is not None:
        _functions(filename)
        _classes(filename)


def forget() -> None:
    """Drop what was read: a file's text has been replaced."""
    for known in (tree, _functions, _classes, class_definition, statement_at, conditions_at, _path_to):
        known.cache_clear()


@functools.lru_cache(maxsize=512)
def tree(filename: str) -> ast.Module | None:
    try:
        patched = OVERLAY.get(os.path.realpath(filename))
        if patched is not None:
            return ast.parse(patched.encode("latin-1"))
        with open(filename, "rb") as stream:
            return ast.parse(stream.read())
    except (OSError, SyntaxError, ValueError):
        return None


@functools.lru_cache(maxsize=512)
def _functions(filename: str) -> dict[tuple[str, int], ast.FunctionDef]:
    root = tree(filename)
    found: dict[tuple[str, int], ast.FunctionDef] = {}
    for node in ast.walk(root) if root is not None else ():
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name, first] = node
    return found


@functools.lru_cache(maxsize=512)
def _classes(filename: str) -> dict[str, ast.ClassDef]:
    root = tree(filename)
    found: dict[str, ast.ClassDef] = {}
    for node in ast.walk(root) if root is not None else ():
        if isinstance(node, ast.ClassDef):
            found.setdefault(node.name, node)
    return found


def definition(function: Callable[..., Any]) -> ast.FunctionDef | None:
    """The statement that defined a function; None where its source is not at hand."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return None
    return _functions(code.co_filename).get((code.co_name, code.co_firstlineno))


@functools.lru_cache(maxsize=4096)
def class_definition(kind: type) -> ast.ClassDef | None:
    for value in vars(kind).values():
        code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
        if code is not None:
            return _classes(code.co_filename).get(kind.__name__)
    return None


@functools.lru_cache(maxsize=4096)
def statement_at(filename: str, line: int) -> ast.stmt | None:
    """The innermost statement that covers a line of a file."""
    path = _path_to(filename, line)
    return path[-1] if path else None


@functools.lru_cache(maxsize=4096)
def conditions_at(filename: str, line: int) -> tuple[ast.expr, ...]:
    """The tests of the `if` statements around a line within its function, the innermost first."""
    tests: list[ast.expr] = []
    for node in reversed(_path_to(filename, line)[:-1]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            break
        if isinstance(node, ast.If):
            tests.append(node.test)
    return tuple(tests)


@functools.lru_cache(maxsize=4096)
def _path_to(filename: str, line: int) -> tuple[ast.stmt, ...]:
    """The statements that cover a line, from the outermost in."""
    root = tree(filename)
    path: list[ast.stmt] = []
    pending: list[ast.stmt] = list(root.body) if root is not None else []
    while pending:
        inner = next(
            (n for n in pending if _first(n) <= line <= (n.end_lineno or n.lineno)),
            None,
        )
        if inner is None:
            break
        path.append(inner)
        pending = list(_bodies(inner))
    return tuple(path)


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _bodies(node: ast.stmt) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(getattr(child, "body", None), list):  # an exception handler or a case
            yield from (n for n in child.body if isinstance(n, ast.stmt))  # type: ignore[attr-defined]
