"""What tensor operations do to intervals: the transfer functions of the range analysis.

Each takes the interval of the operation's input and returns that of its result. Sizes of dimensions are taken to be
at least 1; reductions over selections that can be empty are the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from autofix import intervals as iv
from autofix.intervals import Interval

_INF = math.inf


def names(text: str) -> frozenset[str]:
    """The names in a text, which keeps tables of them short."""
    return frozenset(text.split())


Transfer = Callable[[Interval], Interval]


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + iv.exp(-value))


def _softplus(value: float) -> float:
    return value + math.log1p(iv.exp(-value)) if value > 0 else math.log1p(iv.exp(value))


def sigmoid(x: Interval) -> Interval:
    return iv.increasing(x, _sigmoid, zero=x.low < -87)


def softplus(x: Interval) -> Interval:
    return iv.increasing(x, _softplus, zero=x.low < -87)


def logsigmoid(x: Interval) -> Interval:
    return iv.make(-_softplus(-x.low), -_softplus(-x.high), zero=x.high > 16)


def tanh(x: Interval) -> Interval:
    return iv.increasing(x, math.tanh, zero=x.zero)


def relu(x: Interval) -> Interval:
    return iv.maximum(x, iv.constant(0.0))


def expm1(x: Interval) -> Interval:
    return iv.increasing(x, lambda v: _INF if iv.exp(v) == _INF else math.expm1(v), zero=x.zero)


def log1p(x: Interval) -> Interval:
    def function(value: float) -> float:
        return -_INF if value <= -1 else _INF if value == _INF else math.log1p(value)

    return iv.increasing(x, function, zero=x.zero)


def log2(x: Interval) -> Interval:
    return iv.multiply(iv.logarithm(x), iv.constant(1 / math.log(2)))


def log10(x: Interval) -> Interval:
    return iv.multiply(iv.logarithm(x), iv.constant(1 / math.log(10)))


def exp2(x: Interval) -> Interval:
    return iv.exponential(iv.multiply(x, iv.constant(math.log(2))))


def reciprocal(x: Interval) -> Interval:
    return iv.divide(iv.constant(1.0), x)


def rsqrt(x: Interval) -> Interval:
    return reciprocal(iv.root(x))


def square(x: Interval) -> Interval:
    return iv.power(x, iv.constant(2.0))


def arctangent(x: Interval) -> Interval:
    return iv.increasing(x, math.atan, zero=x.zero)


def _whole(function: Callable[[float], int]) -> Transfer:
    def apply(x: Interval) -> Interval:
        if x.integer:
            return x
        # A computed value may lie a rounding error beyond the end and so round to the next whole number.
        low = float(function(x.low - 1e-6 * max(1.0, abs(x.low)))) if math.isfinite(x.low) else x.low
        high = float(function(x.high + 1e-6 * max(1.0, abs(x.high)))) if math.isfinite(x.high) else x.high
        return iv.make(low, high, integer=True)

    return apply


def sign(x: Interval) -> Interval:
    low = math.copysign(1, x.low) if x.low else 0.0
    high = math.copysign(1, x.high) if x.high else 0.0
    return iv.make(low, high, zero=x.zero, integer=True)


def total(x: Interval) -> Interval:
    """A sum over at least one element."""
    low = x.low if x.low >= 0 else -_INF
    high = x.high if x.high <= 0 else _INF
    return iv.make(low, high, zero=x.zero or not (x.low >= 0 or x.high <= 0), integer=x.integer)


def product(x: Interval) -> Interval:
    return iv.PROBABILITY if x.probability else iv.make(1.0, _INF) if x.low >= 1 else (
        iv.NON_NEGATIVE if x.low >= 0 else iv.UNKNOWN
    )  # fmt: skip


def mean(x: Interval) -> Interval:
    one_sided = x.low >= 0 or x.high <= 0
    return iv.make(x.low, x.high, zero=x.zero or not one_sided or x.magnitude < 1e-30)


def logsumexp(x: Interval) -> Interval:
    return iv.make(x.low, _INF)


def dropout(x: Interval) -> Interval:
    return iv.make(-_INF if x.low < 0 else 0.0, _INF if x.high > 0 else 0.0)


def spread(x: Interval) -> Interval:
    """Standard deviation, variance and norms: never negative, possibly zero."""
    return iv.NON_NEGATIVE


def same(x: Interval) -> Interval:
    return x


def _to(result: Interval) -> Transfer:
    return lambda x: result


def _dips_to(bound: float) -> Transfer:
    """Activations like SiLU: near the identity above zero, never below `bound`."""
    return lambda x: iv.make(max(x.low, bound) if x.low < 0 else 0.0, max(x.high, 0.0), zero=True)


# Results that depend on the input's interval alone.
UNARY: dict[str, Transfer] = {
    "exp": iv.exponential, "exp2": exp2, "expm1": expm1, "log": iv.logarithm, "log2": log2, "log10": log10,
    "log1p": log1p, "sqrt": iv.root, "rsqrt": rsqrt, "reciprocal": reciprocal, "square": square, "abs": iv.absolute,
    "absolute": iv.absolute, "neg": iv.negate, "negative": iv.negate, "relu": relu, "relu_": relu,
    "sigmoid": sigmoid, "softplus": softplus, "logsigmoid": logsigmoid, "tanh": tanh, "sign": sign, "sgn": sign,
    "atan": arctangent, "arctan": arctangent, "floor": _whole(math.floor), "ceil": _whole(math.ceil),
    "round": _whole(round), "softmax": _to(iv.PROBABILITY), "log_softmax": _to(iv.NON_POSITIVE),
    "softmin": _to(iv.PROBABILITY), "gumbel_softmax": _to(iv.PROBABILITY), "sin": _to(iv.SIGNED_UNIT),
    "cos": _to(iv.SIGNED_UNIT), "erf": _to(iv.SIGNED_UNIT), "erfc": _to(iv.make(0.0, 2.0)),
    "softsign": _to(iv.SIGNED_UNIT), "hardsigmoid": _to(iv.PROBABILITY), "relu6": _to(iv.make(0.0, 6.0)),
    "normalize": _to(iv.SIGNED_UNIT), "cosine_similarity": _to(iv.SIGNED_UNIT), "acos": _to(iv.make(0.0, math.pi)),
    "asin": _to(iv.make(-1.6, 1.6)), "gelu": _dips_to(-0.2), "silu": _dips_to(-0.3), "mish": _dips_to(-0.31),
    "elu": _dips_to(-1.0), "sum": total, "nansum": total, "mean": mean, "prod": product, "cumsum": total,
    "cumprod": product,
    "norm": spread, "vector_norm": spread, "std": spread, "var": spread, "cdist": spread, "dist": spread,
    "pairwise_distance": spread, "mse_loss": spread, "l1_loss": spread, "smooth_l1_loss": spread,
    "huber_loss": spread, "dropout": dropout, "logsumexp": logsumexp, "softshrink": dropout,
    "isnan": _to(iv.BOOLEAN), "isinf": _to(iv.BOOLEAN), "isfinite": _to(iv.BOOLEAN), "bool": _to(iv.BOOLEAN),
    "eq": _to(iv.BOOLEAN), "ne": _to(iv.BOOLEAN), "lt": _to(iv.BOOLEAN), "le": _to(iv.BOOLEAN),
    "gt": _to(iv.BOOLEAN), "ge": _to(iv.BOOLEAN), "logical_not": _to(iv.BOOLEAN), "logical_or": _to(iv.BOOLEAN),
    "logical_and": _to(iv.BOOLEAN), "any": _to(iv.BOOLEAN), "all": _to(iv.BOOLEAN), "one_hot": _to(iv.BOOLEAN),
    "argmax": _to(iv.COUNT), "argmin": _to(iv.COUNT), "argsort": _to(iv.COUNT), "multinomial": _to(iv.COUNT),
    "count_nonzero": _to(iv.COUNT), "bincount": _to(iv.NON_NEGATIVE), "numel": _to(iv.SIZE), "size": _to(iv.SIZE),
    "nelement": _to(iv.SIZE),
    "dim": _to(iv.COUNT), "bernoulli": _to(iv.BOOLEAN), "rand_like": _to(iv.make(0.0, 1.0, high_open=True)),
    "ones_like": _to(iv.constant(1.0)), "zeros_like": _to(iv.constant(0.0)), "new_ones": _to(iv.constant(1.0)),
    "new_zeros": _to(iv.constant(0.0)), "amax": same, "amin": same, "max": same, "min": same, "median": same,
    "int": _whole(math.trunc), "long": _whole(math.trunc), "cummax": same, "cummin": same, "topk": same, "sort": same,
}  # fmt: skip

# Operations that move, copy or select elements.
MOVES = names(
    "view reshape unsqueeze squeeze transpose permute expand expand_as repeat repeat_interleave contiguous clone "
    "detach flatten unflatten to type type_as float double half bfloat16 cpu cuda item t mT swapaxes movedim roll "
    "chunk split unbind tensor_split gather take take_along_dim index_select select narrow flip diagonal view_as "
    "reshape_as broadcast_to rearrange tile requires_grad_ detach_ unsqueeze_ squeeze_ values tolist"
)

# Functions of torch (and numpy) that make a tensor from sizes alone.
MAKERS: dict[str, Interval] = {
    "zeros": iv.constant(0.0), "ones": iv.constant(1.0), "rand": iv.make(0.0, 1.0, high_open=True),
    "eye": iv.BOOLEAN, "randperm": iv.COUNT,
}  # fmt: skip

# Modules of torch.nn, by the function they apply.
MODULES = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "ReLU": "relu", "LogSigmoid": "logsigmoid",
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Softsign": "softsign", "Hardsigmoid": "hardsigmoid",
    "ReLU6": "relu6", "GELU": "gelu", "SiLU": "silu", "Mish": "mish", "ELU": "elu", "Dropout": "dropout",
    "Identity": "view", "Flatten": "view", "Hardtanh": "hardtanh", "Softmin": "softmin",
    "CosineSimilarity": "cosine_similarity", "PairwiseDistance": "pairwise_distance",
}  # fmt: skip
