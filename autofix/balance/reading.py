"""From a path to the loads in it. What a file is, its content says; its name counts for nothing."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from autofix.balance import arrays, lines, printed
from autofix.balance.blocks import BLOCK, Block, blocks
from autofix.balance.series import RoutingLog
from autofix.model import Problem

STDIN = "-"

_COMPRESSED = {b"\x1f\x8b": "zcat", b"BZh": "bzcat", b"\xfd7zXZ": "xzcat", b"\x28\xb5\x2f\xfd": "zstdcat"}
_LARGE_RECORD, _LARGE_BLOCK = 1 << 10, 1 << 18
"""Records of many experts are read more at a time, so that a column has as many rows as the work on it is worth."""

_NUL = b"\0"
_EXPECTED = (
    "expected printed tensors `[(1, tensor([...])), ...]`, JSON lines, CSV with a header, "
    "or a file of numpy or torch.save"
)


def read(path: str) -> RoutingLog | Problem:
    """Read a routing log; `-` is standard input. Memory does not grow with the length of a text file."""
    name = "<stdin>" if path == STDIN else path
    log = RoutingLog(name)
    try:
        if path == STDIN:
            wrong = _read_stream(log, sys.stdin.buffer, None)
        elif Path(path).is_dir():
            return Problem(name, "is a directory; name a file")
        else:
            with Path(path).open("rb") as stream:
                wrong = _read_stream(log, stream, Path(path))
    except OSError as error:
        return Problem(name, f"cannot be read: {error.strerror or error}")
    if wrong:
        return Problem(name, wrong)
    if not log.layers:
        if not log.skipped:
            return Problem(name, "no loads in it")
        return Problem(name, f"no loads in it; {log.skipped[0].reason}", log.skipped[0].line)
    return log


def _read_stream(log: RoutingLog, stream: BinaryIO, path: Path | None) -> str:
    """Returns why the file cannot be read, or nothing."""
    head = stream.read(BLOCK)
    if not head.strip():
        return "is empty"
    for magic, command in _COMPRESSED.items():
        if head.startswith(magic):
            return f"is compressed; `{command} FILE | autofix routing -` reads it"
    log.format = _format(head, path)
    if log.format in ("numpy", "torch.save") and path is None:
        return f"a {log.format} file cannot be read from standard input; give its path"
    if log.format == "numpy" and path is not None:
        return arrays.read_numpy(log, path)
    if log.format == "torch.save" and path is not None:
        return arrays.read_torch(log, path)
    if log.format == "printed tensors":
        size = _LARGE_BLOCK if head.find(printed.END) > _LARGE_RECORD else BLOCK
        for block in _readable(log, blocks(stream, head, printed.END, size)):
            printed.read_block(log, block)
        return ""
    if log.format == "JSON lines":
        lines.read_json(log, blocks(stream, head))
        return ""
    if log.format == "CSV":
        return lines.read_csv(log, blocks(stream, head))
    return f"is {'binary' if _NUL in head else 'no routing log'}; {_EXPECTED}"


def _format(head: bytes, path: Path | None) -> str:
    if head.startswith(b"\x93NUMPY"):
        return "numpy"
    if head.startswith(b"PK\x03\x04"):
        return "numpy" if path is not None and _has_arrays(path) else "torch.save"
    if head.startswith(b"\x80") and head[1:2] <= b"\x05":
        return "torch.save"
    if _NUL in head:
        return ""
    if b"tensor(" in head:
        return "printed tensors"
    starts = [text.lstrip()[:1] for text in head.splitlines() if text.strip()]
    if starts.count(b"{") + starts.count(b"[") > len(starts) // 2:
        return "JSON lines"
    first = next(text for text in head.splitlines() if text.strip())
    return "CSV" if any(separator in first for separator in (b",", b";", b"\t")) else ""


def _has_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _readable(log: RoutingLog, found: Iterator[Block]) -> Iterator[Block]:
    for block in found:
        if block.too_long:
            log.skip(block.line, lines.TOO_LONG)
        else:
            yield block
