"""What else is tried on a class that trains: its initialisation, its gradients, unusual inputs, other precisions."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from . import synth_flow, synth_origin, synth_search, synth_shapes, synth_step
from .synth_names import BATCH, LENGTH
from .synth_plan import Plan

SECONDS = 0.5  # of processor time, for all checks of a class; a check that is under way is finished
_LARGEST = 100.0  # of a fresh parameter
_GAIN = 20.0  # what a fresh weight multiplies the scale of its input by: 1 is ideal, torch's own layers stay below 2
_MOST_NAMES = 4


class Setting:
    """A class as the checks run it. options: "seed", "device", "dtype", "steps"."""

    def __init__(self, kind: type, plan: Plan, options: dict[str, Any]) -> None:
        self.kind = kind
        self.plan = plan
        self.seed = int(options["seed"])
        self.device = str(options.get("device") or "cpu")
        self.dtype = str(options.get("dtype") or "float32")
        if self.device != "cpu":
            _reveal(options.get("visible"))
        self.pristine, self.empty = synth_step.build_initialised(kind, plan, self.seed)

    def module(self) -> nn.Module:
        """A fresh one on the device: a copy where it can be copied, which costs less than drawing weights anew."""
        try:
            return self.placed(copy.deepcopy(self.pristine))
        except Exception:
            return self.placed(synth_step.build_initialised(self.kind, self.plan, self.seed)[0])

    def placed(self, module: nn.Module) -> nn.Module:
        """The module on the device, in float64 where that was asked for."""
        module = module.to(self.device) if self.device != "cpu" else module
        return module.double() if self.dtype == "float64" else module

    def inputs(self, plan: Plan | None = None) -> tuple[list[Any], dict[str, Any]]:
        found = synth_search.inputs_of(plan or self.plan, self.seed)
        if self.dtype == "float64":
            found = synth_step._mapped(found, lambda t: t.double() if t.is_floating_point() else t)
        return synth_step.moved(found, self.device) if self.device != "cpu" else found

    def autocast(self, dtype: str) -> Any:
        """Half precision is autocast; float32 and float64 are not."""
        if dtype not in ("bfloat16", "float16"):
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=getattr(torch, dtype))


def _reveal(visible: str | None) -> None:
    """The harness hides accelerators from what it runs, which must happen before its forks; this run asks for one."""
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


def check(name: str, held: bool | None, detail: str = "", finite: bool = True, **more: Any) -> dict[str, Any]:
    """held: None where it could not be run; detail then says why."""
    return {"name": name, "held": held, "detail": detail, "finite": finite, **more}


def all_checks(kind: type, plan: Plan, options: dict[str, Any], missing: list[str]) -> list[dict[str, Any]]:
    """Every check that applies to the class; those for which no time was left say so.

    missing: parameters that received no gradient in the steps before.
    """
    until = time.process_time() + SECONDS
    setting = Setting(kind, plan, options)
    found = [initialisation(setting)]
    for name, run in _runs(setting, missing):
        if time.process_time() >= until:
            found.append(check(name, None, f"not run: the checks of a class get {SECONDS:g} s of processor time"))
        else:
            found.append(run())
    return found


def _runs(setting: Setting, missing: list[str]) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The checks in the order of what they find, so that a slow class loses the least."""
    inputs = []
    for name, change in _INPUTS:
        other = change(setting.plan)
        if other.key != setting.plan.key:
            inputs.append((name, _later(setting, name, setting.dtype, other)))
    halves = [
        (name, _later(setting, name, dtype, None))
        for name, dtype in (("bf16", "bfloat16"), ("fp16", "float16"))
        if dtype != setting.dtype
    ]
    return [("gradient flow", lambda: flow(setting, missing)), *inputs[:1], *halves, *inputs[1:]]


def _later(setting: Setting, name: str, dtype: str, plan: Plan | None) -> Callable[[], dict[str, Any]]:
    return lambda: passes(setting, name, dtype, plan)


# -- initialisation ------------------------------------------------------------------------------------------


def initialisation(setting: Setting) -> dict[str, Any]:
    """Parameters that nothing initialised, that are not finite, or of a scale that no layer can digest."""
    module = setting.pristine
    if setting.empty:
        return check("initialisation", False, f"never initialised: {_named(setting.empty)}", finite=False)
    wild = [words for name, p in module.named_parameters() if (words := _wild(module, name, p))]
    if any("not finite" in words for words in wild):
        return check("initialisation", False, _named(wild), finite=False)
    if wild:
        return check("initialisation", False, f"wild scale: {_named(wild)}")
    return check("initialisation", True)


