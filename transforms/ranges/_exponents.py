"""Which quantity an exponent consists of, where it comes from, and whether anything bounds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autofix.calls import call_of, callee, maker_of, returned
from autofix.flow import Definition
from autofix.ops import constant
from autofix.relations import attribute_definition, words
from autofix.syntax import Module
from autofix.transfer import MOVES
from autofix.transforms.ranges._roles import (
    LOG_RATIO,
    LOG_SCALE,
    Role,
    is_log_probability,
    is_ratio,
    role_of,
    role_of_result,
)
from autofix.tree import children, walk

_BOUNDING = re.compile(
    r"clamp|clip|tanh|sigmoid|squash|bound|softsign|(^|_)limit|^min$|^minimum$|normaliz|^(log_)?softmax$|logsumexp|^max$"
    r"|saturat|^atan$|extract|softmin|soft_?cap"
)
_NEAR = 120  # characters beside a name in which a call or a word about its bounds stands
_ROUTES = MOVES - {"item", "tolist", "cpu", "detach"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an exponent is, but for a constant `factor` and views: a name, an attribute, a call, a difference."""

    node: ast.expr
    role: Role
    factor: float

    @property
    def negative(self) -> bool:
        return self.factor < 0


def quantity(module: Module, exponent: ast.expr, result: str) -> Quantity | None:
    """The quantity in an exponent whose role is known. result: the name that the exponential is given."""
    factor, node = 1.0, exponent
    for _ in range(24):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            factor, node = -factor, node.operand
            continue
        scaled = _without_factor(module, node)
        if scaled is not None:
            factor, node = factor * scaled[0], scaled[1]
            continue
        if _is_named(node):
            role = _named_role(module, node)
            if role is not None:
                return Quantity(node, role, factor)
            value = _only_value(module, node)
            if value is None:
                return _predicted(module, node, result, factor)
            if _is_ratio(module, value):
                return Quantity(node, LOG_RATIO, factor)
            if _is_prediction(module, value):
                return _predicted(module, node, result, factor)
            node = value
            continue
        if _is_ratio(module, node):
            return Quantity(node, LOG_RATIO, factor)
        inner = view_of(module, node)
        if inner is None:
            return _predicted(module, node, result, factor)
        if isinstance(node, ast.Subscript) and not _has_role(module, inner):
            return _predicted(module, node, result, factor)
        node = inner
    return None


def _is_named(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) or _key(node) != ""


def _key(node: ast.expr) -> str:
    """The key of `outputs["log_std"]`."""
    key = node.slice if isinstance(node, ast.Subscript) else None
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _key(node)
    return node.id if isinstance(node, ast.Name) else ""


def _has_role(module: Module, node: ast.expr) -> bool:
    while not _is_named(node):
        inner = view_of(module, node)
        if inner is None:
            return False
        node = inner
    return _named_role(module, node) is not None


def _named_role(module: Module, node: ast.expr) -> Role | None:
    name = _last(node)
    if is_ratio(name):
        value = _only_value(module, node)
        return LOG_RATIO if value is not None and _is_ratio(module, value) else None
    role = role_of(name)
    if role is None and name.lower().strip("_") in ("temperature", "temp") and isinstance(node, ast.Attribute):
        return role_of("logit_scale") if is_parameter(module, node) else None
    return role


