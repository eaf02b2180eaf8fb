"""First guesses for constructor arguments: annotation, use and name, in this order; each guess is a spec."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
import sys
import types
import typing
from typing import Any

import torch
from torch import nn

from . import synth_config, synth_names, synth_nested, synth_usage
from .synth_values import Spec, own_parameters, reference

_DEEP = 2
_MOST_OPTIONS = 4
_BUILT: dict[tuple[type, int], Spec | None] = {}  # what has been found for a class, once a process


def constructor(kind: type, *, deep: int = 0) -> dict[str, Spec]:
    """Specs for the arguments that `kind` must be given."""
    usage = synth_usage.of_class(kind, "__init__")
    hints = constructor_hints(kind)
    specs: dict[str, Spec] = {}
    own = [p for p in own_parameters(kind.__init__) if p.kind is not p.VAR_KEYWORD]  # type: ignore[misc]
    # What `**kwargs` passes on is asked for only where nothing else is: a subclass mostly fills it in itself.
    for parameter in own or constructor_parameters(kind):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty:
            continue
        facts = usage.get(parameter.name, synth_usage.Usage())
        hint = hints.get(parameter.name)
        hinted = _of_hint(kind, parameter.name, hint, facts, deep)
        choices = [hinted] if hinted is not None else candidates(kind, parameter.name, hint, facts, deep=deep)
        specs[parameter.name] = choices[0]
    return specs


def constructor_parameters(kind: type) -> list[inspect.Parameter]:
    """The constructor's parameters; where it takes `**kwargs`, those of the next one in line too."""
    found: dict[str, inspect.Parameter] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner) or owner is nn.Module:
            continue
        parameters = own_parameters(vars(owner)["__init__"])
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters) or owner.__module__.startswith("torch."):
            break
    return list(found.values())


def constructor_hints(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for owner in kind.__mro__:
        if "__init__" in vars(owner) and owner is not object:
            found = {**hints_of(vars(owner)["__init__"]), **found}
    return found


def hints_of(function: Any) -> dict[str, Any]:
    """Annotations as objects where they can be resolved, else as text."""
    function = inspect.unwrap(function)
    raw = dict(getattr(function, "__annotations__", None) or {})
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers only
        scope = getattr(function, "__globals__", {})
    return {name: _resolve(hint, scope) for name, hint in raw.items()}


def _resolve(hint: Any, scope: dict[str, Any]) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, scope)  # an annotation of the user's, in the process that runs the user's code
    except Exception:
        return hint


def candidates(owner: type, name: str, hint: Any, facts: synth_usage.Usage, *, deep: int = 0) -> list[Spec]:
    """Specs for a constructor argument, the most likely first; at least one."""
    found: list[Spec] = []
    hinted = _of_hint(owner, name, hint, facts, deep)
    if hinted is not None:
        found.append(hinted)
    config = hint is None and synth_names.CONFIGS.match(name) is not None
    if facts.is_config() and not config and hinted is None:
        like = _class_with(owner, facts)
        made = instance(owner, like, deep) if like is not None and not synth_config.is_config(like) else None
        found += [made] if made is not None else []
    if config or (facts.is_config() and hinted is None):
        found += synth_config.candidates(owner, name, hint, deep)
    elif not _is_plain(hint):
        found += _of_use(owner, name, facts, deep)
    for plain in _of_name(name, facts):
        if plain not in found:
            found.append(plain)
    return found


def _is_plain(hint: Any) -> bool:
    return hint in (int, float, str, bool)


def _of_hint(owner: type, name: str, hint: Any, facts: synth_usage.Usage, deep: int) -> Spec | None:
    if hint is None or hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return ["value", False]
    if hint is int:
        return ["value", synth_names.integer(name, 4 if facts.arithmetic else 8)]
    if hint is float:
        return ["value", synth_names.number(name)]
    if hint is str:
        return ["value", facts.strings[0] if facts.strings else synth_names.text(name)]
    if hint is torch.device:
        return ["device", "cpu"]
    if hint is torch.dtype:
        return ["dtype", "float32"]
    if hint is torch.Size:
        return ["size", [synth_names.WIDTH]]
    if hint is torch.Tensor:
        return ["tensor", [synth_names.WIDTH], "positive"]
    if origin is typing.Literal:
        return ["value", arguments[0]]
    if origin in (typing.Union, getattr(types, "UnionType", typing.Union)):
        return _of_union(owner, name, arguments, facts, deep)
    if origin in (tuple, list, collections.abc.Sequence, collections.abc.Iterable, set):
        return _of_sequence(owner, name, origin, arguments, facts, deep)
    if origin in (dict, collections.abc.Mapping) or hint is dict:
        return ["dict", {}]
    if hint in (list, tuple):
        return ["list" if hint is list else "tuple", [["value", synth_names.integer(name)] for _ in range(2)]]
    if origin is type or hint is type:
        return ["import", "torch.nn.modules.activation:ReLU"] if "norm" not in name else _layer_norm()
    if origin is collections.abc.Callable or hint in (collections.abc.Callable, typing.Callable):
        return ["function"]
    if isinstance(hint, type):
        return _of_class(owner, name, hint, facts, deep)
    return None


