"""Whether a value differs from batch to batch, or is made of sizes, positions and what the constructor left."""

from __future__ import annotations

import ast
import re

from autofix.syntax import Module
from autofix.transforms.masks._calls import defined_function, leaf_name, parameter_of
from autofix.transforms.masks._reaching import reaching
from autofix.tree import walk

_SIZES = {"shape", "device", "dtype", "ndim", "is_cuda", "training", "layout"}
_SIZE_CALLS = {"size", "dim", "numel", "len", "stride", "get_device", "range", "isinstance"}
_LIKE = {"ones_like", "zeros_like", "empty_like", "full_like", "new_ones", "new_zeros", "new_full", "new_empty"}
_BUILDERS = ("__init__", "setup", "build", "reset_parameters")
_SETTING = re.compile(r"(?:Optional\[)?(?:int|float|bool|str|(?:torch\.)?(?:dtype|device))(?:\]| \| None)?")
_DEPTH = 10
Given = dict[str, bool]  # which parameters of a function that was entered depend on the batch


def depends_on_batch(module: Module, node: ast.AST, given: Given | None = None, depth: int = 0) -> bool:
    """Whether a value may differ from one batch to the next of the same shape. True where that is not certain."""
    if depth > _DEPTH:
        return True
    if isinstance(node, ast.Constant):
        return False
    if isinstance(node, ast.Name):
        return _name_depends(module, node, given, depth)
    if isinstance(node, ast.Attribute):
        return node.attr not in _SIZES and _attribute_depends(module, node, given, depth)
    if isinstance(node, ast.Call):
        return _call_depends(module, node, given, depth)
    return any(depends_on_batch(module, c, given, depth) for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr))


def _name_depends(module: Module, node: ast.Name, given: Given | None, depth: int) -> bool:
    if module.names.lookup(node.id, node) is not None or node.id in ("self", "cls"):
        return False
    flow = module.flow(node)
    statements, entry = reaching(module, flow, node)
    parameter = _parameter(module, node)
    if entry and parameter is not None:
        if given is not None:
            return given.get(node.id, True)
        if not _is_setting(parameter):
            return True
        if not statements:
            return False
    if not statements:
        return not _is_global_constant(module, node)
    for statement in statements:
        value = _bound_value(statement)
        if value is None or depends_on_batch(module, value, given, depth + 1):
            return True
    changes = [c for n in walk(flow.scope) for c in _changes(n, node.id)]
    return any(depends_on_batch(module, c, given, depth + 1) for c in changes)


def _parameter(module: Module, node: ast.Name) -> ast.arg | None:
    scope = module.function_scope(node)
    if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return None
    return next((a for a in walk(scope.args) if isinstance(a, ast.arg) and a.arg == node.id), None)


def _is_setting(parameter: ast.arg) -> bool:
    """Whether a parameter is annotated as a number, a dtype or a device."""
    text = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    return bool(_SETTING.fullmatch(text))


def _is_global_constant(module: Module, node: ast.Name) -> bool:
    """A name that the function does not bind: a constant of the file, or a builtin."""
    return not module.flow(node).stores(node.id) and _parameter(module, node) is None and node.id.isupper()


def _bound_value(statement: ast.AST) -> ast.expr | None:
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return statement.value
    return statement.iter if isinstance(statement, ast.For) else None


def _changes(node: ast.AST, name: str) -> list[ast.expr]:
    """What a statement or call that changes the tensor `name` in place puts into it."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == name:
                return [target.slice, node.value]
    if isinstance(node, ast.AugAssign):
        root = node.target.value if isinstance(node.target, ast.Subscript) else node.target
        return [node.value] if isinstance(root, ast.Name) and root.id == name else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
        root = node.func.value
        return list(node.args) if isinstance(root, ast.Name) and root.id == name else []
    return []


def _attribute_depends(module: Module, node: ast.Attribute, given: Given | None, depth: int) -> bool:
    """An attribute of self that only the constructor sets, or that is only moved later, does not."""
    if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
        return depends_on_batch(module, node.value, given, depth)
    cls = module.class_of(node)
    if cls is None:
        return True
    stores = [n for n in walk(cls) if isinstance(n, ast.Attribute) and _same(n, node) and isinstance(n.ctx, ast.Store)]
    if not stores:
        buffers = (n for n in walk(cls) if isinstance(n, ast.Call) and leaf_name(n.func) == "register_buffer")
        return "mask" in node.attr and not any(_names(b, node.attr) for b in buffers)
    for store in stores:
        function = module.function_scope(store)
        if isinstance(function, ast.FunctionDef) and function.name in _BUILDERS:
            continue
        value = getattr(module.statement(store), "value", None)
        while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            value = value.func.value
        if not (isinstance(value, ast.Attribute) and _same(value, node)):
            return True
    return False


def _same(node: ast.Attribute, other: ast.Attribute) -> bool:
    return node.attr == other.attr and isinstance(node.value, ast.Name) and node.value.id == "self"


def _names(call: ast.Call, name: str) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == name


def _call_depends(module: Module, node: ast.Call, given: Given | None, depth: int) -> bool:
    leaf = leaf_name(node.func)
    if leaf in _SIZE_CALLS:
        return False
    arguments = [*node.args, *(k.value for k in node.keywords)]
    if leaf in _LIKE:
        return any(depends_on_batch(module, a, given, depth) for a in node.args[1:])
    function = defined_function(module, node)
    if function is not None:
        return _function_depends(module, function, node, given, depth)
    if any(depends_on_batch(module, a, given, depth) for a in arguments):
        return True
    if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None:
        return depends_on_batch(module, node.func.value, given, depth)
    return isinstance(node.func, ast.Name) and module.qualified(node.func) is None


def _function_depends(
    module: Module, function: ast.FunctionDef, call: ast.Call, given: Given | None, depth: int
) -> bool:
    """A function of this file: what it returns, for these arguments."""
    inner: Given = {a.arg: False for a in walk(function.args) if isinstance(a, ast.arg)}
    for index, argument in enumerate(call.args):
        name = parameter_of(module, function, call, None, index)
        if name is None:
            return True
        inner[name] = depends_on_batch(module, argument, given, depth + 1)
    for keyword in call.keywords:
        if keyword.arg is None:
            return True
        inner[keyword.arg] = depends_on_batch(module, keyword.value, given, depth + 1)
    returned = [n.value for n in walk(function) if isinstance(n, ast.Return) and n.value is not None]
    return not returned or any(depends_on_batch(module, r, inner, depth + 1) for r in returned)
