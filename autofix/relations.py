"""What two expressions have to do with each other: equal, or one never above the other; and what changes a value in
place between its definition and a read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from autofix.calls import call_of
from autofix.flow import Definition
from autofix.syntax import Module
from autofix.transfer import names
from autofix.tree import walk

_RANDOM = re.compile(r"rand|dropout|sample|bernoulli|normal_|uniform_|next\(")
_VIEWS = names(
    "view reshape unsqueeze squeeze transpose permute expand expand_as contiguous clone detach flatten to type float "
    "double half bfloat16 values detach_ broadcast_to repeat"
)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def same(module: Module, a: ast.expr, b: ast.expr) -> bool:
    """Whether two expressions certainly have one value: the same text, of the same definitions."""
    if a is b:
        return True
    text = words(module, a)
    if text != words(module, b) or _RANDOM.search(text):
        return False
    if any(isinstance(n, ast.Call) and call_of(module, n) is None for n in walk(a)):
        return False
    pairs = zip(_names(a), _names(b), strict=False)
    return all(_one_definition(module, x, y) for x, y in pairs)


def words(module: Module, node: ast.expr) -> str:
    return re.sub(r"\s+", "", module.source(node)) if hasattr(node, "lineno") else ""


def _names(node: ast.AST) -> list[ast.Name]:
    return [n for n in walk(node) if isinstance(n, ast.Name)]


def _one_definition(module: Module, x: ast.Name, y: ast.Name) -> bool:
    if x.id in ("self", "cls"):
        return True
    flow = module.flow(x)
    one, other = flow.definition(x), module.flow(y).definition(y)
    if one is None or other is None:
        return one is other and not flow.stores(x.id)
    return one.statement is other.statement


def never_above(module: Module, small: ast.expr, big: ast.expr) -> bool:
    """Whether `small <= big` holds for every element: the second is a maximum, or a log-sum-exp, of the first."""
    return _below(module, small, big, 0) or _least(module, small, big, 0)


def _below(module: Module, small: ast.expr, big: ast.expr, depth: int) -> bool:
    big = _strip(module, big)
    if depth > 6:
        return False
    if isinstance(big, ast.Name):
        values = _values(module, big)
        return bool(values) and all(_below(module, small, v, depth + 1) for v in values)
    if not isinstance(big, ast.Call):
        return False
    call = call_of(module, big)
    if call is None or call.name not in ("max", "amax", "logsumexp", "maximum", "clamp", "clamp_min", "cummax"):
        return False
    if call.name == "clamp" and "max" in call.args:
        return False
    parts = [call.input, *(v for k, v in call.args.items() if k in ("other", "dim") and call.name.startswith("max"))]
    candidates = [small, _strip(module, small, subscripts=True)]
    for part in parts:
        if not call.name.startswith("clamp") and any(_alike(module, c, part) for c in candidates):
            return True
        if _below(module, small, part, depth + 1):
            return True
    return False


def _least(module: Module, small: ast.expr, big: ast.expr, depth: int) -> bool:
    """Whether `small` is a minimum of `big`."""
    small = _strip(module, small)
    if depth > 6:
        return False
    if isinstance(small, ast.Name):
        values = _values(module, small)
        return bool(values) and all(_least(module, v, big, depth + 1) for v in values)
    call = call_of(module, small) if isinstance(small, ast.Call) else None
    if call is None or call.name not in ("min", "amin", "minimum", "cummin"):
        return False
    parts = [call.input, *(v for k, v in call.args.items() if k in ("other", "dim") and call.name.startswith("min"))]
    return any(_alike(module, big, p) or _alike(module, _strip(module, big, subscripts=True), p) for p in parts)


def _alike(module: Module, a: ast.expr, b: ast.expr) -> bool:
    return same(module, a, b) or same(module, _strip(module, a), _strip(module, b))


def _values(module: Module, name: ast.Name) -> list[ast.expr]:
    """The one value of a name; none when it has several, or when it is changed in place."""
    flow = module.flow(name)
    found = flow.definition(name)
    if found is None or in_place_changes(module, name, found):
        return []
    if found.value is not None:
        return [found.value]
    statement = found.statement
    if found.kind == "unpack" and isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
        target = statement.targets[0]
        first = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else None
        call = call_of(module, statement.value)
        if isinstance(first, ast.Name) and first.id == name.id and call and call.name in ("max", "min", "cummax"):
            return [statement.value]
    return []


def _strip(module: Module, node: ast.expr, subscripts: bool = False) -> ast.expr:
    """Without views, copies and detachments; a subscript is taken off a (values, indices) pair only, or on request."""
    while True:
        if isinstance(node, ast.Attribute) and node.attr in ("values", "data"):
            node = node.value
            continue
        if isinstance(node, ast.Subscript) and (subscripts or _selects_nothing(node) or _is_first_of_pair(node)):
            node = node.value
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
            call = call_of(module, node)
            if call is not None and call.form == "method":
                node = call.input
                continue
        return node


def _selects_nothing(node: ast.Subscript) -> bool:
    """`x[..., None]`, `x[:, None]`: all of x."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    whole = [
        (isinstance(p, ast.Constant) and p.value in (None, Ellipsis))
        or (isinstance(p, ast.Slice) and p.lower is None and p.upper is None and p.step is None)
        for p in parts
    ]
    return all(whole)


