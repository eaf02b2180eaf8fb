"""A generated file of regression tests, run as it lies in a copy of the project."""

from __future__ import annotations

import runpy
import sys
import time
from typing import Any


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """What each test did. spec: "path" of the file. The answer's "results" has, for each `test_...` by name,
    ["passed", ""], ["failed", the assertion's text] or ["raised", the error]."""
    sys.argv = [spec["path"]]
    found = runpy.run_path(spec["path"], run_name="autofix_regression")
    results: dict[str, list[str]] = {}
    for name, test in found.items():
        if not name.startswith("test_") or not callable(test):
            continue
        if time.monotonic() > deadline:
            results[name] = ["raised", "there was no time for it"]
            continue
        results[name] = _outcome(test)
    return {"verdict": "RAN", "results": results}


def _outcome(test: Any) -> list[str]:
    try:
        test()
    except AssertionError as error:
        return ["failed", str(error)[:4000]]
    except Exception as error:
        return ["raised", f"{type(error).__name__}: {str(error)[:300]}"]
    return ["passed", ""]
