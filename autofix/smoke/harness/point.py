"""One input of a trial, and what the sides made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .compare import dtype_name
from .program import Outcome
from .values import Pattern, Setting


class Point(NamedTuple):
    """One input: where on the grid it lies, its leaves (float64), and what the sides made of it.

    truth: the reference in float64 on the same inputs; after64: the patched side in float64; unrounded: the original
    in float64 without its own casts to half precision; last_alone: the original, or the patched side, where all
    parameters but the last have gradients of zero. zero, zero_after: both sides on scores of zero (masks alone).
    rounded_otherwise, patched_otherwise: the reference and the patched side with every operation off by one unit in
    the last place.
    """

    pattern: Pattern
    dtype: torch.dtype
    setting: Setting
    leaves: dict[str, Any]
    only: str | None
    before: Outcome
    after: Outcome
    truth: Outcome
    after64: Outcome
    unrounded: Callable[[], Outcome]
    last_alone: Callable[[bool], Outcome]
    zero: Outcome | None
    zero_after: Callable[[], Outcome]
    rounded_otherwise: Callable[[int], Outcome]
    patched_otherwise: Callable[[int], Outcome]

    def where(self) -> str:
        target = f"{self.only}: " if self.only else ""
        return f"{target}{self.pattern.name}, {dtype_name(self.dtype)}"
