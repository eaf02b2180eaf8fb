"""Findings as GitHub's workflow commands: what a step prints becomes a mark beside the line of the pull request."""

from __future__ import annotations

from autofix.deliver import words
from autofix.deliver.places import Located, as_severity, located, relative
from autofix.report import Report, is_left

_COMMANDS = ("error", "warning", "notice")


def render(report: Report, pending: bool) -> str:
    """A line for each finding that is left, and one for each file that could not be processed."""
    lines = [_command(one) for one in located(report) if is_left(one.item, pending)]
    for problem in report.problems:
        line = f",line={problem.line}" if problem.line else ""
        lines.append(
            f"::warning file={_property(relative(problem.path))}{line},title=autofix::{_data(problem.message)}"
        )
    return "".join(f"{line}\n" for line in lines)


def _command(found: Located) -> str:
    finding, start, end = found.item.finding, found.place.start, found.place.end
    # A mark has columns only within one line.
    columns = f",col={start.column},endColumn={end.column}" if start.line == end.line else ""
    text = "\n".join([finding.message, *words.item_lines(found.item)])
    return (
        f"::{as_severity(finding.severity, _COMMANDS)} file={_property(found.path)},line={start.line},"
        f"endLine={end.line}{columns},title={_property(f'autofix {finding.rule}')}::{_data(text)}"
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
