"""The two mask rules: every spelling of a constant in every sink, and where a value's way to a softmax ends."""

from __future__ import annotations

import ast

import pytest

from autofix import engine
from autofix.model import Source
from autofix.rule import Options
from autofix.syntax import Module, parse
from autofix.transforms.masks import mask_constant_overflow, mask_neg_inf
from autofix.transforms.masks._dtypes import dtype_of
from autofix.transforms.masks._reach import End, follow

RULES = (mask_constant_overflow.RULE, mask_neg_inf.RULE)
HEAD = "import math\nfrom math import inf\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n"
INFINITE = [
    'float("-inf")',
    "float('-Infinity')",
    '-float("inf")',
    "-math.inf",
    "-np.inf",
    "np.NINF",
    "-torch.inf",
    "-inf",
    'torch.tensor(float("-inf"))',
]
FINITE = ["-1e9", "-1e10", "-1e30", "-10000", "-10000.0", "-1e4", "-65504", "-9e15", "-2**32 + 1", "torch.tensor(-1e9)"]
SINKS = [
    "s = s.masked_fill(m, {v})",
    "s = s.masked_fill(mask=m, value={v})",
    "s.masked_fill_(m, {v})",
    "s = torch.masked_fill(s, m, {v})",
    "s[m] = {v}",
    "s[m, 0] = {v}",
    "s = torch.where(m, {v}, s)",
    "s = torch.where(m, s, {v})",
    "s = s.where(m, {v})",
    "s = torch.where(m, torch.full_like(s, {v}), s)",
    "NEG = {v}\n    s = s.masked_fill(m, NEG)",
]


def patched(code: str) -> tuple[list[str], str]:
    """The rules that speak, and the code after their fixes."""
    source = Source("x.py", (HEAD + code).encode())
    report = engine.fix_source(source, engine.Request(RULES, Options()), None)
    after = report.patches[0].after.decode() if report.patches else HEAD + code
    return [item.finding.rule for item in report.items], after[len(HEAD) :]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(
    ("value", "rule"), [(v, "mask-neg-inf") for v in INFINITE] + [(v, "mask-constant-overflow") for v in FINITE]
)
def test_every_spelling_in_every_sink(sink: str, value: str, rule: str) -> None:
    rules, after = patched(f"def f(s, m, w):\n    {sink.format(v=value)}\n    return F.softmax(s, dim=-1) @ w\n")
    assert rules == [rule]
    assert "torch.finfo(s.dtype).min" in after
    compile(after, "x.py", "exec")


@pytest.mark.parametrize(
    "value", ["-100.0", "-1e3", "0.0", "-1", "1e9", "torch.finfo(s.dtype).min", "-torch.finfo(s.dtype).max"]
)
def test_values_that_are_left_alone(value: str) -> None:
    rules, _ = patched(f"def f(s, m, w):\n    s = s.masked_fill(m, {value})\n    return F.softmax(s, dim=-1) @ w\n")
    assert rules == []


