"""The places where masked positions receive a huge negative number."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.masks._calls import leaf_name
from autofix.tree import walk

MASK_NAME = re.compile(r"mask|(?:^|_)pad(?:ding)?(?:_|$)", re.I)
_CASTS = {"float", "half", "bfloat16", "double", "int", "long", "to", "type", "type_as"}
_SMALLEST = -9999.0


@dataclass(frozen=True, slots=True)
class Site:
    """One such place.

    kind: "fill" (masked_fill), "index" (`x[m] = v`), "where", "full" (full, new_full, fill_: a mask under
    construction) or "product" (`(1 - m) * v`). node: what is reported. value: the constant as it is written.
    number: what masked positions receive or have added. tensor: the tensor being filled, None for a new one.
    mask: the condition, or the float factor of a product.
    """

    kind: str
    node: ast.expr | ast.Assign
    value: ast.expr
    number: float
    tensor: ast.expr | None = None
    mask: ast.expr | None = None
    in_place: bool = False
    keeps: bool = False  # `mask` says where the tensor stays, as in `where(mask, x, v)`
    fresh: bool = False  # the tensor being filled was zeros before
    minimum: bool = False  # the value is `torch.finfo(...).min` already, as a factor

    @property
    def builds_mask(self) -> bool:
        """Whether the result is a mask to be added to scores, not scores."""
        return self.tensor is None or self.kind == "full" or self.fresh


def site_at(module: Module, node: ast.AST) -> Site | None:
    """The site that `node` is, whatever the constant: -inf or a finite number of -9999 and below."""
    known: dict[ast.AST, Site | None] = vars(module).setdefault("_mask_sites", {})  # two rules ask for each
    if node not in known:
        known[node] = _site_at(module, node)
    return known[node]


def _site_at(module: Module, node: ast.AST) -> Site | None:
    site: Site | None = None
    if isinstance(node, ast.Call):
        name = leaf_name(node.func)
        read = _CALLS.get(name) or (_imported if isinstance(node.func, ast.Name) else None)
        site = read(module, node) if read is not None else None
    elif isinstance(node, ast.Assign):
        site = _index(module, node)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        site = _product(module, node)
    if site is None or site.number > _SMALLEST:
        return None
    fresh = site.tensor is not None and site.kind in ("fill", "index") and _was_zeros(module, site.tensor)
    return replace(site, fresh=True) if fresh else site


def _was_zeros(module: Module, tensor: ast.expr) -> bool:
    value = module.flow(tensor).value(tensor)
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Attribute) and value.func.attr == "new_zeros":
        return True
    return module.qualified(value.func) in ("torch.zeros", "torch.zeros_like")


def _fill(module: Module, node: ast.Call) -> Site | None:
    op = tensor_op(module, node, "masked_fill", "masked_fill_")
    if op is None or "value" not in op.args or "mask" not in op.args:
        return None
    number = huge(module, op.args["value"])
    if number is None:
        return None
    return Site("fill", node, op.args["value"], number, op.input, op.args["mask"], op.name.endswith("_"))


def _where(module: Module, node: ast.Call) -> Site | None:
    op = tensor_op(module, node, "where")
    if op is None or "condition" not in op.args or "other" not in op.args:
        return None
    first, second = huge(module, op.input), huge(module, op.args["other"])
    if (first is None) == (second is None):
        return None
    value, other, number = (op.input, op.args["other"], first) if first is not None else (
        op.args["other"], op.input, second)  # fmt: skip
    if number is None:
        return None
    kept = constant(module, other)
    if kept is not None and kept != 0:
        return None
    if kept is None and _is_zero_tensor(module, other):
        kept = 0
    tensor = None if kept is not None else other
    return Site("where", node, value, number, tensor, op.args["condition"], keeps=value is not op.input)


def _is_zero_tensor(module: Module, node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and module.qualified(node.func) in ("torch.tensor", "torch.zeros")
        and len(node.args) == 1
        and all(k.arg in ("device", "requires_grad") for k in node.keywords)
        and constant(module, node.args[0]) in (0, None)
    )


def _full(module: Module, node: ast.Call) -> Site | None:
    dotted = module.qualified(node.func)
    keywords = {k.arg: k.value for k in node.keywords}
    if dotted == "torch.full" or dotted == "torch.full_like":
        value = node.args[1] if len(node.args) > 1 else keywords.get("fill_value")
        shape = node.args[0] if node.args else None
        tensor = shape if dotted == "torch.full_like" else None
        if tensor is None and (shape is None or (isinstance(shape, (ast.Tuple, ast.List)) and not shape.elts)):
            return None
        return _filled(module, node, value, tensor)
    func = node.func
    if not isinstance(func, ast.Attribute) or dotted is not None:
        return None
    if func.attr == "new_full":
        return _filled(module, node, node.args[1] if len(node.args) > 1 else keywords.get("fill_value"), func.value)
    if func.attr == "fill_" and node.args:
        return _filled(module, node, node.args[0], func.value, in_place=True)
    return None


def _filled(
    module: Module, node: ast.Call, value: ast.expr | None, tensor: ast.expr | None, in_place: bool = False
) -> Site | None:
    number = huge(module, value)
    if value is None or number is None:
        return None
    return Site("full", node, value, number, tensor, None, in_place)


def _index(module: Module, node: ast.Assign) -> Site | None:
    if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Subscript):
        return None
    target = node.targets[0]
    if isinstance(target.slice, ast.Constant) and not isinstance(target.slice.value, type(...)):
        return None
    number = huge(module, node.value)
    if number is None or _is_array(module, target.value):
        return None
    return Site("index", node, node.value, number, target.value, target.slice, True)


def _is_array(module: Module, node: ast.expr) -> bool:
    """Whether a name certainly holds an array of numpy."""
    value = module.flow(node).value(node)
    return isinstance(value, ast.Call) and (module.qualified(value.func) or "").startswith("numpy.")


def _product(module: Module, node: ast.BinOp) -> Site | None:
    """`(1 - m) * v`, `m * v`, `v * m`; the sign of a subtraction around it counts."""
    for value, factor in ((node.right, node.left), (node.left, node.right)):
        minimum = half_minimum(module, value)
        number = -65505.0 if minimum else constant(module, value)
        if number is None or isinstance(number, bool) or abs(number) < -_SMALLEST:
            continue
        if constant(module, factor) is not None:
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub):
            return None
        subtracted = isinstance(parent, (ast.BinOp, ast.AugAssign)) and isinstance(parent.op, ast.Sub)
        sign = -1.0 if subtracted and getattr(parent, "left", None) is not node else 1.0
        if isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Sub) and constant(module, factor.right) == 1:
            sign = -sign
        if not is_mask(module, factor):
            return None
        return Site("product", node, value, float(number) * sign, None, factor, minimum=minimum)
    return None


def half_minimum(module: Module, node: ast.expr) -> bool:
    """`torch.finfo(dtype).min` of a dtype that may be float16."""
    if not (isinstance(node, ast.Attribute) and node.attr == "min" and isinstance(node.value, ast.Call)):
        return False
    if module.qualified(node.value.func) != "torch.finfo" or len(node.value.args) != 1:
        return False
    named = module.qualified(node.value.args[0]) or ""
    return named not in ("torch.float32", "torch.float", "torch.float64", "torch.double", "torch.bfloat16")


def _imported(module: Module, node: ast.Call) -> Site | None:
    """`from torch import masked_fill as fill`."""
    dotted = module.qualified(node.func) or ""
    read = _CALLS.get(dotted.rpartition(".")[2]) if dotted.startswith("torch.") else None
    return read(module, node) if read is not None else None


_CALLS: dict[str, Callable[[Module, ast.Call], Site | None]] = {
    "masked_fill": _fill,
    "masked_fill_": _fill,
    "where": _where,
    "full": _full,
    "full_like": _full,
    "new_full": _full,
    "fill_": _full,
}


def huge(module: Module, node: ast.expr | None) -> float | None:
    """The number of -9999 or below that a fill value certainly is: a constant, a 0-dimensional tensor of one, or a
    buffer of the class that holds one."""
    for _ in range(4):
        if node is None:
            return None
        number = constant(module, node)
        if number is not None:
            plain = not isinstance(number, bool) and not math.isnan(number) and number <= _SMALLEST
            return float(number) if plain else None
        node = _inside(module, node)
    return None


def _inside(module: Module, node: ast.expr) -> ast.expr | None:
    if isinstance(node, ast.Call):
        dotted = module.qualified(node.func)
        if dotted in ("torch.tensor", "torch.as_tensor", "torch.scalar_tensor") and node.args:
            return node.args[0]
        if dotted == "torch.full" and len(node.args) > 1:
            shape = node.args[0]
            empty = isinstance(shape, (ast.Tuple, ast.List)) and not shape.elts
            return node.args[1] if empty else None
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("to", "type", "type_as", "half", "float"):
            return node.func.value
        return None
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return value if value is not node else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return attribute_value(module, node)
    return None


def attribute_value(module: Module, node: ast.Attribute) -> ast.expr | None:
    """What `self.x` holds when the class sets it once, by assignment or `register_buffer`."""
    cls = module.class_of(node)
    if cls is None:
        return None
    found = module.self_attribute(cls, node.attr)
    if found is not None:
        return found
    buffers = [
        n
        for n in walk(cls)
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr == "register_buffer"
        and len(n.args) > 1
        and isinstance(n.args[0], ast.Constant)
        and n.args[0].value == node.attr
    ]
    return buffers[0].args[1] if len(buffers) == 1 else None


# -- float masks ---------------------------------------------------------------------------------------------------


def is_mask(module: Module, node: ast.expr) -> bool:
    """Whether a factor is a mask of zeros and ones: `1 - m`, a cast comparison, a name that says so."""
    inverted = inverted_operand(module, node)
    if inverted is not None:
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and constant(module, node.right) == 1:
        return bool(MASK_NAME.search(module.source(node.left)))
    bare = without_casts(node)
    if is_boolean(bare):
        return True
    while isinstance(bare, (ast.Subscript, ast.Call, ast.Attribute)):
        if isinstance(bare, ast.Call):
            if not isinstance(bare.func, ast.Attribute):
                return False
            bare = bare.func.value
        elif isinstance(bare, ast.Attribute):
            return bool(MASK_NAME.search(bare.attr))
        else:
            bare = bare.value
    return isinstance(bare, ast.Name) and bool(MASK_NAME.search(bare.id))


def inverted_operand(module: Module, node: ast.expr) -> ast.expr | None:
    """X of `1 - X`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        left = constant(module, node.left)
        if left == 1 and constant(module, node.right) is None:
            return node.right
    return None


def without_casts(node: ast.expr) -> ast.expr:
    """The expression under `.float()`, `.to(dtype)` and the like."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CASTS:
        node = node.func.value
    return node


def is_boolean(node: ast.expr) -> bool:
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Invert)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.BitAnd, ast.BitOr)) and (is_boolean(node.left) or is_boolean(node.right))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in (
        "bool", "eq", "ne", "lt", "gt", "le", "ge", "logical_not", "logical_or", "logical_and")  # fmt: skip
