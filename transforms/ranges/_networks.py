"""Vectors that are never exactly 0: what a network predicts, what has a length by construction, the largest of several;
functions that say what a degenerate one gives, or that a camera's points go
through."""

from __future__ import annotations

import ast
import re

from autofix.calls import maker_of, returned
from autofix.ops import tensor_op
from autofix.origins import origins
from autofix.syntax import Module
from autofix.tree import last_part, parameter_names, walk

_SHAPE = (
    "view reshape unsqueeze squeeze transpose permute expand contiguous clone flatten to type type_as float double "
    "half bfloat16 chunk split mean"
).split()
_NETWORK = re.compile(
    r"(^|_)(model|encoder|backbone|network|net|clip|tower|projector|projection)\d*$|^encode_|^embed_"
    r"|^_?get_(\w+_)?(features|embeds|embeddings)$"
)
_ZEROING = re.compile(r"relu|dropout|mask|pad|threshold|shrink", re.I)
# Decompositions with an orthogonal or triangular factor, whose columns are never 0; solutions of a homogeneous system.
_UNIT = re.compile(r"(^|_)(svd|eigh?|eig|qr|cholesky)(_|$)|null_?(space|vector)|householder|solve_triangular", re.I)
_DEGENERATE = re.compile(r"\bNaNs?\b|\bnan\b|\binfinite\b|\bundefined\b|\bdivi(?:des|sion) by (?:zero|0)\b")
_AVOIDED = re.compile(r"avoid|prevent|protect|instead of|(?<!un)stable|stability|never|without", re.I)
_CAMERA = re.compile(r"^(f_?[xy]|c_?[xy]|focal\w*|\w*_?fov(_\w+)?|intrinsics?|camera_(matrix|k)|K\d?)$")
_MOST_STEPS = 10


