"""Regression tests made from witnesses: they fail on the base commit and pass with the fix.

A witness of statements becomes a test that reads the statements from the project's own file and runs them on the same
input; one of a class becomes a test that imports the class and takes the same step. Which block of the function is
meant, and what must hold, is found by trying: a test is kept when it fails on the base and passes with the patch.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autofix.deliver.cases import Case, Cases, Seen, cases_of
from autofix.deliver.markdown import environment
from autofix.deliver.proposals import Proposal
from autofix.model import Verdict
from autofix.report import Item, Status
from autofix.smoke.job import Job
from autofix.smoke.zygote import Zygote

_MOST = 12  # tests in one pull request: more of them show nothing new
_ROUNDS = 24


@dataclass(frozen=True, slots=True)
class Trial:
    """A test as it was run. before, after: in words, on the base commit and with the fix."""

    name: str
    where: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RegressionTests:
    """A file of tests. path: from the top of the repository. left_out: places without a test ("file:line"), and why."""

    path: str
    text: bytes
    results: tuple[Trial, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def count(self) -> int:
        return len(self.results)


def regression_tests(proposal: Proposal, folder: Path, zygote: Zygote, templates: Path | None) -> RegressionTests:
    """Tests for the PROVED fixes of a proposal, each run on the base (`folder`) and on the patched files."""
    proved = [
        i
        for i in proposal.report.items
        if i.status is Status.PATCHED and i.evidence and i.evidence.verdict is Verdict.PROVED
    ]
    path = _path(proposal, folder)
    sources = {f.path: f.source for f in proposal.report.files}
    cases: dict[int, Cases] = {}
    left: dict[int, str] = {}
    for number, item in enumerate(proved):
        found = (
            cases_of(item, number, sources[item.finding.path], folder)
            if number < _MOST
            else "the tests of the others show the same"
        )
        if isinstance(found, str):
            left[number] = found
        else:
            cases[number] = found
    kept: dict[int, Case] = {}
    with _Trees(proposal, folder, path, zygote, templates) as trees:
        seen: dict[int, Seen] = {}
        for _ in range(_ROUNDS):
            tried = {n: case for n, more in cases.items() if n not in kept and (case := _next(more, seen.get(n)))}
            if not tried:
                break
            seen = trees.run(tried)
            for number, (before, after) in seen.items():
                if _shows(before, after) and not tried[number].only_looks:
                    kept[number] = tried[number]
                elif not tried[number].only_looks:
                    left.setdefault(number, _reason(before, after))
        results = trees.run(kept) if kept else {}
        text = trees.text
    trials = [
        Trial(kept[n].name, _where(kept[n].item), _told(before), _told(after))
        for n, (before, after) in sorted(results.items())
        if _shows(before, after)
    ]
    if len(trials) < len(kept):  # a test that depends on the others of its file
        kept, trials = {}, []
    missing = tuple(
        (_where(proved[n]), left.get(n, "the statements around it do not run by themselves"))
        for n in range(len(proved))
        if n not in kept
    )
    return RegressionTests(path, text if trials else b"", tuple(trials), missing)


def _next(cases: Cases, seen: Seen | None) -> Case | None:
    try:
        return cases.send(seen) if seen else next(cases)
    except StopIteration:
        return None


def _where(item: Item) -> str:
    return f"{item.finding.path}:{item.finding.start.line}"


def _shows(before: Sequence[str], after: Sequence[str]) -> bool:
    return after[0] == "passed" and (before[0] == "failed" or (before[0] == "raised" and _numerical(before[1])))


def _numerical(error: str) -> bool:
    """Whether an error of the base is the failure that the fix is for, and not one of the test's own."""
    return error.startswith("RuntimeError: ") or "without overflow" in error


def _reason(before: Sequence[str], after: Sequence[str]) -> str:
    if after[0] != "passed":
        return f"the statements do not run by themselves ({after[1]})" if after[1] else "the statements do not run"
    return "a test of the statements by themselves passes on the base as well"


