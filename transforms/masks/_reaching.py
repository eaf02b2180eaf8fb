"""Which reads can see what a statement binds or changes in place."""

from __future__ import annotations

import ast

from autofix.flow import Flow
from autofix.syntax import Module
from autofix.tree import bound_by, walk

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
Reaching = tuple[frozenset[ast.AST], bool]  # the binding statements, and whether the function's start reaches too


def readers_after(module: Module, statement: ast.AST, name: str | None = None) -> list[ast.expr]:
    """Reads that may see the value after `statement`.

    name: what the statement binds; None when it changes a tensor in place (`x[m] = v`, `x.fill_(v)`, `x += v`):
    then the reads after it of the same tensor. Updates in place (`x += 1`) count as reads: their target is returned.
    """
    at = module.statement(statement)
    scope = module.function_scope(at)
    flow = module.flow(at)
    if name is not None:
        return [n for n in _uses(module, flow, scope, name) if _after(n, at) and at in reaching(module, flow, n)[0]]
    changed = changed_name(statement)
    if changed is None:
        return []
    if isinstance(at, ast.AugAssign) and at.target is changed:
        own: Reaching = (frozenset((at,)), False)
    else:
        own = reaching(module, flow, changed)
    out = []
    for use in _uses(module, flow, scope, changed.id):
        if not _after(use, at):
            continue
        statements, entry = reaching(module, flow, use)
        if statements & own[0] or (entry and own[1]):
            out.append(use)
    return out


def readers_of_parameter(module: Module, function: ast.FunctionDef, name: str) -> list[ast.expr]:
    """Reads of a parameter's own value in its function."""
    flow = module.flow(function.body[0])
    if flow.scope is not function:
        return []
    return [n for n in _uses(module, flow, function, name) if reaching(module, flow, n)[1]]


def changed_name(statement: ast.AST) -> ast.Name | None:
    """The name of the tensor that a statement, or an in-place call, changes."""
    root: ast.AST | None = None
    if isinstance(statement, ast.AugAssign):
        root = statement.target
    elif isinstance(statement, ast.Assign):
        subscripts = [t for t in statement.targets if isinstance(t, ast.Subscript)]
        root = subscripts[0] if len(subscripts) == 1 else None
    elif isinstance(statement, ast.Call) and isinstance(statement.func, ast.Attribute):
        root = statement.func.value
    while isinstance(root, (ast.Subscript, ast.Attribute, ast.Call)):
        if isinstance(root, ast.Call):  # a view: `x.transpose(0, 1).fill_(v)`
            if not isinstance(root.func, ast.Attribute):
                return None
            root = root.func.value
        else:
            if isinstance(root, ast.Attribute) and root.attr not in ("T", "mT", "data"):
                return None
            root = root.value
    return root if isinstance(root, ast.Name) else None


def _uses(module: Module, flow: Flow, scope: ast.AST, name: str) -> list[ast.expr]:
    """Loads of the name in this scope, and the targets of updates in place."""
    out: list[ast.expr] = [n for n in flow.loads.get(name, []) if module.function_scope(n) is scope]
    for statement in flow.stores(name):
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            out.append(statement.target)
    return out


def _after(node: ast.expr, statement: ast.stmt) -> bool:
    end = (statement.end_lineno or statement.lineno, statement.end_col_offset or 0)
    return (node.lineno, node.col_offset) >= end


def reaching(module: Module, flow: Flow, node: ast.AST) -> Reaching:
    """Every binding of the name `node` that may reach it (loop-carried ones apart)."""
    name = node.id  # type: ignore[attr-defined]
    found: set[ast.AST] = set()
    statement = module.statement(node)
    while True:
        block = module.block(statement)
        index = block.index(statement)
        for earlier in reversed(block[:index]):
            certain, stores = _stores_in(earlier, name)
            found |= stores
            if certain:
                return frozenset(found), False
        parent = module.parent(statement)
        if isinstance(parent, (*_LOOPS, ast.With, ast.AsyncWith)) and name in bound_by(parent):
            found.add(parent)
            return frozenset(found), False
        while parent is not None and parent is not flow.scope and not isinstance(parent, ast.stmt):
            parent = module.parent(parent)
        if parent is None or parent is flow.scope or isinstance(parent, _SCOPES):
            return frozenset(found), isinstance(flow.scope, (ast.FunctionDef, ast.AsyncFunctionDef))
        statement = parent  # type: ignore[assignment]


def _stores_in(statement: ast.stmt, name: str) -> tuple[bool, set[ast.AST]]:
    """Whether `statement` binds the name on every path, and the statements in it that do."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name == name, {statement} if statement.name == name else set()
    if isinstance(statement, ast.If):
        then, there = _stores_in_block(statement.body, name)
        other, elsewhere = _stores_in_block(statement.orelse, name)
        return (then or _leaves(statement.body)) and (other or _leaves(statement.orelse)) and bool(
            there | elsewhere
        ), there | elsewhere
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        certain, stores = _stores_in_block(statement.body, name)
        if name in bound_by(statement):
            return True, stores or {statement}
        return certain, stores
    if isinstance(statement, (*_LOOPS, ast.Try, ast.Match)):
        nodes = [n for n in walk(statement) if isinstance(n, ast.stmt) and n is not statement]
        inner: set[ast.AST] = {n for n in nodes if not isinstance(n, (ast.If, ast.With)) and name in bound_by(n)}
        if name in bound_by(statement):
            inner.add(statement)
        return False, inner
    if name in bound_by(statement):
        return True, {statement}
    return False, set()


def _stores_in_block(block: list[ast.stmt], name: str) -> tuple[bool, set[ast.AST]]:
    stores: set[ast.AST] = set()
    for statement in reversed(block):
        certain, inner = _stores_in(statement, name)
        stores |= inner
        if certain:
            return True, stores
    return False, stores


def _leaves(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))
