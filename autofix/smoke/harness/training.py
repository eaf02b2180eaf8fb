"""Runs turns of a training loop before and after a patch that is not about the size of a step.

What is shown, by the claim's hazard: "warning", the loop warns that a function is deprecated; "graph", what it keeps
from turn to turn keeps every turn's graph; "stale gradients", a step sees the gradients of earlier steps too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .loop import Loop, RegionError
from .transform import Region
from .world import Seen, World

_SEED = 0
_SIZE = 0.05  # the gradient norm of an ordinary batch
_TURNS = 8
_OVERFLOW = 2  # the turn that overflows
_MORE_TURNS = 64  # where gradients are accumulated, until there is a second step
_EQUAL = 1e-6  # float32, and the same operations on both sides
_FRESH = 0.25  # the parameters move from turn to turn, and the gradient of the same batch with them
_STALE = 1.5  # the second step on summed gradients sees about twice the first
_STARTS: dict[str, Callable[[], Any]] = {"0": float, "[]": list, "{}": dict}


class _Side:
    """One run: its steps, its parameters, what it keeps, the deprecations it was told of, the error that ended it."""

    def __init__(
        self,
        spec: dict[str, Any],
        region: Region,
        preferences: dict[str, bool],
        deadline: float,
        overflows_at: int = -1,
    ) -> None:
        self.world = World(spec, _SIZE, _SEED)
        self.world.overflows_at = overflows_at
        self.error: RegionError | None = None
        self.kept: list[torch.Tensor] = []
        loop = Loop(spec, region, preferences, self.world, frozenset())
        for path, start in spec["kept"].items():
            loop._bind(path, _STARTS[start]())
            loop._owned.pop(path, None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                for number in range(_MORE_TURNS):
                    if number >= _TURNS and not self._waits_for_a_step(spec):
                        break
                    loop.turn(number)
                    if time.monotonic() > deadline:
                        raise RegionError("it takes longer than a trial may", opaque=True)
            except RegionError as error:
                self.error = error
        self.reached = loop.reached
        self.assumed = loop.assumed
        self.warned = [str(w.message) for w in caught if issubclass(w.category, (FutureWarning, DeprecationWarning))]
        for path in spec["kept"]:
            try:
                self.kept += _tensors(eval(path, loop.space))
            except Exception:  # nothing is kept there: then nothing is compared
                continue

    def _waits_for_a_step(self, spec: dict[str, Any]) -> bool:
        """Whether steps have to be compared with each other, and an optimizer has not made two yet."""
        steps = [s.optimizer for s in self.world.seen]
        return spec["hazard"] == "stale gradients" and any(steps.count(o) < 2 for o in spec["optimizers"])

    @property
    def seen(self) -> list[Seen]:
        return self.world.seen


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The verdict on such a patch; `spec` is made by `autofix.smoke.block.plan`."""
    regions = [Region.of(spec, side) for side in ("before", "after")]
    preferences = {**regions[0].preferences(), **regions[1].preferences()}
    before, after = (_Side(spec, region, preferences, deadline) for region in regions)
    if before.error is not None:
        return _inconclusive(f"the code before the patch does not run in the trial: {before.error}")
    if after.error is not None and after.error.opaque:
        return _inconclusive(f"the code after the patch does not run in the trial: {after.error}")
    answer: dict[str, Any] = {
        "assumptions": [*spec["assumptions"], *sorted(after.assumed)],
        "exact": spec["hazard"] != "stale gradients",
        "change": spec["change"],
    }
    if after.error is not None:
        claim = {"name": "runs", "held": False, "detail": str(after.error)}
        return {**answer, "verdict": "REFUTED", "claims": [claim], "reason": f"the patched code fails: {after.error}"}
    unreached = bool(spec["after_changed"]) and not after.reached
    if not before.seen or not after.seen or unreached:
        return _inconclusive("the patched lines and an optimizer step were not reached in the trial")
    judge = {"warning": _warning, "graph": _graph, "stale gradients": _stale}[spec["hazard"]]
    claims = list(judge(before, after))
    shown = _WITNESSES[spec["hazard"]]
    if spec["hazard"] == "stale gradients" and spec["scalers"] and claims[0]["held"] is None:
        overflown = [_Side(spec, region, preferences, deadline, _OVERFLOW) for region in regions]
        claims[0] = _recovers(before, *overflown)
        shown = _MODEL + _OVERFLOW_WITNESS
    broken = next((c for c in claims if c["held"] is False), None)
    if broken is not None:
        return {**answer, "verdict": "REFUTED", "claims": claims, "reason": f"{broken['name']}: {broken['detail']}"}
    witness = claims[0]
    if witness["held"] is None:
        return {**answer, "verdict": "CONSISTENT", "claims": claims, "reason": witness["detail"]}
    summary = witness["detail"]
    return {
        **answer,
        "verdict": "PROVED",
        "claims": claims,
        "witness_summary": summary,
        "witness": shown,
    }


def _warning(before: _Side, after: _Side) -> Iterator[dict[str, Any]]:
    told = before.warned[0].splitlines()[0] if before.warned else ""
    detail = f"before the patch: {told}; after it none" if told else "nothing is deprecated in this PyTorch"
    yield _claim("witness", True if told else None, detail)
    yield _claim("quiet", not after.warned, f"{len(after.warned)} deprecation warnings after the patch")
    yield _same(before, after)


