"""One input through the original, the patched code and the reference."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .point import Point
from .program import Deferred, Outcome, Program, leaves_for
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


class Memory:
    """What one point leaves for the next: most of them differ in their dtype alone."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def get(self, what: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The value last made for `key`, else a new one. Objects in the key are compared by identity."""
        kept = self._kept.get(what)
        if kept is None or len(kept[0]) != len(key) or not all(map(_same, kept[0], key)):
            kept = self._kept[what] = (key, make())
        return kept[1]


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return bool(one.dtype == other.dtype and torch.equal(one, other))
    return isinstance(one, (str, int, float, bool, Pattern)) and type(one) is type(other) and bool(one == other)


_memory = Memory()


def point_at(
    sides: Sides,
    setting: Setting,
    pattern: Pattern,
    dtype: torch.dtype,
    only: str | None,
    relation: str,
    leaves: dict[str, Any] | None = None,
) -> Point:
    """Run every side on one input. The reference sees the same rounded numbers as the dtype under trial.

    The float64 sides run when a claim first asks for them, and once for all dtypes that round the input alike.
    """
    if leaves is None:
        key = (setting, pattern, only)
        leaves = _memory.get("leaves", key, lambda: leaves_for(setting, pattern, 0, only))
    rounded = {
        n: v.to(dtype).to(torch.float64) if setting[n].role in FLOAT_ROLES and isinstance(v, torch.Tensor) else v
        for n, v in leaves.items()
    }
    double = torch.float64
    always = relation == "mask"  # its softmaxes are read from the watch

    def execution(program: Program) -> Callable[[bool], Outcome]:
        return lambda watched: execute(
            program, setting, rounded, double, sides.results, sides.mode, measure=watched or always, trial=dtype
        )

    before = execute(sides.before, setting, rounded, dtype, sides.results, sides.mode)
    after = execute(sides.after, setting, rounded, dtype, sides.results, sides.mode)
    bounds = str(dtype) if "trial_dtype" in sides.reference.text else ""
    here = (sides.before, sides.after, sides.reference, setting, sides.mode, bounds, *rounded.values())
    after64, truth = after, before
    if dtype is not double or always:
        after64 = _memory.get("after64", here, lambda: Deferred(execution(sides.after)))
    if dtype is not double or sides.reference is not sides.before:
        truth = _memory.get("truth", here, lambda: Deferred(execution(sides.reference)))

    calm = {n: v * 0 if setting[n].role == "float" else v for n, v in rounded.items()}

    def told(program: Program) -> Outcome:
        return execute(program, setting, calm, double, sides.results, sides.mode, gradients=False)

    zero = _memory.get("zero", (*here[:6], *calm.values()), lambda: told(sides.before)) if always else None

    def rounded_otherwise(seed: int) -> Outcome:
        return execute(sides.reference, setting, rounded, dtype, sides.results, sides.mode, noise=seed)

    def patched_otherwise(seed: int) -> Outcome:
        return execute(sides.after, setting, rounded, dtype, sides.results, sides.mode, noise=seed)

    @functools.cache
    def unrounded() -> Outcome:
        return execution(sides.before.unrounded)(False)

    def last_alone(patched: bool) -> Outcome:
        kept = {
            n: [*(g * 0 for g in v[:-1]), v[-1]] if setting[n].role == "parameters" else v for n, v in rounded.items()
        }
        return execute(sides.after if patched else sides.before, setting, kept, dtype, sides.results, sides.mode)

    zero_after = functools.partial(told, sides.after)
    return Point(
        pattern,
        dtype,
        setting,
        leaves,
        only,
        before,
        after,
        truth,
        after64,
        unrounded,
        last_alone,
        zero,
        zero_after,
        rounded_otherwise,
        patched_otherwise,
    )
