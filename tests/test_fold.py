"""Functions that stay text until they are looked into: the tree is the same as that of the whole file."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

import autofix
from autofix.detect import scan
from autofix.fold import parse_outline
from autofix.model import Source
from autofix.registry import all_rules
from autofix.rule import Options

CODE = textwrap.dedent(
    '''
    import torch

    LIMIT = 3


    @torch.no_grad()
    def first(x, *rest, scale: float = 1.0) -> "torch.Tensor":
        """Text."""
        # a comment
    # a comment at the margin
        return x * scale

    class A(torch.nn.Module):
        async def early(
            self,
            x,
        ):
            def inner():
                return x
            return inner

        @property
        def late(self):
            y = 1
            return (
        y
            )

        def last(self):
            a = 1
            b = 2
            return a + b

    def wanted(x):
        y = x
        z = y
        return z
    '''
)


def test_a_folded_tree_is_the_whole_tree_once_it_is_read() -> None:
    tree = parse_outline(CODE, [CODE[: CODE.index("def wanted")].count("\n") + 2])
    assert tree is not None
    assert [type(n).__name__ for n in tree.body if isinstance(n, ast.FunctionDef)] == ["_Folded", "FunctionDef"]
    assert ast.dump(tree, include_attributes=True) == ast.dump(ast.parse(CODE), include_attributes=True)
    assert not [n for n in ast.walk(tree) if type(n).__name__.startswith("_Folded")]


def test_the_name_and_place_of_a_function_are_known_without_parsing_it() -> None:
    tree = parse_outline(CODE, [])
    assert tree is not None
    first = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    assert (first.name, first.lineno, len(first.decorator_list)) == ("first", 8, 1)
    assert type(first).__name__ == "_Folded"
    assert [a.arg for a in first.args.kwonlyargs] == ["scale"]
    assert type(first) is ast.FunctionDef


@pytest.mark.parametrize("path", sorted(Path(autofix.__file__).parent.glob("*.py")), ids=lambda p: p.name)
def test_real_files_are_the_same_folded(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = parse_outline(text, [])
    assert tree is not None
    assert ast.dump(tree, include_attributes=True) == ast.dump(ast.parse(text), include_attributes=True)


@pytest.mark.parametrize(
    "function",
    [
        'def f():\n    """\ntext at the margin\ndef g():\n    a\n    b\n    c\n    """\n    return 1\n',
        "def f():\n    a = 1\n    b = 2\n    c = 3 + \\\n4\n    return c\n",
        "def f():\n    a = '''\n  x\n'''\n    b = 2\n    c = 3\n    return c\n",
    ],
    ids=["code in a string", "a line that goes on at the margin", "a string that ends at the margin"],
)
def test_text_at_the_margin_of_a_function_changes_nothing(function: str) -> None:
    code = f"import torch\n{function}\nz = 1\n"
    tree = parse_outline(code, [])
    if tree is not None:
        assert ast.dump(tree, include_attributes=True) == ast.dump(ast.parse(code), include_attributes=True)


def test_a_function_that_is_no_python_costs_nothing_but_time() -> None:
    """What only the folded text says is found out when it is looked into, and the file is read as a whole."""
    code = (
        "import torch\n\ndef helper(x):\n    a = 1\n    b = 2\n    c = = 3\n    return x\n\n"
        "def f(x):\n    p = helper(x)\n    return torch.log(torch.softmax(p, dim=1)) + torch.log(1 + torch.exp(x))\n"
    )
    found = scan(Source("a.py", code.encode()), all_rules(), Options())
    assert found.problem is not None or found.findings
