"""Which assignment a read sees: certain, or not answered at all."""

from __future__ import annotations

import ast
import textwrap

import pytest

from autofix.model import Source
from autofix.syntax import Module, parse

CASES = {
    "last assignment": ("a = 1\na = 2\nuse(a)", "2"),
    "parameter": ("use(p)", "parameter"),
    "branch hides it": ("a = 1\nif c:\n    a = 2\nuse(a)", None),
    "inside the branch": ("a = 1\nif c:\n    a = 2\n    use(a)", "2"),
    "before the branch": ("a = 1\nif c:\n    use(a)", "1"),
    "loop rebinds it": ("a = 1\nfor i in r:\n    use(a)\n    a = 2", None),
    "loop assigns it first": ("for i in r:\n    a = 3\n    use(a)", "3"),
    "loop does not touch it": ("a = 1\nfor i in r:\n    use(a)", "1"),
    "loop target": ("for a in r:\n    use(a)", "loop"),
    "after a loop": ("for a in r:\n    pass\nuse(a)", None),
    "handler": ("try:\n    f()\nexcept E as a:\n    use(a)", "other"),
    "handler over a parameter": ("try:\n    f()\nexcept E as p:\n    use(p)", "other"),
    "parameter beside a handler": ("try:\n    f()\nexcept E as a:\n    use(p)", "parameter"),
    "with body runs once": ("with torch.no_grad():\n    a = 4\nuse(a)", "4"),
    "with target": ("with open(f) as a:\n    use(a)", "with"),
    "try may not finish": ("a = 1\ntry:\n    a = 2\nexcept E:\n    use(a)", None),
    "unpacked": ("a, b = f()\nuse(a)", "unpack"),
    "augmented": ("a = 1\na += 1\nuse(a)", "augment"),
    "closure": ("a = 1\ng = lambda: use(a)", "1"),
    "lambda parameter": ("a = 1\ng = lambda a: use(a)", None),
    "comprehension variable": ("a = 1\ng = [use(a) for a in r]", None),
    "deleted": ("a = 1\ndel a\nuse(a)", None),
    "unknown": ("use(zzz)", None),
}


def flow_of(body: str) -> tuple[Module, ast.Name]:
    text = "def f(p, c, r):\n" + textwrap.indent(body, "    ") + "\n"
    parsed = parse(Source("m.py", text.encode()))
    assert isinstance(parsed, Module)
    call = next(
        n
        for n in ast.walk(parsed.tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "use"
    )
    name = call.args[0]
    assert isinstance(name, ast.Name)
    return parsed, name


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES.keys())
def test_definition(body: str, expected: str | None) -> None:
    parsed, name = flow_of(body)
    found = parsed.flow(name).definition(name)
    if expected is None:
        assert found is None
    elif expected.isdigit():
        assert found is not None
        assert found.value is not None
        assert parsed.source(found.value) == expected
    else:
        assert found is not None
        assert (found.kind, found.value) == (expected, None)


def test_readers_are_all_or_none() -> None:
    parsed, name = flow_of("a = 1\nuse(a)\nb = a + a")
    flow = parsed.flow(name)
    definition = flow.definition(name)
    assert definition is not None
    assert len(flow.readers(definition) or []) == 3
    parsed, name = flow_of("a = 1\nuse(a)\nif c:\n    a = 2\nb = a")
    flow = parsed.flow(name)
    definition = flow.definition(name)
    assert definition is not None
    assert flow.readers(definition) is None
