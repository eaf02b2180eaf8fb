"""Whether a constant below float16's range becomes -inf there: which dtype the value has, by PyTorch's promotion.

A Python number takes the dtype of a floating tensor beside it and makes an integer one float32; float16 plus float32 is
float32; an update in place keeps the dtype of its target.
"""

from __future__ import annotations

import ast

from autofix.ops import constant
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import WIDE, cast_dtype, dtype_of, float_dtype_of, moves_only, names_dtype
from autofix.transforms.masks._reach import End, Fate
from autofix.transforms.masks._reaching import reaching
from autofix.transforms.masks._sites import Site, inverted_operand, is_boolean
from autofix.transforms.masks._sums import sum_around

_ELEMENTWISE = {f"torch.{n}" for n in "abs add clamp div exp log maximum mul pow sqrt square sub".split()}
_DEPTH = 24


def overflows(module: Module, site: Site, fate: Fate) -> bool | None:
    """Whether the constant can meet float16: True where it is put into a tensor of the scores' dtype, False where it
    stays in a wider one, None where the mask's dtype is not in view."""
    if site.tensor is not None:
        return not is_wide(module, site.tensor)
    if site.kind in ("where", "full"):
        given = _keyword(site.node, "dtype")
        if given is not None:
            return not _names_wide(module, given)
        if _inner_dtype(module, site.value) is not None:
            return not _names_wide(module, _inner_dtype(module, site.value))
    if site.kind == "product" and site.mask is not None:
        own = float_dtype_of(module, site.mask)
        if own is not None and own not in WIDE:
            return not _named_wide(module, site.mask, own)
    if _meets_half(module, site, fate):
        return True
    if site.kind == "product" and site.mask is not None and not _is_known(module, site.mask):
        return None
    return None if fate.ends & {End.RETURNED, End.PASSED, End.STORED} else False


def _is_known(module: Module, mask: ast.expr) -> bool:
    """Whether a factor's dtype is in view: a cast, or a comparison, which a Python number makes float32."""
    return float_dtype_of(module, mask) is not None or is_boolean(inverted_operand(module, mask) or mask)


def _meets_half(module: Module, site: Site, fate: Fate) -> bool:
    """Whether a float32 mask is cast to the scores' dtype, or added to them in place."""
    for cast in fate.casts:
        if isinstance(cast, ast.Call) and not cast.args:  # `.half()`, `.float()`
            return cast_dtype(module, cast) not in WIDE
        if not moves_only(cast):
            return not _names_wide(module, cast)
    return added_in_place(module, site, fate) is not None


def added_in_place(module: Module, site: Site, fate: Fate) -> ast.expr | None:
    """The scores, of a dtype that may be float16, that a mask is added to in place."""
    own = sum_around(module, site) if site.kind == "product" else None
    for addition in [*fate.sums, *([own] if own is not None else [])]:
        if isinstance(addition, ast.AugAssign) and _carries(module, addition, site, fate):
            return None if is_wide(module, addition.target) else addition.target
    return None


def _carries(module: Module, addition: ast.AugAssign, site: Site, fate: Fate) -> bool:
    """Whether the mask is what is added, not what is added to."""
    inside = set(ast.walk(addition.value))
    if site.node in inside:
        return True
    return any(isinstance(n, ast.Name) and n.id in fate.names for n in inside)


def is_wide(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a tensor certainly is float32, float64 or bfloat16, whatever the model's dtype."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Name):
        statements, entry = reaching(module, module.flow(node), node)
        return bool(statements) and not entry and all(_binds_wide(module, s, node.id, depth) for s in statements)
    if isinstance(node, ast.Subscript):
        return is_wide(module, node.value, depth + 1)
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT", "data"):
        return is_wide(module, node.value, depth + 1)
    if isinstance(node, ast.IfExp):
        return is_wide(module, node.body, depth + 1) and is_wide(module, node.orelse, depth + 1)
    if isinstance(node, ast.BinOp):
        sides = [s for s in (node.left, node.right) if constant(module, s) is None]
        return any(is_wide(module, s, depth + 1) for s in sides)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr == "bfloat16":
        return True
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("to", "type") and len(node.args) == 1:
        if (module.qualified(node.args[0]) or "").endswith(("FloatTensor", "DoubleTensor")):
            return True
        if moves_only(node.args[0]):
            return is_wide(module, node.func.value, depth + 1)
    if (module.qualified(node.func) or "") in _ELEMENTWISE:
        return any(is_wide(module, a, depth + 1) for a in node.args)
    found = dtype_of(module, node)
    if found is None:
        if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None:
            return not _casts(node.func.attr) and is_wide(module, node.func.value, depth + 1)
        return False
    return found in WIDE or (found.endswith(".dtype") and _root_is_wide(module, node, found, depth))


def _casts(name: str) -> bool:
    return name in ("to", "type", "type_as", "half")


def _root_is_wide(module: Module, node: ast.expr, found: str, depth: int) -> bool:
    """`x.view(...)` has the dtype of `x`."""
    named = found.removesuffix(".dtype")
    return any(isinstance(n, ast.Name) and n.id == named and is_wide(module, n, depth + 1) for n in ast.walk(node))


def _binds_wide(module: Module, statement: ast.AST, name: str, depth: int) -> bool:
    if isinstance(statement, ast.AugAssign):
        return is_wide(module, statement.target, depth + 1)
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    value = statement.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        value = next((v for t, v in pairs if isinstance(t, ast.Name) and t.id == name), value)
    return not isinstance(value, ast.Tuple) and is_wide(module, value, depth + 1)


def _names_wide(module: Module, node: ast.expr | None) -> bool:
    if node is None:
        return False
    if isinstance(node, ast.Attribute) and node.attr == "dtype":
        return is_wide(module, node.value)
    if names_dtype(module, node):
        return (module.qualified(node) or "") in WIDE
    return is_wide(module, node)  # `.type_as(x)`


def _named_wide(module: Module, node: ast.expr, own: str) -> bool:
    return any(
        isinstance(n, ast.Attribute) and n.attr == "dtype" and module.source(n) == own and is_wide(module, n.value)
        for n in ast.walk(node)
    )


def _inner_dtype(module: Module, value: ast.expr) -> ast.expr | None:
    """`d` of `torch.tensor(-1e9, dtype=d)` as a fill value."""
    value = module.flow(value).value(value) if isinstance(value, ast.Name) else value
    return _keyword(value, "dtype")


def _keyword(node: ast.AST, name: str) -> ast.expr | None:
    if not isinstance(node, ast.Call):
        return None
    return next((k.value for k in node.keywords if k.arg == name), None)
