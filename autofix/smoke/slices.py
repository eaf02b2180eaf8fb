"""Which statements a trial runs: those a fix touches, the definitions they need, and who consumes them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """Statements of both sides. `prefix` and `suffix` are shared; `before` and `after` are the patched ones."""

    prefix: tuple[ast.stmt, ...]
    before: tuple[ast.stmt, ...]
    after: tuple[ast.stmt, ...]
    suffix: tuple[ast.stmt, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fix acts: the statements it changes on each side, and what stands around them in the original."""

    preceding: tuple[ast.stmt, ...]  # nearest first
    before: tuple[ast.stmt, ...]
    after: tuple[ast.stmt, ...]
    changed_before: frozenset[ast.stmt]
    changed_after: frozenset[ast.stmt]
    following: tuple[ast.stmt, ...]  # in order
    same: Mapping[ast.stmt, ast.stmt]  # unchanged statements of the patched file and their originals


def loads(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def stores(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that statements bind or change in place (`x[m] = v`, `x.fill_(0)`, `x += 1`)."""
    names: set[str] = set()
    for node in nodes:
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
                names.add(n.id)
    return names | changed_in_place(nodes)


def changed_in_place(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        for n in ast.walk(node):
            if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store):
                root: ast.AST = n.value
            elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and _in_place(n.func.attr):
                root = n.func.value
            else:
                continue
            while isinstance(root, (ast.Subscript, ast.Attribute)):
                root = root.value
            if isinstance(root, ast.Name):
                names.add(root.id)
    return names


def free_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Names read before the statements bind them."""
    bound: set[str] = set()
    free: set[str] = set()
    for statement in statements:
        value_first = loads([statement])
        if isinstance(statement, ast.AugAssign):
            value_first |= stores([statement.target])
        inner = {
            n.id
            for c in ast.walk(statement)
            if isinstance(c, ast.comprehension)
            for n in ast.walk(c.target)
            if isinstance(n, ast.Name)
        }
        free |= value_first - bound - inner
        bound |= stores([statement])
    return free


def cut(
    place: Place,
    back: int,
    wanted: Sequence[ast.stmt] = (),
    extra: Iterable[str] = (),
    imported: frozenset[str] = frozenset(),
) -> Slice:
    """The slice at a place: up to `back` definitions before it and the consumers `wanted` after it, and whatever leads
    from a name that only the patched code reads to what the original reads.

    extra: names whose definition is needed although no statement of the slice reads them. imported: names of modules
    and of what comes from them.
    """
    kept_after = set(_keep_needed(place.after, place.changed_after))
    shared = {place.same[s] for s in kept_after if s in place.same}
    before = _keep_needed(place.before, place.changed_before | shared)
    kept = set(before)
    after = [s for s in place.after if s in kept_after or place.same.get(s, s) in kept]
    needed = free_names([*before, *wanted]) | free_names([*after, *wanted]) | set(extra)
    linked = _leading_from(place, free_names(after) - free_names(before) - imported)
    prefix: list[ast.stmt] = []
    count = 0
    for statement in place.preceding:
        names = stores([statement]) & needed
        if not names:
            continue
        if isinstance(statement, (ast.Import, ast.ImportFrom)) or _is_distributed(statement):
            continue
        unpacks_shape = _is_shape_unpacking(statement)
        too_far = count >= back and not unpacks_shape and statement not in linked
        if not _simple(statement) or too_far or not _worth_running(statement):
            needed -= names
            continue
        count += not unpacks_shape and statement not in linked
        prefix.insert(0, statement)
        if not isinstance(statement, ast.AugAssign) and not (names & changed_in_place([statement])):
            needed -= names
        needed |= free_names([statement])
    return Slice(tuple(prefix), tuple(before), tuple(after), tuple(wanted))


def _leading_from(place: Place, names: set[str]) -> set[ast.stmt]:
    """The statements before the place that compute something of `names`, which only the patched code reads: drawn
    apart from them, what the original reads would contradict what the patch does."""
    found: set[ast.stmt] = set()
    derived = set(names)
    for statement in reversed(place.preceding) if names else ():
        if loads([statement]) & derived:
            found.add(statement)
            derived |= stores([statement])
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            derived -= stores([statement]) - names - changed_in_place([statement])
    return found


def consumers(place: Place, names: set[str], limit: int) -> list[ast.stmt]:
    """Following simple statements that read one of `names` or of what those define; stops at the first branch or
    loop that rebinds one."""
    out: list[ast.stmt] = []
    tracked = set(names)
    for statement in place.following:
        if len(out) >= limit:
            break
        if not loads([statement]) & tracked:
            if stores([statement]) & tracked and not changed_in_place([statement]) & tracked:
                tracked -= stores([statement])
            continue
        if not _simple(statement) and not isinstance(statement, ast.Return):
            if stores([statement]) & tracked:
                break
            continue
        out.append(statement)
        tracked |= stores([statement])
    return out


def readers(place: Place, name: str, limit: int) -> list[ast.stmt]:
    """Following simple statements that read `name` itself, until it is bound anew."""
    out: list[ast.stmt] = []
    for statement in place.following:
        if name in loads([statement]) and (_simple(statement) or isinstance(statement, ast.Return)):
            out.append(statement)
        if name in stores([statement]) or len(out) >= limit:
            break
    return out


# -- choosing statements ---------------------------------------------------------------------------------------


def _simple(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        return True
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    return isinstance(statement, ast.Expr) and bool(changed_in_place([statement]))


def _is_shape_unpacking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(n, ast.Attribute) and n.attr in ("shape", "size") for n in ast.walk(statement.value)
    )


def _worth_running(statement: ast.stmt) -> bool:
    """Whether a definition says more than an opaque value would."""
    value = getattr(statement, "value", None)
    if value is None or isinstance(statement, (ast.AugAssign, ast.Expr)):
        return True
    if isinstance(value, ast.List):
        return not value.elts
    return not isinstance(value, (ast.Attribute, ast.Await, ast.Yield, ast.Dict, ast.Lambda))


def _is_distributed(statement: ast.stmt) -> bool:
    """`if dist.is_initialized(): ...`: what one process alone does not do."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    test = ast.unparse(statement.test)
    return not test.startswith("not ") and any(
        word in test for word in ("is_initialized", "world_size", "is_distributed")
    )


def _keep_needed(block: Sequence[ast.stmt], changed: frozenset[ast.stmt]) -> list[ast.stmt]:
    """The changed statements and, of those between them, the ones whose results the changed ones read."""
    out: list[ast.stmt] = []
    needed: set[str] = set()
    for statement in reversed(block):
        if statement in changed or (stores([statement]) & needed and _simple(statement)):
            out.insert(0, statement)
            needed |= loads([statement])
    return out


def _in_place(attribute: str) -> bool:
    return attribute.endswith("_") and not attribute.endswith("__") and attribute != "requires_grad_"
