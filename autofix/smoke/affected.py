"""What of the statements a patch reaches: arguments of opaque calls that it changes, results that it leaves alone."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from autofix.smoke.slices import stores

RECEIVER = ""  # in place of an argument: what the method is called on
Argument = int | str  # which one: by position or by keyword


def passed_on(gone: Iterable[str], new: Iterable[str]) -> dict[str, Argument]:
    """For opaque calls that differ in one argument before and after, by their text: which argument that is.

    gone: texts of leaves that only the original reads; new: those that only the patched code reads. What such a call
    is given can be compared although what it returns is unknown.
    """
    before = [c for t in gone if (c := _call(t)) is not None]
    found: dict[str, Argument] = {}
    for text in new:
        call = _call(text)
        for other in before if call is not None else ():
            which = _difference(other, call)  # type: ignore[arg-type]
            if which is not None:
                found[ast.unparse(call)] = found[ast.unparse(other)] = which  # type: ignore[arg-type]
                break
    return found


def argument(call: ast.Call, which: Argument) -> ast.expr:
    """The argument of a call that `passed_on` names."""
    if which == RECEIVER and isinstance(call.func, ast.Attribute):
        return call.func.value
    if isinstance(which, int):
        return call.args[which]
    return next(k.value for k in call.keywords if k.arg == which)


def _call(text: str) -> ast.Call | None:
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    while isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        node = node.value  # one of the results
    return node if isinstance(node, ast.Call) else None


def _difference(one: ast.Call, other: ast.Call) -> Argument | None:
    if len(one.args) != len(other.args) or [k.arg for k in one.keywords] != [k.arg for k in other.keywords]:
        return None
    where: list[Argument] = [i for i, (a, b) in enumerate(zip(one.args, other.args, strict=True)) if not _same(a, b)]
    pairs = zip(one.keywords, other.keywords, strict=True)
    where += [a.arg for a, b in pairs if a.arg is not None and not _same(a.value, b.value)]
    if not _same(one.func, other.func):
        if not (isinstance(one.func, ast.Attribute) and isinstance(other.func, ast.Attribute)):
            return None
        if one.func.attr != other.func.attr:
            return None
        where.append(RECEIVER)
    return where[0] if len(where) == 1 else None


def _same(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)


def focused(results: Sequence[str], before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> list[str]:
    """The results that the difference between two lists of statements can reach; of a tuple, the items.

    Results are names that the statements bind. All of them where no name tells.
    """
    changed = _changed(before, after)
    found: list[str] = []
    for name in results:
        if not name.isidentifier():
            found.append(name)
        elif name in changed:
            found += [f"{name}[{i}]" for i in _items(name, before, after, changed)] or [name]
    return found or list(results)


def _changed(before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> set[str]:
    """Names whose value may differ: bound by a statement that differs, or by one that reads such a name."""
    texts = [{ast.unparse(s) for s in side} for side in (before, after)]
    changed: set[str] = set()
    size = -1
    while len(changed) != size:
        size = len(changed)
        for side, other in ((before, texts[1]), (after, texts[0])):
            for statement in side:
                if ast.unparse(statement) not in other or _names([statement]) & changed:
                    changed |= stores([statement])
    return changed


def _items(name: str, before: Sequence[ast.stmt], after: Sequence[ast.stmt], changed: set[str]) -> list[int]:
    """Which items of `name = (a, b)` differ; none when the two sides do not both bind one tuple of the same length."""
    tuples = [_tuple(name, side) for side in (before, after)]
    if tuples[0] is None or tuples[1] is None or len(tuples[0].elts) != len(tuples[1].elts):
        return []
    pairs = enumerate(zip(tuples[0].elts, tuples[1].elts, strict=True))
    found = [i for i, (a, b) in pairs if not _same(a, b) or _names([a, b]) & changed]
    return found if len(found) < len(tuples[0].elts) else []


def _tuple(name: str, statements: Sequence[ast.stmt]) -> ast.Tuple | None:
    binding = [s for s in statements if name in stores([s])]
    if len(binding) != 1 or not isinstance(binding[0], ast.Assign):
        return None
    value = binding[0].value
    plain = isinstance(binding[0].targets[0], ast.Name) and isinstance(value, ast.Tuple)
    return value if plain and not any(isinstance(e, ast.Starred) for e in value.elts) else None  # type: ignore[attr-defined,return-value]


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
