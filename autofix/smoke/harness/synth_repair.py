"""From an exception to better arguments."""

from __future__ import annotations

from . import synth_rebuild, synth_refit
from .synth_guess import Maker
from .synth_plan import Failure, Plan
from .synth_sizes import Sizes

_MOST = 24


def repairs(kind: type, plan: Plan, failure: Failure, sizes: Sizes | None, maker: Maker) -> list[Plan]:
    """Plans that may get further than `plan` did, the most promising first. sizes: of the module, once it is built."""
    if failure.stage == "construct":
        found = synth_rebuild.plans(kind, plan, failure, maker)
    elif sizes is not None:
        found = synth_refit.plans(kind, plan, failure, sizes, maker)
    else:
        return []
    unique: dict[str, Plan] = {}
    for one in found:
        if one.key != plan.key:
            unique.setdefault(one.key, one)
        if len(unique) >= _MOST:
            break
    return list(unique.values())
