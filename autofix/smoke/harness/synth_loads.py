"""How often each expert or head is chosen: the choices that one forward pass makes, counted as it makes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from . import synth_search
from .synth_plan import Plan

_MOST = 512
_BATCHES = 8


def loads(module: nn.Module, plan: Plan, seed: int) -> list[int]:
    """Over a few batches of made-up input, how often each of the alternatives of the last choice is taken; [] where
    none was seen. The module is one that makes choices: an operation that sorts or masks is taken for one."""
    counts: list[int] = []
    with torch.no_grad():
        for number in range(_BATCHES):
            positional, named = synth_search.inputs_of(plan, seed + number)
            with synth_search.quiet(), _Choices() as seen:
                synth_search.call(module, positional, named)
            if seen.last is None or (counts and len(seen.last) != len(counts)):
                return []
            counts = [a + b for a, b in zip(counts or [0] * len(seen.last), seen.last)]  # noqa: B905
    return counts


class _Choices(TorchFunctionMode):  # type: ignore[misc]  # torch is not read by the type checker
    """Remembers the last choice: the indices of a top-k or argmax, or the mask that a scatter or one-hot writes."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[int] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("topk", "argmax", "max") and args and isinstance(args[0], torch.Tensor) and args[0].dim():
            indices = result if isinstance(result, torch.Tensor) else result[1]
            if not indices.is_floating_point() and args[0].shape[-1] > 1:
                self._keep(torch.bincount(indices.reshape(-1), minlength=args[0].shape[-1]), args[0].shape[-1])
        elif name in ("scatter", "scatter_", "one_hot") and result.dim():
            values = result.float().reshape(-1, result.shape[-1])
            if bool(((values == 0) | (values == 1)).all()) and bool((values == 1).any()):
                self._keep(values.sum(dim=0).long(), result.shape[-1])
        return result

    def _keep(self, counts: torch.Tensor, alternatives: int) -> None:
        if 1 < alternatives <= _MOST and counts.numel() == alternatives:
            self.last = [int(n) for n in counts.tolist()]
