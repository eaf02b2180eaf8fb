"""Masks that leave something in every row, and files that show that rows are closed.

A mask that does not depend on the batch closes the same rows at every step, and its author has seen them. One that
does closes a row on the day when a sample is empty; only some files show that this happens to them.
"""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.masks._batch import depends_on_batch
from autofix.transforms.masks._reach import End, Fate
from autofix.transforms.masks._sites import MASK_NAME, Site, attribute_value, without_casts
from autofix.tree import walk

_RANKS = ("topk", "kthvalue", "sort", "argsort", "cumsum", "max", "amax", "argmax", "quantile", "median")


def keeps_one(module: Module, site: Site, fate: Fate) -> bool:
    """Whether every row certainly keeps an unmasked position, or its author has seen that it does not: a causal mask
    with its diagonal, a threshold taken from the row itself, the chosen entries scattered back, all but the own index,
    a mask that opens closed rows or a column, one that no batch changes."""
    if any(c.func.attr.startswith("scatter") for c in fate.through if isinstance(c.func, ast.Attribute)):
        return True
    if site.kind == "full" and _is_container(module, site):
        return True
    if site.mask is not None:
        return _leaves_one(module, site.mask, site.keeps) or _opened(module, site.mask, site.keeps)
    causal = any(keeps_diagonal(module, call) for call in fate.through)
    return causal and not any(_adds_mask(module, s, site) for s in fate.sums)


def _is_container(module: Module, site: Site) -> bool:
    """Whether slices of the new tensor receive scores afterwards, so that -inf is what remains at the edge."""
    statement = module.statement(site.node)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    name = statement.targets[0].id
    scope = module.function_scope(statement)
    if any(_copied_into(n, name) for n in walk(scope)):
        return True
    return any(
        isinstance(s, ast.Assign)
        and isinstance(s.targets[0], ast.Subscript)
        and isinstance(s.targets[0].value, ast.Name)
        and s.targets[0].value.id == name
        and constant(module, s.value) is None
        for s in walk(scope)
    )


def _copied_into(node: ast.AST, name: str) -> bool:
    """`x.narrow(...).copy_(scores)`: a view of the tensor receives values."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "copy_"):
        return False
    root: ast.AST = node.func.value
    while isinstance(root, (ast.Call, ast.Attribute, ast.Subscript)):
        root = root.func if isinstance(root, ast.Call) else root.value
    return isinstance(root, ast.Name) and root.id == name


def _leaves_one(module: Module, mask: ast.expr, keeps: bool) -> bool:
    if _only_slices(mask):
        return True
    parts = list(resolved(module, mask))
    if _positions_only(module, parts):
        return True
    cut = any(_leaf(p) in ("triu", "tril") for p in parts)
    if not cut and not depends_on_batch(module, mask):
        return True
    if any(combines(module, p) for p in parts):
        return False
    for part in parts:
        if isinstance(part, ast.Call):
            op = tensor_op(module, part)
            name = op.name if op is not None else part.func.attr if isinstance(part.func, ast.Attribute) else ""
            dotted = module.qualified(part.func) or ""
            if name in _RANKS or dotted.rpartition(".")[2] in (*_RANKS, "eye"):
                return True
            if name in ("triu", "tril") or dotted in ("torch.triu", "torch.tril"):
                inverted = (sum(_inverts(module, p) for p in parts) + keeps) % 2 == 1
                return _covers_diagonal(module, part) == inverted
    return False


def _opened(module: Module, mask: ast.expr, keeps: bool) -> bool:
    """Whether a mask is built so that no row stays closed: it asks itself for closed rows (`m & ~m.all(-1)`), one of
    its columns is set (`m[:, 0] = False`: a class token), or open ones are joined to it."""
    parts = resolved(module, mask)
    asked = (p for p in parts if _leaf(p) in ("all", "any") and _has_dimension(p))
    if any(asked):
        return True
    inverted = (sum(_inverts(module, p) for p in parts) + keeps) % 2 == 1
    if any(_extended_with(module, p, inverted) for p in parts):
        return True
    names = {p.id for p in parts if isinstance(p, ast.Name)}
    return any(_sets_column(module, n, names) for n in walk(module.function_scope(mask)))


def _extended_with(module: Module, node: ast.AST, ones: bool) -> bool:
    """`torch.cat([m, torch.ones_like(n)], dim=-1)`, with zeros where `ones` is False."""
    if _leaf(node) not in ("cat", "concat") or not isinstance(node, ast.Call) or not node.args:
        return False
    pieces = node.args[0].elts if isinstance(node.args[0], (ast.List, ast.Tuple)) else []
    name = "ones" if ones else "zeros"
    calls = [module.flow(p).value(p) if isinstance(p, ast.Name) else p for p in pieces]
    return any(
        _leaf(c) in (name, f"{name}_like", f"new_{name}") or (_leaf(c) == "full" and _filled_with(module, c) == ones)
        for c in map(without_casts, calls)
    )


def _filled_with(module: Module, call: ast.expr) -> object:
    if not isinstance(call, ast.Call):
        return None
    values = [k.value for k in call.keywords if k.arg == "fill_value"] or call.args[1:2]
    return constant(module, values[0]) if values else None


def _has_dimension(call: ast.AST) -> bool:
    if not isinstance(call, ast.Call):
        return False
    method = isinstance(call.func, ast.Attribute) and not (
        isinstance(call.func.value, ast.Name) and call.func.value.id in ("torch", "th", "t")
    )
    return len(call.args) > (0 if method else 1) or any(k.arg == "dim" for k in call.keywords)


def _sets_column(module: Module, node: ast.AST, names: set[str]) -> bool:
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Subscript):
        return False
    target = node.targets[0]
    if not isinstance(target.value, ast.Name) or target.value.id not in names:
        return False
    index = target.slice.elts[-1] if isinstance(target.slice, ast.Tuple) and len(target.slice.elts) > 1 else None
    position = index is not None and constant(module, index) is not None
    return position and constant(module, node.value) in (0, 1, True, False)


def _only_slices(index: ast.expr) -> bool:
    """`x[:, n:]`: a block of fixed shape, beside which something stays."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(isinstance(p, ast.Slice) for p in parts) and all(
        isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and (p.value is None or p.value is ...)) for p in parts
    )


