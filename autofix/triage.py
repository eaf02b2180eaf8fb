"""The filter on bytes: which rules could possibly speak about a file, and where, before it is decoded."""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from autofix.rule import Rule

_BREAK = re.compile(rb"\r\n|\r|\n")
_TOP = re.compile(rb"\n(?:class|def|async def|@)")
_WORDS_APART = bytes(c if c >= 128 or chr(c).isalnum() or c == 95 else 10 for c in range(256))
_MOST_WORDS = 400_000  # what a process remembers: some fifty megabytes
_MEMBER = re.compile(rb"\n([ \t]+)(?:def |async def |@)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that may speak about a file, and the 1-based lines on which its anchor matches."""

    rule: Rule
    lines: tuple[int, ...]


def relevant(data: bytes) -> bool:
    """Whether the file mentions torch, or a library built on it, at all."""
    return any(word in data for word in (b"torch", b"lightning", b"accelerate"))


def candidates(data: bytes, rules: Sequence[Rule]) -> list[Candidate]:
    """The rules whose every trigger group has a literal in `data`, and whose anchor matches in a function or
    statement that has what stands `beside` it as well."""
    if not relevant(data):
        return []
    text = _Text(without_long_strings(data), _lexicon(tuple(rules)))
    found = [Candidate(rule, text.places(rule)) for rule in rules if text.triggers(rule)]
    return [candidate for candidate in found if candidate.lines]


def without_long_strings(data: bytes) -> bytes:
    """The file with nothing but the line breaks of its triple-quoted strings: a fifth of all code is documentation, and
    what it quotes is no code. Where it is not certain that a quote opens a string, the file as it is."""
    if b'"""' not in data or b"'''" in data or b"\r" in data:
        return data
    parts = data.split(b'"""')
    if len(parts) % 2 == 0:
        return data
    for code, string in zip(parts[::2], parts[1::2], strict=False):
        line = code[code.rfind(b"\n") + 1 :]
        if b"#" in line or b'"' in line or b"'" in line or string.endswith(b"\\"):
            return data
    parts[1::2] = [b"\n" * string.count(b"\n") for string in parts[1::2]]
    return b'""'.join(parts)


class _Lexicon:
    """Which of the literals that rules look for lie in which words. Files share most of their words, so that it is
    learnt once in a process, of each word when it first occurs."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        self._literals = sorted({*literals} - {b""})
        self._seen: set[bytes] = set()
        self._found: dict[bytes, list[bytes]] = {}

    def literals_in(self, words: set[bytes]) -> set[bytes]:
        """The literals in a file that has these words; a line break in a literal marks an end of its word."""
        new = words - self._seen
        if len(self._seen) > _MOST_WORDS:
            self._seen.clear()
            self._found.clear()
            new = words
        self._learn(new)
        self._seen |= new
        return {literal for word in words & self._found.keys() for literal in self._found[word]}

    def _learn(self, words: set[bytes]) -> None:
        text = b"\n".join([b"", *words, b""])
        for literal in self._literals:
            at = text.find(literal)
            while at >= 0:
                start = at + 1 if literal.startswith(b"\n") else text.rfind(b"\n", 0, at) + 1
                end = text.find(b"\n", start)
                self._found.setdefault(text[start:end], []).append(literal)
                at = text.find(literal, end)


@functools.lru_cache(maxsize=4)
def _lexicon(rules: tuple[Rule, ...]) -> _Lexicon:
    literals: set[bytes] = set()
    for rule in rules:
        for word in (w for group in rule.triggers for w in group):
            literals.add(_as_spelled(word) if isinstance(word, bytes) else _leading(word.pattern))
        for anchor in (rule.anchor, *(anchor for anchor, _ in rule.further)):
            literals.update(_leading(part.pattern) for part in _alternatives(anchor))
    return _Lexicon(literals)


class _Text:
    """What several rules ask of the bytes of one file."""

    def __init__(self, data: bytes, lexicon: _Lexicon) -> None:
        self._data = data
        self._lexicon = lexicon
        self._words: dict[bytes | re.Pattern[bytes], bool] = {}
        self._anchors: dict[re.Pattern[str], list[int]] = {}
        self._beside: dict[tuple[re.Pattern[str], int], bool] = {}

    def triggers(self, rule: Rule) -> bool:
        known = self._words
        for group in rule.triggers:
            for word in group:
                if word not in known:
                    known[word] = self._search(word)
                if known[word]:
                    break
            else:
                return False
        return True

    def _search(self, word: bytes | re.Pattern[bytes]) -> bool:
        if isinstance(word, bytes):
            spelled = _as_spelled(word)
            return (not spelled or spelled in self._vocabulary) and word in self._data
        return self._may_begin(word) and word.search(self._data) is not None

    @cached_property
    def _vocabulary(self) -> set[bytes]:
        """What occurs in the file of that with which the literals and patterns of the rules are spelled."""
        return self._lexicon.literals_in(set(self._data.translate(_WORDS_APART).split()))

    def places(self, rule: Rule) -> tuple[int, ...]:
        """The lines on which a rule's anchors match, in the parts that have what it wants beside them."""
        offsets = self._offsets(rule.anchor, rule.beside)
        for anchor, beside in rule.further:
            offsets = sorted({*offsets, *self._offsets(anchor, beside)})
        return tuple(dict.fromkeys(self._numbers(offsets)))

    def _offsets(self, anchor: re.Pattern[str], beside: re.Pattern[str] | None) -> list[int]:
        """Where an anchor matches, comments apart, in the parts that have `beside`."""
        offsets = self._anchors.get(anchor)
        if offsets is None:
            parts = [part for part in _alternatives(anchor) if self._may_begin(part)]
            found = {m.start() for part in parts for m in part.finditer(self._data)}
            offsets = sorted(at for at in found if not self._is_comment(at))
            self._anchors[anchor] = offsets
        if beside is not None and offsets:
            offsets = [at for at in offsets if self._is_beside(beside, bisect_right(self._parts, at) - 1)]
        return offsets

    def _may_begin(self, pattern: re.Pattern[bytes]) -> bool:
        lead = _leading(pattern.pattern)
        return not lead or lead in self._vocabulary

    def _is_comment(self, at: int) -> bool:
        """Whether `at` certainly lies in a comment: no quote stands before its sign."""
        if not self._is_plain:
            return False
        line = self._data[self._data.rfind(b"\n", 0, at) + 1 : at]
        sign = line.find(b"#")
        return sign >= 0 and b'"' not in line[:sign] and b"'" not in line[:sign]

    def _is_beside(self, pattern: re.Pattern[str], part: int) -> bool:
        key = (pattern, part)
        if key not in self._beside:
            end = self._parts[part + 1] if part + 1 < len(self._parts) else len(self._data)
            start = self._parts[part]
            self._beside[key] = any(p.search(self._data, start, end) for p in _alternatives(pattern))
        return self._beside[key]

    def _numbers(self, offsets: Sequence[int]) -> Iterator[int]:
        """The 1-based lines of offsets in ascending order."""
        line, counted = 1, 0
        for at in offsets:
            line += self._breaks(counted, at)
            counted = at
            yield line

    def _breaks(self, start: int, end: int) -> int:
        if self._is_plain:
            return self._data.count(b"\n", start, end)
        return sum(1 for _ in _BREAK.finditer(self._data, start, end))

    @cached_property
    def _is_plain(self) -> bool:
        return b"\r" not in self._data

    @cached_property
    def _parts(self) -> list[int]:
        """The offsets at which the functions and classes at the top begin, and the methods of the latter: no function
        or statement that rules visit lies in two parts, unless a string has code at its margin."""
        tops = [0, *(m.start() + 1 for m in _TOP.finditer(self._data))]
        parts: list[int] = []
        for start, end in zip(tops, [*tops[1:], len(self._data)], strict=True):
            parts.append(start)
            if self._data.startswith(b"class", start):
                inside = list(_MEMBER.finditer(self._data, start, end))
                least = min((len(m[1]) for m in inside), default=0)
                parts += [m.start() + 1 for m in inside if len(m[1]) == least]
        return parts


@functools.cache
def _as_spelled(literal: bytes) -> bytes:
    """What the vocabulary has of a literal that is one word, its ends marked where the literal marks them; empty when
    the literal is something else."""
    found = re.fullmatch(rb"([^\w]*)([A-Za-z_]\w*)([^\w]*)", literal)
    return (found[1] and b"\n") + found[2] + (found[3] and b"\n") if found else b""


@functools.cache
def _leading(pattern: bytes) -> bytes:
    """The letters with which everything begins, or goes on after a point, that a pattern matches; empty when they are
    not certain. A repetition or a choice behind the last letter is about that letter alone."""
    if b"|" in pattern:
        return b""
    found = re.match(rb"(?:\\\.)?([A-Za-z_]+)", pattern)
    if found is None:
        return b""
    return found[1][:-1] if pattern[found.end() : found.end() + 1] in (b"?", b"*", b"+", b"{") else found[1]


@functools.cache
def _alternatives(pattern: re.Pattern[str]) -> tuple[re.Pattern[bytes], ...]:
    """The outermost alternatives of a pattern one by one: one that begins with a literal is searched for many times
    as fast as where `re` has to try several beginnings at each character."""
    flags = pattern.flags & ~re.UNICODE
    return tuple(re.compile(part.encode(), flags) for part in split_alternatives(pattern.pattern))


def split_alternatives(pattern: str) -> list[str]:
    """A pattern's text, cut at each `|` that stands in no group and no set."""
    parts = [""]
    depth, in_set = 0, False
    for token in re.findall(r"\\.|\[\^?\]?|[^\\\[]", pattern, re.S):
        if in_set:
            in_set = token != "]"
        elif token[0] == "[":
            in_set = True
        elif token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif token == "|" and not depth:
            parts.append("")
            continue
        parts[-1] += token
    return parts
