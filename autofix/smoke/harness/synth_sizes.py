"""What a built module says about its inputs: widths, vocabulary, image sides; shapes that its layers accept."""

from __future__ import annotations

import re

import torch
from torch import nn

from . import synth_names
from .synth_names import BATCH, HEAD_WIDTH, HEADS, IMAGE, LENGTH, WIDTH
from .synth_reading import Usage
from .synth_values import Spec, integers, own_parameters

NORMAL = "normal"
CHANNELS = ("channels", "in_channels", "in_chans", "image_channels", "input_channels", "num_channels", "in_ch")
_SPATIAL = {1: [LENGTH], 2: [16, 16], 3: [4, 16, 16]}


class Sizes:
    """What the built module says about its inputs. borrowed: inputs that networks among its arguments run with."""

    def __init__(self, module: nn.Module, init: dict[str, Spec], borrowed: dict[str, Spec] | None = None) -> None:
        self.module = module
        self.init = init
        self.borrowed = borrowed or {}
        self.widths = _widths(module, init)
        self.vocabulary = _vocabulary(module)
        self.given = _given(module, init)
        self.image = next((n for k, n in self.given if re.search(r"(image|img|tile)_size", k)), 0)
        self.channels = next((n for k, n in self.given if k in CHANNELS), 0)
        self.image = self.image or _known(module, ("image_size", "img_size", "input_size")) or 0
        self.length = _known(module, ("seq_len", "max_seq_len", "num_tokens_per_image")) or LENGTH
        self.length = self.length if self.length <= 128 else LENGTH
        self.head_width = _known(module, ("head_dim", "dim_head", "attention_head_size")) or HEAD_WIDTH
        self.heads = _known(module, ("num_heads", "heads", "num_attention_heads", "n_heads")) or HEADS

    @property
    def width(self) -> int:
        return self.widths[0] if self.widths else WIDTH


def first_layer(module: nn.Module) -> nn.Module | None:
    """The first layer in order of registration whose input has a known size."""
    for layer in module.modules():
        if isinstance(layer, _SIZED) or hasattr(layer, "in_features") or hasattr(layer, "embedding_dim"):
            return layer
    return None


_SIZED = (
    nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.modules.conv._ConvNd, nn.RNNBase,
    nn.modules.batchnorm._BatchNorm, nn.MultiheadAttention, nn.Bilinear,
)  # fmt: skip


def for_layer(layer: nn.Module, sizes: Sizes, facts: Usage | None = None) -> Spec:
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
        return ["tensor", [BATCH, int(layer.in_channels), *spatial], NORMAL]
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        rank = {"BatchNorm1d": 1, "BatchNorm3d": 3}.get(type(layer).__name__, 2)
        spatial = [] if rank == 1 else _SPATIAL[rank]
        return ["tensor", [BATCH, int(layer.num_features), *spatial], NORMAL]
    if isinstance(layer, nn.GroupNorm):
        return ["tensor", [BATCH, int(layer.num_channels), 16, 16], NORMAL]
    if isinstance(layer, nn.LayerNorm):
        width = [int(n) for n in layer.normalized_shape]
    else:
        size = getattr(layer, "in_features", None) or getattr(layer, "input_size", None)
        size = size or getattr(layer, "embed_dim", None) or getattr(layer, "in1_features", None) or sizes.width
        width = [int(size)] if isinstance(size, int) else [sizes.width]
    rank = facts.ndim if facts is not None else 0
    if rank == 4:
        return ["tensor", [BATCH, 8, 8, *width], NORMAL]
    return ["tensor", [BATCH, *width] if rank == 2 else [BATCH, length, *width], NORMAL]


def shape_of_rank(rank: int, sizes: Sizes) -> list[int]:
    width = sizes.width
    first = first_layer(sizes.module)
    if rank >= 4 and sizes.image and sizes.channels:
        return [BATCH, sizes.channels, *[4] * (rank - 4), sizes.image, sizes.image]
    if rank == 4 and (isinstance(first, (nn.Linear, nn.LayerNorm)) or first is None) and width:
        return [BATCH, width, 16, 16]
    return {
        0: [],
        1: [BATCH],
        2: [BATCH, width],
        3: [BATCH, sizes.length, width],
        4: [BATCH, first_channels(sizes) or width, 16, 16],
        5: [BATCH, first_channels(sizes) or width, 4, 16, 16],
    }.get(rank, [BATCH] * rank)


def from_axes(pattern: str, sizes: Sizes) -> list[int]:
    """Sizes for an einops pattern or a list of axes: "b c (h p1) (w p2)" → batch, channels, image sides."""
    shape: list[int] = []
    tokens = re.findall(r"\([^)]*\)|\.\.\.|[^\s()]+", pattern)
    if tokens and tokens[0] in ("...", "*"):
        tokens = tokens[1:]
        shape = [BATCH] if len(tokens) > 1 else [BATCH, sizes.length]
    tokens = [t for t in tokens if t != "..."]
    for token in tokens:
        shape.append(_size_of_axis(token, tokens, sizes, bool(shape)))
    return shape


def _size_of_axis(token: str, tokens: list[str], sizes: Sizes, inner: bool) -> int:
    image = sizes.image or IMAGE
    if token == "b" or (re.match(r"(b|bs|bsz|batch|batch_?size)(\W|$)", token.lower()) and not inner):
        return BATCH
    if token.startswith("("):
        words = token.strip("()").split()
        first = words[0] if words else ""
        if any(w in ("h", "heads", "qkv") for w in words) and len(tokens) <= 3 and first not in ("h", "w"):
            return sizes.width
        return {"f": 4, "t": 4}.get(first, image) if len(tokens) > 3 else sizes.length
    if token in ("c", "d", "C", "D", "dim", "e", "E"):
        return first_channels(sizes) or sizes.width if token in ("c", "C") else sizes.width
    if token in ("h", "w", "x", "y", "H", "W") and len(tokens) >= 4:
        return sizes.heads if tokens[1] == "h" and token == "h" and tokens[-1] == "d" else 16
    if token in ("f", "t", "frames") and len(tokens) >= 4:
        return 4
    if token.isdigit():
        return int(token)
    if token in ("h", "heads", "n_h", "num_heads", "H"):
        return sizes.heads
    if token in ("h_d", "head_dim", "dim_head"):
        return sizes.head_width
    return _size_of_word(token, sizes)


def _size_of_word(token: str, sizes: Sizes) -> int:
    """A spelt-out axis: what the module holds under this name, else what the name says."""
    if len(token) < 3 or token.startswith("s_"):
        return sizes.length
    known = _known(sizes.module, (token,)) or next((n for k, n in sizes.given if k == token), 0)
    if known:
        return known
    lowered = token.lower()
    if re.search(r"channel|chans$|^n?_?ch$", lowered):
        return first_channels(sizes) or sizes.width
    if "height" in lowered or "width" in lowered:
        return sizes.image or 16
    if re.search(r"dim|hidden|feat|embed|size$", lowered) and "batch" not in lowered:
        return sizes.width
    return BATCH if re.match(r"batch|n_|num_", lowered) else sizes.length


def _given(module: nn.Module, init: dict[str, Spec]) -> list[tuple[str, int]]:
    """Integers among the constructor's arguments: those that were passed, then the defaults."""
    found = [(name, number) for name, spec in init.items() for number in integers(spec)]
    for parameter in own_parameters(type(module).__init__):
        if parameter.name not in init and type(parameter.default) is int:
            found.append((parameter.name, parameter.default))
    return found


def first_channels(sizes: Sizes) -> int:
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
