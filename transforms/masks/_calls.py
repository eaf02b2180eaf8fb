"""Calls of a file's own functions, and of the modules its classes build."""

from __future__ import annotations

import ast

from autofix.syntax import Module


def defined_function(module: Module, call: ast.Call) -> ast.FunctionDef | None:
    """The function of this file that `call` certainly calls: `name(...)`, `self.name(...)`, `Class.name(...)`."""
    func = call.func
    if isinstance(func, ast.Name):
        if module.names.lookup(func.id, func) is not None:
            return None
        found = [f for f in _visible_functions(module, call) if f.name == func.id]
        return found[0] if len(found) == 1 else None
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in ("self", "cls"):
        cls = module.class_of(call)
        return module.method(cls, func.attr) if cls else None
    return None


def callers(module: Module, function: ast.AST) -> list[ast.Call]:
    """Calls of a function of this file, at most eight."""
    name = getattr(function, "name", "")
    if name in ("forward", "__call__", "__init__", "main"):
        return []
    return [c for c in module.calls(name) if defined_function(module, c) is function][:8]


def _visible_functions(module: Module, node: ast.AST) -> list[ast.FunctionDef]:
    """Functions of the file's top level, and those defined directly in the functions around `node`."""
    scopes = [a for a in module.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))]
    blocks = [module.tree.body, *(s.body for s in scopes)]
    return [s for block in blocks for s in block if isinstance(s, ast.FunctionDef)]


def parameter_of(
    module: Module, function: ast.FunctionDef, call: ast.Call, keyword: str | None, index: int | None
) -> str | None:
    args = function.args
    if keyword is not None:
        return keyword if keyword in {a.arg for a in [*args.args, *args.kwonlyargs]} else None
    if index is None or any(isinstance(a, ast.Starred) for a in call.args[: index + 1]):
        return None
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
    bound = module.class_of(function) is not None and isinstance(call.func, ast.Attribute) and not static
    position = index + bound
    names = [a.arg for a in [*args.posonlyargs, *args.args]]
    return names[position] if position < len(names) else None


def built_class(module: Module, call: ast.Call) -> str:
    """Dotted name of the class of `self.x` when the class of this call builds it once."""
    func = call.func
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self"):
        return ""
    cls = module.class_of(call)
    value = module.self_attribute(cls, func.attr) if cls else None
    return (module.qualified(value.func) or "") if isinstance(value, ast.Call) else ""


def leaf_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
