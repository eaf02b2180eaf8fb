"""Whether a tensor can be float16 here, and whether it certainly is not."""

from __future__ import annotations

import ast
import enum
import re

from autofix.ops import constant, tensor_op
from autofix.ranges import PARTS
from autofix.syntax import Module
from autofix.tree import last_part

_AUTOCAST = re.compile(r"(^|\.)autocast$")
_HALF = ("torch.float16", "torch.half")
_FULL = ("torch.float32", "torch.float", "torch.float64", "torch.double")
_AWARE = re.compile(r"^torch\.(float32|float64|double|get_default_dtype)$")
_BOUNDS = ("eps", "tiny", "smallest_normal", "resolution")
_FP16 = re.compile(r"^(fp16|float16|half|16-mixed|16)$")
# A tensor may be cast for a reason of its own; a model takes everything that it computes along.
_MODEL = re.compile(
    r"model|net(work)?\d*$|module|unet|vae|encoder|decoder|generator|discriminator|critic|backbone", re.I
)
_DTYPE = re.compile(r"(^|_)dtype$")
# Operations that CUDA autocast runs in float32, whatever comes in (PyTorch, "Autocast Op Reference").
_PROMOTED = frozenset(
    "acos asin binary_cross_entropy_with_logits cosine_similarity cross_entropy cumprod cumsum cdist dist exp expm1 "
    "group_norm kl_div l1_loss layer_norm log log10 log1p log2 log_softmax mse_loss nll_loss norm vector_norm "
    "normalize pow prod reciprocal rsqrt smooth_l1_loss softmax softplus sum logsumexp softmin var_mean".split()
)
_KEPT_NAMES = ("self", "cls")
_DEPTH = 12


class Autocast(enum.Enum):
    """What `autocast` around a place says."""

    NONE = "none"
    HALF = "half"  # float16, which is its default on CUDA
    OFF = "off"  # disabled, or bfloat16


class Switch(enum.Enum):
    """How code of a file comes to run in float16."""

    NONE = "none"
    AUTOCAST = "autocast"  # an `autocast` that is on and not bfloat16, a `GradScaler`, a trainer's setting
    CAST = "cast"  # a model cast with `half()`


class Width(enum.Enum):
    """What is known of a value's dtype under the evidence in view."""

    HALF = "half"  # cast to float16 in view
    FULL = "full"  # certainly float32 or wider
    OPEN = "open"


def is_autocast(module: Module, node: ast.AST) -> bool:
    """Whether `node` is `autocast` itself, of torch or out of a helper of this name."""
    if not isinstance(node, (ast.Name, ast.Attribute)):
        return False
    dotted = module.qualified(node) or (node.attr if isinstance(node, ast.Attribute) else node.id)
    return bool(_AUTOCAST.search(dotted))


def is_grad_scaler(module: Module, node: ast.AST) -> bool:
    """Whether `node` builds a `GradScaler` of torch."""
    dotted = (module.qualified(node.func) or "") if isinstance(node, ast.Call) else ""
    return dotted.startswith("torch.") and dotted.endswith(".GradScaler")


def autocast_kind(module: Module, node: ast.AST) -> Autocast:
    """What entering `node`, a context or decorator, does to half precision."""
    if is_autocast(module, node):
        return Autocast.HALF  # a bare decorator
    if not isinstance(node, ast.Call):
        return Autocast.NONE
    if not is_autocast(module, node.func):
        return Autocast.NONE
    given = {k.arg: k.value for k in node.keywords}
    dtype, enabled = given.get("dtype"), given.get("enabled")
    values = [*node.args, *given.values()]
    if any(isinstance(v, ast.Constant) and v.value is False for v in (enabled, *node.args) if v is not None):
        return Autocast.OFF
    if any("bfloat16" in (module.qualified(v) or "") for v in values):
        return Autocast.OFF
    if any(isinstance(v, ast.Constant) and isinstance(v.value, str) and v.value.startswith("cpu") for v in values):
        return Autocast.HALF if dtype is not None and module.qualified(dtype) in _HALF else Autocast.OFF
    return Autocast.HALF


