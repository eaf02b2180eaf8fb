"""What a pattern matches, what it follows, and when an expression may move."""

from __future__ import annotations

import ast

import pytest

from autofix.model import Source
from autofix.pattern import Pattern
from autofix.sameness import movable, same_expression
from autofix.syntax import Module, parse

PRELUDE = """\
import math
import torch
import torch.nn.functional as F
from torch import nn


class M(nn.Module):
    def __init__(self):
        self.eps = 1e-6

    def f(self, x, y, net):
"""


def body(code: str) -> tuple[Module, ast.FunctionDef]:
    """The module, and the method that holds `code`."""
    text = PRELUDE + "".join(f"        {line}\n" for line in code.split("\n"))
    module = parse(Source("m.py", text.encode()))
    assert isinstance(module, Module)
    return module, next(n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef) and n.name == "f")


def captures(pattern: str, code: str) -> dict[str, str] | None:
    """What the pattern binds in the value of the last statement."""
    module, function = body(code)
    last = function.body[-1]
    assert isinstance(last, ast.Return)
    assert last.value is not None
    found = Pattern(pattern).match(module, last.value)
    return None if found is None else {name: module.source(node) for name, node in found.captures.items()}


SOFTMAX = "exp($x) / sum(exp($x), $dim, keepdim=True)"


@pytest.mark.parametrize(
    ("pattern", "code", "bound"),
    [
        ("log(softmax($x, $dim))", "return F.softmax(x + 1, 1).log()", {"x": "x + 1", "dim": "1"}),
        ("log(softmax($x, $dim))", "return torch.log(input=nn.Softmax(dim=2)(x))", {"x": "x", "dim": "2"}),
        ("log(softmax($x, $dim) + $e:small)", "return torch.log(1e-8 + x.softmax(0))",
         {"x": "x", "dim": "0", "e": "1e-8"}),
        ("log(softmax($x, $dim) + $e:small)", "return torch.log(torch.add(x.softmax(0), self.eps))",
         {"x": "x", "dim": "0", "e": "self.eps"}),
        ("log(softmax($x, $dim) + $e:small)", "return torch.log(x.softmax(0) + 0.5)", None),
        ("log(softmax($x, $dim) + $e:small)", "return torch.log(x.softmax(0) - 1e-8)", None),
        ("log(sum(exp($x), $dim, keepdim=$k?))", "return x.exp().sum(1).log()", {"x": "x", "dim": "1"}),
        ("log(sum(exp($x), $dim, keepdim=$k?))", "return x.exp().sum(1, True).log()",
         {"x": "x", "dim": "1", "k": "True"}),
        ("log(sum(exp($x), $dim))", "return x.exp().sum(1, keepdim=False).log()", {"x": "x", "dim": "1"}),
        ("log(sum(exp($x), $dim))", "return x.exp().sum(1, keepdim=True).log()", None),
        ("log(sum(exp($x), $dim))", "return x.exp().sum(1, dtype=torch.float64).log()", None),
        ("log(sum(exp($x)))", "return x.exp().sum(1).log()", None),
        (SOFTMAX, "e = x.exp()\ns = e.sum(-1, keepdim=True)\nreturn e / s", {"x": "x", "dim": "-1"}),
        (SOFTMAX, "return torch.div(x.exp(), torch.exp(x).sum(-1, keepdim=True))", {"x": "x", "dim": "-1"}),
        (SOFTMAX, "return net(x).exp() / net(x).exp().sum(-1, keepdim=True)", None),
        (SOFTMAX, "a = x.exp()\nx = x + 1\nreturn a / x.exp().sum(-1, keepdim=True)", None),
        (SOFTMAX, "a = x.exp()\nx.add_(1)\nreturn a / x.exp().sum(-1, keepdim=True)", None),
        (SOFTMAX, "e = x.exp()\nif y:\n    e = e + 1\nreturn e / e.sum(-1, keepdim=True)", None),
        ("log(softmax($x, $dim))", "p = x.softmax(1)\np.clamp_(min=y)\nreturn p.log()", None),
        ("log(softmax($x, $dim))", "p = x.softmax(1)\np[y] = 1\nreturn p.log()", None),
        ("log(softmax($x, $dim))", "p = x.softmax(1)\np += y\nreturn p.log()", None),
        ("log(softmax($x, $dim))", "p = x.softmax(1)\nx.add_(y)\nreturn p.log()", {"x": "x", "dim": "1"}),
        ("exp($x - amax($x, $d, keepdim=True))", "return torch.exp(x - x.max(1, keepdim=True)[0])",
         {"x": "x", "d": "1"}),
        ("exp($x - amax($x, $d, keepdim=True))", "m, _ = x.max(1, keepdim=True)\nreturn torch.exp(x - m.detach())",
         {"x": "x", "d": "1"}),
        ("exp($x - amax($x, $d, keepdim=True))", "return torch.exp(x - x.max(1, keepdim=True)[1])", None),
        ("exp($x - amax($x, $d, keepdim=True))", "return torch.exp(x - y.amax(1, keepdim=True))", None),
        ("log(softmax($x, $dim)[$i])", "return torch.log(x.softmax(1)[y])", {"x": "x", "dim": "1", "i": "y"}),
        ("log(softmax($x, $dim)[$i])", "return torch.log(x.softmax(1)[:, 0])", None),
        ("sqrt(sum($x ** 2, $dim))", "return ((x - y) ** 2).sum(-1).sqrt()", {"x": "x - y", "dim": "-1"}),
        ("sqrt(sum($x ** 2, $dim))", "return ((x - y) ** 3).sum(-1).sqrt()", None),
    ],
)  # fmt: skip
def test_match(pattern: str, code: str, bound: dict[str, str] | None) -> None:
    assert captures(pattern, code) == bound


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("p = x / 2\nreturn p", ""),
        ("p = x / 2\ny = x + 1\nreturn p", ""),
        ("if y:\n    x = x + 1\np = x / 2\nreturn p", ""),
        ("p = x / 2\nx = x + 1\nreturn p", "bound to something else"),
        ("p = x / 2\nx[0] = 1\nreturn p", "`x` is changed in between"),
        ("p = x / 2\nx.mul_(3)\nreturn p", "`x` is changed in between"),
        ("p = x / 2\nnn.init.normal_(x)\nreturn p", "`x` is changed in between"),
        ("p = x / 2\ntorch.add(y, 1, out=x)\nreturn p", "`x` is changed in between"),
        ("p = self.eps / 2\nself.eps = 3\nreturn p", "`self.eps` is changed in between"),
        ("p = self.eps / 2\nself.update()\nreturn p", "`self.eps` is changed in between"),
        ("with torch.no_grad():\n    p = x / 2\nreturn p", "different context managers"),
        ("p = x / 2\nfor _ in range(3):\n    x.mul_(2)\n    y = p\nreturn p", "`x` is changed in between"),
    ],
)
def test_movable(code: str, reason: str) -> None:
    module, function = body(code)
    value = next(
        s.value
        for s in ast.walk(function)
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and s.targets[0].id == "p"
    )
    said = movable(module, value, function.body[-1])
    assert (reason in said) if reason else said == ""


def test_same_expression_needs_the_same_definitions() -> None:
    module, function = body("a = x + y\nb = x + y\nx = 2 * x\nc = x + y\nreturn a")
    a, b, c = (s.value for s in function.body if isinstance(s, ast.Assign) and s.targets[0].id in "abc")  # type: ignore[attr-defined]
    assert same_expression(module, a, b)
    assert not same_expression(module, a, c)
