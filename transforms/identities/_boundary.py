"""Probabilities that cross the boundary of a function or class: made in one place of the file, used in another.

Only where the connection is certain: the call names one function or class of this file, and everything that it can
return is the same activation.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix.calls import callee, maker_of, returned
from autofix.ops import tensor_op
from autofix.syntax import Module

_SHAPE = ("view", "reshape", "squeeze", "unsqueeze", "flatten", "transpose", "permute", "contiguous", "float")
_LAYERS = {"torch.nn.Sigmoid": "sigmoid", "torch.nn.Softmax": "softmax"}
_MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class Crossing:
    """An activation (`name`) that `function` returns, and the line on which it is applied."""

    name: str
    function: str
    line: int


def crossing(module: Module, node: ast.expr) -> Crossing | None:
    """Where the probabilities `node` come from, when a call into this file makes them."""
    node = _plain(module, node)
    if not isinstance(node, ast.Call) or tensor_op(module, node) is not None:
        return None
    function = callee(module, node)
    if function is None or function is module.function(node):
        return None
    values = returned(module, node)
    found = [_activation(module, value, 0) for value in values]
    if not found or any(f is None for f in found):
        return None
    first = found[0]
    assert first is not None
    if any(f is not None and f[0] != first[0] for f in found):
        return None
    owner = module.class_of(function)
    name = f"{owner.name}.{function.name}" if owner is not None else function.name
    return Crossing(first[0], name, first[1].lineno)


def _plain(module: Module, node: ast.expr) -> ast.expr:
    """`node` behind names and changes of shape."""
    for _ in range(_MOST_STEPS):
        if isinstance(node, ast.Name):
            value = module.flow(node).value(node)
            if value is node:
                return node
            node = value
            continue
        op = tensor_op(module, node, *_SHAPE)
        if op is None:
            return node
        node = op.input
    return node


def _activation(module: Module, node: ast.expr, depth: int) -> tuple[str, ast.expr] | None:
    """The activation that `node` is the result of, and where it stands."""
    node = _plain(module, node)
    if not isinstance(node, ast.Call) or depth > 3:
        return None
    op = tensor_op(module, node, "sigmoid", "softmax")
    if op is not None:
        return op.name, node
    maker = maker_of(module, node.func)
    if not isinstance(maker, ast.Call):
        return None
    layer = module.qualified(maker.func) or ""
    if layer in _LAYERS:
        return _LAYERS[layer], node
    last = maker.args[-1] if layer == "torch.nn.Sequential" and maker.args else None
    name = module.qualified(last.func) if isinstance(last, ast.Call) else None
    return (_LAYERS[name], last) if name in _LAYERS and last is not None else None
