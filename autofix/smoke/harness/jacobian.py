"""The log-determinant of a flow: it must stay that of the elementwise map beside it.

Which result is the map and which its log-determinant is read off the original: a pair belongs together when the one
is `log |dy/dx|` of the other, summed over trailing dimensions, on ordinary draws. The patch is not asked.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from .program import Outcome, Program, as_dtype, leaves_for, outputs_of
from .values import PATTERNS, Pattern, Setting

# Both sides are float64: a sum of a few logarithms agrees to 1e-10; 1e-6 leaves room for a clamp's own rounding.
_AGREE = 1e-6
_SEEDS = (0, 1)
_BATCH = ((3, 4), (3, 8), (3, 2, 4))
_MOST = 27  # of those: three leaves in every combination


class _Pair(NamedTuple):
    """`determinant` is `sign` times the sum over the last `dims` dimensions of log |d y / d x|."""

    y: str
    x: str
    determinant: str
    sign: int
    dims: int


class _Run(NamedTuple):
    inputs: dict[str, torch.Tensor]
    outputs: dict[str, torch.Tensor]


def judge(sides: Any, settings: list[Setting], deadline: float) -> dict[str, Any]:
    """The claim "jacobian": held is None when the original has no log-determinant in view."""
    pair, setting = None, settings[0]
    for setting in itertools.chain(settings, _of_one_batch(settings[0])):
        pair = _find(sides, setting) if time.monotonic() < deadline else None
        if pair is not None:
            break
    if pair is None:
        return _claim(None, "no log-determinant was found among the results of the original")
    compared = 0
    for pattern, only in itertools.product(PATTERNS, [None, *(n for n, c in setting.items() if c.role == "float")]):
        if time.monotonic() > deadline:
            break
        if only is not None and pattern.kind == "draw":
            continue
        leaves = leaves_for(setting, pattern, 0, only)
        before = _told(_execute(sides.before, setting, leaves, sides.results), pair)
        after = _told(_execute(sides.after, setting, leaves, sides.results), pair)
        if before is None or after is None or not _agrees(*before):
            continue
        compared += 1
        if not _agrees(*after):
            place = int((after[0] - after[1]).abs().argmax())
            said, is_ = (float(v.reshape(-1)[place]) for v in after)
            where = f"{only}: {pattern.name}" if only else pattern.name
            detail = f"{where}: {pair.determinant} is {said:.6g}, and log |d{pair.y}/d{pair.x}| is {is_:.6g}"
            return _claim(False, detail)
    detail = f"{pair.determinant} is log |d{pair.y}/d{pair.x}| on {compared} inputs"
    return _claim(True if compared else None, detail)


def _of_one_batch(setting: Setting) -> Iterator[Setting]:
    """The same leaves as rows of one batch, some twice as wide (for `chunk(2)`): broadcasting hides a determinant."""
    floats = [n for n, c in setting.items() if c.role == "float"]
    for sizes in itertools.islice(itertools.product(_BATCH, repeat=len(floats)), _MOST):
        yield {**setting, **{n: setting[n]._replace(size=size) for n, size in zip(floats, sizes)}}  # noqa: B905


def _find(sides: Any, setting: Setting) -> _Pair | None:
    runs = [
        _execute(sides.before, setting, leaves_for(setting, Pattern("", "draw", 1.0), seed), sides.results)
        for seed in _SEEDS
    ]
    first = runs[0]
    if first is None:
        return None
    for pair in _candidates(first):
        if all(found is not None and _agrees(*found) for found in (_told(run, pair) for run in runs)):
            return pair
    return None


def _candidates(run: _Run) -> Iterator[_Pair]:
    for y, x in itertools.product(run.outputs, run.inputs):
        shape = run.outputs[y].shape
        if not shape or run.inputs[x].shape != shape:
            continue
        for name, value in run.outputs.items():
            for dims in range(len(shape) + 1):
                if name != y and value.shape == shape[: len(shape) - dims]:
                    yield from (_Pair(y, x, name, sign, dims) for sign in (1, -1))


def _execute(program: Program, setting: Setting, leaves: dict[str, Any], results: list[str]) -> _Run | None:
    """The results with their graphs, in float64; None where the code raises."""
    env: dict[str, Any] = {}
    inputs: dict[str, torch.Tensor] = {}
    for name, value in leaves.items():
        cast = as_dtype(value, setting[name], torch.float64)
        if setting[name].role == "float" and isinstance(cast, torch.Tensor):
            inputs[name] = cast.clone().requires_grad_()
            cast = inputs[name].clone()
        env[name] = cast
    previous = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program.execute(env, Outcome())
            found = outputs_of(env, results)
    except Exception:  # user code under trial: whatever it raises, there is nothing to compare here
        return None
    finally:
        torch.set_default_dtype(previous)
    return _Run(inputs, {n: v for n, v in found.items() if v.is_floating_point()})


def _told(run: _Run | None, pair: _Pair) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The log-determinant that the code gives and the one of its map, where both are finite."""
    if run is None or pair.y not in run.outputs or pair.determinant not in run.outputs:
        return None
    slope = _slope(run.outputs[pair.y], run.inputs[pair.x])
    if slope is None:
        return None
    local = slope.abs().log()
    if pair.dims:
        local = local.sum(dim=tuple(range(-pair.dims, 0)))
    given = run.outputs[pair.determinant].detach()
    finite = bool(torch.isfinite(local).all() and torch.isfinite(given).all())
    return (given, pair.sign * local) if finite and given.shape == local.shape else None


def _slope(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor | None:
    """d y_i / d x_i of an elementwise map; None of any other."""
    if not y.requires_grad or y.shape != x.shape:
        return None
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True, allow_unused=True)
    if slope is None:
        return None
    weights = torch.arange(1, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
    (weighted,) = torch.autograd.grad((y * weights).sum(), x, retain_graph=True)
    return slope if torch.allclose(weighted, slope * weights, rtol=1e-9, atol=1e-12) else None


def _agrees(given: torch.Tensor, local: torch.Tensor) -> bool:
    return bool(((given - local).abs() <= _AGREE * (1 + local.abs())).all())


def _claim(held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": "jacobian", "held": held, "detail": detail}