def autocast_around(module: Module, node: ast.AST) -> Autocast:
    """The innermost `autocast` that certainly covers `node`: a `with` around it, or its function's decorator."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, (ast.With, ast.AsyncWith)):
            kinds = [autocast_kind(module, i.context_expr) for i in ancestor.items]
        elif isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            kinds = [_decorated(module, d) for d in ancestor.decorator_list]
        else:
            continue
        found = [k for k in kinds if k is not Autocast.NONE]
        if found:
            return found[-1]
    return Autocast.NONE


def _decorated(module: Module, decorator: ast.expr) -> Autocast:
    if not isinstance(decorator, ast.Call) or not (module.qualified(decorator.func) or "").endswith("custom_fwd"):
        return autocast_kind(module, decorator)
    cast = next((k.value for k in decorator.keywords if k.arg == "cast_inputs"), None)
    if cast is None:
        return Autocast.NONE
    return Autocast.HALF if module.qualified(cast) in _HALF else Autocast.OFF


def runs_in_half(module: Module) -> Switch:
    """How code of this file comes to run in float16, when it does."""
    known: Switch | None = vars(module).get("_runs_in_half")
    if known is None:
        found = {_switch(module, n) for n in ast.walk(module.tree)}
        known = next((s for s in (Switch.CAST, Switch.AUTOCAST) if s in found), Switch.NONE)
        vars(module)["_runs_in_half"] = known
    return known


def _switch(module: Module, node: ast.AST) -> Switch:
    if isinstance(node, ast.keyword):  # Accelerator(mixed_precision="fp16"), Trainer(precision=16)
        named = node.arg in ("mixed_precision", "precision") and isinstance(node.value, ast.Constant)
        is_on = named and bool(_FP16.match(str(getattr(node.value, "value", ""))))
        return Switch.AUTOCAST if is_on else Switch.NONE
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        is_on = any(_decorated(module, d) is Autocast.HALF for d in node.decorator_list)
        return Switch.AUTOCAST if is_on else Switch.NONE
    if not isinstance(node, ast.Call):
        return Switch.NONE
    if isinstance(node.func, ast.Attribute) and node.func.attr == "half" and not node.args:
        return Switch.CAST if _MODEL.search(last_part(node.func.value)) else Switch.NONE
    is_scaler = is_grad_scaler(module, node) and not node.keywords
    return Switch.AUTOCAST if is_scaler or autocast_kind(module, node) is Autocast.HALF else Switch.NONE


def names_half(module: Module, scope: ast.AST) -> bool:
    """Whether the code of a function or class names float16 as a dtype to compute in."""
    for node in ast.walk(scope):
        is_half = isinstance(node, ast.Attribute) and module.qualified(node) in _HALF
        if is_half and not any(isinstance(a, ast.Compare) for a in module.ancestors(node)):
            return True
    return False


def is_aware(module: Module, node: ast.AST) -> bool:
    """Whether the function around `node` looks after dtypes by itself: it casts to float32, asks `finfo` for a bound,
    or compares a dtype."""
    scope = module.flow(node).scope
    known: dict[ast.AST, bool] = vars(module).setdefault("_is_aware", {})
    if scope not in known:
        known[scope] = any(_looks_after(module, n) for n in ast.walk(scope))
    return known[scope]


def _looks_after(module: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return name in ("float", "double") and not node.args and module.qualified(node.func) is None
    if isinstance(node, ast.Attribute):
        if node.attr in _BOUNDS and isinstance(node.value, ast.Call):  # torch.finfo(x.dtype).eps
            return (module.qualified(node.value.func) or "") == "torch.finfo"
        return bool(_AWARE.match(module.qualified(node) or "")) or node.attr == "FloatTensor"
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(isinstance(s, ast.Attribute) and s.attr == "dtype" for s in sides)
    return False


def names_float16(module: Module, node: ast.expr) -> bool:
    """Whether `node` is the dtype itself."""
    return module.qualified(node) in _HALF


def is_half_cast(module: Module, node: ast.AST) -> ast.expr | None:
    """What `node` casts to float16, when it does: `x.half()`, `x.to(torch.float16)`, `x.to(dtype=torch.half)`,
    `x.type(torch.float16)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if module.qualified(node.func) is not None:
        return None
    if node.func.attr == "half" and not node.args and not node.keywords:
        return node.func.value
    if node.func.attr not in ("to", "type"):
        return None
    given = [*node.args, *(k.value for k in node.keywords if k.arg == "dtype")]
    return node.func.value if any(module.qualified(a) in _HALF for a in given) else None


def width(module: Module, node: ast.expr, autocast: bool, depth: int = 0) -> Width:
    """What is known of the dtype of `node`.

    autocast: half precision comes from `autocast` only, so parameters are float32 and so is what its float32
    operations return. Of two tensors the wider decides.
    """
    if depth > _DEPTH or constant(module, node) is not None:
        return Width.OPEN
    if isinstance(node, ast.Name):
        bound = module.flow(node).value(node)
        value = bound if bound is not node else _split(module, node)
        return width(module, value, autocast, depth + 1) if value is not None else Width.OPEN
    if isinstance(node, ast.Attribute):
        own = isinstance(node.value, ast.Name) and node.value.id in _KEPT_NAMES
        return Width.FULL if own and autocast else Width.OPEN
    if isinstance(node, (ast.Subscript, ast.UnaryOp)):
        return width(module, node.value if isinstance(node, ast.Subscript) else node.operand, autocast, depth + 1)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow) and autocast:
            return Width.FULL
        return _wider(module, [node.left, node.right], autocast, depth)
    return _of_call(module, node, autocast, depth) if isinstance(node, ast.Call) else Width.OPEN


def _split(module: Module, name: ast.Name) -> ast.expr | None:
    """The tensor of which a name is one of the parts: `a, b = x.chunk(2)`."""
    found = module.flow(name).definition(name)
    op = tensor_op(module, found.whole) if found is not None and isinstance(found.whole, ast.Call) else None
    return op.input if op is not None and op.name in PARTS else None


def never_half(module: Module, node: ast.expr) -> bool:
    """Whether `node` is certainly not float16: cast to float32 in view, or where autocast is switched off."""
    return width(module, node, autocast=False) is Width.FULL or autocast_around(module, node) is Autocast.OFF


def _of_call(module: Module, node: ast.Call, autocast: bool, depth: int) -> Width:
    if is_half_cast(module, node) is not None:
        return Width.HALF
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [k.value for k in node.keywords if k.arg == "dtype"]
    if name in ("to", "type"):
        given += node.args
    if name in ("float", "double") or any(module.qualified(g) in _FULL for g in given):
        return Width.FULL
    if any(module.qualified(g) in _HALF for g in given):
        return Width.HALF
    if autocast and name in _PROMOTED:
        return Width.FULL
    op = tensor_op(module, node)
    if op is None:
        return Width.OPEN
    if any(_DTYPE.search(last_part(g)) for g in given):
        return Width.OPEN
    others = [v for k, v in op.args.items() if k in ("other", "self", "mat2")]
    return _wider(module, [op.input, *others], autocast, depth)


def _wider(module: Module, nodes: list[ast.expr], autocast: bool, depth: int) -> Width:
    tensors = [n for n in nodes if constant(module, n) is None]
    widths = [width(module, n, autocast, depth + 1) for n in tensors]
    if Width.FULL in widths:
        return Width.FULL
    return Width.HALF if widths and all(w is Width.HALF for w in widths) else Width.OPEN


def casts_to_a_dtype(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether `node` is computed from a tensor that was cast to a dtype which a parameter or a setting names."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and last_part(part.func) in ("to", "type"):
            given = [*part.args, *(k.value for k in part.keywords if k.arg == "dtype")]
            if any(_is_setting(module, g) for g in given):
                return True
        if isinstance(part, ast.Name) and depth < _DEPTH:
            value = module.flow(part).value(part)
            if value is not part and casts_to_a_dtype(module, value, depth + 1):
                return True
    return False


def _is_setting(module: Module, node: ast.expr) -> bool:
    """`dtype`, `self.dtype`, `args.compute_dtype`: not the dtype of a tensor, and none that is known."""
    if not _DTYPE.search(last_part(node)):
        return False
    if isinstance(node, ast.Attribute):
        return last_part(node.value) in ("self", "args", "cfg", "config", "opt")
    if not isinstance(node, ast.Name):
        return False
    found = module.flow(node).definition(node)
    return found is not None and found.kind == "parameter"
