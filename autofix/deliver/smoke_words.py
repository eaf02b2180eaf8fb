"""What running a class showed, in lines for a person: what happened, where, and what to do next."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from autofix.smoke.modules.smoke import Check, ClassReport, Layer, by_verdict
from autofix.smoke.modules.suggest import Origin, Suggestion

_SHOWN_NAMES = 4
_BARS = "▁▂▃▄▅▆▇█"


def notes_of(one: ClassReport) -> list[str]:
    """What a person should know of a class, in lines: nothing where all is well."""
    lines: list[str] = []
    if one.reason:
        lines.append(one.reason)
    if one.origin:
        lines += origin_lines(one.origin)
        lines += suggestion_lines(one.suggestion)
    if one.missing_gradient:
        lines.append(f"no gradient: {listed(one.missing_gradient)}")
        if not one.origin and all(one.suggestion != c.suggestion for c in one.checks):
            lines += suggestion_lines(one.suggestion)
    lines += check_lines(one)
    if one.stand_ins:
        lines.append(f"stand-ins: {', '.join(one.stand_ins)}")
    lines += ablation_lines(one)
    if lines and one.stepped and _is_noteworthy(one):
        lines.append(f"run as: {run_as(one)}")
    if one.verdict == "could-not-synthesise" and not one.reason.startswith("importing "):
        lines.append(f'give an example in pyproject.toml: [tool.autofix.example."{one.module}:{one.name}"]')
    return lines


def _is_noteworthy(one: ClassReport) -> bool:
    return bool(one.reason or one.missing_gradient or any(c.held is False for c in one.checks))


def origin_lines(origin: Origin) -> list[str]:
    """The operation and its line, the code of that line, and what the operation was given."""
    what = {
        "forward": f"{origin.operation} gave the first value that is not finite",
        "backward": f"the gradient of {origin.operation} is the first that is not finite",
        "initialisation": "memory is used as it was found",
    }[origin.when]
    where = f", {origin.place}" if origin.place else ""
    inside = f" in {origin.function}" if origin.function and not origin.function.startswith("<") else ""
    lines = [f"{what}{where}{inside}{':' if origin.code else ''}"]
    if origin.code:
        lines.append(f"    {origin.code}")
    if origin.detail:
        lines.append(origin.detail)
    return lines


def suggestion_lines(suggestion: Suggestion) -> list[str]:
    if not suggestion.command:
        return [f"to do: {suggestion.words}"] if suggestion.words else []
    return [f"to do: {suggestion.words}", f"    {suggestion.command}"]


def check_lines(one: ClassReport) -> list[str]:
    """Checks that did not hold; those that broke at the same line are told together."""
    together: dict[tuple[str, str], list[Check]] = defaultdict(list)
    for check in one.checks:
        if check.held is False:
            place = check.origin.place if check.origin else ""
            together[place, "" if place else check.detail].append(check)
    lines: list[str] = []
    told = {one.suggestion} if one.origin else set()
    for checks in together.values():
        names = ", ".join(check.name for check in checks)
        first = checks[0]
        lines.append(f"{names}: {first.detail}")
        if first.origin:
            lines += origin_lines(first.origin)
        if first.suggestion not in told:
            lines += suggestion_lines(first.suggestion)
        told.add(first.suggestion)
    return lines


def unrun_lines(one: ClassReport) -> list[str]:
    """Each check that was not run, and why."""
    return [f"{c.name}: {c.detail}" for c in one.checks if c.held is None]


def ablation_lines(one: ClassReport) -> list[str]:
    found = one.ablation
    if not found:
        return []
    if found.get("reason"):
        return [f"ablation: {found['reason']}"]
    routed, dense = found["routed_losses"], found["dense_losses"]
    lines = [f"ablation: {'; '.join(found['changed'][:_SHOWN_NAMES])}"]
    if routed and dense:
        finite = [v for v in (*routed, *dense) if math.isfinite(v)]
        for title, losses in (("as it is", routed), ("all on", dense)):
            curve = sparkline(losses, min(finite, default=0.0), max(finite, default=0.0))
            lines.append(f"    {title:8} {curve}  loss {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps")
    lost = sorted(set(found["routed_missing"]) - set(found["dense_missing"]))
    if lost:
        lines.append(f"only with all on a gradient reaches {listed(lost)}")
    elif routed and dense:
        lines.append(_compared(routed, dense))
    return lines


def _compared(routed: Sequence[float], dense: Sequence[float]) -> str:
    """The fall of the loss over the same steps, side by side."""
    one, other = routed[0] - routed[-1], dense[0] - dense[-1]
    if not (math.isfinite(one) and math.isfinite(other)):
        return "one of the two is not finite"
    if other > 1.5 * max(one, 0.0) and other > 0.0:
        return f"with all on the loss falls by {other:.3g}, as it is by {one:.3g}: the choice costs learning"
    return f"the loss falls by {one:.3g} as it is, by {other:.3g} with all on: the choice does not hinder learning"


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """One bar a value, on the scale from `low` to `high`; a cross where it is not finite."""
    span = high - low
    bars = []
    for value in values:
        if not math.isfinite(value):
            bars.append("×")
        else:
            share = (value - low) / span if span > 0 else 0.0
            bars.append(_BARS[min(len(_BARS) - 1, max(0, round(share * (len(_BARS) - 1))))])
    return "".join(bars)


def run_as(one: ClassReport) -> str:
    """How it was built and called: "Block(dim=32), x: normal 2x16x32"."""
    if "" in one.arguments:
        return one.arguments[""]
    built = ", ".join(f"{name}={text}" for name, text in one.arguments.items())
    called = ", ".join(f"{name}: {text}" for name, text in one.inputs.items())
    return f"{one.name}({built}){', ' if called else ''}{called}"


def loss_of(one: ClassReport) -> str:
    if not one.losses:
        return ""
    return f"{one.losses[0]:.3g} → {one.losses[-1]:.3g}" if len(one.losses) > 1 else f"{one.losses[0]:.3g}"


def checks_of(one: ClassReport) -> str:
    """How many held, failed and were not run."""
    if not one.checks:
        return ""
    held, failed, unrun = (sum(c.held is state for c in one.checks) for state in (True, False, None))
    return f"{held} held{f', {failed} failed' if failed else ''}{f', {unrun} not run' if unrun else ''}"


def layer_rows(layers: Sequence[Layer]) -> list[tuple[str, str, str, str, str]]:
    """Name, kind, parameters, gradient and its ratio to the weight, as text."""
    rows = []
    for one in layers:
        gradient = "none" if one.gradient is None else f"{one.gradient:.2e}"
        ratio = "" if one.gradient is None or not one.weight else f"{one.gradient / one.weight:.1e}"
        rows.append((one.name, one.kind, f"{one.parameters:,}", gradient, ratio))
    return rows


def listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return f"{', '.join(names[:_SHOWN_NAMES])}{f' and {more} more' if more > 0 else ''}"


def summary(reports: Sequence[ClassReport]) -> list[str]:
    """How many classes, by verdict; how many checks; what could not be run at all."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(by_verdict(reports).items()))
    stepped = sum(one.stepped for one in reports)
    total = len(reports)
    share = f" ({100 * stepped / total:.0f} %)" if total else ""
    lines = [f"{total} class{'es' * (total != 1)}, {stepped} took a step{share}: {counts or 'none'}"]
    states = [c.held for one in reports for c in one.checks]
    if states:
        lines.append(
            f"checks: {states.count(True)} held, {states.count(False)} failed, {states.count(None)} not run"
            f"{' (--verbose says why)' if None in states else ''}"
        )
    lines.extend(f"sandbox: {words}" for words in dict.fromkeys(one.sandbox for one in reports if one.sandbox))
    return lines


def together(reports: Iterable[ClassReport]) -> list[list[ClassReport]]:
    """The classes in order; those of a module that could not be imported in one group, since they share the reason."""
    groups: dict[tuple[str, str], list[ClassReport]] = {}
    for one in reports:
        shared = one.reason if one.reason.startswith("importing ") else ""
        groups.setdefault((one.path, shared) if shared else (one.path, f"{one.name}:{one.line}"), []).append(one)
    return list(groups.values())
