"""The loads of a log as they are read: exact totals, and their course over time in a bounded number of bins."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_BINS = 128
"""Bins of a layer. When all are full, neighbours are joined and each then holds twice the rows."""

MAX_CELLS = 65_536
"""Experts of all layers together: 128 bins of 8 bytes for each are 64 MiB."""

MAX_NAMED = 5
"""How many skipped lines are kept with their reasons; the rest are counted."""

MAX_NAME = 200
"""Characters of a layer's name, such as `model.layers.11.block_sparse_moe.gate`."""

MAX_COUNT = 2**63
"""No counter of tokens reaches this; what does is not a count."""

Number = int | float


@dataclass(slots=True)
class Layer:
    """The rows of one layer.

    totals: tokens per expert over all rows, exact for integers.
    width: rows in a full bin.
    bins: tokens per expert and bin, in the order of the log; the last may hold `filled` < `width` rows.
    integral: every load was an integer, so that it can be a number of tokens.
    """

    name: str
    totals: list[Number]
    rows: int = 0
    width: int = 1
    filled: int = 0
    bins: list[array[float]] = field(default_factory=list)
    integral: bool = True

    @property
    def experts(self) -> int:
        return len(self.totals)

    def add(self, columns: Sequence[Sequence[Number]], column_sums: Sequence[Number] | None = None) -> None:
        """Append rows, given as one sequence of loads per expert, with their sums where the caller has them."""
        count, start = len(columns[0]), 0
        while start < count:
            self._make_room()
            end = min(start + self.width - self.filled, count)
            whole = start == 0 and end == count
            sums = column_sums if whole and column_sums else [sum(c[start:end]) for c in columns]
            current = self.bins[-1]
            for expert, load in enumerate(sums):
                self.totals[expert] += load
                current[expert] += load
            self.integral = self.integral and not any(isinstance(load, float) for load in sums)
            self.filled += end - start
            start = end
        self.rows += count

    def _make_room(self) -> None:
        if self.bins and self.filled < self.width:
            return
        if len(self.bins) == MAX_BINS:
            pairs = zip(self.bins[::2], self.bins[1::2], strict=True)
            self.bins = [array("d", map(float.__add__, one, other)) for one, other in pairs]
            self.width *= 2
        self.bins.append(array("d", bytes(8 * self.experts)))
        self.filled = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line, or a record of several, that counts for nothing, and why."""

    line: int
    reason: str


@dataclass(slots=True)
class RoutingLog:
    """What was read of one file.

    rows: records that were taken; each holds one or more layers.
    skipped: the first lines that were not, of `skipped_count`.
    """

    path: str
    format: str = ""
    layers: dict[str, Layer] = field(default_factory=dict)
    rows: int = 0
    skipped_count: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, line: int, reason: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < MAX_NAMED:
            self.skipped.append(Skipped(line, reason))

    def skip_all(self, lines: Sequence[int], reason: str) -> None:
        for line in lines[: MAX_NAMED - len(self.skipped)]:
            self.skipped.append(Skipped(line, reason))
        self.skipped_count += len(lines)

    def take(self, line: int, record: Sequence[tuple[str, Sequence[Number]]]) -> None:
        """Add one record (layer and loads, one or more), or skip it as a whole."""
        reason = self.refusal([(name, len(loads)) for name, loads in record]) or next(
            (wrong for _, loads in record if (wrong := not_loads(loads))), ""
        )
        if reason:
            self.skip(line, reason)
            return
        for name, loads in record:
            self.layer(name, len(loads)).add([(load,) for load in loads])
        self.rows += 1

    def layer(self, name: str, experts: int) -> Layer:
        if name not in self.layers:
            self.layers[name] = Layer(name, [0] * experts)
        return self.layers[name]

    def refusal(self, record: Sequence[tuple[str, int]]) -> str:
        """Why layers with so many experts cannot be added, or nothing."""
        known = {name: layer.experts for name, layer in self.layers.items()}
        for name, experts in record:
            before = known.setdefault(name, experts)
            if len(name) > MAX_NAME or not name.isprintable():
                return f"a layer's name is longer than {MAX_NAME} characters or not printable"
            if not experts:
                return f"layer {name} has no experts"
            if before != experts:
                return f"layer {name} has {experts} experts here and {before} before"
        if sum(known.values()) > MAX_CELLS:
            return f"more than {MAX_CELLS:,} experts in all layers together"
        return ""


def not_loads(loads: Sequence[Number]) -> str:
    """Why these cannot be the loads of experts, or nothing."""
    for load in loads:
        if load != load or load in (float("inf"), float("-inf")):
            return f"a load is {load}"
        if load < 0:
            return "a load is negative"
        if load >= MAX_COUNT:
            return "a load is larger than 2**63"
    return ""