def _told(outcome: Sequence[str]) -> str:
    return "passes" if outcome[0] == "passed" else "fails"


# -- the file --------------------------------------------------------------------------------------------------


def _path(proposal: Proposal, folder: Path) -> str:
    """A new file in the project's folder of tests: the nearest one above the patched files, else `tests` at the top."""
    parents = [PurePosixPath(p).parent for p in proposal.files]
    common = next(
        (p for p in (parents[0], *parents[0].parents) if all(o == p or p in o.parents for o in parents)),
        PurePosixPath("."),
    )
    homes = [p / name for p in (common, *common.parents) for name in ("tests", "test") if (folder / p / name).is_dir()]
    home = homes[0] if homes else PurePosixPath("tests")
    stem = re.sub(r"\W+", "_", proposal.name.lower(), flags=re.ASCII).strip("_") or "fixes"
    for number in itertools.count(1):
        name = f"test_autofix_{stem}{'' if number == 1 else f'_{number}'}.py"
        if not (folder / home / name).exists():
            return str(home / name)
    raise AssertionError("itertools.count ended")


class _Trees:
    """The base and the patched project, each with the tests in it. Only what the tests read is copied, unless they
    import something."""

    def __init__(self, proposal: Proposal, folder: Path, path: str, zygote: Zygote, templates: Path | None) -> None:
        self._proposal, self._folder, self._path, self._zygote = proposal, folder, path, zygote
        self._template = environment(templates).get_template("regression_test.py.j2")
        self._place = tempfile.TemporaryDirectory(prefix="autofix-tests-")
        self._whole = False
        self.text = b""
        for side in ("before", "after"):
            self._write(side, {p.source.path: p.source.data for p in proposal.report.patches})
        self._write("after", proposal.files)

    def __enter__(self) -> _Trees:
        return self

    def __exit__(self, *_: object) -> None:
        self._place.cleanup()

    def run(self, cases: Mapping[int, Case]) -> dict[int, tuple[list[str], list[str]]]:
        """What each test does before and after."""
        if not self._whole and any(case.root is not None for case in cases.values()):
            for side in ("before", "after"):
                shutil.copytree(self._folder, Path(self._place.name) / side, symlinks=True, dirs_exist_ok=True)
            self._write("after", self._proposal.files)
            self._whole = True
        self.text = self._rendered(list(cases.values()))
        jobs = []
        for side in ("before", "after"):
            self._write(side, {self._path: self.text})
            jobs.append(Job("regression", {"path": str(Path(self._place.name) / side / self._path)}))
        answers: dict[int, Mapping[str, Any]] = {}
        for job, answer in self._zygote.run(jobs):
            answers[jobs.index(job)] = answer
        return {number: (_outcome(answers[0], case), _outcome(answers[1], case)) for number, case in cases.items()}

    def _rendered(self, cases: Sequence[Case]) -> bytes:
        text = self._template.render(
            tests=[{"name": c.name, "body": c.body, "comments": _comments(c.item)} for c in cases],
            imports=sorted({line for c in cases for line in c.imports}),
            traced=any("run(" in c.body for c in cases),
            importing=any(c.root is not None for c in cases),
            reading=any(c.root is None for c in cases),
            looping=any("take_step(" in c.body for c in cases),
            comparing=any("assert_close(" in c.body for c in cases),
            looking=any(c.only_looks for c in cases),
            up=len(PurePosixPath(self._path).parts) - 1,
        )
        return text.encode("utf-8", "backslashreplace")

    def _write(self, side: str, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            target = Path(self._place.name) / side / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def _outcome(answer: Mapping[str, Any], case: Case) -> list[str]:
    results = answer.get("results") or {}
    found = results.get(case.name)
    return [str(part) for part in found] if found else ["raised", str(answer.get("reason") or "it was not run")]


def _comments(item: Item) -> list[str]:
    evidence = item.evidence
    texts = [f"{_where(item)}: {item.finding.message}", evidence.witness_summary if evidence else ""]
    return [line for text in texts for line in textwrap.wrap(re.sub(r"\s+", " ", text), 110)]
