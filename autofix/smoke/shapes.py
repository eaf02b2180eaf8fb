"""Chains of shape operations, which are leaves as they stand: `mask[:, None, None, :].expand(b, 1, t, t)`."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from autofix.smoke.roles import SHAPE_METHODS
from autofix.syntax import Module


def chains(statements: Iterable[ast.stmt], bound: set[str], module: Module) -> frozenset[str]:
    """Texts of chains of shape operations on an opaque root that occurs nowhere else: leaves as they stand.

    A reshaped mask is then given the shape it has where it is used, where it can mask a whole row.
    """
    whole: dict[str, set[str]] = {}
    statements = list(statements)
    for statement in statements:
        pending: list[ast.AST] = [statement]
        while pending:
            node = pending.pop()
            root = _chain_root(node)
            if root is not None and not (isinstance(root, ast.Name) and root.id in bound):
                text = ast.unparse(root)
                if module.qualified(root) is None:
                    whole.setdefault(text, set()).add(ast.unparse(node))
                    continue
            if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(getattr(node, "ctx", None), ast.Load):
                whole.setdefault(ast.unparse(node), set()).add("")
            pending.extend(ast.iter_child_nodes(node))
    return frozenset(next(iter(texts)) for texts in whole.values() if len(texts) == 1 and "" not in texts)


def _chain_root(node: ast.AST) -> ast.expr | None:
    """The opaque root of `root.unsqueeze(1)[:, None].expand(...)`: None when `node` is no such chain."""
    current, links = node, 0
    while True:
        if isinstance(current, ast.Call) and isinstance(current.func, ast.Attribute):
            if current.func.attr not in SHAPE_METHODS or current.func.attr in ("detach", "t"):
                return None
            current, links = current.func.value, links + 1
        elif isinstance(current, ast.Subscript) and isinstance(current.ctx, ast.Load) and not is_size(current.value):
            index = current.slice
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            if not any(
                isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value in (None, ...)) for p in parts
            ):
                return None
            current, links = current.value, links + 1
        else:
            break
    if links and isinstance(current, (ast.Name, ast.Attribute)):
        return current
    return None


def is_size(node: ast.expr) -> bool:
    """`x.shape` or `x.size()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Attribute) and node.attr in ("shape", "size")
