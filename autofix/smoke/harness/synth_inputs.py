"""First guesses for forward inputs: sizes learnt from the module's own layers, then use, then names."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from torch import nn

from . import synth_guess, synth_names, synth_signature, synth_usage
from .synth_guess import Argument, Maker
from .synth_names import BATCH, IMAGE, WIDTH
from .synth_signature import Documented
from .synth_sizes import CHANNELS, NORMAL, Sizes, first_channels, first_layer, for_layer, from_axes, shape_of_rank
from .synth_usage import Usage
from .synth_values import AnyIdentity, AnyLinear, Spec, integers, own_parameters


class Entry:
    """One parameter of the method that is trained, and what is known of it."""

    def __init__(self, kind: type, parameter: inspect.Parameter, hint: Any, facts: Usage, doc: Documented | None):
        self.kind = kind
        self.name = parameter.name
        self.parameter = parameter
        self.hint = hint
        self.facts = facts
        self.doc = doc

    @property
    def is_variadic(self) -> bool:
        return self.parameter.kind in (self.parameter.VAR_KEYWORD, self.parameter.VAR_POSITIONAL)

    @property
    def is_required(self) -> bool:
        return self.parameter.default is self.parameter.empty and not self.is_variadic


def entries(kind: type) -> dict[str, Entry]:
    """The parameters of what is trained, by name."""
    method = synth_usage.entry(kind)
    usage = synth_usage.of_class(kind, method)
    hints = synth_signature.hints_of(getattr(kind, method))
    docs = synth_signature.documented(kind, method)
    return {
        p.name: Entry(kind, p, hints.get(p.name), usage.get(p.name, Usage()), docs.get(p.name))
        for p in own_parameters(getattr(kind, method))
    }


def unknown(kind: type, name: str) -> Entry:
    """A name that `**kwargs` passes on."""
    return Entry(kind, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY), None, Usage(), None)


def guess(
    module: nn.Module, init: dict[str, Spec], maker: Maker, borrowed: dict[str, Spec] | None = None
) -> tuple[dict[str, Spec], Sizes]:
    """Specs for the inputs that `forward` needs, positional ones under their names; and the sizes found.

    borrowed: inputs with which networks among the constructor's arguments are known to run.
    """
    sizes = Sizes(module, init, borrowed)
    known = entries(type(module))
    inputs: dict[str, Spec] = {}
    for name, entry in known.items():
        if entry.parameter.kind is inspect.Parameter.VAR_POSITIONAL and not inputs:
            inputs["*"] = value(entry, sizes, maker)[0]
        elif entry.is_required:
            inputs[name] = value(entry, sizes, maker)[0]
    if not inputs:
        main = _main_input(module, [e.parameter for e in known.values()])
        if main is not None and _may_be_tensor(known[main]):
            inputs[main] = value(known[main], sizes, maker)[0]
    return inputs, sizes


def _may_be_tensor(entry: Entry) -> bool:
    """Whether an argument that may be left out is the main input; a number or a flag with a default is none."""
    return entry.parameter.default is None or entry.parameter.default is entry.parameter.empty


def _main_input(module: nn.Module, parameters: list[inspect.Parameter]) -> str | None:
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL]
    declared = getattr(module, "main_input_name", None)
    if declared in names:
        return str(declared)
    return next((n for n in synth_names.MAIN_INPUTS if n in names), names[0] if names else None)


def value(entry: Entry, sizes: Sizes, maker: Maker) -> list[Spec]:
    """Specs for one input, the most likely first."""
    name, hint, facts = entry.name, entry.hint, entry.facts
    text = str(hint)
    plain = _plain(entry)
    if plain:
        return plain
    found: list[Spec] = []
    if facts.strings:
        found.append(["value", facts.strings[0]])
    if facts.called:
        found += [["function"], ["identity"]]
    if "Tensor" not in text and isinstance(hint, type) and not issubclass(hint, (nn.Module, list, tuple, dict)):
        made = synth_guess.of_class(Argument(entry.kind, name, hint, facts), maker)
        if made is not None:
            found.append(made)
    tensors = tensors_for(entry, sizes)
    if _takes_several(text, facts):
        found.append(["list", [tensors[0], tensors[0]]])
    if _takes_names(text, facts):
        found.append(["dict", dict.fromkeys(_keys(sizes), tensors[0])])
    return [*found, *tensors]


def _plain(entry: Entry) -> list[Spec]:
    """Flags, numbers and texts, told by annotation, default or name; none for what may be a tensor."""
    name, hint, default = entry.name, entry.hint, entry.parameter.default
    if hint is bool or isinstance(default, bool) or synth_names.FLAGS.match(name):
        return [["value", False], ["value", True]]
    hint = _without_none(hint)
    if hint is int or type(default) is int:
        return [["value", synth_names.integer(name, 2)]]
    if hint is float or type(default) is float:
        return [["value", synth_names.number(name)]]
    if hint is str or type(default) is str:
        texts = [*entry.facts.strings, *([default] if isinstance(default, str) else [synth_names.text(name)])]
        return [["value", text] for text in dict.fromkeys(texts)]
    return []


def _without_none(hint: Any) -> Any:
    """`int` for `Optional[int]` and `int | None`."""
    kinds = [k for k in typing.get_args(hint) if k is not type(None)]
    optional = len(kinds) == 1 and len(typing.get_args(hint)) == 2
    return kinds[0] if optional and kinds[0] in (int, float, str) else hint


def _takes_several(hint: str, facts: Usage) -> bool:
    lowered = hint.lower()
    return ("list[" in lowered or "sequence[" in lowered or lowered.startswith("typing.tuple[torch")) and (
        "tensor" in lowered
    )


def _takes_names(hint: str, facts: Usage) -> bool:
    """A dictionary of tensors."""
    if hint.lower().startswith(("dict[str", "typing.dict[str", "collections.abc.mapping[str")):
        return True
    return bool({"items", "keys", "values"} & set(facts.methods)) and not facts.ndim and "Tensor" not in hint


def _keys(sizes: Sizes) -> list[str]:
    """The names in a dictionary that the constructor was given."""
    return next((list(s[1]) for s in sizes.init.values() if s[0] == "dict" and s[1]), ["a", "b"])


def tensors_for(entry: Entry, sizes: Sizes) -> list[Spec]:
    name, facts = entry.name, entry.facts
    lowered = name.lower()
    length = sizes.length
    side = sizes.image or IMAGE
    ids = ["tensor", [BATCH, length], f"ids:{sizes.vocabulary}"]
    learned = _learned(facts, sizes)
    borrowed = _borrowed(entry, sizes)
    found: list[Spec] = []
    if borrowed is not None and learned is None:
        found.append(borrowed)
    if lowered == "position_embeddings" or lowered in ("rotary_pos_emb", "freqs_cis"):
        one = ["tensor", [1, length, sizes.head_width], NORMAL]
        found.append(["tuple", [one, one]])
    if "position_ids" in lowered or lowered in ("positions", "pos_ids", "input_pos"):
        found.append(["tensor", [BATCH, length], "index"])
    if "cu_seqlens" in lowered:
        found.append(["value", None])
    if synth_names.MASKS.search(lowered) and not facts.first:
        found += masks(facts, sizes)
    documented = _documented(entry, sizes)
    if documented is not None and (learned is None or len(learned[1]) != len(documented[1])):
        found.append(documented)
    if learned is not None:
        found.append(learned)
    if borrowed is not None:
        found.append(borrowed)
    found += _given_shapes(sizes, learned)
    if facts.ndim or facts.axes:
        found += _by_names(facts, sizes)
    if synth_names.IMAGES.match(lowered) and not found:
        found.append(["tensor", [BATCH, first_channels(sizes) or 3, side, side], NORMAL])
    if synth_names.TIMES.match(lowered) and not facts.ndim and (learned is None or lowered.startswith("time")):
        found += [["tensor", [BATCH], "ids:8"], ["tensor", [BATCH], "unit"]]
    if synth_names.IDS.search(lowered) and learned is None:
        found.append(ids)
    first = first_layer(sizes.module)
    if first is not None and not found:
        found.append(for_layer(first, sizes))
    return [*found, *(s for s in fallback(sizes) if s not in found)]


def _borrowed(entry: Entry, sizes: Sizes) -> Spec | None:
    """What a network among the constructor's arguments runs with, under this name or as its only tensor."""
    same = sizes.borrowed.get(entry.name)
    if same is not None:
        return same
    tensors = [s for s in sizes.borrowed.values() if s[0] == "tensor"]
    main = next((e for e in entries(entry.kind).values() if e.is_required or e.is_variadic), None)
    if not tensors or (main is not None and main.name != entry.name):
        return None
    fits = not entry.facts.ndim or entry.facts.ndim == len(tensors[0][1])
    return tensors[0] if fits else None


