"""Runs the statements of a training loop before and after a patch that bounds the gradient.

Two inputs are tried: an ordinary batch, whose gradient norm stays below the bound, where the patch must change
nothing; and one bad batch, whose norm is ten thousand times the bound, where the optimizer must see a bounded one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

from .loop import Loop, RegionError
from .stand import Clock
from .transform import Region
from .world import Seen, World

_ORDINARY = 0.05  # of the bound, for one backward pass: accumulated passes stay below it too
_NEAR = 0.9  # of the bound, for the largest norm of a second ordinary run: a narrower bound shows there
_EXPLODING = 1e4
_STEPS = 3
_TURNS = 48
_SEED = 0
# clip_grad_norm_ multiplies by a coefficient clamped to 1 below the bound, so bits agree; other spellings of the
# same bound round once, which 1e-6 covers in float32.
_EQUAL = 1e-6
_SKEWED = 0.999  # the direction of a sum whose parts were clipped one after the other
_BOUNDED = 1e-4  # the coefficient bound / (norm + 1e-6) and the sum of squares both round in float32


class _Trace:
    """One run: what the optimizers saw, the parameters at the end, and how it went."""

    def __init__(self, seen: list[Seen], parameters: torch.Tensor, turns: int, loop: Loop) -> None:
        self.seen = seen
        self.parameters = parameters
        self.turns = turns
        self.loop = loop

    def first(self, optimizer: str) -> Seen | None:
        return next((s for s in self.seen if s.optimizer == optimizer), None)


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The verdict on a clipping patch; `spec` is made by `autofix.smoke.block.plan`.

    Where conditions on counters (`if step > 10_000`) keep the trial from what it is about, it runs again without them.
    """
    for name in ("full_tensor", "to_local"):  # a sharded tensor's; on one process the tensor is whole
        if not hasattr(torch.Tensor, name):
            setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor)
    bound = float(spec["max_norm"])
    Clock.bound = bound
    before = Region.of(spec, "before")
    after = Region.of(spec, "after")
    stuck: set[str] = set()
    result = _attempt(spec, (before, after), deadline, frozenset(), stuck)
    if result["verdict"] != "INCONCLUSIVE" or not stuck:
        return result
    return _attempt(spec, (before, after), deadline, frozenset(stuck), set())


def _attempt(
    spec: dict[str, Any],
    sides: tuple[Region, Region],
    deadline: float,
    forced: frozenset[str],
    stuck: set[str],
) -> dict[str, Any]:
    """One attempt, with the conditions in `forced` left out; `stuck` receives those that stood in the way."""
    bound = float(spec["max_norm"])
    before, after = sides
    preferences = {**before.preferences(), **after.preferences()}

    def trial(region: Region, size: float, turns: int | None = None, as_it_is: bool = False) -> _Trace:
        """A run; that of the original is one without its clips when the patch moves them, unless `as_it_is`."""
        plain = spec.get("moved") and region is before and not as_it_is
        with _without_clipping() if plain else contextlib.nullcontext():
            world = World(spec, size, _SEED)
            return _trial(Loop(spec, region, preferences, world, forced), turns, deadline)

    try:
        size = _ORDINARY * bound
        plain = trial(before, size)
        for _ in range(3):
            largest = max((s.norm for s in plain.seen), default=0.0)
            if largest < 0.5 * bound:
                break
            size *= 0.2 * bound / largest
            plain = trial(before, size)
        near, near_size = plain, size
        for _ in range(2):  # the norm is not quite proportional: the first steps move the parameters
            largest = max((s.norm for s in near.seen), default=0.0)
            if not 0.0 < largest < bound:
                break
            near_size *= _NEAR * bound / largest
            near = trial(before, near_size, plain.turns)
        bad = trial(before, _EXPLODING * bound, plain.turns)
    except RegionError as error:
        return _inconclusive(f"the code before the patch does not run in the trial: {error}")
    if not plain.seen:
        stuck |= plain.loop.stuck()
        return _inconclusive("no optimizer step was reached in the trial")
    if any(not s.norm < bound for s in plain.seen):
        return _inconclusive("no batch was found whose gradient norm stays below the bound")
    try:
        plain_after = trial(after, size, plain.turns)
        ordinary = [(plain, plain_after)]
        if near is not plain and all(s.norm < bound for s in near.seen):
            ordinary.append((near, trial(after, near_size, plain.turns)))
        bad_after = trial(after, _EXPLODING * bound, plain.turns)
        misplaced = []
        if spec.get("moved"):
            misplaced = [
                (plain, trial(before, size, plain.turns, as_it_is=True)),
                (bad, trial(before, _EXPLODING * bound, plain.turns, as_it_is=True)),
            ]
    except RegionError as error:
        if error.opaque or forced:
            return _inconclusive(f"the code after the patch does not run in the trial: {error}")
        return {
            "verdict": "REFUTED",
            "claims": [{"name": "runs", "held": False, "detail": str(error)}],
            "reason": f"the patched code fails: {error}",
        }
    if spec["after_changed"] and not bad_after.loop.reached:
        stuck |= bad_after.loop.stuck()
        return _inconclusive("the patched lines were not reached in the trial")
    result = _judge(spec, bound, ordinary, (bad, bad_after))
    if misplaced and result["verdict"] == "PROVED":
        result = _misplaced(spec, bound, misplaced, result)
    result["assumptions"] = [*spec["assumptions"], *sorted(bad_after.loop.assumed)]
    return result


