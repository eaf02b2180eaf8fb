"""Claims of routing gates: the same forward or the hard limit, and a gradient that points the hard form's way."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import torch

from . import routing_task, witness
from .compare import value_difference
from .program import Outcome, cotangent, leaves_for
from .program import run as execute
from .values import Pattern, Setting

_DRAWS = 12
_STEPS = (0.25, 1.0)
_LADDER = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.0001)
_RISE = 0.02  # of the first distance: what rounding and a renormalisation may add from one step to the next
_ITEMS = 4
_SHARE = 0.02  # of all that moved: the least that says something of one leaf
_AGAINST = -0.3
_ALIKE = 200  # trials of other sizes, each a few milliseconds


def judge(
    spec: dict[str, Any], sides: Any, settings: list[Setting], deadline: float
) -> tuple[list[dict[str, Any]], tuple[str, str]]:
    """The claims of a straight-through or soft gate, and its witness."""
    settings = [_sized_alike(sides, setting) for setting in settings]
    claims = [_forward(sides, settings) if spec["relation"] == "straight-through" else _limit(spec, sides, settings)]
    if claims[0]["held"] is False:
        return claims, ("", "")
    before, after = _pair(sides, settings[0], 0)
    if not before.ran or not after.ran:
        reason = "the original" if not before.ran else "the patched code"
        claims.append(_claim("gradient", None, f"{reason} does not run on the ordinary draw"))
        return claims, ("", "")
    dead = [n for n, g in before.grads.items() if _absent(g)]
    alive = [n for n in before.grads if not _absent(after.grads.get(n))]
    revived = [n for n in dead if n in alive]
    if not alive:
        claims.append(_claim("gradient", False, "no float input receives a gradient from the patched gate"))
        return claims, ("", "")
    bad = after.bad_gradient()
    if bad is not None:
        claims.append(_claim("gradient", False, f"the gradient of {bad} is not finite"))
        return claims, ("", "")
    if spec["relation"] == "straight-through":
        claims.append(_direction(sides, settings[0], deadline))
    if revived and not any(c["held"] is False for c in claims):
        claims.append(routing_task.judge(sides, settings[0], revived, deadline))
    if revived:
        claims.append(_claim("witness", True, f"no gradient reached {', '.join(revived)} before; it does now"))
        return claims, witness.show_gate(sides, settings[0], revived[0])
    joined = [n for n in alive if _differs(before.grads[n], after.grads[n])] if "carrier" in spec["parameters"] else []
    if joined:
        claims.append(_claim("witness", True, f"the loss that is attached adds to the gradient of {', '.join(joined)}"))
        return claims, witness.show_gate(
            sides, settings[0], joined[0], ("the result's gradient alone", "the loss's too")
        )
    claims.append(_claim("witness", None, "the original's scores already receive a gradient"))
    return claims, ("", "")


def _differs(one: torch.Tensor | None, two: torch.Tensor | None) -> bool:
    """Whether two gradients of the same tensor are more than rounding apart."""
    return one is not None and two is not None and not torch.allclose(one, two, rtol=1e-4, atol=1e-7)


def _sized_alike(sides: Any, setting: Setting) -> Setting:
    """The setting with a number of items that is the tensors' own, where the original also runs with another: a loop
    over fewer items than there are probabilities leaves shapes apart that are equal in every real program, and a
    single item is always let through."""
    before, after = _pair(sides, setting, 0)
    if not before.ran or (after.ran and _decides(before)) or (not after.ran and "size" not in after.error):
        return setting
    for sizes in itertools.islice(_other_sizes(setting), _ALIKE):
        candidate = {n: c._replace(size=sizes.get(n, c.size)) for n, c in setting.items()}
        before, after = _pair(sides, candidate, 0)
        if before.ran and after.ran and _decides(before):
            return candidate
    return setting


def _decides(hard: Outcome) -> bool:
    """Whether the hard form lets some items through and others not."""
    return any(v.numel() > 1 and bool((v != v.reshape(-1)[0]).any()) for v in hard.values.values())


def _other_sizes(setting: Setting) -> Iterator[dict[str, Any]]:
    """One leaf as large as another; then all tensors made of the numbers that the code counts with; then a few items
    that other numbers bound."""
    tensors = {n: c.size for n, c in setting.items() if c.is_tensor}
    numbers = {n: c.size for n, c in setting.items() if type(c.size) is int}
    for name in numbers:
        yield from ({name: d} for d in sorted({d for size in tensors.values() for d in size}))
    for name, own in tensors.items():
        yield from ({name: size} for size in dict.fromkeys(tensors.values()) if size != own)
    for rank in sorted({len(size) for size in tensors.values()}, reverse=True):
        for dims in itertools.permutations(numbers.values(), rank):
            for choice in itertools.product((dims, (*dims[:-1], 1), dims[:-1]), repeat=min(len(tensors), 3)):
                yield dict(zip(tensors, choice))  # noqa: B905
    for name in numbers:  # as many items as it says, and the least and the greatest number of them by the others
        rest = [n for n in numbers if n != name]
        sized = {n: (*size[:-1], _ITEMS) for n, size in tensors.items() if size}
        for bounds in itertools.product(range(1, _ITEMS), repeat=min(len(rest), 3)):
            yield {**sized, name: _ITEMS, **dict(zip(rest, bounds))}  # noqa: B905


def _pair(sides: Any, setting: Setting, seed: int, fixed: dict[str, Any] | None = None) -> tuple[Outcome, Outcome]:
    leaves = leaves_for(setting, Pattern("ordinary draws", "draw", 1.0), seed)
    before = execute(sides.before, setting, leaves, torch.float64, sides.results, "results")
    dtype = torch.float64
    if not before.ran:  # `.float()` in the code does not mix with doubles in a scatter or a product
        dtype = torch.float32
        before = execute(sides.before, setting, leaves, dtype, sides.results, "results")
    after = execute(sides.after, setting, leaves, dtype, sides.results, "results", fixed=fixed)
    return before, after


def _absent(grad: torch.Tensor | None) -> bool:
    return grad is None or not bool((grad != 0).any())


def _forward(sides: Any, settings: list[Setting]) -> dict[str, Any]:
    """Exactly today's forward: the gate's own value cancels up to rounding."""
    count = 0
    for setting in settings:
        for seed in range(_DRAWS):
            before, after = _pair(sides, setting, seed)
            if not before.ran:
                continue
            if not after.ran:
                return _claim("forward", False, f"the patched code raises {after.error}")
            found = value_difference(before, after)
            count += 1
            if found is not None and found.error > 1e-6:
                return _claim("forward", False, f"the forward pass changes: {found}")
    if not count:
        return _claim("forward", None, "the original runs on no ordinary draw")
    return _claim("forward", True, f"identical on {count} draws")


def _limit(spec: dict[str, Any], sides: Any, settings: list[Setting]) -> dict[str, Any]:
    """The soft form tends to the hard one as the temperature goes to 0."""
    name = spec["parameters"].get("temperature_name") or spec["parameters"].get("temperature")
    if not isinstance(name, str):
        return _claim("limit", None, "the temperature is not named, so its limit cannot be taken")
    distances = []
    for temperature in _LADDER:
        total, count = 0.0, 0
        for setting in settings:
            for seed in range(_DRAWS):
                before, after = _pair(sides, setting, seed, {name: temperature})
                if not before.ran:
                    continue
                if not after.ran:
                    return _claim("limit", False, f"the patched code raises {after.error}")
                for key, hard in before.values.items():
                    soft = after.values.get(key)
                    if soft is None or soft.shape != hard.shape:
                        return _claim("limit", False, f"{key} has another shape or is missing")
                    total += float((hard.to(torch.float64) - soft.to(torch.float64)).abs().sum())
                    count += hard.numel()
        distances.append(total / max(1, count))
    ladder = ", ".join(f"{t:g}" for t in _LADDER)
    detail = f"mean distance to the hard form at temperature {ladder}: " + ", ".join(f"{d:.2g}" for d in distances)
    falls = all(b <= a + _RISE * distances[0] + 1e-9 for a, b in itertools.pairwise(distances))
    # A draw may lie within 1e-4 of the threshold, where the limit is not reached: 1 % on average is far from it.
    return _claim("limit", distances[-1] < 0.01 and falls, detail)


def _direction(sides: Any, setting: Setting, deadline: float) -> dict[str, Any]:
    """Move every float leaf along the patched gradient: on average the hard result must move the way it says, and for
    no leaf clearly the other way (a threshold is one among many numbers)."""
    floats = [n for n, c in setting.items() if c.role == "float"]
    dtype = _width(sides, setting)
    moved, size = dict.fromkeys(floats, 0.0), dict.fromkeys(floats, 0.0)
    steps = 0
    for seed in range(_DRAWS * 4):
        if time.monotonic() > deadline:
            break
        leaves = leaves_for(setting, Pattern("ordinary draws", "draw", 1.0), seed)
        after = execute(sides.after, setting, leaves, dtype, sides.results, "results")
        for name in floats:
            grad = after.grads.get(name)
            if grad is None or _absent(grad):
                continue
            way = grad / grad.abs().max()
            for step in _STEPS:
                up, down = dict(leaves), dict(leaves)
                up[name], down[name] = leaves[name] + step * way, leaves[name] - step * way
                gain = _weighted(sides, setting, up, dtype) - _weighted(sides, setting, down, dtype)
                moved[name] += gain
                size[name] += abs(gain)
                steps += 1
    total = sum(size.values())
    if not steps or total == 0.0:
        return _claim("direction", None, "the hard form did not move")
    ways = {n: moved[n] / size[n] for n in floats if size[n] > _SHARE * total}
    overall = sum(moved.values()) / total
    against = [n for n, way in ways.items() if way < _AGAINST]
    detail = f"over {steps} steps along the gradient the hard result moved {overall:+.2f} (of at most 1)"
    if against:
        detail += ", and against it for " + ", ".join(f"{n} ({ways[n]:+.2f})" for n in against)
    return _claim("direction", overall > -0.1 and not against, detail)


def _width(sides: Any, setting: Setting) -> torch.dtype:
    """Doubles, unless the code insists on floats."""
    leaves = leaves_for(setting, Pattern("ordinary draws", "draw", 1.0), 0)
    ran = execute(sides.before, setting, leaves, torch.float64, sides.results, "results", gradients=False).ran
    return torch.float64 if ran else torch.float32


def _weighted(sides: Any, setting: Setting, leaves: dict[str, Any], dtype: torch.dtype) -> float:
    """The hard result under the cotangent that the gradient was taken with."""
    outcome = execute(sides.before, setting, leaves, dtype, sides.results, "results", gradients=False)
    values = [v.to(torch.float64) for v in outcome.values.values()]
    return sum(float((v * cotangent(i, v)).sum()) for i, v in enumerate(values))


def _claim(name: str, held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail}
