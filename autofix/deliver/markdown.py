"""Markdown and plain text from values that anybody may have written: what they hold is shown, never obeyed."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

_SPECIAL = re.compile(r"([\\`*\[\]<>&#|~$]|(?<!\w)_|_(?!\w))")
_ALERTS = re.compile(r"(@|#(?=\d)|!(?=\d)|(?<=\b[Gg][Hh])-(?=\d))")
_ZERO_WIDTH = "\u200b"
_CODE = re.compile(r"(`[^`\n]+`)")
# Control characters, line and paragraph separators, and what reorders text on a screen.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Without what a screen would not show; a lone surrogate (a byte of a path that is no UTF-8) as an escape."""
    return _UNSEEN.sub(
        lambda m: "\n" if m.group() == "\r" else m.group().encode("unicode_escape").decode("ascii"), text
    )


def line(text: str) -> str:
    """On one line, and calling nobody: `@name` and `#12` notify and link otherwise."""
    return _ALERTS.sub(rf"\1{_ZERO_WIDTH}", re.sub(r"\s+", " ", visible(text)).strip())


def prose(text: str) -> str:
    """One line of Markdown that shows the text; code between single backticks stays code."""
    parts = _CODE.split(re.sub(r"\s+", " ", visible(text)).strip())
    return "".join(
        code(part[1:-1]) if n % 2 else _SPECIAL.sub(r"\\\1", line_keeping_ends(part)) for n, part in enumerate(parts)
    )


def line_keeping_ends(text: str) -> str:
    return _ALERTS.sub(rf"\1{_ZERO_WIDTH}", text)


def code(text: str) -> str:
    """A code span, whatever backticks the text has."""
    shown = re.sub(r"\s+", " ", visible(text))
    runs = {len(run) for run in re.findall(r"`+", shown)}
    fence = "`" * next(n for n in range(1, len(runs) + 2) if n not in runs)
    pad = " " if shown[:1] == "`" or shown[-1:] == "`" or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(markdown: str) -> str:
    """Markdown that was made by the functions above, inside a table: a bar would end the cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", markdown.replace("\n", " "))


def fenced(text: str, language: str = "") -> str:
    """A block of code that the text cannot end."""
    shown = visible(text).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def flowed(text: str) -> str:
    """Our own Markdown with each paragraph on one line: forges break lines where the source does."""
    blocks = re.split(r"\n[ \t]*\n", text.strip("\n"))
    joined = [b if re.match(r"    |[-*|>]|\d+\.|```", b) else re.sub(r"\s*\n\s*", " ", b) for b in blocks]
    return "\n\n".join(joined)


def environment(folder: Path | None = None) -> Environment:
    """The templates, those of the user's folder before ours."""
    own = PackageLoader("autofix.templates", "")
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(str(folder)), own]) if folder else own,
        autoescape=False,  # Markdown and text: what goes in passes one of the filters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "flowed": flowed,
        "prose": prose,
        "code": code,
        "cell": cell,
        "fenced": fenced,
        "line": line,
        "visible": visible,
    }
    return made