def _graph(before: _Side, after: _Side) -> Iterator[dict[str, Any]]:
    depths = [_nodes(v) for v in before.kept if v.requires_grad]
    detail = f"after {_TURNS} turns {len(depths)} kept tensors hold graphs of {sum(depths)} nodes; none after the patch"
    yield _claim("witness", True if depths else None, detail if depths else "nothing with a graph is kept in the trial")
    left = [v for v in after.kept if v.requires_grad]
    yield _claim("graph", not left, f"{len(left)} kept tensors hold a graph after the patch")
    values = len(before.kept) == len(after.kept) and all(
        torch.allclose(a.detach(), b.detach(), rtol=_EQUAL, atol=_EQUAL)
        for a, b in zip(before.kept, after.kept)  # noqa: B905
    )
    yield _claim("values", values, f"{len(after.kept)} kept numbers")
    yield _same(before, after)


def _stale(before: _Side, after: _Side) -> Iterator[dict[str, Any]]:
    was, became = _growth(before), _growth(after)
    mended = [name for name, ratio in was.items() if ratio > _STALE and name in became]
    told = ", ".join(f"{name}: {was[name]:.3g}" for name in mended)
    detail = f"the norm at the last step over that at the first, on the same batch: {told} before the patch, 1 after it"
    yield _claim("witness", bool(mended) or None, detail if mended else "no step sees the gradients of earlier ones")
    stale = [name for name in mended if abs(became[name] - 1) > _FRESH]
    fresh = ", ".join(f"{name}: {became[name]:.3g}" for name in became)
    yield _claim("fresh", not stale, f"the same ratio after the patch: {fresh}")
    one, two = _first(before), _first(after)
    earliest = before.seen[0].optimizer  # the others' first step may see what an earlier player's loss left to them
    same = one.keys() == two.keys() and torch.allclose(
        one[earliest].gradients, two[earliest].gradients, rtol=_EQUAL, atol=_EQUAL
    )
    yield _claim("equal", same, f"the gradients of the first step, which {earliest} makes")
    empty = [name for name in one if one[name].norm > 0 and not (name in two and two[name].norm > 0)]
    yield _claim("gradients", not empty, f"steps without any gradient after the patch: {', '.join(empty) or 'none'}")
    yield _claim("steps", len(before.seen) == len(after.seen), f"{len(after.seen)} optimizer steps")


def _recovers(calm: _Side, before: _Side, after: _Side) -> dict[str, Any]:
    """Whether training goes on after one overflow: a scaler skips the step, and infinite gradients stay for ever where
    nothing sets them to zero. calm: the original without an overflow."""
    steps = len(calm.seen)
    if before.error is not None or after.error is not None or not steps:
        return _claim("witness", None, "no step sees the gradients of earlier ones")
    lost, kept = (steps - len(side.seen) for side in (before, after))
    detail = f"of {steps} steps, one turn of which overflows, {lost} are skipped before the patch and {kept} after it"
    return _claim("witness", True if lost > kept + 1 else None, detail)


def _first(side: _Side) -> dict[str, Seen]:
    out: dict[str, Seen] = {}
    for seen in side.seen:
        out.setdefault(seen.optimizer, seen)
    return out


def _growth(side: _Side) -> dict[str, float]:
    """For each optimizer that steps twice, the norm at its last step over that at its first."""
    first = _first(side)
    last = {seen.optimizer: seen for seen in side.seen}
    return {name: last[name].norm / one.norm for name, one in first.items() if one.norm and last[name] is not one}


def _same(before: _Side, after: _Side) -> dict[str, Any]:
    pairs = [(a.gradients, b.gradients) for a, b in zip(before.seen, after.seen)]  # noqa: B905
    pairs.append((before.world.parameters(), after.world.parameters()))
    same = len(before.seen) == len(after.seen) and all(torch.equal(a, b) for a, b in pairs)
    return _claim("equal", same, f"gradients and parameters of {len(after.seen)} optimizer steps, bit for bit")


def _nodes(value: torch.Tensor) -> int:
    """How many nodes a tensor's graph has."""
    seen = set()
    pending = [value.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        pending += [n for n, _ in node.next_functions]
    return len(seen)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def _claim(name: str, held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail}


def _inconclusive(reason: str) -> dict[str, Any]:
    return {"verdict": "INCONCLUSIVE", "reason": reason}


_MODEL = """import torch

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
batch = torch.ones(8, 4)
"""
_OVERFLOW_WITNESS = """
for zero in (False, True):
    scaler = torch.amp.GradScaler('cpu')
    model.zero_grad()
    for turn in range(4):
        if zero:
            optimizer.zero_grad()
        loss = model(batch).square().mean() * (1e38 if turn == 1 else 1.0)  # the second overflows when it is scaled
        scaler.scale(loss).backward()
        was = model.weight.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        print('after' if zero else 'before', 'turn', turn, 'steps' if not was.equal(model.weight) else 'is skipped')
"""
_WITNESSES = {
    "warning": _MODEL
    + """
import warnings

for name in ('clip_grad_norm', 'clip_grad_norm_'):
    model(batch).square().mean().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        getattr(torch.nn.utils, name)(model.parameters(), 1.0)
    print(name, 'warns' if caught else 'is silent')
""",
    "graph": _MODEL
    + """
for detach in (False, True):
    total = 0.0
    for _ in range(3):
        loss = model(batch).square().mean()
        loss.backward()
        total += loss.detach() if detach else loss
    print('after' if detach else 'before', total.item(), 'keeps a graph' if total.requires_grad else 'keeps no graph')
""",
    "stale gradients": _MODEL
    + """
for zero in (False, True):
    model.zero_grad()
    for turn in range(4):
        if zero:
            optimizer.zero_grad()
        model(batch).square().mean().backward()
        print('after' if zero else 'before', 'turn', turn, 'gradient norm', model.weight.grad.norm().item())
""",
}
