"""Objects that an argument needs: found by a search of their own, over construction only."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from .synth_plan import Failure, Plan
from .synth_values import Spec, build, reference

_TRIALS = 12
_MOST_PARAMETERS = 10_000_000


def constructible(kind: type, deep: int) -> Spec | None:
    """A spec with which `kind` can be built; None when none is found soon."""
    from . import synth_guess, synth_repair  # they ask for nested objects: the three need each other

    queue = [Plan(synth_guess.constructor(kind, deep=deep))]
    seen = {queue[0].key}
    for _ in range(_TRIALS):
        if not queue:
            return None
        plan = queue.pop(0)
        failure = _failure(kind, plan)
        if failure is None:
            return ["new", reference(kind), plan.init, []]
        further = [p for p in synth_repair.repairs(kind, plan, failure, None) if p.key not in seen][:6]
        seen.update(p.key for p in further)
        queue[:0] = further
        failure.release()
    return None


def _failure(kind: type, plan: Plan) -> Failure | None:
    values: dict[str, Any] = {}
    try:
        for name, spec in plan.init.items():
            values[name] = build(spec)
        made = kind(**values)
        if isinstance(made, nn.Module) and sum(p.numel() for p in made.parameters()) > _MOST_PARAMETERS:
            raise ValueError("too many parameters")
    except Exception as error:
        return Failure(kind, "construct", error, values, 0, os.path.dirname(__file__))
    return None
