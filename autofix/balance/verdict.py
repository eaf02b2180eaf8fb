"""Verdicts by thresholds, and what to do next."""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autofix.balance.analysis import Balance, Comparison
from autofix.config import suggestion

METRICS: dict[str, Callable[[Balance], float]] = {
    "cv": lambda b: b.cv,
    "max_min": lambda b: b.max_min,
    "gini": lambda b: b.gini,
    "dead": lambda b: len(b.dead),
    "entropy": lambda b: b.entropy,
    "drift": lambda b: b.drift,
}

_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_CONDITION = re.compile(r"\s*([A-Za-z_/]+)\s*(>=|<=|>|<)\s*([0-9.eE+-]+)\s*(%?)\s*")
_FEW_TOKENS = 2.0
"""A coefficient of variation below this multiple of what chance gives says nothing about the router."""
_WORSE = 1.2
_DRIFTED = 0.05
_SIGNIFICANT = 0.01


class Verdict(str, enum.Enum):
    """From the best to the worst."""

    BALANCED = "balanced"
    MODERATE = "moderate"
    HIGH = "high"
    SEVERE = "severe"

    @property
    def rank(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a measure of one layer, such as `cv>0.3`."""

    metric: str
    operator: str
    bound: float

    def holds(self, balance: Balance) -> bool:
        compared: bool = _OPERATORS[self.operator](METRICS[self.metric](balance), self.bound)
        return compared

    def __str__(self) -> str:
        return f"{self.metric}{self.operator}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A layer has the worst verdict of which a condition holds. Dead experts are always severe."""

    moderate: tuple[Condition, ...] = (Condition("cv", ">", 0.05), Condition("max_min", ">", 1.2))
    high: tuple[Condition, ...] = (Condition("cv", ">", 0.2), Condition("max_min", ">", 2))
    severe: tuple[Condition, ...] = (Condition("cv", ">", 0.3), Condition("max_min", ">", 3), Condition("dead", ">", 0))


@dataclass(frozen=True, slots=True)
class Judged:
    """A layer's verdict, and the conditions that led to it. by_chance: so few tokens that the spread may be chance."""

    verdict: Verdict
    because: tuple[Condition, ...]
    by_chance: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, and the rules that look for its cause in the code."""

    text: str
    rules: tuple[str, ...] = ()


def conditions(text: str) -> tuple[Condition, ...] | str:
    """The conditions of `cv>0.3,dead>0`, or what is wrong with it."""
    found = []
    for part in filter(str.strip, text.split(",")):
        match = _CONDITION.fullmatch(part)
        bound = _bound(match[3], match[4]) if match else None
        if match is None or bound is None:
            return (
                f"{part.strip()!r} is no condition; write a metric ({', '.join(METRICS)}), one of > >= < <=, a number"
            )
        metric = match[1].lower().replace("/", "_")
        if metric not in METRICS:
            return f"no metric {match[1]!r}{suggestion(metric, METRICS)}; it takes {', '.join(METRICS)}"
        found.append(Condition(metric, match[2], bound))
    return tuple(found) or f"an empty condition; write a metric ({', '.join(METRICS)}), one of > >= < <=, a number"


def judge(balance: Balance, thresholds: Thresholds) -> Judged:
    by_chance = balance.cv < _FEW_TOKENS * balance.chance
    if by_chance:
        return Judged(Verdict.BALANCED, (), by_chance=True)
    levels = (
        (Verdict.SEVERE, thresholds.severe),
        (Verdict.HIGH, thresholds.high),
        (Verdict.MODERATE, thresholds.moderate),
    )
    for verdict, bounds in levels:
        because = tuple(bound for bound in bounds if bound.holds(balance))
        if because:
            return Judged(verdict, because)
    return Judged(Verdict.BALANCED, ())


def is_worse(training: Balance, validation: Balance) -> bool:
    """Validation spreads at least a fifth wider than training, and wider than chance explains."""
    return validation.cv > _WORSE * training.cv and validation.cv > _FEW_TOKENS * validation.chance


def became_worse(balance: Balance) -> bool:
    return balance.drift > _DRIFTED and balance.trend.tau > 0 and balance.trend.p < _SIGNIFICANT


def advice(layers: Sequence[tuple[Balance, Judged, Comparison | None]]) -> tuple[Advice, ...]:
    """What to do next, the most urgent first. Layers are named where it concerns only some of them."""
    found = []
    if dead := [b for b, _, _ in layers if b.dead]:
        experts = "; ".join(f"layer {b.name}: {', '.join(map(str, b.dead))}" for b in dead)
        text = f"revive or remove the dead experts ({experts}): balance the router from the first step"
        found.append(Advice(text, ("moe-no-load-balancing", "moe-no-z-loss")))
    if high := [b for b, j, _ in layers if j.verdict.rank >= Verdict.HIGH.rank]:
        text = f"add a load-balancing loss, or raise its coefficient ({_named(high)})"
        found.append(Advice(text, ("moe-no-load-balancing", "aux-loss-lost")))
    elif moderate := [b for b, j, _ in layers if j.verdict is Verdict.MODERATE]:
        text = f"every expert is in use; if balance matters, add a load-balancing loss ({_named(moderate)})"
        found.append(Advice(text, ("moe-no-load-balancing",)))
    if uneven := [b for b, j, _ in layers if j.verdict is not Verdict.BALANCED]:
        text = f"if the router is a sigmoid, try a softmax ({_named(uneven)})"
        found.append(Advice(text, ("sigmoid-router",)))
    if crowded := [b for b, _, _ in layers if max(b.means) > 2 * _mean(b)]:
        text = f"limit the capacity of experts: one takes more than twice its even share ({_named(crowded)})"
        found.append(Advice(text, ("moe-no-capacity",)))
    if drifting := [b for b, _, _ in layers if became_worse(b)]:
        text = f"the balance became worse during training ({_named(drifting)}): see whether its loss reaches backward()"
        found.append(Advice(text, ("aux-loss-lost",)))
    if worse := [b for b, _, c in layers if c is not None and is_worse(b, c.balance)]:
        found.append(Advice(f"watch validation: it is less even than training ({_named(worse)})"))
    if few := [b for b, j, _ in layers if j.by_chance and b.cv > 0]:
        found.append(Advice(f"log more tokens: so few spread like this by chance ({_named(few)})"))
    return tuple(found)


def failing(
    layers: Sequence[tuple[Balance, Judged, Comparison | None]],
    conditions: Sequence[Condition],
    worst: Verdict | None,
) -> tuple[tuple[str, str], ...]:
    """The conditions that hold, and a verdict at least as bad as `worst`, each with its layer; validation too."""
    found = []
    for balance, judged, comparison in layers:
        found += [(balance.name, str(c)) for c in conditions if c.holds(balance)]
        if comparison is not None:
            found += [(f"{balance.name}, validation", str(c)) for c in conditions if c.holds(comparison.balance)]
        if worst is not None and judged.verdict.rank >= worst.rank:
            found.append((balance.name, judged.verdict.value))
    return tuple(found)


def _mean(balance: Balance) -> float:
    return sum(balance.means) / balance.experts


def _named(layers: Sequence[Balance]) -> str:
    names = [b.name for b in layers]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"layer{'s' if len(names) > 1 else ''} {shown}"


def _bound(text: str, percent: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return bound / 100 if percent else bound
