"""Parsing, positions and names, on the text people really have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autofix.model import Problem, Source
from autofix.syntax import Module, parse
from autofix.tree import children, last_part, walk


def module(text: str | bytes) -> Module:
    data = text.encode() if isinstance(text, str) else text
    parsed = parse(Source("m.py", data))
    assert isinstance(parsed, Module), parsed
    return parsed


def find(parsed: Module, text: str, kind: type[ast.AST] = ast.expr) -> ast.AST:
    return next(n for n in ast.walk(parsed.tree) if isinstance(n, kind) and parsed.source(n) == text)


ENCODINGS = {
    "utf-8": "x = f('é', y)\n".encode(),
    "bom": b"\xef\xbb\xbf" + "x = f('é', y)\n".encode(),
    "latin-1": b"# -*- coding: latin-1 -*-\nx = f('\xe9', y)\n",
    "crlf": "a = 'é'\r\nx = f('é', y)\r\n".encode(),
    "lone-cr": "a = 'é'\rx = f('é', y)\r".encode(),
    "form-feed": "a = 1\n\x0c\nx = f('é', y)\n".encode(),
    "no-final-newline": "x = f('é', y)".encode(),
    "u2028": "a = '\u2028'\nx = f('é', y)\n".encode(),
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_spans_are_bytes_of_the_file_on_disk(data: bytes) -> None:
    parsed = module(data)
    name = next(n for n in ast.walk(parsed.tree) if isinstance(n, ast.Name) and n.id == "y")
    span = parsed.span(name)
    assert data[span.start : span.end] == b"y"
    assert parsed.source(name) == "y"


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\\'\x00"), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_span_of_any_line(text: str, newline: str, bom: bool) -> None:
    data = f"a = '{text}'{newline}b = ('{text}', target){newline}".encode()
    if bom:
        data = b"\xef\xbb\xbf" + data
    parsed = module(data)
    span = parsed.span(find(parsed, "target", ast.Name))
    assert data[span.start : span.end] == b"target"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"def f(:\n", "syntax error"),
        (b"print 'hello'\n", "Python 2"),
        (b"x = '\xff\xfe'\n", "not valid UTF-8"),
        (b"# coding: no-such-codec\nx = 1\n", "declare its encoding"),
        (b"x = 1\x00\n", "null bytes"),
        (b"type X[T] = list[T]\n", "newer than Python"),
    ],
    ids=["syntax", "python-2", "bytes", "cookie", "null", "newer"],
)
def test_what_cannot_be_parsed_is_one_clear_line(data: bytes, said: str) -> None:
    import sys

    if "newer" in said and sys.version_info >= (3, 12):
        data = b"x = t'{y}'\n" if sys.version_info < (3, 14) else b"def f(:\n"
        said = said if sys.version_info < (3, 14) else "syntax error"
    result = parse(Source("m.py", data))
    assert isinstance(result, Problem)
    assert said in result.message
    assert "\n" not in result.message
    assert "skipped" in result.message


def test_deep_expressions_parse() -> None:
    chain = "x = a" + ".b" * 1500 + "\n"
    total = "y = " + " + ".join(["1"] * 3000) + "\n"
    parsed = module(chain + total)
    assert len(parsed.tree.body) == 2
    deep = "z = " + "-" * 20000 + "1\n"
    assert isinstance(parse(Source("m.py", deep.encode())), (Module, Problem))


IMPORTS = """
import torch as t
import torch.nn.functional
from torch import nn
from torch.nn import functional as F
from math import inf
from numpy import inf as ninf

def f(x, nn):
    return nn.Linear

def g(x):
    t = x
    return t.exp(x)

def h(x):
    import torch
    return torch.clip(x)

class C:
    def m(self):
        return F.softmax, t.exp, torch.nn.functional.softmax, inf, ninf
