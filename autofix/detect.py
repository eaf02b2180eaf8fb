"""One file in, findings out: triage, parse, one walk for all rules."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from autofix.fold import FoldError, holds
from autofix.model import Finding, Problem, Source
from autofix.rule import Context, Options, Rule
from autofix.syntax import Module, parse
from autofix.triage import Candidate, candidates


@dataclass(frozen=True, slots=True)
class Scan:
    """What detection says of one file. `problem` and findings exclude each other; `parsed` is False when the
    triage already ruled the file out."""

    path: str
    findings: tuple[Finding, ...] = ()
    problem: Problem | None = None
    parsed: bool = False


def scan(source: Source, rules: Sequence[Rule], options: Options) -> Scan:
    """Run the rules on one file."""
    active = candidates(source.data, rules)
    if not active:
        return Scan(source.path)
    try:
        return _scan(source, active, parse(source, [line for a in active for line in a.lines]), options)
    except FoldError:
        return _scan(source, active, parse(source), options)


def _scan(source: Source, active: Sequence[Candidate], module: Module | Problem, options: Options) -> Scan:
    if isinstance(module, Problem):
        return Scan(source.path, problem=module)
    try:
        return Scan(source.path, tuple(scan_module(module, active, options)), parsed=True)
    finally:
        module.forget()


def scan_module(module: Module, found: Sequence[Candidate], options: Options) -> list[Finding]:
    """Findings of the candidates in a parsed file, in order of position, each place once per rule."""
    findings: list[Finding] = []
    for root, active in _rules_by_root(module, found):
        handlers: dict[type[ast.AST], list[tuple[Rule, Context, tuple[int, ...] | None]]] = {}
        for candidate in active:
            rule = candidate.rule
            context = Context(rule.name, rule.severity, module, options)
            lines = candidate.lines if rule.at_anchor else None
            for kind in rule.nodes:
                handlers.setdefault(kind, []).append((rule, context, lines))
        for node in module.adopt(root):
            for rule, context, lines in handlers.get(type(node), ()):
                if lines is None or holds(lines, node.lineno, node.end_lineno):  # type: ignore[attr-defined]
                    findings.extend(rule.check(node, context))
    findings.sort(key=lambda f: (f.span.start, f.span.end, f.rule))
    unique = {(f.rule, f.span): f for f in reversed(findings)}
    return [f for f in findings if unique.get((f.rule, f.span)) is f]


def _rules_by_root(module: Module, found: Sequence[Candidate]) -> list[tuple[ast.stmt, list[Candidate]]]:
    """The statements worth walking, with the candidates that have an anchor inside."""
    units = module.units
    starts = [unit.first_line for unit in units]
    active: dict[int, list[Candidate]] = {}
    for candidate in found:
        inside: set[int] = set()
        for line in candidate.lines:
            index = bisect_right(starts, line) - 1
            while index >= 0 and line <= units[index].last_line:  # `a; b` are two units on one line
                inside.add(index)
                index -= 1
        for index in inside:
            active.setdefault(index, []).append(candidate)
    return [(units[index].node, active[index]) for index in sorted(active)]
