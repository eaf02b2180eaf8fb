"""The printed form of a list of pairs, `[(1, tensor([5295, 4616])), (2, tensor([5514, 4496]))]`, one list a record.

A block whose records all have the same shape is read at once: without digits and white space they must be the first
one repeated, and with each whole separator made a comma they must be one flat JSON list of numbers. Both together
leave no freedom: the first fixes how many brackets and commas there are, the second that no digit stands among the
brackets and a single number in each gap.
A block for which that does not hold is halved until what disturbs it is alone; that is read record by record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import compress, count, repeat
from operator import contains, not_, or_

from autofix.balance.blocks import Block
from autofix.balance.series import MAX_COUNT, Number, RoutingLog

END = b"]\n"
"""What a record ends with. torch breaks the lines of a tensor behind commas, so nothing else ends so."""

_GAPS = b"0123456789 \t\n"
_RECORD_END = b"))]"
_ALONE = 2048
"""Bytes below which a block is not halved again."""

_UNIT = re.compile(rb"\[\((?:'\w*')?,tensor\(\[[,.]*\]\)\)(?:,\((?:'\w*')?,tensor\(\[[,.]*\]\)\))*\]")
_AS_FLAT_LIST = bytes.maketrans(b"[](tensor)\n", b" " * 10 + b",")
"""For integers, one line a record: what is no number and no comma becomes white space."""
_NO_TENSOR = "no tensor in this line"

_PREFIX = re.compile(rb"^[^\n]*?(?=\[\()", re.MULTILINE)
_ARGUMENT = re.compile(rb",\s*(?:device|dtype|grad_fn|requires_grad|size|names)=(?:'[^'\n]*'|[^,'()\[\]\s]+)")
_PAIR = re.compile(
    rb"\(\s*(-?\d+|'[^'\n]*'|\"[^\"\n]*\")\s*,\s*tensor\(\s*\[([^\[\]]*)\]"
    rb"(?:,\s*\w+=(?:'[^'\n]*'|<\w+>|[^,'()\[\]\s]+))*\s*\)\s*\)"
)
_START = re.compile(rb"\[\s*\(\s*(?:-?\d+|'[^'\n]*'|\"[^\"\n]*\")\s*,\s*tensor\(")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf)")


def read_block(log: RoutingLog, block: Block) -> None:
    """Add the records of a block to the log."""
    data = block.data.replace(b"\r\n", b"\n") if b"\r" in block.data else block.data
    pending = [(block.line, data)]
    while pending:
        line, data = pending.pop()
        if _read_uniform(log, data) or _read_among_others(log, line, data):
            continue
        cut = data.find(END, len(data) // 2) + len(END)
        if len(data) < _ALONE or cut < len(END) or cut == len(data):
            _read_singly(log, line, data)
            continue
        pending.append((line + data.count(b"\n", 0, cut), data[cut:]))
        pending.append((line, data[:cut]))


def _read_uniform(log: RoutingLog, data: bytes) -> bool:
    """Read a block of equal records; False, and nothing read, if it is not one."""
    if not data.startswith(b"[("):
        if b"tensor(" not in data.partition(b"\n")[0]:
            return False
        data = _PREFIX.sub(b"", data)
    if b"=" in data:
        for argument in set(_ARGUMENT.findall(data[:_ALONE])):
            data = data.replace(argument, b"")
    shape = data.translate(None, _GAPS)
    unit = shape[: shape.find(_RECORD_END) + len(_RECORD_END)]
    records, rest = divmod(len(shape), len(unit) or 1)
    layers = _experts_of(unit)
    if rest or not layers or shape != unit * records:
        return False
    try:
        numbers = json.loads(_as_json(data, 2 * len(layers) * records - 1))
    except (ValueError, RecursionError):
        return False
    width = len(layers) + sum(layers)
    if len(numbers) != width * records:
        return False
    return _add_uniform(log, layers, [numbers[i::width] for i in range(width)])


def _read_among_others(log: RoutingLog, line: int, data: bytes) -> bool:
    """Read a block of equal one-line records with other lines between them, such as a loss; False if it is not one."""
    texts = data.split(b"\n")
    is_record = list(map(contains, texts, repeat(b"tensor(")))  # a loop in Python would cost as much as all the rest
    records = list(compress(texts, is_record))
    is_other = list(map(not_, map(or_, is_record, map(not_, map(bytes.strip, texts)))))
    others = list(compress(count(line), is_other))
    if not others or not all(map(bytes.endswith, records, repeat(_RECORD_END))):
        return False
    if records and not _read_uniform(log, b"\n".join(records)):
        return False
    log.skip_all(others, _NO_TENSOR)
    return True


def _experts_of(unit: bytes) -> list[int]:
    """Experts of each layer in a record without its digits; nothing for what is no record."""
    if not _UNIT.fullmatch(unit):
        return []
    return [tensor.count(b",") + 1 for tensor in unit.split(b"tensor([")[1:] for tensor in [tensor.partition(b"]")[0]]]


def _as_json(data: bytes, separators: int) -> bytes:
    """Layers and loads as one flat list; nothing when some of the separators, of which there are so many, is not whole:
    something stands among its brackets."""
    body = data.rstrip()
    if not body.startswith(b"[(") or not body.endswith(b"]))]"):
        return b""
    rows = body.count(b"]))]\n[(")
    if rows + body.count(b", tensor([") + body.count(b"])), (") != separators:
        return b""
    if b"'" not in body and b"." not in body and body.count(b"\n") == rows:
        return b"[" + body.translate(_AS_FLAT_LIST) + b"]"
    for separator in (b", tensor([", b"]))]\n[(", b"])), ("):
        body = body.replace(separator, b", ")
    body = body[2:-4]
    if b"." in body:
        body = body.replace(b".,", b".0,")
        body += b"0" if body.endswith(b".") else b""
    if b"'" in body:
        body = body.replace(b"'", b'"')
    return b"[" + body + b"]"


def _add_uniform(log: RoutingLog, layers: list[int], columns: list[list[Number]]) -> bool:
    parts: list[tuple[str, list[list[Number]]]] = []
    start = 0
    for experts in layers:
        names: list[object] = list(columns[start])
        loads = columns[start + 1 : start + 1 + experts]
        start += 1 + experts
        if names.count(names[0]) == len(names):
            parts.append((str(names[0]), loads))
            continue
        for name in dict.fromkeys(names):
            parts.append(
                (str(name), [[c for c, n in zip(column, names, strict=True) if n == name] for column in loads])
            )
    if log.refusal([(name, len(loads)) for name, loads in parts]):
        return False
    sums = [[sum(column) for column in loads] for _, loads in parts]
    if any(max(of_layer) >= MAX_COUNT for of_layer in sums):
        return False
    for (name, loads), of_layer in zip(parts, sums, strict=True):
        log.layer(name, len(loads)).add(loads, of_layer)
    log.rows += len(columns[0])
    return True


def _read_singly(log: RoutingLog, line: int, data: bytes) -> None:
    for number, text in _records(line, data):
        record = _parse(text)
        if isinstance(record, str):
            log.skip(number, record)
        else:
            log.take(number, record)


def _records(line: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each record with the number of its first line: a line, and those below it while a parenthesis is open."""
    held: list[bytes] = []
    first, depth = line, 0
    for number, text in enumerate(data.split(b"\n"), line):
        if held and _START.search(text):
            yield first, b"\n".join(held)
            held, depth = [], 0
        if not held:
            if not text.strip():
                continue
            first = number
        held.append(text)
        depth += text.count(b"(") - text.count(b")")
        if depth <= 0 or b"tensor(" not in held[0]:
            yield first, b"\n".join(held)
            held, depth = [], 0
    if held:
        yield first, b"\n".join(held)


