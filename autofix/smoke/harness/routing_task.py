"""A synthetic routing task: the gate under trial is to learn a choice that it makes for other scores.

The scores and thresholds that get their gradient through the patch are trained with Adam on the squared distance
between what the patched statements give and what they give for scores drawn otherwise. Beside it: the original
statements, which cannot learn, and everything switched on, which is what a router has to beat.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import Any

import torch

from .program import Outcome, as_dtype, leaves_for, outputs_of
from .values import Pattern, Setting

STEPS = 40
_TASKS = 3
_SECONDS = 6.0  # it takes a few tenths of one: this is for a machine that is busy
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 12
_LEARNT = 0.9  # of the loss at the start, at most: less may be chance
_WORSE = 1.15


def judge(sides: Any, setting: Setting, trained: list[str], deadline: float) -> dict[str, Any]:
    """The claim "learns": whether the loss of the patched statements falls over a few steps of training."""
    patched: list[list[float]] = []
    flat: list[float] = []
    full: list[float] = []
    limit = min(deadline, time.monotonic() + _SECONDS)
    for seed in range(_TASKS):
        with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError):
            curve, original, all_on = _task(sides, setting, trained, seed, limit)
            if curve and curve[0] > 0:
                patched.append(curve)
                flat.append(original)
                full += [all_on] if all_on is not None else []
    if not patched:
        return _claim(None, "the statements cannot be trained by themselves")
    curve = [sum(losses) / len(losses) for losses in zip(*patched)]  # noqa: B905
    start, end = curve[0], sum(curve[-5:]) / len(curve[-5:])
    held = True if end < _LEARNT * start else False if end > _WORSE * start else None
    return _claim(held, _table(curve, sum(flat) / len(flat), sum(full) / len(full) if full else None, end))


def _task(
    sides: Any, setting: Setting, trained: list[str], seed: int, limit: float
) -> tuple[list[float], float, float | None]:
    """The losses of the patched statements, that of the original ones, and that with everything on."""
    dtype = torch.float32
    drawn = Pattern("ordinary draws", "draw", 1.0)
    leaves = {n: as_dtype(v, setting[n], dtype) for n, v in leaves_for(setting, drawn, seed).items()}
    wanted = leaves_for(setting, drawn, seed + 1000)
    goal = {**leaves, **{n: as_dtype(wanted[n], setting[n], dtype) for n in trained}}
    target = _gate(sides.after, goal, sides.results).detach()
    hard = _gate(sides.before, leaves, sides.results).detach()
    original = _distance(hard, target) if hard.shape == target.shape else float("nan")
    both = bool(((target == 0) | (target == 1)).all())
    all_on = _distance(torch.ones_like(target), target) if both else None
    weights = {n: leaves[n].detach().clone().requires_grad_() for n in trained}
    optimizer = torch.optim.Adam(weights.values(), lr=0.1)
    losses: list[float] = []
    for _ in range(STEPS):
        if time.monotonic() > limit:
            break
        gate = _gate(sides.after, {**leaves, **weights}, sides.results)
        loss = (gate - target).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses, original, all_on


def _gate(program: Any, leaves: dict[str, Any], results: list[str]) -> torch.Tensor:
    """The float results of the statements, in one row."""
    env = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in leaves.items()}
    env["trial_dtype"] = torch.float32
    torch.default_generator.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program.execute(env, Outcome(), None, 0)
    found = [v.float().reshape(-1) for v in outputs_of(env, results).values()]
    return torch.cat(found)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).square().mean())


def _table(curve: list[float], original: float, all_on: float | None, end: float) -> str:
    lines = [f"a choice to be learnt in {len(curve)} steps, squared distance from it"]
    lines.append(f"original  {original:.3f} -> {original:.3f}  {sparkline([original] * _WIDTH, max(*curve, original))}")
    lines.append(f"patched   {curve[0]:.3f} -> {end:.3f}  {sparkline(curve, max(*curve, original))}")
    if all_on is not None:
        lines.append(f"all on    {all_on:.3f}")
    return "\n".join(lines)


def sparkline(values: list[float], top: float) -> str:
    """Bars for a series, thinned to a dozen; `top` is the height of a full bar."""
    if not values or not top > 0:
        return ""
    chosen = [values[i * len(values) // _WIDTH] for i in range(_WIDTH - 1)] + [values[-1]]
    return "".join(_BARS[min(len(_BARS) - 1, max(0, int(v / top * len(_BARS))))] for v in chosen)


def _claim(held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": "learns", "held": held, "detail": detail}