def _positions_only(module: Module, parts: list[ast.AST]) -> bool:
    """Whether a mask is made of positions alone (`arange` and sizes): a causal mask, a band, blocks."""
    if not any(isinstance(p, ast.Call) and ast.unparse(p.func).endswith("arange") for p in parts):
        return False
    for part in parts:
        if not isinstance(part, ast.Name) or not isinstance(part.ctx, ast.Load):
            continue
        if module.names.lookup(part.id, part) is not None or module.flow(part).value(part) is not part:
            continue
        parent = module.parent(part)
        if isinstance(parent, ast.Subscript) and parent.value is part:
            return False
        if isinstance(parent, ast.Attribute) and parent.attr not in ("shape", "device", "dtype", "size"):
            definition = module.flow(part).definition(part)
            if part.id != "self" and (definition is None or definition.kind != "unpack"):
                return False
    return True


def combines(module: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, (ast.Add, ast.Mult)):
            return constant(module, node.left) is None and constant(module, node.right) is None
        return isinstance(node.op, (ast.BitOr, ast.BitAnd))
    return _leaf(node) in ("logical_or", "logical_and", "logical_xor")


def _leaf(node: ast.AST) -> str:
    """The last name of what a call calls."""
    if not isinstance(node, ast.Call):
        return ""
    func = node.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def resolved(module: Module, node: ast.expr, depth: int = 0) -> list[ast.AST]:
    """The nodes of an expression, with names and buffers replaced by what they were assigned."""
    out: list[ast.AST] = []
    for part in walk(node):
        out.append(part)
        if depth >= 4:
            continue
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = module.flow(part).value(part)
            if value is not part:
                out.extend(resolved(module, value, depth + 1))
            else:
                found = module.flow(part).definition(part)
                if found is not None and found.whole is not None:
                    out.extend(resolved(module, found.whole, depth + 1))
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            held = attribute_value(module, part)
            if held is not None:
                out.extend(resolved(module, held, depth + 1))
    return out


def _covers_diagonal(module: Module, call: ast.Call) -> bool:
    """Whether triu or tril keeps the diagonal's own entries; an offset that is computed is one of a causal mask."""
    dotted = module.qualified(call.func)
    name = dotted or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    arguments = call.args[1:] if dotted is not None else call.args
    given = next((k.value for k in call.keywords if k.arg == "diagonal"), arguments[0] if arguments else None)
    upper = "triu" in name
    diagonal = 0 if given is None else constant(module, given)
    if diagonal is None:
        below = isinstance(given, ast.UnaryOp) and isinstance(given.op, ast.USub)
        return upper == below
    return diagonal <= 0 if upper else diagonal >= 0


def _inverts(module: Module, node: ast.AST) -> bool:
    """`x == 0`, `~x`, `x.logical_not()`, `1 - x`."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        against = constant(module, node.comparators[0])
        if isinstance(node.ops[0], (ast.Eq, ast.Is)):
            return against is not None and not against
        return isinstance(node.ops[0], (ast.NotEq, ast.Lt)) and against in (1, True, 0.5)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.Invert, ast.Not))
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Sub) and constant(module, node.left) == 1
    return _leaf(node) == "logical_not"


def keeps_diagonal(module: Module, call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name.startswith(("triu", "tril")):
        return not _covers_diagonal(module, call)
    if name.startswith("masked_fill") and len(call.args) == 2 and constant(module, call.args[1]) == 0:
        return any(isinstance(p, ast.Call) and "arange" in ast.unparse(p.func) for p in resolved(module, call.args[0]))
    return False


def _adds_mask(module: Module, addition: ast.expr | ast.stmt, site: Site) -> bool:
    """Whether an addition on the value's way adds another mask to it."""
    if isinstance(addition, ast.BinOp):
        sides = [addition.left, addition.right]
        return all(MASK_NAME.search(module.source(without_casts(s))) for s in sides)
    if isinstance(addition, ast.AugAssign):
        return all(MASK_NAME.search(module.source(s)) for s in (addition.target, addition.value))
    return False