@pytest.mark.parametrize(
    ("sum_", "after"),
    [
        ("s + (1.0 - mask) * -1e4", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s + -1e4 * (1 - mask)", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("(1 - mask.to(s.dtype)) * -1e9 + s", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s - 10000.0 * (1.0 - mask)", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s + (mask - 1) * 1e4", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s + mask * -1e9", "s.masked_fill(mask.bool(), torch.finfo(s.dtype).min)"),
        ("s + -1e4 * (mask == 0)", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s * mask - 1e4 * (1 - mask)", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
        ("s + (1.0 - mask.half()) * torch.finfo(s.dtype).min", "s.masked_fill(mask == 0, torch.finfo(s.dtype).min)"),
    ],
)
def test_a_float_mask_becomes_a_boolean_fill(sum_: str, after: str) -> None:
    rules, code = patched(f"def f(s, mask, w):\n    s = {sum_}\n    return F.softmax(s, dim=-1) @ w\n")
    assert rules == ["mask-constant-overflow"]
    assert f"    s = {after}\n" in code


def test_edits_of_one_sum_wait_for_each_other() -> None:
    code = (
        "def f(q, s, a_mask, b_mask):\n"
        "    a_mask = (1.0 - a_mask.to(q.dtype)) * -1e4\n"
        "    b_mask = (1.0 - b_mask.to(q.dtype)) * -1e4\n"
        "    mask = a_mask + b_mask\n"
        "    s = s + mask\n"
        "    return F.softmax(s, dim=-1)\n"
    )
    rules, after = patched(code)
    assert rules == ["mask-constant-overflow"] * 2
    assert after.count("torch.finfo(q.dtype).min") == 2
    assert after.count("clamp_min") == 1


def module(code: str) -> Module:
    parsed = parse(Source("x.py", (HEAD + code).encode()))
    assert isinstance(parsed, Module)
    return parsed


@pytest.mark.parametrize(
    ("rest", "end"),
    [
        ("return torch.softmax(x.view(2, 3).float(), -1)", End.SOFTMAX),
        ("y = x if flag else x + 1\n    return y.softmax(dim=1)", End.SOFTMAX),
        ("x, y = x.chunk(2)\n    return F.softmax(y, 0)", End.SOFTMAX),
        ("return stable_softmax(x)", End.SOFTMAX),
        ("return x.topk(3)", End.SELECTED),
        ("return torch.max(x, dim=-1)", End.SELECTED),
        ("return torch.logsumexp(x, 0)", End.EXPONENTIATED),
        ("return F.log_softmax(x, dim=-1)", End.LOG_SOFTMAX),
        ("return F.cross_entropy(x, flag)", End.LOSS),
        ("return x == -inf", End.TESTED),
        ("return torch.isfinite(x)", End.TESTED),
        ("p = torch.softmax(x, -1)\n    return torch.multinomial(p, 1)", End.SAMPLED),
        ("p = torch.softmax(x, -1)\n    p[p != p] = 0\n    return p", End.REPAIRED),
        ("return F.scaled_dot_product_attention(x, x, x, attn_mask=x)", End.FUSED),
        ("self.x = x", End.STORED),
        ("return x", End.RETURNED),
        ("return helper(x)", End.PASSED),
    ],
)
def test_where_a_value_ends(rest: str, end: End) -> None:
    parsed = module(f"def f(self, s, m, flag):\n    x = s.masked_fill(m, 0)\n    {rest}\n")
    function = parsed.tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    start = function.body[0]
    assert isinstance(start, ast.Assign)
    assert end in follow(parsed, start.value).ends


def test_a_name_that_is_bound_again_is_another_value() -> None:
    parsed = module("def f(s, m, other):\n    x = s.masked_fill(m, 0)\n    x = other\n    return x.softmax(0)\n")
    function = parsed.tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    start = function.body[0]
    assert isinstance(start, ast.Assign)
    assert follow(parsed, start.value).ends == set()


@pytest.mark.parametrize(
    ("expression", "dtype"),
    [
        ("x", "x.dtype"),
        ("self.scores[:, 0]", "self.scores.dtype"),
        ("q['scores'].view(1, 2)", "q['scores'].dtype"),
        ("x.view(1, 2).transpose(0, 1)", "x.dtype"),
        ("x.float()", "torch.float32"),
        ("x.to(dtype=q.dtype)", "q.dtype"),
        ("x.to(dtype)", "dtype"),
        ("x.to(device)", "x.dtype"),
        ("x.type_as(q)", "q.dtype"),
        ("x / math.sqrt(64)", "x.dtype"),
        ("torch.zeros(2, 2)", "torch.get_default_dtype()"),
        ("torch.zeros_like(x, dtype=q.dtype)", "q.dtype"),
        ("x.new_zeros(2)", "x.dtype"),
        ("q @ x", None),
        ("x + q", None),
        ("x.to(y)", None),
        ("model(x)", None),
    ],
)
def test_naming_a_dtype(expression: str, dtype: str | None) -> None:
    parsed = module(f"def f(self, x, q, y, device, dtype, model):\n    return {expression}\n")
    function = parsed.tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    returned = function.body[0]
    assert isinstance(returned, ast.Return)
    assert returned.value is not None
    assert dtype_of(parsed, returned.value) == dtype


def severities(code: str) -> list[str]:
    source = Source("x.py", (HEAD + code).encode())
    report = engine.fix_source(source, engine.Request(RULES, Options()), None)
    return [item.finding.severity.value for item in report.items]


@pytest.mark.parametrize(
    ("sum_", "severity"),
    [
        ("s = s + (1 - mask.to(s.dtype)) * -1e9", "warning"),
        ("s = s + (1 - mask.half()) * -1e9", "warning"),
        ("s += (1 - mask) * -1e9", "warning"),
        ("s = s + torch.where(mask > 0, 0.0, -1e9).to(s.dtype)", "warning"),
        ("s = torch.where(mask > 0, s, -1e9)", "warning"),
        ("s = s + (1 - mask) * -1e9", "info"),  # as the mask's dtype is
        ("s = s + (1 - mask.bfloat16()) * -1e9", None),
        ("s = s + (mask == 0) * -1e9", None),
        ("s = s + torch.where(mask > 0, 0.0, -1e9)", None),
        ("s = s.float()\n    s += (1 - mask) * -1e9", "info"),
        ("s, q = s.float(), q.float()\n    s = s.masked_fill(mask == 0, -1e9)", None),
        ("s = s.float() / 8\n    s = s.view(2, 2).masked_fill(mask == 0, -1e9)", None),
        ("s = s.bfloat16()\n    s = torch.where(mask > 0, s, -1e9)", None),
        ("if q is not None:\n        s = s.float()\n    s = s.masked_fill(mask == 0, -1e9)", "warning"),
        ("s = s + (1.0 - mask) * torch.finfo(s.dtype).min", None),
        ("s = s + (1.0 - mask.to(s.dtype)) * torch.finfo(s.dtype).min", "warning"),
        ("s = s + (1.0 - torch.sigmoid(mask).to(s.dtype)) * -1e9", "warning"),
        ("mask = torch.sigmoid(q)\n    s = s + (1.0 - mask.to(s.dtype)) * -1e9", None),  # graded
    ],
)
def test_promotion_decides_whether_a_constant_meets_float16(sum_: str, severity: str | None) -> None:
    code = f"def f(s, q, mask, w):\n    {sum_}\n    return F.softmax(s, dim=-1) @ w\n"
    assert severities(code) == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("mask", "severity"),
    [
        ("m", "info"),
        ("m[:, None, :]", "info"),
        ("~(m[:, :, None] & n[:, None, :])", "error"),
        ("~(m.unsqueeze(-1) * n.unsqueeze(-2))", "error"),
        ("~torch.logical_and(m[:, :, None], n[:, None, :])", "error"),
        ("m[:, None, :] & n[:, None, :]", "info"),
        ("torch.ones(4, 4).triu(0).bool()", "error"),
        ("torch.ones(4, 4).triu(1).bool()", None),
        ("torch.arange(4) > 2", None),
        ("torch.zeros(s.shape[-1]) == 1", None),
        ("m & ~m.all(dim=-1, keepdim=True)", None),
        ("self.kept == 0", None),
        ("self.given == 0", "info"),
        ("self.built(s.shape[-1]) == 0", None),
        ("self.built(m) == 0", "info"),
    ],
)
def test_only_a_mask_that_the_file_shows_to_close_rows_is_an_error(mask: str, severity: str | None) -> None:
    code = (
        "class A:\n"
        "    def __init__(self, n):\n        self.kept = torch.ones(n)\n        self.kept[n // 2 :] = 0\n"
        "    def built(self, x):\n        return torch.arange(4) < x\n"
        "    def forward(self, s, m, n, w):\n"
        "        self.kept = self.kept.to(s.device)\n"
        "        self.given = m\n"
        f'        s = s.masked_fill({mask}, float("-inf"))\n'
        "        return F.softmax(s, dim=-1) @ w\n"
    )
    assert severities(code) == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("filled", "weights", "severity"),
    [
        ("s.masked_fill(m, -inf)", "torch.nan_to_num(p) @ w", None),
        ("s.masked_fill(m, -inf)", "p.masked_fill(m, 0.0) @ w", None),
        ("s.masked_fill(m, -inf)", "torch.where(m, 0, p) @ w", None),
        ("s.masked_fill(m, -inf)", "p.masked_fill(n, 0.0) @ w", "info"),
        ("s.masked_fill(m, -inf)", "torch.nan_to_num(p @ w)", "error"),
        ("s + torch.zeros_like(s).masked_fill(m, -inf)", "torch.nan_to_num(p) @ w", "error"),
        ("s.data.masked_fill(m, -inf)", "torch.nan_to_num(p) @ w", "error"),
    ],
)
def test_replacing_nan_helps_where_the_scores_were_filled(filled: str, weights: str, severity: str | None) -> None:
    code = f"def f(s, m, n, w):\n    s = {filled}\n    p = F.softmax(s, dim=-1)\n    return {weights}\n"
    assert severities(code) == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("mask", "severity"),
    [
        ("~torch.cat([m, torch.ones_like(n)], dim=-1)", None),
        ("torch.cat([m, torch.zeros_like(n)], dim=-1).bool()", None),
        ("~torch.cat([m, torch.zeros_like(n)], dim=-1)", "info"),  # padded to a length
        ("torch.cat([m, n], dim=-1)", "info"),
    ],
)
def test_a_joined_column_opens_rows_when_it_is_open(mask: str, severity: str | None) -> None:
    code = f'def f(s, m, n, w):\n    s = s.masked_fill({mask}, float("-inf"))\n    return F.softmax(s, dim=-1) @ w\n'
    assert severities(code) == ([severity] if severity else [])