def _given_shapes(sizes: Sizes, learned: Spec | None) -> list[Spec]:
    """A batch of the `shape` that the constructor was given; the layer's input with the channels that it was given."""
    found: list[Spec] = []
    for name, spec in sizes.init.items():
        numbers = list(integers(spec))
        if synth_names.names_shape(name) and numbers and learned is None:
            found.append(["tensor", [BATCH, *numbers], NORMAL])
        if spec[0] == "tensor" and len(spec[1]) == 1 and learned is None:
            found.append(["tensor", [BATCH, *spec[1]], NORMAL])
    first = first_layer(sizes.module)
    asked = next((n for k, n in sizes.given if k in CHANNELS and k in sizes.init), 0)
    if learned is None and first is not None and asked > 1:
        spec = for_layer(first, sizes)
        if len(spec[1]) == 4 and spec[1][1] != asked:
            found.append(["tensor", [spec[1][0], asked, *spec[1][2:]], spec[2]])
    return found


def _documented(entry: Entry, sizes: Sizes) -> Spec | None:
    """From a shape that the documentation writes out."""
    if entry.doc is None or not entry.doc.axes:
        return None
    shape = from_axes(" ".join(axis.replace(" ", "") for axis in entry.doc.axes), sizes)
    if not shape:
        return None
    lowered = entry.name.lower()
    content = NORMAL
    if synth_names.MASKS.search(lowered):
        content = "true"
    elif synth_names.IDS.search(lowered) or "pos" in lowered:
        content = f"ids:{sizes.vocabulary}"
    return ["tensor", shape, content]


