"""Findings in reviewdog's diagnostic format: comments on a review, with suggestions to commit on a click."""

from __future__ import annotations

import json
from typing import Any

from autofix.deliver import words
from autofix.deliver.places import Located, Place, as_one, as_severity, located
from autofix.report import Report, is_left

_SEVERITIES = ("ERROR", "WARNING", "INFO")


def render(report: Report, pending: bool) -> str:
    """The findings that are left. Columns count bytes of UTF-8; a fix of several edits is one suggestion."""
    diagnostics = [_diagnostic(one) for one in located(report) if is_left(one.item, pending)]
    return json.dumps({"source": {"name": "autofix"}, "diagnostics": diagnostics}, indent=2, ensure_ascii=False) + "\n"


def _diagnostic(found: Located) -> dict[str, Any]:
    finding = found.item.finding
    suggestion = as_one(found)
    suggestions = [{"range": _range(suggestion.place), "text": suggestion.text}] if suggestion else []
    return {
        "message": "\n".join([finding.message, *words.item_lines(found.item)]),
        "location": {"path": found.path, "range": _range(found.place)},
        "severity": as_severity(finding.severity, _SEVERITIES),
        "code": {"value": finding.rule},
        "suggestions": suggestions,
    }


def _range(place: Place) -> dict[str, dict[str, int]]:
    return {
        "start": {"line": place.start.line, "column": place.start_byte},
        "end": {"line": place.end.line, "column": place.end_byte},
    }
