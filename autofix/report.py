"""What a run found, and what became of it: the values between the engine and every rendering."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from autofix.model import Evidence, Finding, Patch, Problem, Severity, Source, Span


class Status(enum.Enum):
    """What became of a finding."""

    PATCHED = "patched"  # its fix is in the patch
    ADVICE = "advice"  # it has no fix; `unfixed_reason` says why
    UNSAFE = "unsafe"  # its fix needs --unsafe-fixes
    REFUTED = "refuted"  # running the fix contradicted it: not delivered
    UNVERIFIED = "unverified"  # the fix could not be executed: needs --allow-unverified
    UNWRITTEN = "unwritten"  # its file was not written: uncommitted changes, or it changed meanwhile
    REJECTED = "rejected"  # the file would not compile after its fix
    DEFERRED = "deferred"  # its fix touches another one; run again
    LISTED = "listed"  # `check`: nothing was decided


@dataclass(frozen=True, slots=True)
class Item:
    """A finding, what running its fix showed, and what became of it.

    origin: where a finding of a later pass lies in the file as it was; None when that is its own span.
    """

    finding: Finding
    status: Status
    evidence: Evidence | None = None
    pass_number: int = 1
    note: str = ""  # why it was rejected
    origin: Span | None = None


@dataclass(frozen=True, slots=True)
class FileReport:
    path: str
    items: tuple[Item, ...]
    source: Source
    patch: Patch | None = None


@dataclass(frozen=True, slots=True)
class CommandReport:
    """A project's own smoke command, run before and after that project's patches."""

    root: str
    command: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run found and would write."""

    files: tuple[FileReport, ...]
    problems: tuple[Problem, ...]
    scanned: int
    seconds: float
    commands: tuple[CommandReport, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def items(self) -> Iterator[Item]:
        for report in self.files:
            yield from report.items

    @property
    def patches(self) -> tuple[Patch, ...]:
        return tuple(f.patch for f in self.files if f.patch is not None)


def withhold(report: Report, paths: frozenset[str]) -> Report:
    """The report after a project's own smoke command contradicted the patches of these files: none is delivered."""
    files = (
        replace(
            f,
            patch=None,
            items=tuple(replace(i, status=Status.REFUTED) if i.status is Status.PATCHED else i for i in f.items),
        )
        if f.path in paths
        else f
        for f in report.files
    )
    return replace(report, files=tuple(files))


def remaining(report: Report, patched_counts: bool) -> int:
    """How many findings are left to deal with: information without a fix does not count, patches do when they
    are only shown (`patched_counts`)."""
    return sum(is_left(item, patched_counts) for item in report.items)


def is_left(item: Item, patched_counts: bool) -> bool:
    """Whether a finding is left to deal with, as `remaining` counts."""
    if item.status is Status.PATCHED:
        return patched_counts
    return item.finding.severity is not Severity.INFO or item.finding.fix is not None


def as_unwritten(file: FileReport) -> FileReport:
    """The report of a file whose patch was not written."""
    items = (replace(i, status=Status.UNWRITTEN) if i.status is Status.PATCHED else i for i in file.items)
    return replace(file, patch=None, items=tuple(items))
