"""What the tests that run code share: one interpreter, one warm parent, and fixes written as marked lines."""

from __future__ import annotations

import atexit
import functools
import sys
import textwrap
from pathlib import Path

import pytest

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Scalar, Source, Span
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.zygote import Zygote


@functools.cache
def interpreter() -> Interpreter:
    found = find_python(sys.executable, Path.cwd())
    assert isinstance(found, Interpreter), found
    return found


@functools.cache
def _warm() -> Zygote:
    """One for all test files: torch is imported once."""
    zygote = Zygote(interpreter(), workers=2, seconds=20.0)
    atexit.register(zygote.close)
    return zygote


@pytest.fixture(scope="session")
def zygote() -> Zygote:
    return _warm()


def marked(text: str, path: str = "train.py", **parameters: Scalar) -> tuple[Source, Fix]:
    """A file and a fix from lines that begin with "+" (inserted), "-" (removed) or " " (kept)."""
    lines = textwrap.dedent(text).strip("\n").splitlines(keepends=True)
    before = ""
    edits: list[Edit] = []
    removed = added = ""
    for line in [*lines, " "]:
        mark, rest = line[:1], line[1:]
        if mark == "-":
            removed += rest
        elif mark == "+":
            added += rest
        else:
            if removed or added:
                edits.append(Edit(Span(len(before), len(before) + len(removed)), added))
            before += removed + (rest if mark == " " else line)
            removed = added = ""
    claim = Claim(Relation.CLIP, parameters=parameters or {"max_norm": 1.0})
    return Source(path, before.encode()), Fix("clip", tuple(edits), Applicability.SAFE, claim)
