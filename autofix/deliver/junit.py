"""Findings as JUnit XML: a suite for each file, a test case for each finding, a failure for each one that is left."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import groupby

from autofix.deliver import words
from autofix.deliver.places import Located, located, relative
from autofix.model import Problem
from autofix.report import Report, is_left

# What XML 1.0 has no way to write: control characters and lone surrogates.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report, pending: bool) -> str:
    """A run that finds nothing is one case that passes; a file that could not be processed is an error."""
    root = ElementTree.Element("testsuites", name="autofix", time=f"{report.seconds:.3f}")
    for path, group in groupby(located(report), lambda one: one.path):
        _suite(root, path, list(group), pending)
    for problem in report.problems:
        _problem(root, problem)
    if not len(root):
        suite = ElementTree.SubElement(root, "testsuite", name="autofix", tests="1", failures="0", errors="0")
        ElementTree.SubElement(suite, "testcase", classname="autofix", name=f"{words.plural(report.scanned, 'file')}")
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, path: str, found: Sequence[Located], pending: bool) -> None:
    failures = sum(is_left(one.item, pending) for one in found)
    suite = ElementTree.SubElement(
        root, "testsuite", name=_clean(path), tests=str(len(found)), failures=str(failures), errors="0"
    )
    for one in found:
        finding, start = one.item.finding, one.place.start
        case = ElementTree.SubElement(
            suite, "testcase", classname=_clean(path), name=f"{finding.rule} {start.line}:{start.column}",
            file=_clean(path), line=str(start.line),
        )  # fmt: skip
        text = _clean("\n".join(words.item_lines(one.item)))
        if is_left(one.item, pending):
            message = _clean(finding.message)
            ElementTree.SubElement(case, "failure", type=finding.severity.value, message=message).text = text
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(f"{finding.message}\n{text}")


def _problem(root: ElementTree.Element, problem: Problem) -> None:
    path = _clean(relative(problem.path))
    suite = ElementTree.SubElement(root, "testsuite", name=path, tests="1", failures="0", errors="1")
    case = ElementTree.SubElement(suite, "testcase", classname=path, name="readable", file=path)
    ElementTree.SubElement(case, "error", type="unread", message=_clean(problem.message))


def _clean(text: str) -> str:
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
