"""A parsed file: `ast` with byte spans, parents and blocks.

Nothing here recurses over the tree, so a 3,000-term sum is as good as any.
"""

from __future__ import annotations

import ast
import functools
import io
import itertools
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from autofix.fold import holds, last_line
from autofix.model import Edit, Position, Source, Span

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# Fields that hold no node, or one of `ast`'s shared singletons (operators, contexts), which have no one parent.
_PLAIN_FIELDS = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "kind", "type_comment", "level", "simple", "conversion", "is_async",
     "module", "asname", "lineno", "tag", "rest", "kwd_attrs"}
)  # fmt: skip
# Kinds of which no field holds a node.
_LEAVES = frozenset({ast.Constant, ast.Global, ast.Nonlocal, ast.MatchSingleton})
_DEFINITIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})
_GAPS = frozenset({"kw_defaults", "keys"})  # lists in which None stands for what is missing
# Text that may set an attribute of `self`: alone, in a tuple, deleted, as the target of a loop or of `with`. Each
# begins with a literal, which `re` skips to.
_SETS = tuple(
    re.compile(pattern)
    for pattern in (
        r"self\.\w+\s*(?::|[-+*/%&|^@<>]*=(?!=)|,[^\n(=]*=(?!=))",
        r"\)\s*=(?!=)",
        r"\]\s*=(?!=)",
        r"del\b",
        r"as\s+(?:[(\[][^\n]*)?self\.",
        r"for\s+[^\n]*self\.[^\n]*\bin\b",
    )
)
_WORDS_APART = bytes(c if c >= 128 or chr(c).isalnum() or c == 95 else 10 for c in range(256))
_INNER = (re.compile(r"for\b"), re.compile(":="))
_COOKIE_BYTES = 65536  # a cookie stands on one of the first two lines


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of each kind of node that can hold nodes."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        fields = () if kind in _LEAVES else kind._fields
        names = tuple(n for n in fields if n not in _PLAIN_FIELDS and (n != "name" or kind.__name__ == "TypeAlias"))
        self[kind] = names
        return names


class _BackwardFields(dict[type[ast.AST], tuple[str, ...]]):
    """The same fields, the last first."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        self[kind] = names = _FIELDS[kind][::-1]
        return names


_FIELDS = _Fields()
_BACKWARDS = _BackwardFields()
_BINDERS = frozenset({ast.arg, ast.alias, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler})


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly below, in source order, without operators and contexts: `ast.iter_child_nodes`, several
    times as fast."""
    below: list[ast.AST] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name, None)
        if type(value) is list:
            below += value if name not in _GAPS else [v for v in value if v is not None]
        elif value is not None:
            below.append(value)
    return below


def walk(root: ast.AST) -> list[ast.AST]:
    """Every node below `root` and itself, in the order of `ast.walk`, without operators and contexts."""
    nodes = [root]
    for node in nodes:  # grows meanwhile
        for name in _FIELDS[type(node)]:
            value = getattr(node, name, None)
            if type(value) is list:
                nodes += value if name not in _GAPS else [v for v in value if v is not None]
            elif value is not None:
                nodes.append(value)
    return nodes


def inner_statements(node: ast.AST) -> list[ast.stmt]:
    """The statements directly inside a statement or a module, of all its branches, handlers and cases."""
    if type(node) in _SIMPLE:
        return []
    below: list[ast.stmt] = []
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        for part in getattr(node, name, ()):
            if isinstance(part, ast.stmt):
                below.append(part)
            else:
                below += part.body
    return below


def last_part(node: ast.AST) -> str:
    """The last identifier of a dotted name; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def mentions(node: ast.AST, name: str) -> bool:
    """Whether a name occurs in a node, read or bound."""
    return any(isinstance(n, ast.Name) and n.id == name for n in walk(node))


def words_in(data: bytes) -> set[bytes]:
    """The runs of letters, digits and underscores in a file's bytes; whatever is not ASCII counts as a letter."""
    return set(data.translate(_WORDS_APART).split())