def is_result_of_network(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value is the output of a layer or model of the class around it, or a part of one: `self.proj(h)`,
    `self.text_model(ids)[1]`, `outputs.pooler_output`. Not where the layer ends in a rectifier, or drops or masks."""
    for _ in range(_MOST_STEPS):
        if isinstance(node, ast.Name):
            value = _value(module, node)
            if value is None:
                return depth < 3 and _is_always(module, node, depth)
            node = value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return any(is_result_of_network(module, side, depth + 1) for side in (node.left, node.right))
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            node = node.value
        elif isinstance(node, ast.Call):
            op = tensor_op(module, node)
            if op is not None and op.form != "module":
                if op.name not in _SHAPE:
                    return False
                node = op.input
                continue
            return _is_network(module, node)
        else:
            return False
    return False


def _value(module: Module, name: ast.Name) -> ast.expr | None:
    """What a name is bound to, or the whole of which it is bound to a part."""
    flow = module.flow(name)
    value = flow.value(name)
    if value is not name:
        return value
    found = flow.definition(name)
    return found.whole if found is not None else None


def _is_always(module: Module, name: ast.Name, depth: int) -> bool:
    """Whether every assignment of a name that has several gives it the result of a network."""
    values = [getattr(s, "value", None) for s in module.flow(name).stores(name.id)]
    return bool(values) and all(isinstance(v, ast.expr) and is_result_of_network(module, v, depth + 1) for v in values)


def _is_network(module: Module, call: ast.Call) -> bool:
    func = call.func
    if module.qualified(func) is not None or any(_may_vanish(module, v) for v in returned(module, call)):
        return False
    name = last_part(func)
    maker = maker_of(module, func)
    own = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self"
    if _ZEROING.search(name) or (maker is not None and _ends_in_zeros(module, maker)):
        return False
    return own or bool(_NETWORK.search(name) or _NETWORK.search(last_part(getattr(func, "value", func))))


def _may_vanish(module: Module, node: ast.expr) -> bool:
    """Whether a value is a difference, a product or rectified, where it is returned."""
    value = module.flow(node).value(node)
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, (ast.Sub, ast.Mult))
    return isinstance(value, ast.Call) and _ZEROING.search(last_part(value.func)) is not None


def _ends_in_zeros(module: Module, maker: ast.Call) -> bool:
    """Whether a layer, or the last of a sequence, makes exact zeros."""
    last = maker.args[-1] if last_part(maker.func) == "Sequential" and maker.args else maker
    return isinstance(last, ast.Call) and bool(_ZEROING.search(last_part(last.func)))


def has_length(module: Module, node: ast.expr) -> bool:
    """Whether a vector has a length by construction: columns of an orthogonal matrix, the solution of a homogeneous
    system, or what was divided by its length already."""
    found = False
    around = set(module.ancestors(node))  # the division that is asked about may be one of a name's assignments
    for part in origins(module, node):
        if part in around:
            continue
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub):
            return False
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
            found = found or _is_a_length(module, part.right)
        found = found or (isinstance(part, ast.Call) and _UNIT.search(last_part(part.func)) is not None)
    return found


def _is_a_length(module: Module, node: ast.expr) -> bool:
    value = module.flow(node).value(node)
    if not isinstance(value, ast.Call):
        return False
    op = tensor_op(module, value, "norm", "vector_norm")
    return op is not None or is_the_largest(module, value)


def is_the_largest(module: Module, node: ast.expr) -> bool:
    """Whether a value was picked from several because it is the largest of them: `lengths.gather(1, longest)`."""
    value = module.flow(node).value(node)
    while True:
        op = tensor_op(module, value, *_SHAPE) if isinstance(value, ast.Call) else None
        if op is not None:
            value = module.flow(op.input).value(op.input)
        elif isinstance(value, ast.Subscript) and isinstance(value.value, ast.Call):
            value = value.value
        else:
            break
    index = None
    if isinstance(value, ast.Call) and (op := tensor_op(module, value, "gather")) is not None:
        index = op.args.get("index")
    elif isinstance(value, ast.Subscript):
        index = value.slice
    if index is None:
        return False
    return any(isinstance(p, ast.Call) and last_part(p.func) == "argmax" for p in origins(module, index))


def is_documented(module: Module, node: ast.AST) -> bool:
    """Whether the docstring of the function around `node` says what a degenerate input gives: NaN, an infinite value,
    a division by zero. Not where it says that this is avoided."""
    function = module.function(node)
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    text = ast.get_docstring(function) or ""
    return _DEGENERATE.search(text) is not None and _AVOIDED.search(text) is None


def sees_a_camera(module: Module, node: ast.AST) -> bool:
    """Whether the function around `node` is given the focal length, centre or field of view of a camera: its points
    lie before the camera, and none is at its centre."""
    function = module.function(node)
    return function is not None and any(_CAMERA.search(n) for n in parameter_names(function))


def is_iterate(module: Module, node: ast.expr) -> bool:
    """Whether a vector is normalised over and over in a loop that starts from noise, as in a power iteration: it is 0
    only for a map that is."""
    statement = module.statement(node)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    if not isinstance(target, ast.Name):
        return False
    loop = next((a for a in module.ancestors(statement) if isinstance(a, (ast.For, ast.While, ast.FunctionDef))), None)
    if not isinstance(loop, (ast.For, ast.While)):
        return False
    before = [s for s in module.flow(node).stores(target.id) if module.chars(s) < module.chars(loop)]
    values = [getattr(s, "value", None) for s in before]
    return any(isinstance(n, ast.Call) and last_part(n.func).startswith("rand") for v in values if v for n in walk(v))


def is_weight(module: Module, node: ast.expr) -> bool:
    """Whether a vector is a parameter of the class, and not one that starts at 0."""
    cls = module.class_of(node)
    if cls is None or not isinstance(node, ast.Attribute) or getattr(node.value, "id", "") != "self":
        return False
    made = module.self_attribute(cls, node.attr)
    if not isinstance(made, ast.Call) or last_part(made.func) != "Parameter" or not made.args:
        return False
    return not any(isinstance(n, ast.Call) and last_part(n.func).startswith("zeros") for n in walk(made))
