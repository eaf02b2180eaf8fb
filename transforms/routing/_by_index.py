"""A router whose scores do nothing but choose a number: experts or their outputs are picked by it, and no value of the
scores is a factor of anything."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._ranked import SAME_VALUE, is_number
from autofix.transforms.routing._routing import functions_around
from autofix.transforms.routing._selected import is_router_call, names_in, reads_of
from autofix.tree import walk

_SQUASHES = ("softmax", "log_softmax", "sigmoid", "sub", "add", "div", "mul")
_SHAPES = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "long", "to", "contiguous")
_DEPTH = 12


def router_that_only_indexes(module: Module, node: ast.AST) -> str:
    """The attribute of `self` whose scores `node` chooses from, when nothing else becomes of them; else empty."""
    op = tensor_op(module, node, "argmax", "topk", "max")
    cls = module.class_of(node)
    if op is None or cls is None or (op.name == "max" and "dim" not in op.args):
        return ""
    functions = functions_around(module, node)
    statement = module.statement(node)
    if not functions or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return ""
    index = _index_name(module, statement, op.call)
    reads = reads_of(module, statement, index) if index else None
    if not reads or not all(_picks(module, read) for read in reads):
        return ""
    if not any(re.search(r"expert", name, re.I) for name in names_in(module, functions[0])):
        return ""
    router = _router(module, op.input)
    calls = [n for n in walk(cls) if isinstance(n, ast.Attribute) and n.attr == router and _is_read(module, n)]
    return router if router and len(calls) == 1 else ""


def _is_read(module: Module, node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Load) and getattr(module.function_scope(node), "name", "") != "__init__"


def _index_name(module: Module, statement: ast.Assign, call: ast.Call) -> str:
    """The name that holds the chosen number and nothing of the scores; empty when the values are kept as well."""
    target, value = statement.targets[0], statement.value
    if isinstance(target, (ast.Tuple, ast.List)):
        if value is not call or len(target.elts) != 2:
            return ""
        first, second = target.elts
        if not isinstance(first, ast.Name) or not isinstance(second, ast.Name):
            return ""
        return second.id if reads_of(module, statement, first.id) == [] else ""
    taken = False
    while value is not call:
        if isinstance(value, ast.Attribute):
            inner = value.value if value.attr == "indices" else None
        else:
            inner = value.value if isinstance(value, ast.Subscript) and is_number(value.slice, 1) else None
        op = tensor_op(module, value, *_SHAPES) if inner is None else None
        if inner is None and op is None:
            return ""
        taken |= inner is not None
        value = inner if inner is not None else op.input  # type: ignore[union-attr]
    op = tensor_op(module, call)
    whole = op is not None and op.name == "argmax"
    return target.id if isinstance(target, ast.Name) and whole != taken else ""


def _picks(module: Module, read: ast.expr) -> bool:
    """Whether a chosen number picks something: an index, `== e`, `.item()`, the index of a gather."""
    node = read
    for _ in range(_DEPTH):
        parent = module.parent(node)
        if isinstance(parent, ast.Tuple):
            node = parent
            continue
        if isinstance(parent, ast.Subscript):
            if parent.slice is node:
                return True
            node = parent
            continue
        if isinstance(parent, ast.Compare):
            return isinstance(parent.ops[0], (ast.Eq, ast.NotEq))
        if isinstance(parent, ast.keyword):
            parent = module.parent(parent)
        if isinstance(parent, ast.Call):
            op = tensor_op(module, parent, "gather")
            name = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
            return (op is not None and op.args.get("index") is node) or name in (
                "index_select",
                "take_along_dim",
                "int",
            )
        call = module.parent(parent) if isinstance(parent, ast.Attribute) else None
        if not isinstance(parent, ast.Attribute) or not isinstance(call, ast.Call) or call.func is not parent:
            return False
        if parent.attr in ("item", "tolist"):
            return True
        if parent.attr not in (*_SHAPES, "expand", "cpu"):
            return False
        node = call
    return False


def _router(module: Module, node: ast.expr) -> str:
    """The layer that gave the scores, when every value on the way has one reader."""
    for _ in range(_DEPTH):
        if isinstance(node, ast.Name):
            definition = module.flow(node).definition(node)
            if definition is None or definition.value is None or not isinstance(definition.statement, ast.stmt):
                return ""
            if reads_of(module, definition.statement, node.id) != [node]:
                return ""
            node = definition.value
        elif isinstance(node, ast.BinOp):
            if (
                not isinstance(node.right, (ast.Constant, ast.Name, ast.Attribute))
                and constant(module, node.right) is None
            ):
                return ""
            node = node.left
        elif isinstance(node, ast.Call):
            if is_router_call(module, node):
                return node.func.attr if isinstance(node.func, ast.Attribute) else ""
            op = tensor_op(module, node, *SAME_VALUE, *_SHAPES, *_SQUASHES)
            if op is None or op.name == "detach":
                return ""
            node = op.input
        else:
            return ""
    return ""
