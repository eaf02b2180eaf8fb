"""Right patches are not refuted, wrong ones are: every case is planned and executed in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span
from autofix.smoke.expression import plan
from autofix.smoke.harness import expression
from autofix.syntax import Module, parse

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"


def make_fix(source: str, pairs: list[tuple[str, str]], **claim: Any) -> tuple[Module, Fix]:
    """A fix that replaces each first text by the second (an empty second part deletes)."""
    data = source.encode()
    edits = []
    for old, new in pairs:
        start = data.index(old.encode())
        edits.append(Edit(Span(start, start + len(old.encode())), new))
    module = parse(Source("case.py", data))
    assert isinstance(module, Module)
    return module, Fix("case", tuple(edits), Applicability.SAFE, Claim(**claim))


def execute(source: str, pairs: list[tuple[str, str]], seconds: float = 10.0, **claim: Any) -> dict[str, Any]:
    module, fix = make_fix(HEAD + source, pairs, **claim)
    job = plan(module, fix)
    assert not isinstance(job, str), job
    spec = json.loads(json.dumps(job.spec))
    return expression.run(spec, time.monotonic() + seconds)


EQUAL = {"relation": Relation.EQUAL}
MASK = {"relation": Relation.MASK, "hazard": ("value", "gradient", "exception", "leak")}


def clamp(quantity: str, low: float | None, high: float | None) -> dict[str, Any]:
    return {"relation": Relation.CLAMPED, "parameters": {"quantity": quantity, "min": low, "max": high}}


SOFTMAX = "def f(x):\n    e = torch.exp(x)\n    return e / e.sum(-1, keepdim=True)\n"
SOFTMAX_BODY = SOFTMAX.partition("\n")[2].rstrip("\n")
FLOW = (
    "class Flow(nn.Module):\n"
    "    def forward(self, x):\n"
    "        shift, log_s = self.net(x).chunk(2, -1)\n"
    "        z = x * torch.exp(log_s) + shift\n"
    "        logdet = log_s.sum(-1)\n"
    "        return z, logdet\n"
)
ATTENTION = (
    "def attend(q, k, v, mask):\n"
    "    scores = torch.matmul(q, k.transpose(-2, -1)) / 8\n"
    "    scores = scores.masked_fill(mask == 0, float('-inf'))\n"
    "    weights = F.softmax(scores, dim=-1)\n"
    "    return torch.matmul(weights, v)\n"
)

PROVED: dict[str, tuple[str, list[tuple[str, str]], dict[str, Any]]] = {
    "log of softmax": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")],
        EQUAL,
    ),
    "log of softmax over two statements": (
        "def f(self, x):\n    logits = self.head(x)\n    p = F.softmax(logits, dim=1)\n"
        "    logp = p.log()\n    return p, logp\n",
        [("p.log()", "F.log_softmax(logits, dim=1)")],
        EQUAL,
    ),
    "softmax by hand": (SOFTMAX, [(SOFTMAX_BODY, "    return torch.softmax(x, dim=-1)")], EQUAL),
    "logsumexp by hand": (
        "def f(x):\n    return torch.log(torch.exp(x).sum(dim=1))\n",
        [("torch.log(torch.exp(x).sum(dim=1))", "torch.logsumexp(x, dim=1)")],
        EQUAL,
    ),
    "sigmoid by hand": (
        "def f(x):\n    return 1 / (1 + torch.exp(-x))\n",
        [("1 / (1 + torch.exp(-x))", "torch.sigmoid(x)")],
        EQUAL,
    ),
    "mask with its softmax in view": (ATTENTION, [("float('-inf')", "torch.finfo(scores.dtype).min")], MASK),
    "mask with no softmax in view": (
        "def f(scores, pad):\n    return scores.masked_fill(pad, float('-inf'))\n",
        [("float('-inf')", "torch.finfo(scores.dtype).min")],
        MASK,
    ),
    "mask constant that overflows half precision": (
        "def f(s, pad):\n    s = s.masked_fill(pad, -1e9)\n    return s.softmax(-1)\n",
        [("-1e9", "torch.finfo(s.dtype).min")],
        MASK,
    ),
    "mask set by subscript": (
        "def f(s, pad):\n    s[pad] = float('-inf')\n    return torch.softmax(s, dim=-1)\n",
        [("float('-inf')", "torch.finfo(s.dtype).min")],
        MASK,
    ),
    "mask under a branch": (
        "def f(s, pad=None):\n    if pad is not None:\n        s = s.masked_fill(pad, float('-inf'))\n"
        "    return torch.softmax(s, dim=-1)\n",
        [("float('-inf')", "torch.finfo(s.dtype).min")],
        MASK,
    ),
    "mask of a complex receiver split into two statements": (
        "def f(q, k, pad):\n    a = (q @ k.mT).masked_fill(pad, float('-inf')).softmax(-1)\n    return a\n",
        [("    a = (q @ k.mT).masked_fill(pad, float('-inf')).softmax(-1)",
          "    scores = q @ k.mT\n    a = scores.masked_fill(pad, torch.finfo(scores.dtype).min).softmax(-1)")],
        MASK,
    ),
    "additive mask that leaks": (
        "def f(attention_mask):\n    mask = attention_mask[:, None, None, :]\n    mask = (1.0 - mask) * -1e9\n"
        "    return mask\n",
        [("-1e9", "torch.finfo(mask.dtype).min / 2")],
        MASK,
    ),
    "flow clamped at its definition": (
        FLOW, [("        z =", "        log_s = log_s.clamp(-10, 10)\n        z =")], clamp("log_s", -10, 10)
    ),
    "log-variance clamped": (
        "def sample(mu, logvar):\n    std = torch.exp(0.5 * logvar)\n    eps = torch.randn_like(std)\n"
        "    return mu + eps * std\n",
        [("torch.exp(0.5 * logvar)", "torch.exp(0.5 * logvar.clamp(-30, 20))")],
        clamp("logvar", -30, 20),
    ),
    "KL with every use clamped": (
        "def loss(mu, logvar):\n    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())\n",
        [("    return", "    logvar = logvar.clamp(-30, 20)\n    return")],
        clamp("logvar", -30, 20),
    ),
    "attribute clamped": (
        "class C(nn.Module):\n    def forward(self, a, b):\n        return self.logit_scale.exp() * a @ b.t()\n",
        [("self.logit_scale.exp()", "self.logit_scale.clamp(max=4.6052).exp()")],
        clamp("self.logit_scale", None, 4.6052),
    ),
}  # fmt: skip

REFUTED: dict[str, tuple[str, list[tuple[str, str]], dict[str, Any]]] = {
    "log_softmax over another dimension": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=0)")],
        EQUAL,
    ),
    "softmax instead of its log": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.softmax(x, dim=-1)")],
        EQUAL,
    ),
    "the global maximum subtracted": (
        SOFTMAX, [("torch.exp(x)", "torch.exp(x - x.max())")], EQUAL
    ),
    "keepdim forgotten": (
        SOFTMAX, [(SOFTMAX_BODY, "    e = torch.exp(x - x.amax(-1, keepdim=True))\n    return e / e.sum(-1)")], EQUAL
    ),
    "logsumexp that keeps the dimension": (
        "def f(x):\n    return torch.log(torch.exp(x).sum(dim=1))\n",
        [("torch.log(torch.exp(x).sum(dim=1))", "torch.logsumexp(x, dim=1, keepdim=True)")],
        EQUAL,
    ),
    "sigmoid of the wrong sign": (
        "def f(x):\n    return 1 / (1 + torch.exp(x))\n",
        [("1 / (1 + torch.exp(x))", "torch.sigmoid(x)")],
        EQUAL,
    ),
    "gradient cut off": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x.detach(), dim=-1)")],
        EQUAL,
    ),
    "epsilon too large for an exact claim": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.softmax(x, dim=-1)", "torch.softmax(x, dim=-1) + 1e-2")],
        EQUAL,
    ),
    "the output clamped, not the argument": (
        "def f(x):\n    return torch.exp(x)\n",
        [("torch.exp(x)", "torch.exp(x).clamp(max=1e4)")],
        clamp("x", None, 9.21034),
    ),
    "a bound that bounds nothing": (
        "def f(x):\n    return torch.exp(x)\n", [("exp(x)", "exp(x.clamp(max=1000.0))")], clamp("x", None, 1000.0)
    ),
    "clamp inside exp beside a log-determinant": (
        FLOW, [("torch.exp(log_s)", "torch.exp(log_s.clamp(-10, 10))")], clamp("log_s", -10, 10)
    ),
    "clamp inside exp after the log-determinant": (
        "def f(x, log_s):\n    log_s = log_s * 1.0\n    logdet = log_s.sum(-1)\n    z = x * torch.exp(log_s)\n"
        "    return z, logdet\n",
        [("torch.exp(log_s)", "torch.exp(log_s.clamp(-10, 10))")],
        clamp("log_s", -10, 10),
    ),
    "log-variance clamped in one of two uses": (
        "def loss(mu, logvar):\n    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())\n",
        [("logvar.exp()", "logvar.clamp(-30, 20).exp()")],
        clamp("logvar", -30, 20),
    ),
    "another bound than stated": (
        "def f(x):\n    return torch.exp(x)\n", [("exp(x)", "exp(x.clamp(max=5.0))")], clamp("x", None, 20.0)
    ),
    "a mask constant that half precision cannot hold": (
        "def f(s, pad):\n    s = s.masked_fill(pad, float('-inf'))\n    return s.softmax(-1)\n",
        [("float('-inf')", "-1e9")],
        MASK,
    ),
    "a mask constant that leaks": (
        "def f(s, pad):\n    s = s.masked_fill(pad, float('-inf'))\n    return s.softmax(-1)\n",
        [("float('-inf')", "-1e3")],
        MASK,
    ),
    "NaN repaired after the softmax": (
        "def f(s, pad):\n    s = s + torch.zeros_like(s).masked_fill(pad, float('-inf'))\n"
        "    a = s.softmax(-1)\n    return a\n",
        [("    a = s.softmax(-1)", "    a = torch.nan_to_num(s.softmax(-1))")],
        {**MASK, "relation": Relation.EQUAL},
    ),
    "the mask inverted": (
        "def f(s, pad):\n    s = s.masked_fill(pad, float('-inf'))\n    return s.softmax(-1)\n",
        [("masked_fill(pad, float('-inf'))", "masked_fill(~pad, torch.finfo(s.dtype).min)")],
        MASK,
    ),
    "the result of the masking discarded": (
        "def f(s, pad):\n    s = s.masked_fill(pad, float('-inf'))\n    return s.softmax(-1)\n",
        [("s = s.masked_fill(pad, float('-inf'))", "s.clone().masked_fill_(pad, torch.finfo(s.dtype).min)")],
        MASK,
    ),
    "a call that raises": (
        "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dimension=-1)")],
        EQUAL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROVED)
def test_right_patches_are_proved(case: str) -> None:
    source, pairs, claim = PROVED[case]
    result = execute(source, pairs, **claim)
    assert result["verdict"] == "PROVED", (result["reason"], result["claims"])
    assert result["witness"]
    assert result["witness_summary"]


@pytest.mark.parametrize("case", REFUTED)
def test_wrong_patches_are_refuted(case: str) -> None:
    source, pairs, claim = REFUTED[case]
    result = execute(source, pairs, **claim)
    assert result["verdict"] == "REFUTED", (result["reason"], result["claims"])
    assert result["reason"]
    assert result["exact"] is None


def test_the_witness_runs_by_itself(tmp_path: Any) -> None:
    source, pairs, claim = PROVED["mask with its softmax in view"]
    result = execute(source, pairs, **claim)
    path = tmp_path / "witness.py"
    path.write_text(result["witness"])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment, check=True)
    before, after = done.stdout.split("after ", 1)
    assert "nan" in before
    assert "nan" not in after


GATE = (
    "def route(scores, threshold):\n"
    "    p = F.softmax(scores, dim=-1)\n"
    "    p_sorted, order = p.sort(dim=-1, descending=True)\n"
    "    before = p_sorted.cumsum(-1) - p_sorted\n"
    "    mask = (before < threshold).float()\n"
    "    return mask, order\n"
)
HARD = "mask = (before < threshold).float()"
THROUGH = {"relation": Relation.STRAIGHT_THROUGH, "hazard": ("zero-gradient",), "results": ("mask",)}
SOFT = {
    "relation": Relation.SOFT,
    "hazard": ("zero-gradient",),
    "results": ("mask",),
    "parameters": {"temperature": "GATE_TEMPERATURE"},
}


def gate(expression: str) -> list[tuple[str, str]]:
    return [
        ("from torch import nn\n", "from torch import nn\n\nGATE_TEMPERATURE = 0.1\n"),
        ("    " + HARD, "    hard = (before < threshold).float()\n    gate = " + expression),
    ]


def straight_through(expression: str) -> list[tuple[str, str]]:
    first, (old, new) = gate(expression)
    return [first, (old, new + "\n    mask = hard + gate - gate.detach()")]


def soft(expression: str) -> list[tuple[str, str]]:
    first, (old, new) = gate(expression)
    return [first, (old, new + "\n    mask = gate")]


RIGHT_GATE = "torch.sigmoid((threshold - before) / GATE_TEMPERATURE)"
INVERTED_GATE = "torch.sigmoid((before - threshold) / GATE_TEMPERATURE)"


def test_a_straight_through_gate_is_proved() -> None:
    result = execute(GATE, straight_through(RIGHT_GATE), **THROUGH)
    assert result["verdict"] == "PROVED", result
    assert result["exact"] is True


def test_a_soft_gate_is_proved() -> None:
    result = execute(GATE, soft(RIGHT_GATE), **SOFT)
    assert result["verdict"] == "PROVED", result
    assert result["exact"] is False


@pytest.mark.parametrize(
    ("pairs", "claim"),
    [
        pytest.param(straight_through(INVERTED_GATE), THROUGH, id="the gate's sign is inverted"),
        pytest.param(soft(INVERTED_GATE), SOFT, id="the soft gate's sign is inverted"),
        pytest.param(soft("torch.sigmoid((p_sorted.cumsum(-1) - threshold) * GATE_TEMPERATURE)"), SOFT,
                     id="the mass with the item, times the temperature"),
        pytest.param(soft("torch.sigmoid((threshold - p_sorted.cumsum(-1)) / GATE_TEMPERATURE)"), SOFT,
                     id="the mass with the item"),
        pytest.param(straight_through("torch.sigmoid((threshold - before).detach() / GATE_TEMPERATURE)"), THROUGH,
                     id="no gradient"),
        pytest.param([gate(RIGHT_GATE)[0], (HARD, "mask = " + RIGHT_GATE)], THROUGH, id="the forward pass changes"),
    ],
)  # fmt: skip
def test_wrong_gates_are_refuted(pairs: list[tuple[str, str]], claim: dict[str, Any]) -> None:
    result = execute(GATE, pairs, **claim)
    assert result["verdict"] == "REFUTED", result


def test_a_harmless_mask_is_consistent_at_best() -> None:
    source = (
        "def f(s, t):\n    causal = torch.ones(t, t, dtype=torch.bool).triu(1)\n"
        "    s = s.masked_fill(causal, -1e4)\n    return s.softmax(-1)\n"
    )
    result = execute(source, [("-1e4", "torch.finfo(s.dtype).min")], **{**MASK, "hazard": ("value", "gradient")})
    assert result["verdict"] == "CONSISTENT", result
    assert not result["witness"]


def test_what_cannot_run_is_inconclusive() -> None:
    source = "def f(x):\n    y = torch.no_such_function(x)\n    return torch.exp(y)\n"
    pairs = [("torch.no_such_function(x)", "torch.no_such_function(x.clone())")]
    module, fix = make_fix(HEAD + source, pairs, relation=Relation.EQUAL)
    job = plan(module, fix)
    assert not isinstance(job, str)
    result = expression.run(dict(job.spec), time.monotonic() + 2)
    assert result["verdict"] == "INCONCLUSIVE"
    assert "no_such_function" in result["reason"]
