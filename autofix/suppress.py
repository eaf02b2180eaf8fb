"""Comments that silence findings: `# autofix: ignore`, `# autofix: ignore[rule, rule]`, `# autofix: skip-file`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from autofix.model import Finding
from autofix.syntax import Module

_MARKER = b"autofix:"
_COMMENT = re.compile(r"#\s*autofix:\s*(?:(?P<file>skip-file)\b|ignore\b(?:\s*\[(?P<rules>[^\]]*)\])?)")
ALL = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Suppressions:
    """What a file's comments silence.

    lines: the rules silenced on each 1-based line. statements: those silenced in the statement that starts on a
    line, by a comment above it. spans: first (decorators included) and last line of the statements, only filled
    when `statements` is.
    """

    whole_file: bool = False
    lines: Mapping[int, frozenset[str]] = field(default_factory=dict)
    statements: Mapping[int, frozenset[str]] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Whether a comment stands on one of the finding's lines, or on its own directly above its statement."""
        if self.whole_file:
            return True
        first, last = finding.start.line, finding.end.line
        if any(first <= line <= last and _names(rules, finding.rule) for line, rules in self.lines.items()):
            return True
        if not self.statements:
            return False
        start = max((s for s, e in self.spans if s <= first <= e), default=first)
        return any(_names(self.statements.get(line, frozenset()), finding.rule) for line in {start, first})


def _names(rules: frozenset[str], rule: str) -> bool:
    return rules is ALL or rule in rules or "*" in rules


def suppressions(module: Module) -> Suppressions:
    """The file's suppressing comments; text in strings does not count."""
    if _MARKER not in module.data:
        return Suppressions()
    lines: dict[int, frozenset[str]] = {}
    statements: dict[int, frozenset[str]] = {}
    for start, end in module.comments:
        for found in _COMMENT.finditer(module.text[start:end]):
            if found["file"]:
                return Suppressions(whole_file=True)
            rules = ALL if found["rules"] is None else frozenset(r.strip() for r in found["rules"].split(","))
            line = module.position(start).line
            lines[line] = lines.get(line, frozenset()) | rules
            if not module.text[module.line_start(start) : start].strip():
                below = _next_code_line(module, line)
                statements[below] = statements.get(below, frozenset()) | rules
    return Suppressions(False, lines, statements, _statement_lines(module.tree) if statements else ())


def _next_code_line(module: Module, line: int) -> int:
    """The line below a comment, further comments skipped."""
    last = module.position(len(module.text)).line
    line += 1
    while line < last and module.line_text(line).lstrip().startswith("#"):
        line += 1
    return line


def _statement_lines(tree: ast.Module) -> tuple[tuple[int, int], ...]:
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            out.append((first, node.end_lineno or node.lineno))
    return tuple(out)