@contextlib.contextmanager
def _without_clipping() -> Iterator[None]:
    """Torch's clips do nothing meanwhile: what a loop does without them is the reference for one that moves them."""
    names = ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grads_with_norm_")
    rooms = (torch.nn.utils, torch.nn.utils.clip_grad)
    kept = [(room, name, getattr(room, name)) for room in rooms for name in names if hasattr(room, name)]
    for room, name, _ in kept:
        setattr(room, name, lambda *_, **__: torch.zeros(()))
    try:
        yield
    finally:
        for room, name, function in kept:
            setattr(room, name, function)


def _misplaced(
    spec: dict[str, Any], bound: float, runs: list[tuple[_Trace, _Trace]], result: dict[str, Any]
) -> dict[str, Any]:
    """The witness against clips at the wrong place: an ordinary step is another than without them, or a bad batch
    arrives unbounded."""
    by_value = bool(spec["by_value"])
    (plain, old), (bad, old_bad) = runs
    same = _same(plain, old)
    worst = max((_size(s, by_value) for s in old_bad.seen), default=0.0)
    witness = next(c for c in result["claims"] if c["name"] == "witness")
    if not same["held"]:
        largest = max((_size(s, by_value) for s in plain.seen), default=0.0)
        seen = max((_size(s, by_value) for s in old.seen), default=0.0)
        detail = (
            f"steps below the bound: norms up to {largest:.4g}, of which the optimizer saw {seen:.4g} before the patch"
        )
    elif worst > bound * (1 + _BOUNDED):
        detail = str(witness["detail"])
    elif not by_value and _cosine(bad, old_bad) < _SKEWED:
        cosine = f"{_cosine(bad, old_bad):.3f}"
        detail = (
            f"two bad batches a step: cosine of the step's gradient to their sum {cosine} before the patch, 1 after it"
        )
    else:
        witness["held"] = None
        reason = "in the trial, where every batch is the same, the clips bound the steps before the patch too"
        return {**result, "verdict": "CONSISTENT", "reason": reason, "witness": "", "witness_summary": ""}
    witness["detail"] = detail
    return {
        **result,
        "witness_summary": f"{detail}; after it the steps below the bound are those of the loop unclipped",
    }


