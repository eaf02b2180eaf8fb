"""Tensor operations in every spelling, and the calls that only look like one."""

from __future__ import annotations

import ast
import math

import pytest

from autofix.model import Source
from autofix.ops import constant, tensor_op
from autofix.syntax import Module, parse

PRELUDE = """\
import math
import logging
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from math import inf

logger = logging.getLogger()
EPS = 1e-8
LATER = 1
LATER = 2


class M(nn.Module):
    def __init__(self):
        self.sm = nn.Softmax(dim=-1)
        self.twice = nn.Softmax(dim=0)
        self.twice = nn.Softmax(dim=1)

    def forward(self, x, log):
        return """


def returned(expression: str) -> tuple[Module, ast.expr]:
    parsed = parse(Source("m.py", (PRELUDE + expression + "\n").encode()))
    assert isinstance(parsed, Module)
    node = next(n for n in ast.walk(parsed.tree) if isinstance(n, ast.Return))
    assert node.value is not None
    return parsed, node.value


@pytest.mark.parametrize(
    ("expression", "name", "tensor", "args"),
    [
        ("torch.exp(x)", "exp", "x", {}),
        ("x.exp()", "exp", "x", {}),
        ("torch.exp(input=x)", "exp", "x", {}),
        ("F.softmax(x, dim=1)", "softmax", "x", {"dim": "1"}),
        ("F.softmax(x, 1)", "softmax", "x", {"dim": "1"}),
        ("x.softmax(-1)", "softmax", "x", {"dim": "-1"}),
        ("nn.Softmax(dim=2)(x)", "softmax", "x", {"dim": "2"}),
        ("self.sm(x)", "softmax", "x", {"dim": "-1"}),
        ("x.sum(axis=1, keepdims=True)", "sum", "x", {"dim": "1", "keepdim": "True"}),
        ("torch.clip(x, 0, 1)", "clamp", "x", {"min": "0", "max": "1"}),
        ("x.masked_fill(m, -1)", "masked_fill", "x", {"mask": "m", "value": "-1"}),
        ("torch.where(c, x, y)", "where", "x", {"condition": "c", "other": "y"}),
        ("x.where(c, y)", "where", "x", {"condition": "c", "other": "y"}),
        ("torch.Tensor.exp(x)", "exp", "x", {}),
    ],
)
def test_spellings(expression: str, name: str, tensor: str, args: dict[str, str]) -> None:
    parsed, node = returned(expression)
    op = tensor_op(parsed, node)
    assert op is not None
    assert (op.name, parsed.source(op.input)) == (name, tensor)
    assert {k: parsed.source(v) for k, v in op.args.items()} == args


@pytest.mark.parametrize(
    "expression",
    [
        "math.exp(x)",
        "np.exp(x)",
        "logger.log(10, 'x')",
        "self.log('loss', x)",
        "log.exp",
        "torch.exp(x, out=y)",
        "torch.exp(*x)",
        "x.softmax(**kw)",
        "self.twice(x)",
        "exp(x)",
        "torch.where(c)",
        "super().exp()",
    ],
)
def test_what_is_no_tensor_operation(expression: str) -> None:
    parsed, node = returned(expression)
    assert tensor_op(parsed, node) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("-inf", -math.inf),
        ("float('-inf')", -math.inf),
        ("float('-Infinity')", -math.inf),
        ("-float('inf')", -math.inf),
        ("-np.inf", -math.inf),
        ("-torch.inf", -math.inf),
        ("-1e9", -1e9),
        ("-10000.0", -10000.0),
        ("-(2 ** 15)", -32768),
        ("EPS", 1e-8),
        ("math.log(100)", math.log(100)),
        ("2 * math.pi", 2 * math.pi),
        ("1e-3 + EPS", 1e-3 + 1e-8),
        ("LATER", None),
        ("x", None),
        ("float(x)", None),
        ("float('abc')", None),
        ("10 ** 10 ** 10", None),
        ("1 / 0", None),
        ("'text'", None),
    ],
)
def test_constants(expression: str, value: float | None) -> None:
    parsed, node = returned(expression)
    assert constant(parsed, node) == value
