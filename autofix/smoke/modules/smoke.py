"""From a target to a report for each class: plan jobs, run them in the harness, replay parents for what is left."""

from __future__ import annotations

import contextlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter
from autofix.smoke.job import Job
from autofix.smoke.modules import devices, spelling
from autofix.smoke.modules.index import ClassPlace, index
from autofix.smoke.modules.suggest import (
    NO_SUGGESTION,
    Origin,
    Suggestion,
    origin_of,
    shown_path,
    suggest,
    suggest_gradient,
)
from autofix.smoke.modules.targets import Target, resolve
from autofix.smoke.zygote import Zygote

CLASS_SECONDS = 8.0
IMPORT_SECONDS = 90.0
_MOST_IN_JOB = 60
_NO_LIMIT = 1 << 50  # bytes
_LEFT_OUT = "not-a-class"
_TRAINED = ("full-gradient", "partial-gradient")
STEPPED = ("full-gradient", "partial-gradient", "no-parameters", "non-finite")


@dataclass(frozen=True, slots=True)
class Check:
    """One further trial of a class ("zeros", "bf16", ...). held: None when it was not run, and detail says why.
    finite: False when it met a non-finite value, and origin says where."""

    name: str
    held: bool | None
    detail: str = ""
    finite: bool = True
    origin: Origin | None = None
    suggestion: Suggestion = NO_SUGGESTION


@dataclass(frozen=True, slots=True)
class Layer:
    """A module that holds parameters itself, in the order of calls. gradient, weight: root mean squares over its
    parameters after one backward pass; gradient is None where none arrived."""

    name: str
    kind: str
    parameters: int
    gradient: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class ClassReport:
    """What running one class showed.

    verdict: full-gradient, partial-gradient, no-parameters, non-finite, failed or could-not-synthesise.
    missing_gradient: parameters that received none in any step. stand_ins: what had to be made up. origin: where the
    first non-finite value of the steps came from. suggestion: what repairs the steps, or else the first check that
    met something non-finite. arguments, inputs: as Python-like text. plan: the same as data, to run the class again
    with the same values. losses, gradient_norms: one a step. digest: the sum of each parameter after the last step.
    """

    name: str
    module: str
    path: str
    line: int
    verdict: str
    missing_gradient: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()
    origin: Origin | None = None
    suggestion: Suggestion = NO_SUGGESTION
    layers: tuple[Layer, ...] = ()
    losses: tuple[float, ...] = ()
    gradient_norms: tuple[float, ...] = ()
    digest: tuple[float, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict, hash=False)
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    ablation: Mapping[str, Any] = field(default_factory=dict, hash=False)
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sandbox: str = ""  # what isolated the code while it ran
    processor_seconds: float = 0.0
    peak_bytes: int = 0  # of memory, while it was tried

    @property
    def stepped(self) -> bool:
        return self.verdict in STEPPED

    @property
    def rule(self) -> str:
        """The rule that repairs such code, where something non-finite was seen and there is one."""
        return self.suggestion.rule

    @property
    def finite(self) -> bool:
        """Whether no value was non-finite, in the steps or in a check; overflow under large inputs is not counted."""
        return self.verdict != "non-finite" and all(c.finite or c.name == "large" for c in self.checks)


