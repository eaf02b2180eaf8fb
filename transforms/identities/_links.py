"""Changes of shape between an activation and its loss: `sigmoid(x).squeeze(1)` as a chain around `x`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from autofix.flow import Definition
from autofix.ops import Op, tensor_op
from autofix.pattern import Match
from autofix.sameness import is_untouched
from autofix.substitute import Derived
from autofix.syntax import Module
from autofix.tree import walk

_LINKS = ("view", "reshape", "squeeze", "unsqueeze", "flatten", "transpose", "permute", "contiguous", "float", "gather")
_MOST_LINKS = 6
Read = tuple[ast.Name, Definition]


@dataclass(frozen=True, slots=True)
class Links:
    """An activation, and the changes of shape after it as text (`.squeeze({l0})`) with what they read."""

    op: Op
    text: str
    captures: Mapping[str, ast.expr]
    reads: tuple[Read, ...]


def links_to(module: Module, node: ast.expr, activation: str) -> Links | None:
    """The activation behind changes of shape; None when nothing of that kind is there, or no change of shape at all."""
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
            return Links(op, "".join(reversed(links)), captures, tuple(reads)) if links else None
        step = _link(module, node, captures)
        if step is None or len(links) == _MOST_LINKS:
            return None
        node, text = step
        links.append(text)
    return None


def reshaped_logits(module: Module, match: Match) -> Derived | None:
    """The input of the sigmoid that the captured `p` is made of, with the same changes of shape."""
    found = links_to(module, match.captures["p"], "sigmoid")
    if found is None:
        return None
    return Derived(f"{{x}}{found.text}", {**found.captures, "x": found.op.input}, found.reads)


def reshaped_log_softmax(module: Module, match: Match) -> Derived | None:
    """The log-softmax of what the captured `p` is the softmax of, with the same changes of shape and selections."""
    found = links_to(module, match.captures["p"], "softmax")
    if found is None or set(found.op.args) != {"dim"}:
        return None
    captures = {**found.captures, "x": found.op.input, "d": found.op.args["dim"]}
    function = "torch.log_softmax|torch.nn.functional.log_softmax"
    return Derived(f"{function}({{x}}, dim={{d}}){found.text}", captures, found.reads)


def _link(module: Module, node: ast.expr, captures: dict[str, ast.expr]) -> tuple[ast.expr, str] | None:
    """The tensor that one change of shape is applied to, and the change as text."""
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        written = [_index(part, captures) for part in parts]
        return None if None in written else (node.value, f"[{', '.join(w for w in written if w)}]")
    op = tensor_op(module, node, *_LINKS)
    if op is None or not isinstance(node, ast.Call) or any(isinstance(a, ast.Starred) for a in node.args):
        return None
    positional = node.args if op.form == "method" else node.args[1:]
    if op.form == "function" and not node.args:
        return None
    given = [_captured(a, captures) for a in positional]
    given += [f"{k.arg}={_captured(k.value, captures)}" for k in node.keywords]
    return op.input, f".{op.name}({', '.join(given)})"


def _index(node: ast.expr, captures: dict[str, ast.expr]) -> str | None:
    """One part of an index as text: what it reads is captured, a range of numbers stands as it is."""
    if not isinstance(node, ast.Slice):
        return _captured(node, captures)
    kinds = (ast.Slice, ast.Constant, ast.UnaryOp, ast.USub)
    return ast.unparse(node) if all(isinstance(part, kinds) for part in walk(node)) else None


def _captured(node: ast.expr, captures: dict[str, ast.expr]) -> str:
    name = f"l{len(captures)}"
    captures[name] = node
    return f"{{{name}}}"
