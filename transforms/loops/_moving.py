"""Writing a clip above the step that it is for, and moving one there with the comments that are about it."""

from __future__ import annotations

import ast
import re

from autofix import rewrite
from autofix.model import Edit
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes
from autofix.tree import walk

_ABOUT_CLIPPING = re.compile(r"clip|explo(d|sion)|max_?norm|gradient norm|norm of the grad", re.I)
_CODE = re.compile(r"\w[(\[]|=")


def insert_above(module: Module, statement: ast.stmt, *lines: str) -> Edit:
    """Insert whole statements above `statement` and the comments directly above it, which are about it; a line of
    code that is commented out is not.

    Raises:
        Unrewritable: `statement` does not start its line.
    """
    remarks = remarks_above(module, statement)
    prose = next((n for n, r in enumerate(reversed(remarks)) if _CODE.search(r)), len(remarks))
    indent = module.indentation(statement)
    if not prose or indent is None:
        return rewrite.insert_before(module, statement, *lines)
    return module.insertion(_start_of(module, statement.lineno - prose), "".join(f"{indent}{line}\n" for line in lines))


def move_clip(module: Module, unit: ast.stmt, target: ast.stmt, scope: ast.AST, first: str = "") -> tuple[Edit, ...]:
    """Move the statement `unit` immediately before `target`, both in `scope`; `first` is a line to write above it.
    The comments that are about it go with it.

    Raises:
        Unrewritable: a name that it reads changes in between, or either shares its line with another statement.
    """
    if _reads_what_changes(module, unit, target, scope):
        raise Unrewritable("a name that the clip reads is assigned between the two places")
    if len(module.block(unit)) == 1:
        raise Unrewritable("the clip is the only statement of its block")
    outer = module.indentation(unit)
    if module.indentation(target) is None or outer is None:
        raise Unrewritable("the clip or the step shares its line with another statement")
    if any(isinstance(n, ast.Constant) and isinstance(n.value, str) and "\n" in n.value for n in walk(unit)):
        raise Unrewritable("the clip holds a string of several lines")
    last = unit.end_lineno or unit.lineno
    if not ends_its_line(module, unit):
        raise Unrewritable("another statement shares the clip's line")
    remarks = remarks_above(module, unit)
    if not _are_about(module, remarks, unit):
        remarks = []
    lines = [module.line_text(n).rstrip().removeprefix(outer) for n in range(unit.lineno, last + 1)]
    gone = unit.lineno - len(remarks)
    while _is_blank(module, gone - 1) and _is_blank(module, last + 1):
        gone -= 1
    span = module.char_span(_start_of(module, gone), _start_of(module, last + 1))
    return (insert_above(module, target, *remarks, *([first] if first else []), *lines), Edit(span, ""))


def remarks_above(module: Module, statement: ast.stmt) -> list[str]:
    """The comments on the lines directly above a statement, at its indentation."""
    indent = module.indentation(statement)
    out: list[str] = []
    line = statement.lineno - 1
    while indent is not None and line > 0 and module.line_text(line).startswith(f"{indent}#"):
        out.insert(0, module.line_text(line).strip())
        line -= 1
    return out


def _are_about(module: Module, remarks: list[str], statement: ast.stmt) -> bool:
    """Whether comments above a statement are about it alone: they speak of clipping, or no other statement follows
    before the next blank line, comment or end of its block."""
    if any(_ABOUT_CLIPPING.search(r) for r in remarks):
        return True
    following = (statement.end_lineno or statement.lineno) + 1
    others = [s for s in module.block(statement) if s.lineno == following]
    return not others and not any(_CODE.search(r) for r in remarks)


def ends_its_line(module: Module, statement: ast.stmt) -> bool:
    """Whether nothing but a comment follows a statement on its last line."""
    last = statement.end_lineno or statement.lineno
    rest = module.text[module.chars(statement)[1] : _start_of(module, last + 1)].strip()
    return not rest or rest.startswith("#")


def _is_blank(module: Module, line: int) -> bool:
    return line > 0 and _start_of(module, line) < len(module.text) and not module.line_text(line).strip()


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


def _start_of(module: Module, line: int) -> int:
    """Where a line starts in the text, which ends where one past the last would."""
    return module._char(line, 0) if line <= module.position(len(module.text)).line else len(module.text)
