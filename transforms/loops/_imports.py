"""What an imported name is in the file of the project that defines it: a training script rarely holds its model."""

from __future__ import annotations

import ast

from autofix.model import Problem, Source
from autofix.neighbours import imported_from, read
from autofix.syntax import Module, parse

_HOPS = 3  # files that hand a name on, such as the `__init__.py` of a package

Definition = ast.ClassDef | ast.FunctionDef


def definition_elsewhere(module: Module, name: ast.expr) -> tuple[Module, Definition] | None:
    """The class or function that a name imported from another file of the project stands for, with that file."""
    dotted = module.qualified(name)
    for _ in range(_HOPS):
        file = imported_from(module.path, dotted) if dotted else None
        if file is None or dotted is None:
            return None
        other = parse(Source(str(file), read(file)))
        if isinstance(other, Problem):
            return None
        last = dotted.rpartition(".")[2]
        for statement in other.tree.body:
            if isinstance(statement, (ast.ClassDef, ast.FunctionDef)) and statement.name == last:
                return other, statement
        module, dotted = other, other.names.lookup(last, other.tree)
    return None
