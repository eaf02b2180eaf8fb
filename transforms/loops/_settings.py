"""Settings for gradient clipping that exist already: in the file, beside it, and in what the training is handed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from autofix.neighbours import neighbours, read
from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, parameter, stores_in
from autofix.transforms.loops._imports import definition_elsewhere
from autofix.transforms.loops._loops import Pair
from autofix.transforms.loops._parameters import holds
from autofix.tree import walk

_SETTING = re.compile(
    r"(max[_-]?grad(ient)?[_-]?norm|clip[_-]?grad(ient)?s?([_-]?(norm|val(ue)?|by[_-]?norm))?"
    r"|grad(ient)?[_-]?(norm[_-]?)?clip(ping)?([_-]?(norm|val(ue)?|algorithm|threshold))?|clip[_-]?norm|max[_-]?norm)$",
    re.I,
)
_SETTING_READ = re.compile(r"max_grad_norm|grad(ient)?_clip(_val|_norm)?$|^clip_grad$")
_SETTING_NAMED = re.compile(rb"\b(?:self|cfg|config|args|opts?|hparams)\.(?:\w+\.)*_?(\w+)")
_SETTING_OF_DICT = re.compile(rb"\b\w*(?:cfg|config|opts?|params|args)\w*(?:\.get\(|\[)\s*[\"'](\w+)[\"']")
_BOUND_NAMED = re.compile(rb"\bmax_norm\s*=\s*([A-Za-z_]\w*)\s*[,)]|,\s*([A-Za-z_]\w*)\s*,?\s*\)")
_REFUSED = re.compile(r"unsupported|not_supported|disallowed|forbidden|ignored|unused", re.I)
_ARGUMENTS = 200  # characters after `clip_grad_norm_(` in which its bound stands
_BASES = 3  # classes between one that a file names and `TrainingArguments`


def refuses_setting(module: Module) -> bool:
    """Whether the file lists a setting for gradient clipping among those that it does not support: somebody decided
    against it."""
    lists = (s for s in walk(module.tree) if isinstance(s, ast.Assign) and _REFUSED.search(last_name(s.targets[0])))
    return any(
        isinstance(n, ast.Constant) and isinstance(n.value, str) and bool(_SETTING.match(n.value))
        for s in lists
        for n in walk(s.value)
    )


def setting_elsewhere(module: Module) -> str | None:
    """A setting for gradient clipping that this file declares: a command-line option, a field, a constant."""
    for node in walk(module.tree):
        words: tuple[str, ...] = ()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 40:
            words = (node.value.lstrip("-"),)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            words = (node.target.id,)
        elif isinstance(node, ast.Assign) and node in module.tree.body:
            words = tuple(t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.Attribute):
            words = (node.attr,) if _SETTING_READ.search(node.attr) else ()
        found = next((w for w in words if _SETTING.match(w)), None)
        if found:
            return found
    return None


def setting_beside(module: Module, node: ast.AST) -> tuple[str, str] | None:
    """A setting for gradient clipping by which a file of the same folder clips in a function of the same name as the
    one around `node`, and the name of that file: scripts of one family share their options. Of several files, one that
    reads its options as this file does, from a dictionary or as attributes."""
    function = module.function_scope(node)
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    head = re.compile(rb"^\s*(?:async )?def " + function.name.encode() + rb"\(", re.M)
    folder = Path(module.path).resolve().parent
    own = module.text.encode()
    styles = (_SETTING_OF_DICT, _SETTING_NAMED) if _SETTING_OF_DICT.search(own) else (_SETTING_NAMED, _SETTING_OF_DICT)
    found: list[tuple[int, str, str]] = []
    for path in neighbours(module.path) or ():
        text = read(path) if path.parent == folder else b""
        if not head.search(text):
            continue
        for call in re.finditer(rb"clip_grad_norm_\(|clip_gradients\(", text):
            arguments = _with_named_bounds(text, text[call.end() : call.end() + _ARGUMENTS])
            for rank, style in enumerate(styles):
                named = (m.decode() for m in style.findall(arguments))
                found += [(rank, n, path.name) for n in named if _SETTING.match(n)]
    return min(found, key=lambda f: f[0])[1:] if found else None


def _with_named_bounds(text: bytes, arguments: bytes) -> bytes:
    """The arguments of a clip, and what the file assigns to a local name that is its bound: in
    `clip_grad_norm_(p, bound)`, the line `bound = cfg.optim.max_grad_norm`."""
    names = {a or b for a, b in _BOUND_NAMED.findall(arguments)}
    assigned = (re.findall(rb"^[ \t]*" + n + rb"[ \t]*(?::[^=\n]*)?=([^=\n].*)$", text, re.M) for n in names)
    return b"\n".join((arguments, *(value for values in assigned for value in values)))


def training_arguments(module: Module, found: Pair) -> ast.expr | None:
    """Where the function around a step reads an instance of transformers' `TrainingArguments`, whose `max_grad_norm`
    is 1.0 unless somebody set it: `args`, `self.args`. Of several, one that means the same at the step."""
    function = module.function_scope(found.step.call)
    read_from: dict[str, ast.expr] = {}
    for node in walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
            read_from.setdefault(ast.unparse(node.value), node.value)
    those = [n for n in read_from.values() if _is_training_arguments(module, n, _BASES)]
    return next((n for n in those if is_readable(module, n, found)), those[0] if those else None)


def is_readable(module: Module, node: ast.expr, found: Pair) -> bool:
    """Whether a name or attribute that is read around a step means the same at it."""
    at = found.step.call
    stores = stores_in(module, module.function_scope(at), node.id) if isinstance(node, ast.Name) else []
    if any(node.lineno < s.lineno <= at.lineno for s in stores):
        return False
    return node.lineno <= at.lineno and holds(module, node, module.statement(node), at)


def _is_training_arguments(module: Module, node: ast.expr, depth: int) -> bool:
    homes = enclosing_scopes(module, node) if isinstance(node, ast.Name) and depth else []
    given = next((a for s in homes if (a := parameter(s, last_name(node))) is not None), None)
    if given is not None:
        return given.annotation is not None and _derives(module, given.annotation, _BASES)
    if not depth or not isinstance(node, (ast.Name, ast.Attribute)):
        return False
    values = constructors(module, node)
    return bool(values) and all(
        _derives(module, v.func, _BASES) if isinstance(v, ast.Call) else _is_training_arguments(module, v, depth - 1)
        for v in values
    )


def _derives(module: Module, cls: ast.expr, depth: int) -> bool:
    """Whether a class, named here and defined anywhere in the project, is or derives from `TrainingArguments`."""
    while isinstance(cls, ast.Subscript) and last_name(cls.value) == "Optional":
        cls = cls.slice
    if not isinstance(cls, (ast.Name, ast.Attribute)) or not depth:
        return False
    if last_name(cls).endswith("TrainingArguments") and (module.qualified(cls) or "").startswith("transformers."):
        return True
    here = (s for s in module.tree.body if isinstance(s, ast.ClassDef) and s.name == last_name(cls))
    definition = next(((module, s) for s in here), None) or definition_elsewhere(module, cls)
    if definition is None or not isinstance(definition[1], ast.ClassDef):
        return False
    return any(_derives(definition[0], base, depth - 1) for base in definition[1].bases)
