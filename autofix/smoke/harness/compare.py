"""Tolerances, differences, and the rows of a masked softmax."""

from __future__ import annotations

from typing import NamedTuple

import torch

from .program import Outcome, Softmax

FULL = (torch.float64, torch.float32)
HALF = (torch.float16, torch.bfloat16)
# float32 keeps about 7 digits and gradients pass several operations: 1e-3 of the scale is far above rounding and
# far below what a wrong formula gives. Half precision has 3 and 2.4 digits.
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 0.2}
_OWN_ERROR = {torch.float64: 0.0, torch.float32: 2.0, torch.float16: 4.0, torch.bfloat16: 4.0}
MASKED_BELOW = -1000.0


class Difference(NamedTuple):
    """Where two results differ: what was expected there and what came, relative to the scale."""

    name: str
    error: float
    expected: float
    got: float

    def __str__(self) -> str:
        if self.error == float("inf") and self.expected != self.expected:
            return f"{self.name} has another shape"
        return f"{self.name}: expected {self.expected:.6g}, got {self.got:.6g}"


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).replace("torch.", "")


def allowed(dtype: torch.dtype, own_error: float) -> float:
    return max(_TOLERANCE[dtype], _OWN_ERROR[dtype] * own_error)


def difference(name: str, expected: torch.Tensor, got: torch.Tensor) -> Difference:
    """The largest difference, on the scale |expected| + 0.01 max(1, max|expected|)."""
    nan = float("nan")
    if tuple(expected.shape) != tuple(got.shape):
        return Difference(name, float("inf"), nan, nan)
    if not expected.numel():
        return Difference(name, 0.0, 0.0, 0.0)
    a, b = expected.detach().to(torch.float64), got.detach().to(torch.float64)
    scale = a.abs() + 0.01 * max(1.0, float(a.abs().max()))
    error = ((a - b).abs() / scale).nan_to_num(nan=float("inf"))
    worst = int(error.argmax())
    return Difference(name, float(error.reshape(-1)[worst]), float(a.reshape(-1)[worst]), float(b.reshape(-1)[worst]))


def largest(found: list[Difference]) -> Difference | None:
    return max(found, key=lambda d: d.error) if found else None


def value_difference(expected: Outcome, got: Outcome) -> Difference | None:
    """The worst difference between the values that both sides have (a missing one is a difference)."""
    found = []
    for name, value in expected.values.items():
        if name not in got.values:
            return Difference(f"{name} (missing after the patch)", float("inf"), 0.0, 0.0)
        found.append(difference(name, value, got.values[name]))
    return largest(found)


def gradient_difference(expected: Outcome, got: Outcome) -> Difference | None:
    found = []
    for name, grad in expected.grads.items():
        other = got.grads.get(name)
        if grad is None and other is None:
            continue
        a = grad if grad is not None else torch.zeros_like(other)
        b = other if other is not None else torch.zeros_like(a)
        found.append(difference(f"gradient of {name}", a, b))
    return largest(found)


def masked_positions(told: Softmax, scores: torch.Tensor) -> torch.Tensor:
    """Where a softmax is told to put no weight: where its scores are -inf, or, for a finite constant, where they
    are far down though every score is zero (`told`)."""
    calm = told.scores.detach()
    finite = (calm <= MASKED_BELOW) & torch.isfinite(calm)
    if bool(finite.any()):
        return calm <= MASKED_BELOW
    return scores.detach() == float("-inf")


def mask_truth(scores: torch.Tensor, masked: torch.Tensor, dim: int) -> torch.Tensor:
    """The weights in float64 when masked positions count for nothing; NaN in rows that have no other."""
    return torch.softmax(scores.detach().to(torch.float64).masked_fill(masked, float("-inf")), dim=dim)


def mask_difference(
    truth: torch.Tensor, masked: torch.Tensor, weights: torch.Tensor, dim: int, own: torch.Tensor | None = None
) -> dict[str, float]:
    """Over rows with an unmasked position: the largest error of a weight, and the largest masked weight (of the
    positions `own` alone, where given)."""
    if tuple(truth.shape) != tuple(weights.shape):
        return {"error": float("inf"), "leak": 0.0}
    open_rows = (~masked).any(dim=dim, keepdim=True).expand(truth.shape)
    got = weights.detach().to(torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    error = torch.where(open_rows, (got - truth).abs(), zero).nan_to_num(nan=float("inf"))
    hidden = open_rows & masked if own is None else open_rows & masked & own
    leak = torch.where(hidden, got, zero).nan_to_num(nan=0.0)
    return {"error": _most(error), "leak": _most(leak)}


def _most(value: torch.Tensor) -> float:
    return float(value.max()) if value.numel() else 0.0
