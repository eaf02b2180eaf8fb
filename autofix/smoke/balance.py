"""Plans the trial of a load-balancing loss: the statements from the router's scores to the choice and the loss."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from autofix.edits import apply_edits
from autofix.model import Fix, Problem, Relation, Source
from autofix.smoke.job import Job
from autofix.smoke.slices import loads, stores
from autofix.syntax import Module, parse
from autofix.tree import walk

_SCORES, _OTHERS = "router_output_under_trial", "other_output_under_trial"
_MODEL, _LAYER = "model_under_trial", "layer_under_trial"
_COUNT = re.compile(r"(^|_)(n|num|number_of|nb)_*(of_)?(local_|routed_)?experts?$|^experts?_(count|number)$|^E$")


def is_about_balance(fix: Fix) -> bool:
    return fix.claim.relation is Relation.BALANCE


def plan(module: Module, fix: Fix) -> Job | str:
    """A "balance" job for a fix, or why its statements cannot be executed by themselves."""
    after = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    if isinstance(after, Problem):
        return f"the patched file does not parse: {after.message}"
    named = {k: v for k, v in fix.claim.parameters.items() if isinstance(v, str)}
    if fix.claim.region is None or not {"loss", "choice", "scores"} <= named.keys():
        return "the claim names no loss, choice or scores"
    path = _path(module, fix.claim.region.start)
    old, new = _function(module, path), _function(after, path)
    if old is None or new is None:
        return "the function that makes the choice is not in view"
    loss, choice, scores = (_plain(named[k]) for k in ("loss", "choice", "scores"))
    wanted = _slice(new, lambda s: loss in _targets(s), scores)
    chosen = _slice(old, lambda s: choice in _targets(s), scores)
    if not wanted:
        return f"the patched code never assigns {loss}"
    if not chosen:
        return f"nothing assigns {choice}"
    both = [_SCORES, _OTHERS, *(n for s in (*chosen, *wanted) for n in stores([s]))]
    unknown = _unknown((*chosen, *wanted), both)
    opened = [_Opened(scores).visit(ast.parse(ast.unparse(s))) for s in (*chosen, *wanted)]
    own = {
        n.attr for s in opened for n in ast.walk(s) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"
    }
    return Job(
        "balance",
        {
            "imports": _imports(after),
            "before": _text(chosen, scores),
            "after": _text(_slice(new, lambda s: loss in _targets(s) or choice in _targets(s), scores), scores),
            "scores": _SCORES,
            "others": _OTHERS,
            "choice": choice,
            "loss": loss,
            "counts": sorted(n for n in unknown if _COUNT.search(n)),
            "read": sorted(n for n in own if n != loss.rpartition(".")[2]),
            "assumptions": list(fix.claim.assumptions),
            **_joined(after, loss),
        },
    )


def _plain(text: str) -> str:
    return ast.unparse(ast.parse(text.strip(), mode="eval"))


def _path(module: Module, start: int) -> list[str]:
    """The names of the classes and functions around a byte of the file, from the outside in."""
    out: list[str] = []
    body: Sequence[ast.AST] = module.tree.body
    while True:
        inner = [
            s
            for s in body
            if isinstance(s, (ast.ClassDef, ast.FunctionDef)) and module.span(s).start <= start < module.span(s).end
        ]
        if not inner:
            return out
        out.append(inner[0].name)
        body = inner[0].body


def _function(module: Module, path: Sequence[str]) -> ast.FunctionDef | None:
    body: Sequence[ast.AST] = module.tree.body
    found: ast.AST | None = None
    for name in path:
        found = next((s for s in body if isinstance(s, (ast.ClassDef, ast.FunctionDef)) and s.name == name), None)
        body = getattr(found, "body", [])
    return found if isinstance(found, ast.FunctionDef) else None


def _targets(statement: ast.stmt) -> set[str]:
    targets: list[ast.expr] = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    parts = [e for t in targets for e in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
    return {ast.unparse(p) for p in parts}


def _slice(function: ast.FunctionDef, is_wanted: Callable[[ast.stmt], bool], scores: str) -> list[ast.stmt]:
    """The wanted statements and what they need, back to the router's scores."""
    flat = [s for s in walk(function) if isinstance(s, (ast.Assign, ast.AnnAssign, ast.AugAssign))]
    flat.sort(key=lambda s: s.lineno)
    out: list[ast.stmt] = []
    needed: set[str] = set()
    for statement in reversed(flat):
        if not (is_wanted(statement) or stores([statement]) & needed):
            continue
        if _targets(statement) == {scores}:
            continue  # the leaf itself
        out.insert(0, statement)
        if not isinstance(statement, ast.AugAssign):
            needed -= stores([statement])
        needed |= loads([_Opened(scores).visit(ast.parse(ast.unparse(statement)))])
    return out


class _Opened(ast.NodeTransformer):
    """The router's scores become the leaf of the trial, what other modules give (the width of noise) another one."""

    def __init__(self, scores: str) -> None:
        self.scores = scores

    def visit(self, node: ast.AST) -> ast.AST:
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.expr) and is_read and ast.unparse(node) == self.scores:
            return ast.copy_location(ast.Name(_SCORES, ast.Load()), node)
        func = getattr(node, "func", None)
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
            return ast.copy_location(ast.Name(_OTHERS, ast.Load()), node)
        return self.generic_visit(node)


def _text(statements: Sequence[ast.stmt], scores: str) -> str:
    opened = [_Opened(scores).visit(ast.parse(ast.unparse(s))) for s in statements]
    return "\n".join(ast.unparse(s) for s in opened)


def _unknown(statements: Sequence[ast.stmt], known: Sequence[str]) -> set[str]:
    """Names, and attributes of `self`, that the statements read and do not make."""
    out: set[str] = set()
    for statement in statements:
        for node in walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                out.add(node.attr)
            elif isinstance(node, ast.Name) and node.id not in known:
                out.add(node.id)
    return out


def _imports(module: Module) -> str:
    """The file's own imports of torch and of the standard library's mathematics."""
    kept = []
    for statement in module.tree.body:
        roots = [a.name.partition(".")[0] for a in statement.names] if isinstance(statement, ast.Import) else []
        if isinstance(statement, ast.ImportFrom) and not statement.level:
            roots = [(statement.module or "").partition(".")[0]]
        if roots and all(r in ("torch", "math") for r in roots):
            kept.append(ast.unparse(statement))
    return "\n".join(kept)


def _joined(after: Module, loss: str) -> dict[str, str]:
    """The statement that adds the auxiliary loss to another one, where the file has it."""
    name = loss.rpartition(".")[2]
    for node in walk(after.tree):
        if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) == loss:
            continue
        if not any(isinstance(n, ast.Attribute) and n.attr == name for n in walk(node.value)):
            continue
        copy = ast.parse(ast.unparse(node)).body[0]
        for part in ast.walk(copy):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "modules":
                part.func.value = ast.Name(_MODEL, ast.Load())
            elif isinstance(part, ast.Call) and ast.unparse(part.func) == "isinstance" and len(part.args) == 2:
                part.args[1] = ast.Name(_LAYER, ast.Load())
        return {
            "joined": ast.unparse(ast.fix_missing_locations(copy)), "total": ast.unparse(node.targets[0]),
            "model": _MODEL, "layer": _LAYER, "attribute": name,
        }  # fmt: skip
    return {}
