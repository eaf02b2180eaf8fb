"""Runs the statements of a training loop before and after a patch of a loop that raises when it turns again."""

from __future__ import annotations

import time
from typing import Any

import torch

from .loop import Loop, RegionError
from .transform import Region
from .world import Seen, World

_SEED = 0
_SIZE = 0.05  # the gradient norm of an ordinary batch
_TURNS = 8  # steps every other turn, or every fourth, come twice
_EQUAL = 1e-6  # float32: the scale is a power of two, which rounds nothing


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The verdict on a patch that lets a loop go on; `spec` is made by `autofix.smoke.block.plan`."""
    sides = [Region.of(spec, side) for side in ("before", "after")]
    preferences = {**sides[0].preferences(), **sides[1].preferences()}
    results = [_side(spec, side, preferences, deadline) for side in sides]
    (seen, error), (seen_after, error_after) = results
    answer: dict[str, Any] = {"assumptions": list(spec["assumptions"]), "exact": True, "change": ""}
    for found, name in ((error, "before"), (error_after, "after")):
        if found is not None and found.opaque:
            return {
                "verdict": "INCONCLUSIVE",
                "reason": f"the code {name} the patch does not run in the trial: {found}",
            }
    if error_after is not None:
        claim = {"name": "runs", "held": False, "detail": str(error_after)}
        return {**answer, "verdict": "REFUTED", "claims": [claim], "reason": f"the patched code fails: {error_after}"}
    if not seen or not seen_after:
        return {"verdict": "INCONCLUSIVE", "reason": "no optimizer step was reached in the trial"}
    same = _same(seen, seen_after)
    runs = f"{len(seen_after)} optimizer steps in {_TURNS} turns"
    claims = [
        {"name": "witness", "held": True if error is not None else None, "detail": str(error or "nothing is raised")},
        {"name": "runs", "held": True, "detail": runs},
        {"name": "equal", "held": same, "detail": f"the gradients of the first {len(seen)} steps"},
    ]
    if not same:
        return {
            **answer,
            "verdict": "REFUTED",
            "claims": claims,
            "reason": "the steps that worked before are others now",
        }
    if error is None:
        reason = "nothing is raised before the patch"
        return {**answer, "verdict": "CONSISTENT", "claims": claims, "reason": reason}
    summary = f"turn after turn: {error} after {len(seen)} steps before the patch; {runs} after it"
    return {**answer, "verdict": "PROVED", "claims": claims, "witness_summary": summary, "witness": _WITNESS}


def _side(
    spec: dict[str, Any], region: Region, preferences: dict[str, bool], deadline: float
) -> tuple[list[Seen], RegionError | None]:
    """The optimizer steps of one side, and the error that ended them."""
    world = World(spec, _SIZE, _SEED)
    loop = Loop(spec, region, preferences, world, frozenset())
    try:
        for number in range(_TURNS):
            loop.turn(number)
            if time.monotonic() > deadline:
                raise RegionError("it takes longer than a trial may", opaque=True)
    except RegionError as error:
        return world.seen, error
    return world.seen, None


def _same(before: list[Seen], after: list[Seen]) -> bool:
    if len(after) < len(before):
        return False
    pairs = zip(before, after)  # noqa: B905
    return all(torch.allclose(a.gradients, b.gradients, rtol=_EQUAL, atol=_EQUAL) for a, b in pairs)


_WITNESS = """import torch

for update in (False, True):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler('cpu')
    try:
        for turn in range(3):
            optimizer.zero_grad()
            scaler.scale(model(torch.randn(8, 4)).square().mean()).backward()
            scaler.step(optimizer)
            if update:
                scaler.update()
        print('after' if update else 'before', turn + 1, 'turns')
    except RuntimeError as error:
        print('after' if update else 'before', 'turn', turn + 1, 'raises', error)
"""
