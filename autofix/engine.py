"""The pipeline: discover -> triage -> detect -> compose -> verify. The only module that knows the order.

It returns values and writes nothing; `deliver` renders them and `files` writes what the caller decides to write.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from autofix import discover, files, patch
from autofix.cache import Cache, content_key, findings_from_json, findings_to_json
from autofix.config import suppressions
from autofix.detect import Scan, scan
from autofix.generated import origin
from autofix.model import Applicability, Evidence, Finding, Fix, Patch, Problem, Source, Verdict
from autofix.neighbours import was_asked
from autofix.registry import all_rules, default_rules
from autofix.report import FileReport, Item, Report, Status
from autofix.rule import Options, Rule
from autofix.syntax import parse, with_deep_stack
from autofix.triage import relevant

_CHUNK = 32
_MAX_PASSES = 6
# A run over at most so many files parses all of them, so that each one with a syntax error is named; in a larger one
# a file that no rule could speak about is not worth the time.
_PARSE_ALL = 256

Verify = Callable[[Sequence[tuple[Source, Fix]]], Sequence[Evidence]]
Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True)
class Request:
    """What to look for and what may be fixed."""

    rules: tuple[Rule, ...]
    options: Options
    unsafe: bool = False
    allow_unverified: bool = False
    jobs: int = 0  # 0: one per core
    cache: Cache | None = None


def select_rules(select: Iterable[str], ignore: Iterable[str], extend: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules of a run: those selected, or all that run by default when none is; `extend` adds to either."""
    chosen = set(select) or {r.name for r in default_rules()}
    dropped = set(ignore)
    return tuple(r for r in all_rules() if r.name in chosen.union(extend) and r.name not in dropped)


# -- detection -------------------------------------------------------------------------------------------------


def check(
    paths: Sequence[Path], request: Request, exclude: Sequence[str] = (), progress: Progress | None = None
) -> Report:
    """Findings only."""
    started = time.perf_counter()
    found, problems, total = _discover(paths, exclude)
    scans, more = _detect(found, request, progress)
    reports = tuple(
        FileReport(s.path, tuple(Item(f, Status.LISTED) for f in s.findings), source)
        for s, source in scans
        if s.findings
    )
    return Report(reports, (*problems, *more), total, time.perf_counter() - started)


def check_source(source: Source, request: Request) -> Report:
    """Findings of one text that is not read from a file (standard input)."""
    started = time.perf_counter()
    result = scan_safely(source, request.rules, request.options)
    problems = (result.problem,) if result.problem else ()
    items = tuple(Item(f, Status.LISTED) for f in result.findings)
    return Report((FileReport(source.path, items, source),), problems, 1, time.perf_counter() - started)


def _discover(paths: Sequence[Path], exclude: Sequence[str]) -> tuple[list[Path], list[Problem], int]:
    found: list[Path] = []
    problems: list[Problem] = []
    for entry in discover.discover(paths, exclude):
        if isinstance(entry, Problem):
            problems.append(entry)
        else:
            found.append(entry)
    return found, problems, len(found)


def scan_safely(source: Source, rules: Sequence[Rule], options: Options) -> Scan:
    """`detect.scan` with the user's suppressions applied; a defect of ours costs one file, not the run."""
    try:
        result = scan(source, rules, options)
    except RecursionError:
        result = _scan_deep(source, rules, options)
    except Exception as error:  # our bug: named, and the other files still processed
        return Scan(source.path, problem=_internal(source.path, error))
    if not result.findings or b"autofix:" not in source.data:
        return result
    module = parse(source)
    if isinstance(module, Problem):
        return result
    silenced = suppressions(module)
    return replace(result, findings=tuple(f for f in result.findings if not silenced.covers(f)))


def _scan_deep(source: Source, rules: Sequence[Rule], options: Options) -> Scan:
    try:
        return with_deep_stack(lambda: scan(source, rules, options))
    except RecursionError:
        return Scan(source.path, problem=Problem(source.path, "skipped: an expression is nested too deeply; split it"))
    except Exception as error:
        return Scan(source.path, problem=_internal(source.path, error))


def _internal(path: str, error: Exception) -> Problem:
    return Problem(path, f"skipped: internal error of autofix ({type(error).__name__}: {error}); please report it")


