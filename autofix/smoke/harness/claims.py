"""The claims of a patch, each a small function of one point of the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .compare import (
    FULL,
    HALF,
    MASKED_BELOW,
    Difference,
    allowed,
    gradient_difference,
    mask_difference,
    mask_truth,
    masked_positions,
    value_difference,
)
from .hazards import hazard_at, leak_of, own_positions, remains, softmaxes
from .point import Point
from .program import Outcome

_ROUNDINGS = (20.0, 4.0)  # a few operations round a few times each; in half precision that is far already
_STEEP = 30.0  # a score of 30 is known to 0.02 in float16 and to 0.1 in bfloat16


class Tally:
    """What the grid has shown so far."""

    def __init__(
        self,
        relation: str,
        hazards: list[str],
        regularised: bool,
        mode: str,
        extra: frozenset[str] = frozenset(),
        dim: int = -1,
    ) -> None:
        self.relation, self.hazards, self.regularised, self.mode = relation, hazards, regularised, mode
        self.extra, self.dim = extra, dim
        self.exact = relation == "equal" and not regularised
        self.infinity_left = False  # the patched statements still write -inf: some other mask's business
        self.compared = 0
        self.data_dependent = False
        self.changed = ""  # which finite values change, as seen
        self.witness: Point | None = None
        self.witness_hazard = ""
        self.failing: dict[torch.dtype, int] = {}
        self.survived: dict[torch.dtype, int] = {}
        self.failed_first: dict[torch.dtype, Point] = {}
        self.left: dict[torch.dtype, list[Point]] = {}
        self.contradictions: list[dict[str, Any]] = []

    def contradict(self, claim: str, point: Point, detail: str) -> None:
        self.contradictions.append({"claim": claim, "point": point, "detail": f"{point.where()}: {detail}"})

    @property
    def _is_about_raising(self) -> bool:
        return "exception" in self.hazards

    def take(self, point: Point) -> None:
        if point.after.error_kind == "unsupported" or point.before.error_kind == "unsupported":
            return
        if point.before.error_kind == "other" or (point.before.error_kind == "in place" and not self._is_about_raising):
            return  # it fails for a reason of its own
        _executes(self, point)
        _differentiable(self, point)
        _equal(self, point)
        if "accuracy" in self.extra:
            _accurate(self, point)
        _no_new_failure(self, point)
        _coverage(self, point)


def _executes(tally: Tally, point: Point) -> None:
    if point.before.ran and not point.after.ran:
        tally.contradict("runs", point, f"the patched code raises {point.after.error}")


def _differentiable(tally: Tally, point: Point) -> None:
    """A result that a gradient started from still is one: a Python number has no backward."""
    if not point.before.ran or not point.after.ran:
        return
    cut = sorted((point.before.attached - point.after.attached) & set(point.after.values))
    if cut:
        tally.contradict("differentiable", point, f"{cut[0]} no longer leads back to any input")


def _accurate(tally: Tally, point: Point) -> None:
    """A patch that changes values on purpose changes none where the original was finite and accurate."""
    if point.dtype not in FULL or not point.before.healthy or not point.truth.healthy or not point.after.ran:
        return
    limit = allowed(point.dtype, 0.0)
    own = [value_difference(point.truth, point.before), gradient_difference(point.truth, point.before)]
    if any(d is not None and d.error > limit for d in own):
        return
    came = value_difference(point.truth, point.after)
    if came is not None and came.error > 10 * limit and not _excused(point, came, value_difference):
        tally.contradict("accuracy", point, str(came))


def _equal(tally: Tally, point: Point) -> None:
    """Values and gradients against the float64 reference, wherever that is finite."""
    if point.truth.error_kind == "in place":
        _equal_values(tally, point)
        return
    if not point.after.ran or not point.truth.ran:
        return
    if tally.relation == "mask":
        _equal_weights(tally, point)
        return
    if tally.relation == "intended":
        tally.compared += 1  # another function on purpose: no value is promised
        return
    if tally.regularised and not _away_from_the_change(point):
        return
    if "full precision only" in tally.extra and point.dtype in HALF:
        return  # the change is that of half precision
    if not point.truth.healthy or not point.after.healthy:
        return
    if point.dtype not in FULL and not point.before.healthy:
        return
    tally.compared += 1
    for measure in (value_difference, gradient_difference):
        came = measure(point.truth, point.after)
        if came is None or came.error <= allowed(point.dtype, 0.0):
            continue
        own = measure(point.truth, point.before) if point.before.healthy else None
        limit = allowed(point.dtype, own.error if own else 0.0)
        if came.error > limit and not _excused(point, came, measure):
            tally.contradict("equal", point, str(came))
            return


def _equal_values(tally: Tally, point: Point) -> None:
    """Where the original has no gradient at all: its values, which it computed before it raised."""
    if not point.after.ran or point.dtype not in FULL or point.truth.bad_value() is not None:
        return
    tally.compared += 1
    came = value_difference(point.truth, point.after)
    if came is not None and came.error > allowed(point.dtype, 0.0) and not _excused(point, came, value_difference):
        tally.contradict("equal", point, str(came))


def _excused(point: Point, came: Difference, measure: Callable[[Outcome, Outcome], Difference | None]) -> bool:
    """Whether rounding explains a difference: half precision cannot hold what is computed on the way, or the
    reference moves as much when its own operations round otherwise, by one unit in the last place each. A gradient in
    half precision may move as much as the patched code's own does, where that is right in float64: some of PyTorch's
    backward formulas read a rounded result (that of `sigmoid`)."""
    if _beyond(point):
        return True
    roundings = _ROUNDINGS[point.dtype in HALF]
    for seed in (0, 1, 2):
        moved = point.rounded_otherwise(seed)
        found = measure(point.truth, moved) if moved.ran else None
        if found is not None and came.error <= roundings * found.error:
            return True
    if measure is not gradient_difference or point.dtype not in HALF or not point.after64.healthy:
        return False
    exact = measure(point.truth, point.after64)
    if exact is not None and exact.error > allowed(torch.float64, 0.0):
        return False
    for seed in (0, 1, 2):
        moved = point.patched_otherwise(seed)
        found = measure(point.after64, moved) if moved.ran else None
        if found is not None and came.error <= found.error:
            return True
    return False


def _away_from_the_change(point: Point) -> bool:
    """Whether a REGULARISED patch must agree here: on ordinary draws, unless they are as small as the eps of a dtype
    with few digits."""
    return point.pattern.ordinary and (point.dtype in FULL or point.pattern.value >= 1.0)


def _beyond(point: Point) -> bool:
    """Whether half precision cannot hold what float64 computed on the way: no fair comparison."""
    if point.dtype not in HALF:
        return False
    return not representable(point.after64, point.dtype) or not representable(point.truth, point.dtype)


def _equal_weights(tally: Tally, point: Point) -> None:
    if point.zero is None or not point.zero.ran:
        return
    told, truth_runs, runs = softmaxes(point.zero), softmaxes(point.truth), softmaxes(point.after)
    if len(told) != len(runs):
        tally.contradict("equal", point, f"{len(told)} softmax before, {len(runs)} after")
        return
    strict = point.dtype in FULL
    closed = False
    for index, (before, scores, after) in enumerate(zip(told, truth_runs, runs)):  # noqa: B905
        masked = masked_positions(before, scores.scores)
        if masked.shape != scores.scores.shape:
            continue
        if point.pattern.kind == "draw" and abs(point.pattern.value) <= 1.5:
            seen = scores.scores.detach() <= MASKED_BELOW  # ordinary scores are never that low
            tally.data_dependent = tally.data_dependent or not torch.equal(seen, masked)
            masked = seen
        elif tally.data_dependent:
            continue  # what is masked depends on the scores: unknown where they are large
        if masked.shape != after.weights.shape:
            tally.contradict("equal", point, "the weights have another shape")
            return
        rows = masked.all(dim=after.dim, keepdim=True)
        closed = closed or bool(rows.any())
        _note_closed_rows(tally, point, index, rows)
        truth = mask_truth(_unmasked_scores(point, scores.scores, masked), masked, after.dim)
        found = mask_difference(truth, masked, after.weights, after.dim)
        tally.compared += 1
        ordinary = point.pattern.kind == "draw" and abs(point.pattern.value) <= 1.5
        if ordinary and mask_difference(truth, masked, scores.weights, after.dim)["error"] > 1e-3:
            _equal_to_before(tally, point, scores, after, masked)
            return  # the mask depends on the scores: the original itself is the reference
        if found["leak"] > (1e-6 if strict else 1e-3) and not _beyond(point):
            kept = mask_difference(truth, masked, after.weights, after.dim, own_positions(point, index))["leak"]
            if kept > (1e-6 if strict else 1e-3):
                tally.contradict("mask weight", point, f"a masked position keeps weight {kept:.3g}")
                return
        tolerance = 1e-3 if strict else (0.03 if point.dtype is torch.float16 else 0.2)
        if not strict and float(scores.scores.detach().masked_fill(masked, 0.0).abs().max()) > _STEEP:
            continue  # the rounding of such scores alone changes every weight
        rounding = _own_error(point, index, truth, masked)
        if found["error"] > max(tolerance, 2 * rounding) and not _beyond(point):
            tally.contradict("equal", point, f"a weight differs by {found['error']:.3g}")
            return
    if point.truth.healthy and point.after.healthy and leak_of(point, point.truth) <= 1e-6:
        if closed or not point.before.healthy or not strict:
            return
        own = gradient_difference(point.truth, point.before)
        came = gradient_difference(point.truth, point.after)
        limit = allowed(point.dtype, own.error if own else 0.0)
        if came is not None and came.error > limit and not _excused(point, came, gradient_difference):
            tally.contradict("equal", point, str(came))


def _note_closed_rows(tally: Tally, point: Point, index: int, rows: torch.Tensor) -> None:
    """Weights that were finite in a row with every position masked may change: then the patch is not EXACT."""
    before, after = softmaxes(point.before), softmaxes(point.after)
    if tally.changed or not bool(rows.any()) or index >= len(before):
        return
    was, now = (o[index].weights.detach().to(torch.float64) for o in (before, after))
    if was.shape == now.shape and float(torch.where(rows, (was - now).abs(), 0.0).nan_to_num(nan=0.0).max()) > 1e-3:
        tally.changed = "the weights of rows in which every position is masked"


def _own_error(point: Point, index: int, truth: torch.Tensor, masked: torch.Tensor) -> float:
    """How far the original itself, in the dtype under trial, is from the truth."""
    runs = softmaxes(point.before)
    if not point.before.ran or index >= len(runs):
        return 0.0
    error = mask_difference(truth, masked, runs[index].weights, runs[index].dim)["error"]
    return 0.0 if error == float("inf") else error


def _equal_to_before(tally: Tally, point: Point, before: Any, after: Any, masked: torch.Tensor) -> None:
    finite = torch.isfinite(before.weights.detach())
    if point.dtype not in FULL or before.weights.shape != after.weights.shape:
        return
    expected = before.weights.detach().to(torch.float64)
    error = torch.where(finite, (after.weights.detach().to(torch.float64) - expected).abs(), torch.zeros_like(expected))
    closed = masked.all(dim=after.dim, keepdim=True).expand(error.shape)
    worst = float(error.masked_fill(closed, 0.0).max()) if error.numel() else 0.0
    if worst > 1e-3 or worst != worst:
        tally.contradict("equal", point, f"a weight differs from the original's by {worst:.3g}")


def _unmasked_scores(point: Point, scores: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    return torch.where(masked, torch.zeros((), dtype=scores.dtype), scores)


def _no_new_failure(tally: Tally, point: Point) -> None:
    if not point.before.healthy or not point.after.ran or point.after.healthy:
        return
    if tally.mode == "append-added" and point.dtype in HALF:
        return  # the scores are ours, and their sum with the dtype's minimum may overflow
    if (tally.regularised or tally.relation == "intended") and _beyond(point):
        return  # the exact result is larger than half precision holds; what hid it is gone, as stated
    what = point.after.bad_value() or f"gradient of {point.after.bad_gradient()}"
    tally.contradict("no new non-finite point", point, f"{what} was finite and is not after the patch")


def _coverage(tally: Tally, point: Point) -> None:
    hazard = hazard_at(point, tally.hazards, tally.dim)
    if not hazard or (tally.exact and _undefined(point)):
        return
    upstream = hazard == "gradient" and tally.relation != "mask" and not point.before.entering_finite
    if upstream and not point.after.healthy:
        return  # what stands before has overflowed, and its gradient with it
    dtype = point.dtype
    tally.failing[dtype] = tally.failing.get(dtype, 0) + 1
    if not point.truth.healthy:
        tally.failed_first.setdefault(dtype, point)  # no overflow of the dtype: it fails in exact arithmetic
    cured = point.after.healthy
    if hazard == "value" and point.after.ran:
        cured = point.after.bad_value() is None and ("gradient" not in tally.hazards or point.after.healthy)
    cured = cured and not remains(point, hazard, tally.dim)
    if cured:
        tally.survived[dtype] = tally.survived.get(dtype, 0) + 1
        if tally.witness is None:
            tally.witness, tally.witness_hazard = point, hazard
    elif _curable(tally, point):
        tally.left.setdefault(dtype, []).append(point)


def _curable(tally: Tally, point: Point) -> bool:
    """Whether the patch could have cured this point: in float64 it does, with numbers that the dtype holds, or it is a
    mask, which can always be finite."""
    if point.after64.healthy:
        return representable(point.after64, point.dtype)
    return tally.relation == "mask" and not tally.infinity_left


def _undefined(point: Point) -> bool:
    """Whether what both sides compute is not finite in exact arithmetic either: an EXACT patch cannot cure that."""
    sides = (point.truth, point.after64)
    return all(side.ran and side.bad_value() is not None for side in sides)


def representable(outcome: Outcome, dtype: torch.dtype) -> bool:
    """Whether everything float64 computed on the way fits into `dtype`; in half precision on the way back too, where
    the formula for a quotient squares its denominator."""
    bound = 0.5 * torch.finfo(dtype).max
    if dtype in HALF and outcome.watch.largest_back >= bound:
        return False
    grads = [g for g in outcome.grads.values() if g is not None and g.numel()]
    return outcome.watch.largest < bound and all(float(g.abs().max()) < bound for g in grads)


def uncovered(tally: Tally) -> Point | None:
    """A point that shows the claimed hazard is still there: any in full precision that the dtype could hold, or the
    first when float32 is cured nowhere; in half precision when no more than half of the failing points are cured."""
    for dtype in FULL:
        if tally.left.get(dtype):
            return tally.left[dtype][0]
    if torch.float32 in tally.failed_first and not tally.survived.get(torch.float32):
        return tally.failed_first[torch.float32]
    for dtype in HALF:
        if tally.left.get(dtype) and len(tally.left[dtype]) >= tally.survived.get(dtype, 0):
            return tally.left[dtype][0]
    return None
