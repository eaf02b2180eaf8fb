"""From fixes to evidence: order, cache, progress, and nothing raised whatever the file or the store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import interpreter, marked

from autofix.cache import Cache
from autofix.model import Applicability, Claim, Edit, Evidence, Fix, Level, Relation, Source, Span, Verdict
from autofix.smoke import block, verify
from autofix.smoke.verify import harness_version

LOOP = """
     import torch
     def train(model, loader, optimizer):
         for x in loader:
             optimizer.zero_grad()
             model(x).backward()
    +        torch.nn.utils.clip_grad_norm_(model.parameters(), {bound})
             optimizer.step()
"""
SOFTMAX = b"import torch\n\n\ndef f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n"


class Remembering:
    """A store in memory that counts what is written."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Any] = {}

    def get(self, kind: str, key: str) -> Any:
        return self.values.get((kind, key))

    def put(self, kind: str, key: str, value: Any) -> None:
        self.values[kind, key] = value


def log_softmax() -> tuple[Source, Fix]:
    old = b"torch.log(torch.softmax(x, dim=-1))"
    start = SOFTMAX.index(old)
    edit = Edit(Span(start, start + len(old)), "torch.log_softmax(x, dim=-1)")
    return Source("model.py", SOFTMAX), Fix("stable", (edit,), Applicability.SAFE, Claim(Relation.EQUAL))


@pytest.fixture(scope="module")
def store() -> Remembering:
    return Remembering()


@pytest.fixture(scope="module")
def evidence(store: Remembering) -> list[Evidence]:
    loops = [marked(LOOP.format(bound=bound), path=f"{n}.py") for n, bound in enumerate(["1.0", "1e-3", "1.0"])]
    broken = (Source("broken.py", b"def f(:\n"), loops[0][1])
    return verify.verify([loops[0], log_softmax(), loops[1], broken, loops[2]], interpreter(), cache=store)


def test_evidence_comes_in_the_order_of_the_fixes(evidence: list[Evidence]) -> None:
    verdicts = [e.verdict for e in evidence]
    assert verdicts == [Verdict.PROVED, Verdict.PROVED, Verdict.REFUTED, Verdict.INCONCLUSIVE, Verdict.PROVED]
    levels = [e.level for e in evidence]
    assert levels == [Level.BLOCK, Level.EXPRESSION, Level.BLOCK, None, Level.BLOCK]
    assert "syntax error" in evidence[3].reason
    assert all(e.seconds > 0 for e in evidence if e.level)


def test_the_same_trial_runs_once(evidence: list[Evidence], store: Remembering) -> None:
    assert evidence[0] == evidence[4]
    assert len(store.values) == 3


def test_a_second_run_starts_nothing(
    evidence: list[Evidence], store: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a trial ran")

    monkeypatch.setattr("autofix.smoke.zygote.Zygote._send", refuse)
    told: list[int] = []
    again = verify.verify([marked(LOOP.format(bound="1.0"))], interpreter(), cache=store, on_done=told.append)
    assert again == [evidence[0]]
    assert told == [1]


def test_results_survive_in_the_real_cache(evidence: list[Evidence], store: Remembering, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "results.sqlite3")
    for (kind, key), value in store.values.items():
        cache.put(kind, key, value)
    assert verify.verify([marked(LOOP.format(bound="1.0"))], interpreter(), cache=cache) == [evidence[0]]


def test_a_planner_that_fails_costs_only_its_own_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(block, "plan", fail)
    [found] = verify.verify([marked(LOOP.format(bound="1.0"))], interpreter())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "surprise" in found.reason


def test_an_unusable_stored_result_is_not_trusted(store: Remembering, evidence: list[Evidence]) -> None:
    spoilt = Remembering()
    spoilt.values = {key: {"verdict": "MAYBE"} for key in store.values}
    [found] = verify.verify([marked(LOOP.format(bound="1.0"))], interpreter(), cache=spoilt)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_the_harness_version_is_stable_within_a_run() -> None:
    assert harness_version() == harness_version()
    assert len(harness_version()) == 20


def test_nothing_to_verify() -> None:
    assert verify.verify([], interpreter()) == []