def _layer_norm() -> Spec:
    return ["import", "torch.nn.modules.normalization:LayerNorm"]


def _of_union(owner: type, name: str, members: Any, facts: synth_usage.Usage, deep: int) -> Spec | None:
    order = {int: 0, float: 1, bool: 2, str: 3}
    if any(m in order for m in members) and not facts.iterated and not facts.unpacked:
        members = sorted(members, key=lambda m: order.get(m, 9) if isinstance(m, type) else 9)
    for member in members:
        spec = _of_hint(owner, name, member, facts, deep) if member is not type(None) else None
        if spec is not None:
            return spec
    return ["value", None] if type(None) in members else None


def _of_sequence(
    owner: type, name: str, origin: Any, arguments: Any, facts: synth_usage.Usage, deep: int
) -> Spec | None:
    word = "tuple" if origin is tuple else "list"
    inner = [a for a in arguments if a is not Ellipsis]
    if not inner:
        return [word, [["value", synth_names.integer(name)]] * 2]
    if len(inner) == 1:
        inner = inner * (facts.unpacked or 2)
    singular = name[:-1] if name.endswith("s") else name
    items = [_of_hint(owner, singular, hint, synth_usage.Usage(), deep) for hint in inner]
    return None if None in items else [word, items]


def _of_class(owner: type, name: str, hint: type, facts: synth_usage.Usage, deep: int) -> Spec | None:
    if issubclass(hint, enum.Enum):
        return ["import", f"{reference(hint)}.{next(iter(hint)).name}"]
    if hint in (nn.Module, nn.Sequential):
        return ["linear", synth_names.WIDTH] if "norm" not in name and "act" not in name else ["identity"]
    if hint is nn.ModuleList:
        return ["modules", [["linear", synth_names.WIDTH]]]
    if synth_config.is_config(hint) or dataclasses.is_dataclass(hint):
        return synth_config.real(synth_config.nearest(owner, hint), deep)
    if hint is object or hint.__module__ == "builtins":
        return None
    return instance(owner, hint, deep)


def instance(owner: type, wanted: type, deep: int) -> Spec | None:
    """An object of class `wanted`, or of a concrete subclass of it that is loaded, with guessed arguments."""
    if deep >= _DEEP:
        return None
    tried = 0
    for option in (wanted, *_subclasses(wanted)):
        if option is owner or not _usable(option) or tried >= _MOST_OPTIONS:
            continue
        tried += 1
        if (option, deep) not in _BUILT:
            _BUILT[option, deep] = None  # while it is under way: a class that needs itself
            _BUILT[option, deep] = synth_nested.constructible(option, deep + 1)
        if _BUILT[option, deep] is not None:
            return _BUILT[option, deep]
    return None


def _usable(kind: type) -> bool:
    if inspect.isabstract(kind) or "<locals>" in kind.__qualname__ or kind.__module__ == "typing":
        return False
    forward = getattr(kind, "forward", None) if issubclass(kind, nn.Module) else None
    if forward is None:
        return True
    return getattr(forward, "__name__", "") != "_forward_unimplemented" and not synth_usage.is_abstract(kind)


def _subclasses(kind: type, most: int = 60) -> list[type]:
    """Loaded subclasses, those with the fewest required arguments first."""
    found: list[type] = []
    pending: list[type] = list(kind.__subclasses__()) if kind is not type else []
    while pending and len(found) < most:
        one = pending.pop(0)
        found.append(one)
        pending += one.__subclasses__()
    return sorted(found, key=lambda k: (len(_required(k)), k.__module__, k.__qualname__))


def _required(kind: type) -> list[str]:
    return [
        p.name
        for p in own_parameters(kind.__init__)  # type: ignore[misc]
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]


