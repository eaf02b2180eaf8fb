"""Tensor operations however they are spelled: `torch.exp(x)`, `x.exp()`, `F.softmax(x, dim=1)`,
`nn.Softmax(dim=1)(x)`, `self.softmax(x)` with the module built in the same class.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autofix.tree import parameter_names

if TYPE_CHECKING:
    from autofix.syntax import Module

# Parameters after the tensor itself, in positional order (PyTorch 2.x documentation).
_SIGNATURES: dict[str, tuple[str, ...]] = {
    "exp": (), "exp2": (), "expm1": (), "log": (), "log2": (), "log10": (), "log1p": (), "sqrt": (), "rsqrt": (),
    "sigmoid": (), "tanh": (), "abs": (), "neg": (), "square": (), "relu": (), "sin": (), "cos": (), "erf": (),
    "acos": (), "asin": (), "atan": (), "atanh": (), "arccos": (), "arcsin": (), "arctanh": (), "sign": (),
    "floor": (), "ceil": (), "round": (),
    "reciprocal": (), "detach": (), "float": (), "double": (), "half": (), "bfloat16": (), "long": (), "int": (),
    "bool": (), "contiguous": (), "clone": (), "numel": (), "item": (), "isnan": (), "isinf": (), "isfinite": (),
    "softplus": ("beta", "threshold"), "logsigmoid": (),
    "softmax": ("dim", "dtype"), "log_softmax": ("dim", "dtype"), "logsumexp": ("dim", "keepdim"),
    "sum": ("dim", "keepdim", "dtype"), "mean": ("dim", "keepdim", "dtype"), "prod": ("dim", "keepdim", "dtype"),
    "amax": ("dim", "keepdim"), "amin": ("dim", "keepdim"), "max": ("dim", "keepdim"), "min": ("dim", "keepdim"),
    "argmax": ("dim", "keepdim"), "argmin": ("dim", "keepdim"), "norm": ("p", "dim", "keepdim", "dtype"),
    "std": ("dim", "correction", "keepdim"), "var": ("dim", "correction", "keepdim"),
    "cumsum": ("dim", "dtype"), "cumprod": ("dim", "dtype"), "sort": ("dim", "descending", "stable"),
    "argsort": ("dim", "descending", "stable"), "topk": ("k", "dim", "largest", "sorted"),
    "gather": ("dim", "index"), "scatter": ("dim", "index", "src"), "scatter_": ("dim", "index", "src"),
    "clamp": ("min", "max"), "clip": ("min", "max"), "clamp_min": ("min",), "clamp_max": ("max",),
    "clamp_": ("min", "max"), "clamp_min_": ("min",), "clamp_max_": ("max",),
    "masked_fill": ("mask", "value"), "masked_fill_": ("mask", "value"), "fill_": ("value",),
    "pow": ("exponent",), "add": ("other",), "sub": ("other",), "mul": ("other",), "div": ("other",),
    "add_": ("other",), "sub_": ("other",), "mul_": ("other",), "div_": ("other",), "exp_": (), "log_": (),
    "true_divide": ("other",), "matmul": ("other",), "bmm": ("mat2",), "maximum": ("other",), "minimum": ("other",),
    "where": ("self", "other"), "nan_to_num": ("nan", "posinf", "neginf"), "view": (), "reshape": (),
    "unsqueeze": ("dim",), "squeeze": ("dim",), "transpose": ("dim0", "dim1"), "permute": (), "expand": (),
    "to": (), "type": ("dtype",), "type_as": ("other",), "size": ("dim",), "dim": (), "chunk": ("chunks", "dim"),
    "split": ("split_size_or_sections", "dim"), "triu": ("diagonal",), "tril": ("diagonal",), "roll": (),
    "masked_fill_.": (), "eq": ("other",), "ne": ("other",), "lt": ("other",), "le": ("other",), "gt": ("other",),
    "ge": ("other",), "bitwise_or": ("other",), "logical_or": ("other",), "logical_and": ("other",),
    "logical_not": (), "flatten": ("start_dim", "end_dim"), "repeat": (), "normalize": ("p", "dim", "eps"),
    "vector_norm": ("ord", "dim", "keepdim", "dtype"), "det": (),
    "logdet": (), "inverse": (), "inv": (), "mm": ("mat2",), "mv": ("vec",),
    "binary_cross_entropy": ("target", "weight", "size_average", "reduce", "reduction"),
    "nll_loss": ("target", "weight", "size_average", "ignore_index", "reduce", "reduction"),
    "cross_entropy":
        ("target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
}  # fmt: skip
del _SIGNATURES["masked_fill_."]

# A method of this name on an unknown receiver is a tensor operation (others, such as `max`, `sort` or `split`,
# are left to the rules to judge, which see `receiver_known` False).
_FUNCTION_HOMES = ("torch.", "torch.nn.functional.", "torch.special.", "torch.Tensor.", "torch.linalg.")
_MODULE_CLASSES = {
    "torch.nn.Softmax": ("softmax", ("dim",)),
    "torch.nn.LogSoftmax": ("log_softmax", ("dim",)),
    "torch.nn.Sigmoid": ("sigmoid", ()),
    "torch.nn.Tanh": ("tanh", ()),
    "torch.nn.Softplus": ("softplus", ("beta", "threshold")),
    "torch.nn.ReLU": ("relu", ("inplace",)),
    "torch.nn.LogSigmoid": ("logsigmoid", ()),
}
_SYNONYMS = {"keepdims": "keepdim", "axis": "dim", "a_min": "min", "a_max": "max"}


@dataclass(frozen=True, slots=True)
class Op:
    """A call of a tensor operation.

    name: PyTorch's function name ("softmax"). input: the tensor it is applied to. args: the other arguments by
    parameter name. extra: positional arguments beyond the known parameters. form: "function", "method" or
    "module" (`nn.Softmax(...)(x)`).
    """

    name: str
    call: ast.Call
    input: ast.expr
    args: Mapping[str, ast.expr]
    extra: tuple[ast.expr, ...]
    form: str


def parameters(name: str) -> tuple[str, ...]:
    """The parameters of an operation after the tensor itself, in positional order.

    Raises:
        ValueError: no operation of that name is known here.
    """
    if name not in _SIGNATURES:
        raise ValueError(f"no tensor operation is called {name!r}")
    return _SIGNATURES[name]


def tensor_op(module: Module, node: ast.AST, *names: str) -> Op | None:
    """The tensor operation that `node` calls, when it is one (of `names`, when given).

    `math.exp` and `np.exp` are none; a method that cannot be a tensor's (`logger.log("x")`: `log` takes no
    argument) is none; calls with `*args`, `**kwargs` or `out=` are none.
    """
    if not isinstance(node, ast.Call):
        return None
    known: dict[ast.AST, Op | None] = vars(module).setdefault("_tensor_ops", {})
    if node not in known:
        known[node] = _op(module, node)
    op = known[node]
    return op if op is None or not names or op.name in names else None


def _op(module: Module, node: ast.Call) -> Op | None:
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg in (None, "out") for k in node.keywords):
        return None
    return _function_form(module, node) or _module_form(module, node) or _method_form(module, node)


def _function_form(module: Module, node: ast.Call) -> Op | None:
    dotted = module.qualified(node.func)
    if dotted is None:
        return None
    for home in _FUNCTION_HOMES:
        name = dotted.removeprefix(home)
        if name != dotted and name in _SIGNATURES:
            return _build(name, node, node.args, "function")
    return None


def _method_form(module: Module, node: ast.Call) -> Op | None:
    func = node.func
    if not isinstance(func, ast.Attribute) or func.attr not in _SIGNATURES:
        return None
    if module.qualified(func) is not None:  # math.exp, np.log, or some other library's function
        return None
    if isinstance(func.value, ast.Call) and isinstance(func.value.func, ast.Name) and func.value.func.id == "super":
        return None
    if isinstance(func.value, ast.Name) and func.value.id in ("self", "cls", "math", "np", "numpy", "logger"):
        return None
    signature = _SIGNATURES[func.attr]
    variadic = func.attr in ("view", "reshape", "permute", "expand", "to", "repeat", "roll", "sum", "mean")
    if len(node.args) > len(signature) and not variadic:
        return None
    return _build(func.attr, node, [func.value, *node.args], "method")


def _module_form(module: Module, node: ast.Call) -> Op | None:
    """`nn.Softmax(dim=1)(x)`, and `self.softmax(x)` with `self.softmax = nn.Softmax(dim=1)` in the class."""
    maker: ast.expr | None = node.func
    if isinstance(maker, ast.Attribute) and isinstance(maker.value, ast.Name) and maker.value.id == "self":
        cls = module.class_of(node)
        maker = module.self_attribute(cls, maker.attr) if cls else None
    if not isinstance(maker, ast.Call) or len(node.args) != 1 or node.keywords:
        return None
    found = _MODULE_CLASSES.get(module.qualified(maker.func) or "")
    if found is None:
        return None
    name, parameters = found
    args = dict(zip(parameters, maker.args, strict=False))
    args.update({k.arg: k.value for k in maker.keywords if k.arg})
    return Op(name, node, node.args[0], args, (), "module")


def _build(name: str, node: ast.Call, positional: list[ast.expr], form: str) -> Op | None:
    keywords = {_SYNONYMS.get(k.arg, k.arg): k.value for k in node.keywords if k.arg}
    if name == "where" and form == "function" and len(positional) == 3:
        return Op(name, node, positional[1], {"condition": positional[0], "other": positional[2]}, (), form)
    if name == "where" and form == "method" and len(positional) == 3:
        return Op(name, node, positional[0], {"condition": positional[1], "other": positional[2]}, (), form)
    if name == "where":
        return None
    if positional:
        tensor, rest = positional[0], positional[1:]
    elif "input" in keywords:
        tensor, rest = keywords.pop("input"), []
    else:
        return None
    signature = _SIGNATURES[name]
    args = dict(zip(signature, rest, strict=False))
    args.update(keywords)
    if name in ("clip", "clip_"):
        name = "clamp"
    return Op(name, node, tensor, args, tuple(rest[len(signature) :]), form)


def constant(module: Module, node: ast.expr | None) -> float | int | bool | None:
    """The number that `node` certainly is: literals, signs, arithmetic of numbers, `math.pi`, `float("inf")`,
    `math.log(100)`, module constants and single local definitions. Booleans count; None when unknown."""
    if node is None:
        return None
    return _constant(module, node, 0)


_INFINITIES = {"math.inf", "numpy.inf", "torch.inf", "numpy.Inf", "numpy.infty", "numpy.PINF"}
_MATH_CONSTANTS = {"math.pi": 3.141592653589793, "numpy.pi": 3.141592653589793, "torch.pi": 3.141592653589793,
                   "math.e": 2.718281828459045, "numpy.e": 2.718281828459045, "torch.e": 2.718281828459045,
                   "numpy.NINF": float("-inf")}  # fmt: skip


def _constant(module: Module, node: ast.expr, depth: int) -> float | int | bool | None:
    if depth > 16:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, (int, float)) else None
    if isinstance(node, ast.UnaryOp):
        inner = _constant(module, node.operand, depth + 1)
        if inner is None:
            return None
        if isinstance(node.op, ast.USub):
            return -inner
        return inner if isinstance(node.op, ast.UAdd) else None
    if isinstance(node, ast.BinOp):
        left, right = _constant(module, node.left, depth + 1), _constant(module, node.right, depth + 1)
        return None if left is None or right is None else _arithmetic(node.op, left, right)
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _named_constant(module, node, depth)
    if isinstance(node, ast.Call):
        return _called_constant(module, node, depth)
    return None


def _named_constant(module: Module, node: ast.Name | ast.Attribute, depth: int) -> float | int | bool | None:
    dotted = module.qualified(node)
    if dotted in _INFINITIES:
        return float("inf")
    if dotted in _MATH_CONSTANTS:
        return _MATH_CONSTANTS[dotted]
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        if definition is not None:
            return _constant(module, definition.value, depth + 1) if definition.value is not None else None
        return _module_constant(module, node, depth)
    return None


def _module_constant(module: Module, node: ast.Name, depth: int) -> float | int | bool | None:
    """A name bound exactly once, at module level, to a number."""
    flow = module.flow(node)
    if flow.scope is not module.tree and flow.stores(node.id):
        return None
    if node.id in parameter_names(flow.scope):
        return None
    top = module.flow(module.tree)
    stores = top.stores(node.id)
    if len(stores) != 1 or not isinstance(stores[0], (ast.Assign, ast.AnnAssign)) or stores[0] not in module.tree.body:
        return None
    value = stores[0].value
    target = stores[0].targets[0] if isinstance(stores[0], ast.Assign) else stores[0].target
    return _constant(module, value, depth + 1) if value is not None and isinstance(target, ast.Name) else None


def _called_constant(module: Module, node: ast.Call, depth: int) -> float | int | bool | None:
    import math

    name = node.func.id if isinstance(node.func, ast.Name) else None
    if name == "float" and len(node.args) == 1 and module.names.lookup("float", node) is None:
        arg = node.args[0]
        if isinstance(arg, ast.Constant) and isinstance(arg.value, (str, int, float)):
            try:
                return float(arg.value)
            except ValueError:
                return None
        return _constant(module, arg, depth + 1)
    dotted = module.qualified(node.func) or ""
    function = {"math.log": math.log, "math.sqrt": math.sqrt, "math.exp": math.exp, "numpy.log": math.log,
                "numpy.sqrt": math.sqrt, "numpy.exp": math.exp}.get(dotted)  # fmt: skip
    if function is not None and len(node.args) == 1 and not node.keywords:
        arg_value = _constant(module, node.args[0], depth + 1)
        try:
            return None if arg_value is None else function(arg_value)
        except (ValueError, OverflowError):
            return None
    return None


def _arithmetic(op: ast.operator, left: float | int, right: float | int) -> float | int | None:
    try:
        if isinstance(op, ast.Add):
            return left + right
        if isinstance(op, ast.Sub):
            return left - right
        if isinstance(op, ast.Mult):
            return left * right
        if isinstance(op, ast.Div):
            return left / right
        if isinstance(op, ast.Pow) and abs(right) <= 64 and abs(left) <= 1e6:
            result = left**right
            return result if isinstance(result, (int, float)) else None
    except (ArithmeticError, ValueError):
        return None
    return None
