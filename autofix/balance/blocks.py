"""Cutting a stream of bytes into blocks of whole lines, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 1 << 16
"""Bytes read at a time: small enough for a processor's cache, large enough that Python's loop does not matter."""

MAX_LINE = 4 << 20
"""Bytes of the longest line or record that is read: 65,536 experts of 20 digits are 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines. line: the number of the first, from 1. too_long: nothing is here but a line beyond MAX_LINE."""

    line: int
    data: bytes
    too_long: bool = False


def blocks(stream: BinaryIO, head: bytes, end: bytes = b"\n", size: int = BLOCK) -> Iterator[Block]:
    """`head` and the stream after it, cut behind the last `end` of what was read.

    `end` ends with a line feed. Where there is none for MAX_LINE bytes, the cut is at a line's end.
    """
    line, held = 1, head
    while True:
        read = stream.read(size)
        cut = held.rfind(end) + len(end) if end in held else 0
        if not read:
            cut = len(held)
        elif not cut and len(held) > MAX_LINE:
            cut = held.rfind(b"\n") + 1
        if not cut and len(held) > MAX_LINE:
            yield Block(line, b"", too_long=True)
            while read and b"\n" not in read:
                read = stream.read(size)
            held = read.partition(b"\n")[2]
            line += 1
            if not read:
                return
            continue
        if cut:
            data, held = held[:cut], held[cut:]
            yield Block(line, data)
            line += data.count(b"\n")
        if not read:
            return
        held += read