def _of_use(owner: type, name: str, facts: synth_usage.Usage, deep: int) -> list[Spec]:
    found: list[Spec] = []
    for type_name in facts.types:
        wanted = _class_named(owner, type_name)
        if wanted is None or wanted.__module__ == "builtins":
            continue
        spec = _of_class(owner, name, wanted, facts, deep) or instance(owner, wanted, deep)
        if spec is not None:
            found.append(spec)
    like = _class_with(owner, facts)
    if like is not None:
        spec = instance(owner, like, deep)
        if spec is not None:
            found.append(spec)
    plain = synth_names.names_integer(name) or synth_names.names_number(name)
    named = _class_by_argument(owner, name) if not facts.arithmetic and not plain else None
    if named is not None:
        spec = instance(owner, named, deep)
        if spec is not None:
            found.append(spec)
    if facts.strings:
        found += [["value", text] for text in facts.strings]
    if facts.called and (name.endswith(("_layer", "_cls", "_class", "_type")) or name in ("norm", "act", "activation")):
        found.append(_layer_norm() if "norm" in name else ["import", "torch.nn.modules.activation:GELU"])
    if re.search(r"create|factory|^make_|^build_", name) or (facts.called and re.search(r"_fn$|_func$", name)):
        found.append(["factory"])
    module_like = synth_names.MODULES.search(name) and not plain and not facts.arithmetic
    if facts.called or module_like:
        found.append(["linear", synth_names.WIDTH])
        found.append(["function"])
        found.append(["import", "torch.nn.modules.activation:GELU"])
    if facts.unpacked:
        found.append(["tuple", [["value", synth_names.integer(name)]] * facts.unpacked])
    if facts.iterated:
        item: Spec = ["value", synth_names.integer(name[:-1] if name.endswith("s") else name)]
        if synth_names.MODULES.search(name.rstrip("s")) or name in ("transforms", "flows", "experts"):
            item = ["linear", synth_names.WIDTH]
        found.append(["list", [item, item]])
    return found


def _of_name(name: str, facts: synth_usage.Usage) -> list[Spec]:
    if synth_names.names_text(name) and not facts.arithmetic:
        return [["value", synth_names.text(name)], ["value", synth_names.integer(name)]]
    if synth_names.names_flag(name) and not facts.arithmetic:
        return [["value", False], ["value", True]]
    if synth_names.names_number(name):
        return [["value", synth_names.number(name)], ["value", synth_names.integer(name)]]
    return [["value", synth_names.integer(name, 8)]]


def _class_named(owner: type, name: str) -> type | None:
    """A class that the owner's module knows under this name."""
    for kind in owner.__mro__:
        module = sys.modules.get(kind.__module__)
        found = getattr(module, name, None)
        if isinstance(found, type):
            return found
    return None


def _class_with(owner: type, facts: synth_usage.Usage) -> type | None:
    """A loaded class of the owner's package that has the attributes which are read from the argument."""
    wanted = {a for a in facts.attributes if a not in synth_usage.TENSOR_ATTRIBUTES and not hasattr(nn.Module, a)}
    if not wanted or facts.arithmetic:
        return None
    package = owner.__module__.partition(".")[0]
    best: tuple[Any, ...] | None = None
    for kind in _subclasses(nn.Module, 4000):
        if kind is owner or kind.__module__.partition(".")[0] != package or not _usable(kind):
            continue
        held = synth_usage.attributes_of(kind)
        score = (-len(wanted & held), kind.__module__ != owner.__module__, len(_required(kind)), kind.__qualname__)
        if wanted & held and (best is None or score < best[:4]):
            best = (*score, kind)
    return best[4] if best is not None and -best[0] * 2 >= len(wanted) else None


def _class_by_argument(owner: type, name: str) -> type | None:
    """A class of the owner's package whose name is the argument's: `transform` → `Transform`."""
    wanted = name.replace("_", "").lower()
    if len(wanted) < 4:
        return None
    package = owner.__module__.partition(".")[0]
    matches: list[type] = []
    for module_name, module in list(sys.modules.items()):
        if module_name != package and not module_name.startswith(package + "."):
            continue
        for attribute, found in list(vars(module).items() if module is not None else ()):
            if isinstance(found, type) and found is not owner and found.__module__.startswith(package):
                low = attribute.lower()
                if low == wanted or (low.endswith(wanted) and found.__module__ == owner.__module__):
                    matches.append(found)
    matches.sort(key=lambda k: (k.__name__.lower() != wanted, k.__module__ != owner.__module__, k.__module__))
    return matches[0] if matches else None
