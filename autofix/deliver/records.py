"""Findings as JSON records: one array, one element per finding."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

from autofix.model import Evidence, Fix
from autofix.report import FileReport, Item, Report


def as_json(report: Report) -> str:
    """The report as one JSON array, indented, with a final line break."""
    records = [record(file, item) for file in report.files for item in file.items]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def record(file: FileReport, item: Item) -> dict[str, Any]:
    finding = item.finding
    return {
        "rule": finding.rule,
        "path": finding.path,
        "line": finding.start.line,
        "column": finding.start.column,
        "end_line": finding.end.line,
        "end_column": finding.end.column,
        "message": finding.message,
        "severity": finding.severity.value,
        "applicability": finding.applicability.value,
        "fix": _fix(finding.fix, file.source.data) if finding.fix else None,
        "unfixed_reason": finding.unfixed_reason or None,
        "evidence": _evidence(item.evidence) if item.evidence else None,
        "status": item.status.value,
    }


def _fix(fix: Fix, data: bytes) -> dict[str, Any]:
    """Edits as byte offsets into the file, and as 1-based lines and byte columns of its first pass."""
    starts = [0]
    for index, byte in enumerate(data):
        if byte == 0x0A:
            starts.append(index + 1)

    def place(offset: int) -> dict[str, int]:
        line = bisect_right(starts, offset)
        return {"line": line, "column": offset - starts[line - 1] + 1, "offset": offset}

    edits = [{"start": place(e.span.start), "end": place(e.span.end), "text": e.text} for e in fix.edits]
    return {"title": fix.title, "edits": edits}


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "verdict": evidence.verdict.value,
        "level": evidence.level.value if evidence.level else None,
        "witness": evidence.witness or None,
        "witness_summary": evidence.witness_summary or None,
        "reason": evidence.reason or None,
        "seconds": round(evidence.seconds, 4),
        "exact": evidence.exact,
        "change": evidence.change or None,
        "assumptions": list(evidence.assumptions),
        "sandbox": evidence.sandbox or None,
        "claims": [{"name": c.name, "held": c.held, "detail": c.detail} for c in evidence.claims],
    }
