"""What the other files of a project hand to a function or a class of this one: a trainer is rarely built where it is
defined."""

from __future__ import annotations

import ast
import functools
import os
import re
from pathlib import Path

from autofix.model import Problem, Source
from autofix.neighbours import neighbours, read
from autofix.syntax import Module, parse
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, parameter
from autofix.transforms.loops._imports import MOST_FILES, definition_elsewhere
from autofix.transforms.loops._loops import Function

_MOST_SITES = 3  # calls in other files: what is called from more has no model of its own
_TESTS = re.compile(r"(^|_)tests?(_|\.|$)|^conftest")


def handed_in(module: Module, node: ast.expr) -> list[tuple[Module, ast.expr]]:
    """The arguments that other files pass for what `node` reads, a parameter or an attribute that keeps one; empty
    where one of a few calls leaves it open."""
    kept = constructors(module, node) if isinstance(node, ast.Attribute) else [node]
    if len(kept) != 1 or not isinstance(kept[0], ast.Name):
        return []
    name = kept[0].id
    home = next((s for s in enclosing_scopes(module, kept[0]) if parameter(s, name) is not None), None)
    if not isinstance(home, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    cls = module.class_of(home)
    called = cls if cls is not None and home.name == "__init__" else home
    if not any(s is called for s in module.tree.body):
        return []
    sites = _sites(module, called.name)
    given = [(m, a) for m, call in sites if (a := argument(call, home, name, bound=cls is not None)) is not None]
    return given if len(given) == len(sites) <= _MOST_SITES else []


def argument(call: ast.Call, function: Function, name: str, *, bound: bool) -> ast.expr | None:
    """What a call passes for a parameter of a function, whose first may be bound already."""
    named = next((k.value for k in call.keywords if k.arg == name), None)
    if named is not None:
        return named
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)][bound:]
    if name not in names or names.index(name) >= len(call.args):
        return None
    before = call.args[: names.index(name) + 1]
    return None if any(isinstance(a, ast.Starred) for a in before) else before[-1]


def _sites(module: Module, name: str) -> list[tuple[Module, ast.Call]]:
    """The calls of a function or class of this file in the other files of its project, tests left out."""
    here = Path(module.path).resolve()
    out: list[tuple[Module, ast.Call]] = []
    for path in _that_call(module.path, name):
        other = parse(Source(str(path), read(path)))
        if isinstance(other, Problem):
            continue
        for call in other.calls(name):
            found = definition_elsewhere(other, call.func)
            if found is not None and Path(found[0].path).resolve() == here:
                out.append((other, call))
    return out


@functools.lru_cache(maxsize=64)
def _that_call(path: str, name: str) -> tuple[Path, ...]:
    """The files of the project of `path` with what looks like a call of `name`; none in a large project."""
    files = neighbours(path) or ()
    if len(files) > MOST_FILES:
        return ()
    here = Path(path).resolve()
    head = re.compile(rb"(?<!class )(?<!def )\b" + name.encode() + rb"\(")
    return tuple(p for p in files if not _is_test(p, here) and head.search(read(p)))


def _is_test(path: Path, beside: Path) -> bool:
    """Whether a file is a test, or lies in a folder of tests, by what its path does not share with another's."""
    own = path.relative_to(os.path.commonpath((path, beside))).parts
    return any(_TESTS.search(part) for part in own)
