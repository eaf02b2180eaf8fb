"""From a target to a report for each class: plan jobs, run them in the harness, replay parents for what is left."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter
from autofix.smoke.job import Job
from autofix.smoke.modules.index import ClassPlace, index
from autofix.smoke.modules.targets import resolve
from autofix.smoke.zygote import Zygote

CLASS_SECONDS = 8.0
IMPORT_SECONDS = 90.0
_MOST_IN_JOB = 60
_LEFT_OUT = "not-a-class"
STEPPED = ("full-gradient", "partial-gradient", "no-parameters", "non-finite")


@dataclass(frozen=True, slots=True)
class Check:
    """One further trial of a class ("zeros", "bf16", ...). held: None when it could not be run. finite: False when
    it met a non-finite value."""

    name: str
    held: bool | None
    detail: str = ""
    finite: bool = True


@dataclass(frozen=True, slots=True)
class ClassReport:
    """What running one class showed.

    verdict: full-gradient, partial-gradient, no-parameters, non-finite, failed or could-not-synthesise.
    missing_gradient: parameters that received none in any step. stand_ins: what had to be made up. rule: the one
    that repairs such code, where something non-finite was seen. arguments, inputs: as Python-like text.
    plan: the same as data, to run the class again with the same values. losses, gradient_norms: one a step.
    digest: the sum of each parameter after the last step.
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
    rule: str = ""
    losses: tuple[float, ...] = ()
    gradient_norms: tuple[float, ...] = ()
    digest: tuple[float, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict, hash=False)
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    ablation: Mapping[str, Any] = field(default_factory=dict, hash=False)
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def stepped(self) -> bool:
        return self.verdict in STEPPED

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
    examples: Mapping[str, Mapping[str, Any]] | None = None,
    checks: bool = True,
    zygote: Zygote | None = None,
) -> list[ClassReport] | Problem:
    """A report for each concrete `nn.Module` class of `target`, in the order of the source.

    target: a file, `file.py::Class`, a folder, `package.module:Class` or `package.module`. seconds: the limit of
    one class. ablate: "routing" also trains with every expert or head on. on_done: told how many of how many
    classes are through. examples: by "package.module:Class" or "Class", {"init": {...}, "forward": "..."}.
    zygote: a warm parent to use in place of a new one. Nothing of the target is imported by this process.
    """
    found = resolve(target, interpreter)
    if isinstance(found, Problem):
        return found
    places = [p for p in index(found.files) if not found.name or p.name == found.name]
    if not places:
        what = f"no nn.Module class named {found.name}" if found.name else "no nn.Module class"
        return Problem(target, f"{what} in {len(found.files)} file{'s' * (len(found.files) != 1)}")
    options = {
        "steps": steps, "seed": seed, "device": device, "dtype": dtype, "ablate": ablate, "checks": checks,
        "class_seconds": seconds, "import_seconds": IMPORT_SECONDS, "paths": [str(found.root)],
    }  # fmt: skip
    items = [_item(number, place, examples or {}) for number, place in enumerate(places)]
    results: dict[int, dict[str, Any]] = {}

    def told(job_results: Mapping[int, dict[str, Any]]) -> None:
        results.update(job_results)
        if on_done is not None:
            on_done(len(results), len(items))

    limit = IMPORT_SECONDS + _MOST_IN_JOB * seconds
    with contextlib.nullcontext(zygote) if zygote else Zygote(interpreter, workers=workers, seconds=limit) as warm:
        _run(warm, _chunks(items, workers), options, told)
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


def _item(number: int, place: ClassPlace, examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": number, "module": place.module, "path": str(place.path), "name": place.name}
    example = examples.get(f"{place.module}:{place.name}") or examples.get(place.name)
    if example is not None:
        item["example"] = {"init": dict(example.get("init", {})), "forward": str(example.get("forward", ""))}
    return item


def _chunks(items: Sequence[dict[str, Any]], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Jobs of neighbours, so that each import serves many classes and every worker has some."""
    size = max(1, min(_MOST_IN_JOB, -(-len(items) // (2 * workers))))
    if len(items) <= 12:
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
        found = {int(number): result for number, result in answer.get("results", {}).items()}
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
    here = Path.cwd()
    path = place.path.relative_to(here) if place.path.is_relative_to(here) else place.path
    checks = tuple(Check(c["name"], c["held"], c["detail"], c["finite"]) for c in result.get("checks") or ())
    return ClassReport(
        name=place.name, module=place.module, path=str(path), line=place.line, verdict=str(result["verdict"]),
        missing_gradient=tuple(result.get("missing_gradient") or ()), stand_ins=tuple(result.get("stand_ins") or ()),
        reason=str(result.get("reason") or ""), seconds=float(result.get("seconds") or 0.0), checks=checks,
        rule=str(result.get("rule") or ""), losses=tuple(result.get("losses") or ()),
        gradient_norms=tuple(result.get("gradient_norms") or ()), digest=tuple(result.get("digest") or ()),
        arguments=dict(result.get("arguments") or {}), inputs=dict(result.get("inputs") or {}),
        ablation=dict(result.get("ablation") or {}), plan=dict(result.get("plan") or {}),
    )  # fmt: skip


def by_verdict(reports: Sequence[ClassReport]) -> dict[str, int]:
    """How many classes have each verdict."""
    counts: dict[str, int] = defaultdict(int)
    for one in reports:
        counts[one.verdict] += 1
    return dict(counts)
