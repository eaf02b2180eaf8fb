"""The load of each expert over time as a picture: lines for a few experts, a heat map for many. No script, no network.

The coordinates are computed here; templates/routing.svg.j2 holds the drawing, templates/routing.html.j2 the page.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from autofix.balance.analysis import Balance, Comparison
from autofix.balance.verdict import Judged, is_worse
from autofix.deliver import routing_report
from autofix.deliver.routing_report import RoutingReport, percent, ratio

_LINES = 10
"""Experts that lines of different colours can show."""

_CELLS, _FEWEST = 40_000, 8
"""Cells of all heat maps together, as far as that leaves each _FEWEST columns: a browser still opens the file."""

_WIDTH, _HEIGHT = 720.0, 230.0
_LEFT, _RIGHT, _TOP, _GAP = 56.0, 150.0, 64.0, 96.0
_LABEL = 15.0


@dataclass(frozen=True, slots=True)
class Line:
    """An expert. points: of an SVG polyline. label_y: where its name stands. color: an index."""

    name: str
    points: str
    end_y: float
    label_y: float
    color: int
    dead: bool
    load: str


@dataclass(frozen=True, slots=True)
class Cell:
    """An expert in a bin. strength: from 0 (even) to 1, above even if over, else below."""

    x: float
    y: float
    width: float
    height: float
    strength: float
    over: bool
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A layer: its titles, axes, and lines or cells. y: its top edge."""

    title: str
    subtitle: str
    y: float
    lines: Sequence[Line]
    cells: Sequence[Cell]
    rows: Sequence[Tick]
    times: Sequence[Tick]
    even_y: float


def as_svg(report: RoutingReport) -> str:
    panels = _panels(report)
    return _template("routing.svg.j2").render(**_frame(report, panels), standalone=True)


def as_html(report: RoutingReport) -> str:
    """A page with the plot and the measures as a table."""
    svg = _template("routing.svg.j2").render(**_frame(report, _panels(report)), standalone=False)
    return _template("routing.html.j2").render(
        svg=svg,
        name=PurePath(report.training.path).name,
        log=report.training,
        layers=report.layers,
        advice=[(one.text, routing_report.known(one.rules)) for one in report.advice],
        percent=percent,
        ratio=ratio,
        is_worse=is_worse,
    )


def _frame(report: RoutingReport, panels: Sequence[Panel]) -> dict[str, object]:
    return {
        "name": PurePath(report.training.path).name,
        "panels": panels,
        "width": _LEFT + _WIDTH + _RIGHT,
        "height": panels[-1].y + _HEIGHT + 56,
        "left": _LEFT,
        "right": _LEFT + _WIDTH,
        "plot": _HEIGHT,
    }


