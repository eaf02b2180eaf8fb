"""Jobs of kind "module": classes of the user's package, each built and trained in a process of its own.

Three processes deep: this one watches; the host imports the user's modules; a trial runs one class. Each is killed by
the one above it when it takes too long, so that no import and no class can keep the others from being tried.

spec: "paths" (folders for `sys.path`), "items" ({"id", "module", "path", "name"} and "example" or "within"),
"steps", "seed", "device", "dtype", "ablate", "checks", "class_seconds", "import_seconds".
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from . import child, synth_trial

_MARGIN = 1.5  # the host kills a trial itself; this is for a host that cannot
_MOST_HOSTS = 12
Serve = Callable[
    [dict[str, Any], list[dict[str, Any]], int, int], None
]  # what, which items, where to write, its parent
__all__ = ["run", "synth_trial"]  # synth_trial is loaded here, in the warm parent, so that no fork pays for it


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """{"verdict": "DONE", "results": {id: result}}; an item that was not reached is missing."""
    from . import synth_host

    child.adopt_orphans()
    return {"verdict": "DONE", "results": drive(spec, spec["items"], deadline, synth_host.serve)}


def drive(spec: dict[str, Any], items: list[dict[str, Any]], deadline: float, serve: Serve) -> dict[str, Any]:
    """Results by the items' ids, from hosts that `serve`: one after another, until none is needed."""
    pending = list(items)
    results: dict[str, Any] = {}
    for _ in range(_MOST_HOSTS):
        if not pending or time.monotonic() >= deadline - _MARGIN:
            break
        at, why = _hosted(spec, pending, deadline - _MARGIN, results, serve)
        pending = [item for item in pending if str(item["id"]) not in results]
        if why is None:
            break
        for item in list(pending):
            if at == item["module"] or at == item["id"]:
                results[str(item["id"])] = {"verdict": synth_trial.NOT_SYNTHESISED, "reason": why, "seconds": 0.0}
                pending.remove(item)
    return results


def _hosted(
    spec: dict[str, Any], items: list[dict[str, Any]], deadline: float, results: dict[str, Any], serve: Serve
) -> tuple[Any, str | None]:
    """Run a host until it ends. What it was doing when it had to be stopped, and why; (None, None) at the end."""
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        serve(spec, items, writing, parent)
    os.close(writing)
    at: Any = None
    limit = float(spec["import_seconds"])
    buffer = b""
    why: str | None = None
    try:
        while True:
            until = min(time.monotonic() + limit, deadline)
            if not select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
                late = time.monotonic() >= deadline
                what = "time ran out" if late else f"{_doing(at)} did not finish within {limit:g} s"
                return (None, what) if late else (at, what)
            data = os.read(reading, 1 << 16)
            if not data:
                why = f"{_doing(at)} ended the process"
                return at, why
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for message in map(json.loads, lines):
                if "end" in message:
                    return None, None
                if "importing" in message:
                    at, limit = message["importing"], float(spec["import_seconds"])
                elif "trying" in message:
                    at, limit = message["trying"], float(spec["class_seconds"]) + _MARGIN
                else:
                    results[str(message["id"])] = message["result"]
    finally:
        os.close(reading)
        _end(pid)


def _doing(at: Any) -> str:
    return f"importing {at}" if isinstance(at, str) else "it"


def _end(pid: int) -> None:
    """Kill the host and every process that it or its trials left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    for _ in range(20):
        for orphan in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(orphan, signal.SIGKILL)
        try:
            gone, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if gone == 0:
            select.select([], [], [], 0.005)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:
        return []
