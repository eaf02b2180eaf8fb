"""Where the last digits of a small result matter, and where what it is added to rounds them away in any case."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.tree import last_part, walk

_LOG_DOMAIN = re.compile(
    r"log_?(abs_?)?det|ladj|ldj|log_?(prob|likelihood|density|pdf|cdf|normali[sz]er)|(^|_)nll", re.I
)
_NUMBERS = re.compile(r"\b(float|int)\b")
_LOGARITHMS = ("log", "log1p", "logsumexp", "log_softmax", "logsigmoid", "lgamma")


def is_absorbed(module: Module, match: Match) -> bool:
    """Whether the result, or a multiple of it, is a term of a sum whose other term is no small number: a constant, a
    number that the caller gives, another logarithm. Its absolute error is below the rounding of that sum."""
    node: ast.AST = match.ops[0].call
    parent = module.parent(node)
    if match.ops[0].name == "exp":  # the matched difference itself
        while isinstance(parent, ast.UnaryOp):
            node, parent = parent, module.parent(parent)
        if not isinstance(parent, ast.BinOp) or constant(module, _beside(parent, node)) not in (1, -1):
            return False
        node, parent = parent, module.parent(parent)
    while isinstance(parent, ast.UnaryOp) or (
        isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Mult, ast.Div))
    ):
        node, parent = parent, module.parent(parent)
    if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, (ast.Add, ast.Sub)):
        return False
    return _is_no_small_number(module, _beside(parent, node))


def _beside(parent: ast.BinOp, node: ast.AST) -> ast.expr:
    return parent.left if parent.right is node else parent.right


def _is_no_small_number(module: Module, node: ast.expr) -> bool:
    value = constant(module, node)
    if value is not None:
        return value != 0
    calls = [n for n in walk(node) if isinstance(n, ast.Call)]
    if calls and all((module.qualified(c.func) or "").startswith(("math.", "numpy.")) for c in calls):
        return True
    if isinstance(node, ast.Name) and _is_given_number(module, node):
        return True
    logs = [op for c in calls if (op := tensor_op(module, c, *_LOGARITHMS)) is not None]
    return bool(logs) and not any(_is_near_one(op.input) for op in logs if op.name in ("log", "log1p"))


def _is_near_one(node: ast.expr) -> bool:
    """`1 + x` and `1 - x`: the difference of two such logarithms may be as small as each of them."""
    return isinstance(node, ast.BinOp) and any(getattr(side, "value", 0) == 1 for side in (node.left, node.right))


def _is_given_number(module: Module, name: ast.Name) -> bool:
    found = module.flow(name).definition(name)
    arguments = getattr(found.statement, "args", None) if found is not None and found.kind == "parameter" else None
    if not isinstance(arguments, ast.arguments):
        return False
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    annotation = next((a.annotation for a in every if a.arg == name.id), None)
    text = module.source(annotation) if annotation is not None else ""
    return _NUMBERS.search(text) is not None and "Tensor" not in text


def is_of_a_log_density(module: Module, match: Match) -> bool:
    """Whether the result is a log-determinant or a log-density, by the name that it or its function has: those are
    added up with others, and only their absolute error counts."""
    node = match.ops[0].call
    statement = module.statement(node)
    names = [last_part(t) for t in getattr(statement, "targets", [])]
    names += [last_part(t.value) for t in getattr(statement, "targets", []) if isinstance(t, ast.Subscript)]
    function = module.function(node)
    names.append(getattr(function, "name", ""))
    return any(_LOG_DOMAIN.search(n) for n in names)
