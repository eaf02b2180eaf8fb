"""`autofix routing LOG`: how evenly a mixture of experts used its experts."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from autofix.balance.analysis import DEAD_BELOW, balances, compare
from autofix.balance.reading import STDIN, read
from autofix.balance.series import RoutingLog
from autofix.balance.verdict import METRICS, Condition, Thresholds, Verdict, advice, conditions, failing, judge
from autofix.config import suggestion
from autofix.deliver import routing_plot, routing_report, terminal
from autofix.model import Problem

_VERDICTS = tuple(v.value for v in Verdict if v is not Verdict.BALANCED)
_PLOTS = (".svg", ".html")
_DEFAULTS = Thresholds()


class RoutingFormat(str, enum.Enum):
    TEXT = "text"
    JSON = "json"


def _default(bounds: tuple[Condition, ...]) -> str:
    return ",".join(map(str, bounds))


def routing_command(
    log: Annotated[
        str,
        typer.Argument(
            help="Counts per expert: printed tensors, JSON lines, CSV, numpy or torch.save; '-' reads standard input."
        ),
    ],
    validation: Annotated[str | None, typer.Option(help="The same of a validation run, to compare with.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What makes the exit status 1 (repeat, or separate by commas): a bound such as cv>0.3 on "
            f"{', '.join(METRICS)}, or a verdict: {', '.join(_VERDICTS)} (or worse)."
        ),
    ] = None,
    moderate: Annotated[
        str | None, typer.Option(help="What is moderate.", show_default=_default(_DEFAULTS.moderate))
    ] = None,
    high: Annotated[
        str | None, typer.Option(help="What is highly imbalanced.", show_default=_default(_DEFAULTS.high))
    ] = None,
    severe: Annotated[
        str | None, typer.Option(help="What is severely imbalanced.", show_default=_default(_DEFAULTS.severe))
    ] = None,
    dead_below: Annotated[
        float,
        typer.Option(min=0, max=1, help="An expert with less of an even share in the last quarter is dead."),
    ] = DEAD_BELOW,
    plot: Annotated[
        Path | None, typer.Option(help="Write the load of each expert over time to this .svg or .html file.")
    ] = None,
    output_format: Annotated[RoutingFormat, typer.Option(help="How the balance is reported.")] = RoutingFormat.TEXT,
) -> None:
    """Measure expert balance in a training log, and say what to do next.

    Exit status: 0 measured, 1 something of --fail-on holds, 2 usage or a file that cannot be read.
    """
    bounds, worst = _failing(fail_on)
    thresholds = Thresholds(
        _bounds("--moderate", moderate, _DEFAULTS.moderate),
        _bounds("--high", high, _DEFAULTS.high),
        _bounds("--severe", severe, _DEFAULTS.severe),
    )
    if plot is not None and plot.suffix.lower() not in _PLOTS:
        _fail(f"--plot {plot}: the name must end in {' or '.join(_PLOTS)}")
    if log == validation == STDIN:
        _fail("only one log can be read from standard input")
    read_log = _read(log)
    read_validation = _read(validation) if validation is not None else None
    training = balances(read_log, dead_below)
    compared = compare(training, balances(read_validation, dead_below)) if read_validation else {}
    layers = tuple((one, judge(one, thresholds), compared.get(one.name)) for one in training)
    if read_validation and not compared:
        _fail(f"{read_validation.path}: has no layer with a name and a number of experts as in {read_log.path}")
    report = routing_report.RoutingReport(
        read_log, read_validation, layers, advice(layers), failing(layers, bounds, worst)
    )
    if plot is not None:
        _write(plot, report)
    if output_format is RoutingFormat.JSON:
        sys.stdout.write(routing_report.as_json(report))
    else:
        routing_report.show(terminal.console(), report)
    err = terminal.console(stderr=True)
    for one in (read_log, read_validation):
        for line in routing_report.skipped_lines(one) if one else []:
            err.print(f"autofix: {line}")
    raise typer.Exit(1 if report.holding else 0)


def _read(path: str) -> RoutingLog:
    found = read(path)
    if isinstance(found, Problem):
        _fail(f"{found.path}{f':{found.line}' if found.line else ''}: {found.message}")
    return found


def _write(path: Path, report: routing_report.RoutingReport) -> None:
    text = routing_plot.as_html(report) if path.suffix.lower() == ".html" else routing_plot.as_svg(report)
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror or error}")


def _failing(given: list[str] | None) -> tuple[tuple[Condition, ...], Verdict | None]:
    """The bounds of --fail-on, and the mildest verdict that fails."""
    found: list[Condition] = []
    verdicts: list[Verdict] = []
    for part in (one.strip() for text in given or [] for one in text.split(",")):
        if part in _VERDICTS:
            verdicts.append(Verdict(part))
        elif part.isalpha():
            known = (*_VERDICTS, *METRICS)
            takes = f"it takes {', '.join(_VERDICTS)}, or a bound on {', '.join(METRICS)}, such as cv>0.3"
            _fail(f"--fail-on knows no {part!r}{suggestion(part, known)}; {takes}")
        else:
            found.extend(_bounds("--fail-on", part, ()))
    return tuple(found), min(verdicts, key=lambda v: v.rank, default=None)


def _bounds(option: str, text: str | None, default: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if text is None:
        return default
    found = conditions(text)
    if isinstance(found, str):
        _fail(f"{option}: {found}")
    return found


def _fail(message: str) -> NoReturn:
    terminal.console(stderr=True).print(f"autofix: {message}")
    raise typer.Exit(2)