def _wild(module: nn.Module, name: str, parameter: torch.Tensor) -> str:
    if not parameter.numel() or not parameter.is_floating_point():
        return ""
    held = parameter.detach()
    largest = float(held.abs().max())
    if not math.isfinite(largest):
        return f"{name} is not finite"
    if largest > _LARGEST:
        return f"{name} up to {largest:.3g}"
    if held.ndim < 2 or isinstance(module.get_submodule(name.rpartition(".")[0]), (nn.Embedding, nn.EmbeddingBag)):
        return ""
    fan_in = held[0].numel()
    gain = float(held.double().square().mean()) ** 0.5 * math.sqrt(fan_in)
    if gain <= _GAIN:
        return ""
    return f"{name} multiplies the scale of its input by {gain:.3g} (root mean square times sqrt of fan-in {fan_in})"


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


# -- gradients -----------------------------------------------------------------------------------------------


def flow(setting: Setting, missing: list[str]) -> dict[str, Any]:
    """One backward pass on ordinary inputs, layer by layer."""
    module = setting.module()
    with synth_flow.Order() as order, setting.autocast(setting.dtype):
        outcome = _trained(module, setting.inputs(), setting.seed)
    if isinstance(outcome, str):
        return check("gradient flow", None, outcome)
    figures = synth_flow.layers(module, order)
    held, detail = synth_flow.judge(figures)
    stuck = [name for name in synth_flow.dead(module) if name in set(missing)]
    if stuck:
        words = f"all zero, and so is its gradient: nothing moves {_named(stuck)}"
        held, detail = False, f"{detail}; {words}" if detail else words
    return check("gradient flow", held, detail, layers=figures)


# -- inputs and precisions -----------------------------------------------------------------------------------


def passes(setting: Setting, name: str, dtype: str, plan: Plan | None) -> dict[str, Any]:
    """Forward and backward on other inputs, or in another precision; where it breaks, the operation and its line."""
    try:
        inputs = setting.inputs(plan)
    except Exception as error:
        return check(name, None, _words(error))
    with setting.autocast(dtype):
        outcome = _trained(setting.module(), inputs, setting.seed)
    if isinstance(outcome, str):
        return check(name, None, outcome)
    if outcome.verdict == synth_step.FAILED:
        return check(name, None, outcome.reason)
    if outcome.verdict != synth_step.NON_FINITE:
        return check(name, True)
    folder = synth_origin.folder_of(setting.kind)
    with setting.autocast(dtype):
        origin = synth_origin.trace(setting.module(), setting.inputs(plan), folder, setting.seed, 1)
    return check(name, False, outcome.reason, finite=False, origin=origin)


def _trained(module: nn.Module, inputs: tuple[list[Any], dict[str, Any]], seed: int) -> synth_step.Outcome | str:
    """One training step, or what it raised."""
    try:
        return synth_step.train(module, inputs, seed, 1)
    except Exception as error:
        return _words(error)


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def _with_content(content: str) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        return _mapped(plan, lambda shape, old: [shape, content] if old == "normal" else [shape, old])

    return change


def _with_batch(size: int) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        return _mapped(plan, lambda shape, old: [[size, *shape[1:]] if shape and shape[0] == BATCH else shape, old])

    return change


def _with_length(size: int) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
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


_INPUTS: tuple[tuple[str, Callable[[Plan], Plan]], ...] = (
    ("zeros", _with_content("zeros")),
    ("large", _with_content("large")),
    ("batch of one", _with_batch(1)),
    ("ones", _with_content("ones")),
    ("tiny", _with_content("tiny")),
    ("short sequence", _with_length(1)),
    ("long sequence", _with_length(4 * LENGTH)),
)


# -- the steps themselves ------------------------------------------------------------------------------------


def stepped(kind: type, plan: Plan, options: dict[str, Any]) -> synth_step.Outcome:
    """The training steps that were asked for, on the device and in the precision that were. Raises what the class
    raises."""
    setting = Setting(kind, plan, options)
    module = setting.placed(setting.pristine)
    with setting.autocast(setting.dtype):
        return synth_step.train(module, setting.inputs(), setting.seed, int(options["steps"]))


def origin(kind: type, plan: Plan, options: dict[str, Any]) -> dict[str, Any]:
    """`synth_origin`'s answer for the steps that ended in something non-finite; {} where it could not be told."""
    try:
        setting = Setting(kind, plan, options)
        if setting.empty and not synth_step._parents_initialise(kind):
            return synth_origin.uninitialised(kind, plan, setting.seed, setting.empty)
        steps = int(options.get("steps") or 1)
        folder = synth_origin.folder_of(kind)
        with setting.autocast(setting.dtype):
            return synth_origin.trace(setting.module(), setting.inputs(), folder, setting.seed, steps)
    except Exception:
        return {}  # the verdict stands without it
