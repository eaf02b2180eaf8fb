"""From fixes to evidence: plan a trial for each, run the trials, remember what they showed."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from autofix.model import ClaimResult, Evidence, Fix, Level, Problem, Source, Verdict
from autofix.smoke import balance, block, calling, construction, expression
from autofix.smoke.interpreter import Interpreter
from autofix.smoke.job import Job
from autofix.smoke.modules import evidence
from autofix.smoke.modules.evidence import ModuleLevel
from autofix.smoke.modules.judge import combine, judge, silent
from autofix.smoke.zygote import HARNESS, Zygote
from autofix.syntax import Module, parse

_KIND = "evidence"
_LEVELS = {
    "expression": Level.EXPRESSION,
    "calling": Level.EXPRESSION,
    "block": Level.BLOCK,
    "raising": Level.BLOCK,
    "training": Level.BLOCK,
    "construction": Level.BLOCK,
    "balance": Level.BLOCK,
}


class Store(Protocol):
    """Where results survive between runs: JSON values by kind and key."""

    def get(self, kind: str, key: str) -> Any: ...

    def put(self, kind: str, key: str, value: Any) -> None: ...


def verify(
    items: Sequence[tuple[Source, Fix]],
    interpreter: Interpreter,
    *,
    workers: int = 2,
    seconds: float = 20.0,
    cache: Store | None = None,
    on_done: Callable[[int], None] | None = None,
    modules: ModuleLevel | None = None,
    on_modules: Callable[[int, int], None] | None = None,
) -> list[Evidence]:
    """Evidence for each fix against its file, in the order given.

    seconds: the limit of one trial. modules: also try each fix on a class that runs its lines, for which the user's
    modules are imported (in the harness); None imports nothing of the user's. on_done: told how many fixes have their
    evidence, as it grows. on_modules: told how many fixes of how many have been tried on classes. Whatever the code
    under trial does, the answer is an `Evidence`, never an exception.
    """
    results: dict[int, Evidence] = {}

    def done(number: int, found: Evidence) -> None:
        results[number] = found
        if on_done is not None:
            on_done(len(results))

    waiting: dict[str, list[int]] = defaultdict(list)
    jobs: dict[str, Job] = {}
    for number, job in enumerate(_plans(items)):
        if isinstance(job, str):
            done(number, unverified(job))
            continue
        key = _key(job, interpreter)
        stored = cache.get(_KIND, key) if cache is not None else None
        if isinstance(stored, dict):
            done(number, _evidence(job.kind, stored))
            continue
        jobs.setdefault(key, job)
        waiting[key].append(number)
    keys = {id(job): key for key, job in jobs.items()}
    with Zygote(interpreter, workers=workers, seconds=seconds) as zygote:
        for job, result in zygote.run(jobs.values()):
            key = keys[id(job)]
            if cache is not None and result.get("lasting", True):
                cache.put(_KIND, key, result)
            for number in waiting[key]:
                done(number, _evidence(job.kind, result))
        if modules is not None:
            open_ = [n for n in range(len(items)) if results[n].verdict is not Verdict.REFUTED]
            results.update(_on_modules(items, open_, results, modules, zygote, cache, on_modules))
    return [results[n] for n in range(len(items))]


def _on_modules(
    items: Sequence[tuple[Source, Fix]],
    numbers: Sequence[int],
    known: Mapping[int, Evidence],
    level: ModuleLevel,
    zygote: Zygote,
    cache: Store | None,
    told: Callable[[int, int], None] | None,
) -> dict[int, Evidence]:
    """What is known of these fixes, joined with what a class that runs their lines shows."""
    planned, reasons = evidence.plan(items, numbers, level, zygote.workers)
    found = {n: combine(known[n], silent(reason), 0.0) for n, reason in reasons.items()}
    pending: dict[int, evidence.Planned] = {}
    keys = {id(one.job): f"{_key(one.job, zygote.interpreter)}:{one.stamp}" for one in planned}
    for one in planned:
        stored = cache.get(_KIND, keys[id(one.job)]) if cache is not None else None
        if isinstance(stored, dict):
            found.update(_judged(one, stored, items, known))
        else:
            pending[id(one.job)] = one
    zygote.seconds = max([zygote.seconds, *(one.seconds for one in pending.values())])
    for job, result in zygote.run([one.job for one in pending.values()]):
        if cache is not None and result.get("lasting", True) and evidence.settled(job, result):
            cache.put(_KIND, keys[id(job)], result)
        found.update(_judged(pending[id(job)], result, items, known))
        if told is not None:
            told(len(found), len(numbers))
    return found


def _judged(
    planned: evidence.Planned,
    result: Mapping[str, Any],
    items: Sequence[tuple[Source, Fix]],
    known: Mapping[int, Evidence],
) -> dict[int, Evidence]:
    """The fixes of one job. What the harness could not have written says nothing."""
    results = result.get("results") or {}
    found = {}
    for position, number in enumerate(planned.numbers):
        one = results.get(str(position)) or {"reason": str(result.get("reason") or "it was not reached in time")}
        try:
            verdict = judge(one, items[number][1], planned.job.spec["items"][position]["module"])
            seconds = float(one.get("seconds") or 0.0)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            verdict = silent(f"the trial returned no usable result: {type(error).__name__}: {error}")
            seconds = 0.0
        found[number] = combine(known[number], verdict, seconds)
    return found


def unverified(reason: str) -> Evidence:
    """Evidence for something that was not executed, and why."""
    return Evidence(Verdict.INCONCLUSIVE, reason=reason)


def _plans(items: Sequence[tuple[Source, Fix]]) -> list[Job | str]:
    """A job for each item, or why there is none. Each file is parsed once and let go before the next."""
    by_source: dict[Source, list[int]] = defaultdict(list)
    for number, (source, _) in enumerate(items):
        by_source[source].append(number)
    plans: list[Job | str] = [""] * len(items)
    for source, numbers in by_source.items():
        module = parse(source)
        for number in numbers:
            plans[number] = module.message if isinstance(module, Problem) else _plan(module, items[number][1])
    return plans


def _plan(module: Module, fix: Fix) -> Job | str:
    planner = block.plan if block.is_about_a_loop(fix) else expression.plan
    if construction.is_about_construction(fix):
        planner = construction.plan
    if balance.is_about_balance(fix):
        planner = balance.plan
    if calling.is_about_a_call(fix):
        planner = calling.plan
    try:
        return planner(module, fix)
    except Exception as error:  # a file that confuses the planner must not cost the user the other files
        return f"the trial could not be planned: {type(error).__name__}: {error}"


def _key(job: Job, interpreter: Interpreter) -> str:
    return ":".join([job.digest, interpreter.version, interpreter.torch, harness_version()])


@functools.cache
def harness_version() -> str:
    """Changes whenever the code that judges changes: evidence of another harness is not reused."""
    digest = hashlib.blake2b(digest_size=10)
    for path in sorted(HARNESS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _evidence(kind: str, result: Mapping[str, Any]) -> Evidence:
    """A result of the harness as a value; one that it could not have written is INCONCLUSIVE."""
    try:
        return Evidence(
            verdict=Verdict(result["verdict"]),
            level=_LEVELS.get(kind),
            claims=tuple(
                ClaimResult(str(c["name"]), c.get("held"), str(c.get("detail", ""))) for c in result.get("claims", ())
            ),
            witness=str(result.get("witness") or ""),
            witness_summary=str(result.get("witness_summary") or ""),
            reason=str(result.get("reason") or ""),
            seconds=float(result.get("seconds") or 0.0),
            assumptions=tuple(str(a) for a in result.get("assumptions") or ()),
            exact=result.get("exact"),
            change=str(result.get("change") or ""),
            sandbox=str(result.get("sandbox") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return unverified(f"the trial returned no usable result: {error}")
