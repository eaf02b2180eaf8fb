"""What one function does with its arguments, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_SIZED_CALLS = re.compile(r"Linear|Conv\w+|Embedding|LayerNorm|RMSNorm|GroupNorm|BatchNorm\w+|randperm|eye|arange")


Call = tuple[str, int, tuple[str, ...]]


class Usage:
    """Facts about one argument, empty where the source says nothing.

    attributes: names read from it. methods: those of them that are called. strings: literals it is compared with.
    types: names in isinstance checks. ndim: dimensions it is unpacked into. axes: the einops axes. first: attributes
    of `self` called with it, in order. items: names read from what a loop over it yields. calls, item_calls: of its
    methods ("" for itself) and of its items', each as (method, number of positional arguments, keywords).
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
        self.unpacked_names: list[str] = []
        self.inverted = False
        self.arithmetic = False
        self.modules = False
        self.items: list[str] = []
        self.calls: list[Call] = []
        self.item_calls: list[Call] = []

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


def of_function(definition: ast.FunctionDef) -> dict[str, Usage]:
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


def _read(
    node: ast.AST,
    found: dict[str, Usage],
    aliases: dict[str, str],
    shapes: dict[str, str],
) -> None:
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
        usage.calls += call_of("", node)
    if isinstance(node.func, ast.Attribute):
        usage = _usage(node.func.value, found, aliases)
        if usage is not None:
            usage.methods.append(node.func.attr)
            usage.calls += call_of(node.func.attr, node)
    _read_layer_call(node, found, aliases)
    if isinstance(node.func, ast.Name):
        _read_function_call(node.func.id, node, found, aliases)
    elif isinstance(node.func, ast.Attribute) and is_self(node.func.value):
        for argument in (*node.args, *(k.value for k in node.keywords)):
            usage = _usage(argument, found, aliases)
            if usage is not None and node.func.attr not in usage.first:
                usage.first.append(node.func.attr)
    if isinstance(node.func, ast.Attribute) and node.func.attr in (
        "permute",
        "transpose",
    ):
        usage = _usage(node.func.value, found, aliases)
        numbers = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, int)]
        if usage is not None and node.func.attr == "permute" and len(numbers) == len(node.args):
            usage.ndim = usage.ndim or len(numbers)


def call_of(method: str, node: ast.Call) -> list[Call]:
    """The call as data; empty where `*args` or `**kwargs` hide what is passed."""
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        return []
    return [(method, len(node.args), tuple(k.arg for k in node.keywords if k.arg is not None))]


def _read_layer_call(node: ast.Call, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    """`nn.Linear(dim, 4)`: a size. `nn.ModuleList(blocks)`, `nn.Sequential(*blocks)`: modules."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("ModuleList", "Sequential"):
        for argument in node.args:
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            usage = _usage(inner, found, aliases) if name == "ModuleList" or inner is not argument else None
            if usage is not None:
                usage.iterated = usage.modules = True
    elif name == "einsum" and node.args:
        _read_einsum(node, found, aliases)
    elif _SIZED_CALLS.fullmatch(name):
        for argument in node.args:
            usage = _usage(argument, found, aliases)
            if usage is not None:
                usage.arithmetic = True


def _read_einsum(node: ast.Call, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    for pattern in (node.args[0], node.args[-1]):
        if isinstance(pattern, ast.Constant) and isinstance(pattern.value, str):
            operands = node.args[1:] if pattern is node.args[0] else node.args[:-1]
            parts = pattern.value.partition("->")[0].split(",")
            spaced = " " in pattern.value.partition("->")[2].strip()
            for part, operand in zip(parts, operands):  # noqa: B905 - `strict` is newer than Python 3.9
                usage = _usage(operand, found, aliases)
                if usage is not None and not usage.axes:
                    usage.axes = part.strip() if spaced else " ".join(part.strip().replace("...", ""))
            return


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
    elif name == "range":
        usage.arithmetic = True


def _read_compare(node: ast.Compare, found: dict[str, Usage], aliases: dict[str, str]) -> None:
    for one, other in (
        (node.left, node.comparators[0]),
        (node.comparators[0], node.left),
    ):
        usage = _usage(one, found, aliases)
        if usage is None and isinstance(one, ast.Attribute) and one.attr in ("ndim",):
            usage = _usage(one.value, found, aliases)
            if usage is not None and isinstance(other, ast.Constant) and isinstance(other.value, int):
                usage.ndim = usage.ndim or other.value
            continue
        if usage is None:
            continue
        if isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            usage.arithmetic = True
        items = other.elts if isinstance(other, (ast.Tuple, ast.List, ast.Set)) else [other]
        usage.strings += [i.value for i in items if isinstance(i, ast.Constant) and isinstance(i.value, str)]


def _read_assignment(
    target: ast.expr,
    value: ast.expr,
    found: dict[str, Usage],
    aliases: dict[str, str],
    shapes: dict[str, str],
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
            usage.unpacked_names = usage.unpacked_names or [getattr(e, "id", "_") for e in unpacked]
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


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