"""


def test_qualified_names() -> None:
    parsed = module(IMPORTS)
    said = {
        parsed.source(n): parsed.qualified(n) for n in ast.walk(parsed.tree) if isinstance(n, (ast.Attribute, ast.Name))
    }
    assert said["nn.Linear"] is None  # a parameter hides the import
    assert said["torch.clip"] == "torch.clamp"
    assert said["F.softmax"] == "torch.softmax"
    assert said["torch.nn.functional.softmax"] == "torch.softmax"
    assert said["inf"] == "math.inf"
    assert said["ninf"] == "numpy.inf"
    hidden = [n for n in ast.walk(parsed.tree) if isinstance(n, ast.Attribute) and parsed.source(n) == "t.exp"]
    assert {parsed.qualified(n) for n in hidden} == {None, "torch.exp"}


@pytest.mark.parametrize(
    ("imports", "spelled"),
    [
        ("import torch", "torch.nn.functional.log_softmax"),
        ("import torch as th", "th.nn.functional.log_softmax"),
        ("from torch.nn import functional as F", "F.log_softmax"),
        ("import torch\nimport torch.nn.functional as F", "F.log_softmax"),
        ("from torch import nn", "nn.functional.log_softmax"),
        ("from torch.nn.functional import log_softmax", "log_softmax"),
    ],
)
def test_references_use_the_imports_that_are_there(imports: str, spelled: str) -> None:
    parsed = module(f"{imports}\ny = x\n")
    reference = parsed.names.reference("torch.nn.functional.log_softmax", parsed.tree.body[-1])
    assert reference is not None
    assert (reference.text, reference.edits) == (spelled, ())


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("y = x\n", "import torch\ny = x\n"),
        ('"""Doc."""\n\nfrom __future__ import annotations\n\nimport os\n', None),
        ("#!/usr/bin/env python\n# coding: utf-8\ny = 1\n", None),
    ],
)
def test_a_missing_import_is_added_where_imports_stand(text: str, after: str | None) -> None:
    parsed = module(text)
    reference = parsed.names.reference("torch.finfo", parsed.tree.body[-1])
    assert reference is not None
    (edit,) = reference.edits
    result = text[: edit.span.start] + edit.text + text[edit.span.end :]
    ast.parse(result)
    compile(result, "m.py", "exec")  # `from __future__` must still come first
    assert after is None or result == after


def test_a_name_that_is_taken_gives_no_reference() -> None:
    parsed = module("def f(torch):\n    return torch\n")
    assert parsed.names.reference("torch.finfo", parsed.tree.body[0].body[0]) is None  # type: ignore[attr-defined]


EVERY_KIND = '''
import torch, os as system
from typing import *
@staticmethod
def f(a, /, b: int = 1, *c, d, e=2, **g) -> None:
    """Documentation."""
    global h
    def inner():
        nonlocal a
    x = {**a, "k": b, 1: [*c, (d, e)]}
    y = f"{x!r:>{b}} {a}" "z"
    assert x[1:2, ..., None] if y else -x < b <= 3 and not a, "no"
    del x, y
    with a as (b, c), d:
        yield (yield from b)
    try:
        raise ValueError from None
    except (A, B) as error:
        pass
    match a:
        case {"k": [1, *rest], **others} | Point(1, x=2) | None | _ as whole if whole:
            return
    for i, j in ((k := 1) for k in a if k async for m in b):
        while i: break
        else: continue
    z: int
    w: float = lambda p, *q, r=1, s: p @ q
    w **= await_[0].b(c, *d, key=e, **g)
class A(torch.nn.Module, metaclass=M):
    async def m(self):
        async with a: return [await b async for b in c], {1}, {k: v for k, v in a}
'''


def test_a_walk_visits_what_ast_visits_but_operators_and_contexts() -> None:
    tree = ast.parse(EVERY_KIND)
    shared = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
    expected = [n for n in ast.walk(tree) if not isinstance(n, shared)]
    assert walk(tree) == expected
    for node in expected:
        assert children(node) == [c for c in ast.iter_child_nodes(node) if not isinstance(c, shared)]


INNER_IMPORTS = """
def one(): import torch
def two():
    from torch.nn import (functional as F,  # not (that)
                          init)
    from math import pi, \\
        tau
    x = 1; import torch as t
    return F, init, pi, tau, t, x
class Three:
    import numpy
"""


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("F", "torch.nn.functional"),
        ("init", "torch.nn.init"),
        ("pi", "math.pi"),
        ("tau", "math.tau"),
        ("t", "torch"),
        ("x", None),
    ],
)
def test_imports_inside_functions(name: str, dotted: str | None) -> None:
    parsed = module(INNER_IMPORTS)
    read = [n for n in ast.walk(parsed.tree) if isinstance(n, ast.Name) and n.id == name][-1]
    assert parsed.qualified(read) == dotted


def test_an_import_behind_its_function_on_one_line() -> None:
    parsed = module("def one(): import torch; return torch.exp(0)\n")
    assert parsed.qualified(find(parsed, "torch.exp")) == "torch.exp"


GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*/*/before.py"))[::29]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parent.parent.name}/{p.parent.name}")
def test_what_names_an_identifier_is_found_without_the_rest(path: Path) -> None:
    whole = module(path.read_bytes())
    wanted: dict[str, int] = {}
    for node in ast.walk(whole.tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            wanted[last_part(node)] = wanted.get(last_part(node), 0) + 1
    folded = parse(Source("m.py", path.read_bytes()), [1])
    assert isinstance(folded, Module)
    for name, times in wanted.items():
        nodes = [n for part in folded.naming(name) for n in walk(part)]
        assert sum(isinstance(n, (ast.Name, ast.Attribute)) and last_part(n) == name for n in nodes) == times


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parent.parent.name}/{p.parent.name}")
def test_only_setters_set_attributes(path: Path) -> None:
    parsed = module(path.read_bytes())
    for cls in (n for n in ast.walk(parsed.tree) if isinstance(n, ast.ClassDef)):
        setting = {
            id(part)
            for part in cls.body
            for n in ast.walk(part)
            if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load) and getattr(n.value, "id", "") == "self"
        }
        assert setting <= {id(part) for part in parsed.setters(cls)}


SETTERS = (
    *("self.a = 1", "self.a: int = 1", "self.a += 1", "x = self.a = 1", "self.a, x = f()", "x, self.a = f()"),
    *("(self.a, x) = f()", "[x, self.a] = f()", "for self.a in x: pass", "for i, (x, self.a) in y: pass", "del self.a"),
    *("with f() as self.a: pass", "with f() as (x, self.a): pass", "self.a @= x", "*self.a, x = f()"),
)


@pytest.mark.parametrize("statement", SETTERS)
def test_every_way_to_set_an_attribute(statement: str) -> None:
    parsed = module(f"class A:\n    def f(self):\n        {statement}\n    def g(self):\n        return self.a == 1\n")
    cls = parsed.tree.body[0]
    assert isinstance(cls, ast.ClassDef)
    assert [getattr(part, "name", "") for part in parsed.setters(cls)] == ["f"]
