"""What a class says about its arguments: parameters along the inheritance, annotations, defaults, documentation."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

from torch import nn

from . import synth_names
from .synth_values import Spec, own_parameters

_SHAPE = re.compile(r"[\[(]\s*([A-Za-z_*][\w*/+\-. ]*?(?:\s*(?:,|\bx\b|×)\s*[\w*/+\-. ]+?)+)\s*,?\s*[\])]")
_ENTRY = re.compile(
    r"^(\s*)(?::param\s+)?`{0,2}\*{0,2}([A-Za-z_]\w*)`{0,2}\s*(?:\(([^)\n]*(?:\([^)\n]*\)[^)\n]*)*)\))?\s*:(.*)$"
)
_HEADINGS = frozenset({
    "args", "arguments", "parameters", "params", "inputs", "outputs", "returns", "return", "raises", "yields", "note",
    "notes", "example", "examples", "shape", "shapes", "attributes", "references", "usage", "keyword",
})  # fmt: skip
_MOST_ENTRIES = 60


def constructor_parameters(kind: type) -> list[inspect.Parameter]:
    """The constructor's parameters; where it takes `**kwargs`, those of the next one in line too."""
    found: dict[str, inspect.Parameter] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner) or owner is nn.Module:
            continue
        parameters = own_parameters(vars(owner)["__init__"])
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters) or owner.__module__.startswith("torch."):
            break
    return list(found.values())


def required(kind: type) -> list[str]:
    """Names of the arguments that the constructor must be given."""
    return [
        p.name
        for p in own_parameters(kind.__init__)  # type: ignore[misc]
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]


def constructor_hints(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for owner in kind.__mro__:
        if "__init__" in vars(owner) and owner is not object:
            found = {**hints_of(vars(owner)["__init__"]), **found}
    return found


def hints_of(function: Any) -> dict[str, Any]:
    """Annotations as objects where they can be resolved, else as text."""
    function = inspect.unwrap(function)
    raw = dict(getattr(function, "__annotations__", None) or {})
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers only
        scope = getattr(function, "__globals__", {})
    return {name: _resolve(hint, scope) for name, hint in raw.items()}


def _resolve(hint: Any, scope: dict[str, Any]) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, scope)  # an annotation of the user's, in the process that runs the user's code
    except Exception:
        return hint


def of_default(name: str, default: Any) -> list[Spec]:
    """Other values of the type of a plain default; the default itself where there is none. Empty: it tells no type."""
    if isinstance(default, bool):
        return [["value", not default]]
    if isinstance(default, int):
        return [["value", synth_names.integer(name, 8)]]
    if isinstance(default, float):
        return [["value", synth_names.number(name)]]
    if isinstance(default, str):
        return [["value", default]]
    if isinstance(default, tuple) and default and all(isinstance(n, (int, float, str, bool)) for n in default):
        return [["tuple", [["value", n] for n in default]]]
    return []


# -- documentation -------------------------------------------------------------------------------------------


class Documented:
    """What a docstring says of one argument. type_text: between parentheses. words: the description.
    axes: the names of its dimensions, where a shape is written out."""

    def __init__(self, type_text: str, words: str) -> None:
        self.type_text = type_text
        self.words = words
        self.axes = _axes(f"{type_text} {words}")

    @property
    def is_tensor(self) -> bool:
        return re.search(r"[Tt]ensor", self.type_text or self.words.split(".")[0]) is not None


def documented(kind: type, method: str) -> dict[str, Documented]:
    """The arguments that the docstrings of a method and of its class describe, in Google's or reST's style."""
    function = getattr(kind, method, None)
    texts = [getattr(function, "__doc__", None)]
    if method == "__init__":
        texts.append(vars(kind).get("__doc__"))
    found: dict[str, Documented] = {}
    for text in texts:
        if isinstance(text, str) and len(text) < 20_000:
            for name, one in _entries(inspect.cleandoc(text)):
                found.setdefault(name, one)
                if len(found) > _MOST_ENTRIES:
                    return found
    return found


def _entries(text: str) -> Iterator[tuple[str, Documented]]:
    words: list[str] = []
    name, kind, indent = "", "", 0
    for line in text.splitlines():
        match = _ENTRY.match(line)
        if match and match.group(2).lower() in _HEADINGS:
            if name:
                yield name, Documented(kind, " ".join(words))
            name = ""
            continue
        deeper = len(line) - len(line.lstrip()) > indent
        if match and not (name and deeper):
            if name:
                yield name, Documented(kind, " ".join(words))
            indent, name, kind, words = (
                len(match.group(1)),
                match.group(2),
                match.group(3) or "",
                [match.group(4)],
            )
        elif name and line.strip() and deeper:
            words.append(line.strip())
        elif name and line.strip():
            yield name, Documented(kind, " ".join(words))
            name = ""
    if name:
        yield name, Documented(kind, " ".join(words))


def _axes(text: str) -> tuple[str, ...]:
    """`[b, s, d]`, `(batch_size, length)` or `[b x s x d]` as names; empty when no shape is written."""
    if not re.search(r"shape|size|dimension|\[\s*\w+\s*(?:x|×|,)", text):
        return ()
    for match in _SHAPE.finditer(text):
        parts = [p.strip() for p in re.split(r",|\bx\b|×", match.group(1))]
        if (
            all(re.fullmatch(r"[A-Za-z_*][\w*]*(?:\s*[-+*/]\s*\w+)*|\d+|\*|\.\.\.", p) for p in parts)
            and len(parts) < 7
        ):
            if any(p.lower() in _WORDS for p in parts):
                continue
            return tuple(parts)
    return ()


_WORDS = frozenset("optional default none int float str bool list tuple tensor torch and or the a true false".split())
