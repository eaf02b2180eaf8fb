"""What a report draws of a fix: its witness scaled from almost nothing to the whole, and the class that runs its lines
trained for a few steps, each before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autofix.model import Evidence, Fix, Source
from autofix.smoke.interpreter import Interpreter
from autofix.smoke.job import Job
from autofix.smoke.modules import evidence as modules
from autofix.smoke.modules.evidence import ModuleLevel
from autofix.smoke.verify import Store, harness_version
from autofix.smoke.zygote import Zygote

_SCALES = tuple(10.0 ** (-3.0 + number / 8.0) for number in range(25))  # from a thousandth to the whole
_STEPS = 12
_KIND = "trace"


@dataclass(frozen=True, slots=True)
class Point:
    """A value and a gradient's norm; None where they are not finite. raised: the code gave none of them."""

    value: float | None
    gradient: float | None
    raised: bool = False


@dataclass(frozen=True, slots=True)
class Ray:
    """The statements of a fix along scale * witness, before and after it."""

    scales: tuple[float, ...]
    before: tuple[Point, ...]
    after: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A few training steps: the loss and the gradient's norm of each that was finite, and why it ended early."""

    losses: tuple[float, ...]
    norms: tuple[float, ...]
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """The class that runs a fix's lines, on the same arguments and seed before and after it."""

    name: str
    before: Run
    after: Run


@dataclass(frozen=True, slots=True)
class Trace:
    ray: Ray | None = None
    training: Training | None = None


NOTHING = Trace()


def traces(
    items: Sequence[tuple[Source, Fix, Evidence]],
    interpreter: Interpreter,
    *,
    workers: int = 2,
    seconds: float = 20.0,
    level: ModuleLevel | None = None,
    cache: Store | None = None,
) -> list[Trace]:
    """A trace for each executed fix, in order; what could not be run again is None in it. level: None runs no class."""
    rays: dict[int, Ray] = {}
    trainings: dict[int, Training] = {}
    with Zygote(interpreter, workers=workers, seconds=seconds) as zygote:
        by_script = {e.witness: Job("ray", {"script": e.witness, "scales": _SCALES}) for _, _, e in items if e.witness}
        results = _run(zygote, list(by_script.values()), cache)
        for number, (_, _, found) in enumerate(items):
            ray = _ray(results.get(by_script[found.witness].digest, {})) if found.witness else None
            if ray is not None:
                rays[number] = ray
        if level is not None:
            trainings = _trainings(items, ModuleLevel(level.seconds, level.examples, _STEPS), zygote, cache)
    return [Trace(rays.get(n), trainings.get(n)) for n in range(len(items))]


def _run(
    zygote: Zygote, jobs: Sequence[Job], cache: Store | None, stamps: Mapping[str, str] | None = None
) -> dict[str, Mapping[str, Any]]:
    """Results by the job's digest, those of an earlier run included."""
    found: dict[str, Mapping[str, Any]] = {}
    pending = []
    keys = {
        j.digest: ":".join([j.digest, (stamps or {}).get(j.digest, ""), zygote.interpreter.torch, harness_version()])
        for j in jobs
    }
    for job in {j.digest: j for j in jobs}.values():
        stored = cache.get(_KIND, keys[job.digest]) if cache is not None else None
        if isinstance(stored, dict):
            found[job.digest] = stored
        else:
            pending.append(job)
    for job, result in zygote.run(pending):
        found[job.digest] = result
        if cache is not None and result.get("lasting", True) and result.get("verdict") == "DONE":
            cache.put(_KIND, keys[job.digest], result)
    return found


def _ray(result: Mapping[str, Any]) -> Ray | None:
    try:
        if result["verdict"] != "DONE" or not result["scales"]:
            return None
        before, after = (
            tuple(
                Point(None, None, raised=True) if not p else Point(_number(p[0]), _number(p[1])) for p in result[side]
            )
            for side in ("before", "after")
        )
        return Ray(tuple(float(s) for s in result["scales"]), before, after)
    except (KeyError, TypeError, ValueError, IndexError):
        return None  # nothing that the harness could have written


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _trainings(
    items: Sequence[tuple[Source, Fix, Evidence]], level: ModuleLevel, zygote: Zygote, cache: Store | None
) -> dict[int, Training]:
    planned, _ = modules.plan([(s, f) for s, f, _ in items], range(len(items)), level, zygote.workers)
    zygote.seconds = max([zygote.seconds, *(one.seconds for one in planned)])
    results = _run(zygote, [one.job for one in planned], cache, {one.job.digest: one.stamp for one in planned})
    found: dict[int, Training] = {}
    for one in planned:
        answers = results.get(one.job.digest, {}).get("results") or {}
        for position, number in enumerate(one.numbers):
            training = _training(answers.get(str(position)) or {})
            if training is not None:
                found[number] = training
    return found


def _training(result: Mapping[str, Any]) -> Training | None:
    try:
        _, before, after = next(c for c in result["conditions"] if c[0] == "fp32")
        runs = [_training_run(one) for one in (before, after)]
    except (KeyError, TypeError, ValueError, StopIteration):
        return None
    return Training(str(result["class"]), runs[0], runs[1]) if any(r.losses for r in runs) else None


def _training_run(outcome: Mapping[str, Any]) -> Run:
    ended = str(outcome["reason"]) if outcome["verdict"] in ("failed", "non-finite") else ""
    return Run(tuple(map(float, outcome["losses"])), tuple(map(float, outcome["norms"])), ended)