def _panels(report: RoutingReport) -> list[Panel]:
    columns = max(_FEWEST, _CELLS // sum(balance.experts for balance, _, _ in report.layers))
    return [_panel(i, columns, *layer) for i, layer in enumerate(report.layers)]


def _panel(index: int, columns: int, balance: Balance, judged: Judged, comparison: Comparison | None) -> Panel:
    top = _TOP + index * (_HEIGHT + _GAP)
    many = balance.experts > _LINES
    rows, lines, cells = _row_ticks(balance, top), [], []
    even = top
    if many:
        cells = _cells(_joined(balance.course, columns), top)
    else:
        low, high, step = _scale(balance)
        lines = _lines(balance, top, low, high)
        count = round((high - low) / step)
        rows = [Tick(_y(top, low + i * step, low, high), f"{100 * (low + i * step):.0f} %") for i in range(count + 1)]
        even = _y(top, 1.0, low, high)
    beside = f" · validation CV {percent(comparison.balance.cv)}" if comparison else ""
    subtitle = f"CV {percent(balance.cv)} · max/min {ratio(balance.max_min)} · dead {len(balance.dead)}{beside}"
    return Panel(
        f"Layer {balance.name}: {judged.verdict.value}", subtitle, top, lines, cells, rows, _times(balance), even
    )


def _lines(balance: Balance, top: float, low: float, high: float) -> list[Line]:
    bins = len(balance.course)
    ends = [_y(top, balance.course[-1][expert], low, high) for expert in range(balance.experts)]
    labels = _apart(ends, top, top + _HEIGHT)
    found = []
    for expert in range(balance.experts):
        at = [(_x(i, bins), _y(top, one[expert], low, high)) for i, one in enumerate(balance.course)]
        at = at if len(at) > 1 else [(_LEFT, at[0][1]), (_LEFT + _WIDTH, at[0][1])]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        load = f"{100 * balance.course[-1][expert]:.0f} %"
        found.append(Line(str(expert), points, ends[expert], labels[expert], expert, expert in balance.dead, load))
    return found


def _apart(ends: Sequence[float], top: float, bottom: float) -> list[float]:
    """Labels near the ends of their lines, in the same order, at least _LABEL apart and inside the plot."""
    placed = dict[int, float]()
    last = top - _LABEL
    for expert in sorted(range(len(ends)), key=lambda i: ends[i]):
        last = max(ends[expert], last + _LABEL)
        placed[expert] = last
    below = bottom + _LABEL
    for expert in sorted(placed, key=lambda i: -placed[i]):
        below = placed[expert] = min(placed[expert], below - _LABEL)
    return [placed[expert] for expert in range(len(ends))]


def _joined(course: Sequence[Sequence[float]], columns: int) -> list[list[float]]:
    """The course in at most so many columns, each the mean of neighbours."""
    count = min(columns, len(course))
    bounds = [i * len(course) // count for i in range(count + 1)]
    return [[sum(c) / (b - a) for c in zip(*course[a:b], strict=True)] for a, b in itertools.pairwise(bounds)]


def _cells(course: Sequence[Sequence[float]], top: float) -> list[Cell]:
    bins, height = len(course), _HEIGHT / len(course[0])
    width = _WIDTH / bins
    most = max((abs(load - 1) for one in course for load in one), default=0.0) or 1.0
    return [
        Cell(
            _LEFT + i * width, top + expert * height, width, height, min(1.0, abs(load - 1) / min(most, 1.0)), load > 1,
            f"expert {expert}: {100 * load:.0f} % of even",
        )
        for i, one in enumerate(course)
        for expert, load in enumerate(one)
    ]  # fmt: skip


def _row_ticks(balance: Balance, top: float) -> list[Tick]:
    """A few experts' numbers beside the rows of a heat map."""
    step = max(1, -(-balance.experts // 8))
    height = _HEIGHT / balance.experts
    return [Tick(top + (i + 0.5) * height, str(i)) for i in range(0, balance.experts, step)]


def _scale(balance: Balance) -> tuple[float, float, float]:
    """Bounds and step of the axis: round numbers around the loads and around 1."""
    least = min(1.0, min(map(min, balance.course)))
    most = max(1.0, max(map(max, balance.course)))
    step = next((s for s in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if (most - least) / s <= 6), 2.0)
    low, high = int(least / step) * step, -int(-most / step // 1) * step
    high = high if high >= most else high + step
    return low, max(high, low + step), step


def _times(balance: Balance) -> list[Tick]:
    """First row, last row and quarters between them."""
    bins = len(balance.course)
    if bins < 2:
        return [Tick(_LEFT, "1")]
    at = sorted({round(i * (bins - 1) / 4) for i in range(5)})
    last = bins - 1
    return [Tick(_x(i, bins), f"{balance.rows if i == last else i * balance.bin_rows + 1:,}") for i in at]


def _x(index: int, bins: int) -> float:
    return _LEFT + _WIDTH * index / max(1, bins - 1)


def _y(top: float, load: float, low: float, high: float) -> float:
    return top + _HEIGHT * (high - load) / (high - low)


def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("autofix.templates", ""),
        autoescape=True,  # names come from the log
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