def _detect(
    paths: Sequence[Path], request: Request, progress: Progress | None
) -> tuple[list[tuple[Scan, Source]], list[Problem]]:
    """Scan files in a process pool; files without findings are dropped on the way."""
    names = tuple(r.name for r in request.rules)
    location = request.cache.path if request.cache else None
    size = max(1, min(_CHUNK, len(paths) // 8))
    chunks = [paths[i : i + size] for i in range(0, len(paths), size)]
    workers = request.jobs or os.cpu_count() or 1
    results: list[_ChunkResult] = []
    if workers == 1 or len(paths) < 24:
        for done, chunk in enumerate(chunks, 1):
            results.append(_scan_chunk(chunk, names, request.options, location, len(paths) <= _PARSE_ALL))
            _tell(progress, "scanning", min(done * size, len(paths)), len(paths))
    else:
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method)) as pool:
            results = _in_order(pool, chunks, names, request.options, location, progress, len(paths))
    if request.cache:
        request.cache.put_many("scan", {k: v for r in results for k, v in r.fresh.items()})
    scanned = set(paths)
    # The next run of a generator would undo what is repaired in its output: its input is reported in this run as well.
    scans = [(s, source) for r in results for s, source in r.scans if origin(source) not in scanned]
    return scans, [p for r in results for p in r.problems]


def _in_order(
    pool: Executor,
    chunks: Sequence[Sequence[Path]],
    names: tuple[str, ...],
    options: Options,
    location: Path | None,
    progress: Progress | None,
    total: int,
) -> list[_ChunkResult]:
    futures: list[Future[_ChunkResult]] = [
        pool.submit(_scan_chunk, c, names, options, location, total <= _PARSE_ALL) for c in chunks
    ]
    results, done = [], 0
    for future, chunk in zip(futures, chunks, strict=True):
        results.append(future.result())
        done += len(chunk)
        _tell(progress, "scanning", done, total)
    return results


def _tell(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)


@dataclass(slots=True)
class _ChunkResult:
    scans: list[tuple[Scan, Source]]
    problems: list[Problem]
    fresh: dict[str, list[dict[str, object]]]


def _scan_chunk(
    paths: Sequence[Path], names: tuple[str, ...], options: Options, cache: Path | None, parse_all: bool
) -> _ChunkResult:
    """Scan some files (in a worker process). The garbage collector pauses meanwhile: it walks every new tree, time
    and again, and finds nothing to free (`Tree.forget` sees to that)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return _scan_files(paths, names, options, cache, parse_all)
    finally:
        if enabled:
            gc.enable()


def _scan_files(
    paths: Sequence[Path], names: tuple[str, ...], options: Options, cache: Path | None, parse_all: bool
) -> _ChunkResult:
    """Read, triage and scan."""
    rules = tuple(r for r in all_rules() if r.name in names)
    result = _ChunkResult([], [], {})
    todo: list[tuple[Source, str]] = []
    for path in paths:
        source = files.read(path)
        if isinstance(source, Problem):
            result.problems.append(source)
        elif parse_all or relevant(source.data):
            key = content_key(source.data, source.path, *names, repr(options), str(parse_all)) if cache else ""
            todo.append((source, key))
    known = Cache(cache).get_many("scan", [key for _, key in todo]) if cache and todo else {}
    for source, key in todo:
        if key in known:
            found = tuple(findings_from_json(known[key]))
            if found:
                result.scans.append((Scan(source.path, found, parsed=True), source))
            continue
        scanned = scan_safely(source, rules, options)
        problem = scanned.problem
        if parse_all and not scanned.parsed and isinstance(unread := parse(source), Problem):
            problem = problem or unread
        if problem:
            result.problems.append(problem)
            continue
        if cache and not was_asked(source.path):  # what other files say may change while this one does not
            result.fresh[key] = findings_to_json(list(scanned.findings))
        if scanned.findings:
            result.scans.append((scanned, source))
    return result


# -- fixing ----------------------------------------------------------------------------------------------------


def fix(
    paths: Sequence[Path],
    request: Request,
    verify: Verify | None,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Findings, evidence, and the patch of every file. `verify` None leaves fixes unexecuted and applies them."""
    started = time.perf_counter()
    found, problems, total = _discover(paths, exclude)
    scans, more = _detect(found, request, progress)
    detected = time.perf_counter()
    work = [_Work(source, source, scanned.findings) for scanned, source in scans]
    reports = _fix_all(work, request, verify)
    now = time.perf_counter()
    stages = {"detect": detected - started, "verify and compose": now - detected}
    return Report(reports, (*problems, *more), total, now - started, stages=stages)


