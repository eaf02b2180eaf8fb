"""Rewriting keeps comments, quotes and line breaks, adds the parentheses that are needed and no others."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autofix import rewrite
from autofix.edits import apply_edits
from autofix.model import Edit, Source
from autofix.syntax import Module, parse


def module(text: str) -> Module:
    parsed = parse(Source("m.py", text.encode()))
    assert isinstance(parsed, Module)
    return parsed


def call_of(parsed: Module, name: str) -> ast.Call:
    return next(
        n
        for n in ast.walk(parsed.tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name
    )


def replaced(text: str, template: str) -> str:
    parsed = module(text)
    target = call_of(parsed, "old")
    edits = rewrite.replace(parsed, target, template, x=target.args[0])
    return apply_edits(parsed.source_file, edits).decode()


@pytest.mark.parametrize(
    ("before", "template", "after"),
    [
        ("y = old(a)\n", "new({x})", "y = new(a)\n"),
        ("y = old(a + b)\n", "{x}.clamp(max=1)", "y = (a + b).clamp(max=1)\n"),
        ("y = old(a.b[0](c))\n", "{x}.clamp(max=1)", "y = a.b[0](c).clamp(max=1)\n"),
        ("y = old(a + b)\n", "{x} * 2", "y = (a + b) * 2\n"),
        ("y = old(a * b)\n", "{x} + 2", "y = a * b + 2\n"),
        ("y = -old(a)\n", "{x} + 2", "y = -(a + 2)\n"),
        ("y = c * old(a)\n", "{x} + 2", "y = c * (a + 2)\n"),
        ("y = c - old(a)\n", "{x} - 2", "y = c - (a - 2)\n"),
        ("y = old(a) ** 2\n", "-{x}", "y = (-a) ** 2\n"),
        ("y = old(a).mean()\n", "{x} + 2", "y = (a + 2).mean()\n"),
        ("y = (old(a)).mean()\n", "{x} + 2", "y = (a + 2).mean()\n"),
        ("y = f(old(a), b)\n", "{x} + 2", "y = f(a + 2, b)\n"),
        ("y = old(lambda: 0)\n", "new({x})", "y = new(lambda: 0)\n"),
        ("y = old(a if c else b)\n", "{x} + 1", "y = (a if c else b) + 1\n"),
        ("y = old(i for i in a)\n", "{x}.sum()", "y = (i for i in a).sum()\n"),
        ("y = old(1)\n", "{x}.real", "y = (1).real\n"),
        ("y = old('a' \"b\")\n", "new({x})", "y = new('a' \"b\")\n"),
        ("y = old(a ** b)\n", "{x} ** c", "y = (a ** b) ** c\n"),
        ("y = old(a == b)\n", "{x} < c", "y = (a == b) < c\n"),
        ("y = z < old(a)\n", "{x} < c", "y = z < (a < c)\n"),
    ],
)
def test_precedence(before: str, template: str, after: str) -> None:
    assert replaced(before, template) == after


def test_line_breaks_and_comments_inside_a_capture_survive() -> None:
    before = "y = old(\n    a  # the logits\n    + b\n)\n"
    after = replaced(before, "new({x}, dim=-1)")
    assert "# the logits" in after
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse("y = new(a + b, dim=-1)"))


def test_a_comment_outside_every_capture_is_kept_above() -> None:
    before = "def f():\n    y = old(  # why\n        a)\n"
    after = replaced(before, "new({x})")
    assert after == "def f():\n    # why\n    y = new(a)\n"


def test_a_replacement_with_line_breaks_gets_brackets() -> None:
    after = replaced("y = old(a  # c\n    + b)\n", "{x} * 2")
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse("y = (a + b) * 2"))


@pytest.mark.parametrize("text", ["y = f'{old(a)}'\n", "y = old(" + "-" * 400 + "a)\n", "y = old(*a)\n"])
def test_shapes_that_are_not_rewritten_say_so(text: str) -> None:
    with pytest.raises(rewrite.Unrewritable):
        replaced(text, "new({x})")


def test_statements_are_inserted_at_their_neighbour_s_indentation() -> None:
    text = "for b in d:\r\n\tstep()  # take it\r\n"
    parsed = module(text)
    statement = parsed.statement(call_of(parsed, "step"))
    edits = [rewrite.insert_before(parsed, statement, "clip()"), rewrite.insert_after(parsed, statement, "log()")]
    after = apply_edits(parsed.source_file, edits)
    assert after == b"for b in d:\r\n\tclip()\r\n\tstep()  # take it\r\n\tlog()\r\n"


@pytest.mark.parametrize("text", ["a(); step()\n", "if c: step()\n"])
def test_no_statement_is_inserted_into_a_shared_line(text: str) -> None:
    parsed = module(text)
    with pytest.raises(rewrite.Unrewritable):
        rewrite.insert_before(parsed, parsed.statement(call_of(parsed, "step")), "clip()")


def test_insertion_after_the_last_line_without_a_break() -> None:
    parsed = module("step()")
    edit = rewrite.insert_after(parsed, parsed.tree.body[0], "log()")
    assert apply_edits(parsed.source_file, [edit]) == b"step()\nlog()"


def test_deleting_a_statement_takes_its_line() -> None:
    parsed = module("def f():\n    e = 1\n    return 2\n")
    edit = rewrite.delete(parsed, parsed.tree.body[0].body[0])  # type: ignore[attr-defined]
    assert apply_edits(parsed.source_file, [edit]) == b"def f():\n    return 2\n"


OPERATORS = st.sampled_from(["+", "-", "*", "/", "**", "@", "%", "|", "<", "==", "and", "or"])
LEAVES = st.sampled_from(["a", "b.c", "d[0]", "f(e)", "-g", "1", "not h"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda e: f"({e} if k else m)"),
        inner.map(lambda e: f"(lambda: {e})"),
    ),
    max_leaves=6,
)


@given(
    EXPRESSIONS, EXPRESSIONS, st.sampled_from(["{x}.clamp(max=1)", "{x} + 1", "-{x}", "2 ** {x}", "new({x})", "{x}[0]"])
)
def test_meaning_never_changes(captured: str, around: str, template: str) -> None:
    """The rewritten tree is the tree of the fully bracketed text, whatever the operators around it."""
    text = f"y = [old({captured}), ({around}) * old({captured}), (old({captured})) ** ({around})]\n"
    parsed = module(text)
    edits: list[Edit] = []
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "old":
            edits.extend(rewrite.replace(parsed, node, template, x=node.args[0]))
    after = apply_edits(parsed.source_file, edits).decode()
    bracketed = "(" + template.replace("{x}", f"({captured})") + ")"
    expected = f"y = [{bracketed}, ({around}) * {bracketed}, {bracketed} ** ({around})]\n"
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(expected))
