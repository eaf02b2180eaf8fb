"""The sentences that every rendering shares: what a verdict, a status and a run mean."""

from __future__ import annotations

from autofix.model import Evidence, Verdict
from autofix.report import Item, Report, Status

_OF_MODULES = ("trains", "module-witness")


def why_not(item: Item) -> str:
    """Why a finding is not in the patch; empty when it is."""
    finding, evidence = item.finding, item.evidence
    if item.status is Status.ADVICE:
        return finding.unfixed_reason
    if item.status is Status.UNSAFE:
        return "the fix goes beyond what can be checked: --unsafe-fixes applies it"
    if item.status is Status.REFUTED:
        return f"running the fix refuted it: {evidence.reason if evidence else 'the smoke command failed after it'}"
    if item.status is Status.UNVERIFIED:
        reason = evidence.reason if evidence else ""
        return f"the fix could not be executed ({reason}): --allow-unverified applies it"
    if item.status is Status.UNWRITTEN:
        return "its file was not written"
    if item.status is Status.REJECTED:
        return f"the file would not compile after it ({item.note}): please report it"
    if item.status is Status.DEFERRED:
        return "its fix touches another one: run autofix again"
    return ""


def verdict(evidence: Evidence) -> str:
    """ "PROVED at expression level, EXACT" """
    parts = [evidence.verdict.value]
    if evidence.level:
        parts[0] += f" at {evidence.level.value} level"
    if evidence.verdict is not Verdict.INCONCLUSIVE and evidence.exact is not None:
        parts.append("EXACT" if evidence.exact else "REGULARISED")
    return ", ".join(parts)


def evidence_lines(evidence: Evidence) -> list[str]:
    """What running the fix showed, one fact a line."""
    facts = [f"evidence: {verdict(evidence)} in {evidence.seconds:.2f} s"]
    if evidence.witness_summary:
        facts.append(f"witness: {evidence.witness_summary}")
    if evidence.reason and evidence.reason != evidence.witness_summary:
        facts.append(f"reason: {evidence.reason}")
    facts.extend(f"routing task: {c.detail}" for c in evidence.claims if c.name == "learns" and c.held)
    facts.extend(f"module: {c.detail}" for c in evidence.claims if c.name in _OF_MODULES and c.held)
    if evidence.change:
        facts.append(f"changes: {evidence.change}")
    facts.extend(f"assumes: {a}" for a in evidence.assumptions)
    return indented(facts)


def indented(texts: list[str]) -> list[str]:
    """One list element a line; what follows a line break inside a text is indented below it."""
    out = []
    for text in texts:
        first, *more = text.splitlines() or [""]
        out.extend([first, *(f"    {line}" for line in more)])
    return out


def item_lines(item: Item) -> list[str]:
    """A finding in full, without its place."""
    lines = []
    if item.finding.fix:
        lines.append(f"fix ({item.finding.fix.applicability.value}): {item.finding.fix.title}")
    if item.evidence:
        lines.extend(evidence_lines(item.evidence))
    reason = why_not(item)
    if reason:
        lines.append(f"not patched: {reason}" if item.finding.fix else f"no fix: {reason}")
    return indented(lines)


def command_lines(report: Report) -> list[str]:
    """What each project's own smoke command showed."""
    lines = []
    for run in report.commands:
        lines.append(f"smoke command of {run.root}: {run.command}")
        lines.extend(f"    {line}" for line in evidence_lines(run.evidence))
    return lines


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def tally(report: Report) -> str:
    """ "12 findings in 340 files: 9 patched (8 PROVED, 1 CONSISTENT), 2 advice, 1 refuted" """
    items = list(report.items)
    total = f"{plural(len(items), 'finding')} in {plural(report.scanned, 'file')}"
    parts = []
    for status in Status:
        chosen = [i for i in items if i.status is status]
        if not chosen or status is Status.LISTED:
            continue
        text = f"{len(chosen)} {status.value}"
        verdicts = [v for v in Verdict if any(i.evidence and i.evidence.verdict is v for i in chosen)]
        if status is Status.PATCHED and verdicts:
            counted = [
                f"{sum(bool(i.evidence and i.evidence.verdict is v) for i in chosen)} {v.value}" for v in verdicts
            ]
            text += f" ({', '.join(counted)})"
        parts.append(text)
    return f"{total}: {', '.join(parts)}" if parts else total
