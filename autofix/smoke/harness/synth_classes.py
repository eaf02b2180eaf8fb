"""Loaded classes that may be meant by an argument: by its name, by what is read from it, by inheritance."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from . import synth_usage
from .synth_signature import required

_MOST = 4000


def usable(kind: type) -> bool:
    """Whether instances can be made and, for a module, called."""
    if inspect.isabstract(kind) or "<locals>" in kind.__qualname__ or kind.__module__ == "typing":
        return False
    forward = getattr(kind, "forward", None) if issubclass(kind, nn.Module) else None
    if forward is None:
        return True
    return getattr(forward, "__name__", "") != "_forward_unimplemented" and not synth_usage.is_abstract(kind)


def answers(kind: type, calls: Sequence[synth_usage.Call]) -> bool:
    """Whether an instance can be called, and its methods can, in the ways in which the code does it."""
    return all(_accepts(kind, *call) for call in calls)


def _accepts(kind: type, method: str, positional: int, keywords: tuple[str, ...]) -> bool:
    function = getattr(kind, method or ("forward" if issubclass(kind, nn.Module) else "__call__"), None)
    if function is None:
        return method == "" or not issubclass(kind, nn.Module)
    try:
        inspect.signature(function).bind(*range(positional + 1), **dict.fromkeys(keywords))
    except TypeError:
        return False
    except ValueError:
        return True  # no signature
    return True


def subclasses(kind: type, most: int = 60) -> list[type]:
    """Loaded subclasses, those with the fewest required arguments first."""
    found: dict[type, None] = {}
    pending: list[type] = list(kind.__subclasses__()) if kind is not type else []
    while pending and len(found) < most:
        one = pending.pop(0)
        if one not in found:
            found[one] = None
            pending += one.__subclasses__()
    return sorted(found, key=lambda k: (len(required(k)), k.__module__, k.__qualname__))


def named(owner: type, name: str) -> type | None:
    """A class that the owner's module knows under this name."""
    for kind in owner.__mro__:
        module = sys.modules.get(kind.__module__)
        found = getattr(module, name, None)
        if isinstance(found, type):
            return found
    return None


def package_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _modules_of(package: str) -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if module is not None and (name == package or name.startswith(package + ".")):
            yield module


@functools.lru_cache(maxsize=256)
def _network_classes(package: str) -> tuple[type, ...]:
    """Every loaded module class of a package that can be called."""
    return tuple(k for k in subclasses(nn.Module, _MOST) if package_of(k) == package and usable(k))


def with_attributes(
    owner: type, names: set[str], calls: Sequence[synth_usage.Call] = (), *, records: bool = False, most: int = 3
) -> list[type]:
    """Classes of the owner's package whose instances have at least half of the attributes `names`, best first.

    calls: what they must answer. records: dataclasses and named tuples in place of modules.
    """
    wanted = {n for n in names if not hasattr(nn.Module, n) and n not in synth_usage.TENSOR_ATTRIBUTES}
    if not wanted:
        return []
    ranked: list[tuple[Any, ...]] = []
    kinds = _records(package_of(owner)) if records else _network_classes(package_of(owner))
    for kind in kinds:
        if kind is owner:
            continue
        held = _fields(kind) if records else synth_usage.attributes_of(kind)
        common = len(wanted & held)
        if common * 2 >= len(wanted) and (records or answers(kind, calls)):
            elsewhere = kind.__module__ != owner.__module__
            ranked.append(
                (
                    -common,
                    elsewhere,
                    len(required(kind)),
                    kind.__module__,
                    kind.__qualname__,
                    kind,
                )
            )
    ranked.sort(key=lambda r: r[:5])
    return [r[-1] for r in ranked[:most]]


@functools.lru_cache(maxsize=64)
def _records(package: str) -> tuple[type, ...]:
    found: dict[type, None] = {}
    for module in _modules_of(package):
        for value in list(vars(module).values()):
            if isinstance(value, type) and package_of(value) == package and _fields(value):
                found.setdefault(value)
    return tuple(found)


def _fields(kind: type) -> frozenset[str]:
    if dataclasses.is_dataclass(kind):
        return frozenset(f.name for f in dataclasses.fields(kind))
    return frozenset(getattr(kind, "_fields", ())) if issubclass(kind, tuple) else frozenset()


def by_argument(owner: type, name: str) -> type | None:
    """A class of the owner's package whose name is the argument's: `transform` → `Transform`."""
    wanted = name.replace("_", "").lower()
    if len(wanted) < 4:
        return None
    package = package_of(owner)
    matches: dict[type, None] = {}
    for module in _modules_of(package):
        for attribute, found in list(vars(module).items()):
            if isinstance(found, type) and found is not owner and package_of(found) == package:
                low = attribute.lower()
                if low == wanted or (low.endswith(wanted) and found.__module__ == owner.__module__):
                    matches.setdefault(found)
    ranked = sorted(
        matches,
        key=lambda k: (
            k.__name__.lower() != wanted,
            k.__module__ != owner.__module__,
            k.__module__,
        ),
    )
    return ranked[0] if ranked else None


def forget() -> None:
    """Drop the lists of loaded classes."""
    _network_classes.cache_clear()
    _records.cache_clear()
