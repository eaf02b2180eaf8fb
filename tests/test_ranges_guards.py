"""What branches, asserts, early exits, loops and attributes say about ranges."""

from __future__ import annotations

import ast

import pytest

from autofix import intervals as iv
from autofix.intervals import Interval
from autofix.model import Problem, Source
from autofix.ranges import analysis
from autofix.syntax import parse

_HEADER = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


def at_mark(body: str) -> Interval:
    """The interval of the argument of `mark(...)` in a function's body."""
    text = f"{_HEADER}def f(x, y, mask, labels, n, flag):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return _marked(text)


def _marked(text: str) -> Interval:
    module = parse(Source("case.py", text.encode()))
    assert not isinstance(module, Problem)
    calls = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "mark"]
    assert len(calls) == 1
    return analysis(module).of(calls[0].args[0])


@pytest.mark.parametrize(
    "body",
    [
        "if n > 0:\n    mark(n)",
        "if 0 < n:\n    mark(n)",
        "if n <= 0:\n    return x\nmark(n)",
        "if flag or n <= 0:\n    return x\nmark(n)",
        "assert n > 0\nmark(n)",
        "r = mark(n) if n > 0 else y",
        "r = n > 0 and mark(n)",
        "r = n <= 0 or mark(n)",
        "if n < 1:\n    raise ValueError\nif flag:\n    mark(n)",
        "while n > 0:\n    mark(n)",
        "mark(torch.where(n > 0, n, 1.0))",
        "mark(torch.where(n <= 0, 1.0, n))",
        "mark(n.masked_fill(n <= 0, 1e-6))",
        "mark(torch.where(n.gt(0), n, 1.0))",
        "good = n > 0\nmark(torch.where(good, n, 1.0))",
        "n = n * 1\nn[n <= 0] = 1\nmark(n)",
        "n = n * 1\nn.masked_fill_(n <= 0, 1.0)\nmark(n)",
        "n = mask.bool().sum()\nif n == 0:\n    return x\nmark(n)",
        "n = mask.bool().sum()\nif not n:\n    return x\nmark(n)",
        "n = (labels != -100).sum()\nif n:\n    mark(n)",
        "keep = labels != -100\nif keep.any():\n    mark(keep.sum())",
        "keep = labels != -100\nif not keep.any():\n    return x\nmark(keep.float().sum())",
        "total = 1\nfor z in x:\n    total += z.abs().sum()\nmark(total)",
    ],
)
def test_proved_positive(body: str) -> None:
    assert at_mark(body).positive


@pytest.mark.parametrize(
    "body",
    [
        "if n >= 0:\n    mark(n)",
        "if n > 0:\n    pass\nmark(n)",
        "if n <= 0:\n    x = y\nmark(n)",
        "if n > 0:\n    n = y\n    mark(n)",
        "if n > 0 or flag:\n    mark(n)",
        "if n <= 0 and flag:\n    return x\nmark(n)",
        "if y > 0:\n    mark(n)",
        "assert x > 0\nmark(n)",
        "mark(torch.where(y > 0, n, 1.0))",
        "mark(torch.where(n > 0, 1.0, n))",
        "n = (labels != -100).sum(1)\nif (labels != -100).any():\n    mark(n)",
        "total = 0\nfor z in x:\n    total += z.abs().sum()\nmark(total)",
        "s = x.relu()\nif flag:\n    s.clamp_(min=1)\nmark(s)",
    ],
)
def test_may_be_zero(body: str) -> None:
    assert at_mark(body).zero


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("total = 0\nfor z in x:\n    total += (z > 0).sum()\nmark(total)", iv.COUNT),
        ("total = 0.0\nfor z in x:\n    total = total + z.exp().mean()\nmark(total)", iv.NON_NEGATIVE),
        ("total = 0\nfor z in x:\n    total += z\nmark(total)", iv.UNKNOWN),
        ("if flag:\n    p = x.sigmoid()\nelse:\n    p = y.sigmoid()\nmark(p)", iv.PROBABILITY),
        ("s = x.relu()\nif flag:\n    s.clamp_(max=1)\nmark(s)", iv.NON_NEGATIVE),
    ],
)
def test_several_assignments(body: str, wanted: Interval) -> None:
    found = at_mark(body)
    assert (found.low, found.high, found.zero, found.integer) == (wanted.low, wanted.high, wanted.zero, wanted.integer)


_CLASS = """
class Layer(nn.Module):
    def __init__(self, scale, width):
        super().__init__()
        assert scale > 0
        self.scale = scale
        self.width = max(width, 2)
        self.register_buffer("freq", torch.arange(1, 9).clamp_min(1).float())
        self.register_buffer("moving", torch.ones(3))
        self.gain = nn.Parameter(torch.ones(3))
        self.spread = F.softplus(torch.zeros(3)) + 1e-3

    def update(self, x):
        self.moving.mul_(0.9)

    def forward(self, x):
        BODY
"""


@pytest.mark.parametrize(
    ("body", "positive"),
    [
        ("return mark(self.scale)", True),
        ("return mark(self.width)", True),
        ("return mark(self.freq)", True),
        ("return mark(self.spread)", True),
        ("return mark(self.moving)", False),
        ("return mark(self.gain)", False),
        ("self.gain.data.clamp_(min=0.1); y = x\n        return mark(self.gain)", True),
        ("with torch.no_grad():\n            self.gain.clamp_(min=0.1)\n        return mark(self.gain)", True),
        ("if x is None:\n            self.gain.data.clamp_(min=0.1)\n        return mark(self.gain)", False),
    ],
)
def test_attributes(body: str, positive: bool) -> None:
    assert _marked(_HEADER + _CLASS.replace("BODY", body)).positive is positive
