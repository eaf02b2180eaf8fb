"""The formats that other programs read, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autofix.deliver import annotations as github
from autofix.deliver import gitlab, junit, rdjson, records, sarif
from autofix.report import Report

# Each takes the report, and whether patches are only shown (their findings are open then).
FORMATS: Mapping[str, Callable[[Report, bool], str]] = {
    "json": lambda report, pending: records.as_json(report),
    "sarif": sarif.render,
    "github": github.render,
    "rdjson": rdjson.render,
    "junit": junit.render,
    "gitlab": gitlab.render,
}


def as_bytes(report: Report, name: str, pending: bool) -> bytes:
    """The report in a format, as UTF-8. A byte of a file's name that is no UTF-8 becomes the escape `\\udcXX`, which
    JSON reads."""
    return FORMATS[name](report, pending).encode("utf-8", "backslashreplace")
