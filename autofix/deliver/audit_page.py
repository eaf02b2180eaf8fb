"""A report as a page for people, as Markdown and as JSON: three renderings of one `Audit`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autofix import __version__, diff
from autofix.audit import SEVERITIES, Audit, Entry, Model, line_of
from autofix.deliver import plots, records, sides, smoke_words, words
from autofix.deliver.smoke_report import record as smoke_record
from autofix.edits import apply_edits
from autofix.facts import PROPERTIES
from autofix.model import Patch
from autofix.report import FileReport, Status

_MOST_BYTES = 290_000  # a page is to stay below 300 KB
_MOST_MODELS = 60
_NAMES = {"error": "errors", "warning": "warnings", "info": "hints"}
_MEANINGS = {
    "error": "non-finite values, or no learning, in ordinary training",
    "warning": "in half precision, in extreme or degenerate batches; training is hurt",
    "info": "accuracy, style, advice",
}
_MARKS = {True: "yes", False: "no", None: "open"}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is told of one finding."""

    verdict: str
    scope: str  # of the verdict: the level, and whether values change
    facts: list[str]
    rows: list[sides.Row] = field(default_factory=list)
    plots: list[Markup] = field(default_factory=list)
    diff: str = ""
    fence: str = "```"


@dataclass(frozen=True, slots=True)
class _ShownModel:
    """A model with what is worth a paragraph."""

    model: Model
    notes: list[str]
    plots: list[Markup]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


# -- HTML ------------------------------------------------------------------------------------------------------


def as_html(audit: Audit, target: str) -> str:
    """One file that needs no other, and no script. Where it would be too long, less code is shown around changes, and
    the least grave findings lose their plots; JSON has them."""
    environment = _environment(autoescape=True)
    template = environment.get_template("audit.html.j2")
    style = Markup(environment.get_template("audit.css.j2").render())  # our own
    values = _values(audit, target)
    entries = [e for s in audit.spots for e in s.entries]
    order = {e.number: n for n, e in enumerate(entries)}
    for share, context in ((1.0, 2), (1.0, 1), (0.5, 1), (0.25, 1), (0.1, 1), (0.0, 0)):
        limit = share * len(entries)

        def show(entry: Entry, limit: float = limit, context: int = context) -> _Shown:
            return _shown(entry, plotted=order[entry.number] < limit, context=context)

        page = template.render(values, style=style, show=show)
        page = re.sub(r"\n\s*\n+", "\n", page)
        if len(page.encode("utf-8", "surrogateescape")) <= _MOST_BYTES:
            break
    return page


def _values(audit: Audit, target: str) -> dict[str, Any]:
    counts = {s.value: sum(e.item.finding.severity is s for p in audit.spots for e in p.entries) for s in SEVERITIES}
    items = [e.item for p in audit.spots for e in p.entries]
    outcomes = [(s.value, n) for s in Status if (n := sum(i.status is s for i in items)) and s is not Status.LISTED]
    models = _shown_models(audit.models)
    ordered = sorted(models, key=lambda m: (-m.findings, m.facts.path, m.facts.line))[:_MOST_MODELS]
    return {
        "version": __version__,
        "target": target,
        "audit": _Proxy(audit, tuple(m for m in models if m.notes)[:_MOST_MODELS] if models else ()),
        "models": ordered,
        "left_out": max(0, len(models) - _MOST_MODELS),
        "severities": SEVERITIES,
        "counts": counts,
        "names": _NAMES,
        "meanings": _MEANINGS,
        "outcomes": outcomes,
        "properties": PROPERTIES,
        "verdict": verdict(audit, counts),
        "worst": next((s.value for s in SEVERITIES if counts[s.value]), "fine"),
        "marks": _MARKS,
        "loss_of": smoke_words.loss_of,
        "sandboxes": list(dict.fromkeys(i.evidence.sandbox for i in items if i.evidence and i.evidence.sandbox)),
        "commands": words.command_lines(audit.report),
    }


@dataclass(frozen=True, slots=True)
class _Proxy:
    audit: Audit
    models: tuple[_ShownModel, ...]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.audit, name)


def verdict(audit: Audit, counts: dict[str, int]) -> str:
    """The whole report in a sentence."""
    total = sum(counts.values())
    if not total:
        return "Nothing was found."
    items = [e.item for p in audit.spots for e in p.entries]
    patched = sum(i.status is Status.PATCHED for i in items)
    proved = sum(i.status is Status.PATCHED and i.evidence is not None and i.evidence.verdict.value == "PROVED"
                 for i in items)  # fmt: skip
    if counts["error"]:
        text = f"Training can diverge or stand still: {words.plural(counts['error'], 'error')}"
    elif counts["warning"]:
        text = f"Sound in ordinary training, fragile beyond it: {words.plural(counts['warning'], 'warning')}"
    else:
        text = f"Sound: {words.plural(total, 'hint')}"
    return f"{text} among {words.plural(total, 'finding')}; {patched} have a patch, {proved} of them proved."


