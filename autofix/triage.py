"""The filter on bytes: which rules could possibly speak about a file, before it is decoded."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from autofix.rule import Rule


def relevant(data: bytes) -> bool:
    """Whether the file mentions torch, or a library built on it, at all."""
    return any(word in data for word in (b"torch", b"lightning", b"accelerate"))


def candidates(data: bytes, rules: Sequence[Rule]) -> list[Rule]:
    """The rules whose every trigger group has a literal in `data`, and whose anchor matches somewhere."""
    if not relevant(data):
        return []
    return [
        rule
        for rule in rules
        if all(any(word in data for word in group) for group in rule.triggers) and _anchored(rule.anchor, data)
    ]


def _anchored(anchor: re.Pattern[str], data: bytes) -> bool:
    return _on_bytes(anchor.pattern, anchor.flags & ~re.UNICODE).search(data) is not None


@functools.cache
def _on_bytes(pattern: str, flags: int) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), flags)
