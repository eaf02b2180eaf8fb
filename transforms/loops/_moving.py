"""Moving a clip, and what stands around it for its sake, to the step that it is for."""

from __future__ import annotations

import ast

from autofix import rewrite
from autofix.model import Edit, Span
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes
from autofix.tree import walk


def move_clip(module: Module, unit: ast.stmt, target: ast.stmt, scope: ast.AST, first: str = "") -> tuple[Edit, ...]:
    """Move the statement `unit` immediately before `target`, both in `scope`; `first` is a line to write above it.

    Raises:
        Unrewritable: a name that it reads changes in between, or either shares its line with another statement.
    """
    if _reads_what_changes(module, unit, target, scope):
        raise Unrewritable("a name that the clip reads is assigned between the two places")
    removed, remarks = _with_remarks(module, unit, rewrite.delete(module, unit))
    indent, outer = module.indentation(target), module.indentation(unit)
    if indent is None or outer is None:
        raise Unrewritable("the step shares its line with another statement")
    start, end = module.chars(unit)
    lines = module.text[start:end].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if any(isinstance(n, ast.Constant) and isinstance(n.value, str) and "\n" in n.value for n in walk(unit)):
        raise Unrewritable("the clip holds a string of several lines")
    lines = [lines[0], *(line.removeprefix(outer) for line in lines[1:])]
    return (rewrite.insert_before(module, target, *remarks, *([first] if first else []), *lines), removed)


def _with_remarks(module: Module, unit: ast.stmt, removed: Edit) -> tuple[Edit, list[str]]:
    """The comments right above the clip that speak of clipping go with it."""
    line = unit.lineno - 1
    remarks: list[str] = []
    while line > 0 and module.line_text(line).strip().startswith("#"):
        remarks.insert(0, module.line_text(line).strip())
        line -= 1
    if not any("clip" in r.lower() for r in remarks):
        return removed, []
    at = module.byte(module.line_start(module.chars(unit)[0]))
    length = len("".join(module.line_text(n) for n in range(line + 1, unit.lineno)).encode(module.encoding))
    return Edit(Span(at - length, removed.span.end), ""), remarks


def _reads_what_changes(module: Module, unit: ast.stmt, target: ast.stmt, scope: ast.AST) -> bool:
    """Whether a name that the clip's statement reads is bound between the step and the clip."""
    names = {n.id for n in walk(unit) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bounds = sorted([module.chars(target), module.chars(unit)])
    low, high = bounds[0][1], bounds[1][0]
    for node in own_nodes(scope):
        bound = isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id in names
        if bound and low <= module.chars(node)[0] < high:
            return True
    return False
