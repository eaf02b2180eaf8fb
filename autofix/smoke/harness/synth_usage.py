"""How a class uses its arguments, read from its source: what they are called with, compared with, unpacked into."""

from __future__ import annotations

import ast
import functools
import inspect
from typing import Any

from . import synth_source
from .synth_reading import TENSOR_ATTRIBUTES, Call, Usage, call_of, is_self, of_function
from .synth_values import own_parameters

_CALLS_DEEP = 2
ENTRIES: dict[str, str] = {}  # by "module:Class", the method to call in place of forward
_OTHER_ENTRIES = ("log_prob", "loss", "compute_loss", "energy", "score")


@functools.lru_cache(maxsize=1024)
def of_class(kind: type, method: str) -> dict[str, Usage]:
    """Usage of the arguments of `kind.method`, the method's own definition first, then what aliases of them on
    `self` do in the other methods of the class that defines it, and what the constructor above does with them."""
    function = inspect.unwrap(getattr(kind, method, None) or (lambda: None))
    definition = synth_source.definition(function)
    if definition is None:
        return {}
    found = of_function(definition)
    owner = _owner(kind, method)
    body = synth_source.class_definition(owner) if owner is not None else None
    if body is None:
        return found
    if method == "__init__":
        line = kind.__mro__[: kind.__mro__.index(owner) + 1] if owner is not None else ()
        bodies = [b for k in line if (b := synth_source.class_definition(k)) is not None]
        _follow_attributes(found, definition, bodies)
        if owner is not None:
            _follow_super(found, definition, owner)
    else:
        _follow_methods(found, body, _CALLS_DEEP)
    return found


def _owner(kind: type, method: str) -> type | None:
    return next((k for k in kind.__mro__ if method in vars(k)), None)


@functools.lru_cache(maxsize=4096)
def attributes_of(kind: type) -> frozenset[str]:
    """Attributes that instances have: assigned to `self` in the class or its bases, and its methods."""
    found: set[str] = set()
    for owner in kind.__mro__:
        if owner.__module__.startswith("torch.") or owner is object:
            continue
        body = synth_source.class_definition(owner)
        for node in ast.walk(body) if body is not None else ():
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                found.add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                found.add(node.name)
    return frozenset(found)


def entry(kind: type) -> str:
    """The method that is trained: `forward`, or what a class offers whose `forward` refuses to be called."""
    chosen = ENTRIES.get(f"{kind.__module__}:{kind.__qualname__}")
    if chosen is not None:
        return chosen
    if not refuses(getattr(kind, "forward", None)):
        return "forward"
    return next(
        (name for name in _OTHER_ENTRIES if callable(getattr(kind, name, None))),
        "forward",
    )


def is_abstract(kind: type) -> bool:
    """Whether what would be trained does nothing but refuse."""
    return refuses(getattr(kind, entry(kind)))


