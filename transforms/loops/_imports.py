"""What an imported name is in the file of the project that defines it: a training script rarely holds its model."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from autofix.model import Problem, Source
from autofix.neighbours import imported_from, neighbours, read
from autofix.syntax import Module, parse

MOST_FILES = 300  # of a project in which a class is looked for by its name
_HOPS = 3  # files that hand a name on, such as the `__init__.py` of a package

Definition = ast.ClassDef | ast.FunctionDef


def _only_file_with(path: str, dotted: str) -> Path | None:
    """The one file of the project that defines a class, where it is not clear which file is imported: scripts that
    extend `sys.path` import `moe` from a folder that holds both `moe/` and `moe.py`."""
    first, _, name = dotted.lstrip(".").replace("/", ".").partition(".")
    name = name.rpartition(".")[2]
    files = neighbours(path) or ()
    if not name[:1].isupper() or len(files) > MOST_FILES or not any(first in (*f.parts[-3:-1], f.stem) for f in files):
        return None
    head = re.compile(rb"^class " + name.encode() + rb"\b", re.M)
    found = [f for f in files if head.search(read(f))]
    return found[0] if len(found) == 1 else None


def definition_elsewhere(module: Module, name: ast.expr) -> tuple[Module, Definition] | None:
    """The class or function that a name imported from another file of the project stands for, with that file."""
    dotted = module.qualified(name)
    for _ in range(_HOPS):
        if not dotted:
            return None
        file = imported_from(module.path, dotted) or _only_file_with(module.path, dotted)
        if file is None:
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
