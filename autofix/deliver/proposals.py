"""What pull requests would hold: findings, evidence and patches of the base commit's files, one group at a time.

The user's working tree is not read. The commit's files are written to a folder of their own, and the pipeline runs
there, once for each group, so that each group's patch stands on the base by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autofix import engine
from autofix.model import Applicability, ClaimResult, Evidence, Finding, Fix, Patch, Problem, Source
from autofix.report import FileReport, Item, Report
from autofix.rule import Rule

GROUPS = ("rule", "file", "package", "all")

Complete = Callable[[Report], Report]  # adds what a project's own smoke command shows


@dataclass(frozen=True, slots=True)
class Proposal:
    """The content of one pull request. kind: one of GROUPS; name: the rule, the file, the package, or "all". The
    paths of the report are relative to the top of the repository. rules: the names of those whose fixes are in it."""

    kind: str
    name: str
    report: Report
    rules: tuple[str, ...]

    @property
    def files(self) -> dict[str, bytes]:
        """What the patched files hold, by path."""
        return {patch.source.path: patch.after for patch in self.report.patches}


def propose(
    folder: Path,
    places: Sequence[str],
    request: engine.Request,
    verify: engine.Verify | None,
    *,
    group: str = "rule",
    exclude: Sequence[str] = (),
    progress: engine.Progress | None = None,
    complete: Complete = lambda report: report,
) -> tuple[list[Proposal], tuple[Problem, ...]]:
    """Proposals in order of name, and what could not be read.

    folder: holds the base commit's files. places: paths relative to it. verify: None leaves fixes unexecuted.
    """
    missing = [p for p in places if not (folder / p).exists()]
    problems = [Problem(p, "it is not in the base commit; commit it, or give its present name") for p in missing]
    wanted = [folder / p for p in places if p not in missing]
    if not wanted:
        return [], tuple(problems)
    first = engine.check(wanted, request, exclude, progress)
    problems += [_problem(p, folder) for p in first.problems]
    together = _together(first, request, verify) if verify else None
    out = []
    for name, files, rules in _groups(first, request, folder, group):
        own = replace(request, rules=rules)
        report = complete(engine.fix(files, own, together, (), progress))
        report = relative(report, folder)
        fixed = {f.rule for patch in report.patches for f in patch.applied}
        out.append(Proposal(group, name, report, tuple(r.name for r in rules if r.name in fixed)))
    return out, tuple(problems)


def _together(report: Report, request: engine.Request, verify: engine.Verify) -> engine.Verify:
    """The evidence of all groups' fixes, gathered in one go: each call of `verify` starts a process that imports
    torch."""
    wanted = [
        (file.source, item.finding.fix)
        for file in report.files
        for item in file.items
        if item.finding.fix and (request.unsafe or item.finding.fix.applicability is Applicability.SAFE)
    ]
    known = dict(zip(wanted, verify(wanted), strict=True)) if wanted else {}

    def run(items: Sequence[tuple[Source, Fix]]) -> Sequence[Evidence]:
        missing = [pair for pair in items if pair not in known]
        known.update(zip(missing, verify(missing), strict=True) if missing else ())
        return [known[pair] for pair in items]

    return run


def _groups(
    report: Report, request: engine.Request, folder: Path, group: str
) -> Iterator[tuple[str, list[Path], tuple[Rule, ...]]]:
    """Each group's name, files and rules."""
    by_name: dict[str, dict[Path, None]] = {}
    for file in report.files:
        path = Path(file.path)
        for item in file.items:
            by_name.setdefault(_group_of(item.finding, path, folder, group), {})[path] = None
    for name in sorted(by_name):
        rules = tuple(r for r in request.rules if r.name == name) if group == "rule" else request.rules
        yield name, list(by_name[name]), rules


def _group_of(finding: Finding, path: Path, folder: Path, group: str) -> str:
    if group == "rule":
        return finding.rule
    if group == "file":
        return path.relative_to(folder).as_posix()
    return package_of(path, folder) if group == "package" else "all"


def package_of(path: Path, folder: Path) -> str:
    """The outermost package that holds a file, as a path; a file in none belongs to its directory ("." for the top)."""
    package = path.parent
    if not (package / "__init__.py").exists():
        return package.relative_to(folder).as_posix()
    while package.parent != folder and (package.parent / "__init__.py").exists():
        package = package.parent
    return package.relative_to(folder).as_posix()


# -- paths -----------------------------------------------------------------------------------------------------


def relative(report: Report, folder: Path) -> Report:
    """The report with every path as the repository knows it."""
    return replace(
        report,
        files=tuple(_file(f, folder) for f in report.files),
        problems=tuple(_problem(p, folder) for p in report.problems),
        commands=tuple(
            replace(c, root=_path(c.root, folder), evidence=_evidence(c.evidence, folder)) for c in report.commands
        ),
    )


def _path(path: str, folder: Path) -> str:
    place = Path(path)
    return PurePosixPath(place.relative_to(folder)).as_posix() if place.is_relative_to(folder) else path


def _file(file: FileReport, folder: Path) -> FileReport:
    source = Source(_path(file.source.path, folder), file.source.data)
    items = tuple(_item(i, folder) for i in file.items)
    patch = _patch(file.patch, source, folder) if file.patch else None
    return FileReport(_path(file.path, folder), items, source, patch)


def _patch(patch: Patch, source: Source, folder: Path) -> Patch:
    return replace(
        patch,
        source=source,
        applied=tuple(_finding(f, folder) for f in patch.applied),
        deferred=tuple(_finding(f, folder) for f in patch.deferred),
        rejected=tuple((_finding(f, folder), why) for f, why in patch.rejected),
    )


def _item(item: Item, folder: Path) -> Item:
    evidence = _evidence(item.evidence, folder) if item.evidence else None
    return replace(item, finding=_finding(item.finding, folder), evidence=evidence)


def _finding(finding: Finding, folder: Path) -> Finding:
    return replace(finding, path=_path(finding.path, folder))


def _evidence(evidence: Evidence, folder: Path) -> Evidence:
    """Messages of exceptions may name files: where the commit was unpacked tells nobody anything."""
    place = f"{folder}/"
    return replace(
        evidence,
        reason=evidence.reason.replace(place, ""),
        witness_summary=evidence.witness_summary.replace(place, ""),
        claims=tuple(ClaimResult(c.name, c.held, c.detail.replace(place, "")) for c in evidence.claims),
    )


def _problem(problem: Problem, folder: Path) -> Problem:
    return replace(problem, path=_path(problem.path, folder), message=problem.message.replace(f"{folder}/", ""))
