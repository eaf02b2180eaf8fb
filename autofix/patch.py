"""Fixes in, one patch per file out: composing fixes, and joining the passes that it took."""

from __future__ import annotations

import ast
import warnings
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence

from autofix.diff import diff, render
from autofix.edits import Change, apply_edits, encoding_of, replaced, to_changes
from autofix.model import Edit, Finding, Patch, Source, Span
from autofix.syntax import with_deep_stack

__all__ = ["apply_edits", "before", "compose", "diff", "encoding_of", "merge", "render"]

_BREAKAGES_PER_RULE = 8  # each one is found by compiling the file a dozen times, and a file may have thousands


def compose(source: Source, findings: Sequence[Finding]) -> Patch:
    """As many of the findings' fixes as go together, each all or nothing, first come first served by position.

    A fix that touches an accepted one is deferred to the next pass; an edit that two fixes share (the same import
    at the same place) is made once. A fix after which Python cannot compile the file is rejected, and so is one
    whose text the file's encoding cannot hold.
    """
    candidates: list[Finding] = []
    rejected: list[tuple[Finding, str]] = []
    broken: Counter[str] = Counter()
    for finding in sorted((f for f in findings if f.fix), key=lambda f: (f.span, f.rule)):
        reason = _unusable(source, _edits([finding]))
        if reason:
            rejected.append((finding, reason))
        else:
            candidates.append(finding)
    while True:
        accepted, deferred = _compatible(candidates)
        culprit, reason = _first_broken(source, accepted)
        if culprit is None:
            break
        candidates = [f for f in candidates if f is not culprit]
        rejected.append((culprit, reason))
        broken[culprit.rule] += 1
        if broken[culprit.rule] == _BREAKAGES_PER_RULE:
            again = f"{culprit.rule} broke this file in {_BREAKAGES_PER_RULE} other places"
            rejected.extend((f, again) for f in candidates if f.rule == culprit.rule)
            candidates = [f for f in candidates if f.rule != culprit.rule]
    changes = _minimal(source.data, _joined(source.data, to_changes(source, _edits(accepted))))
    return _patch(source, changes, accepted, deferred, rejected)


def _edits(findings: Iterable[Finding]) -> list[Edit]:
    """The edits of the findings' fixes, each once."""
    return list(dict.fromkeys(e for f in findings if f.fix for e in f.fix.edits))


def _unusable(source: Source, edits: Sequence[Edit]) -> str:
    """Why one fix cannot be applied whatever the others do, or nothing."""
    encoding = encoding_of(source.data)
    try:
        for edit in edits:
            edit.text.encode(encoding, "surrogateescape" if edit.exact else "strict")
    except UnicodeEncodeError as error:
        return f"the file's encoding, {encoding}, has no {error.object[error.start]!a}"
    try:
        to_changes(source, edits)
    except ValueError as error:
        return f"the fix contradicts itself: {error}"
    return ""


def _compatible(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings whose fixes do not touch each other, and those that touch an earlier one."""
    accepted: list[Finding] = []
    deferred: list[Finding] = []
    made: set[Edit] = set()
    taken = _Taken()
    for finding in findings:
        new = [e for e in _edits([finding]) if e not in made]
        if any(taken.touches(e.span) for e in new):
            deferred.append(finding)
            continue
        accepted.append(finding)
        for edit in new:
            made.add(edit)
            taken.add(edit.span)
    return accepted, deferred


class _Taken:
    """Spans in use. They never overlap, so sorting them by start sorts them by end as well."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def touches(self, span: Span) -> bool:
        first = bisect_left(self._spans, span.start, key=lambda s: s.end)
        return first < len(self._spans) and self._spans[first].start <= span.end

    def add(self, span: Span) -> None:
        insort(self._spans, span)


def _first_broken(source: Source, findings: list[Finding]) -> tuple[Finding | None, str]:
    """The first fix, in order, that turns a file which compiles into one that does not, with Python's words."""
    reason = _breakage(source, findings)
    if not reason:
        return None, ""
    sound, broken = 0, len(findings)
    while broken - sound > 1:
        middle = (sound + broken) // 2
        error = _breakage(source, findings[:middle])
        if error:
            broken, reason = middle, error
        else:
            sound = middle
    return findings[broken - 1], f"the file would no longer compile: {reason}"


def _breakage(source: Source, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    after = apply_edits(source, _edits(findings))
    error = _compile_error(after)
    # A file that Python refuses for another reason (a `return` outside a function) is held to its grammar only.
    if error and not _compile_error(after, ast.PyCF_ONLY_AST) and _compile_error(source.data):
        return ""
    return error


def _compile_error(data: bytes, flags: int = 0) -> str:
    """Python's words about a file that it cannot compile, or nothing."""

    def attempt() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(data, "<patched>", "exec", flags, dont_inherit=True)

    try:
        try:
            attempt()
        except (RecursionError, MemoryError):
            with_deep_stack(attempt)
    except (RecursionError, MemoryError):
        return ""  # too deep for Python itself, before as well as after
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})" if error.lineno else str(error.msg)
    except ValueError as error:
        return str(error)
    return ""


# -- joining passes --------------------------------------------------------------------------------------------


