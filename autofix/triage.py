"""The filter on bytes: which rules could possibly speak about a file, and where, before it is decoded."""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from autofix.rule import Rule
from autofix.tree import words_in

_BREAK = re.compile(rb"\r\n|\r|\n")
_TOP = re.compile(rb"\n(?:class|def|async def|@)")
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
    found = [Candidate(rule, text.places(rule)) for rule in text.possible if text.triggers(rule)]
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
    """Which of the literals that rules look for lie in which words, as bits of an integer. Files share most of their
    words, so that it is learnt once in a process, of each word when it first occurs."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._bits: dict[bytes, int] = {}
        self._seen: set[bytes] = set()
        self._found: dict[bytes, int] = {}
        self._wanted = [(rule, tuple(self._groups(rule))) for rule in rules]

    def _groups(self, rule: Rule) -> Iterator[int]:
        """The bits of which a file must have one, for each trigger group of a rule and for its anchors."""
        anchors = (rule.anchor, *(anchor for anchor, _ in rule.further))
        parts = [part for anchor in anchors for part in _alternatives(anchor)]
        for group in (*rule.triggers, parts):
            bits = [self.bit(_spelling(word)) for word in group]
            if all(bits):
                yield functools.reduce(int.__or__, bits)

    def bit(self, spelling: bytes) -> int:
        """The bit of a literal; 0 for the empty one, which says nothing."""
        return self._bits.setdefault(spelling, 1 << len(self._bits)) if spelling else 0

    def possible(self, bits: int) -> list[Rule]:
        """The rules of which a file with these bits may have everything."""
        return [rule for rule, groups in self._wanted if all(bits & group for group in groups)]

    def bits_in(self, words: set[bytes]) -> int:
        """The literals in a file that has these words; a line break in a literal marks an end of its word."""
        new = words - self._seen
        if len(self._seen) > _MOST_WORDS:
            self._seen.clear()
            self._found.clear()
            new = words
        if new:
            self._learn(new)
            self._seen |= new
        bits, found = 0, self._found
        for word in words & found.keys():
            bits |= found[word]
        return bits

    def _learn(self, words: set[bytes]) -> None:
        text = b"\n".join([b"", *words, b""])
        found = self._found
        for literal, bit in self._bits.items():
            at = text.find(literal)
            while at >= 0:
                start = at + 1 if literal.startswith(b"\n") else text.rfind(b"\n", 0, at) + 1
                end = text.find(b"\n", start)
                word = text[start:end]
                found[word] = found.get(word, 0) | bit
                at = text.find(literal, end)


_lexicon = functools.lru_cache(maxsize=4)(_Lexicon)


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
        if not self._may_have(word):
            return False
        return word in self._data if isinstance(word, bytes) else word.search(self._data) is not None

    def _may_have(self, word: bytes | re.Pattern[bytes]) -> bool:
        bit = self._lexicon.bit(_spelling(word))
        return not bit or bool(bit & self._bits)

    @cached_property
    def _bits(self) -> int:
        """What occurs in the file of that with which the literals and patterns of the rules are spelled."""
        return self._lexicon.bits_in(words_in(self._data))

    @property
    def possible(self) -> list[Rule]:
        """The rules of which no trigger group and not every anchor is certainly absent."""
        return self._lexicon.possible(self._bits)

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
            parts = [part for part in _alternatives(anchor) if self._may_have(part)]
            found = {m.start() for part in parts for m in part.finditer(self._data)}
            offsets = sorted(at for at in found if not self._is_comment(at))
            self._anchors[anchor] = offsets
        if beside is not None and offsets:
            offsets = [at for at in offsets if self._is_beside(beside, bisect_right(self._parts, at) - 1)]
        return offsets

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
def _spelling(word: bytes | re.Pattern[bytes]) -> bytes:
    """The longest word with which a literal is written, or with which everything begins that a pattern matches; empty
    where none would tell files apart. A line break marks an end that is certainly one of the word in the file."""
    literal = word if isinstance(word, bytes) else _beginning(word)
    found = [m for m in re.finditer(rb"\w+", literal) if _tells(m[0])]
    if not found:
        return b""
    longest = max(found, key=lambda m: len(m[0]))
    return b"\n" * (longest.start() > 0) + longest[0] + b"\n" * (longest.end() < len(literal))


def _tells(word: bytes) -> bool:
    """Whether not nearly every file has the word: `torch` they all have, and a digit or a letter at some end."""
    return word != b"torch" and len(word) > (2 if word.isdigit() else 1)


def _beginning(pattern: re.Pattern[bytes]) -> bytes:
    """The characters with which everything begins that a pattern without a choice outside of groups matches."""
    if len(_alternatives(pattern)) > 1 or pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return b""
    found = re.match(rb"(?:\\[^\w]|[^\\.^$*+?{}\[\]|()])*", pattern.pattern)
    literal = re.sub(rb"\\(.)", rb"\1", found[0] if found else b"")
    # A repetition is about the last character alone.
    return literal[:-1] if pattern.pattern[found.end() if found else 0 :][:1] in (b"?", b"*", b"+", b"{") else literal


@functools.cache
def _alternatives(pattern: re.Pattern[str] | re.Pattern[bytes]) -> tuple[re.Pattern[bytes], ...]:
    """The outermost alternatives of a pattern one by one: one that begins with a literal is searched for many times
    as fast as where `re` has to try several beginnings at each character."""
    flags = pattern.flags & ~re.UNICODE
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    return tuple(re.compile(part.encode(), flags) for part in split_alternatives(text))


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
