"""The dry run: a unified diff in which each file's part is preceded by its findings and their evidence."""

from __future__ import annotations

from autofix import diff
from autofix.deliver import words
from autofix.report import FileReport, Report


def preamble(file: FileReport) -> list[str]:
    """What stands above a file's hunks, without the `# ` that makes `git apply` and `patch` ignore it."""
    lines = [f"autofix: {file.path}"]
    for item in file.items:
        finding = item.finding
        lines.append(
            f"  {finding.start.line}:{finding.start.column} {finding.severity.value} [{finding.rule}] {finding.message}"
        )
        lines.extend(f"      {line}" for line in words.item_lines(item))
    return words.indented(lines)


def render(report: Report) -> bytes:
    """The whole preview: for each file its findings, then its hunks; what has no patch is listed all the same."""
    bare = [line for file in report.files if file.items and not file.patch for line in preamble(file)]
    lines = [f"# {line}" for line in words.indented([*words.command_lines(report), *bare])]
    with_patch = [(file.patch, preamble(file)) for file in report.files if file.patch is not None]
    head = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    return head + diff.render([p for p, _ in with_patch], [lines for _, lines in with_patch])
