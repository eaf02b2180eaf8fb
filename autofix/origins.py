"""What a value is made of, as far as its function shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from autofix.syntax import Module
from autofix.tree import children

_MOST_NODES = 400


def origins(module: Module, node: ast.expr) -> Iterator[ast.AST]:
    """`node` and everything that it is made of. Names are followed to the assignment they have their value from, or to
    all of the function's where that is not certain."""
    pending: list[ast.AST] = [node]
    seen: set[ast.AST] = set()
    while pending and len(seen) < _MOST_NODES:
        part = pending.pop()
        if part in seen:
            continue
        seen.add(part)
        yield part
        pending.extend(children(part))
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            flow = module.flow(part)
            found = flow.definition(part)
            for statement in [found.statement] if found is not None else flow.stores(part.id):
                value = getattr(statement, "value", None)
                if isinstance(value, ast.expr):
                    pending.append(value)


def has_complex(module: Module, nodes: Iterable[ast.expr]) -> bool:
    """Whether one of the values is made of complex numbers."""
    for node in nodes:
        for part in origins(module, node):
            if isinstance(part, ast.Constant) and isinstance(part.value, complex):
                return True
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if name in ("view_as_complex", "polar", "fft", "rfft", "stft", "cfloat", "cdouble", "imag"):
                return True
            if name.startswith("complex"):
                return True
    return False
