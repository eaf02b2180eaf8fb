"""What a leaf of an expression is bound to: a tensor, mask, index, number or flag, of a given shape and pattern."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

FLOAT_ROLES = ("float", "binary", "buffer")  # cast to the dtype under trial
# Draws over these are numbers that every dtype holds: one float64 reference then serves all of them.
_ROUNDED = ("", "positive", "non-negative", "negative", "probability", "open", "count")
TENSOR_ROLES = ("float", "binary", "bool", "index")


class Choice(NamedTuple):
    """How one leaf is bound: `size` is a shape for tensor roles, a number or flag for the others."""

    role: str
    size: Any
    domain: str = ""

    @property
    def is_tensor(self) -> bool:
        return self.role in TENSOR_ROLES


class Pattern(NamedTuple):
    """One way to fill every leaf. kind and value describe float tensors; mask describes boolean ones."""

    name: str
    kind: str
    value: float = 0.0
    mask: str = "some"
    ordinary: bool = False


Setting = dict[str, Choice]

# In the order that finds a failure soonest.
PATTERNS: list[Pattern] = [
    Pattern("ordinary draws", "draw", 1.0, "some", True),
    Pattern("all zero", "constant", 0.0),
    Pattern("masks all true", "draw", 1.0, "all"),
    Pattern("masks all false", "draw", 1.0, "none"),
    Pattern("masks true in one row", "draw", 1.0, "row"),
    Pattern("masks true in all rows but one", "draw", 1.0, "other rows"),
    Pattern("rows of +-100", "alternate", 100.0),
    Pattern("draws x 10", "draw", 10.0),
    Pattern("all -100", "constant", -100.0),
    Pattern("all 100", "constant", 100.0),
    Pattern("one gap of 200 in a row", "gap", 200.0),
    Pattern("one exact zero", "one zero", 0.0),
    Pattern("all equal to 1", "constant", 1.0),
    Pattern("rows of +-30000", "alternate", 3e4),
    Pattern("all -30000", "constant", -3e4),
    Pattern("all 30000", "constant", 3e4),
    Pattern("all 10000", "constant", 1e4),
    Pattern("all -10000", "constant", -1e4),
    Pattern("all 20", "constant", 20.0),
    Pattern("all -20", "constant", -20.0),
    Pattern("masks all true, all -20", "constant", -20.0, "all"),
    Pattern("masks all false, all -20", "constant", -20.0, "none"),
    Pattern("rows that differ by 80", "rows", 80.0),
    Pattern("rows that differ by 300", "rows", 300.0),
    Pattern("all 1e-8", "constant", 1e-8),
    Pattern("draws x 0.1", "draw", 0.1, "some", True),
    Pattern("one in the first of each row, zeros elsewhere", "unit", 1.0),
    Pattern("the last of each row 30000, the others -30000", "last", 3e4),
    Pattern("the first of each row 30000, the others -30000", "first", 3e4),
    Pattern("ordinary draws, other seed", "draw", 1.5, "some", True),
]


def size_text(shape: tuple[int, ...]) -> str:
    return " x ".join(str(s) for s in shape) if shape else "0-dimensional"


def build(name: str, choice: Choice, pattern: Pattern, seed: int) -> Any:
    """The value of a leaf: float tensors as float64 (the caller casts them), the rest as it is used."""
    generator = torch.Generator().manual_seed(_stable(name) + 7919 * seed)
    if choice.role == "float":
        value = _in_domain(_float(choice.size, pattern, generator), choice.domain, pattern, generator)
        if pattern.kind == "draw" and choice.domain in _ROUNDED:
            value = value.to(torch.bfloat16).to(torch.float64)
        return value
    if choice.role == "bool":
        return _mask(choice.size, pattern.mask, generator)
    if choice.role == "binary":
        return _mask(choice.size, pattern.mask, generator).to(torch.float64)
    if choice.role == "buffer":
        return torch.tensor(float(choice.size), dtype=torch.float64)
    if choice.role == "index":
        return _index(choice, pattern, generator)
    if choice.role == "parameters":
        return [_float(shape, pattern, generator) for shape in choice.size]
    return choice.size


def _index(choice: Choice, pattern: Pattern, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers; those that a comparison leaves out where the pattern's masks are false throughout a row; all the
    same where they are false throughout."""
    out = torch.randint(0, 2, choice.size, generator=generator)
    if not choice.domain and pattern.mask == "none":
        return torch.zeros_like(out)
    if choice.domain.startswith("marked ") and pattern.mask in ("none", "other rows") and out.dim():
        mark = int(choice.domain[len("marked ") :])
        if pattern.mask == "none":
            return torch.full_like(out, mark)
        out[0] = mark
    return out


