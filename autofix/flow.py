"""Definitions and uses inside one function: which assignment a name's value comes from, and who else reads it.

Deliberately conservative: a name that several assignments can reach has no definition here, and a rule that
needs one stays silent.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from autofix.tree import Tree, inner_statements, parameter_names, walk

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, slots=True)
class Definition:
    """The one place a value comes from.

    statement: the assignment, or the function for a parameter. value: the assigned expression when it is bound
    to the plain name (`x = value`, `x: T = value`, `(x := value)`), else None (unpacking, parameter, loop
    target, augmented). kind: "assign", "unpack", "augment", "parameter", "loop", "with", "import", "other".
    """

    name: str
    statement: ast.AST
    value: ast.expr | None
    kind: str

    @property
    def whole(self) -> ast.expr | None:
        """The value of which an unpacking binds a part to the name: `f(x)` in `a, b = f(x)`."""
        return self.statement.value if self.kind == "unpack" and isinstance(self.statement, ast.Assign) else None


class Flow:
    """Definitions and uses of the names of one function (or of the module's top level)."""

    def __init__(self, module: Tree, scope: ast.AST) -> None:
        self.module = module
        self.scope = scope
        self._stored: dict[ast.AST, frozenset[str]] = {}
        self._answers: dict[ast.Name, Definition | None] = {}
        self._own: dict[ast.AST, frozenset[str]] = {}
        self._walrus: dict[ast.AST, frozenset[str]] = {}

    @cached_property
    def loads(self) -> dict[str, list[ast.Name]]:
        """Every read of a name in the function, nested functions and lambdas included, in source order."""
        table: dict[str, list[ast.Name]] = {}
        for node in self.module.nodes(self.scope):
            if type(node) is ast.Name and type(node.ctx) is ast.Load:
                table.setdefault(node.id, []).append(node)
        for nodes in table.values():
            nodes.sort(key=lambda n: (n.lineno, n.col_offset))
        return table

    def definition(self, name: ast.Name) -> Definition | None:
        """The single definition whose value `name` (a read in this function) has, or None when that is not
        certain (branches, loops that rebind it, closures, globals)."""
        if name not in self._answers:
            self._answers[name] = self._reach(name.id, name)
        return self._answers[name]

    def value(self, node: ast.expr) -> ast.expr:
        """Follow plain single definitions: a name becomes the expression it was assigned, repeatedly."""
        seen = 0
        while isinstance(node, ast.Name) and seen < 8:
            found = self.definition(node)
            if found is None or found.value is None:
                return node
            node, seen = found.value, seen + 1
        return node

    def definition_before(self, name: str, statement: ast.stmt) -> Definition | None:
        """The definition of `name` that reaches the start of `statement`."""
        return self._reach(name, statement)

    def readers(self, definition: Definition) -> list[ast.Name] | None:
        """Every read of the value of `definition`, in source order; None when some read of that name may or may
        not see it."""
        out = []
        for load in self.loads.get(definition.name, []):
            found = self.definition(load)
            if found is None:
                return None
            if found.statement is definition.statement:
                out.append(load)
        return out

    def certain_readers(self, name: str, statement: ast.AST) -> list[ast.Name]:
        """The reads of a name that certainly see what `statement` binds to it, in source order; others may as well."""
        found = ((load, self.definition(load)) for load in self.loads.get(name, []))
        return [load for load, definition in found if definition is not None and definition.statement is statement]

    @cached_property
    def _stores(self) -> dict[str, list[ast.stmt]]:
        table: dict[str, list[ast.stmt]] = {}
        for statement in sorted(_statements(self.scope), key=lambda s: s.lineno):
            for name in self._binds(statement):
                table.setdefault(name, []).append(statement)
        return table

    @cached_property
    def _handled(self) -> frozenset[str]:
        """The names of exceptions that handlers in the function bind."""
        handlers = (h for s in _statements(self.scope) if isinstance(s, ast.Try) for h in s.handlers)
        return frozenset(h.name for h in handlers if h.name)

    def _is_ahead(self, earlier: ast.stmt, statement: ast.stmt) -> bool:
        """Whether a statement stands before another, or what that lies in, in the same block."""
        module = self.module
        block = module.block(earlier)
        around: ast.AST | None = statement
        while around is not None and around is not self.scope:
            if around in block:
                return block.index(earlier) < block.index(around)
            around = module.parent(around)
        return False

    def stores(self, name: str) -> list[ast.stmt]:
        """The statements of this function that bind `name` (nested scopes apart), in source order."""
        return list(self._stores.get(name, ()))

    # -- the search ------------------------------------------------------------------------------------

    def _reach(self, name: str, node: ast.AST) -> Definition | None:
        module = self.module
        if module.function_scope(node) is not self.scope and node is not self.scope:
            return None
        for ancestor in module.ancestors(node):
            if ancestor is self.scope:
                break
            inner = isinstance(ancestor, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
            if inner and name in _inner_names(ancestor):
                return None
        statement = module.statement(node)
        if node is not statement and name in self._assigned_inside(statement):
            return None
        if name not in self._handled:
            stores = self._stores.get(name, ())
            if not stores:
                return self._parameter(name)
            if len(stores) == 1 and self._is_ahead(stores[0], statement):
                return self._definition(name, stores[0])
        while True:
            parent = module.parent(statement)
            block = module.block(statement)
            index = block.index(statement)
            for earlier in reversed(block[:index]):
                if name in self._stores_below(earlier):
                    return self._definition(name, earlier)
            if parent is None or parent is self.scope:
                break
            if isinstance(parent, _LOOPS):
                if name in self._stores_below(parent):
                    if (
                        isinstance(parent, (ast.For, ast.AsyncFor))
                        and statement in parent.body
                        and name in self._binds(parent)
                    ):
                        inside = any(name in self._stores_below(s) for s in parent.body)
                        return None if inside else Definition(name, parent, None, "loop")
                    return None
            elif isinstance(parent, (ast.With, ast.AsyncWith)):
                if name in self._binds(parent):
                    return Definition(name, parent, None, "with")
            elif isinstance(parent, ast.Try):
                in_handler = statement not in parent.body
                if in_handler and any(name in self._stores_below(s) for s in parent.body):
                    return None
            elif isinstance(parent, ast.ExceptHandler):
                if parent.name == name:
                    return Definition(name, parent, None, "other")
                owner = module.parent(parent)
                if owner is not None and any(name in self._stores_below(s) for s in getattr(owner, "body", [])):
                    return None
                parent = owner
            if not isinstance(parent, ast.stmt):
                owner = module.parent(parent) if parent is not None else None
                if not isinstance(owner, ast.stmt):
                    return None
                parent = owner
            statement = parent
        return self._parameter(name)

    def _parameter(self, name: str) -> Definition | None:
        if name in parameter_names(self.scope):
            return Definition(name, self.scope, None, "parameter")
        return None

    def _stores_below(self, statement: ast.stmt) -> frozenset[str]:
        if statement not in self._stored:
            names = set(self._binds(statement))
            for inner in _statements(statement):
                names |= self._binds(inner)
            self._stored[statement] = frozenset(names)
        return self._stored[statement]

    def _definition(self, name: str, statement: ast.stmt) -> Definition | None:
        """What a statement that binds `name` somewhere says of it; None when it binds it only on some path."""
        if isinstance(statement, (ast.With, ast.AsyncWith)):  # its body runs exactly once
            for inner in reversed(statement.body):
                if name in self._binds(inner) or any(name in self._binds(s) for s in _statements(inner)):
                    return self._definition(name, inner)
        if name not in self._binds(statement):
            return None
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    return Definition(name, statement, statement.value, "assign")
            return Definition(name, statement, None, "unpack")
        if isinstance(statement, ast.AnnAssign):
            return Definition(name, statement, statement.value, "assign")
        if isinstance(statement, ast.AugAssign):
            return Definition(name, statement, None, "augment")
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return Definition(name, statement, None, "import")
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return Definition(name, statement, None, "other")
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            return Definition(name, statement, None, "with")
        return None

    def _binds(self, statement: ast.AST) -> frozenset[str]:
        """Names that a statement itself binds (not the statements inside it)."""
        if statement not in self._own:
            self._own[statement] = _bound_by(self.module, statement)
        return self._own[statement]

    def _assigned_inside(self, statement: ast.stmt) -> frozenset[str]:
        """Names that `:=` binds anywhere in a statement."""
        if not self.module.has_walrus:
            return frozenset()
        if statement not in self._walrus:
            named = (n.target.id for n in walk(statement) if isinstance(n, ast.NamedExpr))
            self._walrus[statement] = frozenset(named)
        return self._walrus[statement]


def parameter_default(function: ast.AST, name: str) -> ast.expr | None:
    """The default value of a parameter, when it has one."""
    args = getattr(function, "args", None)
    if not isinstance(args, ast.arguments):
        return None
    positional = [*args.posonlyargs, *args.args]
    for arg, default in zip(reversed(positional), reversed(args.defaults), strict=False):
        if arg.arg == name:
            return default
    for arg, kw_default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if arg.arg == name:
            return kw_default
    return None


def _bound_by(module: Tree, statement: ast.AST) -> frozenset[str]:
    """Names that a statement itself binds (not the statements inside it)."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return frozenset((statement.name,))
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return frozenset((a.asname or a.name.partition(".")[0]) for a in statement.names)
    return frozenset(module.binds(statement))


def _statements(scope: ast.AST) -> list[ast.stmt]:
    """Every statement below `scope`, not entering functions and classes defined there."""
    out: list[ast.stmt] = []
    pending = inner_statements(scope)
    while pending:
        node = pending.pop()
        out.append(node)
        if not isinstance(node, _SCOPES):
            pending += inner_statements(node)
    return out


def _inner_names(node: ast.AST) -> frozenset[str]:
    if isinstance(node, ast.Lambda):
        return parameter_names(node)
    generators = node.generators  # type: ignore[attr-defined]
    return frozenset(n.id for g in generators for n in walk(g.target) if isinstance(n, ast.Name))
