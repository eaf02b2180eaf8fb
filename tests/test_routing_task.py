"""The synthetic routing task: a right gate learns the choice it is shown, a gate of the wrong sign does not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from autofix.deliver.words import evidence_lines
from autofix.model import ClaimResult, Evidence, Verdict
from autofix.smoke.harness import gates, routing_task
from autofix.smoke.harness.program import Program
from autofix.smoke.harness.trial import Sides
from autofix.smoke.harness.values import Choice

HARD = """
p, order = torch.softmax(scores, dim=-1).sort(dim=-1, descending=True)
before = p.cumsum(dim=-1) - p
mask = torch.zeros_like(p).scatter(-1, order, (before < threshold).float())
"""
SETTING = {"scores": Choice("float", (4, 6)), "threshold": Choice("float", (4, 1), "probability")}


def sides(gate: str) -> Sides:
    after = f"{HARD}\ngate = torch.sigmoid({gate}).scatter(-1, order, torch.sigmoid({gate}))\n"
    after += "mask = mask + (gate - gate.detach())\n"
    programs = [Program("import torch", "", text, "") for text in (HARD, after)]
    return Sides(programs[0], programs[1], programs[0], [], ["mask"], "results")


def learns(gate: str) -> dict[str, Any]:
    return routing_task.judge(sides(gate), SETTING, ["scores", "threshold"], time.monotonic() + 20)


def test_a_gate_with_the_hard_limit_learns_and_beats_everything_on() -> None:
    claim = learns("(threshold - before) / 0.1")
    assert claim["held"] is True
    lines = claim["detail"].splitlines()
    figures = {line.split()[0]: line.split() for line in lines[1:]}
    assert figures["original"][1] == figures["original"][3]  # no gradient, so nothing is learnt
    assert float(figures["patched"][3]) < 0.5 * float(figures["patched"][1])
    assert float(figures["patched"][3]) < float(figures["all"][2])


@pytest.mark.parametrize(
    "gate",
    ["(before - threshold) / 0.1", "(before + p - threshold) * 0.1"],
    ids=["wrong-sign", "mass-including-the-item-times-the-temperature"],
)
def test_a_gate_of_the_wrong_sign_is_refuted(gate: str) -> None:
    spec = {"relation": "straight-through", "parameters": {}}
    claims, _ = gates.judge(spec, sides(gate), [SETTING], time.monotonic() + 20)
    assert any(c["held"] is False for c in claims)


def test_the_wrong_sign_alone_is_refuted_by_training() -> None:
    assert learns("(before - threshold) / 0.1")["held"] is False


def test_the_table_is_shown_with_the_evidence() -> None:
    claim = learns("(threshold - before) / 0.1")
    lines = evidence_lines(Evidence(Verdict.PROVED, claims=(ClaimResult("learns", True, claim["detail"]),)))
    assert any("patched" in line and "█" in line for line in lines)


def test_bars_follow_the_values() -> None:
    assert routing_task.sparkline([1.0, 0.5, 0.0], 1.0) == "████▅▅▅▅▁▁▁▁"
    assert routing_task.sparkline([0.0], 0.0) == ""
