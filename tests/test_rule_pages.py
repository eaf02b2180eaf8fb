"""The snippet on every rule's page runs, and shows what the page claims."""

from __future__ import annotations

import ast
import textwrap

import pytest

from autofix.registry import all_rules
from autofix.rule import Rule

# A snippet is read on one screen.
MOST_LINES = 18


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.name)
@pytest.mark.filterwarnings("ignore:std\\(\\). degrees of freedom:UserWarning")
def test_the_snippet_of_a_page_shows_the_failure_and_its_end(rule: Rule) -> None:
    snippet = textwrap.dedent(rule.sections["Try it"])
    tree = ast.parse(snippet)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    assert len(snippet.splitlines()) <= MOST_LINES
    exec(compile(tree, f"<try it: {rule.name}>", "exec"), {"__name__": "__main__"})
