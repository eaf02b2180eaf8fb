"""Which file another is generated from, as its header says: what is wrong in it must be repaired there."""

from __future__ import annotations

import re
from pathlib import Path

from autofix.model import Source

_HEADER = 1024  # bytes in which a generator says so
_GENERATED = re.compile(rb"#[^\n]*\bauto(?:matically |-)?generated from[\s#]+([\w./\\-]+\.py)\b", re.I)


def origin(source: Source) -> Path | None:
    """The path beside `source` of the Python file that its first lines name as what it is generated from.

    The header gives the path from the root of the repository, which an installed package no longer has; generators of
    this kind write next to what they read, so its last part is looked for there. The file need not exist.
    """
    found = _GENERATED.search(source.data, 0, _HEADER)
    if found is None:
        return None
    here = Path(source.path)
    beside = here.with_name(re.split(r"[/\\]", found[1].decode())[-1])
    return beside if beside != here else None
