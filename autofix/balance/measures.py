"""Measures of how evenly loads are spread. Pure functions of a sequence of non-negative numbers, one per expert.

Sources: Mann, "Nonparametric tests against trend", Econometrica 13 (1945), and Kendall, "Rank Correlation Methods"
(1975), for the trend test with its correction for ties; Gini (1912) in the form for sorted values; Shannon entropy.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


def mean(loads: Sequence[float]) -> float:
    return math.fsum(loads) / len(loads)


def coefficient_of_variation(loads: Sequence[float]) -> float:
    """The population standard deviation over the mean; 0 where nothing was routed."""
    middle = mean(loads)
    if middle == 0:
        return 0.0
    return math.sqrt(math.fsum((x / middle - 1) ** 2 for x in loads) / len(loads))


def max_over_min(loads: Sequence[float]) -> float:
    """The largest load over the smallest: infinite if an expert received nothing, 1 if none received anything."""
    largest, smallest = max(loads), min(loads)
    if largest == 0:
        return 1.0
    return largest / smallest if smallest else math.inf


def normalized_entropy(loads: Sequence[float]) -> float:
    """The entropy of the shares over its maximum log(experts): 1 is even, 0 is one expert only."""
    total = math.fsum(loads)
    if len(loads) < 2 or total == 0:
        return 1.0
    shares = [x / total for x in loads]
    return max(0.0, -math.fsum(p * math.log(p) for p in shares if p > 0) / math.log(len(loads)))


def gini(loads: Sequence[float]) -> float:
    """The mean absolute difference of two loads over twice the mean: 0 is even, 1 - 1/experts is one expert only."""
    total = math.fsum(loads)
    if total == 0:
        return 0.0
    count = len(loads)
    weighted = math.fsum((2 * i - count + 1) * x for i, x in enumerate(sorted(loads)))
    return weighted / (count * total)


def moved_share(one: Sequence[float], other: Sequence[float]) -> float:
    """The total variation distance: the share of tokens that go to other experts. 0 where either routed nothing."""
    first, second = math.fsum(one), math.fsum(other)
    if first == 0 or second == 0:
        return 0.0
    return math.fsum(abs(x / first - y / second) for x, y in zip(one, other, strict=True)) / 2


def chance_variation(experts: int, tokens: float) -> float:
    """The coefficient of variation that a perfectly even router shows by chance: sqrt((experts - 1) / tokens).

    The root mean square for `tokens` independent choices, each of one expert.
    """
    return math.sqrt((experts - 1) / tokens) if tokens > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Trend:
    """The Mann-Kendall test. tau: from -1 (falls always) to 1 (rises always). p: two-sided, normal approximation.

    Values that follow each other closely in training are correlated, which makes p too small.
    """

    tau: float
    p: float


def mann_kendall(values: Sequence[float]) -> Trend:
    """Is there a monotone trend? Fewer than four values, or all equal, give none."""
    n = len(values)
    if n < 4:
        return Trend(0.0, 1.0)
    s = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0:
        return Trend(0.0, 1.0)
    z = (s - (s > 0) + (s < 0)) / math.sqrt(variance)
    return Trend(s / (n * (n - 1) / 2), math.erfc(abs(z) / math.sqrt(2)))