# -- files that show that rows are closed --------------------------------------------------------------------------

_ASKS = re.compile(r"\b(?:all|any|clamp|clamp_min|maximum|max)\(")
_COUNTS = ("sum", "count_nonzero")


def shows_closed_rows(module: Module, site: Site, fate: Fate) -> bool:
    """Whether the file itself shows that rows of this mask are closed.

    It replaces the NaN that they give, asks for such rows, bounds a count of the mask at 1, multiplies a mask of
    queries by one of keys, or cuts off the diagonal."""
    if fate.ends & {End.REPAIRED, End.OUTPUT_REPAIRED}:
        return True
    if any(_cuts(module, c) and not keeps_diagonal(module, c) for c in fate.through):
        return True
    if site.mask is None:
        return False
    parts = resolved(module, site.mask)
    if any(_is_outer(module, p) for p in parts):
        return True
    if any(_leaf(p) in ("triu", "tril") for p in parts) and not any(combines(module, p) for p in parts):
        return True  # one that keeps the diagonal is not asked about
    names = {p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Load)}
    return _asked_elsewhere(module, {n for n in names if MASK_NAME.search(n)})


def _cuts(module: Module, call: ast.Call) -> bool:
    return _leaf(call).startswith(("triu", "tril"))


def _is_outer(module: Module, node: ast.AST) -> bool:
    """`m[:, :, None] & m[:, None, :]`: the rows of padded queries are closed in every batch that pads."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.BitAnd, ast.MatMult)):
        sides = [node.left, node.right]
    elif isinstance(node, ast.Call) and _leaf(node) in ("logical_and", "mul", "bmm", "matmul"):
        own = [node.func.value] if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None else []
        sides = [*own, *node.args][:2]
    else:
        return False
    layouts = [_layout(module, side) for side in sides]
    return len(layouts) == 2 and None not in layouts and layouts[0] != layouts[1]


def _layout(module: Module, node: ast.expr) -> str | None:
    """Where a mask of one axis beside the batch has that axis: the text of its new axes."""
    node = without_casts(module.flow(node).value(node) if isinstance(node, ast.Name) else without_casts(node))
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        elements = node.slice.elts
        new = [isinstance(e, ast.Constant) and e.value is None for e in elements]
        plain = all(n or isinstance(e, ast.Slice) for n, e in zip(new, elements, strict=True))
        return "".join("n" if n else ":" for n in new).rstrip(":") if any(new) and plain else None
    if isinstance(node, ast.Call) and _leaf(node) == "unsqueeze" and isinstance(node.func, ast.Attribute):
        inner = _layout(module, node.func.value) or ""
        number = constant(module, node.args[0]) if node.args else None
        return f"{inner} {number}" if number is not None else None
    if isinstance(node, ast.Call) and _leaf(node) == "rearrange" and len(node.args) > 1:
        return ast.unparse(node.args[1])
    return None


def _asked_elsewhere(module: Module, names: set[str]) -> bool:
    """Whether some function of the file asks a mask of this name for closed rows, or bounds its count at 1."""
    lines = {module.position(m.start()).line for m in _ASKS.finditer(module.text)}
    for unit in module.units:
        if not any(unit.first_line <= line <= unit.last_line for line in lines):
            continue
        for node in walk(unit.node):
            if isinstance(node, ast.Call) and node.lineno in lines and _asks(module, node, names):
                return True
    return False


def _asks(module: Module, call: ast.Call, names: set[str]) -> bool:
    leaf = _leaf(call)
    if leaf == "all":
        dimensions = [*call.args, *(k.value for k in call.keywords if k.arg == "dim")]
        if not any(constant(module, d) == -1 for d in dimensions):
            return False
        own = [call.func.value] if isinstance(call.func, ast.Attribute) and module.qualified(call.func) is None else []
        return _mentions(module, [*own, *call.args][0], names)
    if leaf in ("clamp", "clamp_min", "maximum", "max"):
        bounds = [*call.args, *(k.value for k in call.keywords if k.arg == "min")]
        if not any(constant(module, b) == 1 for b in bounds):
            return False
        counted = call.func.value if isinstance(call.func, ast.Attribute) else call
        parts = resolved(module, counted) if isinstance(counted, ast.expr) else []
        return any(_leaf(p) in _COUNTS and _mentions(module, p, names) for p in parts)
    return False


def _mentions(module: Module, node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.expr) and any(isinstance(p, ast.Name) and p.id in names for p in resolved(module, node))
