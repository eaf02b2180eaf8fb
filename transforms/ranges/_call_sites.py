"""Who calls a function of the file, and what its parameters are given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.syntax import Module
from autofix.tree import last_part, walk

_ENTRIES = ("forward", "log_prob", "sample", "rsample", "compute", "update", "step", "loss", "encode", "decode", "fit")


def call_sites(module: Module, function: ast.AST) -> list[ast.Call]:
    """The calls of a function that serves its file: one with a leading underscore, one inside another function, a
    method that its class calls on itself, a helper beside the classes that call it. Empty when it is handed over as a
    value, exported by `__all__`, or called nowhere here."""
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    known: dict[ast.AST, list[ast.Call]] = vars(module).setdefault("_call_sites", {})
    if function not in known:
        known[function] = _call_sites(module, function)
    return known[function]


def _call_sites(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.Call]:
    name, holder = function.name, module.parent(function)
    if name.startswith("__") or name in _ENTRIES or module.text.count(name) < 2:
        return []
    if isinstance(holder, ast.Module) and not name.startswith("_"):
        exported = re.search(rf"__all__[^\]]*[\"']{name}[\"']", module.text)
        if exported or not any(isinstance(s, ast.ClassDef) for s in module.tree.body):
            return []
    found: list[ast.Call] = []
    for node in _reads(module, name):
        if isinstance(node, ast.Attribute) != isinstance(holder, ast.ClassDef):
            continue
        call = module.parent(node)
        if not isinstance(call, ast.Call) or call.func is not node:
            return []  # handed over as a value: who calls it is not known
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            return []
        if not _inside(module, call, function):
            found.append(call)
    return found


def _reads(module: Module, name: str) -> Iterator[ast.Name | ast.Attribute]:
    """Every name and attribute of the file whose last identifier is `name`."""
    for node in (n for part in module.naming(name) for n in walk(part)):
        if isinstance(node, (ast.Name, ast.Attribute)) and last_part(node) == name:
            yield node


def given(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> list[ast.expr | None]:
    """What each call site gives to the parameter `name`; None where it is left to its default."""
    parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    static = any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list)
    if isinstance(module.parent(function), ast.ClassDef) and not static:
        parameters = parameters[1:]
    place = parameters.index(name) if name in parameters else None
    out: list[ast.expr | None] = []
    for call in call_sites(module, function):
        named = next((k.value for k in call.keywords if k.arg == name), None)
        positional = call.args[place] if place is not None and place < len(call.args) else None
        out.append(named if named is not None else positional)
    return out


def _inside(module: Module, node: ast.AST, outer: ast.AST) -> bool:
    return any(a is outer for a in module.ancestors(node))