def _cosine(one: _Trace, two: _Trace) -> float:
    """Of the angle between the gradients of two runs' first steps."""
    if not one.seen or not two.seen:
        return 1.0
    a, b = one.seen[0].gradients.double(), two.seen[0].gradients.double()
    return float(a @ b) / (float(a.norm() * b.norm()) or 1.0)


def _inconclusive(reason: str) -> dict[str, Any]:
    return {"verdict": "INCONCLUSIVE", "reason": reason}


def _trial(loop: Loop, turns: int | None, deadline: float) -> _Trace:
    """Turns of the loop until every optimizer has taken a few steps, or exactly `turns`."""
    world = loop.world
    wanted = len(world.real_optimizers)
    done = 0
    while done < (turns if turns is not None else _TURNS):
        loop.turn(done)
        done += 1
        if time.monotonic() > deadline:
            raise RegionError("it takes longer than a trial may", opaque=True)
        if turns is None:
            counts: dict[str, int] = {}
            for seen in world.seen:
                counts[seen.optimizer] = counts.get(seen.optimizer, 0) + 1
            if len(counts) == wanted and min(counts.values()) >= _STEPS:
                break
    return _Trace(world.seen, world.parameters(), done, loop)


def _judge(
    spec: dict[str, Any], bound: float, ordinary: list[tuple[_Trace, _Trace]], bad: tuple[_Trace, _Trace]
) -> dict[str, Any]:
    by_value = bool(spec["by_value"])
    same = [_same(*pair) for pair in ordinary]
    claims = [next((c for c in same if not c["held"]), same[0])]
    touched = [o for o in spec["optimizers"] if _differs(bad[0].first(o), bad[1].first(o))]
    watched = touched or list(spec["optimizers"])
    first = [(o, bad[0].first(o), bad[1].first(o)) for o in watched]
    pairs = [(o, a, b) for o, a, b in first if a is not None and b is not None]
    if not pairs and claims[0]["held"] is False:
        return {"verdict": "REFUTED", "claims": claims, "reason": _reason(claims[0], "")}
    if not pairs:
        return _inconclusive("with a bad batch no optimizer step was reached in the trial")
    name, one, two = max(pairs, key=lambda p: _size(p[1], by_value))
    was, became = _size(one, by_value), _size(two, by_value)
    exceeded = was > bound * (1 + _BOUNDED)
    norm = "largest gradient" if by_value else "gradient norm"
    detail = f"{norm} at `{name}`'s step: {was:.4g} before, {became:.4g} after, bound {bound:g}"
    claims.append({"name": "witness", "held": exceeded or None, "detail": detail})
    worst = max(_size(s, by_value) for s in bad[1].seen if s.optimizer in watched)
    bounded = all(
        _size(s, by_value) <= bound * (1 + _BOUNDED) for s in bad[1].seen if s.optimizer in watched
    )  # false for NaN too
    claims.append({"name": "bounded", "held": bounded, "detail": f"{norm} at most {worst:.6g} at every step after"})
    claims.append(_direction(one, two, by_value))
    others = [o for o in spec["optimizers"] if o not in watched]
    failed = [c for c in claims if c["held"] is False]
    result: dict[str, Any] = {
        "verdict": "REFUTED" if failed else "PROVED" if exceeded else "CONSISTENT",
        "claims": claims,
        "exact": False,
        "change": f"only steps whose {norm} exceeds {bound:g}: their gradient is scaled down to it",
    }
    if failed:
        result["reason"] = _reason(failed[0], detail)
    elif not exceeded:
        result["reason"] = "the gradient was bounded before the patch too"
    if others:
        result["claims"].append(
            {"name": "others", "held": None, "detail": f"unchanged by this patch: {', '.join(others)}"}
        )
    if exceeded:
        result["witness_summary"] = f"one bad batch: {detail}; below the bound the steps are identical"
        result["witness"] = _witness(spec, name, bound)
    if failed:
        result["witness_summary"] = f"one bad batch: {detail}"
    return result


