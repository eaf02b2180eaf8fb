"""First guesses for forward inputs: sizes learnt from the module's own layers, then use, then names."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from . import synth_guess, synth_names, synth_usage
from .synth_names import BATCH, HEAD_WIDTH, HEADS, IMAGE, LENGTH, WIDTH
from .synth_values import AnyIdentity, AnyLinear, Spec, integers, own_parameters

_NORM = "normal"
_CHANNELS = ("channels", "in_channels", "in_chans", "image_channels", "input_channels", "num_channels", "in_ch")
_SPATIAL = {1: [LENGTH], 2: [16, 16], 3: [4, 16, 16]}


class Sizes:
    """What the built module says about its inputs."""

    def __init__(self, module: nn.Module, init: dict[str, Spec]) -> None:
        self.module = module
        self.init = init
        self.widths = _widths(module, init)
        self.vocabulary = _vocabulary(module)
        self.given = _given(module, init)
        self.image = next((n for k, n in self.given if "image_size" in k or "img_size" in k), 0)
        self.channels = next((n for k, n in self.given if k in _CHANNELS), 0)
        self.image = self.image or _known(module, ("image_size", "img_size", "input_size")) or 0
        self.length = _known(module, ("seq_len", "max_seq_len", "num_tokens_per_image")) or LENGTH
        self.length = self.length if self.length <= 128 else LENGTH
        self.head_width = _known(module, ("head_dim", "dim_head", "attention_head_size")) or HEAD_WIDTH
        self.heads = _known(module, ("num_heads", "heads", "num_attention_heads", "n_heads")) or HEADS

    @property
    def width(self) -> int:
        return self.widths[0] if self.widths else WIDTH


def guess(module: nn.Module, init: dict[str, Spec]) -> tuple[dict[str, Spec], Sizes]:
    """Specs for the inputs that `forward` needs, positional ones under their names; and the sizes found."""
    sizes = Sizes(module, init)
    kind = type(module)
    entry = synth_usage.entry(kind)
    usage = synth_usage.of_class(kind, entry)
    hints = synth_guess.hints_of(getattr(kind, entry))
    inputs: dict[str, Spec] = {}
    parameters = own_parameters(getattr(kind, entry))
    for parameter in parameters:
        facts = usage.get(parameter.name, synth_usage.Usage())
        if parameter.kind is parameter.VAR_POSITIONAL and not inputs:
            inputs["*"] = value(parameter.name, None, facts, sizes)[0]
        elif parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        elif parameter.default is parameter.empty:
            inputs[parameter.name] = value(parameter.name, hints.get(parameter.name), facts, sizes)[0]
    if not inputs:
        main = _main_input(module, parameters)
        if main is not None:
            facts = usage.get(main, synth_usage.Usage())
            inputs[main] = value(main, hints.get(main), facts, sizes)[0]
    return inputs, sizes


def _main_input(module: nn.Module, parameters: list[inspect.Parameter]) -> str | None:
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL]
    declared = getattr(module, "main_input_name", None)
    if declared in names:
        return str(declared)
    return next((n for n in synth_names.MAIN_INPUTS if n in names), names[0] if names else None)


def value(name: str, hint: Any, facts: synth_usage.Usage, sizes: Sizes) -> list[Spec]:
    """Specs for one input, the most likely first."""
    text = str(hint)
    if hint is bool or synth_names.FLAGS.match(name):
        return [["value", False], ["value", True]]
    if hint is int:
        return [["value", synth_names.integer(name, 2)]]
    if hint is float:
        return [["value", synth_names.number(name)]]
    if hint is str:
        return [["value", facts.strings[0] if facts.strings else synth_names.text(name)]]
    found: list[Spec] = []
    if facts.strings:
        found.append(["value", facts.strings[0]])
    if facts.called:
        found += [["function"], ["identity"]]
    if "Tensor" not in text and isinstance(hint, type) and not issubclass(hint, (nn.Module, list, tuple, dict)):
        made = synth_guess._of_class(type(sizes.module), name, hint, facts, 0)
        if made is not None:
            found.append(made)
    tensors = tensors_for(name, facts, sizes)
    if _takes_several(text, facts):
        found.append(["list", [tensors[0], tensors[0]]])
    return [*found, *tensors]


def _takes_several(hint: str, facts: synth_usage.Usage) -> bool:
    lowered = hint.lower()
    return ("list[" in lowered or "sequence[" in lowered or lowered.startswith("typing.tuple[torch")) and (
        "tensor" in lowered
    )


def tensors_for(name: str, facts: synth_usage.Usage, sizes: Sizes) -> list[Spec]:
    lowered = name.lower()
    length = sizes.length
    side = sizes.image or IMAGE
    ids = ["tensor", [BATCH, length], f"ids:{sizes.vocabulary}"]
    learned = _learned(facts, sizes)
    found: list[Spec] = []
    if lowered == "position_embeddings" or lowered in ("rotary_pos_emb", "freqs_cis"):
        one = ["tensor", [1, length, sizes.head_width], _NORM]
        found.append(["tuple", [one, one]])
    if "position_ids" in lowered or lowered in ("positions", "pos_ids", "input_pos"):
        found.append(["tensor", [BATCH, length], "index"])
    if "cu_seqlens" in lowered:
        found.append(["value", None])
    if synth_names.MASKS.search(lowered) and not facts.first:
        found += masks(facts, sizes)
    if learned is not None:
        found.append(learned)
    if facts.ndim or facts.axes:
        found.append(_by_rank(facts, sizes))
    if synth_names.IMAGES.match(lowered) and not found:
        found.append(["tensor", [BATCH, _first_channels(sizes) or 3, side, side], _NORM])
    if synth_names.TIMES.match(lowered) and not facts.ndim and (learned is None or lowered.startswith("time")):
        found += [["tensor", [BATCH], "ids:8"], ["tensor", [BATCH], "unit"]]
    if synth_names.IDS.search(lowered) and learned is None:
        found.append(ids)
    first = _first_layer(sizes.module)
    if first is not None and not found:
        found.append(for_layer(first, sizes))
    return [*found, *(s for s in fallback(sizes) if s not in found)]


def masks(facts: synth_usage.Usage, sizes: Sizes) -> list[Spec]:
    true: Spec = ["tensor", [BATCH, sizes.length], "true"]
    if facts.inverted or facts.axes or facts.ndim == 2:
        return [true]
    return [["value", None], true, ["tensor", [BATCH, 1, sizes.length, sizes.length], "zeros"]]


def fallback(sizes: Sizes) -> list[Spec]:
    """Common layouts with the sizes of this module, in the order in which they are most often right."""
    found: list[Spec] = []
    for width in sizes.widths[:3] or [WIDTH]:
        found += [
            ["tensor", [BATCH, sizes.length, width], _NORM],
            ["tensor", [BATCH, width], _NORM],
            ["tensor", [BATCH, width, 16, 16], _NORM],
            ["tensor", [BATCH, width, sizes.length], _NORM],
            ["tensor", [BATCH, 8, 8, width], _NORM],
        ]
    side = sizes.image or IMAGE
    return [
        *found,
        ["tensor", [BATCH, 3, side, side], _NORM],
        ["tensor", [BATCH, sizes.length], f"ids:{sizes.vocabulary}"],
        ["tensor", [BATCH, sizes.heads, sizes.length, sizes.head_width], _NORM],
        ["tensor", [BATCH], f"ids:{sizes.vocabulary}"],
        ["tensor", [BATCH, sizes.width, 4, 16, 16], _NORM],
        ["tensor", [BATCH], _NORM],
    ]


def _learned(facts: synth_usage.Usage, sizes: Sizes) -> Spec | None:
    """From the first layer of the module that the input goes into."""
    for name in facts.first:
        inner = getattr(sizes.module, name, None)
        if isinstance(inner, nn.Module) and not isinstance(inner, (AnyLinear, AnyIdentity)):
            first = _first_layer(inner)
            if first is not None:
                return for_layer(first, sizes, facts)
    return None


def _first_layer(module: nn.Module, seen: int = 0) -> nn.Module | None:
    """The first layer in order of registration whose input has a known size."""
    for layer in module.modules():
        if isinstance(layer, _SIZED) or hasattr(layer, "in_features") or hasattr(layer, "embedding_dim"):
            return layer
    return None


_SIZED = (
    nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.modules.conv._ConvNd, nn.RNNBase,
    nn.modules.batchnorm._BatchNorm, nn.MultiheadAttention, nn.Bilinear,
)  # fmt: skip


def for_layer(layer: nn.Module, sizes: Sizes, facts: synth_usage.Usage | None = None) -> Spec:
    """An input that `layer` accepts."""
    length = sizes.length
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) or (
        hasattr(layer, "num_embeddings") and hasattr(layer, "embedding_dim")
    ):
        return ["tensor", [BATCH, length], f"ids:{int(layer.num_embeddings)}"]
    if isinstance(layer, nn.modules.conv._ConvNd):
        rank = len(layer.kernel_size)
        spatial = list(_SPATIAL[rank])
        dilation = layer.dilation if not layer.transposed else (1,) * rank
        least = max((layer.kernel_size[i] - 1) * dilation[i] + 1 for i in range(rank))
        if rank == 2 and sizes.image:
            spatial = [sizes.image, sizes.image]
        elif rank == 2 and layer.stride[0] > 2:
            spatial = [IMAGE, IMAGE]
        spatial = [max(n, least) for n in spatial]
        return ["tensor", [BATCH, int(layer.in_channels), *spatial], _NORM]
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        rank = {"BatchNorm1d": 1, "BatchNorm3d": 3}.get(type(layer).__name__, 2)
        spatial = [] if rank == 1 else _SPATIAL[rank]
        return ["tensor", [BATCH, int(layer.num_features), *spatial], _NORM]
    if isinstance(layer, nn.GroupNorm):
        return ["tensor", [BATCH, int(layer.num_channels), 16, 16], _NORM]
    if isinstance(layer, nn.LayerNorm):
        width = [int(n) for n in layer.normalized_shape]
    else:
        size = getattr(layer, "in_features", None) or getattr(layer, "input_size", None)
        size = size or getattr(layer, "embed_dim", None) or getattr(layer, "in1_features", None) or sizes.width
        width = [int(size)] if isinstance(size, int) else [sizes.width]
    rank = facts.ndim if facts is not None else 0
    if rank == 4:
        return ["tensor", [BATCH, 8, 8, *width], _NORM]
    return ["tensor", [BATCH, *width] if rank == 2 else [BATCH, length, *width], _NORM]


def _by_rank(facts: synth_usage.Usage, sizes: Sizes) -> Spec:
    if facts.axes:
        shape = _from_axes(facts.axes, sizes)
        if shape:
            return ["tensor", shape, _NORM]
    return ["tensor", shape_of_rank(facts.ndim, sizes), _NORM]


def shape_of_rank(rank: int, sizes: Sizes) -> list[int]:
    width = sizes.width
    first = _first_layer(sizes.module)
    if rank >= 4 and sizes.image and sizes.channels:
        return [BATCH, sizes.channels, *[4] * (rank - 4), sizes.image, sizes.image]
    if rank == 4 and (isinstance(first, (nn.Linear, nn.LayerNorm)) or first is None) and width:
        return [BATCH, width, 16, 16]
    return {
        0: [],
        1: [BATCH],
        2: [BATCH, width],
        3: [BATCH, sizes.length, width],
        4: [BATCH, _first_channels(sizes) or width, 16, 16],
        5: [BATCH, _first_channels(sizes) or width, 4, 16, 16],
    }.get(rank, [BATCH] * rank)


def _from_axes(pattern: str, sizes: Sizes) -> list[int]:
    """Sizes for an einops pattern: "b c (h p1) (w p2)" → batch, channels, image sides."""
    import re

    shape: list[int] = []
    image = sizes.image or IMAGE
    tokens = re.findall(r"\([^)]*\)|\.\.\.|[^\s()]+", pattern)
    if "..." in tokens:
        tokens = [t for t in tokens if t != "..."]
        shape = [BATCH] if len(tokens) > 1 else [BATCH, sizes.length]
    for token in tokens:
        words = token.strip("()").split()
        if token == "b" or (token in ("B", "batch", "bs") and not shape):
            shape.append(BATCH)
        elif token.startswith("("):
            inner = words[0] if words else ""
            if any(w in ("h", "heads", "qkv") for w in words) and len(tokens) <= 3 and inner not in ("h", "w"):
                shape.append(sizes.width)
            else:
                shape.append({"f": 4, "t": 4}.get(inner, image) if len(tokens) > 3 else sizes.length)
        elif token in ("c", "d", "C", "dim", "e"):
            shape.append(_first_channels(sizes) or sizes.width if token == "c" else sizes.width)
        elif token in ("h", "w", "x", "y", "H", "W") and len(tokens) >= 4:
            shape.append(sizes.heads if tokens[1] == "h" and token == "h" and tokens[-1] == "d" else 16)
        elif token in ("f", "t", "frames") and len(tokens) >= 4:
            shape.append(4)
        elif token.isdigit():
            shape.append(int(token))
        elif token in ("h", "heads"):
            shape.append(sizes.heads)
        else:
            shape.append(sizes.length)
    return shape


def _given(module: nn.Module, init: dict[str, Spec]) -> list[tuple[str, int]]:
    """Integers among the constructor's arguments: those that were passed, then the defaults."""
    found = [(name, number) for name, spec in init.items() for number in integers(spec)]
    for parameter in own_parameters(type(module).__init__):
        if parameter.name not in init and type(parameter.default) is int:
            found.append((parameter.name, parameter.default))
    return found


