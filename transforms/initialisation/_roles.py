"""What a parameter is used for, and the initialiser that goes with it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.transforms.initialisation._parameters import Made, is_self, sizes
from autofix.tree import walk

_BIAS = re.compile(r"(^|_)bias(es)?(_|$|\d)|^b\d*$|^b_\w+$|(^|_)beta$|^shift$")
_SCALE = re.compile(r"(^|_)(gamma|scale|gain)$|^g$")
_EMBEDDING = re.compile(r"embed|(^|_)pos(_|$)|position|token|(^|_)quer(y|ies)$|latents?$|prompt|(^|_)cls(_|$)", re.I)
_WEIGHT = re.compile(
    r"(^|_)(weights?|kernel|proj|w|mat|matrix|lin|fc)(_|\d|$)|^[wWuUvV]\d*$|^[wWuU]_?[a-z]{1,3}$|weight$", re.I
)
_ATTENTION = re.compile(r"(^|_)att(n|ention)?(_|$|\d)|^a$", re.I)
_SIZED = re.compile(r"norm|\bbn|scale|cos|sqrt", re.I)
_NORMS = ("layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm")
_CONVOLUTIONS = re.compile(r"torch\.(nn\.functional\.)?conv(_transpose)?[123]d")


@dataclass(frozen=True, slots=True)
class Role:
    """What a parameter is, and the statement that initialises it as such.

    kind: "weight", "bias", "scale" or "embedding". function: of `torch.nn.init`. arguments: source text after the
    parameter, in which `{p}` stands for it. words: for a person.
    """

    kind: str
    function: str
    arguments: str
    words: str


_ZEROS = Role("bias", "zeros_", "", "zeros, as a bias usually starts")
_ONES = Role("scale", "ones_", "", "ones, as in the normalisations of torch.nn")
_EMBEDDED = Role(
    "embedding", "trunc_normal_", "std=0.02", "a normal distribution of std 0.02, as transformers draw embeddings"
)
_KAIMING = Role(
    "weight", "kaiming_uniform_", "a={sqrt5}", "a uniform distribution scaled by fan-in, as torch.nn.Linear has it"
)
_XAVIER = Role("weight", "xavier_uniform_", "", "Xavier's uniform distribution")
_FAN = "a normal distribution of variance 1 / fan-in"


def role_of(module: Module, made: Made) -> Role | None:
    """The role of a parameter by how its class uses it, then by its name; None when neither tells."""
    rank = rank_of(made)
    uses = _uses(module, made)
    if "scale" in uses:
        return _ONES
    if "bias" in uses:
        return _ZEROS
    if _BIAS.search(made.name):
        return _ZEROS
    if _SCALE.search(made.name) or (rank == 1 and made.name == "weight" and "Norm" in made.cls.name):
        return _ONES
    if rank == 1:
        if uses == {"times"}:
            return _ONES
        return _ZEROS if uses == {"plus"} else None
    if "embedding" in uses or (_EMBEDDING.search(made.name) and not uses & {"linear", "conv", "right", "left"}):
        return _EMBEDDED
    return _weight(made, uses, rank)


def rank_of(made: Made) -> int | None:
    """The number of dimensions of a parameter, when its constructor shows it."""
    given = sizes(made.value)
    return len(given) if given is not None else None


def _weight(made: Made, uses: set[str], rank: int | None) -> Role | None:
    if "conv_tbc" in uses:
        return _normal("({p}.size(0) * {p}.size(1))")
    if _ATTENTION.search(made.name) and rank is not None:
        return _XAVIER
    if "conv" in uses or ("linear" in uses and rank in (2, None)):
        return _KAIMING
    if "linear" in uses:
        return _normal("{p}.size(-1)")
    if "right" in uses and rank is not None:
        return _XAVIER if rank == 2 else _normal("{p}.size(-2)")
    if "left" in uses and rank is not None:
        return _KAIMING if rank == 2 else _normal("{p}.size(-1)")
    if rank == 2 and ("product" in uses or _WEIGHT.search(made.name)):
        return _XAVIER
    return None


def _normal(fan_in: str) -> Role:
    return Role("weight", "normal_", f"std={fan_in} ** -0.5", _FAN)


def product_of(module: Module, made: Made) -> str:
    """The product that a weight stands in: "linear", "right" or "left"; empty when it may be something else, or when
    something beside the weight sets the size of the product."""
    uses = _uses(module, made)
    if len(uses) != 1 or not uses <= {"linear", "right", "left"}:
        return ""
    return "" if any(_is_scaled(module, n) for n in _reads(made)) else next(iter(uses))


def _is_scaled(module: Module, node: ast.expr) -> bool:
    """Whether a product is divided, multiplied or normalised at once, or its other operand is normalised."""
    product = next((a for a in module.ancestors(node) if isinstance(a, (ast.Call, ast.BinOp))), None)
    while isinstance(product, ast.Call) and getattr(product.func, "attr", "") in ("t", "transpose", "to", "type_as"):
        product = next((a for a in module.ancestors(product) if isinstance(a, (ast.Call, ast.BinOp))), None)
    if product is None or _SIZED.search(module.source(product)):
        return True
    operands = [product.left, product.right] if isinstance(product, ast.BinOp) else product.args
    if all(isinstance(o, ast.Attribute) and is_self(o.value) for o in operands[:2]):
        return True  # two parameters, the factors of one weight
    parent = module.parent(product)
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, (ast.Mult, ast.Div))
    return isinstance(parent, ast.Call) and bool(_SIZED.search(module.source(parent.func)))


def _uses(module: Module, made: Made) -> set[str]:
    """How the class reads the parameter, in one word each."""
    rank = rank_of(made)
    return {_use(module, node, rank) for node in _reads(made)} - {""}


def _reads(made: Made) -> list[ast.Attribute]:
    """Where the class reads the parameter."""
    return [
        n
        for n in walk(made.cls)
        if isinstance(n, ast.Attribute) and n.attr == made.name and is_self(n.value) and isinstance(n.ctx, ast.Load)
    ]


def _use(module: Module, node: ast.expr, rank: int | None) -> str:
    transposed, current = False, node
    while True:
        parent = module.parent(current)
        if isinstance(parent, ast.Subscript) and parent.value is current and rank is not None and rank > 2:
            current = parent  # one of a stack of matrices
            continue
        if isinstance(parent, ast.Attribute) and parent.attr in ("T", "mT"):
            transposed, current = not transposed, parent
        elif isinstance(parent, ast.Attribute) and parent.attr in ("t", "transpose", "to", "type_as"):
            call = module.parent(parent)
            if not isinstance(call, ast.Call):
                return ""
            transposed, current = transposed ^ (parent.attr in ("t", "transpose")), call
        else:
            break
    if isinstance(parent, ast.Subscript) and parent.value is current:
        return "embedding" if _is_lookup(parent.slice) else ""
    if isinstance(parent, ast.BinOp):
        return _operator(parent, current, transposed)
    call = module.parent(parent) if isinstance(parent, ast.keyword) else parent
    if isinstance(call, ast.Call):
        return _argument(module, call, parent if isinstance(parent, ast.keyword) else current, transposed)
    return ""


def _is_lookup(index: ast.expr) -> bool:
    return isinstance(index, ast.Name) and bool(re.search(r"id|idx|index|label|token|ind", index.id))


def _operator(parent: ast.BinOp, operand: ast.AST, transposed: bool) -> str:
    if isinstance(parent.op, ast.MatMult):
        on_the_right = parent.right is operand
        return _side(on_the_right, transposed)
    if isinstance(parent.op, ast.Mult):
        return "times"
    return "plus" if isinstance(parent.op, ast.Add) else "other"


def _side(on_the_right: bool, transposed: bool) -> str:
    if on_the_right:
        return "linear" if transposed else "right"
    return "right" if transposed else "left"


def _argument(module: Module, call: ast.Call, argument: ast.AST, transposed: bool) -> str:
    """What a call does with the parameter."""
    dotted = module.qualified(call.func) or ""
    last = dotted.rpartition(".")[2] or getattr(call.func, "attr", "")
    method = not dotted and isinstance(call.func, ast.Attribute)
    keyword = argument.arg if isinstance(argument, ast.keyword) else None
    place = next((i for i, a in enumerate(call.args) if a is argument), -1) + method
    if dotted.startswith("torch.nn.init."):
        return ""
    if last in _NORMS:
        return (
            "bias" if keyword == "bias" or (keyword is None and place == len(call.args) - 1 and place > 2) else "scale"
        )
    if last == "linear" or _CONVOLUTIONS.fullmatch(dotted):
        if keyword == "bias" or place == 2:
            return "bias"
        return ("linear" if last == "linear" else "conv") if keyword == "weight" or place == 1 else ""
    if last == "conv_tbc":
        return "bias" if place == 2 else "conv_tbc"
    if last == "embedding":
        return "embedding"
    if last in ("matmul", "mm", "bmm"):
        op = tensor_op(module, call)
        return _side(place == 1, transposed) if op is not None or place >= 0 else ""
    if last in ("addmm", "baddbmm"):
        return ("plus", "left", "right")[place] if 0 <= place < 3 else ""
    if last in ("einsum", "tensordot"):
        return "product"
    return "other"
