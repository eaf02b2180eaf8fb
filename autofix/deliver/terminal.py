"""Findings and summaries for people: rich on a terminal, plain when piped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from autofix.deliver import words
from autofix.model import Problem, Severity, Verdict
from autofix.report import FileReport, Item, Report, Status

_SEVERITY_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_VERDICT_STYLE = {
    Verdict.PROVED: "green",
    Verdict.CONSISTENT: "green",
    Verdict.REFUTED: "red",
    Verdict.INCONCLUSIVE: "yellow",
}


def console(stderr: bool = False, file: IO[str] | None = None) -> Console:
    """Honours NO_COLOR and the terminal's width; never wraps or colours what is piped, or goes to `file`."""
    return Console(stderr=stderr, file=file, highlight=False, soft_wrap=True, markup=False, emoji=False)


def show_findings(out: Console, reports: Iterable[FileReport], statuses: frozenset[Status] | None = None) -> None:
    """One line a finding, `path:line:column: severity [rule] message`, and what is known of it below."""
    for report in reports:
        for item in report.items:
            if statuses is None or item.status in statuses:
                _show_item(out, item)


def _show_item(out: Console, item: Item) -> None:
    finding = item.finding
    line = Text(f"{finding.path}:{finding.start.line}:{finding.start.column}: ")
    line.append(finding.severity.value, _SEVERITY_STYLE[finding.severity])
    line.append(f" [{finding.rule}] ", "bold")
    line.append(finding.message)
    out.print(line)
    for text in words.item_lines(item):
        style = _VERDICT_STYLE[item.evidence.verdict] if item.evidence and text.startswith("evidence:") else "dim"
        out.print(Text(f"    {text}", style))


def show_problems(err: Console, problems: Iterable[Problem]) -> None:
    for problem in problems:
        place = f"{problem.path}:{problem.line}" if problem.line else problem.path
        err.print(Text(f"autofix: {place}: {problem.message}", "yellow"))


def show_summary(err: Console, report: Report) -> None:
    for line in words.command_lines(report):
        err.print(f"autofix: {line}")
    for reached in dict.fromkeys(i.evidence.sandbox for i in report.items if i.evidence and i.evidence.sandbox):
        err.print(f"autofix: sandbox: {reached}")
    err.print(f"autofix: {words.tally(report)}")


class ProgressBar:
    """Appears on a terminal once a run has taken a second; silent otherwise."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self._err.is_terminal or time.monotonic() - self._started < 1.0:
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._err,
                transient=True,
            )
            self._progress.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
