"""The trial of a load-balancing loss: what it reads out of a fix, and the program that it leaves as a witness."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import refuted_cases

from autofix.smoke import balance
from autofix.smoke.harness import balance as harness
from autofix.syntax import Module, parse

RIGHT = {case.name: case for case in refuted_cases.cases("right") if case.name.startswith("balance")}


def planned(name: str) -> balance.Job:
    module = parse(RIGHT[name].source)
    assert isinstance(module, Module)
    job = balance.plan(module, RIGHT[name].fix)
    assert not isinstance(job, str), job
    return job


def test_the_slice_ends_at_the_router() -> None:
    spec = planned("balance-of-two-experts-per-token").spec
    assert spec["before"].splitlines()[0] == f"probs = F.softmax({spec['scores']}, dim=-1)"
    assert "expert(" not in spec["after"]
    assert spec["after"].splitlines()[-1].startswith("self.aux_loss = ")


def test_without_the_loss_there_is_nothing_to_run() -> None:
    case = RIGHT["balance-of-two-experts-per-token"]
    module = parse(case.source)
    assert isinstance(module, Module)
    unchanged = case.fix.__class__(case.fix.title, (), case.fix.applicability, case.fix.claim)
    assert balance.plan(module, unchanged) == "the patched code never assigns self.aux_loss"


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_the_witness_runs_alone_and_evens_the_load(name: str) -> None:
    result = harness.run(planned(name).spec, float("inf"))
    assert result["verdict"] == "PROVED"
    done = subprocess.run([sys.executable, "-c", result["witness"]], capture_output=True, text=True, check=True)
    loads = [[float(n) for n in found.split(",")] for found in re.findall(r"load \[(.*)\]", done.stdout)]
    first, last = loads[0], loads[-1]
    assert max(first) > 5 * min(first)
    assert max(last) < 1.5 * min(last)