def smoke(
    target: str,
    interpreter: Interpreter,
    *,
    steps: int = 3,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    ablate: str = "",
    workers: int = 2,
    seconds: float = CLASS_SECONDS,
    on_done: Callable[[int, int], None] | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    examples: Mapping[str, Mapping[str, Any]] | None = None,
    checks: bool = True,
    zygote: Zygote | None = None,
) -> list[ClassReport] | Problem:
    """A report for each concrete `nn.Module` class of `target`, in the order of the source.

    target: a file, `file.py::Class`, a folder, `package.module:Class` or `package.module`. seconds: the limit of
    one class. ablate: "routing" also trains with every expert or head on. on_done: told how many of how many
    classes are through. on_problem: told of files that do not parse. examples: by "package.module:Class" or "Class",
    {"init": {...}, "forward": "..."}.
    zygote: a warm parent to use in place of a new one. Nothing of the target is imported by this process.
    """
    absent = devices.missing(device, interpreter)
    if absent is not None:
        return absent
    found = _resolved(target, interpreter)
    if isinstance(found, Problem):
        return found
    unread = spelling.syntax_problems(found.files)
    if unread and len(found.files) == 1:
        return replace(unread[0], path=shown_path(Path(unread[0].path)))
    if on_problem is not None:
        for problem in unread:
            on_problem(replace(problem, path=shown_path(Path(problem.path))))
    known = index(found.files)
    places = [p for p in known if not found.name or p.name == found.name]
    if not places:
        return spelling.no_class(target, found.name, known, len(found.files))
    if found.name:
        places = spelling.exported(places, found.files, target.partition(":")[0], found.name)
    options = {
        "steps": steps, "seed": seed, "device": device, "dtype": dtype, "ablate": ablate, "checks": checks,
        "class_seconds": seconds, "import_seconds": IMPORT_SECONDS, "paths": [str(found.root)],
        "visible": os.environ.get(devices.VISIBLE),
    }  # fmt: skip
    items = [_item(number, place, examples or {}) for number, place in enumerate(places)]
    results: dict[int, dict[str, Any]] = {}

    def told(job_results: Mapping[int, dict[str, Any]]) -> None:
        results.update(job_results)
        if on_done is not None:
            on_done(len(results), len(items))

    limit = IMPORT_SECONDS + _MOST_IN_JOB * seconds
    with _warm(zygote, interpreter, workers, limit, device) as warm:
        _run(warm, _chunks(items, workers), options, told)
        if warm.refused:
            return Problem(target, warm.refused)
        missed = [item for item in items if item["id"] not in results]
        _run(warm, ([item] for item in missed), options, told)
        replays = list(_replays(places, results))
        replayed: dict[int, dict[str, Any]] = {}
        _run(warm, _chunks(replays, workers), options, replayed.update)
    for number, result in replayed.items():
        if result["verdict"] in STEPPED:
            result["seconds"] = result.get("seconds", 0.0) + results[number].get("seconds", 0.0)
            results[number] = result
    return list(_reports(places, results))


def _resolved(target: str, interpreter: Interpreter) -> Target | Problem:
    """Forgiving towards spellings; a class after a dot is tried when there is no such module."""
    text = spelling.spelled(target)
    if isinstance(text, Problem):
        return text
    place, _, name = text.partition("::")
    found = resolve(place if Path(place).is_dir() else text, interpreter)
    if isinstance(found, Target):
        return replace(found, name=name) if name else found
    other = resolve(spelling.as_class(text), interpreter) if spelling.as_class(text) else found
    return spelling.no_module(found, text) if isinstance(other, Problem) else other


def _warm(
    zygote: Zygote | None, interpreter: Interpreter, workers: int, seconds: float, device: str
) -> contextlib.AbstractContextManager[Zygote]:
    """The one that is there, or a new one. On an accelerator a new one always: a limit on addresses would refuse what
    its driver reserves."""
    if device != "cpu":
        return Zygote(interpreter, workers=workers, seconds=seconds, memory=_NO_LIMIT)
    return contextlib.nullcontext(zygote) if zygote else Zygote(interpreter, workers=workers, seconds=seconds)


