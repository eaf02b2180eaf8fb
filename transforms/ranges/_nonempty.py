"""What else than the mask itself says that a count is not 0: an index less one, a loop that goes on until no group is
empty, a test that all callers make, a mask that is made of numbers alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.flow import parameter_default
from autofix.ops import constant
from autofix.relations import words
from autofix.syntax import Module
from autofix.transforms.ranges._call_sites import call_sites, given
from autofix.transforms.ranges._counts import Count
from autofix.transforms.ranges._division import is_guarded
from autofix.tree import last_part, parameter_names, walk

_NUMBER = re.compile(r"^(int|float)( \| None)?$")
_COORDINATES = ("arange", "linspace", "meshgrid")
_MOST_NAMES = 24


def known_to_hold(module: Module, node: ast.AST, counted: Count) -> bool:
    """Whether what is counted for the division `node` is at least one, by what stands around it."""
    if _is_an_index_less_one(module, counted.at) or _is_filled_up(module, node, counted.of):
        return True
    return counted.of is not None and (
        _is_asked_by_callers(module, node, counted.of) or _is_a_table(module, counted.of)
    )


def _is_an_index_less_one(module: Module, count: ast.expr) -> bool:
    """`values.gather(dim, k - 1)`, as in a projection onto the simplex: with nothing counted there is no such element,
    so that at least one is counted by the rule that selects."""
    if not isinstance(count, ast.Name):
        return False
    for read in module.flow(count).loads.get(count.id, []):
        less = module.parent(read)
        if not isinstance(less, ast.BinOp) or not isinstance(less.op, ast.Sub) or constant(module, less.right) != 1:
            continue
        used = module.parent(less)
        if isinstance(used, ast.Call) and last_part(used.func) in ("gather", "index_select", "take_along_dim"):
            return True
        if isinstance(used, ast.Subscript) and used.slice is less:
            return True
    return False


def _is_filled_up(module: Module, node: ast.AST, mask: ast.expr | None) -> bool:
    """`while len(empty): ...`, where `empty` are the groups in which `mask.any(-1)` is false."""
    if mask is None:
        return False
    text = words(module, mask)
    for loop in (n for n in walk(module.flow(mask).scope) if isinstance(n, ast.While)):
        if module.chars(loop)[1] > module.chars(node)[0]:
            continue
        names = [n for n in walk(loop.test) if isinstance(n, ast.Name)]
        made = [getattr(s, "value", None) for n in names for s in module.flow(n).stores(n.id)]
        asked = (c for v in (*made, loop.test) if v is not None for c in walk(v) if isinstance(c, ast.Call))
        for call in asked:
            if last_part(call.func) == "any" and any(
                isinstance(p, ast.expr) and words(module, p) == text for p in walk(call)
            ):
                return True
    return False


def _is_asked_by_callers(module: Module, node: ast.AST, mask: ast.expr) -> bool:
    """Whether the mask is a parameter, and every call in this file stands under a test of what it hands over."""
    function = module.function(node)
    if not isinstance(mask, ast.Name) or not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    definition = module.flow(mask).definition(mask)
    if definition is None or definition.kind != "parameter":
        return False
    calls = call_sites(module, function)
    handed = given(module, function, mask.id)
    return bool(calls) and all(a is not None and is_guarded(module, c, [a]) for c, a in zip(calls, handed, strict=True))


def _is_a_table(module: Module, mask: ast.expr) -> bool:
    """Whether a mask is made of coordinates and numbers alone, as a disk on a grid is: it is the same every time, and
    its author has seen it."""
    function = module.function(mask)
    parts = list(_made_of(module, mask))
    if function is None or not any(isinstance(p, ast.Call) and last_part(p.func) in _COORDINATES for p in parts):
        return False
    if any(isinstance(p, ast.Attribute) and getattr(p.value, "id", "") == "self" for p in parts):
        return False
    named = [p for p in parts if isinstance(p, ast.Name) and module.qualified(p) is None]
    names = {n.id for n in named if getattr(module.parent(n), "attr", "") not in ("dtype", "device")}
    return all("dtype" in n or _is_number(function, n) for n in names & parameter_names(function))


def _made_of(module: Module, node: ast.expr) -> Iterator[ast.AST]:
    """The nodes that a value is computed from, through names of one assignment or of several."""
    pending: list[ast.AST] = [node]
    seen: set[str] = set()
    while pending and len(seen) < _MOST_NAMES:
        for part in walk(pending.pop()):
            yield part
            if not isinstance(part, ast.Name) or part.id in seen:
                continue
            seen.add(part.id)
            pending += [v for s in module.flow(part).stores(part.id) if (v := getattr(s, "value", None)) is not None]


def _is_number(function: ast.AST, name: str) -> bool:
    """Whether a parameter is annotated as a number, or is one by default."""
    arguments = getattr(function, "args", None)
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if arguments is not None else ()
    annotation = next((a.annotation for a in every if a.arg == name), None)
    if annotation is not None:
        return _NUMBER.match(ast.unparse(annotation)) is not None
    default = parameter_default(function, name)
    return isinstance(default, ast.Constant) and type(default.value) in (int, float)
