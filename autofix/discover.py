"""Which files to look at: Python files below the given directories, as git would see them.

Symbolic links inside a directory are not followed (git and patch refuse to patch beyond them, and a link may lead out
of the project or back into it); a link that is given by name is. Files given by name are always taken.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autofix.gitignore import IgnoreRules
from autofix.model import Problem

_SKIPPED = frozenset(
    (
        *("__pycache__", "node_modules", "site-packages", "venv", ".venv", ".git", ".hg", ".svn"),
        *(".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox"),
    )
)
_BUILD_OUTPUT = frozenset(("build", "dist"))  # unless the directory is a package
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class _Rules(NamedTuple):
    """Ignore patterns, and the directory that they are relative to (with a final slash)."""

    base: str
    rules: IgnoreRules

    def decide(self, real: str) -> bool | None:
        """Whether an absolute path (directories end with a slash) is ignored; None when no pattern says so."""
        if not real.startswith(self.base):
            return None
        return self.rules.decide(real[len(self.base) :].rstrip("/"), real.endswith("/"))


class _Directory(NamedTuple):
    shown: str  # what goes before the names of its entries
    real: str  # absolute, with a final slash
    rules: tuple[_Rules, ...]  # the strongest last


def discover(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Iterator[Path | Problem]:
    """The files to process, each once, in an order that depends on names only; Problems for paths that fail.

    exclude: patterns as in .gitignore; one with a slash inside is relative to the working directory, or absolute.
    """
    seen: set[str] = set()
    for path in paths or [Path()]:
        try:
            directory = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            yield Problem(str(path), f"skipped: {_words(error)}; check the path")
            continue
        real = os.path.realpath(path)
        if not directory:
            if real not in seen:
                seen.add(real)
                yield path
            continue
        shown = "" if str(path) == "." else f"{path}{os.sep}".replace(os.sep * 2, os.sep)
        top = real.rstrip(os.sep) + os.sep
        yield from _walk(_Directory(shown, top, _inherited(real)), _excluding(exclude, top), seen)


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _walk(start: _Directory, excluded: tuple[_Rules, ...], seen: set[str]) -> Iterator[Path | Problem]:
    """Files below `start`, depth first, in order of name."""
    pending: list[_Directory | str] = [start]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield Path(current)
            continue
        if current.real in seen:
            continue
        seen.add(current.real)
        try:
            with os.scandir(current.real) as found:
                entries = sorted(found, key=lambda e: e.name, reverse=True)
        except OSError as error:
            shown = current.shown.rstrip(os.sep) or "."
            yield Problem(shown, f"skipped: {_words(error)}; make the directory readable or exclude it")
            continue
        names = {e.name for e in entries}
        if current is not start and _is_set_aside(current.real, names):
            continue
        rules = _own_rules(current, names)
        for entry in entries:
            kind = _kind(entry)
            if not kind:
                continue
            real = current.real + entry.name + kind[1:]
            if (
                (kind == "d/" and entry.name in _SKIPPED)
                or real in seen
                or _ignored(real, rules)
                or _ignored(real, excluded)
            ):
                continue
            if kind == "d/":
                pending.append(_Directory(current.shown + entry.name + os.sep, real, rules))
            else:
                seen.add(real)
                pending.append(current.shown + entry.name)


def _kind(entry: os.DirEntry[str]) -> str:
    """`d/` for a directory, `f` for a Python file, nothing for what is left out."""
    if entry.is_dir(follow_symlinks=False):
        return "d/"
    return "f" if entry.name.endswith(".py") and entry.is_file(follow_symlinks=False) else ""


def _is_set_aside(real: str, names: set[str]) -> bool:
    """Whether a directory is a virtual environment or what a build left."""
    if any(mark in names for mark in _ENVIRONMENT_MARKS):
        return True
    return os.path.basename(real.rstrip(os.sep)) in _BUILD_OUTPUT and "__init__.py" not in names


# -- ignore files ----------------------------------------------------------------------------------------------


def _ignored(real: str, rules: tuple[_Rules, ...]) -> bool:
    for one in reversed(rules):
        decision = one.decide(real)
        if decision is not None:
            return decision
    return False


def _own_rules(directory: _Directory, names: set[str]) -> tuple[_Rules, ...]:
    """The rules inside a directory: its own on top of those above; a repository starts afresh."""
    inherited = directory.rules
    if ".git" in names:
        inherited = _read_rules(directory.real + ".git/info/exclude", directory.real)
    if ".gitignore" in names:
        return (*inherited, *_read_rules(directory.real + ".gitignore", directory.real))
    return inherited


def _inherited(real: str) -> tuple[_Rules, ...]:
    """The rules of the directories above, up to the top of the repository; none when there is no repository, or
    when they ignore the directory itself: it was asked for by name."""
    above: list[str] = []
    folder = real
    while not os.path.lexists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return ()
        above.append(parent)
        folder = parent
    rules: tuple[_Rules, ...] = ()
    for place in reversed(above):
        base = place.rstrip(os.sep) + os.sep
        names = {n for n in (".git", ".gitignore") if os.path.lexists(base + n)}
        rules = _own_rules(_Directory("", base, rules), names)
    inside = [p for p in (*reversed(above[:-1]), real) if above]
    return () if any(_ignored(p + os.sep, rules) for p in inside) else rules


def _read_rules(path: str, base: str) -> tuple[_Rules, ...]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            rules = IgnoreRules(file.read().split("\n"))
    except OSError:
        return ()  # as git does with one that it cannot read
    return (_Rules(base, rules),) if rules else ()


def _excluding(patterns: Sequence[str], real: str) -> tuple[_Rules, ...]:
    """The patterns of the user for a walk that starts at `real`: names count below it only."""
    anchored = [a for a in map(_anchored, patterns) if a]
    names = [p for p in patterns if not _anchored(p)]
    out = []
    if anchored:
        out.append(_Rules("/", IgnoreRules(anchored)))
    if names:
        out.append(_Rules(real, IgnoreRules(names)))
    return tuple(out)


def _anchored(pattern: str) -> str:
    """A pattern with a slash inside, from the root of the file system; nothing for one that is only a name."""
    if "/" not in pattern.rstrip("/") or pattern.startswith("**/"):
        return ""
    if pattern.startswith("/"):
        return pattern
    return re.sub(r"([\\*?\[\]!#])", r"\\\1", os.getcwd()).rstrip("/") + "/" + pattern
