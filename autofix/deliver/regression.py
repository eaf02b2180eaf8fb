"""Regression tests made from witnesses: they fail on the base commit and pass with the fix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autofix.deliver.proposals import Proposal
from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter


@dataclass(frozen=True, slots=True)
class Trial:
    """A test as it was run. before, after: in words, on the base commit and with the fix."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Tests:
    """A file of tests. path: from the top of the repository. left_out: places without a test ("file:line"), and why."""

    path: str
    text: bytes
    results: tuple[Trial, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def count(self) -> int:
        return len(self.results)


def tests_for(proposal: Proposal, folder: Path, interpreter: Interpreter | Problem) -> Tests | None:
    """Tests for the PROVED fixes of a proposal, run on the base and on the patched files."""
    return None
