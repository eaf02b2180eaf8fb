"""Unified diffs, built from a patch's edits: what changed is known, so texts are never compared.

Bytes travel through unidiff's strings as UTF-8 with lone surrogates for what is not (PEP 383). Lines end at `\\n`
only, as they do for git and patch: form feeds, lone carriage returns and U+2028 are ordinary characters.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unidiff.patch import Hunk, Line, PatchedFile, PatchInfo

from autofix.edits import Change, to_changes
from autofix.model import Patch

CONTEXT_LINES = 3
_NO_FINAL_NEWLINE = " No newline at end of file\n"
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


class _Region(NamedTuple):
    """Whole lines: `old` (from line number `first`, 0-based) is replaced by `new`."""

    first: int
    old: list[bytes]
    new: list[bytes]

    @property
    def last(self) -> int:
        """Number of the first line after `old`."""
        return self.first + len(self.old)


def render(patches: Sequence[Patch], preambles: Sequence[Sequence[str]] = (), folder: Path | None = None) -> bytes:
    """What `git apply` and `patch -p1` take as it is in `folder` (the working directory when None).

    Each file's preamble stands before its diff, as lines that begin with `#`. Below the top of a repository the
    diffs have no `diff --git` line: git would take their paths as relative to the top, and skip them silently.
    """
    folder = Path.cwd() if folder is None else folder.absolute()
    git_header = (folder / ".git").exists() or not any((p / ".git").exists() for p in folder.parents)
    parts: list[str] = []
    for number, patch in enumerate(patches):
        for text in preambles[number] if number < len(preambles) else ():
            # splitlines, so that no separator of any kind starts a line that a tool could take for a header.
            parts += (_comment(line) for line in text.splitlines() or [""])
        patched = diff(patch, _relative(patch.source.path, folder), git_header)
        if patched:
            parts.append(str(patched))
    return "".join(parts).encode("utf-8", "surrogateescape")


def _comment(line: str) -> str:
    return (line if line.startswith("#") else f"# {line}").rstrip() + "\n"


def _relative(path: str, folder: Path) -> str:
    """As seen from `folder`; a file that lies elsewhere is named from the root, for `patch -p1 -d /`."""
    full = os.path.normpath(folder / path)
    return os.path.relpath(full, folder) if Path(full).is_relative_to(folder) else full


def diff(patch: Patch, path: str, git_header: bool = True) -> PatchedFile:
    """The patch as a unidiff object; it has no hunks when nothing changes.

    path: relative to where the patch is to be applied, with `/` or the system's separator.
    """
    name = posixpath.normpath(path.replace(os.sep, "/")).lstrip("/")
    old, new = quoted(f"a/{name}"), quoted(f"b/{name}")
    # git and patch end an unquoted name at the first white space unless a TAB says where it ends.
    tab = "\t" if " " in name and not old.startswith('"') else ""
    info = PatchInfo([f"diff --git {old} {new}\n"]) if git_header else None
    patched = PatchedFile(info, old + tab, new + tab)
    lines = _lines(patch.source.data)
    shift = 0
    for group in _groups(_regions(patch.source.data, to_changes(patch.source, patch.edits))):
        patched.append(_hunk(lines, group, shift))
        shift += sum(len(r.new) - len(r.old) for r in group)
    return patched


def quoted(name: str) -> str:
    """A path as git writes it: in quotes with escapes when it has control or non-ASCII characters, `"` or `\\`."""
    data = os.fsencode(name)
    if all(0x20 <= byte < 0x7F and byte not in (34, 92) for byte in data):
        return name
    return '"' + "".join(_escaped(byte) for byte in data) + '"'


def _escaped(byte: int) -> str:
    if byte in _ESCAPES:
        return "\\" + _ESCAPES[byte]
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _lines(data: bytes) -> list[bytes]:
    """Lines with their `\\n`; the last one may lack it."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _regions(data: bytes, changes: Iterable[Change]) -> list[_Region]:
    """The changes widened to whole lines; those that meet are one."""
    pieces: list[tuple[int, int, bytes]] = [(0, 0, b"")]  # the bytes [start, upto) become this text
    for span, new in changes:
        start, upto, text = pieces[-1]
        line_start = data.rfind(b"\n", 0, span.start) + 1
        if line_start <= _line_boundary(data, upto, text):
            pieces[-1] = (start, span.end, text + data[upto : span.start] + new)
        else:
            pieces.append((line_start, span.end, data[line_start : span.start] + new))
    regions: list[_Region] = []
    counted, line = 0, 0
    for start, upto, text in pieces:
        line += data.count(b"\n", counted, start)
        counted = start
        regions += _region(data, start, upto, text, line)
    return regions


def _line_boundary(data: bytes, upto: int, text: bytes) -> int:
    """Where lines that `text` followed by `data[upto:]` makes fall into step with the original's again."""
    whole_before = upto == 0 or data[upto - 1 : upto] == b"\n"
    if whole_before and (not text or text.endswith(b"\n")):
        return upto
    found = data.find(b"\n", upto)
    return len(data) if found < 0 else found + 1


def _region(data: bytes, start: int, upto: int, text: bytes, line: int) -> list[_Region]:
    end = _line_boundary(data, upto, text)
    old, new = _lines(data[start:end]), _lines(text + data[upto:end])
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    shorter -= head
    tail = next((i for i in range(shorter) if old[-1 - i] != new[-1 - i]), shorter)
    region = _Region(line + head, old[head : len(old) - tail], new[head : len(new) - tail])
    return [region] if region.old or region.new else []


def _groups(regions: Iterable[_Region]) -> list[list[_Region]]:
    """Regions that share a hunk because their context would meet."""
    groups: list[list[_Region]] = []
    for region in regions:
        if groups and region.first - groups[-1][-1].last <= 2 * CONTEXT_LINES:
            groups[-1].append(region)
        else:
            groups.append([region])
    return groups


def _hunk(lines: list[bytes], group: list[_Region], shift: int) -> Hunk:
    """The hunk of a group of regions; `shift` is how many lines the hunks before it add."""
    begin = max(0, group[0].first - CONTEXT_LINES)
    end = min(len(lines), group[-1].last + CONTEXT_LINES)
    source_length = end - begin
    target_length = source_length + sum(len(r.new) - len(r.old) for r in group)
    # A hunk with no lines on one side names the line before it there.
    source, target = begin + 1, begin + shift + 1
    hunk = Hunk(source - (not source_length), source_length, target - (not target_length), target_length)

    def add(content: bytes, kind: str) -> None:
        nonlocal source, target
        value = content.decode("utf-8", "surrogateescape")
        complete = value.endswith("\n")
        numbers = (None if kind == "+" else source, None if kind == "-" else target)
        hunk.append(Line(value if complete else value + "\n", kind, *numbers))
        source += kind != "+"
        target += kind != "-"
        if not complete:
            hunk.append(Line(_NO_FINAL_NEWLINE, "\\"))

    at = begin
    for region in group:
        for content in lines[at : region.first]:
            add(content, " ")
        for content in region.old:
            add(content, "-")
        for content in region.new:
            add(content, "+")
        at = region.last
    for content in lines[at:end]:
        add(content, " ")
    return hunk
