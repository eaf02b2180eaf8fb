"""How the parts of a gate are spelled in a file."""

from __future__ import annotations

import ast

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant
from autofix.syntax import Module
from autofix.transforms.routing._routing import GATE_TEMPERATURE, TEMPERATURE, fresh
from autofix.tree import walk


def temperature(
    module: Module,
    function: ast.AST,
    name: str = GATE_TEMPERATURE,
    number: float = TEMPERATURE,
    meaning: str = "width of the gate around the threshold, in probability mass",
) -> tuple[str, tuple[Edit, ...]]:
    """How a temperature is called in this file, and the edit that defines it."""
    stores = module.flow(module.tree).stores(name)
    if stores:
        value = getattr(stores[0], "value", None)
        if len(stores) == 1 and constant(module, value) is not None:
            return name, ()
        return str(number), ()
    if fresh(function, name) != name:
        return str(number), ()
    imports = [s for s in module.tree.body if isinstance(s, (ast.Import, ast.ImportFrom))]
    if not imports or module.indentation(imports[-1]) != "" or imports[-1].lineno > function.lineno:  # type: ignore[attr-defined]
        return str(number), ()
    edit = rewrite.insert_after(
        module,
        imports[-1],
        "",
        f"{name} = {number}  # {meaning}",
    )
    return name, (edit,)


def operand(node: ast.expr) -> ast.expr:
    """What a negation negates; the node itself when it is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return node.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _is_one(node.left):
        return node.right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "logical_not":
        return node.args[0] if node.args else node.func.value
    return node


def is_simple(node: ast.expr) -> bool:
    """Cheap to read twice, without effects: names, attributes, constants, their signs and views."""
    if isinstance(node, (ast.Name, ast.Constant)):
        return True
    if isinstance(node, ast.Attribute):
        return is_simple(node.value)
    if isinstance(node, ast.UnaryOp):
        return is_simple(node.operand)
    if isinstance(node, ast.Subscript):
        return is_simple(node.value) and not any(isinstance(n, ast.Call) for n in walk(node.slice))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("unsqueeze", "view") and is_simple(node.func.value) and all(map(is_simple, node.args))
    return False


def without_conversion(node: ast.expr) -> ast.expr:
    """The tensor behind a conversion to a Python number, through which a learnt threshold would lose its gradient."""
    if isinstance(node, ast.Call) and not node.keywords:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "item" and not node.args:
            return node.func.value
        if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1:
            return without_conversion(node.args[0])
    return node


def bracketed(text: str) -> str:
    node = ast.parse(text, mode="eval").body
    return text if isinstance(node, (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript)) else f"({text})"


def changed_in_place(function: ast.AST, first: int, last: int) -> set[str]:
    out: set[str] = set()
    for node in walk(function):
        if not first <= getattr(node, "lineno", 0) <= last:
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            out.add(node.value.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            inplace = node.func.attr.endswith("_") and not node.func.attr.endswith("__")
            if inplace and isinstance(node.func.value, ast.Name):
                out.add(node.func.value.id)
    return out


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (1, 1.0)
