"""Patches that let a training loop go on after its first step, executed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from running import marked, zygote

from autofix.model import Claim, Relation
from autofix.smoke import block
from autofix.smoke.job import Job
from autofix.smoke.zygote import Zygote
from autofix.syntax import Module, parse

__all__ = ["zygote"]

LOOP = """
     import torch
     from torch.cuda.amp import GradScaler, autocast
     def train(model, loader, optimizer, loss_fn):
         scaler = GradScaler()
         for i, (x, y) in enumerate(loader):
             optimizer.zero_grad()
             with autocast():
                 loss = loss_fn(model(x), y)
             scaler.scale(loss).backward()
             scaler.step(optimizer)
"""
CASES = {
    "updated after the step": ("    +        scaler.update()\n", "PROVED"),
    "updated too late": ("    +        if i > 4:\n    +            scaler.update()\n", "REFUTED"),
    "updated twice an iteration": ("    +        scaler.update()\n    +        scaler.update()\n", "REFUTED"),
}


def run(zygote: Zygote, text: str) -> dict[str, Any]:
    source, fix = marked(text)
    fix = dataclasses.replace(fix, claim=Claim(Relation.EQUAL, hazard=("exception",)))
    assert block.is_about_a_loop(fix)
    module = parse(source)
    assert isinstance(module, Module)
    job = block.plan(module, fix)
    assert isinstance(job, Job), job
    assert job.kind == "raising"
    return next(result for _, result in zygote.run([job]))


@pytest.mark.parametrize("name", CASES)
def test_the_loop_goes_on(zygote: Zygote, name: str) -> None:
    added, verdict = CASES[name]
    result = run(zygote, LOOP + added)
    assert result["verdict"] == verdict, result


def test_a_loop_that_never_raised_has_no_witness(zygote: Zygote) -> None:
    result = run(zygote, LOOP + "             scaler.update()\n    +        print(loss)\n")
    assert result["verdict"] == "CONSISTENT", result


def test_the_witness_shows_both_sides(zygote: Zygote) -> None:
    result = run(zygote, LOOP + "    +        scaler.update()\n")
    shown = subprocess.run(
        [sys.executable, "-c", result["witness"]], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert "before turn 2 raises step() has already been called" in shown
    assert "after 3 turns" in shown
