"""Every golden case through the whole pipeline: bytes, findings, evidence, and what git makes of the patch."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import golden_cases as golden
import pytest
from golden_cases import Case

from autofix import engine
from autofix.model import Evidence, Fix, Source
from autofix.registry import all_rules

CASES = golden.cases()


@pytest.fixture(scope="session")
def reports(verify: engine.Verify) -> dict[str, engine.Report]:
    """All cases at once: their fixes share one warm harness."""
    plain = {case.name: golden.run(case, None) for case in CASES}
    fixes: list[tuple[Source, Fix]] = []
    for case in CASES:
        for item in plain[case.name].items:
            if item.finding.fix:
                fixes.append((case.source, item.finding.fix))
    known: dict[tuple[bytes, Fix], Evidence] = {
        (source.data, fix): evidence for (source, fix), evidence in zip(fixes, verify(fixes), strict=True)
    }

    def remembered(items: object) -> list[Evidence]:
        out = []
        for source, fix in items:  # type: ignore[attr-defined]
            if (source.data, fix) not in known:
                known[source.data, fix] = verify([(source, fix)])[0]
            out.append(known[source.data, fix])
        return out

    return {case.name: golden.run(case, remembered) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(case: Case, reports: dict[str, engine.Report], tmp_path: Path) -> None:
    report = reports[case.name]
    assert not report.problems
    assert golden.observed(report) == case.findings

    after, rendered = golden.outcome(case, report)
    ast.parse(after)
    if not rendered:
        assert not (case.folder / "after.py").exists()
        assert after == case.source.data
        return
    assert after == (case.folder / "after.py").read_bytes()
    assert rendered == (case.folder / "expected.patch").read_bytes()

    (tmp_path / "before.py").write_bytes(case.source.data)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=rendered, check=True)
    assert (tmp_path / "before.py").read_bytes() == after

    request = engine.Request((case.rule,), case.options, unsafe=case.unsafe)
    second = engine.fix_source(Source(case.path, after), request, None)
    assert not second.patches, "a second run would patch again"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.name)
def test_every_rule_fires_and_stays_silent(rule: engine.Rule) -> None:
    mine = [case for case in CASES if case.rule.name == rule.name]
    fires = [case for case in mine if case.findings]
    silent = [case for case in mine if not case.findings]
    assert fires
    assert silent
    assert all(case.folder.name.startswith("silent-") for case in silent)
    assert not any(case.folder.name.startswith("silent-") for case in fires)


def test_proposed_fixes_are_proved() -> None:
    """At least 93 in a hundred of the fixes of errors and warnings in the golden cases have a witness. Information
    accuses code of nothing, so that nothing need fail."""
    accused = [f for case in CASES for f in case.findings if "verdict" in f and f["severity"] != "info"]
    assert sum(f["verdict"] == "PROVED" for f in accused) >= 0.93 * len(accused)


def test_fixes_of_loops_routing_experts_and_initialisation_are_all_proved() -> None:
    """Each by evidence of its own kind: a bounded step, a gradient that arrives, the experts that are chosen, shares of
    one, an even load, memory that is written to, a signal that is passed on."""
    families = {rule.name: rule.check.__module__.split(".")[-2] for rule in all_rules()}
    own = ("loops", "routing", "moe", "initialisation")
    cases = [case for case in CASES if families[case.name.partition("/")[0]] in own]
    verdicts = [(case.name, f["verdict"]) for case in cases for f in case.findings if "verdict" in f]
    assert len(verdicts) > 150
    assert [name for name, verdict in verdicts if verdict != "PROVED"] == []
