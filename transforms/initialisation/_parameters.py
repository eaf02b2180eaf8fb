"""Where a class makes its parameters: `self.weight = nn.Parameter(<value>)` in every spelling."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.tree import walk

_MAKERS = ("torch.nn.Parameter", "torch.nn.parameter.Parameter")
_SIZE_NAME = re.compile(
    r"(^|_)(n|num|dim|dims|d|size|sizes|len|length|features?|channels?|heads?|hidden|units|experts?|classes|groups|"
    r"planes|inp|oup|in|out|width|depth|rank|k|shape|vocab\w*|nb|input|output|feats?|nodes?|types|bases|filters?)(_|\d|$)"
    r"|(size|dim|dims|channels?|features?|hidden|feats|shape)$",
    re.I,
)
# Legacy constructors take sizes or data.
_LEGACY = ("torch.Tensor", "torch.FloatTensor", "torch.cuda.FloatTensor", "torch.DoubleTensor", "torch.HalfTensor")


@dataclass(frozen=True, slots=True)
class Made:
    """A parameter of a class: its name, the call of `Parameter`, what makes its value, and the statement of it all.

    value: the call whose result the parameter holds. cls: the class whose method makes it.
    """

    name: str
    call: ast.Call
    value: ast.Call
    statement: ast.stmt
    cls: ast.ClassDef


def made_by(module: Module, node: ast.Call) -> Made | None:
    """The parameter that a call of `Parameter` makes, when it becomes an attribute of `self` under a known name.

    None as well for a parameter that takes no gradient: nothing trains it, so something else fills it.
    """
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name != "Parameter" or not node.args or module.qualified(node.func) not in _MAKERS:
        return None
    if len(node.args) > 1 or any(k.arg != "requires_grad" or not _is_true(k.value) for k in node.keywords):
        return None
    cls = module.class_of(node)
    function = module.function_scope(node)
    if cls is None or module.class_of(function) is not cls:
        return None
    attribute, statement = _attribute(module, node), module.statement(node)
    value = _value(module, node.args[0])
    return Made(attribute, node, value, statement, cls) if attribute and value is not None else None


def buffer_by(module: Module, node: ast.Call) -> Made | None:
    """The buffer that `self.register_buffer("name", value)` makes in a method of a class."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr != "register_buffer" or not is_self(function.value):
        return None
    name, tensor = (*node.args[:2], None, None)[:2]
    cls = module.class_of(node)
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str) or tensor is None or cls is None:
        return None
    value = _value(module, tensor)
    return Made(name.value, node, value, module.statement(node), cls) if value is not None else None


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _attribute(module: Module, node: ast.Call) -> str:
    """The attribute of `self` that a parameter becomes; empty when it becomes none, or several."""
    parent = module.parent(node)
    if isinstance(parent, ast.Assign) and parent.value is node and len(parent.targets) == 1:
        target: ast.expr = parent.targets[0]
    elif isinstance(parent, ast.AnnAssign) and parent.value is node:
        target = parent.target
    elif isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute):
        first = parent.args[0] if parent.args else None
        registers = parent.func.attr == "register_parameter" and is_self(parent.func.value)
        if registers and isinstance(module.parent(parent), ast.Expr) and isinstance(first, ast.Constant):
            return str(first.value)
        return ""
    else:
        return ""
    return target.attr if isinstance(target, ast.Attribute) and is_self(target.value) else ""


def _value(module: Module, node: ast.expr) -> ast.Call | None:
    """The call that makes a parameter's value: itself, or that of a local name that is read nowhere else."""
    if isinstance(node, ast.Call):
        return node
    if not isinstance(node, ast.Name):
        return None
    definition = module.flow(node).definition(node)
    if definition is None or not isinstance(definition.value, ast.Call):
        return None
    scope = module.function_scope(node)
    mentions = [n for n in walk(scope) if isinstance(n, ast.Name) and n.id == node.id]
    return definition.value if len(mentions) == 2 else None


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def uninitialised(module: Module, value: ast.Call) -> bool:
    """Whether a call returns memory that nothing has written to, of a floating-point dtype, and some of it."""
    dtype = next((k.value for k in value.keywords if k.arg == "dtype"), None)
    if dtype is not None and re.search(r"int|bool|float8|quant|uint|weight_dtype|storage", module.source(dtype)):
        return False
    if any(k.arg == "device" and "meta" in module.source(k.value) for k in value.keywords):
        return False
    if any(k.arg in (None, "out") for k in value.keywords):
        return False
    dotted = module.qualified(value.func)
    if dotted in _LEGACY:
        return _sizes(module, value) and not _is_nothing(value)
    if dotted == "torch.empty":
        return bool(value.args or any(k.arg == "size" for k in value.keywords)) and not _is_nothing(value)
    if dotted == "torch.empty_like":
        return True
    made = isinstance(value.func, ast.Attribute) and value.func.attr == "new_empty" and dotted is None
    return made and not _is_nothing(value)


def _sizes(module: Module, value: ast.Call) -> bool:
    """Whether a legacy constructor is given sizes; with one argument that may be data it is not."""
    if not value.args or value.keywords:
        return False
    return len(value.args) > 1 or _is_size(module, value.args[0])


def _is_size(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Starred):
        return True
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.BinOp):
        return _is_size(module, node.left) and _is_size(module, node.right)
    if isinstance(node, ast.Call):
        last = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return last in ("int", "len", "size", "Size", "numel")
    if isinstance(node, ast.Attribute):
        return bool(_SIZE_NAME.search(node.attr))
    return isinstance(node, ast.Name) and bool(_SIZE_NAME.search(node.id))


def _is_nothing(value: ast.Call) -> bool:
    """`torch.empty(0)`: a place that is filled when the size is known."""
    return any(isinstance(s, ast.Constant) and s.value == 0 for s in sizes(value) or ())


def sizes(value: ast.Call) -> list[ast.expr] | None:
    """The sizes a constructor is called with, when their number is known."""
    given = list(value.args)
    if not given:
        given = [k.value for k in value.keywords if k.arg == "size"]
    if len(given) == 1 and isinstance(given[0], (ast.Tuple, ast.List)):
        given = list(given[0].elts)
    elif len(given) == 1 and not isinstance(given[0], (ast.Constant, ast.BinOp)):
        name = given[0].attr if isinstance(given[0], ast.Attribute) else getattr(given[0], "id", "")
        if not name or re.search(r"shape|sizes?$|dims$", name):
            return None
    if any(isinstance(a, ast.Starred) for a in given):
        return None
    function = value.func
    if isinstance(function, ast.Attribute) and function.attr.endswith("_like"):
        return None
    return given


def parameters_of(module: Module, cls: ast.ClassDef) -> Iterator[Made]:
    """Every parameter that the methods of a class make."""
    for node in walk(cls):
        if isinstance(node, ast.Call):
            made = made_by(module, node)
            if made is not None and made.cls is cls:
                yield made