def _item(number: int, place: ClassPlace, examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": number, "module": place.module, "path": str(place.path), "name": place.name}
    example = examples.get(f"{place.module}:{place.name}") or examples.get(place.name)
    if example is not None:
        item["example"] = {"init": dict(example.get("init", {})), "forward": str(example.get("forward", ""))}
    return item


def _chunks(items: Sequence[dict[str, Any]], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Jobs of neighbours, so that each import serves many classes and every worker has some."""
    size = max(1, min(_MOST_IN_JOB, -(-len(items) // (2 * workers))))
    if len(items) <= 24:  # importing a large package once more costs as much as trying some fifty classes
        size = max(1, len(items))
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _run(
    zygote: Zygote,
    chunks: Iterator[list[dict[str, Any]]],
    options: Mapping[str, Any],
    told: Callable[[dict[int, dict[str, Any]]], None],
) -> None:
    jobs = (Job("module", {**options, "items": chunk}) for chunk in chunks)
    for job, answer in zygote.run(jobs):
        reached = {"sandbox": str(answer.get("sandbox") or "")}
        found = {int(number): {**result, **reached} for number, result in answer.get("results", {}).items()}
        if answer.get("verdict") != "DONE" and len(job.spec["items"]) == 1:
            reason = str(answer.get("reason") or "")
            found = {int(job.spec["items"][0]["id"]): {"verdict": "could-not-synthesise", "reason": reason}}
        told(found)


def _replays(places: Sequence[ClassPlace], results: Mapping[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Classes that could not be run alone and that a parent which ran has built: an instance from there."""
    donors: dict[str, tuple[int, str]] = {}
    for number, result in results.items():
        for reference, path in (result.get("parts") or {}).items():
            donors.setdefault(reference, (number, path))
    for number, place in enumerate(places):
        tried = results.get(number)
        if tried is None or tried["verdict"] not in ("could-not-synthesise", "failed"):
            continue
        donor = donors.get(f"{place.module}:{place.name}")
        if donor is None:
            continue
        parent = places[donor[0]]
        within = {"parent": f"{parent.module}:{parent.name}", "plan": results[donor[0]]["plan"], "path": donor[1]}
        yield {**_item(number, place, {}), "within": within}


def _reports(places: Sequence[ClassPlace], results: Mapping[int, dict[str, Any]]) -> Iterator[ClassReport]:
    for number, place in enumerate(places):
        result = results.get(number, {"verdict": "could-not-synthesise", "reason": "it was not reached"})
        if result["verdict"] == _LEFT_OUT or _is_uncertain(place, result):
            continue
        yield report(place, result)


def _is_uncertain(place: ClassPlace, result: Mapping[str, Any]) -> bool:
    """A class that may be no module at all, in a file that could not be imported."""
    return place.known is None and str(result.get("reason", "")).startswith("importing ")


def report(place: ClassPlace, result: Mapping[str, Any]) -> ClassReport:
    """A result of the harness as a value."""
    checks = (*_steps_check(result), *map(_check, result.get("checks") or ()))
    origin = origin_of(result.get("origin") or {})
    broken = next((c for c in checks if c.suggestion.words), None)
    layers = next((c["layers"] for c in result.get("checks") or () if c.get("layers")), ())
    return ClassReport(
        name=place.name, module=place.module, path=shown_path(place.path), line=place.line,
        verdict=str(result["verdict"]),
        missing_gradient=tuple(result.get("missing_gradient") or ()), stand_ins=tuple(result.get("stand_ins") or ()),
        reason=str(result.get("reason") or ""), seconds=float(result.get("seconds") or 0.0), checks=checks,
        origin=origin, suggestion=_suggestion(place, result, origin, broken),
        layers=tuple(_layer(one) for one in layers), losses=tuple(result.get("losses") or ()),
        gradient_norms=tuple(result.get("gradient_norms") or ()), digest=tuple(result.get("digest") or ()),
        arguments=dict(result.get("arguments") or {}), inputs=dict(result.get("inputs") or {}),
        ablation=dict(result.get("ablation") or {}), plan=dict(result.get("plan") or {}),
        sandbox=str(result.get("sandbox") or ""),
        processor_seconds=float(result.get("processor_seconds") or 0.0), peak_bytes=int(result.get("peak_bytes") or 0),
    )  # fmt: skip


def _suggestion(
    place: ClassPlace, result: Mapping[str, Any], origin: Origin | None, broken: Check | None
) -> Suggestion:
    """For the steps; else for a gradient that does not arrive; else for the first check that broke."""
    if origin is not None:
        return suggest(origin)
    found = suggest_gradient(shown_path(place.path), place.line) if result.get("missing_gradient") else NO_SUGGESTION
    return found if found.command or broken is None else broken.suggestion


def _check(record: Mapping[str, Any]) -> Check:
    origin = origin_of(record.get("origin") or {})
    return Check(
        record["name"], record["held"], record["detail"], record["finite"], origin, suggest(origin)
    )  # fmt: skip


def _layer(record: Mapping[str, Any]) -> Layer:
    return Layer(record["name"], record["kind"], record["parameters"], record["gradient"], record["weight"])


def _steps_check(result: Mapping[str, Any]) -> Iterator[Check]:
    """Whether the loss falls on the batch that it is trained on; nothing where there are not two losses."""
    losses = [float(loss) for loss in result.get("losses") or ()]
    if len(losses) < 2 or not all(map(math.isfinite, losses)) or result["verdict"] not in _TRAINED:
        return
    falls = losses[-1] < losses[0]
    detail = "" if falls else f"the loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps"
    yield Check("loss falls", falls, detail)


def by_verdict(reports: Sequence[ClassReport]) -> dict[str, int]:
    """How many classes have each verdict."""
    counts: dict[str, int] = defaultdict(int)
    for one in reports:
        counts[one.verdict] += 1
    return dict(counts)
