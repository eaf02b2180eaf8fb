"""The filter on bytes: which rules could possibly speak about a file, before it is decoded."""

from __future__ import annotations

from collections.abc import Sequence

from autofix.rule import Rule

_SUPPRESS_FILE = b"autofix: skip-file"


def candidates(data: bytes, rules: Sequence[Rule]) -> list[Rule]:
    """The rules whose every trigger group has a literal in `data`; none unless the file mentions torch or a
    library built on it."""
    if not any(word in data for word in (b"torch", b"lightning", b"accelerate")):
        return []
    return [rule for rule in rules if all(any(word in data for word in group) for group in rule.triggers)]


def may_skip_file(data: bytes) -> bool:
    """Whether the bytes of the marker that skips a whole file occur at all."""
    return _SUPPRESS_FILE in data
