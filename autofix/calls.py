"""What a call computes, for the range analysis: operations however they are spelled, modules of torch.nn that the
class built, functions and methods of the same file.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.transfer import MAKERS, MODULES, MOVES, UNARY, names
from autofix.tree import children, last_part, walk

_HOMES = ("torch.nn.functional.", "torch.special.", "torch.linalg.", "torch.Tensor.", "torch.", "numpy.", "math.")
_BUILTINS = frozenset(("len", "abs", "float", "int", "round", "min", "max"))
# Parameters after the tensor, where the positional ones matter.
_POSITIONS: dict[str, tuple[str, ...]] = {
    "full": ("fill_value",), "full_like": ("fill_value",), "new_full": ("fill_value",), "lerp": ("other", "weight"),
    "hardtanh": ("min_val", "max_val"), "maximum": ("other",), "minimum": ("other",), "multiply": ("other",),
    "subtract": ("other",), "divide": ("other",), "mm": ("other",), "mv": ("other",), "dot": ("other",),
    "float_power": ("exponent",), "tril_": ("diagonal",), "triu_": ("diagonal",), "masked_fill_": ("mask", "value"),
    "index_fill": ("dim", "index", "value"), "pad": ("pad", "mode", "value"), "bmm": ("other",),
}  # fmt: skip
# Methods that take no argument as a tensor's: with one they belong to something else (`group.exp(v)`).
_BARE = names(
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square abs absolute neg negative relu relu_ sigmoid "
    "tanh sign sgn atan arctan floor ceil erf erfc sin cos acos asin isnan isinf isfinite float double half bfloat16 "
    "numel nelement dim item t"
)
_FUNCTIONS = names(
    "cat stack concat tensor as_tensor Tensor FloatTensor from_numpy hstack arange linspace diag diag_embed nan_to_num_"
)
_NOT_TENSORS = ("self", "cls", "math", "np", "numpy", "logger", "torch", "nn", "F")


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose meaning is known. form: "function", "method" or "module"; maker builds the module."""

    name: str
    node: ast.Call
    input: ast.expr
    args: Mapping[str, ast.expr]
    form: str
    maker: ast.expr | None = None


def call_of(module: Module, node: ast.Call) -> Call | None:
    """The operation that `node` calls, when it is known."""
    op = tensor_op(module, node)
    if op is not None and (op.form != "method" or op.extra == ()):
        args = {"other" if op.name in ("matmul", "bmm") and k == "mat2" else k: v for k, v in op.args.items()}
        return Call(op.name, node, op.input, args, "function" if op.form == "function" else "method")
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg in (None, "out") for k in node.keywords):
        return None
    if any(k.arg == "requires_grad" for k in node.keywords):
        return None
    return _function(module, node) or _built(module, node) or _method(module, node)


def _build(name: str, node: ast.Call, operands: list[ast.expr], form: str) -> Call:
    args = dict(zip(_POSITIONS.get(name, ()), operands[1:], strict=False))
    args.update({k.arg: k.value for k in node.keywords if k.arg})
    subject = operands[0] if operands else args.get("input", ast.Constant(None))
    return Call(name, node, subject, args, form)


def _function(module: Module, node: ast.Call) -> Call | None:
    dotted = module.qualified(node.func)
    if dotted is None:
        return _builtin(module, node)
    for home in _HOMES:
        name = dotted.removeprefix(home)
        if name != dotted and "." not in name:
            known = name in UNARY or name in MOVES or name in MAKERS or name in _POSITIONS or name in _FUNCTIONS
            return _build(name, node, list(node.args), "function") if known else None
    return None


def _builtin(module: Module, node: ast.Call) -> Call | None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in _BUILTINS or module.names.lookup(name, node) is not None or not node.args or node.keywords:
        return None
    if module.flow(node).stores(name) or module.flow(module.tree).stores(name):
        return None
    if name in ("min", "max"):
        if len(node.args) != 2:
            return None
        return Call(name, node, node.args[0], {"other": node.args[1]}, "function")
    return Call(name, node, node.args[0], {}, "function") if len(node.args) == 1 else None


def _method(module: Module, node: ast.Call) -> Call | None:
    func = node.func
    if not isinstance(func, ast.Attribute) or module.qualified(func) is not None:
        return None
    if isinstance(func.value, ast.Name) and func.value.id in _NOT_TENSORS:
        return None
    if func.attr in _BARE and node.args:
        return None
    if func.attr in UNARY or func.attr in MOVES or func.attr in _POSITIONS:
        return _build(func.attr, node, [func.value, *node.args], "method")
    return None


