"""What a name tells about a value: small sizes that fit together, so that most networks can be built from names."""

from __future__ import annotations

import re
from typing import Any

BATCH, LENGTH, WIDTH, IMAGE, HEADS, HEAD_WIDTH, VOCABULARY = 2, 16, 32, 32, 4, 8, 64

_INTEGER_WORDS: tuple[tuple[str, int], ...] = (
    (r"(kv|key_value).*heads?$|heads?_kv", HEADS),
    (
        r"(dim|size|width|channels?|features?)_(per_)?heads?$|heads?_(dim|size|width"
        r"|channels)|^d_(head|k|v)$|qk_?dim", 8,
    ),
    (r"heads?$|^n_?heads?|^nhead|^h$", HEADS),
    (r"(token|eos|bos|pad|cls|sep|mask|sos|unk)_?(id|idx|index)$|padding_idx", 1),
    (r"(^|_)(layer|block|stage|expert)_?(id|idx|index|num)$|^(i|ind|idx|index)$|_layer$", 0),
    (r"temporal_patch|tubelet|frame_patch", 2),
    (r"patch", 8),
    (r"(num|n|max)_?(frames|segments)|^frames$|^(t|T)$", 4),
    (r"window", 4),
    (
        r"(image|img|input|spatial|grid|feat|crop)_?(size|resolution|shape|height|width)"
        r"|resolution|^(height|width|size)$", 32,
    ),
    (r"depths?$|(num|n)_?.*(layers?|blocks?|stages?|levels?|hidden_layers|flows|iters?|steps?|stacks?|loops?)$", 2),
    (r"^layers?$|^blocks?$|^iters?$|^steps$|iterations?$|recurr|^n_?l$|^repeats?$", 2),
    (r"timesteps?$|sampling_steps|time_steps|total_steps|num_train", 8),
    (
        r"(num|n)?_?(classes|labels|categories|cls)$|num_bins|^bins$|n_bins|codebook_size"
        r"|num_mixtures|num_components", 10,
    ),
    (r"vocab|num_(unique_)?tokens$|n_?tokens?$|num_embeddings|codebook|^ntoken", VOCABULARY),
    (
        r"seq_?len|max_?len|context_(len|size|window)|block_size|n_positions|max_position"
        r"|num_positions|^length$|max_seq", LENGTH,
    ),
    (r"max_.*(length|positions|tokens|size)$|^(n_ctx|seqlen|ctx_len|seq)$", LENGTH),
    (r"kernel|^k_?size$|filter_size|^ks$", 3),
    (r"stride|dilation|^dilate|upscale|downsample_factor|expansion|expand|^mult|multiplier|factor$", 1),
    (r"padding$|^pad$|output_padding", 1),
    (r"num_groups|n_groups|norm_groups|group_size|groupnorm", 8),
    (r"groups?$|cardinality", 1),
    (r"num_queries|num_latents|num_memory|num_landmarks|num_prototypes|num_slots|num_registers", 8),
    (r"experts?$|num_local_experts", 4),
    (r"top_?k|^k$|experts_per_tok|num_selected", 2),
    (r"rank$|^r$|lora", 4),
    (
        r"mlp_?(dim|size)|ff_?(dim|size|hidden)|dim_?(ff|feedforward|mlp|inner)|d_?ff"
        r"|inner|intermediate|ffn|feed_?forward", 64,
    ),
    (r"order|degree|scales?$|ndim|dims?_?num|spatial_dims", 2),
    (
        r"dim|width|hidden|embed|channels?|chans?|features?|planes|d_model|units|size"
        r"|feats?|filters|inp$|oup$|^(c|d|n_in|n_out|in|out|ch)$|nf$|nc$", WIDTH,
    ),
)  # fmt: skip
_FLOAT_WORDS: tuple[tuple[str, float], ...] = (
    (r"drop|dropout|prob|^p$|rate$|noise|jitter|weight_decay", 0.0),
    (r"(^|_)eps|epsilon|tiny|(^|_)r?a?tol$|toler", 1e-5),
    (r"init_values?|layer_?scale|std|initializer_range", 0.02),
    (r"ratio|fraction|momentum|threshold|decay|percent", 0.5),
    (r"scale|gamma|alpha|beta|temperature|tau|factor|weight|coef|lambda|loss|mult|sigma|max_|clamp|bound", 1.0),
    (r"theta|base", 10000.0),
)
_BOOLEANS = re.compile(
    r"^(is|use|has|with|do|enable|return|output|causal|bias|learn|learnable|shared?|tie|add|apply|normalize|pre_?norm"
    r"|flip|cosine|residual|gated|bidirectional|train(able|ing)?|inverse|reverse|affine|symmetric)(_|$)|_bias$|_only$"
)
_TEXT_WORDS: tuple[tuple[str, str], ...] = (
    (r"act|nonlinearity", "gelu"),
    (r"norm", "layer"),
    (r"pool", "mean"),
    (r"padding_mode", "zeros"),
    (r"pad|padding", "same"),
    (r"mode|interp", "nearest"),
    (r"reduc", "mean"),
    (r"device", "cpu"),
    (r"attn_implementation", "eager"),
    (r"layer_type", "full_attention"),
)
IDS = re.compile(
    r"(^|_)(ids?|idx|tokens?|indices|index|labels?|targets?|classes|cls_labels|seq|sequence|text|texts"
    r"|caption|words?|codes?|inp_ids|prompt)$"
)
TIMES = re.compile(r"^(t|time|times|timesteps?|time_?steps?|step|steps|noise_level|sigma|sigmas)$")
IMAGES = re.compile(
    r"^(pixel_values|imgs?|images?|pixels|video|videos|frames|pixel_values_videos|image_tensor|sample)$"
)
MASKS = re.compile(r"mask|padding")
FLAGS = re.compile(
    r"^(return|output|use|is|do|disable|enable|interpolate|training|deterministic|causal|reverse|inverse)(_|$)"
)
CONFIGS = re.compile(
    r"^(.*_)?(config|cfg|configuration|args|hparams|opts?|params|conf|hps|model_args"
    r"|settings)$",
    re.I,
)
MAIN_INPUTS = (
    "input_ids", "pixel_values", "input_features", "input_values", "hidden_states", "inputs_embeds", "x", "input",
    "inputs", "tokens", "img", "image", "video", "src", "data", "sample", "pixel_values_videos",
)  # fmt: skip
MODULES = re.compile(
    r"(^|_)(net|network|model|module|fn|func|encoder|decoder|backbone|layer|block|submodule|attn"
    r"|attention|ff|mlp|head|vit|transformer|teacher|student|embedder|unet|proj|norm|base_layer|original)$"
)

