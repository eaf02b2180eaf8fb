"""First guesses for constructor arguments: annotation, default, use, documentation and name; each guess is a spec."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from . import synth_classes, synth_config, synth_names, synth_signature, synth_usage
from .synth_signature import Documented
from .synth_usage import Call, Usage
from .synth_values import Spec, own_parameters, reference

_TENSOR_ONLY = frozenset(
    ("detach", "clone", "view", "ndimension", "unsqueeze", "squeeze", "reshape", "numel", "type_as", "new_zeros")
)


class Maker:
    """Makes the objects that an argument needs. This one makes none: guesses then use stand-ins.

    depth: in how many constructors that are being guessed it stands.
    """

    depth = 0

    def instance(self, owner: type, wanted: type, calls: Sequence[Call] = ()) -> Spec | None:
        """An object of class `wanted` or of a subclass that answers `calls`; None when none can be made."""
        return None


class Argument:
    """What is known of one constructor argument before anything was tried."""

    def __init__(
        self, owner: type, name: str, hint: Any, facts: Usage, default: Any = None, doc: Documented | None = None
    ) -> None:
        self.owner = owner
        self.name = name
        self.hint = hint
        self.facts = facts
        self.default = default
        self.doc = doc

    def with_hint(self, hint: Any) -> Argument:
        return Argument(self.owner, self.name, hint, self.facts, self.default, self.doc)


def arguments(kind: type) -> dict[str, Argument]:
    """The constructor's arguments, without `*args` and `**kwargs`."""
    usage = synth_usage.of_class(kind, "__init__")
    hints = synth_signature.constructor_hints(kind)
    docs = synth_signature.documented(kind, "__init__")
    return {
        p.name: Argument(kind, p.name, hints.get(p.name), usage.get(p.name, Usage()), p.default, docs.get(p.name))
        for p in synth_signature.constructor_parameters(kind)
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def constructor(kind: type, maker: Maker) -> dict[str, Spec]:
    """Specs for the arguments that `kind` must be given."""
    known = arguments(kind)
    specs: dict[str, Spec] = {}
    own = [p for p in own_parameters(kind.__init__) if p.kind is not p.VAR_KEYWORD]  # type: ignore[misc]
    # What `**kwargs` passes on is asked for only where nothing else is: a subclass mostly fills it in itself.
    for parameter in own or synth_signature.constructor_parameters(kind):
        if parameter.name in known and parameter.default is parameter.empty:
            specs[parameter.name] = first(known[parameter.name], maker)
    return specs


def first(argument: Argument, maker: Maker) -> Spec:
    """The likeliest spec: what the annotation says, where it says enough."""
    hinted = of_hint(argument, maker)
    return hinted if hinted is not None else candidates(argument, maker)[0]


def candidates(argument: Argument, maker: Maker) -> list[Spec]:
    """Specs for a constructor argument, the most likely first; at least one, each once."""
    found: list[Spec] = []
    for spec in _candidates(argument, maker):
        if spec not in found:
            found.append(spec)
    return found


def _candidates(argument: Argument, maker: Maker) -> Iterator[Spec]:
    name, hint, facts = argument.name, argument.hint, argument.facts
    hinted = of_hint(argument, maker)
    if hinted is not None:
        yield hinted
    typed = synth_signature.of_default(name, argument.default)
    yield from typed
    config = hint is None and not typed and synth_names.CONFIGS.match(name) is not None
    if facts.is_config() and not config and hinted is None:
        for like in _with_attributes(argument)[:1]:
            made = maker.instance(argument.owner, like) if not synth_config.is_config(like) else None
            if made is not None:
                yield made
    if config or (facts.is_config() and hinted is None and not typed):
        yield from synth_config.candidates(argument.owner, hint, _filler(maker))
    elif not typed and hint not in (int, float, str, bool):
        yield from _of_use(argument, maker)
    if typed and isinstance(argument.default, str):
        yield from (["value", text] for text in facts.strings)
    if not typed:
        yield from _of_name(argument)


def _filler(maker: Maker) -> synth_config.Fill:
    def fill(kind: type, name: str, hint: Any, deep: int) -> Spec:
        inner = Maker() if deep > 1 else maker
        return candidates(Argument(kind, name, hint, Usage()), inner)[0]

    return fill


# -- annotations ---------------------------------------------------------------------------------------------


def of_hint(argument: Argument, maker: Maker) -> Spec | None:
    hint, name, facts = argument.hint, argument.name, argument.facts
    if hint is None or hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return None
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    plain = _of_plain_hint(hint, name, facts)
    if plain is not None:
        return plain
    if origin is typing.Literal:
        return ["value", members[0]]
    if origin in (typing.Union, getattr(types, "UnionType", typing.Union)):
        return _of_union(argument, members, maker)
    if origin in (tuple, list, collections.abc.Sequence, collections.abc.Iterable, set):
        return _of_sequence(argument, origin, members, maker)
    if origin in (dict, collections.abc.Mapping) or hint is dict:
        return _of_mapping(argument, members, maker)
    if hint in (list, tuple):
        return ["list" if hint is list else "tuple", [["value", synth_names.integer(name)] for _ in range(2)]]
    if origin is type or hint is type:
        return ["import", "torch.nn.modules.activation:ReLU"] if "norm" not in name else _layer_norm()
    if origin is collections.abc.Callable or hint in (collections.abc.Callable, typing.Callable):
        return ["function"]
    if isinstance(hint, type):
        return of_class(argument, maker)
    return None


def _of_plain_hint(hint: Any, name: str, facts: Usage) -> Spec | None:
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
    return None


def _layer_norm() -> Spec:
    return ["import", "torch.nn.modules.normalization:LayerNorm"]


def _of_union(argument: Argument, members: Any, maker: Maker) -> Spec | None:
    order = {int: 0, float: 1, bool: 2, str: 3}
    if any(m in order for m in members) and not argument.facts.iterated and not argument.facts.unpacked:
        members = sorted(members, key=lambda m: order.get(m, 9) if isinstance(m, type) else 9)
    for member in members:
        spec = of_hint(argument.with_hint(member), maker) if member is not type(None) else None
        if spec is not None:
            return spec
    return ["value", None] if type(None) in members else None


def _of_sequence(argument: Argument, origin: Any, members: Any, maker: Maker) -> Spec | None:
    word = "tuple" if origin is tuple else "list"
    inner = [a for a in members if a is not Ellipsis]
    if not inner:
        return [word, [["value", synth_names.integer(argument.name)]] * 2]
    if len(inner) == 1:
        inner = inner * (argument.facts.unpacked or 2)
    name = _singular(argument.name)
    items = [of_hint(Argument(argument.owner, name, hint, Usage()), maker) for hint in inner]
    return None if None in items else [word, items]


def _of_mapping(argument: Argument, members: Any, maker: Maker) -> Spec:
    """Two entries where keys are text and values can be made; else none."""
    if len(members) != 2 or members[0] is not str:
        return ["dict", {}]
    item = of_hint(Argument(argument.owner, _singular(argument.name), members[1], Usage()), maker)
    return ["dict", {"a": item, "b": item} if item is not None else {}]


def _singular(name: str) -> str:
    return name.removesuffix("s")


def of_class(argument: Argument, maker: Maker) -> Spec | None:
    """An object of the class that the annotation is."""
    hint, name = argument.hint, argument.name
    if issubclass(hint, enum.Enum):
        return ["import", f"{reference(hint)}.{next(iter(hint)).name}"]
    if hint in (nn.Module, nn.Sequential):
        return ["linear", synth_names.WIDTH] if "norm" not in name and "act" not in name else ["identity"]
    if hint is nn.ModuleList:
        return ["modules", [["linear", synth_names.WIDTH]]]
    if synth_config.is_config(hint) or dataclasses.is_dataclass(hint):
        return synth_config.real(synth_config.nearest(argument.owner, hint), _filler(maker))
    if hint is object or hint.__module__ == "builtins":
        return None
    return maker.instance(argument.owner, hint)


# -- use -----------------------------------------------------------------------------------------------------


def _of_use(argument: Argument, maker: Maker) -> Iterator[Spec]:
    owner, name, facts = argument.owner, argument.name, argument.facts
    for type_name in facts.types:
        wanted = synth_classes.named(owner, type_name)
        if wanted is None or wanted.__module__ == "builtins":
            continue
        spec = of_class(argument.with_hint(wanted), maker)
        if spec is not None:
            yield spec
    if facts.iterated and not facts.called:
        yield from _lists(argument, maker)
    for like in _with_attributes(argument):
        spec = maker.instance(owner, like, facts.calls)
        if spec is not None:
            yield spec
    plain = synth_names.names_integer(name) or synth_names.names_number(name)
    named = synth_classes.by_argument(owner, name) if not facts.arithmetic and not plain else None
    spec = maker.instance(owner, named, facts.calls) if named is not None else None
    if spec is not None:
        yield spec
    if _is_tensor(argument):
        yield from tensors(argument)
    yield from (["value", text] for text in facts.strings)
    if facts.called and (name.endswith(("_layer", "_cls", "_class", "_type")) or name in ("norm", "act", "activation")):
        yield _layer_norm() if "norm" in name else ["import", "torch.nn.modules.activation:GELU"]
    if re.search(r"create|factory|^make_|^build_", name) or (facts.called and re.search(r"_fn$|_func$", name)):
        yield ["factory"]
    module_like = synth_names.MODULES.search(name) and not plain and not facts.arithmetic
    if facts.called or module_like:
        yield ["linear", synth_names.WIDTH]
        yield ["function"]
        yield ["import", "torch.nn.modules.activation:GELU"]
    if facts.unpacked:
        yield ["tuple", [["value", synth_names.integer(name)]] * facts.unpacked]
    if (facts.iterated and facts.called) or (facts.indexed and not facts.iterated):
        yield from _lists(argument, maker)
    if "mask" in name:
        yield from tensors(argument)


def _with_attributes(argument: Argument) -> list[type]:
    if argument.facts.arithmetic:
        return []
    return synth_classes.with_attributes(argument.owner, set(argument.facts.attributes), argument.facts.calls)


def _lists(argument: Argument, maker: Maker) -> Iterator[Spec]:
    """Two alike: modules of a class that fits the items, else numbers."""
    name, facts = _singular(argument.name), argument.facts
    calls = facts.item_calls
    likes = synth_classes.with_attributes(argument.owner, set(facts.items), calls, most=2) if facts.items else []
    called = synth_classes.by_argument(argument.owner, name)
    module_like = facts.modules or synth_names.MODULES.search(name) is not None
    for like in [*([called] if called is not None else []), *likes]:
        item = maker.instance(argument.owner, like, calls)
        if item is not None:
            yield ["list", [item, item]]
    if module_like:
        yield ["list", [["linear", synth_names.WIDTH]] * 2]
    if not facts.modules:
        yield ["list", [["value", synth_names.integer(name)]] * 2]


def _is_tensor(argument: Argument) -> bool:
    """Whether documentation or use shows a tensor."""
    facts = argument.facts
    if facts.called or facts.types or synth_names.MODULES.search(argument.name):
        return False
    if argument.doc is not None and argument.doc.is_tensor:
        return True
    read = set(facts.attributes)
    return bool(read & _TENSOR_ONLY) and all(hasattr(torch.Tensor, name) for name in read)


def tensors(argument: Argument) -> Iterator[Spec]:
    """Tensors that a constructor may keep: with the documented shape, a vector, a square, a number."""
    width, name = synth_names.WIDTH, argument.name.lower()
    axes = argument.doc.axes if argument.doc is not None else ()
    content = "positive"
    if "mask" in name:
        content = "alternating"
    elif re.search(r"perm|ind(ex|ices)?$|idx|order", name):
        content = "index"
    if axes:
        sizes = [synth_names.BATCH if a in ("b", "B", "batch_size") else synth_names.integer(a, width) for a in axes]
        yield ["tensor", sizes, content]
    for shape in ([width], [width, width], []):
        yield ["tensor", shape, content]


# -- names ---------------------------------------------------------------------------------------------------


def _of_name(argument: Argument) -> list[Spec]:
    name, facts = argument.name, argument.facts
    if synth_names.names_shape(name):
        one: Spec = ["value", synth_names.WIDTH]
        return [["tuple", [one]], one, ["tuple", [["value", 16], one]], ["tuple", [["value", n] for n in (3, 16, 16)]]]
    if synth_names.names_text(name) and not facts.arithmetic:
        return [["value", synth_names.text(name)], ["value", synth_names.integer(name)]]
    if synth_names.names_flag(name) and not facts.arithmetic:
        return [["value", False], ["value", True]]
    if synth_names.names_number(name):
        return [["value", synth_names.number(name)], ["value", synth_names.integer(name)]]
    return [["value", synth_names.integer(name, 8)]]
