"""Where a fix acts: the statements that it touches, found in both files by its edits' bytes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from autofix.model import Edit, Fix
from autofix.smoke.slices import Place
from autofix.syntax import Module

_BLOCKS = ("body", "orelse", "finalbody")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Container = tuple[ast.AST, str]  # a node and the field that holds the block


def locate(
    module: Module, after: Module, fix: Fix, within_region: bool = False, chosen: Sequence[Edit] = ()
) -> Place | str:
    """Find the statements that a fix touches in both files, or say why that cannot be done.

    within_region: only those in the claim's region; what the fix changes elsewhere (a loss that `__init__` makes) is
    seen through by name. chosen: only what these edits change, by the same token.
    """
    edits = [e for e in chosen or fix.edits if not _at_top(module, e) and not _is_comment(e)]
    if not edits:
        edits = [e for e in fix.edits if not _is_import(e.text)]
    if not edits:
        return "the fix changes no statement"
    region = fix.claim.region
    if within_region and region is not None:
        edits = [e for e in edits if region.start <= e.span.start and e.span.end <= region.end] or edits
    edits.sort(key=lambda e: (e.span.start, e.span.end))
    sizes = _sizes(module, fix.edits)
    new_ranges = [_new_range(after, sizes, e) for e in edits]
    old_ranges = [_old_range(module, e) for e in edits]
    if fix.claim.region is not None and not chosen:
        old_ranges.append((fix.claim.region.start, fix.claim.region.end))
    container: Container | None = _container(after, new_ranges)
    found = _counterpart(module, after, container, sizes) if container is not None else None
    while found is not None and container is not None and not _holds(module, found, old_ranges):
        container = _outer(after, container)
        found = _counterpart(module, after, container, sizes) if container is not None else None
    if found is None or container is None:
        return "the patched statements cannot be matched with the original ones"
    old, new = _block(found), _block(container)
    changed_old = [s for s in old if _touched(module, s, old_ranges)]
    changed_new = [s for s in new if _touched(after, s, new_ranges)]
    known = {_start(module, s): s for s in old}
    mapped = {s: known.get(_origin(sizes, _start(after, s))) for s in new if s not in changed_new}
    first = min(
        [old.index(s) for s in changed_old]
        + [new.index(s) for s in changed_new]
        + [i for i, s in enumerate(new) if mapped.get(s) is None][:1]
        or [0]
    )
    last = min(
        [len(old) - 1 - old.index(s) for s in changed_old]
        + [len(new) - 1 - new.index(s) for s in changed_new]
        + [i for i, s in enumerate(reversed(new)) if mapped.get(s) is None][:1]
        or [0]
    )
    outer_before, outer_after = _around(module, found)
    return Place(
        preceding=(*reversed(old[:first]), *outer_before),
        before=tuple(old[first : len(old) - last]),
        after=tuple(new[first : len(new) - last]),
        changed_before=frozenset(changed_old),
        changed_after=frozenset(changed_new) | frozenset(s for s, m in mapped.items() if m is None or m in changed_old),
        following=(*old[len(old) - last :], *outer_after),
        same={s: m for s, m in mapped.items() if m is not None},
    )


def by_function(module: Module, edits: Sequence[Edit]) -> list[list[Edit]]:
    """The edits inside functions, one list for each outermost function or method, in the order of the file."""
    groups: dict[ast.AST, list[Edit]] = {}
    for edit in sorted(edits, key=lambda e: e.span.start):
        function = _function_around(module, edit)
        if function is not None:
            groups.setdefault(function, []).append(edit)
    return list(groups.values())


def is_constructor(module: Module, edit: Edit) -> bool:
    return getattr(_function_around(module, edit), "name", "") == "__init__"


def _function_around(module: Module, edit: Edit) -> ast.AST | None:
    pending: list[ast.stmt] = list(module.tree.body)
    while pending:
        statement = pending.pop()
        if not isinstance(statement, _DEFINITIONS):
            continue
        start, end = _bounds(module, statement)
        if not start < edit.span.start <= edit.span.end <= end:
            continue
        if not isinstance(statement, ast.ClassDef):
            return statement
        pending = list(statement.body)
    return None


# -- matching the two files ------------------------------------------------------------------------------------


def _sizes(module: Module, edits: Iterable[Edit]) -> list[tuple[int, int, int]]:
    """(start, end, growth) of every edit, in bytes of the original, in order."""
    from autofix.edits import to_changes

    changes = to_changes(module.source_file, list(edits))
    return [(span.start, span.end, len(new) - (span.end - span.start)) for span, new in changes]


def _old_range(module: Module, edit: Edit) -> tuple[int, int]:
    """The bytes that an edit replaces, without surrounding white space; for text that is inserted into a line, the
    byte of code that it continues: `.clamp(0)` behind a statement's last byte belongs to that statement."""
    start, end = edit.span.start, edit.span.end
    text = module.data[start:end]
    if text.strip():
        return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    if start == end and edit.text.strip():
        continues = edit.text.lstrip(" \t")[0] not in "\r\n#;"
        if continues and module.data[start - 1 : start].strip():
            return start - 1, start
        leads = not edit.text[-1].isspace() and edit.text[-1] != ";"  # white space alone is an indentation
        if leads and module.data[end : end + 1].strip():
            return end, end + 1
    return start, end


