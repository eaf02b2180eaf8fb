"""What a rule is.

A rule is one file under `transforms/` that defines `RULE`, and one folder under `golden/`. The file's docstring
is the rule's page: `autofix explain`, the docs and pull requests are generated from it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from autofix.model import Finding, Fix, Scalar, Severity
from autofix.syntax import Module

# The sections of a rule's docstring, in this order. "Sources" may be missing.
SECTIONS = (
    "The defect",
    "Why it hurts",
    "Before",
    "After",
    "Try it",
    "When the fix is safe",
    "Left alone",
    "Sources",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user configured that changes what rules find or write.

    routing: "straight-through", "soft" or "gumbel". max_norm: the bound that inserted clipping uses.
    rule: per-rule settings, `[tool.autofix.rule.<name>]`.
    """

    routing: str = "straight-through"
    max_norm: float = 1.0
    rule: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)

    def setting(self, rule: str, name: str, default: Scalar) -> Scalar:
        return self.rule.get(rule, {}).get(name, default)


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule's check receives beside the node."""

    rule: str
    severity: Severity
    module: Module
    options: Options

    def finding(
        self,
        node: ast.AST,
        message: str,
        fix: Fix | None = None,
        why: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding at `node`. Give either a fix or `why` there is none (one clause, for a person)."""
        if fix is None and not why:
            raise ValueError(f"{self.rule}: a finding without a fix says why")
        start, end = self.module.chars(node)
        return Finding(
            rule=self.rule,
            path=self.module.path,
            span=self.module.char_span(start, end),
            start=self.module.position(start),
            end=self.module.position(end),
            message=message,
            severity=severity or self.severity,
            fix=fix,
            unfixed_reason="" if fix else why,
        )


Check = Callable[[ast.AST, Context], Iterable[Finding]]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule's registration. Two are the same only when they are one object.

    triggers: every group must have one of its literals in the file's bytes, or the file is never decoded. A pattern
        that begins with a literal character stands for many literals: each is searched for on its own.
    anchor: the rule is run on the functions and statements with a line on which this matches. Begin it with a
        literal (put what must not precede into a look-behind after it): `re` then skips through the text.
    nodes: the `ast` types that `check` is called with.
    beside: what the function or statement with the anchor must have as well, anywhere in it. It is looked for before
        the file is decoded, and keeps most files from being parsed.
    further: more anchors, each with what has to stand beside it: for a rule that looks for two kinds of places.
    at_anchor: whether a finding's node always has the anchor on one of its lines: `check` is spared all others.
    by_default: False for a rule that runs only when it is selected by name: what it tells is wanted now and then.
    """

    name: str
    summary: str
    severity: Severity
    triggers: tuple[tuple[bytes | re.Pattern[bytes], ...], ...]
    anchor: re.Pattern[str]
    nodes: tuple[type[ast.AST], ...]
    check: Check
    doc: str = ""
    beside: re.Pattern[str] | None = None
    further: tuple[tuple[re.Pattern[str], re.Pattern[str] | None], ...] = ()
    at_anchor: bool = False
    by_default: bool = True

    @property
    def sections(self) -> dict[str, str]:
        """The docstring's sections by title, and "summary" for the text before the first."""
        return split_sections(self.doc)


def split_sections(doc: str) -> dict[str, str]:
    """Split a rule's docstring at its underlined titles."""
    out: dict[str, list[str]] = {"summary": []}
    current = "summary"
    lines = doc.strip("\n").split("\n")
    for index, line in enumerate(lines):
        if line in SECTIONS and index + 1 < len(lines) and lines[index + 1] == "-" * len(line):
            current = line
            out[current] = []
        elif not (line and set(line) == {"-"} and index and lines[index - 1] == current):
            out[current].append(line)
    return {title: "\n".join(body).strip("\n") for title, body in out.items()}
