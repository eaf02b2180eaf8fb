"""Best-first search for arguments with which a class can be built and run."""

from __future__ import annotations

import contextlib
import heapq
import inspect
import itertools
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from . import synth_guess, synth_inputs, synth_repair, synth_usage
from .synth_plan import Failure, Plan
from .synth_values import build

TRIALS = 60
SECONDS = 2.0
MOST_PARAMETERS = 20_000_000
_HERE = os.path.dirname(__file__)


class TooLarge(Exception):
    """The built module has more parameters than a trial may hold."""


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

    def push(plan: Plan, progress: tuple[int, ...], cost: float) -> None:
        if plan.key not in seen:
            seen.add(plan.key)
            heapq.heappush(queue, ([-p for p in progress], cost, next(order), plan))

    for number, start in enumerate(starts or []):
        push(start, (9,), number)
    push(Plan(synth_guess.constructor(kind)), (0, 0, 0), 0.0)
    trials = 0
    while queue and trials < TRIALS and (time.process_time() < until or trials < 3):
        _, cost, _, plan = heapq.heappop(queue)
        trials += 1
        outcome = attempt(kind, plan, seed)
        if isinstance(outcome, Plan):
            return Found(outcome, trials)
        failure, tried, sizes = outcome
        if best is None or failure.progress > best.progress:
            best = failure
        for rank, other in enumerate(synth_repair.repairs(kind, tried, failure, sizes)):
            push(other, failure.progress, cost + 1 + rank)
        text, place = failure.message, failure.place
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


def attempt(kind: type, plan: Plan, seed: int) -> Plan | tuple[Failure, Plan, synth_inputs.Sizes | None]:
    """Build and run once. The complete plan when it ran, else what happened, with the plan as tried."""
    values: dict[str, Any] = {}
    try:
        refuse_large(kind, plan)
        module = construct(kind, plan, seed, values)
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, _HERE), plan, None
    values = dict(values)
    try:
        guessed, sizes = synth_inputs.guess(module, plan.init)
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, _HERE), plan, None
    if not plan.guessed:
        plan = plan.with_inputs(guessed)
    with finished_layers() as finished:
        try:
            forward(module, plan, seed, values)
        except Exception as error:
            return Failure(kind, "forward", error, values, finished[0], _HERE), plan, sizes
    return plan


def refuse_large(kind: type, plan: Plan) -> None:
    """Raises TooLarge before memory is taken and weights are drawn, where the class can be built without either."""
    try:
        with quiet(), torch.device("meta"):
            size = _size(kind(**{name: build(spec) for name, spec in plan.init.items()}))
    except Exception:
        return  # the real attempt says what is wrong
    if size > MOST_PARAMETERS:
        raise TooLarge(f"{size:,} parameters, more than a trial may hold")


def _size(module: nn.Module) -> int:
    lazy = nn.parameter.UninitializedParameter
    return sum(p.numel() for p in module.parameters() if not isinstance(p, lazy))


def construct(kind: type, plan: Plan, seed: int, values: dict[str, Any] | None = None) -> nn.Module:
    """The module; `values` receives the arguments as they were built."""
    torch.manual_seed(seed)
    values = {} if values is None else values
    with quiet():
        for name, spec in plan.init.items():
            values[name] = build(spec)
        module = kind(**values)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{kind.__name__}(...) is no nn.Module")
    size = _size(module)
    if size > MOST_PARAMETERS:
        raise TooLarge(f"{size:,} parameters, more than a trial may hold")
    return module


def inputs_of(plan: Plan, seed: int) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword inputs, the same for the same seed."""
    torch.manual_seed(seed + 1)
    given = {name: build(spec) for name, spec in plan.inputs.items()}
    if "()" in given:
        positional, named = given["()"]
        return list(positional), named
    return ([given.pop("*")] if "*" in given else []), given


def forward(module: nn.Module, plan: Plan, seed: int, values: dict[str, Any] | None = None) -> Any:
    positional, named = inputs_of(plan, seed)
    if values is not None:
        values.update(named)
        values.update({"*": positional[0]} if positional else {})
    torch.manual_seed(seed + 2)
    with quiet():
        return call(module, positional, named)


def call(module: nn.Module, positional: list[Any], named: dict[str, Any]) -> Any:
    """Call with what `forward` takes by position only given by position."""
    leading: list[Any] = []
    named = dict(named)
    entry = synth_usage.entry(type(module))
    for parameter in inspect.signature(getattr(module, entry)).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name in named:
            leading.append(named.pop(parameter.name))
    called = module if entry == "forward" else getattr(module, entry)
    return called(*leading, *positional, **named)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def finished_layers() -> Iterator[list[int]]:
    """Counts the modules whose forward has returned: how far a failing forward came."""
    count = [0]

    def hook(module: Any, inputs: Any, output: Any) -> None:
        count[0] += 1

    handle = torch.nn.modules.module.register_module_forward_hook(hook)
    try:
        yield count
    finally:
        handle.remove()
