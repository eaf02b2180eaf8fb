"""Keeping a denominator that is never negative away from zero, by a bound that fits its dtype."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Edit
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import dtype_of, float_dtype_of
from autofix.transforms.ranges._clamping import brackets
from autofix.tree import walk

_BRANCHING = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)
_HALF_TOO = "what its dtype resolves, half precision too"


@dataclass(frozen=True, slots=True)
class Floor:
    """The edits, the bound as it is written, and why it is this one."""

    edits: tuple[Edit, ...]
    bound: str
    why: str


def floored(module: Module, node: ast.expr, source: ast.expr | None, floating: bool, name: str) -> Floor:
    """Clamp `node` from below. source: a tensor of its dtype, where one is in view; floating: its dtype certainly is
    a floating-point one. name: what it is called where it has to be bound first.

    Raises:
        Unrewritable: its dtype cannot be named, and it cannot be bound to a name either.
    """
    finfo = module.names.reference("torch.finfo", node)
    if finfo is None or finfo.edits:
        raise Unrewritable("torch is not imported under its own name here; clamp the denominator from below")
    certain = float_dtype_of(module, node) or (source is not None and float_dtype_of(module, source)) or ""
    if certain == "torch.float32":
        return Floor(appended(module, node, ".clamp_min(1e-8)"), "1e-8", "in single precision, which holds it")
    dtype = certain or dtype_of(module, node) or (source is not None and dtype_of(module, source)) or ""
    if dtype and not certain and not floating:
        owner = dtype.removesuffix(".dtype")
        result = module.names.reference("torch.result_type", node)
        if owner == dtype or result is None:
            raise Unrewritable("its dtype is not in view; clamp the denominator from below by a bound that fits it")
        dtype = f"{result.text}({owner}, 1.0)"
    if dtype:
        bound = f"{finfo.text}({dtype}).eps"
        return Floor(appended(module, node, f".clamp_min({bound})"), bound, _HALF_TOO)
    return _bound_first(module, node, finfo.text, name)


def _bound_first(module: Module, node: ast.expr, finfo: str, name: str) -> Floor:
    """Bind the denominator to a name above the statement, so that its dtype can be named."""
    statement = module.statement(node)
    conditional = any(isinstance(a, _BRANCHING) for a in module.ancestors(node) if not isinstance(a, ast.stmt))
    if conditional or not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)):
        raise Unrewritable("its dtype is not in view; bind the denominator to a name and clamp it from below")
    taken = {n.id for n in walk(module.flow(node).scope) if isinstance(n, ast.Name)}
    free = next((n for n in (name, f"{name}_value", f"the_{name}") if n not in taken), None)
    if free is None:
        raise Unrewritable("bind the denominator to a name and clamp it from below")
    bound = f"{finfo}({free}.dtype).eps"
    line = f"{free} = {rewrite.expression(module, '{q}', q=node)}"
    edits: tuple[Edit, ...] = (rewrite.insert_before(module, statement, line),)
    group = brackets(module, node)
    text = f"{free}.clamp_min({bound})"
    edits += (Edit(module.char_span(*group), text),) if group else rewrite.replace(module, node, text)
    return Floor(edits, bound, _HALF_TOO)


def appended(module: Module, node: ast.expr, method: str) -> tuple[Edit, ...]:
    """Call a method on an expression; brackets that are there serve."""
    group = brackets(module, node)
    if group is None:
        return rewrite.replace(module, node, "{q}" + method, q=node)
    return (module.insertion(group[1], method),)
