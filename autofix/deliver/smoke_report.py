"""What running the classes showed: tables and text for people, JSON and JUnit for machines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autofix.deliver import smoke_words as words
from autofix.deliver.smoke_words import notes_of
from autofix.smoke.modules.smoke import Check, ClassReport
from autofix.smoke.modules.suggest import Origin

__all__ = [
    "FAILING",
    "VERDICTS",
    "as_json",
    "as_junit",
    "exit_status",
    "notes_of",
    "nothing_imported",
    "record",
    "show",
]

_STYLE = {
    "full-gradient": "green",
    "partial-gradient": "yellow",
    "no-parameters": "dim",
    "non-finite": "bold red",
    "failed": "red",
    "could-not-synthesise": "yellow",
}
VERDICTS = tuple(_STYLE)
FAILING = ("non-finite", "failed")  # what a run fails on unless told otherwise
_PIPE_WIDTH = 500
_HELD = {True: ("held", "green"), False: ("failed", "red"), None: ("not run", "yellow")}


# -- for people ------------------------------------------------------------------------------------------------


def show(out: Console, reports: Sequence[ClassReport], verbose: bool = False) -> None:
    """On a terminal a table of the classes and, below it, what there is to say of each; in a pipe a line a class, as
    `path:line: class: verdict`, with the rest indented below. verbose: every check and every layer, too."""
    if out.is_terminal:
        out.print(_overview(reports), soft_wrap=False)
    for group in words.together(reports):
        notes = words.notes_of(group[0])
        if verbose:
            notes += _verbose_notes(group[0])
        if out.is_terminal and not notes:
            continue
        if out.is_terminal:
            out.print()
        for one in group:
            out.print(_heading(one), soft_wrap=not out.is_terminal, overflow="fold")
        for line in notes:
            _print_note(out, line)
        if verbose:
            for table in _tables(group[0]):
                _print_table(out, table)
    if out.is_terminal and reports:
        out.print()
    for line in words.summary(reports):
        out.print(line, soft_wrap=not out.is_terminal)


def _overview(reports: Sequence[ClassReport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("class", "verdict", "loss", "checks", "s"):
        table.add_column(heading, justify="right" if heading == "s" else "left", overflow="fold")
    for one in reports:
        table.add_row(
            one.name, Text(one.verdict, _STYLE[one.verdict]), words.loss_of(one), words.checks_of(one),
            f"{one.seconds:.2f}",
        )  # fmt: skip
    return table


def _heading(one: ClassReport) -> Text:
    text = Text(f"{one.path}:{one.line}: ")
    text.append(one.name, "bold")
    text.append(": ")
    text.append(one.verdict, _STYLE[one.verdict])
    return text


def _print_note(out: Console, line: str) -> None:
    """Indented, and on a terminal folded within its width with the same indent."""
    depth = 4 + len(line) - len(line.lstrip())
    style = "cyan" if line.lstrip().startswith("autofix ") else "dim" if line.startswith("run as: ") else ""
    if out.is_terminal:
        out.print(Padding(Text(line.lstrip(), style, overflow="fold"), (0, 0, 0, depth)), soft_wrap=False)
    else:
        out.print(Text(" " * depth + line.lstrip()))


def _print_table(out: Console, table: Table) -> None:
    """Within a terminal's width; in a pipe as wide as its cells."""
    width = None if out.is_terminal else _PIPE_WIDTH
    out.print()
    out.print(Padding(table, (0, 0, 0, 4), expand=False), soft_wrap=False, width=width, crop=out.is_terminal)


def _verbose_notes(one: ClassReport) -> list[str]:
    run = f"run as: {words.run_as(one)}"
    return [run] if one.stepped and run not in words.notes_of(one) else []


def _tables(one: ClassReport) -> list[Table]:
    found = []
    if one.checks:
        checks = _table("check", "result", "detail")
        for check in one.checks:
            text, style = _HELD[check.held]
            checks.add_row(check.name, Text(text, style), check.detail)
        found.append(checks)
    if one.layers:
        layers = _table("layer", "kind", "parameters", "gradient", "gradient/weight", right=("parameters", "gradient"))
        for row in words.layer_rows(one.layers):
            layers.add_row(*row)
        found.append(layers)
    return found


