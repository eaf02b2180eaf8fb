"""What the loads of each layer say: measures over the whole log, their course, and training against validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autofix.balance import measures
from autofix.balance.measures import Trend
from autofix.balance.series import Layer, Number, RoutingLog

DEAD_BELOW = 0.01
"""An expert is dead when the last quarter of the log gave it less than this part of an even share."""

_ENOUGH = 20
"""Tokens of an even share below which an expert can go without by chance: at 20 an even router leaves out one of
5 * 10**8 experts."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One layer of one log.

    means: per expert and row. cv, max_min, gini, entropy: of the means.
    dead: the experts (from 0) that the last quarter of the log left without tokens.
    drift: the coefficient of variation of the last quarter of the log minus that of the first; above 0 it became worse.
    moved: the share of tokens that go to other experts in the last quarter than in the first.
    trend: of the coefficient of variation over the bins of the log.
    chance: the coefficient of variation that an even router would show by chance; 0 where loads are no token counts.
    course: for each bin, each expert's load over an even share (1 is even). bin_rows: rows in a full bin.
    """

    name: str
    rows: int
    totals: tuple[Number, ...]
    means: tuple[float, ...]
    cv: float
    max_min: float
    entropy: float
    gini: float
    dead: tuple[int, ...]
    drift: float
    moved: float
    trend: Trend
    expert_trends: tuple[Trend, ...]
    chance: float
    course: tuple[tuple[float, ...], ...]
    bin_rows: int

    @property
    def experts(self) -> int:
        return len(self.totals)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A layer in validation. moved: the share of tokens that validation sends to other experts than training."""

    balance: Balance
    moved: float


def balances(log: RoutingLog, dead_below: float = DEAD_BELOW) -> tuple[Balance, ...]:
    return tuple(_balance(layer, dead_below) for layer in log.layers.values())


def compare(training: tuple[Balance, ...], validation: tuple[Balance, ...]) -> Mapping[str, Comparison]:
    """Validation by layer, for layers of the same name and number of experts."""
    known = {one.name: one for one in training}
    return {
        one.name: Comparison(one, measures.moved_share(known[one.name].means, one.means))
        for one in validation
        if one.name in known and known[one.name].experts == one.experts
    }


def _balance(layer: Layer, dead_below: float) -> Balance:
    means = tuple(total / layer.rows for total in layer.totals)
    bins = [list(one) for one in layer.bins]
    whole = bins[:-1] if len(bins) > 1 and 2 * layer.filled < layer.width else bins
    quarter = max(1, len(whole) // 4)
    first, last = _summed(whole[:quarter]), _summed(whole[-quarter:])
    cv = measures.coefficient_of_variation
    shares = [_relative(one) for one in whole]
    even = sum(last) / len(last)
    enough = even >= _ENOUGH if layer.integral else even > 0
    total = sum(layer.totals)
    return Balance(
        name=layer.name,
        rows=layer.rows,
        totals=tuple(layer.totals),
        means=means,
        cv=cv(means),
        max_min=measures.max_over_min(means),
        entropy=measures.normalized_entropy(means),
        gini=measures.gini(means),
        dead=tuple(i for i, load in enumerate(last) if enough and load < dead_below * even),
        drift=cv(last) - cv(first),
        moved=measures.moved_share(first, last),
        trend=measures.mann_kendall([cv(one) for one in whole]),
        expert_trends=tuple(measures.mann_kendall(column) for column in zip(*shares, strict=True)),
        chance=measures.chance_variation(layer.experts, total) if layer.integral else 0.0,
        course=tuple(map(tuple, shares)),
        bin_rows=layer.width,
    )


def _summed(bins: list[list[float]]) -> list[float]:
    return [sum(column) for column in zip(*bins, strict=True)]


def _relative(loads: list[float]) -> list[float]:
    even = sum(loads) / len(loads)
    return [load / even if even else 1.0 for load in loads]