def _built(module: Module, node: ast.Call) -> Call | None:
    """`self.act(x)` with `self.act = nn.Tanh()` in the class, `nn.Tanh()(x)`, and the same through a local name."""
    maker = maker_of(module, node.func)
    if maker is None or len(node.args) != 1 or node.keywords:
        return None
    name = (module.qualified(maker.func) or "").removeprefix("torch.nn.")
    if name == "Sequential" or name in MODULES:
        return Call("", node, node.args[0], {}, "module", maker)
    return None


def maker_of(module: Module, func: ast.expr) -> ast.Call | None:
    """The call that built what `func` names: the value of `self.<func>`, of a local name, or itself."""
    if isinstance(func, ast.Subscript):
        func = func.value
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        cls = module.class_of(func)
        value = module.self_attribute(cls, func.attr) if cls is not None else None
        return value if isinstance(value, ast.Call) else None
    value = module.flow(func).value(func)
    return value if isinstance(value, ast.Call) else None


def returned(module: Module, node: ast.Call) -> list[ast.expr]:
    """What the function of this file that `node` calls returns; empty when unknown or when it may return None."""
    function = callee(module, node)
    if function is None:
        return []
    out: list[ast.expr] = []
    pending: list[ast.AST] = list(function.body)
    while pending:
        current = pending.pop()
        if isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(current, (ast.Yield, ast.YieldFrom)):
            return []
        if isinstance(current, ast.Return):
            if current.value is None:
                return []
            out.append(current.value)
        pending.extend(children(current))
    return out


def callee(module: Module, node: ast.Call) -> ast.FunctionDef | None:
    """The function or method of this file that a call runs; a module instance runs its `forward`."""
    func = node.func
    if isinstance(func, ast.Name) and func.id == "self":
        return _method_of(module, module.class_of(node), "forward")
    if isinstance(func, ast.Name):
        found = [s for s in module.tree.body if isinstance(s, ast.FunctionDef) and s.name == func.id]
        if len(found) == 1 and module.flow(func).definition(func) is None:
            return found[0]
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        method = _method_of(module, module.class_of(node), func.attr)
        if method is not None:
            return None if _is_overridden(module, module.class_of(node), func.attr) else method
    maker = maker_of(module, func)
    if maker is not None and isinstance(maker.func, ast.Name):
        name = maker.func.id
        classes = [s for s in module.tree.body if isinstance(s, ast.ClassDef) and s.name == name]
        return _method_of(module, classes[0], "forward") if len(classes) == 1 else None
    return None


def autograd_function(module: Module, node: ast.Name) -> ast.ClassDef | None:
    """The `torch.autograd.Function` of this file that a name means, when it needs nothing but torch and itself."""
    found = [s for s in module.tree.body if isinstance(s, ast.ClassDef) and s.name == node.id]
    if len(found) != 1 or module.flow(node).definition(node) is not None:
        return None
    cls = found[0]
    if [module.qualified(b) for b in cls.bases] != ["torch.autograd.Function"] or cls.decorator_list or cls.keywords:
        return None
    names = [n for s in cls.body for n in walk(s) if isinstance(n, (ast.Name, ast.arg))]
    bound = {n.arg for n in names if isinstance(n, ast.arg)} | {cls.name, "torch", *dir(builtins)}
    bound |= {n.id for n in names if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    read = {n.id for n in names if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if not read <= bound or ("torch" in read and module.names.lookup("torch", cls.body[0]) != "torch"):
        return None
    return cls


def _is_overridden(module: Module, cls: ast.ClassDef | None, name: str) -> bool:
    """Whether a class of this file derives from `cls` and has a method of that name of its own."""
    classes = [s for s in module.tree.body if isinstance(s, ast.ClassDef) and s is not cls]
    own = [c for c in classes if cls is not None and any(last_part(b) == cls.name for b in c.bases)]
    return any(module.method(c, name) is not None for c in own)


def _method_of(module: Module, cls: ast.ClassDef | None, name: str) -> ast.FunctionDef | None:
    seen = 0
    while cls is not None and seen < 4:
        found = module.method(cls, name)
        if found is not None:
            return found
        bases = [b.id for b in cls.bases if isinstance(b, ast.Name)]
        cls = next((s for s in module.tree.body if isinstance(s, ast.ClassDef) and s.name in bases), None)
        seen += 1
    return None