def _shown(entry: Entry, plotted: bool = True, context: int = 2, with_diff: bool = False) -> _Shown:
    item = entry.item
    facts = [text.strip() for text in words.item_lines(item) if not text.startswith(("fix (", "evidence: "))]
    rows, text = [], ""
    if item.finding.fix and item.pass_number == 1:
        if with_diff:
            patch = Patch(entry.source, apply_edits(entry.source, item.finding.fix.edits), item.finding.fix.edits)
            text = "".join(str(hunk) for hunk in diff.diff(patch, "file.py", git_header=False))
        else:
            rows = sides.rows(entry.source, item.finding.fix, context)
    drawn: list[Markup] = []
    if plotted and entry.trace.ray:
        drawn += plots.ray_plots(entry.trace.ray)
    if plotted and entry.trace.training:
        facts.append(f"plotted: {entry.trace.training.name}, the same arguments and seed before and after this fix")
        drawn += plots.training_plots(entry.trace.training)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    verdict, _, scope = words.verdict(item.evidence).partition(" ") if item.evidence else ("", "", "")
    return _Shown(verdict.rstrip(","), scope, facts, rows, drawn, text, fence)


def _shown_models(models: Sequence[Model]) -> list[_ShownModel]:
    """Each model with its notes; a cause that several classes share is told once."""
    told: dict[str, str] = {}
    found = []
    for model in models:
        run = model.run
        place = run.origin.place if run is not None and run.origin is not None else ""
        if run is not None and place in told:
            same = [f"{run.reason or 'it is not finite'}, for the cause told of {told[place]}: {place}"]
            found.append(_ShownModel(model, same, []))
            continue
        if place:
            told[place] = model.facts.name
        found.append(_shown_model(model))
    return found


def _shown_model(model: Model) -> _ShownModel:
    """Notes on a model that has something to tell: routing, gradients layer by layer, what failed."""
    facts, run = model.facts, model.run
    notes: list[str] = []
    if facts.is_kind("mixture of experts"):
        found = [f"{f.name} (line {f.line}: {f.detail})" for f in facts.routing]
        missing = [n for n in ("load balancing", "normalised weights", "capacity") if facts.found(n) is None]
        if found:
            notes.append(
                f"routing: {', '.join(found)}" + (f"; not in this class: {', '.join(missing)}" if missing else "")
            )
        notes.append("cost per token: routing O(experts), computing O(k) of them where k are chosen")
    if run is None:
        return _ShownModel(model, notes, [])
    ablation = run.ablation
    drawn: list[Markup] = []
    told = smoke_words.notes_of(replace(run, ablation={}))
    if ablation.get("routed_losses") and ablation.get("dense_losses"):
        told += [line for line in smoke_words.ablation_lines(run) if "loss " not in line or not line.startswith(" ")]
        drawn.append(plots.ablation_plot(ablation["routed_losses"], ablation["dense_losses"]))
    notes += told
    gradients = [layer.gradient for layer in run.layers if layer.gradient]
    if len(gradients) > 1 and notes:
        ratio = max(gradients) / max(min(gradients), 1e-30)
        notes.append(f"gradient from layer to layer: {min(gradients):.1e} to {max(gradients):.1e} in "
                     f"{len(gradients)} layers, a factor of {ratio:.3g}")  # fmt: skip
    loads = ablation.get("loads") or []
    if loads:
        notes.append(balance(loads))
        drawn.append(plots.load_plot(loads))
    return _ShownModel(model, notes, drawn)


def balance(loads: Sequence[int]) -> str:
    """How evenly the alternatives are used, before any training."""
    mean = sum(loads) / len(loads)
    spread = math.sqrt(sum((n - mean) ** 2 for n in loads) / len(loads)) / mean if mean else 0.0
    idle = sum(n == 0 for n in loads)
    text = f"routing load at initialisation: coefficient of variation {100 * spread:.3g} %"
    return f"{text}, {idle} of {len(loads)} never chosen" if idle else f"{text}, every one of {len(loads)} is chosen"


# -- Markdown --------------------------------------------------------------------------------------------------


def as_markdown(audit: Audit, target: str) -> str:
    environment = _environment(autoescape=False)
    environment.filters |= {"md": _escaped, "code": _code}
    text = environment.get_template("audit.md.j2").render(
        _values(audit, target), show=lambda entry: _shown(entry, plotted=False, with_diff=True)
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def _escaped(text: str) -> str:
    """Without what Markdown would take for its own; one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{' '.join(str(text).split())}{space}{fence}"


def _environment(autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("autofix.templates", ""),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


# -- JSON ------------------------------------------------------------------------------------------------------


def as_json(audit: Audit, target: str) -> str:
    """Everything, with the figures behind the plots. What is not finite is null."""
    counts = {s.value: sum(e.item.finding.severity is s for p in audit.spots for e in p.entries) for s in SEVERITIES}
    value = {
        "version": __version__,
        "target": target,
        "verdict": verdict(audit, counts),
        "files": audit.report.scanned,
        "counts": counts,
        "first": [asdict(step) for step in audit.steps],
        "models": [_model_record(m) for m in audit.models],
        "training": [asdict(t) for t in audit.training],
        "findings": [_finding_record(e) for s in audit.spots for e in s.entries],
        "checklist": [asdict(check) for check in audit.checks],
        "problems": [asdict(problem) for problem in audit.report.problems],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _model_record(model: Model) -> dict[str, Any]:
    return {**asdict(model.facts), "findings": model.findings, "run": smoke_record(model.run) if model.run else None}


def _finding_record(entry: Entry) -> dict[str, Any]:
    item = entry.item
    file = FileReport(item.finding.path, (item,), entry.source)
    trace = asdict(entry.trace)
    return {**records.record(file, item), "line": line_of(entry), "trace": trace if any(trace.values()) else None}
