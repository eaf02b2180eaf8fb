"""Small plots as inline SVG: a few numbers beside each other, what is not finite marked at the top."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from autofix.smoke.traces import Point, Ray, Training

_WIDTH, _HEIGHT = 250, 112
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 6, 24, 16  # margins: figures, nothing, the title, the axis
_BROKEN_Y = _TOP + 5  # where what is not finite is marked
_FLOOR = 1e-12


class Series(NamedTuple):
    """Values in order; None where there is none that is finite. kind: "before" or "after"."""

    kind: str
    values: Sequence[float | None]


def ray_plots(ray: Ray) -> list[Markup]:
    """The size of the result and the norm of its gradient along the scaled witness."""
    x = [math.log10(s) for s in ray.scales]
    marks = ("0.001", "witness ×", "1")
    plots = []
    for title, value in (("largest value", _value), ("gradient at the input", _gradient)):
        sides = _sides(ray, value)
        if any(v != 0.0 for one in sides for v in one.values):  # a gradient that is 0 throughout says nothing
            plots.append(_plot(title, x, sides, marks, logarithmic=True))
    return plots


def _value(point: Point) -> float | None:
    return None if point.raised else point.value


def _gradient(point: Point) -> float | None:
    return None if point.raised else point.gradient


def _sides(ray: Ray, value: Callable[[Point], float | None]) -> list[Series]:
    return [Series("before", [value(p) for p in ray.before]), Series("after", [value(p) for p in ray.after])]


def training_plots(training: Training) -> list[Markup]:
    """The loss and the norm of the gradient at each step."""
    count = max(len(r.losses) + bool(r.ended) for r in (training.before, training.after))
    x = list(range(1, count + 1))
    marks = ("1", "step", str(count))
    plots = []
    for title, name in (("loss", "losses"), ("gradient of the weights", "norms")):
        series = []
        for kind, run in (("before", training.before), ("after", training.after)):
            values: list[float | None] = list(getattr(run, name)[:count])
            series.append(Series(kind, [*values, *([None] if run.ended and len(values) < count else [])]))
        plots.append(_plot(title, x, series, marks, logarithmic=name == "norms"))
    return plots


def ablation_plot(routed: Sequence[float], dense: Sequence[float]) -> Markup:
    """The loss of a class as it is, and with every expert or head on."""
    x = list(range(1, max(len(routed), len(dense)) + 1))
    series = [Series("before", _finite(routed)), Series("after", _finite(dense))]
    return _plot("loss, and with all on (solid)", x, series, ("1", "step", str(len(x))), logarithmic=False)


def _finite(values: Sequence[float]) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in values]


def load_plot(loads: Sequence[int]) -> Markup:
    """How often each alternative is chosen, and the line of an even share."""
    total, most = sum(loads), max(loads)
    if not total:
        return Markup()
    inner = _WIDTH - _LEFT - _RIGHT
    step = inner / len(loads)
    bars = []
    for number, count in enumerate(loads):
        height = (_HEIGHT - _TOP - _BOTTOM) * count / most
        bars.append(
            f'<rect class="bar" x="{_LEFT + number * step + step * 0.12:.1f}" y="{_HEIGHT - _BOTTOM - height:.1f}" '
            f'width="{step * 0.76:.1f}" height="{height:.1f}"/>'
        )
    even = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (total / len(loads)) / most
    line = f'<path class="even" d="M{_LEFT} {even:.1f}H{_WIDTH - _RIGHT}"/>'
    words = f"chosen {total} times: {', '.join(map(str, loads[:64]))}"
    texts = _texts("how often each is chosen", ("1", "dashed: even share", str(len(loads))), str(most), "", "0")
    return _svg(words, "".join(bars) + line + texts)


def _plot(
    title: str, x: Sequence[float], series: Sequence[Series], marks: tuple[str, str, str], logarithmic: bool
) -> Markup:
    known = [v for one in series for v in one.values if v is not None]
    low, high, flat = _limits(known, logarithmic)
    parts = []
    for one in series:
        parts += _series(one, x, low, high, logarithmic)
    figures = ("", _figure((low + high) / 2, logarithmic), "") if flat else (
        _figure(high, logarithmic), "", _figure(low, logarithmic)
    )  # fmt: skip
    texts = _texts(title, marks, *figures)
    return _svg(f"{title}: {'; '.join(f'{s.kind} {_told(s)}' for s in series)}", "".join(parts) + texts)


def _limits(values: Sequence[float], logarithmic: bool) -> tuple[float, float, bool]:
    """In the units of the axis; whether the values are one and the same."""
    heights = [_height(v, logarithmic) for v in values] or [0.0]
    low, high = min(heights), max(heights)
    flat = high - low < 1e-6 + 1e-3 * abs(high)
    return (low - 0.5, high + 0.5, True) if flat else (low, high, False)


def _height(value: float, logarithmic: bool) -> float:
    return math.log10(max(abs(value), _FLOOR)) if logarithmic else value


def _series(one: Series, x: Sequence[float], low: float, high: float, logarithmic: bool) -> list[str]:
    runs: list[list[str]] = [[]]
    broken = []
    for at, value in zip(x, one.values, strict=False):
        left = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at - x[0]) / ((x[-1] - x[0]) or 1.0)
        if value is None:
            broken.append(f"M{left - 2:.0f} {_BROKEN_Y - 2}l4 4m0-4l-4 4")
            runs.append([])
            continue
        share = (_height(value, logarithmic) - low) / (high - low)
        runs[-1].append(f"{left:.0f} {_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP - 12):.0f}")
    path = "".join(f"M{'L'.join(run)}" + ("h.1" if len(run) == 1 else "") for run in runs if run)
    found = [f'<path class="{one.kind}" d="{path}"/>'] if path else []
    return found + ([f'<path class="{one.kind} bad" d="{"".join(broken)}"/>'] if broken else [])


def _told(one: Series) -> str:
    finite = [v for v in one.values if v is not None]
    lost = len(one.values) - len(finite)
    return (f"{finite[0]:.3g} to {finite[-1]:.3g}" if finite else "") + (f" not finite {lost} times" if lost else "")


def _figure(height: float, logarithmic: bool) -> str:
    if logarithmic and height <= math.log10(_FLOOR):
        return "0"
    value = 10.0**height if logarithmic and height < 300 else height
    return f"{value:.0e}" if abs(value) >= 1e4 or 0 < abs(value) < 1e-3 else f"{value:.3g}"


def _texts(title: str, marks: tuple[str, str, str], high: str, middling: str, low: str) -> str:
    base, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    half = base - (base - _TOP - 12) // 2 + 3
    first, middle, last = (escape(m) for m in marks)
    return (
        f'<path class="axis" d="M{_LEFT} {_TOP - 4}V{base}H{end}"/>'
        f'<text x="{_LEFT}" y="12" class="t">{escape(title)}</text>'
        f'<text x="{_LEFT - 4}" y="{_TOP + 14}" class="e">{escape(high)}</text>'
        + (f'<text x="{_LEFT - 4}" y="{half}" class="e">{escape(middling)}</text>' if middling else "")
        + f'<text x="{_LEFT - 4}" y="{base}" class="e">{escape(low)}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 4}">{first}</text>'
        f'<text x="{(_LEFT + end) // 2}" y="{_HEIGHT - 4}" class="m">{middle}</text>'
        f'<text x="{end}" y="{_HEIGHT - 4}" class="e">{last}</text>'
    )


def _svg(words: str, inside: str) -> Markup:
    return Markup(  # our own figures, and text that was escaped
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}">{inside}</svg>'
    )
