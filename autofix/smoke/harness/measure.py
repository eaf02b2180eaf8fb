"""One version of a class under every condition: precisions, unusual inputs, and the lines that its forward ran.

The same plan and seed give the same figures for the original and the patched version; what they are worth is measured
too: the original once more with weights and inputs moved by one rounding.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from . import child, synth_search, synth_shapes, synth_step
from .synth_names import BATCH, LENGTH
from .synth_plan import Plan

ROUNDING = 1.2e-7  # of float32: code that computes in float32 inside a float64 run is measured as well
_MOST_FIGURES = 400
_SHARE = 0.4  # of the time of one class: where a step takes long, some conditions are left out
_INVERTED = "the mask inverted"
_HALF = (("bf16", torch.bfloat16), ("fp16", torch.float16))


def measure(
    kind: type, plan: Plan, options: dict[str, Any], path: str, beside: dict[str, Any] | None = None
) -> dict[str, Any]:
    """{"conditions": {name: outcome}, "figures": {dtype: figures of one step}, "noise": the same, moved by one
    rounding, "lines": those of `path` that one forward and backward ran, "parameters": how many there are}.

    beside: the measurement of the original; the patched version is put under the same conditions. The original leaves
    out what there is no time for, and it alone is measured for noise.

    An outcome is {"verdict", "reason", "losses", "norms" (of the gradient), "missing"}, and "inputs" where they are
    not the plan's own.
    """
    seed, steps = int(options["seed"]), int(options["steps"])
    lines: set[int] = set()
    until = time.process_time() + _SHARE * float(options["processor_seconds"])

    def wanted(name: str) -> bool:
        return time.process_time() < until if beside is None else name in beside["conditions"]

    conditions = {"fp32": outcome(kind, plan, seed, steps, trace=(path, lines))}
    found: dict[str, Any] = {"conditions": conditions, "figures": {}, "noise": {}}
    others = dict(unusual(plan))
    if conditions["fp32"]["verdict"] != synth_step.FAILED:
        for name, used, dtype in _compared(plan, others):
            if beside is not None and name not in beside["noise"]:
                continue
            found["figures"][name] = figures = figures_of(kind, used, seed, dtype, 0.0)
            if beside is None and figures is not None:
                found["noise"][name] = figures_of(kind, used, seed, dtype, ROUNDING)
                break
        for name, dtype in _HALF:
            if wanted(name):
                conditions[name] = outcome(kind, plan, seed, 2, dtype=dtype)
    for name, other in others.items():
        if wanted(name):
            conditions[name] = {**outcome(kind, other, seed, 1), "inputs": other.inputs}
    found["lines"] = sorted(lines)
    found["parameters"] = conditions["fp32"].pop("parameters")
    return found


def _compared(plan: Plan, others: dict[str, Plan]) -> Iterator[tuple[str, Plan, torch.dtype]]:
    """What figures may be taken of, the most telling first: a mask may leave nothing finite, its inverse does."""
    for words, used in (("", plan), (_INVERTED, others.get(_INVERTED))):
        for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
            if used is not None:
                yield f"{name}, {words}" if words else name, used, dtype


def outcome(
    kind: type,
    plan: Plan,
    seed: int,
    steps: int,
    dtype: torch.dtype | None = None,
    trace: tuple[str, set[int]] | None = None,
) -> dict[str, Any]:
    """Training steps as a value; what they raise too. dtype: of autocast. trace: a file, and the set for its lines."""
    count = 0
    child._seed(seed)  # of Python's and NumPy's generators too: some modules draw from them
    try:
        if trace is not None:
            with _Tracing(*trace):
                module = synth_step.build_initialised(kind, plan, seed)[0]
                synth_step.train(module, synth_search.inputs_of(plan, seed), seed, 1)
        module = synth_step.build_initialised(kind, plan, seed)[0]
        count = sum(1 for p in module.parameters() if p.requires_grad)
        inputs = synth_search.inputs_of(plan, seed)
        if dtype is None:
            result = synth_step.train(module, inputs, seed, steps)
        else:
            with torch.autocast("cpu", dtype=dtype):
                result = synth_step.train(module, inputs, seed, steps)
    except Exception as error:
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0][:200] if text else ''}"
        return {
            "verdict": synth_step.FAILED, "reason": reason, "losses": [], "norms": [], "missing": [],
            "parameters": count,
        }  # fmt: skip
    return {
        "verdict": result.verdict, "reason": result.reason, "losses": result.losses, "norms": result.norms,
        "missing": result.missing, "parameters": count,
    }  # fmt: skip


class _Tracing:
    """Collects the lines of one file that run in this thread."""

    def __init__(self, path: str, lines: set[int]) -> None:
        self.path = os.path.realpath(path)
        self.lines = lines
        self.known: dict[str, bool] = {}

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: Any) -> None:
        sys.settrace(None)

    def _call(self, frame: Any, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in self.known:
            self.known[name] = os.path.realpath(name) == self.path
        return self._line if self.known[name] else None

    def _line(self, frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            self.lines.add(frame.f_lineno)
        return self._line


def lines_run(kind: type, plan: Plan, seed: int, path: str) -> set[int]:
    """The lines of `path` that one step runs; what it raises ends it."""
    lines: set[int] = set()
    outcome(kind, plan, seed, 1, trace=(path, lines))
    return lines


# -- figures ----------------------------------------------------------------------------------------------------


def figures_of(kind: type, plan: Plan, seed: int, dtype: torch.dtype, moved: float) -> dict[str, Any] | None:
    """{"loss", "gradients": {name: [norm, projection on a fixed direction]}} of one step in `dtype`; None where the
    module does not run in it or gives something non-finite. moved: the relative size of a perturbation of every
    weight and input."""
    child._seed(seed)
    try:
        module = synth_step.build_initialised(kind, plan, seed)[0]
        positional, named = synth_search.inputs_of(plan, seed)
        if dtype is not torch.float32:
            module = module.to(dtype)
            positional, named = (_cast(value, dtype) for value in (positional, named))
        if moved:
            generator = torch.Generator().manual_seed(seed + 5)
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.copy_(_moved(parameter, moved, generator))
            positional, named = (
                synth_step._mapped(value, lambda t: _moved(t, moved, generator)) for value in (positional, named)
            )
        has_parameters = any(p.requires_grad for p in module.parameters())
        if not has_parameters:
            positional, named = synth_step.requiring_gradient(positional), synth_step.requiring_gradient(named)
        loss = _loss(synth_step._run(module, positional, named, seed), seed)
        if loss is None or not bool(torch.isfinite(loss)):
            return None
        gradients: dict[str, list[float]] = {}
        if loss.requires_grad and has_parameters:
            loss.backward()
            gradients = dict(_gradients(module, seed))
    except Exception:
        return None
    found = {"loss": loss.item(), "gradients": gradients}
    finite = all(abs(x) < float("inf") for pair in gradients.values() for x in pair)  # false for NaN as well
    return found if finite else None


def _loss(output: Any, seed: int) -> torch.Tensor | None:
    """As a training step's, in the outputs' own dtype: float64 must not pass through float32 on the way."""
    found = [t for t in synth_step.tensors(output) if t.is_floating_point() or t.is_complex()]
    learning = [t for t in found if t.requires_grad] or found
    if not learning:
        return None
    generator = torch.Generator().manual_seed(seed + 3)
    total: Any = 0.0
    for one in learning:
        real = torch.view_as_real(one) if one.is_complex() else one
        if real.numel():
            weight = torch.randn(real.shape, generator=generator, dtype=torch.float64)
            total = total + (real.double() * weight).mean()
    return total if isinstance(total, torch.Tensor) else None


def _gradients(module: nn.Module, seed: int) -> Iterator[tuple[str, list[float]]]:
    for number, (name, parameter) in enumerate(module.named_parameters()):
        if number >= _MOST_FIGURES or parameter.grad is None:
            continue
        gradient = parameter.grad.to_dense().double() if parameter.grad.is_sparse else parameter.grad.double()
        direction = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(seed + 6), dtype=torch.float64)
        yield name, [float(gradient.norm()), float((gradient * direction).sum())]


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return synth_step._mapped(value, lambda t: t.to(dtype) if t.is_floating_point() else t)


def _moved(value: torch.Tensor, size: float, generator: torch.Generator) -> torch.Tensor:
    if not value.is_floating_point() or value.is_sparse:
        return value
    return value * (1.0 + size * torch.randn(value.shape, generator=generator).to(value.dtype))


# -- unusual inputs ---------------------------------------------------------------------------------------------


def unusual(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Other inputs of the same kind, where they differ from the plan's own, in words."""
    for name, change in _CHANGES:
        inputs = dict(plan.inputs)
        for key, spec in plan.inputs.items():
            for place in synth_shapes.tensor_places(spec):
                _, shape, content = synth_shapes.at(spec, place)
                other = change(list(shape), content)
                if other is not None:
                    inputs[key] = synth_shapes.changed(inputs[key], place, ["tensor", *other])
        if inputs != plan.inputs:
            yield name, plan.with_inputs(inputs)


def _contents(**changes: str) -> Callable[[list[int], str], list[Any] | None]:
    return lambda shape, content: [shape, changes[content]] if content in changes else None


def _batch_of_one(shape: list[int], content: str) -> list[Any] | None:
    return [[1, *shape[1:]], content] if shape and shape[0] == BATCH else None


def _short(shape: list[int], content: str) -> list[Any] | None:
    sequence = len(shape) == 3 or (len(shape) == 2 and content != "normal")
    return [[shape[0], 1, *shape[2:]], content] if sequence and shape[1] == LENGTH else None


_CHANGES: tuple[tuple[str, Callable[[list[int], str], list[Any] | None]], ...] = (
    (_INVERTED, _contents(true="false", false="true")),
    ("inputs all zero", _contents(normal="zeros", unit="zeros", positive="zeros")),
    ("inputs of some 1e4", _contents(normal="large")),
    ("inputs of some 1e-6", _contents(normal="tiny")),
    ("a batch of one", _batch_of_one),
    ("a sequence of one", _short),
)
