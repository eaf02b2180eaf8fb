"""Code made from a declaration: every spelling in which a rule must speak, and near misses on which it must not.

Each snippet is a module with one function `f(x, y)`, so that a test can run it as well as scan it.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from autofix.declare import Form, Identity, Operand
from autofix.ops import parameters
from autofix.pattern import Metavariable, Pattern

HEADER = """\
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def f(x, y):
"""
# What a metavariable with a condition stands for.
_CONDITIONED = {"small": "1e-8", "near_one": "1.0", "zero": "0", "one": "1", "last": "-1", "integer": "-1"}
_FUNCTIONAL = ("normalize", "softplus", "logsigmoid", "binary_cross_entropy", "nll_loss", "cross_entropy")
_LINALG = ("vector_norm",)
_MODULES = {"softmax": "Softmax", "sigmoid": "Sigmoid", "softplus": "Softplus"}
_SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
    ast.MatMult: "@",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """How a pattern is spelled.

    form: "function", "method" or "module" (where a class exists). keywords: arguments by keyword. split: every
    operation is a statement of its own. optional: arguments that may be missing are there. swapped: the operands of
    `+` and `*` change places.
    """

    form: str = "function"
    keywords: bool = True
    split: bool = False
    optional: bool = False
    swapped: bool = False

    @property
    def label(self) -> str:
        parts = [self.form, "by keyword" if self.keywords else "by position", "split" if self.split else "nested"]
        return ", ".join([*parts, *["with options"] * self.optional, *["swapped"] * self.swapped])


@dataclass(frozen=True, slots=True)
class Snippet:
    """One module. form: the form that it shows; None for a near miss."""

    label: str
    code: str
    form: Form | None


STYLES = (
    *(Style(form, keywords, split) for form, keywords, split in
      itertools.product(("function", "method", "module"), (True, False), (False, True))),
    Style(optional=True),
    Style(optional=True, split=True, keywords=False),
    Style(swapped=True),
)  # fmt: skip


def firing(identity: Identity) -> Iterator[Snippet]:
    """Every form that can be shown, every pattern of it, in every style."""
    seen: set[str] = set()
    for form in identity.forms:
        for pattern in form.compiled if form.operands else ():
            for style in STYLES:
                code = _Writer(pattern, form.operands, style).module()
                if code not in seen:
                    seen.add(code)
                    yield Snippet(f"{pattern.text} ({style.label})", code, form)


def silent(identity: Identity) -> Iterator[Snippet]:
    """The declared near misses, and those that follow from the patterns."""
    for expression in identity.near_misses:
        yield Snippet(expression, f"{HEADER}    return {expression}\n", None)
    for form in identity.forms:
        for pattern in form.compiled if form.operands else ():
            yield from _derived(pattern, form)


def _derived(pattern: Pattern, form: Form) -> Iterator[Snippet]:
    """One change each: rebound name, other operand, other dimension, lost keepdim, `out=`, complex, other library."""
    plain, split = Style(), Style(split=True)
    writer = _Writer(pattern, form.operands, split, rebound=True)
    yield Snippet(f"{pattern.text}: a step is rebound", writer.module(), None)
    complex_operands = {**form.operands, "x": Operand(code="(1j * x)")}
    if "m" not in form.operands and "p" not in form.operands:
        yield Snippet(f"{pattern.text}: complex", _Writer(pattern, complex_operands, plain).module(), None)
    code = _Writer(pattern, form.operands, plain).module()
    for library in ("math", "np"):
        yield Snippet(f"{pattern.text}: {library}", code.replace("torch.", f"{library}."), None)
    if isinstance(pattern.tree, ast.Call):
        yield Snippet(f"{pattern.text}: out=", _Writer(pattern, form.operands, plain, out=True).module(), None)
    repeated = [h for h in pattern.metavariables.values() if pattern.text.count(f"${h.name}") > 1]
    for hole in repeated:
        other = {"x": "y", "dim": "0"}.get(hole.name)
        if other is not None:
            changed = _Writer(pattern, form.operands, plain, second={hole.name: other})
            yield Snippet(f"{pattern.text}: another ${hole.name}", changed.module(), None)
    if "keepdim=True" in pattern.text:
        lost = Pattern(pattern.text.replace(", keepdim=True", ""))
        yield Snippet(f"{pattern.text}: no keepdim", _Writer(lost, form.operands, plain).module(), None)


@dataclass
class _Writer:
    """Writes one pattern in one style. second: what a metavariable stands for from its second occurrence on."""

    pattern: Pattern
    operands: Mapping[str, Operand]
    style: Style
    rebound: bool = False
    out: bool = False
    second: Mapping[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def module(self) -> str:
        result = self._write(self.pattern.tree, outermost=True)
        body = [*self.lines, f"return {result}"]
        return HEADER + "".join(f"    {line}\n" for line in body)

    def _write(self, node: ast.expr, outermost: bool = False) -> str:
        if isinstance(node, ast.Name):
            return self._operand(self.pattern.metavariables[node.id])
        if isinstance(node, ast.Constant):
            return repr(node.value)
        if isinstance(node, ast.UnaryOp):
            return f"-{self._write(node.operand)}"
        key = ast.dump(node)
        if key in self.names and not self.second:
            return self.names[key]
        code = self._operation(node, outermost)
        if not self.style.split or outermost:
            return code
        name = self.names[key] = f"step{len(self.names)}"
        self.lines.append(f"{name} = {code}")
        if self.rebound:
            self.lines.append(f"{name} = {name} + y")
        return name

    def _operation(self, node: ast.expr, outermost: bool) -> str:
        if isinstance(node, ast.BinOp):
            left, right = self._write(node.left), self._write(node.right)
            if self.style.swapped and isinstance(node.op, (ast.Add, ast.Mult)):
                left, right = right, left
            code = f"{left} {_SYMBOLS[type(node.op)]} {right}"
            return code if outermost or self.style.split else f"({code})"
        if isinstance(node, ast.Subscript):
            return f"{self._write(node.value)}[{ast.unparse(node.slice).strip('()')}]"
        if isinstance(node, ast.Attribute):
            return f"{self._write(node.value)}.{node.attr}"
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return self._call(node.func.id, node, outermost)

    def _call(self, name: str, node: ast.Call, outermost: bool) -> str:
        operand = self._write(node.args[0])
        given = dict(zip(parameters(name), node.args[1:], strict=False))
        given.update({k.arg: k.value for k in node.keywords if k.arg})
        written = {key: self._write(value) for key, value in given.items() if self._is_there(value)}
        keywords = self.style.keywords or list(written) != list(parameters(name))[: len(written)]
        arguments = [f"{key}={value}" if keywords else value for key, value in written.items()]
        out = ["out=y"] if self.out and outermost else []
        if self.style.form == "module" and name in _MODULES and set(written) <= {"dim"}:
            return f"nn.{_MODULES[name]}({', '.join(arguments)})({operand})"
        if self.style.form == "method" and name not in (*_FUNCTIONAL, *_LINALG) and (written or name != "softmax"):
            bare = isinstance(ast.parse(operand, mode="eval").body, (ast.Name, ast.Call, ast.Subscript, ast.Attribute))
            return f"{operand if bare else f'({operand})'}.{name}({', '.join([*arguments, *out])})"
        home = "F" if name in _FUNCTIONAL or (name == "softmax" and not written) else "torch"
        home = "torch.linalg" if name in _LINALG else home
        return f"{home}.{name}({', '.join([operand, *arguments, *out])})"

    def _is_there(self, value: ast.expr) -> bool:
        hole = self.pattern.metavariables.get(value.id) if isinstance(value, ast.Name) else None
        return hole is None or not hole.optional or (self.style.optional and hole.name in self.operands)

    def _operand(self, hole: Metavariable) -> str:
        if hole.name in self.used and hole.name in self.second:
            return self.second[hole.name]
        self.used.add(hole.name)
        if hole.condition in _CONDITIONED:
            return _CONDITIONED[hole.condition]
        code = self.operands[hole.name].code or hole.name
        if hole.name == "m":  # the maximum along whatever dimension this pattern sums
            conditions = [h.condition for h in self.pattern.metavariables.values() if h.name == "dim"]
            code = code.replace("dim=-1", f"dim={_CONDITIONED.get(conditions[0], '-1')}")
        return code
