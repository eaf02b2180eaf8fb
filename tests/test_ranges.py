"""The range analysis: cases that must come out as proved, and random expressions that torch computes."""

from __future__ import annotations

import ast
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autofix import intervals as iv
from autofix.intervals import Interval
from autofix.model import Problem, Source
from autofix.ranges import Ranges
from autofix.syntax import parse

_HEADER = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\nimport numpy as np\n"


def evaluate(expression: str, before: str = "", leaves: dict[str, Interval] | None = None) -> Interval:
    """The interval of `expression` at the end of a function whose parameters are tensors."""
    body = "".join(f"    {line}\n" for line in before.splitlines())
    text = f"{_HEADER}def f(x, y, mask, d, d_k, eps, head_dim, a, b, c):\n{body}    return {expression}\n"
    module = parse(Source("case.py", text.encode()))
    assert not isinstance(module, Problem)
    returns = [n for n in ast.walk(module.tree) if isinstance(n, ast.Return)]
    assert returns[-1].value is not None
    return Ranges(module, leaves).of(returns[-1].value)


NOT_POSITIVE = [
    "-x.pow(2)",
    "-abs(x)",
    "-x.abs() / eps",
    "-F.softplus(x)",
    "-0.5 * x * x",
    "-(x / y) ** 2",
    "x - x.max(dim=-1, keepdim=True)[0]",
    "x - x.max(-1, keepdim=True).values",
    "x - x.amax(dim=-1, keepdim=True).detach()",
    "x - x.logsumexp(-1, keepdim=True)",
    "x - torch.maximum(x, y)",
    "x.min() - x",
    "torch.log_softmax(x, dim=-1)",
    "F.logsigmoid(x)",
    "torch.arange(0, d, 2) * (-math.log(10000.0) / d)",
    "torch.arange(0, d, 2).float() * -(math.log(10000.0) / d)",
    "torch.log(torch.sigmoid(x))",
]


@pytest.mark.parametrize("exponent", NOT_POSITIVE)
def test_exponents_proved_not_positive(exponent: str) -> None:
    assert evaluate(exponent).high == 0


@pytest.mark.parametrize(
    ("expression", "high"),
    [
        ("x.clamp(max=4.0)", 4.0),
        ("torch.tanh(x) * 3", 3.0),
        ("x.clamp(-20, 2)", 2.0),
        ("nn.Hardtanh()(x)", 1.0),
        ("torch.where(mask, x.clamp(max=1), 0.0)", 1.0),
        ("torch.minimum(x, torch.ones_like(x))", 1.0),
    ],
)
def test_bounded_above(expression: str, high: float) -> None:
    assert evaluate(expression).high == high


@pytest.mark.parametrize(
    "expression",
    [
        "x.clamp_min(eps)",
        "F.softplus(x) + eps",
        "x.exp() + 1",
        "math.log(2 * math.pi)",
        "x.pow(2).sum() + eps",
        "(x ** 2).sum(-1) + 1e-6",
        "1 - torch.rand(3)",
        "d_k",
        "len(x)",
        "x.shape[0]",
        "x.size(-1)",
        "x.numel()",
        "math.sqrt(head_dim)",
        "x.norm() + eps",
        "mask.sum().clamp(min=1)",
        "max(mask.sum(), 1)",
        "torch.finfo(x.dtype).eps",
    ],
)
def test_proved_positive(expression: str) -> None:
    assert evaluate(expression).positive


@pytest.mark.parametrize(
    ("before", "expression", "wanted"),
    [
        ("p, q = torch.tanh(x).chunk(2, dim=-1)", "q", iv.SIGNED_UNIT),
        ("p, q = x.sigmoid(), x", "p", iv.PROBABILITY),
        ("m, i = x.max(dim=-1, keepdim=True)\nz = x - m", "z", iv.NON_POSITIVE),
        ("s = x * 1\ns.clamp_(max=3)", "s", Interval(high=3.0)),
        ("s = x.sigmoid()\ns = s + 1", "s", iv.make(1.0, 2.0)),
        ("s = x.sigmoid()\ns += 1", "s", iv.make(1.0, 2.0)),
        ("s = x.sigmoid()\ns.mul_(9)", "s", iv.make(0.0, 9.0)),
        ("s = x.sigmoid()\ns[0] = y", "s", iv.UNKNOWN),
        ("s = x.sigmoid()\nif mask:\n    s = y", "s", iv.UNKNOWN),
    ],
)
def test_definitions(before: str, expression: str, wanted: Interval) -> None:
    assert evaluate(expression, before) == wanted


@pytest.mark.parametrize(
    "expression",
    [
        "x",
        "x - y.max()",
        "x - x.mean()",
        "x + x.max()",
        "torch.exp(x) * y",
        "x[mask].sum()",
        "1 / x",
        "x ** y",
        "x @ y",
    ],
)
def test_not_bounded_above(expression: str) -> None:
    assert evaluate(expression).high == math.inf


@pytest.mark.parametrize(
    "expression",
    [
        "x.sum()",
        "(x > 0).sum()",
        "x.sigmoid()",
        "x.exp()",
        "x.norm()",
        "x.std()",
        "F.relu(x)",
        "(x[mask] ** 2 + 1).sum()",
        "1 + x.exp() - 1",
    ],
)
def test_may_be_zero(expression: str) -> None:
    assert evaluate(expression).zero