def _without_factor(module: Module, node: ast.expr) -> tuple[float, ast.expr] | None:
    """A constant factor, and what it is applied to; that of a division is one over the divisor."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        right = constant(module, node.right)
        if right:
            return (right if isinstance(node.op, ast.Mult) else 1 / right), node.left
        left = constant(module, node.left) if isinstance(node.op, ast.Mult) else None
        if left:
            return left, node.right
        return None
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    if call is None or call.name not in ("mul", "div", "neg", "mul_", "div_", "multiply"):
        return None
    if call.name == "neg":
        return -1.0, call.input
    number = constant(module, call.args.get("other"))
    if not number:
        return None
    return (1 / number if call.name.startswith("div") else number), call.input


def view_of(module: Module, node: ast.expr) -> ast.expr | None:
    """What `node` is a view, a copy or a part of."""
    if isinstance(node, ast.Subscript):
        return node.value
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    return call.input if call is not None and call.name in _ROUTES else None


def _only_value(module: Module, node: ast.expr) -> ast.expr | None:
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        return own_value(found) if found is not None else None
    assigned = attribute_definition(module, node) if isinstance(node, ast.Attribute) else None
    return assigned.value if assigned is not None and assigned.index is None else None


def own_value(found: Definition) -> ast.expr | None:
    """The expression that a definition binds to the name alone: `b` of `x, y = a, b`."""
    statement = found.statement
    if found.value is not None or not isinstance(statement, ast.Assign):
        return found.value
    target, value = statement.targets[0], statement.value
    if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple) or len(target.elts) != len(value.elts):
        return None
    pairs = zip(target.elts, value.elts, strict=True)
    return next((v for t, v in pairs if isinstance(t, ast.Name) and t.id == found.name), None)


def _is_ratio(module: Module, node: ast.expr) -> bool:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
        return False
    return _is_log_probability(module, node.left) and _is_log_probability(module, node.right)


def _is_log_probability(module: Module, node: ast.expr) -> bool:
    while True:
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "log_prob":
                return True
            inner = view_of(module, node)
            if inner is None:
                if isinstance(node.func, ast.Attribute) and node.func.attr == "detach":
                    node = node.func.value
                    continue
                return False
            node = inner
            continue
        if isinstance(node, ast.Subscript):
            key = node.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                return is_log_probability(key.value)
            node = node.value
            continue
        return is_log_probability(_last(node))


# -- where it comes from -----------------------------------------------------------------------------------------


def _predicted(module: Module, node: ast.expr, result: str, factor: float) -> Quantity | None:
    """A prediction without a telling name: the name of its exponential gives the role."""
    role = role_of_result(result)
    if role is None and result == "" and _makes_determinant(module, node):
        role = LOG_SCALE
    if role is None or not comes_from_network(module, node):
        return None
    return Quantity(node, role, factor)


def _makes_determinant(module: Module, node: ast.expr) -> bool:
    """Whether the exponent is summed as well: the log-determinant of a scaling by its exponential."""
    if not isinstance(node, ast.Name):
        return False
    for read in module.flow(node).loads.get(node.id, []):
        parent = module.parent(read)
        call = module.parent(parent) if isinstance(parent, ast.Attribute) else parent
        operation = call_of(module, call) if isinstance(call, ast.Call) else None
        if operation is not None and operation.name == "sum" and operation.input is read:
            return True
    return False


def comes_from_network(module: Module, node: ast.expr) -> bool:
    for _ in range(8):
        if isinstance(node, ast.Name):
            found = module.flow(node).definition(node)
            statement = found.statement if found is not None else None
            if found is None or not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
                return False
            node = own_value(found) or statement.value
            continue
        if _is_prediction(module, node):
            return True
        inner = view_of(module, node)
        if inner is None:
            return False
        node = inner
    return False


def _is_prediction(module: Module, node: ast.expr) -> bool:
    """A call of a linear or convolutional layer, or of a Sequential that ends with one, which the class built."""
    if not isinstance(node, ast.Call) or callee(module, node) is not None:
        return False
    maker = maker_of(module, node.func)
    for _ in range(4):
        name = (module.qualified(maker.func) or "") if maker is not None else ""
        if re.fullmatch(r"torch\.nn\.(Lazy)?(Linear|Conv[123]d|Bilinear)", name):
            return True
        if name != "torch.nn.Sequential" or maker is None or not maker.args:
            return False
        last = module.flow(maker).value(maker.args[-1])
        maker = last if isinstance(last, ast.Call) else None
    return False


def is_parameter(module: Module, node: ast.expr) -> bool:
    """Whether `self.x` is an nn.Parameter of its class."""
    cls = module.class_of(node)
    value = module.self_attribute(cls, node.attr) if cls is not None and isinstance(node, ast.Attribute) else None
    return isinstance(value, ast.Call) and (module.qualified(value.func) or "").endswith("nn.Parameter")


def is_own_parameter(module: Module, node: ast.expr) -> bool:
    """Whether a quantity is a parameter and not computed from an input: `self.log_std`, or a `log_std` that its class
    makes as a parameter and hands to its other methods."""
    while isinstance(node, ast.Name) or not isinstance(node, ast.Attribute):
        inner = _only_value(module, node) if isinstance(node, ast.Name) else view_of(module, node)
        scaled = _without_factor(module, node)
        if inner is None and scaled is not None:
            inner = scaled[1]
        if inner is None and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            own = all(
                isinstance(s, ast.Attribute) and getattr(s.value, "id", "") == "self" for s in (node.left, node.right)
            )
            inner = node.left if own else None
        if inner is None:
            return isinstance(node, ast.Name) and _is_made_by_its_class(module, node)
        node = inner
    registered = rf"register_parameter\(\s*[\"']{re.escape(node.attr)}[\"']"
    return is_parameter(module, node) or re.search(registered, module.text) is not None


def _is_made_by_its_class(module: Module, node: ast.Name) -> bool:
    found = module.flow(node).definition(node)
    cls = module.class_of(node)
    if found is None or found.kind != "parameter" or cls is None:
        return False
    made = rf"\b{re.escape(node.id)} = (torch|th)?\.?(nn\.)?Parameter\("
    return re.search(made, module.source(cls)) is not None


def is_bounded_by_its_maker(module: Module, node: ast.expr, is_reported: Callable[[ast.AST], bool]) -> bool:
    """Whether the function of this file that returned the quantity exponentiates it as well: clamped there, where it
    is reported, it is clamped here."""
    found = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
    statement = found.statement if found is not None else None
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return False
    maker = callee(module, statement.value)
    if maker is None or module.flow(node).scope is maker:
        return False
    name = _last(node)
    makes = (n for r in returned(module, statement.value) for n in walk(r) if isinstance(n, ast.Name))
    if not any(n.id == name for n in makes):
        return False
    calls = (n for n in walk(maker) if isinstance(n, ast.Call))
    return any(is_reported(c) and any(getattr(n, "id", "") == name for n in walk(c)) for c in calls)


# -- what bounds it ----------------------------------------------------------------------------------------------


def bounded_by_hand(module: Module, node: ast.expr) -> bool:
    """Whether something on the way to the value bounds it, by whatever function."""
    seen: set[ast.AST] = set()
    pending: list[ast.expr] = [node]
    while pending and len(seen) < 80:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if isinstance(current, ast.Call):
            if _BOUNDING.search(_last(current.func).lower()):
                return True
            pending.extend(_through(module, current))
        elif isinstance(current, ast.Name):
            pending.extend(_values_of(module, current))
            if _clamped_in_place(module, current):
                return True
        elif isinstance(current, ast.Attribute):
            assigned = attribute_definition(module, current)
            if assigned is not None:
                pending.append(element(module, assigned.value, assigned.index))
        elif isinstance(current, ast.BinOp) and isinstance(current.op, ast.MatMult):
            continue
        elif isinstance(current, ast.Subscript) and _key(current):
            pending.extend(_entries(module, current) or [current.value])
        elif isinstance(current, (ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Subscript, ast.NamedExpr, ast.BoolOp)):
            pending.extend(c for c in children(current) if isinstance(c, ast.expr))
    return False


def _through(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    known = call_of(module, call)
    if known is not None and known.name in ("matmul", "bmm", "mm", "mv", "dot"):
        return
    if known is not None:
        if known.form == "method" or known.name in _ROUTES:
            yield known.input
        yield from known.args.values()
        if known.form == "function":
            yield known.input
        return
    yield from returned(module, call)
    if isinstance(call.func, ast.Attribute):
        maker = maker_of(module, call.func)
        if maker is None and not (isinstance(call.func.value, ast.Name) and call.func.value.id in ("self", "cls")):
            yield call.func.value


def _values_of(module: Module, name: ast.Name) -> Iterator[ast.expr]:
    for statement in module.flow(name).stores(name.id):
        value = getattr(statement, "value", None)
        if not isinstance(value, ast.expr):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        index = None
        for target in targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                index = place_in(target, name.id)
        yield element(module, value, index)


def place_in(target: ast.expr, name: str) -> int | None:
    """Which part a name takes in an unpacking; None where nothing is unpacked, or not into the name."""
    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
    return next((i for i, part in enumerate(parts) if isinstance(part, ast.Name) and part.id == name), None)


def element(module: Module, value: ast.expr, index: int | None) -> ast.expr:
    """The part that an unpacking takes at `index`, of a tuple or of what a function of the file returns."""
    if index is not None and isinstance(value, ast.Tuple) and index < len(value.elts):
        return value.elts[index]
    if index is not None and isinstance(value, ast.Call):
        results = returned(module, value)
        for result in results:
            if isinstance(result, ast.Tuple) and index < len(result.elts):
                return result.elts[index]
    return value


def _entries(module: Module, node: ast.Subscript) -> list[ast.expr]:
    """What the dictionaries that a function of the file returns hold under the key of `outputs["log_std"]`."""
    made = module.flow(node).value(node.value)
    tables = [r for r in returned(module, made) if isinstance(r, ast.Dict)] if isinstance(made, ast.Call) else []
    pairs = (p for t in tables for p in zip(t.keys, t.values, strict=True))
    return [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == _key(node)]


def _clamped_in_place(module: Module, name: ast.Name) -> bool:
    for load in module.flow(name).loads.get(name.id, []):
        attribute = module.parent(load)
        while isinstance(attribute, ast.Attribute) and attribute.attr == "data":
            attribute = module.parent(attribute)
        if isinstance(attribute, ast.Attribute) and re.match(r"(clamp|clip)\w*_$", attribute.attr):
            return True
    return False


def bounded_elsewhere(module: Module, node: ast.expr) -> bool:
    """Whether this file clamps the quantity of that name somewhere, or speaks of its bounds."""
    name = re.escape(_last(node))
    if not name:
        return False
    clamps = rf"\b{name}\b[\w.\[\]]*\.(clamp|clip)|(clamp|clip|hardtanh|tanh|minimum)\w*\(\s*[\w.]*\b{name}\b"
    limits = rf"(max|min)_{name}\b|\b{name}_(max|min|bounds?|limit|range)\b"
    if comes_from_network(module, node):
        return False  # what bounds it would stand in this function
    near = list(_around(module.text, _last(node)))
    return any(re.search(clamps, text) or re.search(limits, text, re.I) for text in near)


def _around(text: str, name: str) -> Iterator[str]:
    """What stands around every occurrence of a name, in capitals or not."""
    lower, name = text.lower(), name.lower()
    at = lower.find(name)
    while at >= 0:
        yield text[max(0, at - _NEAR) : at + len(name) + _NEAR]
        at = lower.find(name, at + 1)


def is_buffer(module: Module, node: ast.expr) -> bool:
    """Whether `node` is a buffer of a module, or lies between elements of one: `(1 - w) * table[i] + w * table[j]`."""
    name = words(module, node).rpartition(".")[2]
    if _is_registered(module, name):
        return True
    value = module.flow(node).value(node)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return False
    return all(_is_part_of_buffer(module, side) for side in (value.left, value.right))


def _is_part_of_buffer(module: Module, node: ast.expr) -> bool:
    factors = [node.left, node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else [node]
    taken = [f.value for f in factors if isinstance(f, ast.Subscript)]
    return any(_is_registered(module, words(module, t).rpartition(".")[2]) for t in taken)


def _is_registered(module: Module, name: str) -> bool:
    return re.search(rf"register_buffer\(\s*[\"']{re.escape(name)}[\"']", module.text) is not None