def merge(first: Patch, second: Patch) -> Patch:
    """One patch against the original of `first`, where `second` was composed against `first.after`.

    Edits that touch are joined, and each is trimmed to what it changes. The findings of `second` keep their
    positions in `first.after`.

    Raises:
        ValueError: `second` starts from other bytes than `first` leaves.
    """
    if second.source.data != first.after:
        raise ValueError(f"{first.source.path}: the second pass starts from other bytes than the first one left")
    changes = _onto(
        first.source.data, to_changes(first.source, first.edits), first.after, to_changes(second.source, second.edits)
    )
    if second.after == first.source.data:  # a pass took back what the one before did, perhaps at another of its places
        changes = []
    again = {(f.rule, f.message) for f, _ in second.rejected}
    rejected = [r for r in first.rejected if (r[0].rule, r[0].message) not in again]
    return _patch(
        first.source,
        _minimal(first.source.data, changes),
        [*first.applied, *second.applied],
        second.deferred,
        [*rejected, *second.rejected],
    )


def before(patch: Patch, span: Span) -> Span:
    """Where a span of `patch.after` comes from in the original: what lies in a replacement comes from all that it
    replaced."""
    changes = to_changes(patch.source, patch.edits)
    start = _before(changes, span.start, is_end=False)
    return Span(start, max(start, _before(changes, span.end, is_end=True)))


def _before(changes: Iterable[Change], offset: int, is_end: bool) -> int:
    shift = 0  # bytes that the changes so far added
    for old, new in changes:
        begin = old.start + shift
        if offset < begin or (is_end and offset == begin):
            break
        if offset < begin + len(new) or (is_end and offset == begin + len(new)):
            return old.end if is_end else old.start
        shift += len(new) - (old.end - old.start)
    return offset - shift


def _onto(data: bytes, first: list[Change], middle: bytes, second: list[Change]) -> list[Change]:
    """Changes to `data` that do `first` (which gives `middle`) and then `second`."""
    # Each change as (start, end in `middle`, its number): a sweep joins those that touch there.
    places: list[tuple[int, int, bool, int]] = []
    shift = 0
    for number, (span, new) in enumerate(first):
        places.append((span.start + shift, span.start + shift + len(new), False, number))
        shift += len(new) - (span.end - span.start)
    places += ((span.start, span.end, True, number) for number, (span, _) in enumerate(second))
    places.sort()
    out: list[Change] = []
    shift = 0  # bytes that `first` added before this place
    at = 0
    while at < len(places):
        start, end = places[at][:2]
        group = []
        while at < len(places) and places[at][0] <= end:
            end = max(end, places[at][1])
            group.append(places[at])
            at += 1
        old_start = start - shift
        for _, _, later, number in group:
            if not later:
                span, new = first[number]
                shift += len(new) - (span.end - span.start)
        later_changes = (second[number] for _, _, later, number in group if later)
        new = replaced(middle, later_changes, start, end)
        out.append((Span(old_start, end - shift), new))
    return out


def _joined(data: bytes, changes: Iterable[Change]) -> list[Change]:
    """Changes in order, those that touch made one."""
    out: list[Change] = []
    for span, new in changes:
        if out and out[-1][0].end >= span.start:
            before, text = out.pop()
            out.append((Span(before.start, span.end), text + new))
        else:
            out.append((span, new))
    return out


def _minimal(data: bytes, changes: Iterable[Change]) -> list[Change]:
    """Changes without the bytes that they only repeat at their ends; those that change nothing are left out."""
    out: list[Change] = []
    for span, new in changes:
        old = data[span.start : span.end]
        if old == new:
            continue
        shorter = min(len(old), len(new))
        head = _common(old, new, shorter)
        while _splits(old, head) or _splits(new, head):
            head -= 1
        tail = _common(old[::-1], new[::-1], shorter - head)
        while tail and (_splits(old, len(old) - tail) or _splits(new, len(new) - tail)):
            tail -= 1
        out.append((Span(span.start + head, span.end - tail), new[head : len(new) - tail]))
    return out


def _common(one: bytes, other: bytes, most: int) -> int:
    """Length of the common prefix, at most `most`."""
    return next((at for at in range(most) if one[at] != other[at]), most)


def _splits(data: bytes, at: int) -> bool:
    """Whether a cut at `at` would fall inside a character of UTF-8."""
    return 0 < at < len(data) and 0x80 <= data[at] < 0xC0


def _patch(
    source: Source,
    changes: list[Change],
    applied: Sequence[Finding],
    deferred: Sequence[Finding],
    rejected: Sequence[tuple[Finding, str]],
) -> Patch:
    return Patch(
        source=source,
        after=replaced(source.data, changes),
        edits=tuple(_exact(source, changes)),
        applied=tuple(applied),
        deferred=tuple(deferred),
        rejected=tuple(rejected),
    )


def _exact(source: Source, changes: list[Change]) -> list[Edit]:
    """Changes as edits whose text stands for exactly their bytes."""
    encoding = encoding_of(source.data)
    edits = _as_text(changes, encoding)
    if edits is None:
        # An old multi-byte encoding, and a cut inside a character: the whole file is text even then.
        whole = (Span(0, len(source.data)), replaced(source.data, changes))
        edits = _as_text([whole], encoding)
    if edits is None:
        raise ValueError(f"{source.path}: not text in {encoding}")
    return edits


def _as_text(changes: Iterable[Change], encoding: str) -> list[Edit] | None:
    edits: list[Edit] = []
    for span, new in changes:
        try:
            text = new.decode(encoding, "surrogateescape")
        except UnicodeDecodeError:
            return None
        if text.encode(encoding, "surrogateescape") != new:
            return None
        edits.append(Edit(span, text, exact=True))
    return edits
