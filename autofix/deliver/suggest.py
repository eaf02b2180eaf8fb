"""Fixes as suggestions on somebody's pull request, for the lines that it adds or changes and no others."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix import engine, patch
from autofix.deliver import git, words
from autofix.deliver.forges.protocol import Refusal, Suggestion
from autofix.deliver.markdown import environment
from autofix.deliver.publish import Begun, Configure, Wish, begin, fixed
from autofix.diff import diff
from autofix.model import Applicability, Patch, Problem
from autofix.report import FileReport, Item, Report, Status

_LOOKS = {
    Applicability.SAFE: "A safe fix: a cursory look is enough.",
    Applicability.UNSAFE: "An unsafe fix: please look carefully.",
}


@dataclass(frozen=True, slots=True)
class Suggested:
    """number, url: of the pull request. suggestions: what was, or in a dry run would be, written. known: how many stood
    there already. outside: how many findings touch lines that the pull request does not."""

    number: int
    url: str
    suggestions: tuple[Suggestion, ...]
    known: int = 0
    outside: int = 0
    sent: bool = False


def suggest(
    number: int, places: Sequence[Path], wish: Wish, configure: Configure, progress: engine.Progress | None = None
) -> Suggested | Problem:
    """Comment on pull request `number` with what the fixes would make of its lines."""
    begun = begin(places, wish)
    if isinstance(begun, Problem):
        return begun
    asked = begun.forge.get(number)
    touched = asked if isinstance(asked, Refusal) else begun.forge.changed(number)
    known = touched if isinstance(touched, Refusal) else begun.forge.comments(number)
    if isinstance(asked, Refusal) or isinstance(touched, Refusal) or isinstance(known, Refusal):
        refusal = next(r for r in (asked, touched, known) if isinstance(r, Refusal))
        return Problem(f"pull request #{number}", refusal.message)
    problem = git.fetch(begun.repo, begun.remote, f"refs/pull/{number}/head", asked.head_commit)
    if problem:
        problem = git.fetch(begun.repo, begun.remote, f"refs/heads/{asked.head}", asked.head_commit)
    if problem:
        return problem
    report = _report(begun, asked.head_commit, [p for p in touched if p.endswith(".py")], wish, configure, progress)
    if isinstance(report, Problem):
        return report
    made, outside = _suggestions(report, touched, wish.options.templates)
    new = [s for s in made if not any(_marker_of(s) in text for text in known)]
    result = Suggested(number, asked.url, tuple(new), len(made) - len(new), outside)
    if not new or wish.dry_run:
        return result
    summary = f"autofix found {words.plural(len(new), 'place')} in the lines that this pull request touches."
    refusal_ = begun.forge.comment(number, asked.head_commit, summary, new)
    if refusal_:
        return Problem(f"pull request #{number}", f"{refusal_.message}; nothing was commented")
    return Suggested(number, asked.url, tuple(new), len(made) - len(new), outside, True)


def _report(
    begun: Begun,
    commit: str,
    paths: Sequence[str],
    wish: Wish,
    configure: Configure,
    progress: engine.Progress | None,
) -> Report | Problem:
    """What is found in the changed files of a commit, by their paths from the top."""
    known = git.entries(begun.repo, commit)
    if isinstance(known, Problem):
        return known
    with tempfile.TemporaryDirectory(prefix="autofix-head-") as folder:
        unpacked = Path(os.path.realpath(folder))
        problem = git.export(begun.repo, known, unpacked)
        if problem:
            return problem
        wanted = [p for p in paths if any(p == q or q == "." or p.startswith(f"{q}/") for q in begun.places)]
        return fixed(begun, unpacked, wanted, wish, configure, progress)


def _suggestions(
    report: Report, touched: Mapping[str, Collection[int]], templates: Path | None
) -> tuple[list[Suggestion], int]:
    """What can be suggested, and how many fixes reach beyond the touched lines."""
    out: list[Suggestion] = []
    outside = 0
    for file in report.files:
        taken: set[int] = set()
        for item in file.items:
            if item.status is not Status.PATCHED or item.pass_number > 1:
                continue
            alone = patch.compose(file.source, [item.finding])
            regions = list(_regions(alone, touched.get(file.path, ())))
            lines = {n for first, last, _ in regions for n in range(first, last + 1)}
            if not regions or not lines <= set(touched.get(file.path, ())) or lines & taken:
                outside += 1
                continue
            taken |= lines
            out += [_suggestion(file, item, first, last, text, templates) for first, last, text in regions]
    return out, outside


def _regions(made: Patch, touched: Collection[int]) -> Iterator[tuple[int, int, str]]:
    """The lines that a patch replaces, first and last, with what stands there after it. An insertion takes in a line
    beside it: a suggestion replaces one line at least."""
    for hunk in diff(made, made.source.path):
        lines = [line for line in hunk if line.line_type in "+- "]
        at = 0
        while at < len(lines):
            if lines[at].line_type == " ":
                at += 1
                continue
            end = at
            while end < len(lines) and lines[end].line_type != " ":
                end += 1
            run = lines[at:end]
            old = [int(line.source_line_no or 0) for line in run if line.line_type == "-"]
            new = [line.value for line in run if line.line_type == "+"]
            before, after = lines[at - 1] if at else None, lines[end] if end < len(lines) else None
            if not old and after is not None and int(after.source_line_no or 0) in touched:
                old, new = [int(after.source_line_no or 0)], [*new, after.value]
            elif not old and before is not None:
                old, new = [int(before.source_line_no or 0)], [before.value, *new]
            if old:
                yield old[0], old[-1], "".join(new).replace("\r\n", "\n")
            at = end


def _suggestion(file: FileReport, item: Item, first: int, last: int, text: str, templates: Path | None) -> Suggestion:
    finding, evidence = item.finding, item.evidence
    about = "\0".join([file.path, finding.rule, finding.message, text])
    key = hashlib.blake2b(about.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    body = environment(templates).get_template("suggestion.md.j2").render(
        rule=finding.rule,
        message=finding.message,
        verdict=words.verdict(evidence) if evidence else "Not executed",
        witness=evidence.witness_summary if evidence else "",
        change=evidence.change if evidence else "",
        replacement=text,
        look=_LOOKS[finding.applicability],
        marker=f"<!-- autofix suggestion={key} -->",
    )  # fmt: skip
    return Suggestion(file.path, first, last, body)


def _marker_of(suggestion: Suggestion) -> str:
    return suggestion.body[suggestion.body.rindex("<!-- autofix suggestion=") :].strip()