def _is_first_of_pair(node: ast.Subscript) -> bool:
    first = isinstance(node.slice, ast.Constant) and node.slice.value == 0
    func = node.value.func if isinstance(node.value, ast.Call) else None
    return first and isinstance(func, ast.Attribute) and func.attr in ("max", "min", "cummax", "cummin")


# -- parts of an expression ------------------------------------------------------------------------------------


def signed_terms(module: Module, node: ast.expr) -> list[tuple[int, ast.expr]]:
    """The signed terms of a sum, without recursion; of a sum of hundreds the last is NaN, which says nothing."""
    out: list[tuple[int, ast.expr]] = []
    pending = [(1, node)]
    while pending and len(out) < 64:
        sign, current = pending.pop()
        if isinstance(current, ast.BinOp) and isinstance(current.op, (ast.Add, ast.Sub)):
            pending.append((sign if isinstance(current.op, ast.Add) else -sign, current.right))
            pending.append((sign, current.left))
            continue
        if isinstance(current, ast.UnaryOp) and isinstance(current.op, ast.USub):
            pending.append((-sign, current.operand))
            continue
        call = call_of(module, current) if isinstance(current, ast.Call) else None
        other = call.args.get("other") if call is not None and len(call.args) == 1 else None
        if call is not None and other is not None and call.name in ("add", "sub", "add_", "sub_"):
            pending.append((sign if call.name.startswith("add") else -sign, other))
            pending.append((sign, call.input))
            continue
        if call is not None and call.name in ("neg", "negative"):
            pending.append((-sign, call.input))
            continue
        out.append((sign, current))
    if pending:
        out.append((1, ast.Constant(float("nan"))))
    return out


def signed_factors(node: ast.expr) -> tuple[int, list[ast.expr]]:
    """The sign and the factors of a product, without recursion."""
    sign, out, pending = 1, [], [node]
    while pending:
        current = pending.pop()
        if isinstance(current, ast.BinOp) and isinstance(current.op, ast.Mult):
            pending.extend((current.right, current.left))
        elif isinstance(current, ast.UnaryOp) and isinstance(current.op, ast.USub):
            sign = -sign
            pending.append(current.operand)
        else:
            out.append(current)
    return sign, out


def may_be_empty(module: Module, node: ast.expr) -> bool:
    """Whether a selection by mask or index may leave nothing of it."""
    value = module.flow(node).value(node)
    for part in (n for n in walk(value) if isinstance(n, (ast.Subscript, ast.Call))):
        if isinstance(part, ast.Subscript):
            parts = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
            if not all(isinstance(p, (ast.Constant, ast.Slice, ast.UnaryOp)) for p in parts):
                return True
        elif isinstance(part.func, ast.Attribute) and part.func.attr in ("masked_select", "nonzero"):
            return True
    return False


