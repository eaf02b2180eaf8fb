"""JSON lines and CSV: one record a line, read with the standard library."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator

from autofix.balance.blocks import Block
from autofix.balance.series import Number, RoutingLog

TOO_LONG = "a line of more than 4 MiB"

_LAYER = ("layer", "layer_id", "layer_idx", "block")
_EXPERT = ("expert", "expert_id", "expert_idx")
_TIME = ("step", "epoch", "iteration", "iter", "time", "timestamp", "batch", "global_step")
_LOAD = ("count", "counts", "tokens", "load", "value")
_EXPERT_COLUMN = re.compile(r"(?:e|exp|expert)[ _.-]?\d+")
_ONLY_LAYER = "1"
"""What the layer is called where the file names none."""


def read_json(log: RoutingLog, blocks: Iterable[Block]) -> None:
    """Objects with `layer` and one list of loads, or with a list of loads for each layer (nested or not)."""
    for number, text in _lines(log, blocks):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            log.skip(number, f"not JSON: {str(error).partition(':')[0]}")
            continue
        record = _layers(value)
        if record:
            log.take(number, record)
        else:
            log.skip(number, "no list of numbers in this line")


def read_csv(log: RoutingLog, blocks: Iterable[Block]) -> str:
    """Columns `layer, expert, count` (long), or a column per expert, with `step` and `layer` as far as there are any.

    Returns why the file cannot be read at all, or nothing.
    """
    lines = _lines(log, blocks)
    _, first = next(lines, (0, b""))
    text = first.decode("utf-8", "replace").lstrip("\ufeff")
    separator = max(",;\t", key=text.count)
    header = [name.strip().lower() for name in next(csv.reader([text], delimiter=separator), [])]
    if len(header) < 2 or any(_number(name) is not None for name in header):
        return "the first line of a CSV file names the columns: step,layer,expert,count or step,layer,expert_0,expert_1"
    rows = _cells(log, lines, separator, len(header))
    layer, expert, load = (_column(header, names) for names in (_LAYER, _EXPERT, _LOAD))
    if expert is not None and load is not None:
        _read_long(log, rows, _column(header, _TIME), layer, expert, load)
    else:
        experts = [i for i, name in enumerate(header) if _EXPERT_COLUMN.fullmatch(name)]
        loads = experts or [i for i, name in enumerate(header) if name not in (*_TIME, *_LAYER)]
        for number, row in rows:
            _take_words(log, number, row[layer] if layer is not None else _ONLY_LAYER, [row[i] for i in loads])
    return ""


def _read_long(
    log: RoutingLog,
    rows: Iterable[tuple[int, list[str]]],
    time: int | None,
    layer: int | None,
    expert: int,
    load: int,
) -> None:
    """Lines of one time and layer are one record; an expert that it does not name received nothing."""
    base: int | None = None
    key: tuple[str, str] | None = None
    loads: dict[int, str] = {}
    first = 0

    def flush() -> None:
        if key is None or base is None:
            return
        known = log.layers.get(key[1])
        experts = max(known.experts if known else 0, max(loads) - base + 1)
        _take_words(log, first, key[1], [loads.get(base + i, "0") for i in range(experts)])

    for number, row in rows:
        word = row[expert].strip()
        index = int(word) if word.isdecimal() and len(word) < 6 else -1
        if index < 0 or (base is not None and index < base):
            log.skip(number, f"{_shown(word)} is not an expert's number")
            continue
        now = (row[time] if time is not None else "", row[layer].strip() if layer is not None else _ONLY_LAYER)
        if now != key or index in loads:
            flush()
            key, loads, first = now, {}, number
        loads[index] = row[load]
        if base is None:
            base = min(index, 1)
    flush()


def _lines(log: RoutingLog, blocks: Iterable[Block]) -> Iterator[tuple[int, bytes]]:
    for block in blocks:
        if block.too_long:
            log.skip(block.line, TOO_LONG)
        for number, text in enumerate(block.data.splitlines(), block.line):
            if text and not text.isspace():
                yield number, text


def _cells(
    log: RoutingLog, lines: Iterable[tuple[int, bytes]], separator: str, width: int
) -> Iterator[tuple[int, list[str]]]:
    for number, text in lines:
        try:
            row = next(csv.reader([text.decode("utf-8", "replace")], delimiter=separator))
        except csv.Error as error:
            log.skip(number, f"not CSV: {error}")
            continue
        if len(row) == width:
            yield number, row
        else:
            log.skip(number, f"{len(row)} cells where the header has {width}")


def _take_words(log: RoutingLog, line: int, layer: str, words: list[str]) -> None:
    loads = [_number(word) for word in words]
    if None in loads:
        log.skip(line, f"{_shown(words[loads.index(None)])} is not a number")
        return
    log.take(line, [(layer.strip(), [load for load in loads if load is not None])])


def _number(word: str) -> Number | None:
    word = word.strip()
    if len(word) > 400 or "_" in word:
        return None
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        return None


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _layers(value: object, name: str = _ONLY_LAYER) -> list[tuple[str, list[Number]]]:
    """The lists of loads below a JSON value, each with the layer it belongs to."""
    if _is_loads(value):
        return [(name, value)]  # type: ignore[list-item]  # checked by _is_loads
    if isinstance(value, list):
        return [found for i, inner in enumerate(value, 1) for found in _layers(inner, str(i))]
    if not isinstance(value, dict):
        return []
    layer = next((value[k] for k in _LAYER if isinstance(value.get(k), str | int)), None)
    if layer is not None:
        lists = [inner for inner in value.values() if _is_loads(inner)]
        return [(str(layer), lists[0])] if len(lists) == 1 else []
    lists_only = [k for k, inner in value.items() if isinstance(inner, list | dict)]
    single = len(lists_only) == 1
    return [found for k in lists_only for found in _layers(value[k], name if single and k in _ANY_LOADS else k)]


_ANY_LOADS = (*_LOAD, "loads", "expert_counts", "tokens_per_expert", "expert_load", "layers")


def _is_loads(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )


def _shown(word: str) -> str:
    return repr(word[:24]) + ("…" if len(word) > 24 else "")