def _parse(text: bytes) -> list[tuple[str, list[Number]]] | str:
    """The layers of one record, or why there are none."""
    if b"tensor(" not in text:
        return _NO_TENSOR
    start = _START.search(text)
    if start is None:
        return "not a list of pairs (layer, tensor([...]))"
    pairs: list[tuple[str, list[Number]]] = []
    position = start.start() + 1
    while match := _PAIR.match(text, position):
        loads = _numbers(match[2])
        if isinstance(loads, str):
            return loads
        pairs.append((match[1].decode("utf-8", "replace").strip("'\""), loads))
        position = _past(text, match.end(), b",")
    if text[position:].strip() != b"]":
        rest = text[position:].strip()
        return "ends inside a tensor" if not rest.endswith(b"]") else f"unexpected {_shown(rest)}"
    return pairs or "an empty list"


def _past(text: bytes, position: int, separator: bytes) -> int:
    while text[position : position + 1].isspace() or text[position : position + 1] == separator:
        position += 1
    return position


def _numbers(text: bytes) -> list[Number] | str:
    numbers: list[Number] = []
    for part in text.split(b","):
        word = part.strip()
        if word == b"...":
            return "torch abbreviated the tensor (...): torch.set_printoptions(profile='full') prints all of it"
        if not _NUMBER.fullmatch(word):
            return f"{_shown(word)} is not a number" if word else "a number is missing"
        if len(word) > 400:
            return f"a number of {len(word):,} characters"
        numbers.append(int(word) if word.lstrip(b"+-").isdigit() else float(word))
    return numbers


def _shown(text: bytes) -> str:
    return repr(text[:24].decode("utf-8", "replace")) + ("…" if len(text) > 24 else "")
