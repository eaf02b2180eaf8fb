"""What a fix changes of a file, told from the source: which statements of which functions, and which classes may run
them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autofix.edits import replaced, to_changes
from autofix.model import Fix, Source

_COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Range = tuple[int, int]  # first and last line, 1-based


@dataclass(frozen=True, slots=True)
class Changes:
    """before, after: the changed statements inside functions, in lines of the original and of the patched file.
    classes: top-level classes that may run them, the nearest first. methods: by class, the method that is changed.
    names: words of the changed statements and of the conditions around them, arguments among them."""

    patched: bytes
    before: tuple[Range, ...]
    after: tuple[Range, ...]
    classes: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    names: frozenset[str]


def changes_of(source: Source, fix: Fix) -> Changes | str:
    """The changes of one fix, or why no class can run them."""
    parts = to_changes(source, fix.edits)
    patched = replaced(source.data, parts)
    try:
        before, after = ast.parse(source.data), ast.parse(patched)
    except (SyntaxError, ValueError) as error:
        return f"the file does not parse: {error}"
    old_places, new_places, shift = [], [], 0
    for span, text in parts:
        start, end = span.start + shift, span.start + shift + len(text)
        old_places.append(_lines(source.data, span.start, span.end))
        new_places.append(_lines(patched, start, end) if text.strip() else (0, -1))
        shift += len(text) - (span.end - span.start)
    old, new = list(_statements(before, old_places)), list(_statements(after, new_places))
    if not old and not new:
        return "the fix changes no statement inside a function"
    owners = list(dict.fromkeys(chain for _, chain in (new or old)))
    methods: dict[str, str] = {}
    for chain in owners:
        if len(chain) > 1 and chain[0] in _class_names(before):
            methods.setdefault(chain[0], chain[1])
    classes = list(dict.fromkeys(name for chain in owners for name in _users(before, chain[0])))
    if not classes:
        return "no class of the file uses the function that the fix changes"
    inherited = {
        name: method for name in classes for owner, method in methods.items() if _descends(before, name, owner)
    }
    return Changes(
        patched, tuple(dict.fromkeys(r for r, _ in old)), tuple(dict.fromkeys(r for r, _ in new)),
        tuple(classes), tuple(sorted({**inherited, **methods}.items())),
        frozenset(
            _names(before, [r for r, _ in old])
            | _names(after, [r for r, _ in new])
            | _names(before, _callers(before, {chain[-1] for chain in owners}))
        ),
    )  # fmt: skip


def _lines(data: bytes, start: int, end: int) -> Range:
    last = max(start, end - 1)  # a line break at the end belongs to the line that it ends
    return data.count(b"\n", 0, start) + 1, data.count(b"\n", 0, last) + 1


def _statements(tree: ast.Module, places: Sequence[Range]) -> Iterator[tuple[Range, tuple[str, ...]]]:
    """Statements inside functions that a place touches, with the names of the definitions around them; of a compound
    statement its header."""
    pending: list[tuple[ast.AST, tuple[str, ...], bool]] = [(tree, (), False)]
    while pending:
        node, chain, inside = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                pending.append((child, (*chain, child.name), inside or isinstance(child, _FUNCTIONS)))
                continue
            if inside and isinstance(child, ast.stmt) and not isinstance(child, (ast.Import, ast.ImportFrom)):
                first, last = _own_lines(child)
                if any(first <= end and start <= last for start, end in places):
                    yield (first, last), chain
            if not isinstance(child, ast.expr):
                pending.append((child, chain, inside))


def _own_lines(node: ast.stmt) -> Range:
    last = node.end_lineno or node.lineno
    if isinstance(node, _COMPOUND):
        last = max(node.lineno, node.body[0].lineno - 1)
    return node.lineno, last


# -- which classes run it ----------------------------------------------------------------------------------------


def _definitions(tree: ast.Module) -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found.setdefault(node.name, node)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            pending += [s for part in ("body", "orelse", "finalbody") for s in getattr(node, part, [])]
    return found


def _class_names(tree: ast.Module) -> set[str]:
    return {name for name, node in _definitions(tree).items() if isinstance(node, ast.ClassDef)}


def _users(tree: ast.Module, start: str) -> list[str]:
    """Classes that may run `start`: itself, its subclasses, then what refers to it, directly before indirectly."""
    definitions = _definitions(tree)
    mentioned = {name: _mentioned(node) for name, node in definitions.items()}
    level, seen, found = [start], {start}, []
    while level:
        level.sort(key=lambda name: not _descends(tree, name, start))
        found += [name for name in level if isinstance(definitions.get(name), ast.ClassDef)]
        following = [n for n, words in mentioned.items() if n not in seen and not words.isdisjoint(level)]
        seen.update(following)
        level = following
    return found


def _mentioned(node: ast.AST) -> set[str]:
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def _descends(tree: ast.Module, name: str, owner: str) -> bool:
    definitions = _definitions(tree)
    pending, seen = [name], set()
    while pending:
        one = pending.pop()
        if one == owner:
            return True
        node = definitions.get(one)
        if one not in seen and isinstance(node, ast.ClassDef):
            seen.add(one)
            pending += [base.id for base in node.bases if isinstance(base, ast.Name)]
    return False


def _callers(tree: ast.Module, functions: set[str]) -> list[Range]:
    """Lines that call one of the functions: what stands in the conditions around them decides whether it runs."""
    called = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in called
        if getattr(node.func, "id", None) in functions or getattr(node.func, "attr", None) in functions - {"forward"}
    ]


def _names(tree: ast.Module, ranges: Sequence[Range]) -> set[str]:
    """Words of the statements and of the conditions around them."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        last = node.end_lineno or node.lineno
        for first, end in ranges:
            if node.lineno <= first and end <= last:
                part: ast.AST = node.test if isinstance(node, (ast.If, ast.While)) else node
                if not isinstance(node, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Try)):
                    found |= set(re.findall(r"[A-Za-z_]\w*", ast.unparse(part)))
    return found - {"self", "torch", "None", "not", "is", "and", "or"}
