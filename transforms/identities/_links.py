"""Changes of shape between an activation and its loss: `sigmoid(x).squeeze(1)` as a chain around `x`."""

from __future__ import annotations

import ast

from autofix.flow import Definition
from autofix.ops import Op, tensor_op
from autofix.pattern import Match
from autofix.sameness import is_untouched
from autofix.substitute import Derived
from autofix.syntax import Module

_LINKS = ("view", "reshape", "squeeze", "unsqueeze", "flatten", "transpose", "permute", "contiguous", "float", "gather")
_MOST_LINKS = 6
Read = tuple[ast.Name, Definition]


def behind_links(module: Module, match: Match, capture: str, activation: str) -> tuple[Op, Derived] | None:
    """The activation behind the captured expression's changes of shape, and the same changes applied to its input.

    None when nothing of that kind is there, or when there is no change of shape at all.
    """
    node = match.captures[capture]
    reads: list[Read] = []
    captures: dict[str, ast.expr] = {}
    links: list[str] = []
    for _ in range(2 * _MOST_LINKS):
        if isinstance(node, ast.Name):
            found = module.flow(node).definition(node)
            if found is None or found.value is None or not is_untouched(module, node, found):
                return None
            reads.append((node, found))
            node = found.value
            continue
        op = tensor_op(module, node, activation)
        if op is not None:
            if not links:
                return None
            captures["x"] = op.input
            return op, Derived("{x}" + "".join(reversed(links)), captures, tuple(reads))
        step = _link(module, node, captures)
        if step is None or len(links) == _MOST_LINKS:
            return None
        node, text = step
        links.append(text)
    return None


def _link(module: Module, node: ast.expr, captures: dict[str, ast.expr]) -> tuple[ast.expr, str] | None:
    """The tensor that one change of shape is applied to, and the change as text."""
    if isinstance(node, ast.Subscript):
        if any(isinstance(part, (ast.Slice, ast.Call)) for part in ast.walk(node.slice)):
            return (node.value, f"[{ast.unparse(node.slice).strip('()')}]") if _is_plain(node.slice) else None
        return node.value, f"[{_captured(node.slice, captures)}]"
    op = tensor_op(module, node, *_LINKS)
    if op is None or not isinstance(node, ast.Call) or any(isinstance(a, ast.Starred) for a in node.args):
        return None
    positional = node.args if op.form == "method" else node.args[1:]
    if op.form == "function" and not node.args:
        return None
    given = [_captured(a, captures) for a in positional]
    given += [f"{k.arg}={_captured(k.value, captures)}" for k in node.keywords]
    return op.input, f".{op.name}({', '.join(given)})"


def _is_plain(node: ast.expr) -> bool:
    """Whether an index consists of numbers and colons."""
    kinds = (ast.Tuple, ast.Slice, ast.Constant, ast.UnaryOp, ast.USub, ast.Load)
    return all(isinstance(part, kinds) for part in ast.walk(node))


def _captured(node: ast.expr, captures: dict[str, ast.expr]) -> str:
    name = f"l{len(captures)}"
    captures[name] = node
    return f"{{{name}}}"
