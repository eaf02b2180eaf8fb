"""Objects that an argument needs: found by a search of their own, which construction ends and a forward run crowns."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from torch import nn

from . import synth_attempt, synth_classes, synth_guess, synth_repair, synth_source, synth_usage
from .synth_guess import Maker
from .synth_plan import Plan
from .synth_usage import Call
from .synth_values import Spec, reference

_TRIALS = 12
_FORWARD_TRIALS = 6  # once it has been built
_SLOW, _SLOW_COSTS = 0.25, 4  # a trial of so many seconds counts as so many more
_DEEP = 3
_MOST_OPTIONS = (4, 3, 2)  # subclasses that are tried, by depth
_FOUND: dict[tuple[type, int], tuple[Spec | None, bool]] = {}  # by class and depth: the spec, and whether it runs
_INPUTS: dict[str, dict[str, Spec]] = {}  # by spec: what the object runs with


class Builder(Maker):
    """Makes objects by searching for their arguments, each class once in a process."""

    def __init__(self, seed: int, depth: int = 0) -> None:
        self.seed = seed
        self.depth = depth
        self.spent = 0.0  # processor seconds on searches of its own

    def instance(self, owner: type, wanted: type, calls: Sequence[Call] = ()) -> Spec | None:
        """One that runs, of `wanted` itself or of a subclass; else the first that can be built."""
        if self.depth >= _DEEP:
            return None
        built: Spec | None = None
        tried = 0
        for option in (wanted, *synth_classes.subclasses(wanted)):
            if option is owner or not synth_classes.usable(option) or tried >= _MOST_OPTIONS[self.depth]:
                continue
            if not synth_classes.answers(option, calls):
                continue
            tried += 1
            spec, runs = self._made(option)
            if spec is not None and runs:
                return spec
            built = built or spec
        return built

    def _made(self, kind: type) -> tuple[Spec | None, bool]:
        key = (kind, self.depth)
        if key not in _FOUND:
            _FOUND[key] = (None, False)  # while it is under way: a class that needs itself
            started = time.process_time()
            _FOUND[key] = self._search(kind)
            self.spent += time.process_time() - started
        return _FOUND[key]

    def _search(self, kind: type) -> tuple[Spec | None, bool]:
        inner = Builder(self.seed, self.depth + 1)
        queue = [Plan(synth_guess.constructor(kind, inner))]
        seen = {queue[0].key}
        built: Spec | None = None
        left = _TRIALS
        while queue and left > 0:
            left -= 1
            started = time.process_time()
            plan = queue.pop(0)
            if not issubclass(kind, nn.Module):
                failure, sizes = synth_attempt.construction(kind, plan, self.seed), None
                if failure is None:
                    return ["new", reference(kind), plan.init, []], True
            else:
                outcome = synth_attempt.attempt(kind, plan, self.seed, inner, borrowed(plan.init))
                if isinstance(outcome, Plan):
                    spec = ["new", reference(kind), outcome.init, []]
                    _INPUTS[json.dumps(spec, sort_keys=True)] = outcome.inputs
                    return spec, True
                failure, plan, sizes = outcome
                left -= _SLOW_COSTS if time.process_time() - started > _SLOW else 0
                if failure.stage != "construct" and built is None:
                    built = ["new", reference(kind), plan.init, []]
                    left = min(left, _FORWARD_TRIALS)
            repairs = synth_repair.repairs(kind, plan, failure, sizes, inner)
            further = [p for p in repairs if p.key not in seen][:6]
            seen.update(p.key for p in further)
            queue[:0] = further
            failure.release()
        return built, not issubclass(kind, nn.Module)


def borrowed(init: dict[str, Spec]) -> dict[str, Spec]:
    """Inputs of the networks among a constructor's arguments."""
    found: dict[str, Spec] = {}
    for spec in init.values():
        items = spec[1] if spec[0] in ("list", "tuple", "modules") else [spec]
        for item in items[:1]:
            for name, value in _INPUTS.get(json.dumps(item, sort_keys=True), {}).items():
                found.setdefault(name, value)
    return found


def forget() -> None:
    """Drop what was read and found: a file's text has been replaced."""
    synth_source.forget()
    synth_usage.of_class.cache_clear()
    synth_usage.attributes_of.cache_clear()
    synth_classes.forget()
    _FOUND.clear()
    _INPUTS.clear()
