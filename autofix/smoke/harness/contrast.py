"""What two measurements of a class, before and after a patch, have to say beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

FAILED, NON_FINITE = "failed", "non-finite"
# Of a figure's own size. Deliberately wrong patches (a doubled loss, a lost term) differ by over 1e-2; in float32 sums
# in another order differ by some 1e-6 a term.
_LEAST = {"float64": 1e-4, "float32": 2e-3}
_NOISE = 100.0  # how many times the difference that one rounding makes counts as rounding
_MOST = 0.05  # a class that enlarges rounding to more than this cannot tell a wrong patch from a right one
_FAINT = 1e-6  # a gradient below this share of the largest one is rounding


def covers(lines: Iterable[int], ranges: Sequence[Sequence[int]]) -> int:
    """How many of the line ranges have a line among those that ran."""
    ran = set(lines)
    return sum(any(number in ran for number in range(first, last + 1)) for first, last in ranges)


def contrast(name: str, before: dict[str, Any], after: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """{"class", "entry", "plan", "arguments", "inputs", "stand_ins", "ran": [statements, of how many], "conditions":
    [[name, before, after]], "figures", "lost", "gained", "parameters"}; "broken" says how the patched file failed."""
    old = before["measure"]
    found = {key: before[key] for key in ("entry", "plan", "arguments", "inputs", "stand_ins")}
    found["class"] = name
    found["parameters"] = old["parameters"]
    if "measure" not in after:
        words = str(after.get("reason") or "it returned nothing")
        return {**found, "broken" if after.get("died") else "reason": words}
    new = after["measure"]
    ranges = item["after_ranges"]
    found["ran"] = [covers(new["lines"], ranges), len(ranges)] if ranges else [
        covers(old["lines"], item["before_ranges"]), len(item["before_ranges"])
    ]  # fmt: skip
    empty = {"verdict": "", "reason": "", "losses": [], "missing": []}
    found["conditions"] = [[key, one, new["conditions"].get(key, empty)] for key, one in old["conditions"].items()]
    found["figures"] = _figures(old, new)
    found.update(_gradients(old, new))
    return found


def _gradients(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Which parameters lost their gradient and which gained one, where both ran to the end."""
    one, other = old["conditions"]["fp32"], new["conditions"]["fp32"]
    if {one["verdict"], other["verdict"]} & {FAILED, NON_FINITE}:
        return {"lost": [], "gained": [], "missing": other["missing"]}
    figures = next(iter(old["figures"].values()), None) or {"gradients": {}}
    norms = {name: pair[0] for name, pair in figures["gradients"].items()}
    floor = _FAINT * max(norms.values(), default=0.0)
    lost = [n for n in other["missing"] if n not in one["missing"] and norms.get(n, 1.0) > floor]
    gained = [n for n in one["missing"] if n not in other["missing"]]
    return {"lost": lost, "gained": gained, "missing": other["missing"]}


def _figures(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """{"dtype", "equal", "forward_equal", "difference", "tolerance", "where"}; equal: None where it cannot be told."""
    for dtype, one in old["figures"].items():
        if one is None:
            continue
        other, moved = new["figures"].get(dtype), old["noise"].get(dtype)
        if other is None:
            return _unknown(f"the patched class gives nothing finite in {dtype}", dtype)
        if moved is None:
            return _unknown("the original does not stand being moved by one rounding", dtype)
        tolerance = max(_LEAST[dtype.partition(",")[0]], _NOISE * _worst(one, moved)[0])
        worst, where = _worst(one, other)
        forward = _loss_difference(one, other)
        if tolerance > _MOST:
            return _unknown(f"one rounding changes its figures by {tolerance / _NOISE:.1e}", dtype)
        return {
            "dtype": dtype, "equal": worst <= tolerance, "forward_equal": forward <= tolerance, "difference": worst,
            "tolerance": tolerance, "where": where,
        }  # fmt: skip
    return _unknown("the original gives nothing finite on ordinary inputs", "")


def _unknown(why: str, dtype: str) -> dict[str, Any]:
    return {
        "dtype": dtype, "equal": None, "forward_equal": None, "difference": None, "tolerance": None, "where": why,
    }  # fmt: skip


def _loss_difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    return float(abs(one["loss"] - other["loss"]) / (abs(one["loss"]) + 0.01))


def _worst(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, str]:
    """The largest relative difference of the two, and where."""
    worst = (_loss_difference(one, other), f"the loss is {other['loss']:.6g}, it was {one['loss']:.6g}")
    largest = max((pair[0] for pair in one["gradients"].values()), default=0.0)
    for name in one["gradients"].keys() | other["gradients"].keys():
        a, b = one["gradients"].get(name, [0.0, 0.0]), other["gradients"].get(name, [0.0, 0.0])
        scale = max(a[0], b[0]) + 0.01 * largest + 1e-12
        difference = max(abs(a[0] - b[0]), abs(a[1] - b[1])) / scale
        if difference > worst[0]:
            worst = (difference, f"the gradient of {name} has norm {b[0]:.6g}, it had {a[0]:.6g}")
    return worst
