"""Where the things in a training loop come from: the assignments behind a name or `self.<attribute>`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import cast

from autofix.syntax import Module
from autofix.tree import children, last_part

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """Every node below `root` that runs when it runs: functions, classes and lambdas defined inside are left out."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        own = [c for c in children(node) if not isinstance(c, _DEFINITIONS)]
        pending.extend(reversed(own))


def last_name(node: ast.expr) -> str:
    """The identifier that says what a thing is: `self.optimizer_g` -> "optimizer_g", `opts[0]` -> "opts"."""
    while isinstance(node, (ast.Subscript, ast.Call)):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return last_part(node)


def same(left: ast.AST, right: ast.AST) -> bool:
    return ast.dump(left) == ast.dump(right)


def constructors(module: Module, node: ast.expr) -> list[ast.expr]:
    """Every value that may have been assigned to a name or `self.<attribute>`, as far as this file shows.

    Statements that only wrap the thing (`model, opt = accelerator.prepare(model, opt)`) are seen through. Empty
    when it comes from elsewhere: a parameter, a loop, unpacking, another file.
    """
    found = bindings(module, node)
    return [v for _, v in found] if found and all(v is not None for _, v in found) else []  # type: ignore[misc]


def bindings(module: Module, node: ast.expr) -> list[tuple[ast.stmt, ast.expr | None]]:
    """The assignments behind `constructors`, each with its value (None: unpacked, a loop target and the like)."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        cls = module.class_of(node)
        return _attribute_bindings(module, cls, node.attr) if cls else []
    if not isinstance(node, ast.Name):
        return []
    exact = module.flow(node).definition(node)
    plain = exact is not None and exact.value is not None and isinstance(exact.statement, ast.stmt)
    if exact is not None and plain and not wraps(exact.statement, node.id):
        return [(cast(ast.stmt, exact.statement), exact.value)]
    for scope in enclosing_scopes(module, node):
        stores = [s for s in stores_in(module, scope, node.id) if not wraps(s, node.id)]
        if stores:
            return [(s, _assigned(s, node.id)) for s in stores]
        if parameter(scope, node.id) is not None:
            return []
    return []


def enclosing_scopes(module: Module, node: ast.AST) -> list[ast.AST]:
    """The function around `node`, those around that, and the module: where a name may be bound."""
    outer = [a for a in module.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [*outer, module.tree]


def stores_in(module: Module, scope: ast.AST, name: str) -> list[ast.stmt]:
    """The statements that bind `name` in a function or the module itself."""
    body: list[ast.stmt] = getattr(scope, "body", [])
    return module.flow(scope if scope is module.tree else body[0]).stores(name) if body else []


def wraps(statement: ast.AST, name: str) -> bool:
    """Whether an assignment to `name` passes the old value through a call: `x = DDP(x)`, `m, x = prepare(m, x)`."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return False
    call = statement.value
    arguments = [*call.args, *(k.value for k in call.keywords)]
    return any(isinstance(a, ast.Name) and a.id == name for a in arguments)


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    if isinstance(statement, ast.AnnAssign):
        return statement.value
    if isinstance(statement, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in statement.targets):
        return statement.value
    return None


def _attribute_bindings(module: Module, cls: ast.ClassDef, name: str) -> list[tuple[ast.stmt, ast.expr | None]]:
    out: list[tuple[ast.stmt, ast.expr | None]] = []
    for node in (n for part in module.setters(cls) for n in module.nodes(part)):
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        if _passes_attribute(node.value, name):
            continue
        for target in targets:
            if _is_self_attribute(target, name):
                out.append((node, node.value))
            elif isinstance(target, (ast.Tuple, ast.List)) and any(_is_self_attribute(e, name) for e in target.elts):
                out.append((node, None))
    return [b for b in out if not (isinstance(b[1], ast.Constant) and b[1].value is None)]


def _is_self_attribute(node: ast.AST | None, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _passes_attribute(value: ast.AST | None, name: str) -> bool:
    return isinstance(value, ast.Call) and any(_is_self_attribute(a, name) for a in value.args)


def parameter(scope: ast.AST, name: str) -> ast.arg | None:
    args = getattr(scope, "args", None)
    if not isinstance(args, ast.arguments):
        return None
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return next((a for a in every if a is not None and a.arg == name), None)
