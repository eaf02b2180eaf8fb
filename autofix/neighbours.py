"""The other Python files of the project that a file belongs to, for what the file alone cannot tell."""

from __future__ import annotations

import functools
import os
from pathlib import Path

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
_SKIPPED = frozenset(("node_modules", "site-packages", "venv", "build", "dist", "__pycache__"))
_LEVELS = 6  # folders above a file in which its project is looked for
_MOST_FILES = 6000
_MOST_BYTES = 2_000_000  # of one file: what is larger is data

_asked: set[str] = set()
"""Files whose neighbours were looked at: findings in them hold only as long as the neighbours stay as they are."""


def neighbours(path: str) -> tuple[Path, ...] | None:
    """The Python files of the project of `path`, itself left out; none for a text that is no file on disk, None for
    a project too large to look through.

    The project is the nearest folder above that says so (git, `pyproject.toml`, `setup.py`); without one, the
    outermost package that the file is part of, else its own folder, and what lies directly beside that.
    """
    _asked.add(path)
    here = Path(path)
    if not here.is_file():
        return ()
    here = here.resolve()
    found = _files(*_root(here.parent))
    return found if found is None else tuple(p for p in found if p != here)


def imported_from(path: str, dotted: str) -> Path | None:
    """The neighbour that `from a.b import c` in the file at `path` reads. dotted: `a.b.c`, with the leading points of
    a relative import. Of several files the one that shares most folders with `path`; None where two share as many."""
    here = Path(path).resolve()
    named = dotted.lstrip(".")
    *modules, _ = named.split(".")
    level = len(dotted) - len(named)
    if not modules or level > len(here.parents):
        return None
    if level:
        base = here.parents[level - 1].joinpath(*modules)
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    found = [p for p in neighbours(path) or () if _module_parts(p)[-len(modules) :] == tuple(modules)]
    shared = [len(os.path.commonpath((p, here))) for p in found]
    return found[shared.index(max(shared))] if found and shared.count(max(shared)) == 1 else None


def _module_parts(path: Path) -> tuple[str, ...]:
    return path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts


def was_asked(path: str) -> bool:
    """Whether `neighbours` of this path was called in this process."""
    return path in _asked


def read(path: Path) -> bytes:
    """The bytes of a neighbour; none where it cannot be read or is no source that a person wrote."""
    try:
        return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except OSError:
        return b""


def _root(folder: Path) -> tuple[Path, Path | None]:
    """The folder to look through, and one of which only the files in it belong to the project."""
    for above in (folder, *folder.parents)[:_LEVELS]:
        if any((above / mark).exists() for mark in _MARKS):
            return above, None
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder, folder.parent


@functools.lru_cache(maxsize=8)
def _files(folder: Path, beside: Path | None) -> tuple[Path, ...] | None:
    found = [] if beside is None else sorted(beside.glob("*.py"))
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        found += (Path(top, name) for name in sorted(names) if name.endswith(".py"))
        if len(found) > _MOST_FILES:
            return None
    return tuple(found)
