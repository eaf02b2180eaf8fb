"""How a rewritten expression is judged, in this process; test_refuted.py holds what must be caught and what not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import torch

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span
from autofix.smoke.expression import plan
from autofix.smoke.harness import expression
from autofix.smoke.harness.claims import Tally
from autofix.smoke.harness.program import Program
from autofix.smoke.harness.trial import Sides, point_at
from autofix.smoke.harness.values import PATTERNS, Choice
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


MASK = {"relation": Relation.MASK, "hazard": ("value", "gradient", "exception", "leak")}


ATTENTION = (
    "def attend(q, k, v, mask):\n"
    "    scores = torch.matmul(q, k.transpose(-2, -1)) / 8\n"
    "    scores = scores.masked_fill(mask == 0, float('-inf'))\n"
    "    weights = F.softmax(scores, dim=-1)\n"
    "    return torch.matmul(weights, v)\n"
)
LOG_SOFTMAX = "def f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n"
STABLE = [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")]
FLOW = (
    "def f(x, log_s):\n    z = x * torch.exp(log_s)\n    logdet = log_s.sum(-1)\n    z = z + 1.0\n"
    "    return z, logdet\n"
)


def claims_of(result: dict[str, Any]) -> dict[str, Any]:
    return {c["name"]: c for c in result["claims"]}


def test_the_witness_runs_by_itself(tmp_path: Any) -> None:
    result = execute(ATTENTION, [("float('-inf')", "torch.finfo(scores.dtype).min")], **MASK)
    assert result["verdict"] == "PROVED", result
    path = tmp_path / "witness.py"
    path.write_text(result["witness"])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment, check=True)
    before, after = done.stdout.split("after ", 1)
    assert "nan" in before
    assert "nan" not in after


def test_an_exact_patch_says_so() -> None:
    result = execute(LOG_SOFTMAX, STABLE, relation=Relation.EQUAL)
    assert result["verdict"] == "PROVED", result
    assert result["exact"] is True
    assert result["change"] == ""


def test_what_a_rule_says_of_its_change_is_kept() -> None:
    source = "def f(x):\n    return torch.sqrt(x)\n"
    pairs = [("torch.sqrt(x)", "torch.sqrt(x.clamp_min(1e-6))")]
    result = execute(
        source, pairs, relation=Relation.EQUAL, change="arguments below 1e-6", assumptions=("x is a mass",)
    )
    assert result["verdict"] == "PROVED", result
    assert result["exact"] is False
    assert result["change"] == "arguments below 1e-6"
    assert "x is a mass" in result["assumptions"]


def test_a_mask_that_changes_finite_weights_is_not_exact() -> None:
    """A row with every position masked keeps its softmax under -1e4 and is uniform under the minimum."""
    source = "def f(s, pad):\n    s = s.masked_fill(pad, float('-inf'))\n    return s.softmax(-1)\n"
    exact = execute(source, [("float('-inf')", "torch.finfo(s.dtype).min")], **MASK)
    assert (exact["exact"], exact["change"]) == (True, "")
    source = "def f(s, pad):\n    s = s + (1.0 - pad) * -10000.0\n    return s.softmax(-1)\n"
    pairs = [("s + (1.0 - pad) * -10000.0", "s.masked_fill(pad == 0, torch.finfo(s.dtype).min)")]
    regularised = execute(source, pairs, **MASK)
    assert regularised["verdict"] == "PROVED", regularised
    assert regularised["exact"] is False
    assert "every position is masked" in regularised["change"]


def test_a_refuted_patch_is_neither_exact_nor_regularised() -> None:
    result = execute(LOG_SOFTMAX, [("softmax(x, dim=-1)", "softmax(x, dim=0)")], relation=Relation.EQUAL)
    assert result["verdict"] == "REFUTED"
    assert result["exact"] is None
    assert not result["witness"]


def test_the_log_determinant_is_found_in_the_original() -> None:
    pairs = [("    z = x", "    log_s = log_s.clamp(-10, 10)\n    z = x")]
    claim = {"relation": Relation.EQUAL, "extra": ("jacobian",), "change": "scales beyond exp(10)"}
    source = HEAD + FLOW
    start, end = (source.encode().index(t) for t in (b"    z = x", b"    return z"))
    result = execute(FLOW, pairs, region=Span(start, end), **claim)
    assert result["verdict"] == "PROVED", result
    assert claims_of(result)["jacobian"]["held"] is True
    assert "logdet is log |dz/dx|" in claims_of(result)["jacobian"]["detail"]


def test_without_a_log_determinant_the_claim_is_left_open() -> None:
    result = execute(LOG_SOFTMAX, STABLE, relation=Relation.EQUAL, extra=("jacobian",))
    assert result["verdict"] == "PROVED"
    assert claims_of(result)["jacobian"]["held"] is None


def contradictions(before: str, after: str, dtype: torch.dtype = torch.float32) -> list[str]:
    """What a tally finds on one ordinary point of `y = ...` on each side."""
    programs = [Program("import torch", "", body, "") for body in (before, after)]
    sides = Sides(programs[0], programs[1], programs[0], [], ["y"], "results")
    tally = Tally("equal", [], False, "results")
    tally.take(point_at(sides, {"x": Choice("float", (3, 7))}, PATTERNS[0], dtype, None, "equal"))
    return [c["claim"] for c in tally.contradictions]


def test_rounding_of_the_inputs_is_no_contradiction() -> None:
    """The sine of a million radians: the last digit of the input decides it, in whatever precision it is computed.
    The difference of two large numbers does not depend on that digit, and losing it is a contradiction."""
    assert contradictions("y = torch.sin(x.double() * 1e6)", "y = torch.sin(x * 1e6)") == []
    assert contradictions("y = torch.sin(x.double() * 1e6)", "y = torch.cos(x * 1e6)", torch.float64) == ["equal"]
    assert contradictions("y = x.double() + 1e6 - 1e6", "y = x + 1e6 - 1e6") == ["equal"]


def test_a_mask_written_elsewhere_is_not_the_business_of_a_patch() -> None:
    """The other constant of -1e4 leaks before and after; the patch is judged by the positions that it masks."""
    source = (
        "def f(a, b, m, n):\n    a = a + (1.0 - m) * -10000.0\n    b = b + (1.0 - n) * -10000.0\n"
        "    s = torch.cat([a, b], dim=-1)\n    return s.softmax(-1)\n"
    )
    pairs = [("a + (1.0 - m) * -10000.0", "a.masked_fill(m == 0, torch.finfo(a.dtype).min)")]
    result = execute(source, pairs, **MASK)
    assert result["verdict"] == "PROVED", result


def test_what_cannot_run_is_inconclusive() -> None:
    source = "def f(x):\n    y = torch.no_such_function(x)\n    return torch.exp(y)\n"
    pairs = [("torch.no_such_function(x)", "torch.no_such_function(x.clone())")]
    module, fix = make_fix(HEAD + source, pairs, relation=Relation.EQUAL)
    job = plan(module, fix)
    assert not isinstance(job, str)
    result = expression.run(dict(job.spec), time.monotonic() + 2)
    assert result["verdict"] == "INCONCLUSIVE"
    assert "no_such_function" in result["reason"]
