"""Best-first search for arguments with which a class can be built and run."""

from __future__ import annotations

import heapq
import itertools
import time
from typing import Any

from . import synth_guess, synth_rebuild, synth_repair
from .synth_attempt import attempt, call, construct, forward, inputs_of, quiet
from .synth_nested import Builder, borrowed
from .synth_plan import Failure, Plan

TRIALS = 60
SECONDS = 2.0
_SLOW = 0.25  # seconds of one trial: with small sizes many more fit
_SAME_AGAIN = 6.0  # a repair that changed nothing about the failure is followed up after others
__all__ = [
    "Abstract", "Found", "NotFound", "attempt", "call", "construct", "forward", "inputs_of", "quiet", "search",
]  # fmt: skip


class Found:
    """How a class was made to run: the plan, and the module and arguments that its last trial built."""

    def __init__(self, plan: Plan, trials: int) -> None:
        self.plan = plan
        self.trials = trials


class NotFound(Exception):
    """No arguments were found; the text says how far it came. failed: the code itself is at fault, as far as can
    be told."""


class Abstract(NotFound):
    """It came furthest to a method that a subclass has to define."""


def search(kind: type, seed: int, starts: list[Plan] | None = None) -> Found:
    """Arguments for `kind`. starts: plans to try before any guess. Raises NotFound."""
    until = time.process_time() + SECONDS  # processor time: a busy machine must not change what is found
    order = itertools.count()
    queue: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    best: Failure | None = None

    def push(plan: Plan, progress: tuple[int, ...], cost: float, why: str = "") -> None:
        if plan.key not in seen:
            seen.add(plan.key)
            heapq.heappush(queue, ([-p for p in progress], cost, next(order), why, plan))

    maker = Builder(seed)
    for number, start in enumerate(starts or []):
        push(start, (9,), number)
    push(Plan(synth_guess.constructor(kind, maker)), (0, 0, 0), 0.0)
    trials = 0
    while queue and trials < TRIALS and (time.process_time() < until + min(maker.spent, SECONDS) or trials < 3):
        _, cost, _, why, plan = heapq.heappop(queue)
        trials += 1
        started = time.process_time()
        outcome = attempt(kind, plan, seed, maker, borrowed(plan.init))
        if isinstance(outcome, Plan):
            return Found(outcome, trials)
        failure, tried, sizes = outcome
        if best is None or failure.progress > best.progress:
            best = failure
        if time.process_time() - started > _SLOW:
            push(synth_rebuild.smaller(kind, plan), failure.progress, -1.0)
        text, place = failure.message, failure.place
        cost += _SAME_AGAIN if text + place == why else 0.0
        for rank, other in enumerate(synth_repair.repairs(kind, tried, failure, sizes, maker)):
            push(other, failure.progress, cost + 1 + rank, text + place)
        failure.release()
        failure.message, failure.text_place = text, place  # type: ignore[attr-defined]
    if best is not None and best.abstract:
        raise Abstract(_words(best, trials))
    raise NotFound(_words(best, trials))


def _words(best: Failure | None, trials: int) -> str:
    if best is None:
        return "no arguments could be guessed"
    stage = {"construct": "building it", "forward": "running forward"}.get(best.stage, best.stage)
    place = getattr(best, "text_place", "") or best.place
    lines = best.message.strip().splitlines()
    where = f" ({place})" if place else ""
    return f"{stage} failed in {trials} trials; it came furthest with {lines[0][:240] if lines else ''}{where}"
