"""Jobs of kind "patched": the classes that run a fix's lines, before and after it, from the same arguments and seed.

A host imports the user's modules once. Each version of a file is then executed again under the module's own name in a
fork of the host, the original as well as the patched one, so that both start alike. A module that cannot be executed
twice in one process gets a host for each version instead.

spec: "paths" (folders for `sys.path`), "items" (one a fix: {"id", "module", "path", "before", "after" (bytes as
latin-1), "before_ranges", "after_ranges" (first and last lines of the changed statements), "classes" (those that may
run them, the nearest first), "methods" (by class, the method that was changed), "names" (words near the change),
"examples" (by class)}), "steps", "seed", "processor_seconds" and "class_seconds" (the limits of one class in one
version: what it computes, and how long it takes on a busy machine), "import_seconds".
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Any

from . import child, contrast, module, versions

__all__ = ["contrast", "run", "versions"]  # loaded here, in the warm parent, so that no fork pays for them

_FORKS = 3  # before, another way to reach the lines, after
Tell = Callable[[dict[str, Any]], None]


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """{"verdict": "DONE", "results": {id: result}}; a result is a contrast, or {"reason"} where there is none."""
    child.adopt_orphans()
    results = module.drive(spec, spec["items"], deadline, serve)
    again = [item for item in spec["items"] if results.get(str(item["id"]), {}).get("fresh")]
    for item in again:
        results[str(item["id"])] = _apart(spec, item, deadline)
    return {"verdict": "DONE", "results": results}


def serve(spec: dict[str, Any], items: list[dict[str, Any]], out: int, parent: int) -> None:
    """Import each module once, then contrast its fixes one after another. Never returns."""
    from . import synth_host

    try:
        synth_host._die_with(parent)
        synth_host._prepare(spec)

        def tell(message: dict[str, Any]) -> None:
            synth_host._say(out, message)

        for name in dict.fromkeys(item["module"] for item in items):
            group = [item for item in items if item["module"] == name]
            tell({"importing": name})
            try:
                known = versions.imported(name, group[0]["path"])
            except BaseException as error:
                reason = f"importing {name} failed: {type(error).__name__}: {child.first_line(error)}"
                for item in group:
                    tell({"id": item["id"], "result": {"reason": reason}})
                continue
            gc.collect()
            gc.freeze()  # the collector of a fork would otherwise copy every page
            befores: dict[str, dict[str, Any]] = {}
            for item in group:
                if "version" in item:
                    tell({"trying": item["id"]})
                    work = _measured(known, item, spec)
                    tell({"id": item["id"], "result": versions.forked(work, spec, out)})
                else:
                    started = time.monotonic()
                    result = _contrasted(known, item, spec, befores, tell, out)
                    tell({"id": item["id"], "result": {**result, "seconds": round(time.monotonic() - started, 4)}})
        tell({"end": True})
    finally:
        os._exit(0)


def _contrasted(
    known: str, item: dict[str, Any], spec: dict[str, Any], befores: dict[str, dict[str, Any]], tell: Tell, out: int
) -> dict[str, Any]:
    """The first class that runs the changed lines, before and after; or why there is none."""
    until = time.monotonic() + _FORKS * float(spec["class_seconds"])
    reasons: list[str] = []
    for name in item["classes"]:
        if time.monotonic() > until:
            reasons.append("there was no time for another class")
            break
        key = f"{name} {hash(item['before'])}"
        if key not in befores:
            tell({"trying": item["id"]})
            befores[key] = versions.forked(versions.original(known, item, name, spec), spec, out)
        before = befores[key]
        if before.get("fresh"):
            return before
        if "measure" in before and not contrast.covers(before["measure"]["lines"], item["before_ranges"]):
            tell({"trying": item["id"]})
            before = versions.forked(versions.reaching(known, item, name, spec, before["plan"]), spec, out)
        if "measure" not in before:
            if before.get("reason"):
                reasons.append(f"{name}: {before['reason']}")
            continue
        tell({"trying": item["id"]})
        after = versions.forked(versions.patched(known, item, name, spec, before), spec, out)
        return contrast.contrast(name, before, after, item)
    return {"reason": "; ".join(reasons[:3]) or "no class of the file could be built and run"}


# -- one process for each version --------------------------------------------------------------------------------


def _apart(spec: dict[str, Any], item: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The same with a fresh import of the file for each version."""
    reasons: list[str] = []
    for name in item["classes"]:
        before = _imported_as(spec, {**item, "version": "before", "class": name}, deadline)
        if "measure" not in before:
            reasons.append(f"{name}: {before.get('reason') or 'it is no class that can be run'}")
            continue
        again = {**item, "version": "after", "class": name, "found": before}
        return contrast.contrast(name, before, _imported_as(spec, again, deadline), item)
    return {"reason": "; ".join(reasons[:3]) or "no class of the file could be built and run"}


def _imported_as(spec: dict[str, Any], item: dict[str, Any], deadline: float) -> dict[str, Any]:
    overlay = {os.path.realpath(item["path"]): item[item["version"]]}
    found: dict[str, Any] = module.drive({**spec, "overlay": overlay}, [item], deadline, serve)
    answer: dict[str, Any] = found.get(str(item["id"]), {"reason": "there was no time for it"})
    return answer


def _measured(known: str, item: dict[str, Any], spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The version that this host has imported."""
    if item["version"] == "after":
        return versions.patched(known, item, item["class"], spec, item["found"], fresh=True)
    return versions.original(known, item, item["class"], spec, fresh=True)
