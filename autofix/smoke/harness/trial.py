"""One input through the original, the patched code and the reference."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch

from .claims import Point
from .compare import HALF
from .program import Outcome, Program, leaves_for
from .program import run as execute
from .values import FLOAT_ROLES, Pattern, Setting


class Sides(NamedTuple):
    """What is compared: the original, the patched code, and what the patched code must equal."""

    before: Program
    after: Program
    reference: Program
    leaves: list[dict[str, Any]]
    results: list[str]
    mode: str


def point_at(
    sides: Sides,
    setting: Setting,
    pattern: Pattern,
    dtype: torch.dtype,
    only: str | None,
    relation: str,
    leaves: dict[str, Any] | None = None,
) -> Point:
    """Run every side on one input. The reference sees the same rounded numbers as the dtype under trial."""
    leaves = leaves if leaves is not None else leaves_for(setting, pattern, 0, only)
    rounded = {
        n: v.to(dtype).to(torch.float64) if setting[n].role in FLOAT_ROLES and isinstance(v, torch.Tensor) else v
        for n, v in leaves.items()
    }
    before = execute(sides.before, setting, rounded, dtype, sides.results, sides.mode)
    after = execute(sides.after, setting, rounded, dtype, sides.results, sides.mode)
    double = torch.float64
    after64 = (
        execute(sides.after, setting, rounded, double, sides.results, sides.mode, measure=True)
        if dtype is not double or relation == "mask"
        else after
    )
    same = dtype is double and sides.reference is sides.before
    truth = (
        before
        if same
        else execute(sides.reference, setting, rounded, double, sides.results, sides.mode, measure=dtype in HALF)
    )
    calm = {n: v * 0 if setting[n].role == "float" else v for n, v in rounded.items()}

    def told(program: Program) -> Outcome:
        return execute(program, setting, calm, double, sides.results, sides.mode, gradients=False)

    zero = told(sides.before) if relation == "mask" else None

    def nearby(seed: int) -> Outcome:
        near = _perturbed(rounded, setting, dtype, seed)
        return execute(sides.reference, setting, near, double, sides.results, sides.mode)

    zero_after = functools.partial(told, sides.after)
    return Point(pattern, dtype, setting, leaves, only, before, after, truth, after64, zero, zero_after, nearby)


def _perturbed(leaves: dict[str, Any], setting: Setting, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    """Every number off by one unit in its last place, up or down."""
    generator = torch.Generator().manual_seed(4241 + seed)
    step = torch.finfo(dtype).eps
    out = dict(leaves)
    for name, value in leaves.items():
        if setting[name].role == "float" and isinstance(value, torch.Tensor):
            sign = torch.randint(0, 2, tuple(value.shape), generator=generator).to(value.dtype) * 2 - 1
            out[name] = value * (1 + step * sign)
    return out