def _new_range(after: Module, sizes: Sequence[tuple[int, int, int]], edit: Edit) -> tuple[int, int]:
    """The bytes that an edit wrote, in the patched file, without surrounding white space."""
    shift = sum(g for s, e, g in sizes if (s, e) < (edit.span.start, edit.span.end) and e <= edit.span.start)
    own = sum(g for s, e, g in sizes if (s, e) == (edit.span.start, edit.span.end))
    start = edit.span.start + shift
    end = edit.span.end + shift + own
    text = after.data[start:end]
    stripped = text.strip()
    if not stripped:
        return start, start
    start += len(text) - len(text.lstrip())
    return start, start + len(stripped)


def _origin(sizes: Sequence[tuple[int, int, int]], position: int) -> int:
    """The original's byte for a byte of the patched file that no edit wrote."""
    shift = 0
    for start, end, growth in sizes:
        if end + shift + growth <= position:
            shift += growth
        else:
            break
        del start
    return position - shift


def _start(module: Module, node: ast.AST) -> int:
    return module.span(node).start


def _bounds(module: Module, statement: ast.stmt) -> tuple[int, int]:
    span = module.span(statement)
    decorators = getattr(statement, "decorator_list", [])
    return min([span.start, *(module.span(d).start for d in decorators)]), span.end


def _touched(module: Module, statement: ast.stmt, ranges: Iterable[tuple[int, int]]) -> bool:
    start, end = _bounds(module, statement)
    return any((s < end and e > start) if s < e else start < s < end for s, e in ranges)


def _blocks(statement: ast.AST) -> list[Container]:
    out: list[Container] = [
        (statement, name)
        for name in _BLOCKS
        if isinstance(getattr(statement, name, None), list) and _has_body(statement)
    ]
    for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        out.append((part, "body"))
    return out


def _has_body(node: ast.AST) -> bool:
    return not isinstance(node, ast.Lambda)


def _block(container: Container) -> list[ast.stmt]:
    block: list[ast.stmt] = getattr(*container)
    return block


def _container(after: Module, ranges: Sequence[tuple[int, int]]) -> Container:
    """The innermost block of the patched file that holds everything written."""
    current: Container = (after.tree, "body")
    while True:
        inner = None
        for statement in _block(current):
            if not _touched(after, statement, ranges):
                continue
            for candidate in _blocks(statement):
                if _block(candidate) and _holds(after, candidate, ranges):
                    inner = candidate
        if inner is None:
            return current
        current = inner


def _holds(module: Module, container: Container, ranges: Iterable[tuple[int, int]]) -> bool:
    block = _block(container)
    if not block:
        return False
    if isinstance(container[0], ast.Module):
        return True
    # An insertion may stand on the lines around the block's statements.
    first = module.line_start(module.chars(block[0])[0])
    while module.text[:first].rpartition("\n")[0].rpartition("\n")[2].lstrip().startswith("#"):
        first = module.line_start(first - 1)  # comments above the block's first statement
    start = module.byte(first)
    _, end = _bounds(module, block[-1])
    return all((start <= s and e <= end) if s < e else start <= s <= end + 2 for s, e in ranges)


def _outer(module: Module, container: Container) -> Container | None:
    node = container[0]
    if isinstance(node, ast.Module):
        return None
    statement = node if isinstance(node, ast.stmt) else module.parent(node)
    parent = module.parent(statement) if statement is not None else None
    if parent is None:
        return None
    for candidate in _blocks(parent) if not isinstance(parent, ast.Module) else [(parent, "body")]:
        if any(s is statement for s in _block(candidate)):
            return candidate
    return None


def _counterpart(
    module: Module, after: Module, container: Container, sizes: Sequence[tuple[int, int, int]]
) -> Container | None:
    node, field = container
    if isinstance(node, ast.Module):
        return module.tree, field
    if not hasattr(node, "lineno"):  # match_case has no position of its own
        return None
    start = _origin(sizes, _start(after, node))
    for other in ast.walk(module.tree):
        if type(other) is type(node) and _start(module, other) == start:
            return other, field
    return None


def _around(module: Module, container: Container) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Statements of the enclosing blocks up to the function: those before (nearest first), those after."""
    before: list[ast.stmt] = []
    following: list[ast.stmt] = []
    node: ast.AST = container[0]
    while not isinstance(node, (ast.Module, *_DEFINITIONS)):
        statement = node if isinstance(node, ast.stmt) else module.parent(node)
        if not isinstance(statement, ast.stmt):
            break
        block = module.block(statement)
        index = next((i for i, s in enumerate(block) if s is statement), None)
        if index is None:
            break
        before.extend(reversed(block[:index]))
        following.extend(block[index + 1 :])
        parent = module.parent(statement)
        if parent is None:
            break
        node = parent
    return before, following


def _at_top(module: Module, edit: Edit) -> bool:
    """Whether an edit lies outside every function and class: an import, a constant or a helper that it adds."""
    for statement in module.tree.body:
        if isinstance(statement, _DEFINITIONS):
            start, end = _bounds(module, statement)
            if start < edit.span.start < end or (start <= edit.span.start and edit.span.end <= end != edit.span.start):
                return edit.span.start == edit.span.end == start
    return True


def _is_comment(edit: Edit) -> bool:
    """Whether an edit only adds comments."""
    return edit.span.start == edit.span.end and all(
        not line.strip() or line.lstrip().startswith("#") for line in edit.text.splitlines()
    )


def _is_import(text: str) -> bool:
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError):
        return False
    return bool(body) and all(isinstance(s, (ast.Import, ast.ImportFrom)) for s in body)
