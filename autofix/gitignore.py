"""Ignore patterns, with git's own meaning of them (gitignore(5), wildmatch).

A path is asked about after its parents: git never looks inside an ignored directory, so a pattern speaks only of the
path that it matches, and the last one that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "\\x21-\\x7e", "lower": "a-z", "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
    "space": "\\s", "upper": "A-Z", "xdigit": "0-9a-fA-F",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    negated: bool
    directories_only: bool
    whole_path: bool  # matched against the path, not the last name only


class IgnoreRules:
    """The patterns of one file or one option."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._patterns = [p for p in map(_pattern, lines) if p][::-1]
        # Most names match nothing: one search over all patterns says so.
        self._any_name = _any(p for p in self._patterns if not p.whole_path)
        self._any_path = _any(p for p in self._patterns if p.whole_path)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def decide(self, path: str, directory: bool) -> bool | None:
        """Whether `path` (relative to the patterns' own place, with `/`) is ignored; None when none of them matches."""
        name = path.rpartition("/")[2]
        if not (self._any_name and self._any_name.fullmatch(name)) and not (
            self._any_path and self._any_path.fullmatch(path)
        ):
            return None
        for pattern in self._patterns:
            if pattern.directories_only and not directory:
                continue
            if pattern.regex.fullmatch(path if pattern.whole_path else name):
                return not pattern.negated
        return None


def _any(patterns: Iterable[_Pattern]) -> re.Pattern[str] | None:
    parts = [f"(?:{p.regex.pattern})" for p in patterns]
    return re.compile("|".join(parts), re.DOTALL) if parts else None


def _pattern(line: str) -> _Pattern | None:
    """A line's pattern; None for comments, blank lines and what git does not understand either."""
    text = _without_trailing_spaces(line.removesuffix("\r"))
    if text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text.removeprefix("!") if negated else text
    directories_only = text.endswith("/")
    text = text.removesuffix("/")
    whole_path = "/" in text
    translated = _translate(text.removeprefix("/"))
    if not text or translated is None:
        return None
    return _Pattern(re.compile(translated, re.DOTALL), negated, directories_only, whole_path)


def _without_trailing_spaces(line: str) -> str:
    """Spaces at the end do not count, unless a backslash stands before them."""
    found = re.fullmatch(r"((?:\\.|[^\\])*?)( *)(\\?)", line, re.DOTALL)
    return found[1] + found[3] if found else line


def _translate(glob: str) -> str | None:
    """A glob as a regular expression; None when it is malformed, and so matches nothing."""
    out: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        if char == "*":
            end = at
            while glob[end : end + 1] == "*":
                end += 1
            starts_name = at == 0 or glob[at - 1] == "/"
            if end - at == 1 or not starts_name or glob[end : end + 1] not in ("", "/"):
                out.append("[^/]*")
            elif glob[end : end + 1] == "/":
                out.append("(?:.*/)?")
                end += 1
            else:
                out.append(".*")
            at = end
        elif char == "[":
            found = _bracket(glob, at)
            if found is None:
                return None
            part, at = found
            out.append(part)
        elif char == "\\":
            if at + 1 == len(glob):
                return None
            out.append(re.escape(glob[at + 1]))
            at += 2
        else:
            out.append("[^/]" if char == "?" else re.escape(char))
            at += 1
    return "".join(out)


def _bracket(glob: str, start: int) -> tuple[str, int] | None:
    """A bracket expression as a regular expression, and where it ends; None when it is not closed."""
    at = start + 1
    negated = glob[at : at + 1] in ("!", "^") and at < len(glob)
    at += negated
    first = True
    members: list[str] = []
    while True:
        if at >= len(glob):
            return None
        if glob[at] == "]" and not first:
            break
        first = False
        named = re.compile(r"\[:(\w*):\]").match(glob, at)
        if named:
            if named[1] not in _CLASSES:
                return None
            members.append(_CLASSES[named[1]])
            at = named.end()
            continue
        low, at = _member(glob, at)
        if glob[at : at + 1] == "-" and glob[at + 1 : at + 2] not in ("", "]"):
            high, at = _member(glob, at + 1)
            if low <= high:
                members.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            members.append(re.escape(low))
    body = "".join(members)
    if negated:
        return (f"[^/{body}]", at + 1)
    return (f"(?!/)[{body}]" if body else "(?!)", at + 1)


def _member(glob: str, at: int) -> tuple[str, int]:
    if glob[at] == "\\" and at + 1 < len(glob):
        return glob[at + 1], at + 2
    return glob[at], at + 1
