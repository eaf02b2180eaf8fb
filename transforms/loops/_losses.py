"""Losses whose backward pass a loop runs, and what the loop keeps of them from turn to turn."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes, same
from autofix.transforms.loops._loops import LOOPS, backward_call
from autofix.tree import walk

_TERM = re.compile(r"loss|(^|_)(kld?|nll|bce|mse|ce|reg|recon\w*|penalty|error|energy)(_|$)", re.I)
_TERMS = 3  # assignments between a term and the loss that is differentiated
_RETAINS = ("retain_graph", "create_graph")


@dataclass(frozen=True, slots=True)
class Kept:
    """loop: the innermost loop around; loss: the read of the loss that is kept; store: the expression it is kept in."""

    loop: ast.stmt
    loss: ast.Name
    store: ast.expr


def innermost_loop(module: Module, node: ast.AST) -> ast.stmt | None:
    """The innermost loop of the function around `node`."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, LOOPS):
            return ancestor
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            return None
    return None


def has_run_backward(module: Module, loop: ast.stmt, loss: ast.Name) -> bool:
    """Whether the same turn of `loop` runs the backward pass of this very value, or of a loss that it is a term of,
    once, without keeping its graph."""
    defined = module.flow(loss).definition(loss)
    if defined is None or not any(a is loop for a in module.ancestors(defined.statement)):
        return False
    found = False
    for node in own_nodes(loop):
        backward = backward_call(module, node)
        if backward is None or backward.kind == "helper":
            continue
        if any(k.arg in _RETAINS or k.arg is None for k in backward.call.keywords):
            return False
        subject = _subject(backward.call, backward.kind)
        if isinstance(subject, ast.Name) and innermost_loop(module, subject) is loop:
            found |= _is_made_of(module, subject, loss.id, defined.statement, _TERMS if _TERM.search(loss.id) else 0)
    return found and not _under_no_grad(module, defined.statement)


def _is_made_of(module: Module, subject: ast.Name, name: str, statement: ast.AST, steps: int) -> bool:
    """Whether a value is the one that `statement` gives to `name`, or computed of it in at most `steps` assignments,
    as a sum of terms is."""
    found = module.flow(subject).definition(subject)
    if found is None:
        return False
    if subject.id == name and found.statement is statement:
        return True
    if not steps or found.kind != "assign" or found.value is None:
        return False
    return any(_is_made_of(module, t, name, statement, steps - 1) for t in _terms(found.value))


def _terms(value: ast.expr) -> list[ast.Name]:
    """The names that a value is a sum of, weighted by whatever."""
    if isinstance(value, ast.Name):
        return [value]
    if isinstance(value, ast.BinOp):
        return [*_terms(value.left), *_terms(value.right)]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("mean", "sum"):
        return _terms(value.func.value)
    return []


def _subject(call: ast.Call, kind: str) -> ast.expr | None:
    """What is differentiated: the receiver, or the argument of whatever runs the backward pass."""
    if not isinstance(call.func, ast.Attribute):
        return None
    if kind == "tensor":
        return call.func.value
    if kind == "scaled":
        scaled = call.func.value
        return scaled.args[0] if isinstance(scaled, ast.Call) and scaled.args else None
    return call.args[0] if call.args else None


def _under_no_grad(module: Module, node: ast.AST) -> bool:
    return any(
        isinstance(a, (ast.With, ast.AsyncWith)) and any("no_grad" in ast.unparse(i.context_expr) for i in a.items)
        for a in module.ancestors(node)
    )


def starts_outside(module: Module, loop: ast.stmt, store: ast.expr) -> str | None:
    """What a store that `loop` adds to starts as, before the loop ("0", "[]" or "{}"), when this function says so and
    the loop itself never starts it anew: None otherwise."""
    scope = module.function_scope(loop)
    inside = {id(n) for n in walk(loop)}
    starts: set[str | None] = set()
    for node in own_nodes(scope):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target, value in _pairs(targets, node.value):
            if not same(_loaded(target), _loaded(store)):
                continue
            if id(node) in inside:
                if not _adds_to_itself(value, store):
                    return None
                continue
            starts.add(_start(value))
    return next(iter(starts)) if len(starts) == 1 else None


def _pairs(targets: Sequence[ast.expr], value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    out: list[tuple[ast.expr, ast.expr]] = []
    for target in targets:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            out += zip(target.elts, value.elts, strict=True)
        else:
            out.append((target, value))
    return out


def _loaded(node: ast.expr) -> ast.expr:
    """The same name, attribute or subscript as a read: `ast.dump` tells stores from reads."""
    return ast.parse(ast.unparse(node), mode="eval").body


def _adds_to_itself(value: ast.expr, store: ast.expr) -> bool:
    return isinstance(value, ast.BinOp) and same(_loaded(value.left), _loaded(store))


def _start(value: ast.expr) -> str | None:
    if isinstance(value, ast.Constant) and type(value.value) in (int, float) and not value.value:
        return "0"
    if isinstance(value, ast.List) and not value.elts:
        return "[]"
    if isinstance(value, ast.Dict) and not value.keys:
        return "{}"
    if isinstance(value, ast.Call) and not value.args and isinstance(value.func, ast.Name):
        return {"list": "[]", "dict": "{}"}.get(value.func.id)
    return None


def is_differentiated(module: Module, store: ast.expr) -> bool:
    """Whether what is kept may be differentiated later: a backward pass, or a gradient, of anything computed of it."""
    scope: ast.AST = module.function_scope(store)
    text = ast.unparse(store)
    if text.startswith("self."):
        scope = module.class_of(store) or scope
    tainted = {text}
    nodes = [n for n in walk(scope) if isinstance(n, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.NamedExpr))]
    for _ in range(4):
        for node in nodes:
            value = node.value
            if value is None or (isinstance(node, ast.AugAssign) and ast.unparse(node.target) == text):
                continue
            if any(_reads(value, name) for name in tainted) and not _is_number(value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                tainted |= {ast.unparse(t) for t in targets if not isinstance(t, (ast.Tuple, ast.List))}
    for call in walk(scope):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        differentiates = "backward" in call.func.attr or call.func.attr == "grad"
        if differentiates and any(_reads(part, name) for part in (call.func, *call.args) for name in tainted):
            return True
    return False


def _is_number(value: ast.expr) -> bool:
    """Whether a value certainly has no graph any more: `x.item()`, `float(x)`."""
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in ("item", "float", "detach", "tolist", "numpy")
    return False


def _reads(node: ast.AST, text: str) -> bool:
    return any(isinstance(n, (ast.Name, ast.Attribute, ast.Subscript)) and ast.unparse(n) == text for n in walk(node))
