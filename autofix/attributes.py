"""What attributes of `self` hold from one method to the next."""

from __future__ import annotations

import ast

from autofix.calls import Call, call_of
from autofix.relations import reaches, words
from autofix.syntax import Module
from autofix.tree import walk


def lasting_attribute(module: Module, cls: ast.ClassDef, name: str) -> ast.expr | None:
    """The expression that `self.<name>` is for the life of the object: assigned or registered as a buffer once, in
    the constructor, and changed in place nowhere in the class. A parameter is none: the optimizer changes it."""
    value = module.self_attribute(cls, name)
    registered = [
        n.args[1]
        for n in module.nodes(cls)
        if isinstance(n, ast.Call)
        and len(n.args) >= 2
        and words(module, n.func) == "self.register_buffer"
        and isinstance(n.args[0], ast.Constant)
        and n.args[0].value == name
    ]
    if value is None and len(registered) == 1:
        value = registered[0]
    elif value is None or registered:
        return None
    maker = module.function(value)
    if getattr(maker, "name", "") not in ("__init__", "__post_init__"):
        return None
    if _is_parameter(module, value) or any(_changes(n, name) for n in module.nodes(cls)):
        return None
    return value


def clamped_attribute(module: Module, read: ast.Attribute) -> Call | None:
    """`self.x.data.clamp_(...)` on the way to a read of `self.x` in the same function, the last thing done to it."""
    text = words(module, read)
    found: Call | None = None
    for node in module.nodes(module.flow(read).scope):
        if not _changes(node, read.attr) or (getattr(node, "lineno", 0) >= read.lineno):
            continue
        call = call_of(module, node) if isinstance(node, ast.Call) else None
        subject = call.input if call is not None else None
        if isinstance(subject, ast.Attribute) and subject.attr == "data":
            subject = subject.value
        if call is None or subject is None or words(module, subject) != text or not call.name.startswith("clamp"):
            return None
        found = call if _is_run_before(module, node, read) else None
    return found


def _is_run_before(module: Module, node: ast.AST, read: ast.AST) -> bool:
    """Also inside `with torch.no_grad():`, whose body runs exactly once."""
    statement: ast.AST = module.statement(node)
    while isinstance(module.parent(statement), (ast.With, ast.AsyncWith)):
        statement = module.parent(statement)  # type: ignore[assignment]
    return reaches(module, statement, read)


def _is_parameter(module: Module, value: ast.expr) -> bool:
    return any(isinstance(n, ast.Call) and (module.qualified(n.func) or "").endswith("Parameter") for n in walk(value))


def _changes(node: ast.AST, name: str) -> bool:
    """Whether a node changes `self.<name>` in place."""
    root: ast.AST | None = None
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        root = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        attribute = node.func.attr
        if attribute.endswith("_") and not attribute.endswith("__") and attribute != "requires_grad_":
            root = node.func.value
    while isinstance(root, (ast.Subscript, ast.Attribute)):
        if isinstance(root, ast.Attribute) and isinstance(root.value, ast.Name) and root.value.id == "self":
            return root.attr == name
        root = root.value
    return False