def masks(facts: Usage, sizes: Sizes) -> list[Spec]:
    true: Spec = ["tensor", [BATCH, sizes.length], "true"]
    if facts.inverted or facts.axes or facts.ndim == 2:
        return [true]
    return [["value", None], true, ["tensor", [BATCH, 1, sizes.length, sizes.length], "zeros"]]


def fallback(sizes: Sizes) -> list[Spec]:
    """Common layouts with the sizes of this module, in the order in which they are most often right."""
    found: list[Spec] = []
    for width in sizes.widths[:3] or [WIDTH]:
        found += [
            ["tensor", [BATCH, sizes.length, width], NORMAL],
            ["tensor", [BATCH, width], NORMAL],
            ["tensor", [BATCH, width, 16, 16], NORMAL],
            ["tensor", [BATCH, width, sizes.length], NORMAL],
            ["tensor", [BATCH, 8, 8, width], NORMAL],
        ]
    side = sizes.image or IMAGE
    return [
        *found,
        ["tensor", [BATCH, 3, side, side], NORMAL],
        ["tensor", [BATCH, sizes.length], f"ids:{sizes.vocabulary}"],
        ["tensor", [BATCH, sizes.heads, sizes.length, sizes.head_width], NORMAL],
        ["tensor", [BATCH], f"ids:{sizes.vocabulary}"],
        ["tensor", [BATCH, sizes.width, 4, 16, 16], NORMAL],
        ["tensor", [BATCH], NORMAL],
    ]


def _learned(facts: Usage, sizes: Sizes) -> Spec | None:
    """From the first layer of the module that the input goes into."""
    for name in facts.first:
        inner = getattr(sizes.module, name, None)
        if isinstance(inner, nn.Module) and not isinstance(inner, (AnyLinear, AnyIdentity)):
            first = first_layer(inner)
            if first is not None:
                return for_layer(first, sizes, facts)
    return None


def _by_names(facts: Usage, sizes: Sizes) -> list[Spec]:
    """From an einops pattern; from the number of dimensions and the names that they are unpacked into."""
    if facts.axes:
        shape = from_axes(facts.axes, sizes)
        if shape:
            return [["tensor", shape, NORMAL]]
    ranked: Spec = ["tensor", shape_of_rank(facts.ndim, sizes), NORMAL]
    if len(facts.unpacked_names) != facts.ndim:
        return [ranked]
    named: Spec = ["tensor", from_axes(" ".join(facts.unpacked_names), sizes), NORMAL]
    return [named, ranked] if facts.ndim > 4 else [ranked, named]
