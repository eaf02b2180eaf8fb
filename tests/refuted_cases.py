"""The refutation set: `golden/refuted/wrong/<case>/` and `golden/refuted/right/<case>/`.

before.py and after.py are a patch of one idea; case.json is its claim, why the patch is wrong ("why") and which claim
the evidence must find broken ("breaks"), or the least verdict of a right one ("verdict"). "region" is the first and
last line, before the patch, of the statements that the claim is about, where they are more than the patch touches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span

ROOT = Path(__file__).resolve().parent.parent / "golden" / "refuted"


@dataclass(frozen=True)
class Case:
    folder: Path
    source: Source
    fix: Fix
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name


def cases(kind: str) -> list[Case]:
    """kind: "wrong" or "right"."""
    return [_case(folder) for folder in sorted((ROOT / kind).iterdir())]


def _case(folder: Path) -> Case:
    record: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    before, after = ((folder / name).read_bytes() for name in ("before.py", "after.py"))
    region = record.get("region")
    claim = Claim(
        Relation(record["relation"]),
        region=_lines(before, *region) if region else None,
        results=tuple(record.get("results", ())),
        hazard=tuple(record.get("hazard", ("value", "gradient"))),
        parameters=record.get("parameters", {}),
        change=record.get("change", ""),
        extra=tuple(record.get("extra", ())),
    )
    fix = Fix(folder.name, (edit(before, after),), Applicability.SAFE, claim)
    return Case(folder, Source("before.py", before), fix, record)


def edit(before: bytes, after: bytes) -> Edit:
    """The one edit between two files: their common beginning and end left out, by lines and then within a line."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    first, last = sum(map(len, old[:start])), len(before) - sum(map(len, old[len(old) - end :]))
    text = b"".join(new[start : len(new) - end])
    if len(old) - end == len(new) - end == start + 1:
        replaced = before[first:last]
        lead = _common(replaced, text)
        trail = _common(replaced[lead:][::-1], text[lead:][::-1])
        first, last, text = first + lead, last - trail, text[lead : len(text) - trail]
    return Edit(Span(first, last), text.decode())


def _common(one: Any, two: Any) -> int:
    """How many items two sequences begin with in common."""
    shorter = min(len(one), len(two))
    return next((n for n in range(shorter) if one[n] != two[n]), shorter)


def _lines(data: bytes, first: int, last: int) -> Span:
    lines = data.splitlines(keepends=True)
    start = sum(map(len, lines[: first - 1]))
    return Span(start, start + len(b"".join(lines[first - 1 : last]).rstrip()))
