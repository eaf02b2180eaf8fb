"""Files that numpy or `torch.save` wrote, loaded without running the code that a pickle can hold."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autofix.balance.series import MAX_CELLS, Number, RoutingLog, not_loads

_ROWS_AT_ONCE = 65_536
_MISSING = {
    "numpy": "is a numpy file: reading it needs numpy (`pip install numpy`)",
    "torch": "was written by torch.save: reading it needs torch (`pip install torch`)",
}


def read_numpy(log: RoutingLog, path: Path) -> str:
    """Add a `.npy` or `.npz` file; returns why it cannot be read, or nothing."""
    numpy = _module("numpy")
    if numpy is None:
        return _MISSING["numpy"]
    try:
        loaded = numpy.load(path, mmap_mode="r", allow_pickle=False)
        named = {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else loaded
    except Exception as error:
        return f"numpy cannot read it without running code: {_first_line(error)}"
    return _read_value(log, named)


def read_torch(log: RoutingLog, path: Path) -> str:
    """Add a file of `torch.save`; returns why it cannot be read, or nothing."""
    torch = _module("torch")
    if torch is None:
        return _MISSING["torch"]
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        return f"torch.load(weights_only=True) cannot read it: {_first_line(error)}"
    return _read_value(log, loaded)


def _read_value(log: RoutingLog, value: object) -> str:
    """A tensor, layers by name, a record (a list of pairs), or a list of records."""
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list | tuple) and value and all(_is_pair(one) for one in value):
        parts = list(value)
    elif isinstance(value, list | tuple) and value and all(isinstance(one, list | tuple) for one in value):
        return next((wrong for record in value if (wrong := _read_value(log, record))), "")
    else:
        parts = [("", value)]
    for name, tensor in parts:
        if not hasattr(tensor, "shape") or not hasattr(tensor, "tolist"):
            return f"holds {type(tensor).__name__}, not a tensor of loads"
        wrong = _read_tensor(log, str(name), tensor)
        if wrong:
            return wrong
    log.rows = max((layer.rows for layer in log.layers.values()), default=0)
    return ""


def _read_tensor(log: RoutingLog, name: str, tensor: Any) -> str:
    """Shapes: (experts), (rows, experts), (rows, layers, experts)."""
    if "complex" in str(tensor.dtype) or "bool" in str(tensor.dtype) or len(tensor.shape) not in (1, 2, 3):
        is_ = f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)}"
        return f"{is_} is not (rows, experts) or (rows, layers, experts)"
    if len(tensor.shape) == 3:
        many = range(tensor.shape[1]) if tensor.shape[1] <= MAX_CELLS else range(0)
        prefix = f"{name}." if name else ""
        return next((w for i in many if (w := _read_tensor(log, f"{prefix}{i + 1}", tensor[:, i]))), "")
    rows = tensor if len(tensor.shape) == 2 else tensor.reshape(1, -1)
    layer = name or "1"
    refusal = log.refusal([(layer, rows.shape[1])])
    if refusal:
        return refusal
    for start, part in _parts(rows):
        bad = [(i, wrong) for i, row in enumerate(part, start + 1) if (wrong := not_loads(row))]
        for i, wrong in bad:
            log.skip(i, wrong)
        wrong_rows = {i for i, _ in bad}
        good = [row for i, row in enumerate(part, start + 1) if i not in wrong_rows]
        if good:
            log.layer(layer, len(good[0])).add(list(zip(*good, strict=True)))
    return ""


def _parts(rows: Any) -> Iterator[tuple[int, list[list[Number]]]]:
    step = max(1, _ROWS_AT_ONCE // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        yield start, rows[start : start + step].tolist()


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], int | str)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _first_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].partition(". ")[0]
    return "".join(c for c in first if c.isprintable())[:160]