# -- changes in place ------------------------------------------------------------------------------------------


def in_place_changes(module: Module, read: ast.Name, definition: Definition) -> list[ast.AST]:
    """The operations that may have changed the tensor between its definition and `read`, in source order."""
    start = (getattr(definition.statement, "lineno", 0), getattr(definition.statement, "col_offset", 0))
    end = (read.lineno, read.col_offset)
    loop = next(
        (a for a in module.ancestors(read) if isinstance(a, _LOOPS) and not _inside(module, definition.statement, a)),
        None,
    )
    out: list[ast.AST] = []
    for node in _changes(module, read).get(read.id, []):
        place = (node.lineno, node.col_offset)  # type: ignore[attr-defined]
        around_read = any(a is node for a in module.ancestors(read))
        repeated = loop is not None and any(a is loop for a in module.ancestors(node))
        if (start < place < end and not around_read) or repeated:
            out.append(node)
    return out


def changes_in_place(module: Module, read: ast.Name) -> list[ast.AST]:
    """Every in-place operation on a name in the function around `read`."""
    return _changes(module, read).get(read.id, [])


def reaches(module: Module, change: ast.AST, read: ast.AST) -> bool:
    """Whether a statement that comes before `read` is always run before it."""
    block = module.block(module.statement(change))
    return any(s in block for s in (module.statement(read), *module.ancestors(read)))


def _changes(module: Module, read: ast.AST) -> dict[str, list[ast.AST]]:
    """In-place operations of the function around `read`, by the name that they change."""
    scope = module.flow(read).scope
    known: dict[ast.AST, dict[str, list[ast.AST]]] = vars(module).setdefault("_in_place_changes", {})
    if scope not in known:
        known[scope] = _changes_in(module.nodes(scope))
    return known[scope]


def _changes_in(nodes: Iterable[ast.AST]) -> dict[str, list[ast.AST]]:
    table: dict[str, list[ast.AST]] = {}
    for node in nodes:
        root: ast.AST | None = None
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _in_place(node.func.attr):
            root = node.func.value
        while isinstance(root, (ast.Subscript, ast.Attribute)):
            root = root.value
        if isinstance(root, ast.Name) and root.id != "self":
            table.setdefault(root.id, []).append(node)
    return table


def _in_place(attribute: str) -> bool:
    return attribute.endswith("_") and not attribute.endswith("__") and attribute not in (
        "requires_grad_", "detach_", "unsqueeze_", "squeeze_", "share_memory_"
    )  # fmt: skip


def _inside(module: Module, node: ast.AST, outer: ast.AST) -> bool:
    return node is outer or any(a is outer for a in module.ancestors(node))


# -- attributes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assigned:
    """What an assignment binds to an attribute: `value`, or its element `index` when it is unpacked."""

    statement: ast.Assign | ast.AnnAssign
    value: ast.expr
    index: int | None = None


def attribute_definition(module: Module, read: ast.Attribute) -> Assigned | None:
    """The assignment in the same function that the value of `self.x` certainly comes from."""
    text = words(module, read)
    statement = module.statement(read)
    while True:
        block = module.block(statement)
        index = block.index(statement)
        for earlier in reversed(block[:index]):
            stores = [n for n in walk(earlier) if is_store(module, n, text)]
            if stores:
                return _assigned(earlier, stores[-1])
        parent = module.parent(statement)
        if not isinstance(parent, ast.stmt) or isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        if isinstance(parent, _LOOPS) and any(is_store(module, n, text) for n in walk(parent)):
            return None
        statement = parent


def is_store(module: Module, node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and words(module, node) == text


def _assigned(statement: ast.stmt, store: ast.AST) -> Assigned | None:
    if isinstance(statement, ast.AnnAssign):
        return Assigned(statement, statement.value) if statement.value is not None else None
    if not isinstance(statement, ast.Assign):
        return None
    for target in statement.targets:
        if target is store:
            return Assigned(statement, statement.value)
        if isinstance(target, (ast.Tuple, ast.List)) and store in target.elts:
            return Assigned(statement, statement.value, target.elts.index(store))
    return None
