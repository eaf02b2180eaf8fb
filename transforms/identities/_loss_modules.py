"""Where a loss module (`nn.BCELoss()`) is called, seen from where it is made."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.tree import walk

_MOVES = ("to", "cuda", "cpu", "float", "half", "train", "eval")


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a loss, in source order. complete: nothing else in the file reads it."""

    nodes: tuple[ast.Call, ...]
    complete: bool


def calls_of(module: Module, maker: ast.Call) -> Calls:
    """Every call of what `maker` makes, as far as names show it."""
    made = _moved(module, maker)
    parent = module.parent(made)
    if isinstance(parent, ast.Call) and parent.func is made:
        return Calls((parent,), True)
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1:
        return Calls((), False)
    target = parent.targets[0]
    if isinstance(target, ast.Name):
        return _calls(module, _readers(module, target.id, parent))
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return _calls_of_attribute(module, target, made)
    return Calls((), False)


def _moved(module: Module, maker: ast.Call) -> ast.Call:
    """`maker`, or the call around it in `nn.BCELoss().to(device)`."""
    while True:
        parent = module.parent(maker)
        outer = module.parent(parent) if isinstance(parent, ast.Attribute) and parent.attr in _MOVES else None
        if not isinstance(outer, ast.Call) or outer.func is not parent:
            return maker
        maker = outer


def _readers(module: Module, name: str, assignment: ast.Assign) -> list[ast.expr] | None:
    """The reads of a name that certainly see this assignment; None when others may see it too."""
    flow = module.flow(assignment)
    if flow.scope is not module.tree:
        loads = flow.loads.get(name, [])
        seen = [n for n in loads if module.flow(n) is flow and _is_from(module, n, assignment)]
        return [*seen] if len(seen) == len(loads) else None
    if len(flow.stores(name)) != 1:
        return None
    return [n for n in walk(module.tree) if isinstance(n, ast.Name) and n.id == name and _is_global(module, n)]


def _is_from(module: Module, load: ast.Name, assignment: ast.Assign) -> bool:
    found = module.flow(load).definition(load)
    return found is not None and found.statement is assignment


def _is_global(module: Module, node: ast.Name) -> bool:
    flow = module.flow(node)
    is_own = flow.scope is not module.tree and (flow.stores(node.id) or flow.definition(node) is not None)
    return isinstance(node.ctx, ast.Load) and not is_own


def _calls_of_attribute(module: Module, target: ast.Attribute, made: ast.Call) -> Calls:
    cls = module.class_of(target)
    if cls is None or module.self_attribute(cls, target.attr) is not made:
        return Calls((), False)
    same = [n for n in walk(module.tree) if isinstance(n, ast.Attribute) and n.attr == target.attr]
    loads = [n for n in same if isinstance(n.ctx, ast.Load)]
    own = [n for n in loads if isinstance(n.value, ast.Name) and n.value.id == "self" and module.class_of(n) is cls]
    found = _calls(module, [*own])
    return Calls(found.nodes, found.complete and len(own) == len(loads))


def _calls(module: Module, readers: list[ast.expr] | None) -> Calls:
    if readers is None:
        return Calls((), False)
    nodes: list[ast.Call] = []
    complete = True
    for reader in readers:
        parent = module.parent(reader)
        if isinstance(parent, ast.Call) and parent.func is reader:
            nodes.append(parent)
        elif not (isinstance(parent, ast.Attribute) and parent.attr in _MOVES):
            complete = False
    return Calls(tuple(sorted(nodes, key=lambda n: (n.lineno, n.col_offset))), complete)