def _table(*headings: str, right: Collection[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


# -- for machines ----------------------------------------------------------------------------------------------


def as_json(reports: Iterable[ClassReport]) -> str:
    """One array; each element has `class`, `path`, `line`, `verdict`, `missing_gradient`, `stand_ins`, `reason`,
    `seconds`, and the origin, the checks, the layers, the arguments and the losses."""
    return json.dumps([record(one) for one in reports], indent=2, ensure_ascii=False) + "\n"


def record(one: ClassReport) -> dict[str, Any]:
    return {
        "class": one.name,
        "module": one.module,
        "path": one.path,
        "line": one.line,
        "verdict": one.verdict,
        "missing_gradient": list(one.missing_gradient),
        "stand_ins": list(one.stand_ins),
        "reason": one.reason,
        "seconds": one.seconds,
        "origin": _origin(one.origin),
        "rule": one.rule,
        "suggestion": one.suggestion.words,
        "command": one.suggestion.command,
        "losses": [_number(loss) for loss in one.losses],
        "gradient_norms": [_number(norm) for norm in one.gradient_norms],
        "checks": [_check(c) for c in one.checks],
        "layers": [
            {
                "name": layer.name, "kind": layer.kind, "parameters": layer.parameters,
                "gradient": _number(layer.gradient), "weight": _number(layer.weight),
            }
            for layer in one.layers
        ],
        "arguments": dict(one.arguments),
        "inputs": dict(one.inputs),
        "sandbox": one.sandbox,
        "ablation": {k: [_number(i) for i in v] if isinstance(v, list) else v for k, v in one.ablation.items()},
    }  # fmt: skip


def _check(one: Check) -> dict[str, Any]:
    return {
        "name": one.name, "held": one.held, "detail": one.detail, "finite": one.finite, "origin": _origin(one.origin),
        "rule": one.suggestion.rule, "command": one.suggestion.command,
    }  # fmt: skip


def _origin(one: Origin | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "operation": one.operation, "pass": one.when, "path": one.path, "line": one.line, "function": one.function,
        "code": one.code, "detail": one.detail,
    }  # fmt: skip


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinities: they become text."""
    return str(value) if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def as_junit(reports: Sequence[ClassReport], fail_on: Collection[str] = FAILING) -> str:
    """A test case for each class: what the run fails on is a failure, what could not be synthesised is skipped."""
    bad = sum(fails(one, fail_on) for one in reports)
    skipped = sum(_is_skipped(one, fail_on) for one in reports)
    suite = ElementTree.Element(
        "testsuite", name="autofix smoke", tests=str(len(reports)), failures=str(bad), skipped=str(skipped),
        errors="0", time=f"{sum(one.seconds for one in reports):.3f}",
    )  # fmt: skip
    for one in reports:
        case = ElementTree.SubElement(
            suite, "testcase", classname=one.module, name=one.name, file=one.path, line=str(one.line),
            time=f"{one.seconds:.3f}",
        )  # fmt: skip
        text = _clean("\n".join([*words.notes_of(one), *words.unrun_lines(one)]))
        first = text.partition("\n")[0]
        if fails(one, fail_on):
            kind = one.verdict if one.verdict in fail_on else "non-finite" if not one.finite else "check"
            ElementTree.SubElement(case, "failure", type=kind, message=first).text = text
        elif _is_skipped(one, fail_on):
            ElementTree.SubElement(case, "skipped", message=first)
        elif text:
            ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _is_skipped(one: ClassReport, fail_on: Collection[str]) -> bool:
    return one.verdict == "could-not-synthesise" and not fails(one, fail_on)


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c >= " " or c in "\n\t")


# -- exit status -----------------------------------------------------------------------------------------------


def fails(one: ClassReport, fail_on: Collection[str] = FAILING) -> bool:
    """Whether a class makes the run fail. A check that met something non-finite counts as non-finite; "check" makes
    every check count that did not hold."""
    if one.verdict in fail_on:
        return True
    if "non-finite" in fail_on and not one.finite:
        return True
    return "check" in fail_on and any(c.held is False for c in one.checks)


def exit_status(reports: Iterable[ClassReport], fail_on: Collection[str] = FAILING) -> int:
    """1 when a class fails the run, else 0."""
    return int(any(fails(one, fail_on) for one in reports))


def nothing_imported(reports: Sequence[ClassReport]) -> bool:
    """Whether every class is missing for want of its module: then nothing was tried, which is neither a pass nor a
    failure."""
    return bool(reports) and all(one.reason.startswith("importing ") and not one.stepped for one in reports)
