"""What running the classes showed: a table for people, JSON and JUnit for machines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autofix.smoke.modules.smoke import ClassReport, by_verdict

_STYLE = {
    "full-gradient": "green",
    "partial-gradient": "yellow",
    "no-parameters": "dim",
    "non-finite": "bold red",
    "failed": "red",
    "could-not-synthesise": "yellow",
}
_SHOWN_NAMES = 4


def show(out: Console, reports: Sequence[ClassReport]) -> None:
    """One row a class, what was seen below it, and a summary. Wide enough for the names that it must show."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("class", "verdict", "seconds", "notes"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for one in reports:
        notes = "\n".join(notes_of(one))
        place = Text(one.name)
        place.append(f"\n{one.path}:{one.line}", "dim")
        table.add_row(place, Text(one.verdict, _STYLE[one.verdict]), f"{one.seconds:.2f}", Text(notes))
    out.print(table)
    out.print(summary(reports))


def notes_of(one: ClassReport) -> list[str]:
    """What a person should know of a class, in lines: nothing where all is well."""
    lines: list[str] = []
    if one.reason:
        lines.append(one.reason)
    if one.missing_gradient:
        shown = ", ".join(one.missing_gradient[:_SHOWN_NAMES])
        more = len(one.missing_gradient) - _SHOWN_NAMES
        lines.append(f"no gradient: {shown}{f' and {more} more' if more > 0 else ''}")
    lines += [f"{c.name}: {c.detail}" for c in one.checks if c.held is False]
    if one.stand_ins:
        lines.append(f"stand-ins: {', '.join(one.stand_ins)}")
    if one.rule:
        lines.append(f"see `autofix explain {one.rule}`")
    lines += _ablation_lines(one)
    if one.verdict == "could-not-synthesise":
        lines.append(f'give an example: [tool.autofix.example."{one.module}:{one.name}"]')
    return lines


def _ablation_lines(one: ClassReport) -> list[str]:
    found = one.ablation
    if not found:
        return []
    if found.get("reason"):
        return [f"ablation: {found['reason']}"]
    routed, dense = found["routed_losses"], found["dense_losses"]
    lines = [f"ablation: {'; '.join(found['changed'][:_SHOWN_NAMES])}"]
    if routed and dense:
        lines.append(
            f"loss {routed[0]:.4g} to {routed[-1]:.4g} as it is, {dense[0]:.4g} to {dense[-1]:.4g} with all on"
        )
    lost = sorted(set(found["routed_missing"]) - set(found["dense_missing"]))
    if lost:
        lines.append(f"only with all on a gradient reaches {', '.join(lost[:_SHOWN_NAMES])}")
    return lines


def summary(reports: Sequence[ClassReport]) -> str:
    """One line: how many classes, by verdict, and in what time."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(by_verdict(reports).items()))
    stepped = sum(one.stepped for one in reports)
    total = len(reports)
    share = f" ({100 * stepped / total:.0f} %)" if total else ""
    return f"{total} class{'es' * (total != 1)}, {stepped} took a step{share}: {counts or 'none'}"


def as_json(reports: Iterable[ClassReport]) -> str:
    """One array; each element has `class`, `path`, `line`, `verdict`, `missing_gradient`, `stand_ins`, `reason`,
    `seconds`, and the checks, arguments and losses."""
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
        "rule": one.rule,
        "losses": [_number(loss) for loss in one.losses],
        "checks": [{"name": c.name, "held": c.held, "detail": c.detail} for c in one.checks],
        "arguments": dict(one.arguments),
        "inputs": dict(one.inputs),
        "ablation": {k: [_number(i) for i in v] if isinstance(v, list) else v for k, v in one.ablation.items()},
    }


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinities: they become text."""
    return str(value) if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def as_junit(reports: Sequence[ClassReport]) -> str:
    """A test case for each class: non-finite and failed are failures, what could not be synthesised is skipped."""
    bad = sum(not one.finite or one.verdict == "failed" for one in reports)
    skipped = sum(one.verdict == "could-not-synthesise" for one in reports)
    suite = ElementTree.Element(
        "testsuite", name="autofix smoke", tests=str(len(reports)), failures=str(bad), skipped=str(skipped),
        errors="0", time=f"{sum(one.seconds for one in reports):.3f}",
    )  # fmt: skip
    for one in reports:
        case = ElementTree.SubElement(
            suite, "testcase", classname=one.module, name=one.name, file=one.path, line=str(one.line),
            time=f"{one.seconds:.3f}",
        )  # fmt: skip
        text = _clean("\n".join(notes_of(one)))
        first = text.partition("\n")[0]
        if one.verdict == "could-not-synthesise":
            ElementTree.SubElement(case, "skipped", message=first)
        elif not one.finite or one.verdict == "failed":
            kind = "failed" if one.verdict == "failed" else "non-finite"
            ElementTree.SubElement(case, "failure", type=kind, message=first).text = text
        elif text:
            ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c >= " " or c in "\n\t")


def exit_status(reports: Iterable[ClassReport]) -> int:
    """1 when something was non-finite or a class failed in its own code, else 0."""
    return int(any(not one.finite or one.verdict == "failed" for one in reports))
