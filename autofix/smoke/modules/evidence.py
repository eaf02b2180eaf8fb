"""Module level: the class that runs a fix's lines, trained before and after it, and what that says of the fix."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autofix.model import Fix, Source
from autofix.smoke.block import is_about_a_loop
from autofix.smoke.job import Job
from autofix.smoke.modules.changes import Changes, changes_of
from autofix.smoke.modules.index import index
from autofix.smoke.modules.targets import import_paths, rooted

_IMPORT_SECONDS = 60.0
_PATIENCE = 2.5  # a busy machine takes that much longer than a class computes
_MARGIN = 10.0
_MOST_CLASSES = 4
_MOST_STAMPED = 10_000
_LEAST_IN_JOB = 6  # a package is imported once for so many fixes at least


@dataclass(frozen=True, slots=True)
class ModuleLevel:
    """How fixes are tried on whole classes.

    seconds: what one class may compute in one version, in seconds of processor time. examples: by
    "package.module:Class" or "Class", {"init": {...}, "forward": "..."}, for classes whose arguments cannot be made up.
    steps: of the ordinary training run.
    """

    seconds: float = 8.0
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    steps: int = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """A job, the limit of its time in seconds, and the number of the fix behind each of its items. stamp: changes
    with the files that the job may import."""

    job: Job
    seconds: float
    numbers: tuple[int, ...]
    stamp: str


def plan(
    items: Sequence[tuple[Source, Fix]], wanted: Iterable[int], level: ModuleLevel, workers: int
) -> tuple[list[Planned], dict[int, str]]:
    """Jobs for the fixes numbered `wanted`, and for each of the others of them why no class can be run.

    Fixes of one package share a job, so that it is imported once.
    """
    by_root: dict[Path, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    reasons: dict[int, str] = {}
    paths: dict[Path, list[str]] = {}
    files: dict[Path, _File | str] = {}
    for number in wanted:
        source, fix = items[number]
        path = Path(source.path)
        if path not in files:
            files[path] = _file(path)
        file = files[path]
        made = _item(number, source, fix, file, level) if not isinstance(file, str) else file
        if isinstance(made, str) or isinstance(file, str):
            reasons[number] = str(made)
            continue
        by_root[file.root].append((number, made))
        paths.setdefault(file.root, file.paths)
    jobs = []
    for root, group in by_root.items():
        size = max(_LEAST_IN_JOB, -(-len(group) // workers))
        for start in range(0, len(group), size):
            jobs.append(_job(group[start : start + size], paths[root], level))
    return jobs, reasons


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    module: str
    root: Path
    paths: list[str]
    classes: frozenset[str]


def _file(path: Path) -> _File | str:
    if path.suffix != ".py" or not path.is_file():
        return "it is no file that can be imported"
    path = path.resolve()
    root, module = rooted(path)
    if not all(part.isidentifier() for part in module.split(".")):
        return f"{path.name} is no name that can be imported"
    places = index([(path, module)])
    return _File(path, module, root, import_paths(path, root), frozenset(p.name for p in places))


def _item(number: int, source: Source, fix: Fix, file: _File, level: ModuleLevel) -> dict[str, Any] | str:
    if is_about_a_loop(fix):
        return "a training loop is no part of a class's forward"
    if "graph" in fix.claim.hazard:
        return "what outlives a step cannot be seen in one"
    if not file.classes:
        return "no class of the file is an nn.Module"
    changes: Changes | str = changes_of(source, fix)
    if isinstance(changes, str):
        return changes
    classes = [name for name in changes.classes if name in file.classes][:_MOST_CLASSES]
    if not classes:
        return "no nn.Module class of the file runs the changed lines"
    examples = {
        name: {"init": dict(given.get("init", {})), "forward": str(given.get("forward", ""))}
        for name in classes
        if (given := level.examples.get(f"{file.module}:{name}") or level.examples.get(name))
    }
    return {
        "id": number, "module": file.module, "path": str(file.path), "before": source.data.decode("latin-1"),
        "after": changes.patched.decode("latin-1"), "before_ranges": [list(r) for r in changes.before],
        "after_ranges": [list(r) for r in changes.after], "classes": classes, "methods": dict(changes.methods),
        "names": sorted(changes.names), "examples": examples,
    }  # fmt: skip


def _job(group: Sequence[tuple[int, dict[str, Any]]], paths: list[str], level: ModuleLevel) -> Planned:
    """The items are numbered within the job: the same fixes make the same job wherever else they stand."""
    spec = {
        "items": [{**item, "id": position} for position, (_, item) in enumerate(group)], "paths": paths,
        "steps": level.steps, "seed": 0, "processor_seconds": level.seconds, "class_seconds": _PATIENCE * level.seconds,
        "import_seconds": _IMPORT_SECONDS,
    }  # fmt: skip
    modules = len({item["module"] for _, item in group})
    limit = _MARGIN + _IMPORT_SECONDS + 5.0 * (modules - 1) + _PATIENCE * level.seconds * (len(group) + 1)
    stamp = _stamp(Path(paths[0]), {str(item["module"]).partition(".")[0] for _, item in group})
    return Planned(Job("patched", spec), limit, tuple(number for number, _ in group), stamp)


def _stamp(root: Path, packages: Iterable[str]) -> str:
    """The sizes and times of the Python files of some packages; for single files, of those beside them."""
    digest = hashlib.blake2b(digest_size=10)
    for package in sorted(packages):
        folder = root / package
        files = sorted(_python_files(folder) if folder.is_dir() else root.glob("*.py"))
        for path in files[:_MOST_STAMPED]:
            with contextlib.suppress(OSError):
                stat = path.stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _python_files(folder: Path) -> Iterator[Path]:
    """The Python files below a folder; unlike `Path.rglob`, it goes on where a folder vanishes meanwhile."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(".py"))


def settled(job: Job, result: Mapping[str, Any]) -> bool:
    """Whether another run would say the same: nothing was left out for want of time."""
    results = result.get("results") or {}
    late = any(
        "did not finish" in str(one.get("reason", "")) or "no time" in str(one.get("reason", ""))
        for one in results.values()
    )
    return len(results) == len(job.spec["items"]) and not late
