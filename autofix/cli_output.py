"""Where the command line puts what a run found: standard output or a file, as text or for another program."""

from __future__ import annotations

import enum
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autofix import config, files, undo
from autofix.deliver import formats, preview, terminal
from autofix.model import Problem
from autofix.report import Report, as_unwritten


class OutputFormat(str, enum.Enum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    RDJSON = "rdjson"
    JUNIT = "junit"
    GITLAB = "gitlab"


Format = Annotated[OutputFormat, typer.Option(help="How findings are printed.")]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output-file", "-o", dir_okay=False, help="Write there what would be printed."),
]


class Output:
    """One format and one place. `problem` says why the place could not be written."""

    def __init__(self, chosen: OutputFormat, file: Path | None) -> None:
        self.format = chosen
        self.file = file
        self.problem: Problem | None = None

    @property
    def is_text(self) -> bool:
        return self.format is OutputFormat.TEXT

    def write(self, data: bytes) -> None:
        if self.file is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        try:
            self.file.write_bytes(data)
        except OSError as error:
            self.problem = Problem(str(self.file), f"not written: {(error.strerror or str(error)).lower()}")

    def text(self, show: Callable[[Console], None]) -> None:
        """What `show` prints: on the terminal as it goes, in a file plain."""
        if self.file is None:
            show(terminal.console())
            return
        buffer = io.StringIO()
        show(terminal.console(file=buffer))
        self.write(buffer.getvalue().encode("utf-8", "surrogateescape"))

    def machine(self, report: Report, pending: bool) -> None:
        self.write(formats.as_bytes(report, self.format.value, pending))


def deliver_findings(report: Report, output: Output) -> None:
    if output.is_text:
        output.text(lambda out: terminal.show_findings(out, report.files))
    else:
        output.machine(report, pending=True)


def deliver_preview(report: Report, output: Output) -> None:
    if output.is_text:
        output.write(preview.render(report))
    else:
        output.machine(report, pending=True)


def deliver_stdin(report: Report, dry_run: bool, output: Output) -> None:
    """Standard input in, the patched text (or its diff, or the findings for another program) out."""
    if dry_run or not output.is_text:
        deliver_preview(report, output)
        return
    (file,) = report.files
    output.write(file.patch.after if file.patch else file.source.data)


def deliver_in_place(report: Report, settings: config.Config, allow_dirty: bool, output: Output) -> Report:
    """Write the patches, and tell what was done, what was not, and why."""
    wanted = list(report.patches)
    dirty = set() if allow_dirty else files.git_dirty([Path(p.source.path) for p in wanted])
    clean = [p for p in wanted if Path(p.source.path) not in dirty]
    problems = [
        Problem(p.source.path, "not written: it has uncommitted changes; commit them or give --allow-dirty")
        for p in wanted
        if Path(p.source.path) in dirty
    ]
    written = files.write_all(clean, undo.Journal.open(settings.root))
    problems.extend(written.problems)
    done = {str(path) for path in written.written}
    unwritten = {p.source.path for p in wanted} - done
    delivered = replace(
        report,
        problems=(*report.problems, *problems),
        files=tuple(as_unwritten(f) if f.path in unwritten else f for f in report.files),
    )

    def show(out: Console) -> None:
        terminal.show_findings(out, report.files)
        for path in sorted(done):
            out.print(f"patched {path}")
        if done:
            out.print("`autofix undo` restores the files")

    if output.is_text:
        output.text(show)
    else:
        output.machine(delivered, pending=False)
    return delivered
