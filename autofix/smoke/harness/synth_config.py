"""Configuration objects: the real class first, made small; a permissive object only where there is none."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any

from . import synth_names
from .synth_signature import hints_of
from .synth_values import Spec, locate, own_parameters, reference

Fill = Callable[[type, str, Any, int], Spec]  # for an argument without default: of which class, its name, hint, depth
_MOST_DEEP = 3

_WORDS = ("config", "cfg", "args", "hparams", "params", "configuration", "arguments", "options", "settings")


def is_config(kind: type) -> bool:
    name = kind.__name__.lower()
    return name.endswith(_WORDS) or hasattr(kind, "model_type")


def candidates(owner: type, hint: Any, fill: Fill) -> list[Spec]:
    """Real configuration classes that may belong to `owner`, then the permissive object."""
    found: list[Spec] = []
    for kind in _classes(owner, hint):
        spec = real(kind, fill)
        if spec is not None and spec not in found:
            found.append(spec)
    return [*found, ["permissive", {}]]


def real(kind: type, fill: Fill, deep: int = 0) -> Spec | None:
    """A configuration of class `kind` with every size made small; None when it takes what cannot be guessed.

    fill: says what to pass where there is no default.
    """
    if deep > _MOST_DEEP or inspect.isabstract(kind):
        return None
    given: dict[str, Spec] = {}
    hints = hints_of(kind.__init__)  # type: ignore[misc]
    for parameter in own_parameters(kind.__init__):  # type: ignore[misc]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        spec = _argument(kind, parameter, hints.get(parameter.name), fill, deep)
        if spec is not None:
            given[parameter.name] = spec
    inner = getattr(kind, "sub_configs", None)
    for name, sub in inner.items() if isinstance(inner, dict) else ():
        spec = real(sub, fill, deep + 1) if isinstance(sub, type) and name in _names(kind) else None
        if spec is not None and sub is not kind and not sub.__name__.startswith("Auto"):
            given[name] = spec
    return ["new", reference(kind), given, []]


def _names(kind: type) -> list[str]:
    return [p.name for p in own_parameters(kind.__init__)]  # type: ignore[misc]


def _argument(kind: type, parameter: inspect.Parameter, hint: Any, fill: Fill, deep: int) -> Spec | None:
    """What to pass for one argument; None leaves the default."""
    default = parameter.default
    if default is None and parameter.name == "pad_token_id":
        return ["value", 0]
    if default is parameter.empty:
        return fill(kind, parameter.name, hint, deep + 1)
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        return real(type(default), fill, deep + 1)
    if type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        default = _made(kind, parameter.name)
    small = synth_names.shrunk(parameter.name, default)
    if small is default or small == default:
        return None
    return literal(small)


def _made(kind: type, name: str) -> Any:
    for field in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
        if field.name == name and field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return None


def literal(value: Any) -> Spec:
    """A plain value as a spec."""
    if isinstance(value, (list, tuple)):
        return ["list" if isinstance(value, list) else "tuple", [["value", item] for item in value]]
    return ["value", value]


def nearest(owner: type, hint: type) -> type:
    """The configuration class that `owner` itself declares or its module knows, where that refines `hint`."""
    for kind in _classes(owner, hint):
        if kind is not hint and issubclass(kind, hint):
            return kind
    return hint


def _classes(owner: type, hint: Any) -> list[type]:
    """Configuration classes near `owner`: by annotation, by `config_class`, by imports of its module, by name."""
    found: list[type] = []
    declared = getattr(owner, "config_class", None)
    module = sys.modules.get(owner.__module__)
    for kind in owner.__mro__:
        noted = vars(kind).get("__annotations__", {}).get("config")
        noted = getattr(sys.modules.get(kind.__module__), noted, None) if isinstance(noted, str) else noted
        if isinstance(noted, type) and noted not in found:
            found.append(noted)
    if isinstance(declared, type):
        found.append(declared)
    if isinstance(hint, str):
        named = getattr(module, hint.strip("'\"").split(".")[-1], None)
        if isinstance(named, type):
            found.append(named)
    near = [v for v in vars(module).values() if isinstance(v, type) and is_config(v)] if module is not None else []
    stem = owner.__name__.lower()
    near.sort(key=lambda k: (-_common(k.__name__.lower(), stem), k.__name__))
    for kind in near:
        if kind.__name__ not in ("PretrainedConfig", "PreTrainedConfig") and kind not in found:
            found.append(kind)
    return found[:4]


def _common(one: str, other: str) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length


def default_of(spec: Spec) -> Spec:
    """The same configuration with the class's own defaults, except how many layers and tokens there are."""
    kept = {n: s for n, s in spec[2].items() if _needed(spec[1], n) or "layer" in n or "vocab" in n or "depth" in n}
    return ["new", spec[1], kept, spec[3]]


def _needed(reference: str, name: str) -> bool:
    parameters = own_parameters(locate(reference).__init__)
    return any(p.name == name and p.default is p.empty for p in parameters)
