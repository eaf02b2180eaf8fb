"""Expert balance for people and for machines."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from autofix.balance.analysis import Balance, Comparison
from autofix.balance.series import RoutingLog
from autofix.balance.verdict import Advice, Judged, Verdict, is_worse
from autofix.registry import rule_named

_STYLE = {Verdict.BALANCED: "green", Verdict.MODERATE: "yellow", Verdict.HIGH: "red", Verdict.SEVERE: "bold red"}
_SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = "▏▎▍▌▋▊▉█"
_BAR = 12
_SPARK = 20
_EXPERTS_SHOWN = 32


@dataclass(frozen=True, slots=True)
class RoutingReport:
    """What a run of `autofix routing` found. holding: the conditions of --fail-on that hold, with their layer."""

    training: RoutingLog
    validation: RoutingLog | None
    layers: tuple[tuple[Balance, Judged, Comparison | None], ...]
    advice: tuple[Advice, ...]
    holding: tuple[tuple[str, str], ...]


def show(out: Console, report: RoutingReport) -> None:
    """Per layer a line of measures and a row per expert, then the verdict and what to do next."""
    log = report.training
    out.print(f"{log.path}: {log.rows:,} {_plural(log.rows, 'row')} of {log.format}, {_layers(len(report.layers))}")
    for balance, judged, comparison in report.layers:
        out.print()
        _show_layer(out, balance, judged, comparison)
    if report.advice:
        out.print(Text("\nnext", "bold"))
    for one in report.advice:
        out.print(f"  {one.text}{_links(one.rules)}")
    for layer, condition in report.holding:
        out.print(Text(f"fails: {condition} (layer {layer})", "bold red"))


def skipped_lines(log: RoutingLog) -> list[str]:
    """What was not read of a log, the first lines with their reasons."""
    if not log.skipped_count:
        return []
    named = [f"{log.path}:{one.line}: skipped: {one.reason}" for one in log.skipped]
    rest = log.skipped_count - len(named)
    return [*named, f"{log.path}: {rest:,} more skipped"] if rest else named


def as_json(report: RoutingReport) -> str:
    record = {
        "log": _log_record(report.training),
        "validation": _log_record(report.validation) if report.validation else None,
        "layers": [_layer_record(*layer) for layer in report.layers],
        "advice": [{"text": one.text, "rules": known(one.rules)} for one in report.advice],
        "fails": [{"layer": layer, "condition": condition} for layer, condition in report.holding],
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def ratio(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "∞"


def _show_layer(out: Console, balance: Balance, judged: Judged, comparison: Comparison | None) -> None:
    title = Text(f"layer {balance.name}: ", "bold")
    title.append(judged.verdict.value, _STYLE[judged.verdict])
    title.append(_why(balance, judged), "dim")
    out.print(title)
    out.print(f"  {_measures(balance)}")
    if balance.rows > 1:
        out.print(f"  {_course(balance)}")
    if comparison is not None:
        worse = ", less even than training" if is_worse(balance, comparison.balance) else ""
        moved = f"{percent(comparison.moved)} of tokens go to other experts"
        out.print(f"  validation: {_measures(comparison.balance)}, {moved}{worse}")
    for row in _rows(balance, comparison):
        out.print(row)
    if balance.experts > _EXPERTS_SHOWN:
        out.print(Text(f"  the {_EXPERTS_SHOWN} farthest from even of {balance.experts} experts", "dim"))


def _rows(balance: Balance, comparison: Comparison | None) -> list[Text]:
    """A header and a row per expert, as wide as their cells: a table of rich cuts cells to the width of a pipe."""
    even = sum(balance.means) / balance.experts
    most = max(balance.means)
    low = min((min(one) for one in balance.course), default=0.0)
    high = max((max(one) for one in balance.course), default=0.0)
    header = ["expert", "tokens", "mean", "of even", *(["validation"] if comparison else []), "load".ljust(_BAR)]
    cells = [[*header, "over time" if balance.rows > 1 else ""]]
    for expert in _shown(balance, even):
        load = balance.means[expert]
        row = [str(expert), _number(balance.totals[expert]), _number(round(load, 1)), _of(load, even)]
        if comparison is not None:
            means = comparison.balance.means
            row.append(_of(means[expert], sum(means) / len(means)))
        row.append(_bar(load / most if most else 0.0).ljust(_BAR))
        course = _sparkline([one[expert] for one in balance.course], low, high) if balance.rows > 1 else ""
        cells.append([*row, course + _arrow(balance, expert)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    texts = ["  ".join(c.rjust(w) for c, w in zip(row[:-1], widths, strict=False)) + f"  {row[-1]}" for row in cells]
    styles = ["dim", *("red" if expert in balance.dead else "" for expert in _shown(balance, even))]
    return [Text(f"  {text}".rstrip(), style) for text, style in zip(texts, styles, strict=True)]


def _shown(balance: Balance, even: float) -> Sequence[int]:
    if balance.experts <= _EXPERTS_SHOWN:
        return range(balance.experts)
    ranked = sorted(range(balance.experts), key=lambda i: -abs(balance.means[i] - even))
    return sorted(ranked[:_EXPERTS_SHOWN])


def _measures(balance: Balance) -> str:
    return (
        f"CV {percent(balance.cv)}, max/min {ratio(balance.max_min)}, Gini {balance.gini:.3f}, "
        f"entropy {balance.entropy:.4f}, dead {len(balance.dead)}"
    )


def _course(balance: Balance) -> str:
    trend = balance.trend
    direction = "rises" if trend.tau > 0 else "falls"
    certain = (
        f"CV {direction} (Mann-Kendall tau {trend.tau:+.2f}, p {_p(trend.p)})" if trend.p < 0.05 else "no trend in CV"
    )
    moved = f"{percent(balance.moved)} of tokens moved"
    return f"first to last quarter: CV {100 * balance.drift:+.2f} points, {moved}; {certain}"


def _why(balance: Balance, judged: Judged) -> str:
    if judged.by_chance:
        return f" (an even router of so few tokens shows {percent(balance.chance)} by chance)"
    return f" ({', '.join(map(str, judged.because))})" if judged.because else ""


def _arrow(balance: Balance, expert: int) -> str:
    trend = balance.expert_trends[expert]
    if trend.p >= 0.01:
        return ""
    return " ↗" if trend.tau > 0 else " ↘"


def _bar(part: float) -> str:
    whole, eighth = divmod(round(part * _BAR * 8), 8)
    return "█" * whole + (_EIGHTHS[eighth - 1] if eighth else "")


def _sparkline(values: Sequence[float], low: float, high: float) -> str:
    """At most _SPARK characters, each the mean of its part of the course, on a scale that all experts share."""
    width = min(_SPARK, len(values))
    bounds = [i * len(values) // width for i in range(width + 1)]
    parts = [values[a:b] for a, b in itertools.pairwise(bounds)]
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_SPARKS[round((sum(part) / len(part) - low) * scale)] for part in parts)


def _of(load: float, even: float) -> str:
    return f"{100 * load / even:.1f} %" if even else "-"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if value >= 100 else f"{value:.4g}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _links(rules: Sequence[str]) -> str:
    found = known(rules)
    return f" (`autofix check --select {','.join(found)} PROJECT` looks for it)" if found else ""


def known(rules: Sequence[str]) -> list[str]:
    """The rules of these names that there are."""
    return [name for name in rules if rule_named(name) is not None]


def _layers(count: int) -> str:
    return f"{count} {_plural(count, 'layer')}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _log_record(log: RoutingLog) -> Mapping[str, object]:
    return {
        "path": log.path,
        "format": log.format,
        "rows": log.rows,
        "skipped": log.skipped_count,
        "first_skipped": [{"line": one.line, "reason": one.reason} for one in log.skipped],
    }


def _layer_record(balance: Balance, judged: Judged, comparison: Comparison | None) -> Mapping[str, object]:
    compared = None
    if comparison is not None:
        worse = is_worse(balance, comparison.balance)
        compared = {**_balance_record(comparison.balance), "moved": comparison.moved, "worse": worse}
    return {
        "layer": balance.name,
        "verdict": judged.verdict.value,
        "because": [str(condition) for condition in judged.because],
        "by_chance": judged.by_chance,
        **_balance_record(balance),
        "validation": compared,
    }


def _balance_record(balance: Balance) -> Mapping[str, object]:
    """max_min is null where it is infinite: JSON has no such number."""
    return {
        "rows": balance.rows,
        "experts": balance.experts,
        "totals": balance.totals,
        "means": balance.means,
        "cv": balance.cv,
        "max_min": balance.max_min if math.isfinite(balance.max_min) else None,
        "gini": balance.gini,
        "entropy": balance.entropy,
        "dead": balance.dead,
        "drift": balance.drift,
        "moved_over_time": balance.moved,
        "trend": {"tau": balance.trend.tau, "p": balance.trend.p},
        "expert_trends": [{"tau": one.tau, "p": one.p} for one in balance.expert_trends],
        "chance_cv": balance.chance,
    }
