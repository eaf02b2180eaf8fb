"""The filter on bytes: which rules, and on which lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.triage import candidates, split_alternatives

CODE = b"""import torch

class A:
    def one(self, x):
        return x.sum()

    def two(self, x, n):
        s = x.sum()
        return s / n

def three(x):
    return x.sum()
"""


def nothing(node: ast.AST, context: Context) -> Iterator[Finding]:
    return iter(())


def rule(anchor: str, beside: str | None = None, triggers: tuple[bytes | re.Pattern[bytes], ...] = (b"torch",)) -> Rule:
    pattern = re.compile(beside) if beside is not None else None
    return Rule("a-rule", "", Severity.INFO, (triggers,), re.compile(anchor), (ast.Call,), nothing, beside=pattern)


@pytest.mark.parametrize(
    ("data", "lines"),
    [(CODE, (5, 8, 12)), (CODE.replace(b"\n", b"\r\n"), (5, 8, 12)), (CODE.replace(b"\n", b"\r"), (5, 8, 12))],
    ids=["LF", "CRLF", "CR"],
)
def test_an_anchor_gives_its_lines(data: bytes, lines: tuple[int, ...]) -> None:
    assert [c.lines for c in candidates(data, [rule(r"\.sum\(|\.prod\(")])] == [lines]


def test_what_must_stand_beside_is_looked_for_in_the_same_function() -> None:
    assert [c.lines for c in candidates(CODE, [rule(r"\.sum\(", r" / ")])] == [(8,)]
    assert not candidates(CODE, [rule(r"\.sum\(", r"\*\*")])


def test_a_trigger_may_be_a_pattern() -> None:
    assert candidates(CODE, [rule(r"\.sum\(", triggers=(re.compile(rb"\.(?:prod|sum)\("),))])
    assert not candidates(CODE, [rule(r"\.sum\(", triggers=(re.compile(rb"\.(?:prod|mean)\("), b"exp("))])


def test_a_file_without_torch_is_left_alone() -> None:
    assert not candidates(CODE.replace(b"torch", b"numpy"), [rule(r"\.sum\(", triggers=(b"sum",))])


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("a|b", ["a", "b"]),
        (r"a\||[|]|(?:b|c)d", [r"a\|", "[|]", "(?:b|c)d"]),
        (r"[]|]|[^]|]x", ["[]|]", "[^]|]x"]),
        (r"(?<!a)\(|\)b", [r"(?<!a)\(", r"\)b"]),
    ],
)
def test_a_pattern_is_cut_at_its_outermost_alternatives(pattern: str, parts: list[str]) -> None:
    assert split_alternatives(pattern) == parts