_CLASS = """
class Policy(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.head = nn.Linear(width, 4)
        self.squash = nn.Sequential(nn.Linear(width, 4), nn.Tanh())
        self.scale = 1.0 / math.sqrt(width)
        self.log_s = nn.Parameter(torch.zeros(4))

    def parts(self, h):
        return self.head(h), self.squash(h)

    def forward(self, h):
        mean, log_std = self.parts(h)
        self.low, self.top = mean, torch.sigmoid(mean)
        return RESULT
"""


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        ("log_std", iv.SIGNED_UNIT),
        ("mean", iv.UNKNOWN),
        ("self.top", iv.PROBABILITY),
        ("self.low", iv.UNKNOWN),
        ("self.log_s", iv.UNKNOWN),
        ("self.squash(h) * 2", iv.make(-2.0, 2.0)),
    ],
)
def test_modules_and_methods(result: str, wanted: Interval) -> None:
    module = parse(Source("case.py", (_HEADER + _CLASS.replace("RESULT", result)).encode()))
    assert not isinstance(module, Problem)
    last = [n for n in ast.walk(module.tree) if isinstance(n, ast.Return)][-1]
    assert last.value is not None
    assert Ranges(module).of(last.value) == wanted


def test_a_sum_of_thousands_of_terms() -> None:
    assert evaluate(" + ".join(["x"] * 3000)) == iv.UNKNOWN


# -- random expressions ----------------------------------------------------------------------------------------

_UNARY = (
    "-({})", "({}).exp()", "torch.expm1({})", "torch.abs({})", "({}).pow(2)", "({}) ** 3", "torch.sqrt(torch.abs({}))",
    "torch.sigmoid({})", "torch.tanh({})", "F.softplus({})", "F.relu({})", "F.logsigmoid({})", "torch.log({})",
    "torch.log1p({})", "({}).softmax(dim=-1)", "torch.log_softmax({}, dim=-1)", "({}).sum(dim=-1, keepdim=True)",
    "({}).mean(dim=-1, keepdim=True)", "({}).clamp(min=-1.0, max=2.0)", "({}).clamp_min(0.5)", "torch.sin({})",
    "({}).max(dim=-1, keepdim=True)[0]", "({}).amin(dim=-1, keepdim=True)", "torch.reciprocal({})", "torch.floor({})",
    "({}).norm(dim=-1, keepdim=True)", "({}).std(dim=-1, keepdim=True)", "torch.sign({})", "F.gelu({})", "F.silu({})",
    "({}).cumsum(dim=-1)", "({}).logsumexp(dim=-1, keepdim=True)", "2.0 * ({})", "({}) - 1.5", "1.0 - ({})",
    "({}) + 1e-6", "torch.rsqrt({})", "F.elu({})", "torch.atan({})", "({}).prod(dim=-1, keepdim=True)", "F.mish({})",
    "(({}) > 0).sum(dim=-1, keepdim=True)", "torch.nan_to_num({})", "({}).masked_fill({} > 1, 0.25)", "0.5 ** ({})",
    "({0}) - ({0}).max(dim=-1, keepdim=True)[0]", "({0}) * ({0})", "F.normalize({}, dim=-1)", "({}).round()",
    "({0}) - ({0}).logsumexp(dim=-1, keepdim=True)", "torch.exp2({})", "({}) // 2.0", "({}) % 3.0", "torch.erf({})",
)  # fmt: skip
_BINARY = (
    "({}) + ({})", "({}) - ({})", "({}) * ({})", "({}) / ({})", "torch.maximum({}, {})", "torch.minimum({}, {})",
    "torch.where(a > 0, {}, {})", "torch.abs({}) ** ({})", "torch.abs({}) @ torch.abs(({}).mT)",
    "({}) / (torch.abs({}) + 1e-6)", "torch.where({1} != 0, {1}, {0})", "torch.where({0} > {1}, {0}, {1})",
    "({0}).masked_fill({0} <= {1}, 0.5)", "torch.where(torch.abs({0}) > 1e-3, {0}, {1})",
    "(({0}) * (({1}) > 0)).sum(dim=-1, keepdim=True)", "(({0}) if ({1}).sum() > 0 else ({1}))",
)  # fmt: skip
_LEAVES = {
    "a": (Interval(), (-30.0, -1.0, -1e-3, 0.0, 0.5, 1.0, 7.0, 200.0)),
    "b": (iv.PROBABILITY, (0.0, 1e-30, 0.25, 0.5, 1.0)),
    "c": (iv.POSITIVE, (1e-40, 1e-6, 0.3, 1.0, 40.0, 1e5)),
}


def _fill(template: str, parts: list[str]) -> str:
    return template.format(*(parts * 2)) if "{0}" in template else template.format(*(parts * template.count("{}")))


expressions = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: st.one_of(
        st.builds(lambda t, x: _fill(t, [x]), st.sampled_from(_UNARY), inner),
        st.builds(lambda t, x, y: t.format(x, y), st.sampled_from(_BINARY), inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(expression=expressions, data=st.data())
def test_no_value_leaves_its_interval(expression: str, data: st.DataObject) -> None:
    """Computed in float64; 1e-6 covers what rounding moves a value beyond an end (ends are rounded alike)."""
    dtype = torch.float64
    values = {}
    for name, (_, choices) in _LEAVES.items():
        drawn = data.draw(st.lists(st.sampled_from(choices), min_size=4, max_size=4), label=name)
        values[name] = torch.tensor(drawn, dtype=dtype).reshape(2, 2)
    found = evaluate(expression, leaves={name: leaf for name, (leaf, _) in _LEAVES.items()})
    try:
        computed = eval(expression, {"torch": torch, "F": torch.nn.functional, "math": math}, values)
    except RuntimeError:  # shapes that do not go together
        assume(False)
    for value in computed.flatten().tolist():
        assert found.holds(float(value), slack=1e-6), (expression, value, found)
