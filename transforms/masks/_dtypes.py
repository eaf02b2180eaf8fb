"""Naming a tensor's dtype without evaluating anything."""

from __future__ import annotations

import ast

from autofix.ops import constant
from autofix.syntax import Module

_SHAPES = frozenset((
    "view", "reshape", "transpose", "permute", "contiguous", "unsqueeze", "squeeze", "expand", "expand_as", "view_as",
    "repeat", "flatten", "clone", "detach", "cuda", "cpu", "masked_fill", "masked_fill_", "clamp", "clamp_",
    "clamp_min", "clamp_max", "triu", "tril", "triu_", "tril_", "fill_", "movedim", "swapaxes", "index_select",
    "narrow", "unflatten", "requires_grad_", "div", "mul", "div_", "mul_", "zero_", "where",
))  # fmt: skip
_NAMED = {"float": "torch.float32", "half": "torch.float16", "double": "torch.float64", "bfloat16": "torch.bfloat16"}
_CREATE = {"torch.zeros", "torch.ones", "torch.empty", "torch.full", "torch.rand", "torch.randn", "torch.eye",
           "torch.normal"}  # fmt: skip
_LIKE = {"torch.zeros_like", "torch.ones_like", "torch.empty_like", "torch.full_like", "torch.rand_like"}
_NEW = {"new_zeros", "new_ones", "new_empty", "new_full", "new"}
_SAME_FUNCTIONS = {"torch.triu", "torch.tril", "torch.masked_fill", "torch.transpose", "torch.squeeze",
                   "torch.unsqueeze", "torch.reshape", "torch.permute", "torch.clone", "torch.clamp"}  # fmt: skip
_FLOATS = frozenset((
    "float", "float16", "float32", "float64", "half", "bfloat16", "double",
))  # fmt: skip
DEFAULT = "torch.get_default_dtype()"
WIDE = ("torch.float32", "torch.float64", "torch.float", "torch.double", "torch.bfloat16", DEFAULT)


def dtype_of(module: Module, node: ast.expr) -> str | None:
    """Source text that names the dtype of `node`'s value (`scores.dtype`, `dtype`, `torch.float32`), or None when
    naming it would evaluate something."""
    if is_plain(node):
        return f"{module.source(node)}.dtype"
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant):  # of a dictionary or a list, perhaps
            return f"{module.source(node)}.dtype" if is_plain(node.value) else None
        return dtype_of(module, node.value)
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        return dtype_of(module, node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.Add, ast.Sub)):
        if _is_number(module, node.right):
            return dtype_of(module, node.left)
        if _is_number(module, node.left) and not isinstance(node.op, (ast.Add, ast.Sub)):
            return dtype_of(module, node.right)
        return None
    return _of_call(module, node) if isinstance(node, ast.Call) else None


def _of_call(module: Module, node: ast.Call) -> str | None:
    dotted = module.qualified(node.func)
    if dotted is not None:
        return _of_function(module, node, dotted)
    if not isinstance(node.func, ast.Attribute):
        return None
    receiver, name = node.func.value, node.func.attr
    if name in _NAMED:
        return _NAMED[name]
    if name in ("to", "type", "type_as"):
        return cast_dtype(module, node)
    if name in _NEW:
        given = _keyword(node, "dtype")
        return module.source(given) if given is not None and is_plain(given) else dtype_of(module, receiver)
    return dtype_of(module, receiver) if name in _SHAPES else None


def _of_function(module: Module, node: ast.Call, dotted: str) -> str | None:
    given = _keyword(node, "dtype")
    if given is not None and not is_plain(given):
        return None
    if dotted in _CREATE:
        return module.source(given) if given is not None else DEFAULT
    if dotted in _LIKE and node.args:
        return module.source(given) if given is not None else dtype_of(module, node.args[0])
    if dotted in _SAME_FUNCTIONS and node.args:
        return dtype_of(module, node.args[0])
    return None


def cast_dtype(module: Module, call: ast.Call) -> str | None:
    """What `x.to(...)`, `x.type(...)` or `x.type_as(y)` leaves the dtype at."""
    func = call.func
    if not isinstance(func, ast.Attribute):
        return None
    if func.attr in _NAMED:
        return _NAMED[func.attr]
    if func.attr == "type_as":
        return f"{module.source(call.args[0])}.dtype" if call.args and is_plain(call.args[0]) else None
    given = _keyword(call, "dtype")
    for candidate in [given] if given is not None else call.args:
        if names_dtype(module, candidate):
            return module.source(candidate)
    if given is None and len(call.args) == 1 and func.attr == "to":
        argument = call.args[0]
        if moves_only(argument):
            return dtype_of(module, func.value)
        return None
    if given is None and not call.args and _keyword(call, "device") is not None:
        return dtype_of(module, func.value)
    return None


def float_dtype_of(module: Module, node: ast.expr, depth: int = 0) -> str | None:
    """As `dtype_of`, for a tensor that may hold integers: only where a cast in view makes it floating."""
    if depth > 8:
        return None
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        found = float_dtype_of(module, value, depth + 1) if value is not node else None
        if found is None:
            return None
        root = found.partition(".")[0]
        return found if len(module.flow(node).stores(root)) == 0 else f"{node.id}.dtype"
    if isinstance(node, ast.BinOp):
        number_left, number_right = constant(module, node.left), constant(module, node.right)
        if number_left is not None:
            return float_dtype_of(module, node.right, depth + 1)
        return float_dtype_of(module, node.left, depth + 1) if number_right is not None else None
    if isinstance(node, ast.Subscript):
        return float_dtype_of(module, node.value, depth + 1)
    if not isinstance(node, ast.Call):
        return None
    if (module.qualified(node.func) or "") in _CREATE | _LIKE:
        return _of_function(module, node, module.qualified(node.func) or "")
    if not isinstance(node.func, ast.Attribute) or module.qualified(node.func) is not None:
        return None
    if node.func.attr in _NAMED:
        return _NAMED[node.func.attr]
    if node.func.attr in ("to", "type", "type_as"):
        found = cast_dtype(module, node)
        if found is not None and any(names_dtype(module, a) for a in [*node.args, *(k.value for k in node.keywords)]):
            return found
        if node.func.attr == "type_as":
            return found
    elif node.func.attr not in _SHAPES:
        return None
    return float_dtype_of(module, node.func.value, depth + 1)


def names_dtype(module: Module, node: ast.expr) -> bool:
    """Whether an expression certainly is a dtype that costs nothing to name."""
    if isinstance(node, ast.Attribute):
        if node.attr == "dtype" or node.attr.endswith("_dtype"):
            return is_plain(node)
        return (module.qualified(node) or "").removeprefix("torch.") in _FLOATS
    return isinstance(node, ast.Name) and (node.id == "dtype" or node.id.endswith("_dtype"))


def is_plain(node: ast.expr) -> bool:
    """A name or a chain of attributes: reading it twice is reading it once."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def moves_only(node: ast.expr) -> bool:
    """Whether an argument of `.to(...)` is a device."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (str, int))
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return "device" in name or name == "rank"


def _is_number(module: Module, node: ast.expr) -> bool:
    if constant(module, node) is not None:
        return True
    if isinstance(node, ast.Call):
        return (module.qualified(node.func) or "").startswith("math.")
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Pow) and constant(module, node.right) is not None and _is_size(node.left)
    return False


def _is_size(node: ast.expr) -> bool:
    """`q.size(-1)`, `q.shape[-1]`, a name of a size."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "size"
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
    return False


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)
