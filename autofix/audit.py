"""Everything a report tells, as values: models with their properties and smoke runs, findings by place, what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix.facts import FileFacts, ModelFacts, TrainingFacts, facts_of
from autofix.model import Evidence, Fix, Severity, Source, Verdict
from autofix.report import Item, Report, Status
from autofix.smoke.modules.smoke import ClassReport
from autofix.smoke.traces import NOTHING, Trace

Traces = Callable[[Sequence[tuple[Source, Fix, Evidence]]], Sequence[Trace]]
Smoke = Callable[[Sequence[Path]], Sequence[ClassReport]]
SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding, with what can be drawn of it. number: unique in the report."""

    number: int
    item: Item
    source: Source
    trace: Trace = NOTHING


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of a file with everything that was found on it, the worst first."""

    path: str
    line: int
    entries: tuple[Entry, ...]

    @property
    def severity(self) -> Severity:
        return self.entries[0].item.finding.severity


@dataclass(frozen=True, slots=True)
class Model:
    """A class, what its source shows, what running it showed (None when it was not run), and how many findings lie
    in it."""

    facts: ModelFacts
    run: ClassReport | None
    findings: int


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a checklist. held: None where the source does not say."""

    words: str
    held: bool | None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, the most important first, with the command that does it."""

    words: str
    command: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    report: Report
    models: tuple[Model, ...]
    training: tuple[TrainingFacts, ...]
    spots: tuple[Spot, ...]
    checks: tuple[Check, ...]
    steps: tuple[Step, ...]

    def of(self, severity: Severity) -> list[Spot]:
        return [spot for spot in self.spots if spot.severity is severity]


def audit(
    report: Report, sources: Iterable[Source], target: str, traces: Traces | None = None, smoke: Smoke | None = None
) -> Audit:
    """The audit of what a run found in `sources`.

    target: what the user named, for commands to copy. traces: executes fixes once more for what is drawn of them.
    smoke: runs the classes of some files. Neither is needed.
    """
    facts = [(source, facts_of(source)) for source in sources]
    spots = tuple(_spots(report, traces))
    found = {path for path, one in ((s.path, f) for s, f in facts) if one.models}
    runs = smoke([Path(p) for p in sorted(found)]) if smoke and found else ()
    models = tuple(_models(facts, runs, report))
    training = tuple(t for _, one in facts for t in one.training)
    return Audit(
        report, models, training, spots, tuple(_checks(models, training, report)), tuple(_steps(report, models, target))
    )


def _spots(report: Report, traces: Traces | None) -> list[Spot]:
    """Findings by line, the worst lines first; the same words on the same line are told once."""
    entries: list[Entry] = []
    for file in report.files:
        for item in file.items:
            entries.append(Entry(len(entries), item, file.source))
    drawn = [(n, e) for n, e in enumerate(entries) if e.item.finding.fix and e.item.evidence]
    if traces and drawn:
        asked = [(e.source, e.item.finding.fix, e.item.evidence) for _, e in drawn]
        results = traces([(s, f, v) for s, f, v in asked if f and v])
        for (n, e), trace in zip(drawn, results, strict=True):
            entries[n] = Entry(e.number, e.item, e.source, trace)
    lines: dict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        here = lines[entry.source.path, line_of(entry)]
        if all((e.item.finding.rule, e.item.finding.message) != (entry.item.finding.rule, entry.item.finding.message)
               for e in here):  # fmt: skip
            here.append(entry)
    spots = [Spot(path, line, tuple(sorted(found, key=_rank))) for (path, line), found in lines.items()]
    return sorted(spots, key=lambda s: (SEVERITIES.index(s.severity), s.path, s.line))


def line_of(entry: Entry) -> int:
    """The line in the file as it was."""
    origin = entry.item.origin
    return entry.item.finding.start.line if origin is None else entry.source.data.count(b"\n", 0, origin.start) + 1


def _rank(entry: Entry) -> tuple[int, int]:
    return SEVERITIES.index(entry.item.finding.severity), entry.number


# -- models ----------------------------------------------------------------------------------------------------


def _models(facts: Sequence[tuple[Source, FileFacts]], runs: Sequence[ClassReport], report: Report) -> Iterable[Model]:
    by_place = {(str(Path(r.path).resolve()), r.name): r for r in runs}
    lines: dict[str, list[int]] = defaultdict(list)
    for file in report.files:
        for item in file.items:
            lines[file.path].append(line_of(Entry(0, item, file.source)))
    for source, one in facts:
        for model in one.models:
            run = by_place.get((str(Path(source.path).resolve()), model.name))
            yield Model(model, run, sum(model.line <= line <= model.end for line in lines[source.path]))


# -- checklist -------------------------------------------------------------------------------------------------


def _checks(models: Sequence[Model], training: Sequence[TrainingFacts], report: Report) -> Iterable[Check]:
    """What a reviewer would tick off, told from the findings, the source and the smoke runs."""
    open_ = [i for i in report.items if i.status is not Status.ADVICE or i.finding.severity is Severity.ERROR]
    errors = [i for i in open_ if i.finding.severity is Severity.ERROR]
    yield Check("nothing here makes ordinary training diverge", not errors, _lines(errors))
    run = [m for m in models if m.run is not None and m.run.stepped]
    if run:
        bad = [m for m in run if m.run is not None and not m.run.finite]
        yield Check(f"losses and gradients of {len(run)} classes stay finite", not bad, _names(bad))
        lost = [m for m in run if m.run is not None and m.run.missing_gradient]
        yield Check("every parameter receives a gradient", not lost, _names(lost))
        for name, words in (("initialisation", "initial weights are finite and of sound scale"),
                            ("gradient flow", "the gradient neither explodes nor vanishes through the layers"),
                            ("fp16", "runs in float16 autocast"), ("bf16", "runs in bfloat16 autocast"),
                            ("loss falls", "the loss falls on the batch it is trained on")):  # fmt: skip
            yield from _checked(run, name, words)
    if training:
        clipped = [t for t in training if t.clip is None]
        yield Check("every training loop clips its gradients", not clipped, _loops(clipped))
        scaled = [t for t in training if t.order is not None]
        if scaled:
            wrong = [t for t in scaled if t.order is False]
            yield Check("gradients are unscaled, then clipped, then stepped on", not wrong, _loops(wrong))
    mixtures = [m for m in models if m.facts.is_kind("mixture of experts") and m.facts.found("top-k")]
    if mixtures:
        for name in ("load balancing", "normalised weights", "capacity"):
            missing = [m for m in mixtures if m.facts.found(name) is None]
            yield Check(f"{name} of the mixture of experts", not missing or None, _names(missing))
    plain = [m for m in models if m.facts.is_kind("attention") and m.facts.found("scaled scores") is None]
    if any(m.facts.is_kind("attention") for m in models):
        yield Check("attention scores are scaled", not plain or None, _names(plain))


def _checked(run: Sequence[Model], name: str, words: str) -> Iterable[Check]:
    found = [(m, c) for m in run if m.run is not None for c in m.run.checks if c.name == name and c.held is not None]
    if found:
        failed = [m for m, c in found if c.held is False]
        yield Check(words, not failed, _names(failed))


def _lines(items: Sequence[Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{i.finding.path}:{i.finding.start.line}" for i in items))


def _names(models: Sequence[Model]) -> tuple[str, ...]:
    return tuple(f"{m.facts.path}:{m.facts.line} {m.facts.name}" for m in models)


def _loops(training: Sequence[TrainingFacts]) -> tuple[str, ...]:
    return tuple(f"{t.path}:{t.line} {t.name}" for t in training)


# -- what to do first ------------------------------------------------------------------------------------------


def _steps(report: Report, models: Sequence[Model], target: str) -> Iterable[Step]:
    items = list(report.items)
    patched = [i for i in items if i.status is Status.PATCHED]
    proved = [i for i in patched if i.evidence and i.evidence.verdict is Verdict.PROVED]
    others = [i for i in patched if i not in proved]
    if proved:
        yield Step(
            f"apply {_count(proved, 'patch', 'patches')} whose failure was seen, and seen to end",
            f"autofix {target}",
            _lines(sorted(proved, key=lambda i: SEVERITIES.index(i.finding.severity))),
        )
    if others:
        yield Step(f"read {_count(others, 'more patch', 'more patches')}: no failure was found, none contradicted "
                   "them", f"autofix fix --interactive {target}", _lines(others))  # fmt: skip
    for severity in SEVERITIES[:2]:
        advice = [i for i in items if i.status is Status.ADVICE and i.finding.severity is severity]
        if advice:
            yield Step(f"repair {_count(advice, severity.value, f'{severity.value}s')} by hand: the report says why "
                       "there is no patch", "", _lines(advice))  # fmt: skip
    undecided: Mapping[Status, tuple[str, str]] = {
        Status.UNVERIFIED: ("give {} what it needs to be executed", "give {} what they need to be executed"),
        Status.UNSAFE: ("decide about {}, which changes the model", "decide about {}, which change the model"),
    }
    for status, words in undecided.items():
        chosen = [i for i in items if i.status is status]
        if chosen:
            option = "--unsafe-fixes" if status is Status.UNSAFE else "--allow-unverified"
            what = words[len(chosen) > 1].format(_count(chosen, "fix", "fixes"))
            yield Step(what, f"autofix --dry-run {option} {target}", _lines(chosen))
    broken = [m for m in models if m.run is not None and m.run.verdict in ("non-finite", "failed")]
    known = [m for m in broken if not m.findings and m.run is not None and not m.run.rule]
    if known:
        yield Step("look into classes that do not train and that no finding explains", f"autofix smoke {target}",
                   _names(known))  # fmt: skip


def _count(items: Sequence[object], one: str, many: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else many}"
