"""One trial: build a module from a plan, guess the inputs that the plan leaves open, run forward once."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from . import synth_inputs, synth_usage
from .synth_guess import Maker
from .synth_plan import Failure, Plan
from .synth_sizes import Sizes
from .synth_values import Spec, build

MOST_PARAMETERS = 20_000_000
ATTEMPT_SECONDS = 1.5
_HERE = os.path.dirname(__file__)


class TooLarge(Exception):
    """The built module has more parameters than a trial may hold."""


class TooSlow(Exception):
    """Building or running it took more processor time than one trial may have."""


def attempt(
    kind: type, plan: Plan, seed: int, maker: Maker | None = None, borrowed: dict[str, Spec] | None = None
) -> Plan | tuple[Failure, Plan, Sizes | None]:
    """Build and run once. The complete plan when it ran, else what happened, with the plan as tried.

    borrowed: inputs with which networks among the constructor's arguments are known to run.
    """
    values: dict[str, Any] = {}
    try:
        refuse_large(kind, plan)
        with limited():
            module = construct(kind, plan, seed, values)
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, _HERE), plan, None
    values = dict(values)
    try:
        guessed, sizes = synth_inputs.guess(module, plan.init, maker or Maker(), borrowed)
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, _HERE), plan, None
    if not plan.guessed:
        plan = plan.with_inputs(guessed)
    with finished_layers() as finished:
        try:
            with limited():
                forward(module, plan, seed, values)
        except Exception as error:
            return Failure(kind, "forward", error, values, finished[0], _HERE), plan, sizes
    return plan


def construction(kind: type, plan: Plan, seed: int) -> Failure | None:
    """What happens when an object that is no module is made; None when it is made."""
    values: dict[str, Any] = {}
    torch.manual_seed(seed)
    try:
        with quiet():
            for name, spec in plan.init.items():
                values[name] = build(spec)
            kind(**values)
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, _HERE)
    return None


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
def limited(seconds: float = ATTEMPT_SECONDS) -> Iterator[None]:
    """Raises TooSlow inside the block once it has used so much processor time, as soon as Python code runs again."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TooSlow(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


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
