from __future__ import annotations

import ast

import pytest

from autofix.model import Finding, Severity, Source
from autofix.suppress import Suppressions, suppressions
from autofix.syntax import Module, parse


def module_of(text: str) -> Module:
    module = parse(Source("m.py", text.encode()))
    assert isinstance(module, Module)
    return module


def covered(text: str, rule: str = "log-softmax", target: str = "f(") -> bool:
    """Whether a finding of `rule` at the first call that starts with `target` is silenced."""
    module = module_of(text)
    calls = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and module.source(n).startswith(target)]
    start, end = module.chars(calls[0])
    place = (module.char_span(start, end), module.position(start), module.position(end))
    return suppressions(module).covers(Finding(rule, "m.py", *place, "message", Severity.ERROR))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = f(1)  # autofix: ignore[log-softmax]\n", id="on-its-line"),
        pytest.param("x = f(1)  # autofix: ignore\n", id="every-rule"),
        pytest.param("x = f(1)  #autofix:ignore[ other , log-softmax ]\n", id="spaces"),
        pytest.param("x = f(1)  # noqa  # autofix: ignore[log-softmax] for a reason\n", id="among-other-comments"),
        pytest.param("# autofix: ignore[log-softmax]\nx = f(1)\n", id="above"),
        pytest.param("# autofix: ignore[log-softmax]\n# and why\nx = f(1)\n", id="above-with-a-comment-between"),
        pytest.param("if a:\n    # autofix: ignore\n    x = f(1)\n", id="above-in-a-block"),
        pytest.param("# autofix: ignore\nx = [\n    f(1),\n]\n", id="above-a-statement-of-several-lines"),
        pytest.param("x = [\n    # autofix: ignore\n    f(1),\n]\n", id="above-the-line-in-a-statement"),
        pytest.param("# autofix: ignore\n@f(1)\ndef g(): pass\n", id="above-a-decorator"),
        pytest.param("x = f(\n    1,  # autofix: ignore\n    2,\n)\n", id="within-the-finding"),
        pytest.param("x = f(\n    1,\n)  # autofix: ignore\n", id="on-its-last-line"),
        pytest.param("x = 1\n# autofix: skip-file\ny = f(1)\n", id="skip-file"),
        pytest.param("x = f(1)  # autofix: ignore[a]  # autofix: ignore[log-softmax]\n", id="two-on-a-line"),
        pytest.param("\x0cx = f(1)  # autofix: ignore\r\ny = 1\r\n", id="form-feed-and-crlf"),
    ],
)
def test_covered(text: str) -> None:
    assert covered(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = f(1)\n", id="no-comment"),
        pytest.param("x = f(1)  # autofix: ignore[other]\n", id="another-rule"),
        pytest.param("x = f(1)  # autofix: ignore[]\n", id="an-empty-list"),
        pytest.param("x = f(1)  # autofix: ignored\n", id="another-word"),
        pytest.param("x = f('# autofix: ignore')\n", id="in-a-string"),
        pytest.param("'''\n# autofix: skip-file\n'''\nx = f(1)\n", id="skip-file-in-a-docstring"),
        pytest.param("y = 1  # autofix: ignore\nx = f(1)\n", id="at-the-end-of-the-line-above"),
        pytest.param("# autofix: ignore\n\nx = f(1)\n", id="above-with-a-blank-line-between"),
        pytest.param("x = f(1)\n# autofix: ignore\n", id="below"),
        pytest.param("# autofix: ignore\nif a:\n    x = f(1)\n", id="above-the-statement-around"),
    ],
)
def test_not_covered(text: str) -> None:
    assert not covered(text)


def test_files_without_the_marker_cost_nothing() -> None:
    module = module_of("x = 1  # ignore\n")
    assert suppressions(module) == Suppressions()
    assert "comments" not in vars(module)
