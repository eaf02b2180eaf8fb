"""Files in and out: read, ask git about them, write atomically."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix.atomic import replace_file
from autofix.discover import discover
from autofix.model import Patch, Problem, Source
from autofix.undo import Journal

__all__ = ["Written", "discover", "git_dirty", "read", "replace_file", "write_all"]

_MANY_PATHS = 500  # beyond this, git is asked about the whole repository and not about each path


def read(path: Path) -> Source | Problem:
    """A regular file's bytes, or why there are none."""
    data = _content(path)
    return data if isinstance(data, Problem) else Source(str(path), data)


def _content(path: Path) -> bytes | Problem:
    try:
        # Looked at before it is opened: a pipe or a device must neither block nor notice.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return Problem(str(path), f"skipped: it is {_kind(mode)}; give regular files or directories")
        return path.read_bytes()
    except FileNotFoundError:
        return Problem(str(path), "skipped: it no longer exists; run again")
    except OSError as error:
        return Problem(str(path), f"skipped: {_words(error)}; make it readable or exclude it")


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


# -- writing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """written: the files that now hold their patch. problems: those that were left alone, and why."""

    written: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


def write_all(patches: Sequence[Patch], journal: Journal) -> Written:
    """Write every patch whose file still holds what the patch was made from.

    The journal is on disk before the first file is replaced, so that whatever happens can be undone.
    """
    problems: list[Problem] = []
    ready: list[tuple[Patch, Path]] = []
    for patch in patches:
        target = Path(os.path.realpath(patch.source.path))
        problem = _unready(patch, target)
        if problem:
            problems.append(problem)
        else:
            ready.append((patch, target))
    if not ready:
        return Written((), tuple(problems))
    try:
        run = journal.record([(target, patch.source.data, patch.after) for patch, target in ready])
    except OSError as error:
        why = f"not written: the undo journal {journal.folder} cannot be written ({_words(error)}); "
        remedy = "make it writable, or name another place in AUTOFIX_STATE_DIR"
        return Written((), (*problems, *(Problem(p.source.path, why + remedy) for p, _ in ready)))
    written: list[Path] = []
    for patch, target in ready:
        try:
            changed = replace_file(target, patch.after, expected=patch.source.data)
        except OSError as error:
            problems.append(
                Problem(patch.source.path, f"not written: {_words(error)}; make it and its folder writable")
            )
            continue
        if changed:
            written.append(Path(patch.source.path))
        else:
            problems.append(_changed(patch))
    if not written:
        journal.forget(run)
    return Written(tuple(written), tuple(problems))


def _unready(patch: Patch, target: Path) -> Problem | None:
    current = _content(target)
    if isinstance(current, Problem):
        return Problem(patch.source.path, current.message.replace("skipped: ", "not written: ", 1))
    if current != patch.source.data:
        return _changed(patch)
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return Problem(patch.source.path, "not written: it is read-only; make it writable")
    return None


def _changed(patch: Patch) -> Problem:
    return Problem(patch.source.path, "not written: it changed while autofix was running; run again")


# -- git -------------------------------------------------------------------------------------------------------


def git_dirty(paths: Iterable[Path]) -> set[Path]:
    """Those of the paths that hold work which is in no commit: changed since, or never committed.

    Outside a repository, for files that git is told to ignore, and without git, there is nothing to compare with.
    """
    by_repository: dict[str, dict[str, list[Path]]] = {}
    tops: dict[str, str | None] = {}
    for path in paths:
        real = os.path.realpath(path)
        folder = os.path.dirname(real)
        if folder not in tops:
            tops[folder] = _repository(folder)
        top = tops[folder]
        if top is not None:
            by_repository.setdefault(top, {}).setdefault(real, []).append(path)
    dirty: set[Path] = set()
    for top, files in by_repository.items():
        for name in _uncommitted(top, list(files)):
            dirty.update(files.get(os.path.join(top, name), ()))
    return dirty


def _repository(folder: str) -> str | None:
    while not os.path.lexists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def _uncommitted(top: str, files: Sequence[str]) -> list[str]:
    """Names, relative to the top of the repository, that `git status` lists."""
    # A hook's environment may point at another repository; a repository's own monitor is a program we would run.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-c", "core.fsmonitor=false", "--literal-pathspecs", "-C", top, "status", "--porcelain", "-z"]
    command += ["--no-renames", "--untracked-files=all", "--ignore-submodules=all"]
    if len(files) <= _MANY_PATHS:
        command += ["--", *(os.path.relpath(f, top) for f in files)]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return []
    return [os.fsdecode(entry[3:]) for entry in done.stdout.split(b"\0") if entry]