def _stable(name: str) -> int:
    total = 17
    for letter in name:
        total = (total * 31 + ord(letter)) % 1_000_003
    return total


def _float(shape: tuple[int, ...], pattern: Pattern, generator: torch.Generator) -> torch.Tensor:
    kind, value = pattern.kind, pattern.value
    if kind == "draw":
        return torch.randn(shape, generator=generator, dtype=torch.float64) * value
    out = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == "constant":
        return torch.full(shape, value, dtype=torch.float64)
    if not shape:
        return out * 0 + (value if kind != "one zero" else 0.0)
    if kind == "alternate":
        signs = torch.ones(shape[-1], dtype=torch.float64)
        signs[1::2] = -1
        return signs.expand(shape).clone() * value
    if kind in ("first", "last"):
        out = torch.full(shape, -value, dtype=torch.float64)
        if out.numel():
            out[..., 0 if kind == "first" else -1] = value
        return out
    if kind == "unit":
        out = torch.zeros(shape, dtype=torch.float64)
        if out.numel():
            out[..., 0] = value
        return out
    if kind == "gap":
        flat = out.view(-1, shape[-1])
        if flat.numel():
            flat[0, 0] = value
            flat[-1, -1] = -value
        return out
    if kind == "one zero":
        if out.numel():
            out.view(-1)[0] = 0.0
        return out
    if kind == "rows":
        if not out.numel():
            return out
        rows = out.numel() // shape[-1]
        steps = torch.arange(rows, dtype=torch.float64) * value - value * (rows // 2)
        return out * 0.5 + steps.repeat_interleave(shape[-1]).view(shape)
    raise ValueError(kind)


def _in_domain(x: torch.Tensor, domain: str, pattern: Pattern, generator: torch.Generator) -> torch.Tensor:
    if domain == "positive":
        return x.abs() + 0.1 if pattern.kind == "draw" else x.abs()
    if domain == "count":
        return x.abs().round() + (1.0 if pattern.kind == "draw" else 0.0)
    if domain == "non-negative":
        return x.abs()
    if domain == "negative":
        return -x.abs() - (0.1 if pattern.kind == "draw" else 0.0)
    if domain in ("probability", "open"):
        if pattern.kind == "draw":
            return torch.sigmoid(x) * 0.9 + 0.05
        return x.clamp(0.0, 1.0)
    if domain == "simplex":
        if pattern.kind in ("draw", "first", "last") and x.dim():
            return torch.softmax(x, dim=-1)
        x = x.abs()
        return torch.softmax(x, dim=-1) if x.dim() else x.clamp(0.0, 1.0)
    if domain == "correlation":
        return 0.95 * torch.tanh(x) if pattern.kind == "draw" else x.clamp(-1.0, 1.0)
    if domain == "spd" and x.dim() >= 2 and x.shape[-1] == x.shape[-2]:
        if pattern.kind == "constant" and pattern.value:
            return torch.eye(x.shape[-1], dtype=x.dtype).expand(x.shape) * pattern.value**2
        return x @ x.transpose(-1, -2) + torch.eye(x.shape[-1], dtype=x.dtype)
    return x


def _mask(shape: tuple[int, ...], kind: str, generator: torch.Generator) -> torch.Tensor:
    if kind == "all":
        return torch.ones(shape, dtype=torch.bool)
    if kind == "none":
        return torch.zeros(shape, dtype=torch.bool)
    out = torch.rand(shape, generator=generator, dtype=torch.float64) < 0.4
    if not shape or shape[-1] == 0:
        return out
    flat = out.view(-1, shape[-1])
    if shape[-1] > 1:  # each row keeps one of either kind, so that neither reading of the mask empties a row
        flat[:, 0], flat[:, -1] = False, True
        _fill_columns(out)
    if kind == "row":
        flat[0] = True
    if kind == "other rows":
        flat[0] = False
        flat[1:] = True
    return out


def _fill_columns(mask: torch.Tensor) -> None:
    """Set one place in every column that has none, in a row that keeps another one unset: sums over either dimension
    then count something."""
    if mask.dim() < 2 or mask.shape[-2] < 2 or mask.shape[-1] < 3:
        return
    for plane in mask.view(-1, *mask.shape[-2:]):
        for column in range(plane.shape[1]):
            if bool(plane[:, column].any()):
                continue
            rows = ((~plane).sum(1) > 1).nonzero().flatten().tolist()
            if rows:
                plane[rows[-1 - column % len(rows)], column] = True  # the very first place, where gaps are, stays unset
