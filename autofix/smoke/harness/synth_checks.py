"""What else is tried on a class that trains: its initialisation, unusual inputs, other precisions, one example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import synth_search, synth_shapes, synth_step
from .synth_names import BATCH, LENGTH
from .synth_plan import Plan

_WILD = 100.0


def check(name: str, held: bool | None, detail: str = "", finite: bool = True) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail, "finite": finite}


def all_checks(kind: type, plan: Plan, seed: int, in_time: Callable[[], bool]) -> list[dict[str, Any]]:
    """Every check that still fits; in_time: says whether there is time for another."""
    found = [initialisation(kind, plan, seed)]
    for name, change in _INPUTS:
        if not in_time():
            break
        result = unusual(kind, plan, seed, name, change)
        if result is not None:
            found.append(result)
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if in_time():
            found.append(precision(kind, plan, seed, name, dtype))
    return found


def initialisation(kind: type, plan: Plan, seed: int) -> dict[str, Any]:
    module, empty = synth_step.build_initialised(kind, plan, seed)
    if empty:
        return check("initialisation", False, f"never initialised by this class: {', '.join(empty[:4])}", finite=False)
    wild = [
        f"{n} (up to {float(p.detach().abs().max()):.3g})"
        for n, p in module.named_parameters()
        if p.numel() and float(p.detach().abs().max()) > _WILD
    ]
    if wild:
        return check("initialisation", False, f"wild scale: {', '.join(wild[:4])}")
    return check("initialisation", True)


def unusual(
    kind: type, plan: Plan, seed: int, name: str, change: Callable[[Plan], Plan | None]
) -> dict[str, Any] | None:
    """Forward and backward with other inputs; None where the change does not apply to this class."""
    other = change(plan)
    if other is None or other.key == plan.key:
        return None
    try:
        module = synth_step.build_initialised(kind, plan, seed)[0]
        outcome = synth_step.train(module, synth_search.inputs_of(other, seed), seed, 1)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return check(name, None, f"{type(error).__name__}: {lines[0][:160] if lines else ''}")
    if outcome.verdict == synth_step.NON_FINITE:
        return check(name, False, outcome.reason, finite=False)
    return check(name, True)


def _with_content(content: str) -> Callable[[Plan], Plan | None]:
    def change(plan: Plan) -> Plan | None:
        return _mapped(plan, lambda shape, old: [shape, content] if old == "normal" else [shape, old])

    return change


def _with_batch(size: int) -> Callable[[Plan], Plan | None]:
    def change(plan: Plan) -> Plan | None:
        return _mapped(plan, lambda shape, old: [[size, *shape[1:]] if shape and shape[0] == BATCH else shape, old])

    return change


def _with_length(size: int) -> Callable[[Plan], Plan | None]:
    def change(plan: Plan) -> Plan | None:
        def one(shape: list[int], old: str) -> list[Any]:
            sequence = len(shape) == 3 or (len(shape) == 2 and old != "normal")
            if sequence and shape[1] == LENGTH:
                return [[shape[0], size, *shape[2:]], old]
            return [shape, old]

        return _mapped(plan, one)

    return change


def _mapped(plan: Plan, one: Callable[[list[int], str], list[Any]]) -> Plan:
    inputs = dict(plan.inputs)
    for name, spec in plan.inputs.items():
        for place in synth_shapes.tensor_places(spec):
            _, shape, content = synth_shapes.at(spec, place)
            inputs[name] = synth_shapes.changed(inputs[name], place, ["tensor", *one(list(shape), content)])
    return plan.with_inputs(inputs)


_INPUTS: tuple[tuple[str, Callable[[Plan], Plan | None]], ...] = (
    ("zeros", _with_content("zeros")),
    ("ones", _with_content("ones")),
    ("large", _with_content("large")),
    ("tiny", _with_content("tiny")),
    ("batch of one", _with_batch(1)),
    ("short sequence", _with_length(1)),
    ("long sequence", _with_length(4 * LENGTH)),
)


def precision(kind: type, plan: Plan, seed: int, name: str, dtype: torch.dtype) -> dict[str, Any]:
    """One step under autocast on the CPU."""
    try:
        module = synth_step.build_initialised(kind, plan, seed)[0]
        with torch.autocast("cpu", dtype=dtype):
            outcome = synth_step.train(module, synth_search.inputs_of(plan, seed), seed, 1)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return check(name, None, f"{type(error).__name__}: {lines[0][:160] if lines else ''}")
    if outcome.verdict == synth_step.NON_FINITE:
        return check(name, False, outcome.reason, finite=False)
    return check(name, True)
