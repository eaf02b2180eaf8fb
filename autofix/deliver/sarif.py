"""Findings as SARIF 2.1.0: rules with their pages, results with fixes, evidence in the properties."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autofix import __version__
from autofix.deliver import words
from autofix.deliver.explain import page_markdown
from autofix.deliver.places import Located, Place, as_severity, located, offsets, relative, replacements
from autofix.model import Evidence, Problem, Severity, Source, Span
from autofix.registry import all_rules
from autofix.report import Report, Status, is_left
from autofix.rule import Rule

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = ("error", "warning", "note")
_GITHUB = ("error", "warning", "recommendation")  # what GitHub calls a rule's severity


def render(report: Report, pending: bool) -> str:
    """One SARIF log with one run. pending: patches are shown and not written, so that their findings are open."""
    found = list(located(report))
    names = {one.item.finding.rule for one in found}
    rules = [rule for rule in all_rules() if rule.name in names]
    run = {
        "tool": {
            "driver": {
                "name": "autofix",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "originalUriBaseIds": {_ROOT: {"uri": Path.cwd().as_uri().rstrip("/") + "/"}},
        "invocations": [
            {
                "executionSuccessful": not any("internal error" in p.message for p in report.problems),
                "toolExecutionNotifications": [_notification(p) for p in report.problems],
            }
        ],
        "results": [_result(one, [rule.name for rule in rules], pending) for one in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    page = page_markdown(rule)
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.sections.get("summary") or rule.summary},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"enabled": rule.by_default, "level": _level(rule.severity)},
        "properties": {
            "problem.severity": as_severity(rule.severity, _GITHUB),
            "precision": "high",
            "tags": ["pytorch", "numerical-stability"],
        },
    }


def _level(severity: Severity) -> str:
    return as_severity(severity, _LEVELS)


def _result(found: Located, rules: Sequence[str], pending: bool) -> dict[str, Any]:
    item, finding = found.item, found.item.finding
    done = item.status is Status.PATCHED and not is_left(item, pending)
    location: dict[str, Any] = {"artifactLocation": _uri(found.path), "region": _region(found.place)}
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "kind": "informational" if done else "fail",
        "level": "none" if done else _level(finding.severity),
        "message": {"text": "\n".join([finding.message, *words.item_lines(item)])},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"autofix/v1": found.fingerprint},
        "properties": _properties(found),
    }
    edits = replacements(found)
    if finding.fix and edits:
        change = {
            "artifactLocation": _uri(found.path),
            "replacements": [
                {
                    "deletedRegion": _edited_region(found.source, span, one.place),
                    "insertedContent": {"text": one.text},
                }
                for span, one in edits
            ],
        }
        result["fixes"] = [{"description": {"text": finding.fix.title}, "artifactChanges": [change]}]
    return result


def _properties(found: Located) -> dict[str, Any]:
    item = found.item
    properties: dict[str, Any] = {"status": item.status.value, "applicability": item.finding.applicability.value}
    if item.finding.unfixed_reason:
        properties["unfixedReason"] = item.finding.unfixed_reason
    return properties | (_evidence(item.evidence) if item.evidence else {})


def _evidence(evidence: Evidence) -> dict[str, Any]:
    facts = {
        "verdict": evidence.verdict.value,
        "level": evidence.level.value if evidence.level else None,
        "exact": evidence.exact,
        "witness": evidence.witness,
        "witnessSummary": evidence.witness_summary,
        "reason": evidence.reason,
        "change": evidence.change,
        "assumptions": list(evidence.assumptions),
        "sandbox": evidence.sandbox,
    }
    return {"evidence": {name: fact for name, fact in facts.items() if fact not in (None, "", [])}}


def _uri(path: str) -> dict[str, str]:
    """Relative to the source root, or absolute for a file that lies elsewhere."""
    if os.path.isabs(path):
        return {"uri": "file://" + quote(os.fsencode(path))}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": _ROOT}


def _region(place: Place) -> dict[str, int]:
    return {
        "startLine": place.start.line,
        "startColumn": place.start.column,
        "endLine": place.end.line,
        "endColumn": place.end.column,
    }


def _edited_region(source: Source, span: Span, place: Place) -> dict[str, int]:
    start, end = offsets(source, span)
    return {**_region(place), "charOffset": start, "charLength": end - start}


def _notification(problem: Problem) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _uri(relative(problem.path))}
    if problem.line:
        location["region"] = {"startLine": problem.line}
    return {
        "level": "warning",
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": location}],
    }
