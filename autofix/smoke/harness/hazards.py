"""What an original is accused of, each a small function of one point of the grid."""

from __future__ import annotations

from typing import Any

import torch

from .compare import HALF, mask_difference, masked_positions
from .point import Point
from .program import Outcome

_DUE = 1e-3  # a gradient that training would feel
_SMALLEST = 2.0**-14  # the smallest normal number of float16: what is larger, both half precisions hold
_LARGE = 0.8  # of a share that has taken all: a second softmax of seven shares leaves it 0.31
_ROUGH = (1e-3, 0.05)  # how far a sum of a few rounded weights may be from one
_OF_ONE_SIDE = ("rounding", "shares", "whole shares", "flattened", "last alone")


def hazard_at(point: Point, hazards: list[str], dim: int = -1) -> str:
    """Which of the hazards the original shows at this point, "" when none.

    dim: along which weights are shares.
    """
    before = point.before
    if before.error_kind in ("arithmetic", "in place"):
        return "exception" if "exception" in hazards else ""
    if not before.ran or not (before.entering or point.after.healthy):
        return ""  # what came in was broken, and is so after the patch
    if "value" in hazards and before.bad_value() is not None:
        return "value"
    if "gradient" in hazards and before.bad_value() is None and before.bad_gradient() is not None:
        return "gradient"
    if "leak" in hazards and leak_of(point, point.before) > 1e-3:
        return "leak"
    if "zero-gradient" in hazards and _dead_leaf(point):
        return "zero-gradient"
    if "underflow" in hazards and _underflown(point):
        return "underflow"
    return next((h for h in _OF_ONE_SIDE if h in hazards and _shows(h, point, before, dim)), "")


def remains(point: Point, hazard: str, dim: int = -1) -> bool:
    """Whether the patched code, finite as it is, still shows a hazard that the original shows at this point."""
    if hazard == "leak":
        return leak_of(point, point.after) > 1e-3
    if hazard == "zero-gradient":
        return _still_dead(point)
    return hazard in _OF_ONE_SIDE and _shows(hazard, point, point.after, dim)


def _shows(hazard: str, point: Point, outcome: Outcome, dim: int) -> bool:
    """Whether an outcome, of either side, shows a hazard that is seen on that side alone."""
    if hazard == "rounding":
        return _lost_to_rounding(point, outcome)
    if hazard == "flattened":
        return _flattened(point, outcome, dim)
    if hazard == "last alone":
        return _is_of_last(point, outcome)
    return _no_shares(outcome, dim, whole=hazard == "whole shares")


def leak_of(point: Point, outcome: Outcome) -> float:
    """The largest weight on a masked position in a row that has an unmasked one."""
    if point.zero is None or not outcome.ran:
        return 0.0
    worst = 0.0
    runs = zip(softmaxes(point.zero), softmaxes(point.truth), softmaxes(outcome))  # noqa: B905
    for index, (told, scores, ran) in enumerate(runs):
        masked = masked_positions(told, scores.scores)
        if masked.shape == ran.weights.shape:
            truth = torch.zeros(masked.shape, dtype=torch.float64)
            found = mask_difference(truth, masked, ran.weights, ran.dim)["leak"]
            if found > 1e-6:
                found = mask_difference(truth, masked, ran.weights, ran.dim, own_positions(point, index))["leak"]
            worst = max(worst, found)
    return worst


def own_positions(point: Point, index: int) -> torch.Tensor | None:
    """The positions whose mask the patch changes, None for all: other masks on the same scores, written elsewhere,
    are not its business."""
    after = point.zero_after()
    if point.zero is None or not after.ran or len(softmaxes(after)) != len(softmaxes(point.zero)):
        return None
    was, now = (softmaxes(o)[index].scores.detach() for o in (point.zero, after))
    own = was != now if was.shape == now.shape else None
    return own if own is not None and bool(own.any()) else None


def softmaxes(outcome: Outcome) -> list[Any]:
    return outcome.watch.softmaxes


def _dead_leaf(point: Point) -> bool:
    """A leaf whose gradient is exactly zero (or absent) though one is due."""
    for name, due in point.after64.grads.items():
        if due is None or not due.numel() or not bool(torch.isfinite(due).all()):
            continue
        came = point.before.grads.get(name)
        if came is None:
            if float(due.abs().max()) > _DUE:
                return True
            continue
        if point.dtype in HALF:
            continue  # mostly rounding
        if _erased(came, due, _DUE):
            return True
    return False


def _underflown(point: Point) -> bool:
    for name, due in point.after64.values.items():
        came, now = point.before.values.get(name), point.after.values.get(name)
        if came is None or now is None or came.shape != due.shape or now.shape != due.shape:
            continue
        if bool(((came == 0) & (due != 0) & (now != 0)).any()):
            return True
    return False


def _still_dead(point: Point) -> bool:
    return any(_erased(point.after.grads.get(name), due, _DUE) for name, due in point.after64.grads.items())


def _erased(came: torch.Tensor | None, due: torch.Tensor | None, least: float) -> bool:
    """Whether an element of a gradient is exactly zero where more than `least` is due."""
    if came is None or due is None or came.shape != due.shape:
        return False
    return bool(((came == 0) & (due.abs() > least)).any())


def _lost_to_rounding(point: Point, outcome: Outcome) -> bool:
    """Whether half precision, of the inputs or that the code casts to, changed what is selected, or left a gradient
    of exactly zero where it holds the one that is due: by the original in float64 on the same rounded inputs, and on
    draws, for what is further apart underflows in float32 too."""
    if point.pattern.kind != "draw":
        return False
    exact = point.unrounded()
    if not exact.healthy:
        return False
    for name, due in exact.values.items():
        came = outcome.values.get(name)
        is_choice = not due.is_floating_point() and due.dtype is not torch.bool
        if is_choice and came is not None and came.shape == due.shape and not torch.equal(came, due):
            return True
    return any(_erased(outcome.grads.get(name), due, _SMALLEST) for name, due in exact.grads.items())


def first_number(outcome: Outcome) -> torch.Tensor | None:
    """The first result that is no choice: the weights that a claim is about."""
    return next((v for v in outcome.values.values() if v.is_floating_point()), None)


def _no_shares(outcome: Outcome, dim: int, whole: bool) -> bool:
    """Whether the first result, weights, is no shares of one along `dim`: one of them is negative, or they sum up to
    more than one (to another number than one, where they are to be `whole`)."""
    weights = first_number(outcome)
    if weights is None or not weights.dim() or not weights.numel():
        return False
    total = weights.to(torch.float64).sum(dim)
    off = (total - 1).abs() if whole else total - 1
    return bool((weights < 0).any()) or float(off.max()) > _ROUGH[weights.dtype in HALF]


def _flattened(point: Point, outcome: Outcome, dim: int) -> bool:
    """Whether no share of the first result is large, although one input of every row is as large as inputs get and the
    others as small."""
    if point.pattern.kind not in ("first", "last") or point.only is not None:
        return False
    shares = first_number(outcome)
    if shares is None or not shares.dim() or shares.shape[dim] < 2:
        return False
    return float(shares.amax(dim).max()) < _LARGE


def _is_of_last(point: Point, outcome: Outcome) -> bool:
    """Whether the first result is what the last of several gradients alone makes it, though the others are not zero."""
    gradients = [v for n, v in point.leaves.items() if point.setting[n].role == "parameters"]
    if not any(bool((g != 0).any()) for v in gradients for g in v[:-1]):
        return False
    alone = point.last_alone(outcome is point.after).values
    name = next(iter(outcome.values), "")
    return name in alone and torch.equal(outcome.values[name], alone[name])
