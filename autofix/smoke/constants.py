"""What constants say about a leaf: parameter defaults, module constants, what `__init__` assigned."""

from __future__ import annotations

import ast
import re

from autofix.flow import parameter_default
from autofix.ops import constant
from autofix.smoke.naming import Leaf
from autofix.syntax import Module


def resolve(module: Module, node: ast.expr, leaf: Leaf) -> None:
    """Constants: parameter defaults, module constants, what `__init__` assigned."""
    value = constant(module, node)
    made: ast.expr | None = None
    if value is None and isinstance(node, ast.Name):
        leaf.noted = _noted(module.function_scope(node), node.id)
        default = parameter_default(module.function_scope(node), node.id)
        if isinstance(default, ast.Constant) or constant(module, default) is not None:
            made = default
    elif value is None and isinstance(node, ast.Attribute) and is_self(node.value):
        cls = module.class_of(node)
        made = module.self_attribute(cls, node.attr) if cls is not None else None
        made = _from_constructor(module, cls, made)
        leaf.alias = ast.unparse(made) if isinstance(made, ast.Attribute) else ""
        if cls is not None and _is_buffer(cls, node.attr):
            leaf.roles = ["bool", "float"] if "mask" in node.attr else ["float", "bool"]
            number = _buffer_constant(module, cls, node.attr)
            if number is not None:
                leaf.roles, leaf.value = ["buffer", "float"], number
                return
    if made is not None:
        value = constant(module, made)
        if isinstance(made, ast.Constant) and isinstance(made.value, (bool, str)):
            value = made.value  # type: ignore[assignment]
        if isinstance(made, ast.Call) and "Parameter" in ast.unparse(made.func):
            leaf.roles = ["float"]
            if re.search(r"\(\s*(\d|math|np|numpy)", ast.unparse(made)) and "ones([])" in ast.unparse(made):
                leaf.rank = 0
        elif isinstance(made, ast.BinOp) and isinstance(made.op, ast.Pow) and value is None:
            leaf.roles = ["scalar", "float"]
    if isinstance(value, bool):
        leaf.roles, leaf.value = ["flag", "fixed"], value
    elif isinstance(value, (int, float, str)):
        leaf.roles, leaf.value = ["fixed", "scalar", "int", "float"], value


def _noted(scope: ast.AST, name: str) -> str:
    """The role of a parameter that is annotated as a number or flag, or as an optional one."""
    if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    every = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
    note = next((a.annotation for a in every if a.arg == name and a.annotation is not None), None)
    if note is None:
        return ""
    said = re.sub(r"^(typing\.)?Optional\[(\w+)\]$|^(\w+) \| None$", r"\2\3", ast.unparse(note))
    return {"int": "int", "float": "scalar", "bool": "flag"}.get(said, "")


def _from_constructor(module: Module, cls: ast.ClassDef | None, made: ast.expr | None) -> ast.expr | None:
    """A parameter of `__init__` stands for its default."""
    if cls is None or not isinstance(made, ast.Name):
        return made
    init = module.method(cls, "__init__")
    default = parameter_default(init, made.id) if init is not None else None
    return default if default is not None else made


def constant_source(module: Module, statement: ast.stmt, name: str) -> str | None:
    """`NAME = value` for a constant of the file, or None when it is none."""
    value = getattr(statement, "value", None)
    if value is None or not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return None
    number = constant(module, value)
    if number is not None:
        return f"{name} = float({str(number)!r})" if number in (float("inf"), float("-inf")) else f"{name} = {number!r}"
    if isinstance(value, ast.Constant):
        return f"{name} = {value.value!r}"
    return None


def _is_buffer(cls: ast.ClassDef, name: str) -> bool:
    return any(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr == "register_buffer"
        and n.args
        and isinstance(n.args[0], ast.Constant)
        and n.args[0].value == name
        for n in ast.walk(cls)
    )


def _buffer_constant(module: Module, cls: ast.ClassDef, name: str) -> float | None:
    """-1e4 for `self.register_buffer("bias", torch.tensor(-1e4))`."""
    for node in ast.walk(cls):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 1):
            continue
        key, value = node.args[:2]
        if node.func.attr != "register_buffer" or not (isinstance(key, ast.Constant) and key.value == name):
            continue
        if isinstance(value, ast.Call) and module.qualified(value.func) == "torch.tensor" and value.args:
            return constant(module, value.args[0])
    return None


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