_TEXTUAL = re.compile(r"(^|_)(type|mode|activation|act_fn|hidden_act|act|name|kind|implementation|method)$")
# Compiled here, once for all trials, which are forks of the process that loads this.
_INTEGERS = [(re.compile(pattern), size) for pattern, size in _INTEGER_WORDS]
_FLOATS = [(re.compile(pattern), value) for pattern, value in _FLOAT_WORDS]
_STRINGS = [(re.compile(pattern), value) for pattern, value in _TEXT_WORDS]


def integer(name: str, default: int = 4) -> int:
    """The size that a parameter of this name usually accepts."""
    lowered = name.lower()
    for pattern, size in _INTEGERS:
        if pattern.search(lowered):
            return size
    return default


def names_integer(name: str) -> bool:
    return integer(name, -1) != -1


def number(name: str) -> float:
    lowered = name.lower()
    for pattern, value in _FLOATS:
        if pattern.search(lowered):
            return value
    return 0.5


def names_number(name: str) -> bool:
    return any(pattern.search(name.lower()) for pattern, _ in _FLOATS) and not names_integer(name)


def names_flag(name: str) -> bool:
    return _BOOLEANS.search(name.lower()) is not None


def text(name: str) -> str:
    lowered = name.lower()
    for pattern, value in _STRINGS:
        if pattern.search(lowered):
            return value
    return "mean"


def names_shape(name: str) -> bool:
    """`shape`, `input_shape`: sizes in a tuple."""
    return re.search(r"(^|_)shapes?$", name.lower()) is not None


def names_text(name: str) -> bool:
    return _TEXTUAL.search(name.lower()) is not None


def attribute(name: str) -> Any:
    """A value for an attribute of a configuration object that has no class."""
    lowered = name.lower()
    if lowered.startswith("_") and "attn_implementation" not in lowered:
        return None
    if names_text(lowered):
        return text(lowered)
    if names_flag(lowered):
        return False
    if names_number(lowered):
        return number(lowered)
    return integer(lowered)


def shrunk(name: str, value: Any) -> Any:
    """A configuration's default made small enough to run at once; the value itself where it is small already."""
    if type(value) is int:
        return _shrunk_integer(name, value)
    if isinstance(value, (list, tuple)) and value and all(type(item) is int for item in value):
        if re.search(r"depth|layers|blocks|repeats|mult", name.lower()):
            return type(value)(min(item, 2) for item in value)
        return value
    return value


def _shrunk_integer(name: str, value: int) -> int:
    lowered = name.lower()
    if re.search(r"token_?(id|index)$|_idx$|_index$", lowered):
        return {"pad": 0, "bos": 1, "eos": 2}.get(lowered[:3], min(value, 3)) if value >= VOCABULARY else value
    if value <= 2:
        return value
    size = integer(lowered, -1)
    if size == -1 or size >= value:
        return value
    return size