def _reason(claim: dict[str, Any], detail: str) -> str:
    if claim["name"] == "equal":
        return f"it changes training below the bound: {claim['detail']}"
    if claim["name"] == "bounded":
        return f"the optimizer still sees an unbounded gradient: {detail}"
    return f"the gradient after the patch is not the old one scaled down: {claim['detail']}"


def _size(seen: Seen, by_value: bool) -> float:
    return float(seen.gradients.abs().max()) if by_value else seen.norm


def _differs(one: Seen | None, two: Seen | None) -> bool:
    return one is not None and two is not None and not torch.equal(one.gradients, two.gradients)


def _same(before: _Trace, after: _Trace) -> dict[str, Any]:
    """Whether every step below the bound is the step of old: as many, with the same gradients and parameters."""
    order = [s.optimizer for s in before.seen]
    if order != [s.optimizer for s in after.seen]:
        detail = f"{len(order)} optimizer steps before, {len(after.seen)} after"
        return {"name": "equal", "held": False, "detail": detail}
    pairs = [(a.gradients, b.gradients) for a, b in zip(before.seen, after.seen)]  # noqa: B905
    pairs.append((before.parameters, after.parameters))
    if all(torch.equal(a, b) for a, b in pairs):
        detail = f"{len(order)} steps below the bound: gradients and parameters identical, bit for bit"
        return {"name": "equal", "held": True, "detail": detail}
    distance = max(_distance(a, b) for a, b in pairs)
    detail = f"{len(order)} steps below the bound: relative difference {distance:.2g} in gradients or parameters"
    return {"name": "equal", "held": distance <= _EQUAL, "detail": detail}


def _distance(one: torch.Tensor, two: torch.Tensor) -> float:
    scale = float(one.abs().max()) or 1.0
    return float((one - two).abs().max()) / scale


def _direction(one: Seen, two: Seen, by_value: bool) -> dict[str, Any]:
    """The first bad step must keep the gradient's direction (clipping by value keeps its signs)."""
    a, b = one.gradients.double(), two.gradients.double()
    length = float(a.norm() * b.norm())
    cosine = float(a @ b) / length if length > 0 else 0.0
    held = cosine > 0 and bool((a * b >= 0).all()) if by_value else cosine > 1 - 1e-6
    return {"name": "direction", "held": held, "detail": f"cosine of the angle to the old gradient {cosine:.6f}"}


def _witness(spec: dict[str, Any], optimizer: str, bound: float) -> str:
    """A script that shows the same failure and survival with nothing but torch."""
    kind = spec["optimizers"][optimizer]["kind"]
    scaled = bool(spec["scalers"])
    clip = "clip_grad_value_" if spec["by_value"] else "clip_grad_norm_"
    order = "float('inf')" if spec["by_value"] else "2"
    lines = [
        "import torch",
        "",
        "for clip in (False, True):",
        f"    torch.manual_seed({_SEED})",
        "    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))",
        f"    optimizer = torch.optim.{kind}(model.parameters(), lr=0.01)",
        "    x = torch.randn(8, 4)",
        f"    y = model(x).detach() + {_EXPLODING * bound:g} * torch.randn(8, 1)  # one bad batch",
        "    loss = torch.nn.functional.mse_loss(model(x), y)",
        *(["    scaler = torch.amp.GradScaler('cpu')", "    scaler.scale(loss).backward()"] if scaled else []),
        *([] if scaled else ["    loss.backward()"]),
        "    if clip:",
        *(["        scaler.unscale_(optimizer)"] if scaled else []),
        f"        torch.nn.utils.{clip}(model.parameters(), {bound:g})",
        *(["    elif scaler:", "        scaler.unscale_(optimizer)  # to measure; step would do it"] if scaled else []),
        f"    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm({order})",
        "    print('after' if clip else 'before', 'the step sees a gradient norm of', norm.item())",
        *(["    scaler.step(optimizer)"] if scaled else ["    optimizer.step()"]),
    ]
    return "\n".join(lines) + "\n"
