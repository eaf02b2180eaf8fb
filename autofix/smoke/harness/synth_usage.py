"""How a class uses its arguments, read from its source: what they are called with, compared with, unpacked into."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

_CALLS_DEEP = 2
_OTHER_ENTRIES = ("log_prob", "loss", "compute_loss", "energy", "score")
OVERLAY: dict[str, str] = {}  # patched bytes (as latin-1 text, for JSON) by real path
ENTRIES: dict[str, str] = {}  # by "module:Class", the method to call in place of forward


class Usage:
    """Facts about one argument, empty where the source says nothing.

    attributes: names read from it. methods: those of them that are called. strings: literals it is compared with.
    types: names in isinstance checks. ndim: dimensions it is unpacked into. axes: the einops axes. first: attributes
    of `self` called with it, in order.
    """

    def __init__(self) -> None:
        self.attributes: list[str] = []
        self.methods: list[str] = []
        self.strings: list[str] = []
        self.types: list[str] = []
        self.ndim = 0
        self.axes = ""
        self.first: list[str] = []
        self.called = False
        self.iterated = False
        self.indexed = False
        self.unpacked = 0
        self.inverted = False
        self.arithmetic = False

    def is_config(self) -> bool:
        named = [a for a in self.attributes if a not in TENSOR_ATTRIBUTES and a not in self.methods]
        return len(named) >= 2 and not self.called


TENSOR_ATTRIBUTES = frozenset(
    (
        "shape size dim ndim device dtype view reshape permute transpose float half to type_as new_zeros mean sum"
        " unsqueeze squeeze contiguous expand repeat clone detach chunk split flatten T mT numel items keys values"
        " append lower"
    ).split()
)


def of_class(kind: type, method: str) -> dict[str, Usage]:
    """Usage of the arguments of `kind.method`, the method's own definition first, then what aliases of them on
    `self` do in the other methods of the class that defines it."""
    function = inspect.unwrap(getattr(kind, method, None) or (lambda: None))
    definition = _definition(function)
    if definition is None:
        return {}
    found = _of_function(definition)
    owner = _owner(kind, method)
    body = _class_definition(owner) if owner is not None else None
    if body is None:
        return found
    if method == "__init__":
        _follow_attributes(found, definition, body)
    else:
        _follow_methods(found, body, _CALLS_DEEP)
    return found


def prepare(filename: str | None) -> None:
    """Read a file before forking, once for all its classes."""
    if filename is not None:
        _functions(filename)


@functools.lru_cache(maxsize=4096)
def statement_at(filename: str, line: int) -> ast.stmt | None:
    """The innermost statement that covers a line of a file."""
    tree = _tree(filename)
    best: ast.stmt | None = None
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or node.lineno):
            continue
        if best is None or node.lineno >= best.lineno:
            best = node
    return best


@functools.lru_cache(maxsize=512)
def _tree(filename: str) -> ast.Module | None:
    try:
        patched = OVERLAY.get(os.path.realpath(filename))
        if patched is not None:
            return ast.parse(patched.encode("latin-1"))
        with open(filename, "rb") as stream:
            return ast.parse(stream.read())
    except (OSError, SyntaxError, ValueError):
        return None


@functools.lru_cache(maxsize=512)
def _functions(filename: str) -> dict[tuple[str, int], ast.FunctionDef]:
    tree = _tree(filename)
    found: dict[tuple[str, int], ast.FunctionDef] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name, first] = node
    return found


def _definition(function: Callable[..., Any]) -> ast.FunctionDef | None:
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    return _functions(code.co_filename).get((code.co_name, code.co_firstlineno))


def _owner(kind: type, method: str) -> type | None:
    return next((k for k in kind.__mro__ if method in vars(k)), None)


@functools.lru_cache(maxsize=4096)
def _class_definition(kind: type) -> ast.ClassDef | None:
    code = next((c for v in vars(kind).values() if (c := getattr(inspect.unwrap(v), "__code__", None))), None) if any(
        callable(v) for v in vars(kind).values()
    ) else None  # fmt: skip
    tree = _tree(code.co_filename) if code is not None else None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return node
    return None


@functools.lru_cache(maxsize=4096)
def attributes_of(kind: type) -> frozenset[str]:
    """Attributes that instances have: assigned to `self` in the class or its bases, and its methods."""
    found: set[str] = set()
    for owner in kind.__mro__:
        if owner.__module__.startswith("torch.") or owner is object:
            continue
        body = _class_definition(owner)
        for node in ast.walk(body) if body is not None else ():
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
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
    return next((name for name in _OTHER_ENTRIES if callable(getattr(kind, name, None))), "forward")


def is_abstract(kind: type) -> bool:
    """Whether what would be trained does nothing but refuse."""
    return refuses(getattr(kind, entry(kind)))


def refuses(method: Any) -> bool:
    """Whether a method's body only raises, passes, or is missing."""
    definition = _definition(inspect.unwrap(method)) if method is not None else None
    if definition is None:
        return False
    body = [s for s in definition.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(body) != 1:
        return not body or all(isinstance(s, ast.Pass) for s in body)
    return isinstance(body[0], (ast.Raise, ast.Pass))


def _of_function(definition: ast.FunctionDef) -> dict[str, Usage]:
    arguments = definition.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    found = {name: Usage() for name in names if name != "self"}
    aliases = {name: name for name in found}
    shapes: dict[str, str] = {}
    for node in _in_order(definition.body):
        _read(node, found, aliases, shapes)
    return found


def _in_order(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield from _depth_first(statement)


def _depth_first(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield from _depth_first(child)
    yield node


def _read(node: ast.AST, found: dict[str, Usage], aliases: dict[str, str], shapes: dict[str, str]) -> None:
    if isinstance(node, ast.Attribute):
        usage = _usage(node.value, found, aliases)
        if usage is not None and node.attr not in usage.attributes:
            usage.attributes.append(node.attr)
    elif isinstance(node, ast.Call):
        _read_call(node, found, aliases)
    elif isinstance(node, ast.Compare):
        _read_compare(node, found, aliases)
    elif isinstance(node, ast.Subscript):
        usage = _usage(node.value, found, aliases)
        if usage is not None:
            usage.indexed = True
            if isinstance(node.slice, ast.Tuple):
                usage.ndim = usage.ndim or len([e for e in node.slice.elts if not _is_none(e)])
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        _read_assignment(node.targets[0], node.value, found, aliases, shapes)
    elif isinstance(node, (ast.For, ast.comprehension)):
        for inner in _iterated(node.iter):
            usage = _usage(inner, found, aliases)
            if usage is not None:
                usage.iterated = True
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        usage = _usage(node.operand, found, aliases)
        if usage is not None:
            usage.inverted = True
    elif isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            usage = _usage(side, found, aliases)
            if usage is not None:
                usage.arithmetic = True


def _iterated(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("zip", "enumerate", "map"):
        return node.args
    return [node]


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _usage(node: ast.AST, found: dict[str, Usage], aliases: dict[str, str]) -> Usage | None:
    if isinstance(node, ast.Name) and node.id in aliases:
        return found[aliases[node.id]]
    return None


def _read_call(node: ast.Call, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    usage = _usage(node.func, found, aliases)
    if usage is not None:
        usage.called = True
    if isinstance(node.func, ast.Attribute):
        usage = _usage(node.func.value, found, aliases)
        if usage is not None:
            usage.methods.append(node.func.attr)
    if isinstance(node.func, ast.Name):
        _read_function_call(node.func.id, node, found, aliases)
    elif isinstance(node.func, ast.Attribute) and _is_self(node.func.value):
        for argument in (*node.args, *(k.value for k in node.keywords)):
            usage = _usage(argument, found, aliases)
            if usage is not None and node.func.attr not in usage.first:
                usage.first.append(node.func.attr)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("permute", "transpose"):
        usage = _usage(node.func.value, found, aliases)
        numbers = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, int)]
        if usage is not None and node.func.attr == "permute" and len(numbers) == len(node.args):
            usage.ndim = usage.ndim or len(numbers)


def _read_function_call(name: str, node: ast.Call, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    usage = _usage(node.args[0], found, aliases) if node.args else None
    if usage is None:
        return
    if name == "isinstance" and len(node.args) == 2:
        usage.types += re.findall(r"\w+(?=[,)\s]|$)", ast.unparse(node.args[1]))
    elif name in ("rearrange", "reduce", "repeat", "pack", "einx_rearrange") and len(node.args) > 1:
        pattern = node.args[1]
        if isinstance(pattern, ast.Constant) and isinstance(pattern.value, str) and not usage.axes:
            usage.axes = pattern.value.partition("->")[0].strip()
    elif name in ("len", "list", "tuple", "zip", "enumerate", "map"):
        usage.iterated = True


def _read_compare(node: ast.Compare, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
        usage = _usage(one, found, aliases)
        if usage is None and isinstance(one, ast.Attribute) and one.attr in ("ndim",):
            usage = _usage(one.value, found, aliases)
            if usage is not None and isinstance(other, ast.Constant) and isinstance(other.value, int):
                usage.ndim = usage.ndim or other.value
            continue
        if usage is None:
            continue
        items = other.elts if isinstance(other, (ast.Tuple, ast.List, ast.Set)) else [other]
        usage.strings += [i.value for i in items if isinstance(i, ast.Constant) and isinstance(i.value, str)]


def _read_assignment(
    target: ast.expr, value: ast.expr, found: dict[str, Usage], aliases: dict[str, str], shapes: dict[str, str]
) -> None:
    if isinstance(target, ast.Name):
        if isinstance(value, ast.Name) and value.id in aliases:
            aliases[target.id] = aliases[value.id]
        else:
            aliases.pop(target.id, None)  # what the name holds from here on is something else
            if target.id in found:
                found[target.id].first = found[target.id].first[:4]
        return
    if not isinstance(target, ast.Tuple):
        return
    unpacked = [e for e in target.elts if not isinstance(e, ast.Starred)]
    starred = len(unpacked) != len(target.elts)
    source = value
    if isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute) and source.func.attr == "size":
        source = ast.Attribute(source.func.value, "shape", ast.Load())
    if isinstance(source, ast.Attribute) and source.attr == "shape":
        usage = _usage(source.value, found, aliases)
        if usage is not None and not starred:
            usage.ndim = usage.ndim or len(unpacked)
        return
    values = value.elts if isinstance(value, ast.Tuple) else []
    for one, other in zip(target.elts, values):  # noqa: B905 - `strict` is newer than Python 3.9
        if isinstance(one, ast.Name):
            _read_assignment(one, other, found, aliases, shapes)
        elif isinstance(one, ast.Starred) and isinstance(other, ast.Starred):
            usage = _usage(getattr(other.value, "value", other.value), found, aliases)
            if usage is not None:
                usage.ndim = usage.ndim or len(target.elts)
    usage = _usage(value, found, aliases)
    if usage is not None:
        usage.unpacked = len(unpacked)
    for element in target.elts:
        if isinstance(element, ast.Name):
            aliases.pop(element.id, None)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _follow_attributes(found: dict[str, Usage], definition: ast.FunctionDef, body: ast.ClassDef) -> None:
    """`self.net = net` in the constructor: what happens to `self.net` elsewhere happens to the argument."""
    aliases = {
        target.attr: node.value.id
        for node in ast.walk(definition)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in found
        for target in node.targets
        if isinstance(target, ast.Attribute) and _is_self(target.value)
    }
    for node in ast.walk(body) if aliases else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_self(node.func.value):
            if node.func.attr in aliases:
                found[aliases[node.func.attr]].called = True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            inner = node.func.value
            if isinstance(inner, ast.Attribute) and _is_self(inner.value) and inner.attr in aliases:
                found[aliases[inner.attr]].methods.append(node.func.attr)
                found[aliases[inner.attr]].attributes.append(node.func.attr)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and _is_self(node.value.value)
            and node.value.attr in aliases
        ):
            found[aliases[node.value.attr]].attributes.append(node.attr)


def _follow_methods(found: dict[str, Usage], body: ast.ClassDef, deep: int) -> None:
    """`self.embed(x)` where `embed` is a method: what the method does with its argument counts too."""
    methods = {node.name: node for node in body.body if isinstance(node, ast.FunctionDef)}
    for usage in found.values():
        for name in list(usage.first):
            method = methods.get(name)
            if method is None or deep == 0:
                continue
            inner = _of_function(method)
            arguments = [a.arg for a in method.args.args if a.arg != "self"]
            if not arguments:
                continue
            further = inner[arguments[0]]
            usage.ndim = usage.ndim or further.ndim
            usage.axes = usage.axes or further.axes
            usage.first = [*usage.first, *further.first]