def refuses(method: Any) -> bool:
    """Whether a method's body only raises, passes, or is missing."""
    definition = synth_source.definition(method) if method is not None else None
    if definition is None:
        return False
    body = [s for s in definition.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(body) != 1:
        return not body or all(isinstance(s, ast.Pass) for s in body)
    return isinstance(body[0], (ast.Raise, ast.Pass))


def _follow_attributes(found: dict[str, Usage], definition: ast.FunctionDef, bodies: list[ast.ClassDef]) -> None:
    """`self.net = net` in the constructor: what happens to `self.net` elsewhere happens to the argument."""
    aliases: dict[str, str] = {}
    for node in ast.walk(definition):
        if not isinstance(node, ast.Assign):
            continue
        value = node.value.args[0] if _is_list_of(node.value) else node.value  # type: ignore[attr-defined]
        if not isinstance(value, ast.Name) or value.id not in found:
            continue
        for target in node.targets:
            if isinstance(target, ast.Attribute) and is_self(target.value):
                aliases[target.attr] = value.id
    for node in (n for body in bodies for n in ast.walk(body)) if aliases else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_self(node.func.value):
            if node.func.attr in aliases:
                found[aliases[node.func.attr]].called = True
                found[aliases[node.func.attr]].calls += call_of("", node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            inner = _aliased(node.func.value, aliases)
            if inner:
                found[inner].methods.append(node.func.attr)
                found[inner].calls += call_of(node.func.attr, node)
                found[inner].attributes.append(node.func.attr)
        elif isinstance(node, ast.Attribute) and _aliased(node.value, aliases):
            found[_aliased(node.value, aliases)].attributes.append(node.attr)
        elif isinstance(node, ast.For):
            _follow_loop(node, found, aliases)


def _is_list_of(node: ast.expr) -> bool:
    """`nn.ModuleList(x)`, `list(x)`, `tuple(x)`."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("ModuleList", "list", "tuple")


def _aliased(node: ast.expr, aliases: dict[str, str]) -> str:
    """The argument that `self.x` holds."""
    if isinstance(node, ast.Attribute) and is_self(node.value):
        return aliases.get(node.attr, "")
    return ""


def _follow_loop(node: ast.For, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    """`for flow in self.flows: flow.inverse(z)`: what is read from an item of the argument."""
    owners = [aliased for inner in ast.walk(node.iter) if isinstance(inner, ast.expr)
              for aliased in [_aliased(inner, aliases)] if aliased]  # fmt: skip
    names = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
    if len(owners) != 1:
        return
    usage = found[owners[0]]
    if isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and node.iter.func.id == "range":
        usage.arithmetic = usage.arithmetic or not any(isinstance(n, ast.Call) for n in node.iter.args)
        return
    usage.iterated = True
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in names:
            usage.items.append(inner.attr)
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in names:
            usage.modules = True
            usage.item_calls += call_of("", inner)
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            named = isinstance(inner.func.value, ast.Name) and inner.func.value.id in names
            usage.item_calls += call_of(inner.func.attr, inner) if named else []


def _follow_super(found: dict[str, Usage], definition: ast.FunctionDef, owner: type) -> None:
    """`super().__init__(flows, size=size)`: what the next constructor in line does with its arguments."""
    above = next((k for k in owner.__mro__[1:] if "__init__" in vars(k)), None)
    if above is None or above.__module__.startswith("torch.") or above is object:
        return
    names = [p.name for p in own_parameters(above.__init__)]  # type: ignore[misc]
    for node in ast.walk(definition):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "__init__":
            continue
        inner = of_class(above, "__init__")
        given = [*zip(names, node.args), *((k.arg, k.value) for k in node.keywords)]  # noqa: B905 - as above
        for name, value in given:
            if isinstance(value, ast.Name) and value.id in found and name in inner:
                _merge(found[value.id], inner[name])


def _merge(one: Usage, other: Usage) -> None:
    for name, value in vars(other).items():
        mine = getattr(one, name)
        setattr(one, name, [*mine, *value] if isinstance(value, list) else (mine or value))


def _follow_methods(found: dict[str, Usage], body: ast.ClassDef, deep: int) -> None:
    """`self.embed(x)` where `embed` is a method: what the method does with its argument counts too."""
    methods = {node.name: node for node in body.body if isinstance(node, ast.FunctionDef)}
    for usage in found.values():
        for name in list(usage.first):
            method = methods.get(name)
            if method is None or deep == 0:
                continue
            inner = of_function(method)
            arguments = [a.arg for a in method.args.args if a.arg != "self"]
            if not arguments:
                continue
            further = inner[arguments[0]]
            usage.ndim = usage.ndim or further.ndim
            usage.axes = usage.axes or further.axes
            usage.first = [*usage.first, *further.first]


__all__ = [
    "TENSOR_ATTRIBUTES", "Call", "Usage", "attributes_of", "entry", "is_abstract", "of_class", "refuses",
]  # fmt: skip