def _first_channels(sizes: Sizes) -> int:
    for layer in sizes.module.modules():
        if isinstance(layer, nn.modules.conv._ConvNd):
            return int(layer.in_channels)
    return sizes.channels


def _widths(module: nn.Module, init: dict[str, Spec]) -> list[int]:
    """Sizes that the last dimension of an input may have, the most likely first, each once."""
    found: list[int] = []
    for layer in module.modules():
        for name in ("in_features", "in_channels", "embed_dim", "input_size", "num_features", "num_channels", "dim"):
            size = getattr(layer, name, None)
            if type(size) is int and size > 1:
                found.append(size)
                break
        shape = getattr(layer, "normalized_shape", None)
        if isinstance(shape, (tuple, list)) and shape and isinstance(shape[-1], int):
            found.append(shape[-1])
        if len(found) > 12:
            break
    for parameter in list(module._parameters.values()):
        if isinstance(parameter, torch.Tensor) and parameter.ndim:
            found.append(int(parameter.shape[-1]))
    for spec in init.values():
        found += [n for n in integers(spec) if n > 2]
    return list(dict.fromkeys(found))


def _vocabulary(module: nn.Module) -> int:
    sizes = [int(m.num_embeddings) for m in module.modules() if isinstance(m, nn.Embedding)]
    return max(1, min([synth_names.VOCABULARY, *(s for s in sizes if s > 4)]))


def _known(module: nn.Module, names: tuple[str, ...]) -> int | None:
    """An attribute of the module or of its configuration that is a positive integer."""
    for owner in (module, getattr(module, "config", None)):
        for name in names:
            size = vars(owner).get(name) if owner is not None and hasattr(owner, "__dict__") else None
            if isinstance(size, (tuple, list)) and size and type(size[-1]) is int:
                size = size[-1]
            if type(size) is int and size > 0:
                return size
    return None
