"""Findings as GitLab's code quality report: the changes of a merge request, better or worse."""

from __future__ import annotations

import json
from typing import Any

from autofix.deliver.places import Located, as_severity, located
from autofix.report import Report, is_left

_SEVERITIES = ("critical", "major", "info")


def render(report: Report, pending: bool) -> str:
    """One array of the findings that are left."""
    issues = [_issue(one) for one in located(report) if is_left(one.item, pending)]
    return json.dumps(issues, indent=2, ensure_ascii=False) + "\n"


def _issue(found: Located) -> dict[str, Any]:
    finding = found.item.finding
    return {
        "description": finding.message,
        "check_name": finding.rule,
        "fingerprint": found.fingerprint,
        "severity": as_severity(finding.severity, _SEVERITIES),
        "location": {"path": found.path, "lines": {"begin": found.place.start.line, "end": found.place.end.line}},
    }
