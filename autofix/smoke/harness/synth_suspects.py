"""Which arguments a failure points at: names in the failing statements, numbers that should divide, what is missing."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterator
from typing import Any

from torch import nn

from . import synth_names
from .synth_plan import Failure, Plan
from .synth_values import Spec


def is_config_spec(spec: Spec) -> bool:
    return str(spec[1]).lower().endswith(("config", "args", "cfg", "configuration"))


def missing(message: str) -> list[str]:
    found = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)", message)
    return re.findall(r"'(\w+)'", found.group(1)) if found else []


def pairs_that_divide(failure: Failure) -> Iterator[tuple[int, int]]:
    """(a, b) where b should divide a: `a % b` in a failing statement, or numbers in the message."""
    pairs: list[tuple[int, int]] = []
    for frame, statement in failure.statements():
        for node in ast.walk(statement):
            if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mod, ast.FloorDiv)):
                values = [evaluated(side, frame) for side in (node.left, node.right)]
                if all(type(v) is int and v for v in values):
                    pairs.append((values[0], values[1]))
    chunks = re.search(r"divide axis of length (\d+) in chunks of (\d+)", failure.message)
    if chunks:
        pairs.append((int(chunks.group(1)), int(chunks.group(2))))
    if "divisible" in failure.message or "multiple" in failure.message:
        numbers = [int(n) for n in re.findall(r"(?<![\w.])\d+", failure.message)]
        pairs += [(one, numbers[-1]) for one in numbers[:-1]]
        deepest = failure.frames[-1][0].f_locals if failure.frames else {}
        if "num_channels" in deepest and "num_groups" in deepest:
            pairs.append((deepest["num_channels"], deepest["num_groups"]))
    for one, other in dict.fromkeys(pairs):
        if type(one) is int and type(other) is int and other > 1 and one % other:
            yield one, other


def evaluated(node: ast.expr, frame: types.FrameType) -> Any:
    """The value of a name, attribute or constant in a frame; None when it has none that is safe to look up."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = evaluated(node.value, frame)
        return vars(owner).get(node.attr) if owner is not None and hasattr(owner, "__dict__") else None
    return None


def suspected(failure: Failure, values: dict[str, Any]) -> list[str]:
    """Arguments that the failing statements mention, from the innermost frame out: by identity, then by name."""
    found: list[str] = []
    by_identity = {
        id(v): name for name, v in failure.values.items() if v is not None and not isinstance(v, (int, str, float))
    }
    for frame, statement in failure.statements():
        own = failure.is_own(frame)
        for node in _names(statement, failure.error):
            held = frame.f_locals.get(node.id)
            name = by_identity.get(id(held)) if held is not None else None
            if name is None and node.id in values and (own or _alike(held, failure.values.get(node.id))):
                name = node.id
            if name is not None and name not in found:
                found.append(name)
    for word in re.findall(r"[A-Za-z_]\w*", failure.message):
        for name in (word, word.lower()):
            if name in values and name not in found:
                found.append(name)
    return found


def _names(statement: ast.stmt, error: BaseException) -> list[ast.Name]:
    """The names in a statement; those that are indexed or called first, where indexing or calling failed."""
    nodes = list(ast.walk(statement))
    preferred: list[ast.expr] = []
    if isinstance(error, IndexError) or "subscriptable" in str(error):
        preferred = [n.value for n in nodes if isinstance(n, ast.Subscript)]
    elif "not callable" in str(error):
        preferred = [n.func for n in nodes if isinstance(n, ast.Call)]
    return [n for n in (*preferred, *nodes) if isinstance(n, ast.Name)]


def _alike(one: Any, other: Any) -> bool:
    return one is other  # both None too: an argument that was left out, seen where it is missed


def in_configs(plan: Plan, failure: Failure) -> Iterator[Plan]:
    """Attributes that the failing statements read from a configuration object that was passed."""
    for frame, statement in failure.statements():
        for node in ast.walk(statement):
            if not isinstance(node, ast.Attribute):
                continue
            held = evaluated(node.value, frame)
            name = next((n for n, v in failure.values.items() if v is held and held is not None), None)
            if name is None or name not in plan.init:
                continue
            value = vars(held).get(node.attr) if hasattr(held, "__dict__") else None
            if isinstance(held, nn.Module):  # only a flag can be turned without breaking a built module
                if isinstance(value, bool):
                    yield plan.with_attribute(name, node.attr, ["value", not value])
                continue
            for spec in _alternatives(node.attr, value, failure.message):
                yield plan.with_attribute(name, node.attr, spec)


def _alternatives(name: str, value: Any, message: str) -> Iterator[Spec]:
    size = synth_names.integer(name)
    if re.search(r"not iterable|subscriptable|has no len|unpack|sequence|list", message):
        yield ["list", [["value", size], ["value", size]]]
        yield ["list", [["value", size]] * 4]
    if re.search(r"KeyError|not supported|Unknown|unknown|invalid|must be one of|has no attribute", message):
        yield ["value", "gelu"]
        yield ["value", "default"]
    for other in (size, 1.0, None, True, False, 2 * size):
        if type(other) is not type(value) or other != value:
            yield ["value", other]