@functools.lru_cache(maxsize=65_536)
def spaced(name: str) -> str:
    """An identifier with an underscore wherever a capital follows a small letter or a digit."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def calls_of(tree: ast.AST, name: str) -> list[ast.Call]:
    """The calls below `tree` of anything whose last identifier is `name`."""
    return [n for n in walk(tree) if isinstance(n, ast.Call) and last_part(n.func) == name]


class Unit(NamedTuple):
    """A top-level statement or a direct member of a top-level class: what one visit walks."""

    node: ast.stmt
    first_line: int
    last_line: int


class Tree:
    """One parsed file: its text, its nodes and where they lie."""

    def __init__(self, source: Source, text: str, encoding: str, bom: int, tree: ast.Module) -> None:
        self.source_file = source
        self.path = source.path
        self.data = source.data
        self.text = text
        self.encoding = encoding
        self.tree = tree
        self._bom = bom
        self._parents: dict[ast.AST, ast.AST] = {}
        self._adopted: set[ast.AST] = set()
        self._bound_below: set[str] = set()

    # -- positions -------------------------------------------------------------------------------------

    @cached_property
    def _line_chars(self) -> list[int]:
        """Offset in characters at which each line starts (lines end as Python's tokenizer ends them)."""
        if "\r" in self.text:
            return [0, *(m.end() for m in _LINE_BREAK.finditer(self.text))]
        lengths = map((1).__add__, map(len, self.text.split("\n")))
        return list(itertools.accumulate(lengths, initial=0))[:-1]

    @cached_property
    def _byte_equals_utf8(self) -> bool:
        return self.encoding in ("utf-8", "utf-8-sig", "ascii")

    @cached_property
    def _all_ascii(self) -> bool:
        return self.text.isascii()

    def _char(self, line: int, utf8_column: int) -> int:
        """Character offset of a 1-based line and a column in UTF-8 bytes (what `ast` reports)."""
        start = self._line_chars[line - 1]
        if self._all_ascii:
            return start + utf8_column
        end = self._line_chars[line] if line < len(self._line_chars) else len(self.text)
        line_text = self.text[start:end]
        if line_text.isascii():
            return start + utf8_column
        return start + len(line_text.encode("utf-8")[:utf8_column].decode("utf-8"))

    def byte(self, char: int) -> int:
        """Byte offset, in the file as it lies on disk, of a character offset."""
        if self._all_ascii and self._byte_equals_utf8:
            return self._bom + char
        return self._bom + len(self.text[:char].encode(self._codec))

    @property
    def _codec(self) -> str:
        return "utf-8" if self.encoding == "utf-8-sig" else self.encoding

    def chars(self, node: ast.AST) -> tuple[int, int]:
        """Start and end of a node as character offsets in `text`."""
        return (
            self._char(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self._char(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def span(self, node: ast.AST) -> Span:
        """The bytes of a node (its own surrounding parentheses are not part of it)."""
        start, end = self.chars(node)
        return Span(self.byte(start), self.byte(end))

    def char_span(self, start: int, end: int) -> Span:
        return Span(self.byte(start), self.byte(end))

    def source(self, node: ast.AST) -> str:
        """The text of a node as it stands in the file."""
        start, end = self.chars(node)
        return self.text[start:end]

    def position(self, char: int) -> Position:
        line = bisect_right(self._line_chars, char)
        return Position(line, char - self._line_chars[line - 1] + 1)

    def line_start(self, char: int) -> int:
        """Character offset of the start of the line that holds `char`."""
        return self._line_chars[bisect_right(self._line_chars, char) - 1]

    def line_text(self, line: int) -> str:
        """The text of a 1-based line, with its line break."""
        start = self._line_chars[line - 1]
        end = self._line_chars[line] if line < len(self._line_chars) else len(self.text)
        return self.text[start:end]

    def indentation(self, statement: ast.stmt) -> str | None:
        """The white space before a statement, or None when something else stands there (`a; b`, `if x: a`)."""
        start, _ = self.chars(statement)
        before = self.text[self.line_start(start) : start]
        return before if not before.strip() else None

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        """Character spans of the file's comments, in order."""
        out = []
        # tokenize knows `\\n` only; replacing each break by one keeps line numbers and columns.
        plain = _LINE_BREAK.sub("\n", self.text)
        try:
            for token in tokenize.generate_tokens(io.StringIO(plain).readline):
                if token.type == tokenize.COMMENT:
                    start = self._line_chars[token.start[0] - 1] + token.start[1]
                    out.append((start, start + len(token.string)))
        except (tokenize.TokenError, SyntaxError, IndentationError):
            return out
        return out

    # -- structure -------------------------------------------------------------------------------------

    @cached_property
    def units(self) -> list[Unit]:
        """Top-level statements in order; a class is replaced by the statements of its body."""
        out: list[Unit] = []
        pending: list[ast.stmt] = list(reversed(self.tree.body))
        for node in self.tree.body:
            self._parents[node] = self.tree
        while pending:
            node = pending.pop()
            if isinstance(node, ast.ClassDef):
                pending.extend(reversed(node.body))
                for part in [*node.body, *node.bases, *node.keywords, *node.decorator_list]:
                    self._parents[part] = node
                continue
            decorators = getattr(node, "decorator_list", None)
            first = min(node.lineno, decorators[0].lineno) if decorators else node.lineno
            out.append(Unit(node, first, last_line(node)))
        return out

    def adopt(self, root: ast.AST) -> list[ast.AST]:
        """Record the parents below `root` and return every node below it, itself first, in source order."""
        nodes: list[ast.AST] = []
        pending = [root]
        parents, bound, push = self._parents, self._bound_below, pending.append
        while pending:
            node = pending.pop()
            nodes.append(node)
            kind = type(node)
            if kind is ast.Name:  # every third node: nothing below
                if type(node.ctx) is not ast.Load:  # type: ignore[attr-defined]
                    bound.add(node.id)  # type: ignore[attr-defined]
                continue
            if kind in _BINDERS:
                bound.update(_binds(node, root))
            for name in _BACKWARDS[kind]:
                value = getattr(node, name, None)
                if type(value) is list:
                    for child in reversed(value):
                        if child is not None:
                            parents[child] = node
                            push(child)
                elif value is not None:
                    parents[value] = node
                    push(value)
        self._adopted.add(root)
        return nodes

    @cached_property
    def _nodes(self) -> dict[ast.AST, list[ast.AST]]:
        return {}

    def nodes(self, root: ast.AST) -> list[ast.AST]:
        """`walk(root)`, remembered: for functions and classes, which rules look through again and again. It is not
        to be changed."""
        known = self._nodes.get(root)
        if known is None:
            known = self._nodes[root] = walk(root)
        return known

    def parent(self, node: ast.AST) -> ast.AST | None:
        known = self._parents.get(node)
        if known is not None:
            return known
        if node is self.tree:
            return None
        if node not in self._parents:
            self._adopt_around(getattr(node, "lineno", 0))
        if node not in self._parents and self.tree not in self._adopted:
            self.adopt(self.tree)
        return self._parents.get(node)

    @cached_property
    def has_walrus(self) -> bool:
        """Whether `:=` may occur in the file at all."""
        return ":=" in self.text

    @cached_property
    def _inner_lines(self) -> list[int]:
        """The lines on which a comprehension or `:=` may bind a name inside an expression."""
        found = {m.start() for word in _INNER for m in word.finditer(self.text)}
        return sorted({bisect_right(self._line_chars, at) for at in found})

    def binds(self, statement: ast.AST) -> set[str]:
        """`bound_by`, looking into a statement's expressions only where they may bind a name."""
        if not isinstance(statement, ast.stmt):
            return bound_by(statement)
        last = statement.end_lineno or statement.lineno
        return bound_by(statement, holds(self._inner_lines, statement.lineno, last))

    def may_be_bound_at(self, name: str, node: ast.AST) -> bool:
        """Whether a scope around `node`, below the module's own, may bind `name`: False is certain."""
        self.parent(node)
        return name in self._bound_below

    def _adopt_around(self, line: int) -> None:
        """Record parents in the units that hold `line`: cheaper than in the whole file."""
        for unit in self.units:
            if unit.first_line <= line <= unit.last_line and unit.node not in self._adopted:
                self.adopt(unit.node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Parents from the inside outwards, the module last."""
        current = self.parent(node)
        parents = self._parents  # has all that is above a node that has one
        while current is not None:
            yield current
            current = parents.get(current)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds `node` (itself when it is one)."""
        if isinstance(node, ast.stmt):
            return node
        return next(a for a in self.ancestors(node) if isinstance(a, ast.stmt))

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The list of statements that `statement` is an element of."""
        parent = self.parent(statement)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and statement in block:
                return block
        return [statement]

    def function(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function or lambda around `node`."""
        return next(
            (a for a in self.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))),
            None,
        )

    def function_scope(self, node: ast.AST) -> ast.AST:
        """The innermost `def` around `node` (lambdas do not count), else the module."""
        current = self.parent(node)
        parents = self._parents
        while current is not None and type(current) not in _DEFINITIONS:
            current = parents.get(current)
        return current or self.tree

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The innermost class around `node`."""
        return next((a for a in self.ancestors(node) if isinstance(a, ast.ClassDef)), None)

    def method(self, cls: ast.ClassDef, name: str) -> ast.FunctionDef | None:
        return next((s for s in cls.body if isinstance(s, ast.FunctionDef) and s.name == name), None)

    @cached_property
    def _attributes(self) -> dict[ast.ClassDef, dict[str, list[ast.expr | None]]]:
        return {}

    def self_attribute(self, cls: ast.ClassDef, name: str) -> ast.expr | None:
        """The value of `self.<name>` when the class assigns it exactly once (anywhere in its methods)."""
        table = self._attributes.get(cls)
        if table is None:
            table = self._attributes.setdefault(cls, _self_attributes(self.setters(cls)))
        values = table.get(name, [])
        return values[0] if len(values) == 1 else None

    def setters(self, cls: ast.ClassDef) -> list[ast.stmt]:
        """The members of a class whose text may set an attribute of `self`."""
        return [part for part in cls.body if _may_set(self.lines_of(part))]

    def lines_of(self, statement: ast.stmt) -> str:
        """The lines of a statement, which is not parsed for that."""
        starts = self._line_chars
        last = last_line(statement)
        return self.text[starts[statement.lineno - 1] : starts[last] if last < len(starts) else len(self.text)]

    def naming(self, name: str) -> list[ast.AST]:
        """The parts of the file, in source order, in which an identifier may stand: statements and functions at the
        top and in classes whose text has it, and what stands in the heads of classes. Others need not be parsed."""
        known = self._naming.get(name)
        if known is None:
            lines, at = [], self.text.find(name)
            while at >= 0:
                lines.append(bisect_right(self._line_chars, at))
                at = self.text.find(name, self._line_chars[lines[-1]]) if lines[-1] < len(self._line_chars) else -1
            known = self._naming[name] = [p for p, first, last in self._parts if holds(lines, first, last)]
        return known

    def calls(self, name: str) -> list[ast.Call]:
        """The calls in the file of anything whose last identifier is `name`, in the order of `naming`."""
        return [c for part in self.naming(name) for c in calls_of(part, name)]

    @cached_property
    def _naming(self) -> dict[str, list[ast.AST]]:
        return {}

    @cached_property
    def _parts(self) -> list[tuple[ast.AST, int, int]]:
        """The units and the expressions in the heads of classes, with the lines that they begin and end on."""
        out: list[tuple[ast.AST, int, int]] = [(u.node, u.first_line, u.last_line) for u in self.units]
        classes = [s for s in self.tree.body if isinstance(s, ast.ClassDef)]
        for cls in classes:  # grows meanwhile
            classes += (s for s in cls.body if isinstance(s, ast.ClassDef))
            heads = (*cls.bases, *(k.value for k in cls.keywords), *cls.decorator_list)
            out += ((h, h.lineno, h.end_lineno or h.lineno) for h in heads)
        return sorted(out, key=lambda part: part[1])

    def forget(self) -> None:
        """Drop the tree and all that was derived from it: what refers to each other would otherwise wait for the
        garbage collector, and trees that are kept alive make parsing several times slower."""
        self.__dict__.clear()

    # -- editing ---------------------------------------------------------------------------------------

    def insertion(self, char: int, text: str) -> Edit:
        return Edit(self.char_span(char, char), text)


def bound_by(statement: ast.AST, inside: bool = True) -> set[str]:
    """The names that a statement itself binds by assignment, not the statements inside it, nor its definitions and
    imports. inside: whether to look for comprehensions and `:=` in its expressions."""
    if inside:
        own = [c for c in children(statement) if not isinstance(c, (ast.stmt, ast.excepthandler, ast.match_case))]
        return {n.id for p in own for n in walk(p) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    kind = type(statement)
    targets: list[ast.AST | None] = []
    if kind is ast.Assign or kind is ast.Delete:
        targets = list(statement.targets)  # type: ignore[attr-defined]
    elif kind in _ONE_TARGET:
        targets = [statement.target]  # type: ignore[attr-defined]
    elif kind is ast.With or kind is ast.AsyncWith:
        targets = [item.optional_vars for item in statement.items]  # type: ignore[attr-defined]
    names: set[str] = set()
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Name):
            names.add(target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            targets += target.elts
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
    return names


_SIMPLE = frozenset(
    {ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Assert, ast.Delete, ast.Pass,
     ast.Break, ast.Continue, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal}
)  # fmt: skip
_ONE_TARGET = frozenset({ast.AugAssign, ast.AnnAssign, ast.For, ast.AsyncFor})


def _binds(node: ast.AST, root: ast.AST) -> Iterable[str]:
    """The names that a node of one of the kinds in `_BINDERS` binds, below the statement `root`."""
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.alias):
        return () if isinstance(root, (ast.Import, ast.ImportFrom)) else (node.asname or node.name.partition(".")[0],)
    name: str | None = node.name  # type: ignore[attr-defined]
    return (name,) if name else ()


def _self_attributes(setters: Iterable[ast.stmt]) -> dict[str, list[ast.expr | None]]:
    """Every value assigned to `self.<name>` in the members of a class; None stands for an assignment without a plain
    value (augmented, unpacked, a loop target)."""
    table: dict[str, list[ast.expr | None]] = {}
    plain: list[tuple[list[ast.expr], ast.expr | None]] = []
    for part in setters:
        for node in walk(part):
            kind = type(node)
            if kind is ast.Attribute:
                if type(node.ctx) is not ast.Load and _is_self(node.value):  # type: ignore[attr-defined]
                    table.setdefault(node.attr, []).append(None)  # type: ignore[attr-defined]
            elif kind is ast.Assign:
                plain.append((node.targets, node.value))  # type: ignore[attr-defined]
            elif kind is ast.AnnAssign:
                plain.append(([node.target], node.value))  # type: ignore[attr-defined]
    for targets, value in plain:
        for target in targets:
            if isinstance(target, ast.Attribute) and _is_self(target.value):
                slots = table[target.attr]
                slots[slots.index(None)] = value
    return table


def _may_set(text: str) -> bool:
    return "self." in text and any(pattern.search(text) for pattern in _SETS)


def parameter_names(scope: ast.AST) -> frozenset[str]:
    """The names of a function's or lambda's parameters, of every kind; none for another node."""
    args = getattr(scope, "args", None)
    if not isinstance(args, ast.arguments):
        return frozenset()
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return frozenset(a.arg for a in every if a is not None)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def detect_encoding(data: bytes) -> str:
    """The encoding that a BOM or a coding cookie declares ("utf-8-sig" with a BOM); a lone carriage return ends a line.

    Raises:
        SyntaxError: the cookie names no codec, or contradicts the BOM, or the first lines are not valid UTF-8.
    """
    second = data.find(b"\n", data.find(b"\n") + 1) + 1
    lines = iter(data[: second or _COOKIE_BYTES].splitlines(keepends=True))
    return tokenize.detect_encoding(lambda: next(lines, b""))[0]
