"""The undo journal: what every run replaced, kept until it is undone or old.

One file per run in the user's state directory, written as a whole and synced before the run replaces anything.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from autofix.atomic import replace_file, sync_folder
from autofix.config import project_root
from autofix.model import Problem

_KEPT_RUNS = 20
Change = tuple[Path, bytes, bytes]  # file, before, after


@dataclass(frozen=True, slots=True)
class UndoReport:
    """restored: the files that hold again what they held before the run. problems: those left as they are."""

    restored: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """The runs of one project, oldest first, as files in `folder`."""

    folder: Path

    @classmethod
    def open(cls, root: Path) -> Journal:
        """The journal of the project at `root`; the environment variable AUTOFIX_STATE_DIR moves all journals."""
        state = os.environ.get("AUTOFIX_STATE_DIR") or platformdirs.user_state_dir("autofix")
        key = hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()
        return cls(Path(state) / "undo" / key)

    def runs(self) -> list[Path]:
        return sorted(self.folder.glob("run-*.json"))

    def record(self, changes: Sequence[Change]) -> Path:
        """Put a run on disk before it happens.

        Raises:
            OSError: the folder cannot be made or written.
        """
        body = _body([_entry(*change) for change in changes])
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        runs = self.runs()
        number = int(runs[-1].stem.removeprefix("run-")) + 1 if runs else 1
        run = self._write(body, number)
        for old in self.runs()[:-_KEPT_RUNS]:
            self.forget(old)
        return run

    def _write(self, body: bytes, number: int) -> Path:
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with open(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(handle)
            while True:
                run = self.folder / f"run-{number:09d}.json"
                try:
                    os.link(temporary, run)  # unlike a rename, never over another process's run
                    break
                except FileExistsError:
                    number += 1
        finally:
            os.unlink(temporary)
        sync_folder(self.folder)
        return run

    def keep(self, run: Path, entries: Sequence[Mapping[str, str]]) -> None:
        """Reduce a run to some of its files."""
        replace_file(run, _body(entries), expected=run.read_bytes())

    def forget(self, run: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            run.unlink()


def undo(start: Path) -> UndoReport:
    """Restore what the last run in the project around `start` replaced, as far as the files are still as it left
    them, and forget that run. Files that cannot be written now stay in the journal for another attempt."""
    journal = Journal.open(project_root(start))
    runs = journal.runs()
    if not runs:
        return UndoReport()
    run = runs[-1]
    try:
        entries = json.loads(run.read_bytes())["files"]
        changes = [(e["path"], base64.b64decode(e["before"]), e["after"]) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return UndoReport((), (Problem(str(run), f"the undo journal cannot be read ({error}); delete this file"),))
    restored: list[Path] = []
    problems: list[Problem] = []
    left = []
    for entry, (name, before, after) in zip(entries, changes, strict=True):
        path = Path(name)
        shown = _shown(path)
        try:
            current = path.read_bytes()
            if current == before:
                continue
            if _digest(current) == after and replace_file(path, before, expected=current):
                restored.append(shown)
            else:
                problems.append(Problem(str(shown), "left as it is: it changed after autofix wrote it"))
        except FileNotFoundError:
            problems.append(Problem(str(shown), "left as it is: it no longer exists"))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            problems.append(Problem(str(shown), f"not restored: {why}; make it writable and undo again"))
            left.append(entry)
    if left:
        journal.keep(run, left)
    else:
        journal.forget(run)
    return UndoReport(tuple(restored), tuple(problems))


def _body(entries: Sequence[Mapping[str, str]]) -> bytes:
    return json.dumps({"version": 1, "files": entries}).encode("ascii")


def _entry(path: Path, before: bytes, after: bytes) -> dict[str, str]:
    return {"path": str(path), "before": base64.b64encode(before).decode("ascii"), "after": _digest(after)}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def _shown(path: Path) -> Path:
    here = Path(os.path.realpath(Path.cwd()))
    return path.relative_to(here) if path.is_relative_to(here) else path
