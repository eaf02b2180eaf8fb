"""Wrong patches are refuted for the right reason, right ones are not: every case through the public `verify`."""

from __future__ import annotations

import pytest
import refuted_cases
from refuted_cases import Case

from autofix import engine
from autofix.model import Evidence, Verdict

WRONG = refuted_cases.cases("wrong")
RIGHT = refuted_cases.cases("right")


@pytest.fixture(scope="module")
def evidence(verify: engine.Verify) -> dict[str, Evidence]:
    """All of them at once: they share one warm harness."""
    every = [*WRONG, *RIGHT]
    found = verify([(case.source, case.fix) for case in every])
    return {str(case.folder): e for case, e in zip(every, found, strict=True)}


@pytest.mark.parametrize("case", WRONG, ids=lambda c: c.name)
def test_a_wrong_patch_is_refuted(case: Case, evidence: dict[str, Evidence]) -> None:
    found = evidence[str(case.folder)]
    if case.record.get("known_gap"):
        assert found.verdict is not Verdict.REFUTED, "no longer a gap"
        return
    assert found.verdict is Verdict.REFUTED, found
    assert found.reason
    broken = {claim.name for claim in found.claims if claim.held is False}
    assert case.record["breaks"] in broken, found


@pytest.mark.parametrize("case", RIGHT, ids=lambda c: c.name)
def test_a_right_patch_is_not_refuted(case: Case, evidence: dict[str, Evidence]) -> None:
    found = evidence[str(case.folder)]
    least = case.record["verdict"]
    assert found.verdict.value in ("PROVED", least), found
    assert least == "PROVED" or case.record["why"]
    if found.verdict is Verdict.PROVED:
        assert found.witness
        assert found.witness_summary


def test_nearly_every_wrong_patch_is_refuted() -> None:
    """The set is large enough to mean something, and its gaps are written down."""
    gaps = [case.name for case in WRONG if case.record.get("known_gap")]
    assert len(gaps) <= 0.05 * len(WRONG)
    assert len(WRONG) >= 40
    assert len(RIGHT) >= 40
    assert all(case.record["why"] for case in WRONG)
