"""What an imported name means in one file, and how to spell a torch name in it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property

from autofix.model import Edit
from autofix.tree import Tree, inner_statements, parameter_names, walk

# The same object under several public paths; rules see the right-hand one only.
_CANONICAL = {
    "torch.nn.functional.softmax": "torch.softmax",
    "torch.nn.functional.log_softmax": "torch.log_softmax",
    "torch.special.softmax": "torch.softmax",
    "torch.special.log_softmax": "torch.log_softmax",
    "torch.special.logsumexp": "torch.logsumexp",
    "torch.nn.functional.sigmoid": "torch.sigmoid",
    "torch.special.expit": "torch.sigmoid",
    "torch.nn.functional.tanh": "torch.tanh",
    "torch.nn.functional.relu": "torch.relu",
    "torch.special.exp2": "torch.exp2",
    "torch.special.expm1": "torch.expm1",
    "torch.special.log1p": "torch.log1p",
    "torch.clip": "torch.clamp",
    "torch.nn.utils.clip_grad.clip_grad_norm_": "torch.nn.utils.clip_grad_norm_",
    "torch.nn.utils.clip_grad.clip_grad_value_": "torch.nn.utils.clip_grad_value_",
    "torch.cuda.amp.GradScaler": "torch.amp.GradScaler",
    "torch.cuda.amp.grad_scaler.GradScaler": "torch.amp.GradScaler",
    "torch.nn.modules.activation.Softmax": "torch.nn.Softmax",
}


# What an import names, up to the end of its line, of its brackets, or of lines that go on.
_IMPORTED = re.compile(r"import\b(?:[^\n(\\;]|\\\r?\n|\((?:[^)#]|#[^\n]*)*\))*")
_WORD = re.compile(r"\w+")

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Reference:
    """How to spell a torch name here, and the import edit that this spelling needs (none when it is there)."""

    text: str
    edits: tuple[Edit, ...] = ()


class Names:
    def __init__(self, module: Tree) -> None:
        self._module = module
        self._imports: dict[str, str] = {}  # local name -> dotted path
        self._local: dict[ast.AST, dict[str, str | None]] = {}
        self._bound: dict[ast.AST, frozenset[str]] = {}
        self._qualified: dict[ast.AST, str | None] = {}  # every rule asks for the same names
        self._read_imports()

    def _read_imports(self) -> None:
        """Imports at module level (inside `if`/`try` too); two different meanings of a name cancel out."""
        seen: dict[str, set[str]] = {}
        for node in _walk_scope(self._module.tree):
            for name, path in _imported(node):
                seen.setdefault(name, set()).add(path)
        rebound = self._bound_in(self._module.tree)
        for name, paths in seen.items():
            if len(paths) == 1 and name not in rebound:
                self._imports[name] = next(iter(paths))

    @cached_property
    def _imported_inside(self) -> frozenset[str]:
        """The words of imports that may stand in a function: no other name is imported in one."""
        text = self._module.text
        found = ((m, text[text.rfind("\n", 0, m.start()) + 1 : m.start()]) for m in _IMPORTED.finditer(text))
        return frozenset(w for m, before in found if _may_be_inside(before) for w in _WORD.findall(m[0]))

    def _scope_names(self, scope: ast.AST) -> tuple[dict[str, str | None], frozenset[str]]:
        """A function's own imports, and the names it binds otherwise."""
        if scope not in self._local:
            imports: dict[str, str | None] = {}
            for node in _walk_scope(scope):
                for name, path in _imported(node):
                    imports[name] = path if imports.get(name, path) == path else None
            self._local[scope] = imports
        return self._local[scope], self._bound_in(scope)

    def _bound_in(self, scope: ast.AST) -> frozenset[str]:
        """Names that a scope binds by anything but an import."""
        if scope not in self._bound:
            targets = [g.target for g in getattr(scope, "generators", [])]
            inner = frozenset(n.id for t in targets for n in walk(t) if isinstance(n, ast.Name))
            self._bound[scope] = inner or _bound_names(self._module, scope)
        return self._bound[scope]

    def lookup(self, name: str, at: ast.AST) -> str | None:
        """The dotted path that `name` stands for at the node `at`."""
        if name not in self._imports and name not in self._imported_inside:
            return None
        if not self._module.may_be_bound_at(name, at):
            return self._imports.get(name)
        for scope in self._module.ancestors(at):
            if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                imports, bound = self._scope_names(scope)
                if name in bound:
                    return None
                if name in imports:
                    return imports[name]
            elif isinstance(scope, _COMPREHENSIONS) and name in self._bound_in(scope):
                return None
        return self._imports.get(name)

    def qualified(self, node: ast.AST) -> str | None:
        if not isinstance(node, (ast.Attribute, ast.Name)):
            return None
        if node not in self._qualified:
            self._qualified[node] = self._dotted(node)
        return self._qualified[node]

    def _dotted(self, node: ast.AST) -> str | None:
        parts: list[str] = []
        current = node
        while isinstance(current, ast.Attribute):
            parts.append(current.attr)
            current = current.value
        if not isinstance(current, ast.Name):
            return None
        base = self.lookup(current.id, current)
        if base is None:
            return None
        dotted = ".".join([base, *reversed(parts)])
        return _CANONICAL.get(dotted, dotted)

    def reference(self, dotted: str, at: ast.AST) -> Reference | None:
        """Spell `dotted` ("torch.nn.functional.log_softmax", "torch.finfo") with the imports of this file.

        The longest imported prefix wins (`F.log_softmax` before `torch.nn.functional.log_softmax`). Where torch
        is not imported at all, the reference carries an edit that imports it. None when the name it would need
        is bound to something else at `at`.
        """
        best: tuple[int, str] | None = None
        candidates = {**self._imports}
        for scope in self._module.ancestors(at):
            if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
                candidates.update({n: p for n, p in self._scope_names(scope)[0].items() if p})
        for name, path in candidates.items():
            if self.lookup(name, at) != path:
                continue
            if dotted == path or dotted.startswith(path + "."):
                text = name + dotted[len(path) :]
                if best is None or len(path) > best[0]:
                    best = (len(path), text)
        if best is not None:
            return Reference(best[1])
        root = dotted.partition(".")[0]
        if root in self._imports or self._is_taken(root, at):
            return None
        edit = self.import_edit(f"import {root}")
        return Reference(dotted, (edit,))

    def _is_taken(self, name: str, at: ast.AST) -> bool:
        scopes = [s for s in self._module.ancestors(at) if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return any(name in self._bound_in(s) for s in [*scopes, self._module.tree])

    def import_edit(self, statement: str) -> Edit:
        """Insert an import: before the first plain import of torch or anything else, after docstring and
        `__future__` imports; alone at the top otherwise."""
        module = self._module
        body = module.tree.body
        anchor = 0
        for index, node in enumerate(body):
            is_doc = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            if is_doc or is_future:
                anchor = index + 1
        imports = [n for n in body[anchor:] if isinstance(n, (ast.Import, ast.ImportFrom))]
        torch_first = [n for n in imports if _root_of(n) == "torch"]
        target = (torch_first or imports or body[anchor:])[:1]
        if target and module.indentation(target[0]) == "":
            first = min([target[0].lineno, *(d.lineno for d in getattr(target[0], "decorator_list", []))])
            return module.insertion(module._char(first, 0), statement + "\n")
        if anchor and anchor <= len(body):
            _, end = module.chars(body[anchor - 1])
            return module.insertion(end, "\n" + statement)
        skip = re.match(r"(#![^\r\n]*(\r\n|\r|\n))?([ \t\f]*#.*?coding[:=][^\r\n]*(\r\n|\r|\n))?", module.text)
        return module.insertion(skip.end() if skip else 0, statement + "\n")


def _root_of(node: ast.Import | ast.ImportFrom) -> str:
    name = node.names[0].name if isinstance(node, ast.Import) else (node.module or "")
    return name.partition(".")[0]


def _may_be_inside(before: str) -> bool:
    """Whether an import with this before it on its line may stand in a function: indented, or behind `def f():`."""
    return before[:1].isspace() or ":" in before or ";" in before


def _imported(node: ast.AST) -> list[tuple[str, str]]:
    """(local name, dotted path) pairs that an import statement binds; relative imports bind no known path."""
    if isinstance(node, ast.Import):
        return [(a.asname, a.name) if a.asname else (a.name.partition(".")[0],) * 2 for a in node.names]
    if isinstance(node, ast.ImportFrom):
        prefix = "." * node.level + (node.module or "")
        return [(a.asname or a.name, f"{prefix}.{a.name}") for a in node.names if a.name != "*"]
    return []


def _walk_scope(scope: ast.AST) -> list[ast.stmt]:
    """Statements of one scope, without those of functions and classes defined inside it."""
    out: list[ast.stmt] = []
    pending = inner_statements(scope) if isinstance(getattr(scope, "body", None), list) else []
    while pending:
        node = pending.pop()
        out.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending += inner_statements(node)
    return out


def _bound_names(module: Tree, scope: ast.AST) -> frozenset[str]:
    """Names that a scope binds by anything but an import: parameters, assignments, definitions, loops."""
    names = set(parameter_names(scope))
    escaped: set[str] = set()
    for statement in _walk_scope(scope):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
            continue
        if isinstance(statement, (ast.Global, ast.Nonlocal)):
            escaped.update(statement.names)
            continue
        names |= module.binds(statement)
        names.update(h.name for h in getattr(statement, "handlers", []) if h.name)
    return frozenset(names - escaped)