def fix_source(source: Source, request: Request, verify: Verify | None) -> Report:
    """As `fix`, for one text that is not read from a file (standard input)."""
    started = time.perf_counter()
    result = scan_safely(source, request.rules, request.options)
    problems = (result.problem,) if result.problem else ()
    reports = _fix_all([_Work(source, source, result.findings)], request, verify)
    return Report(reports or (FileReport(source.path, (), source),), problems, 1, time.perf_counter() - started)


@dataclass(slots=True)
class _Work:
    """One file on its way through the passes."""

    original: Source
    current: Source
    findings: tuple[Finding, ...]
    items: list[Item] = field(default_factory=list)
    patch: Patch | None = None
    finished: bool = False

    @property
    def changed(self) -> Patch | None:
        """The patch, when it changes anything after all."""
        return self.patch if self.patch and self.patch.edits else None


def _fix_all(work: Sequence[_Work], request: Request, verify: Verify | None) -> tuple[FileReport, ...]:
    """Passes over all files until none changes: verify what may be applied, compose, detect again."""
    for number in range(1, _MAX_PASSES + 1):
        active = [w for w in work if not w.finished]
        if not active:
            break
        wanted = [(w, f) for w in active for f in w.findings if _may_apply(f, request)]
        evidence = _evidence([(w.current, f.fix) for w, f in wanted if f.fix], verify)
        by_finding = {(id(w), f): e for (w, f), e in zip(wanted, evidence, strict=True)}
        for w in active:
            _one_pass(w, {f: by_finding.get((id(w), f)) for f in w.findings}, request, number)
    return tuple(FileReport(w.original.path, tuple(w.items), w.original, w.changed) for w in work if w.items)


def _evidence(items: Sequence[tuple[Source, Fix]], verify: Verify | None) -> Sequence[Evidence | None]:
    if verify is None or not items:
        return [None] * len(items)
    return list(verify(items))


def _one_pass(w: _Work, evidence: Mapping[Finding, Evidence | None], request: Request, number: int) -> None:
    """Apply what this pass may apply to one file, then look again for what its fixes uncovered."""
    decided = {f: _decide(f, evidence.get(f), request) for f in w.findings}
    accepted = [f for f, status in decided.items() if status is Status.PATCHED]
    step = patch.compose(w.current, accepted) if accepted else None
    applied = set(step.applied) if step else set()
    rejected = dict(step.rejected) if step else {}
    w.items = [i for i in w.items if i.status is not Status.DEFERRED]  # this pass has found them again
    seen = {_identity(i.finding) for i in w.items}
    for finding, status in decided.items():
        if status is Status.PATCHED and finding not in applied:
            status = Status.REJECTED if finding in rejected else Status.DEFERRED
        if _identity(finding) in seen and status not in (Status.PATCHED, Status.DEFERRED):
            continue  # reported in an earlier pass; only its position has moved
        origin = patch.before(w.patch, finding.span) if w.patch else None
        w.items.append(Item(finding, status, evidence.get(finding), number, rejected.get(finding, ""), origin))
    if step is None or not applied:  # nothing changed: another pass would see the same
        w.finished = True
        return
    w.patch = patch.merge(w.patch, step) if w.patch else step
    w.current = Source(w.original.path, step.after)
    again = scan_safely(w.current, request.rules, request.options)
    w.findings = again.findings
    w.finished = not any(_may_apply(f, request) for f in w.findings)


def _identity(finding: Finding) -> tuple[str, str, str]:
    """What stays the same when an earlier fix moves a finding: the rule, its words and the fix's words."""
    return finding.rule, finding.message, finding.fix.title if finding.fix else finding.unfixed_reason


def _may_apply(finding: Finding, request: Request) -> bool:
    if finding.fix is None or finding.fix.applicability is Applicability.ADVICE:
        return False
    return finding.fix.applicability is Applicability.SAFE or request.unsafe


def _decide(finding: Finding, evidence: Evidence | None, request: Request) -> Status:
    if finding.fix is None or finding.fix.applicability is Applicability.ADVICE:
        return Status.ADVICE
    if not _may_apply(finding, request):
        return Status.UNSAFE
    if evidence is None:
        return Status.PATCHED
    if evidence.verdict is Verdict.REFUTED:
        return Status.REFUTED
    if evidence.verdict is Verdict.INCONCLUSIVE and not request.allow_unverified:
        return Status.UNVERIFIED
    return Status.PATCHED
