"""How gradients travel: a figure for each layer after one backward pass, and what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

_EXPLODED = 1e3  # the norm of all gradients; the loss is a mean, for which a healthy norm is near 1
_RATIO = 1e5  # between the first and the last layer; a healthy stack of 24 layers stays below 1e3
_MOST_LAYERS = 400


class Order:
    """Use as a context around a forward: the modules in the order in which they are called."""

    def __init__(self) -> None:
        self.first: dict[int, int] = {}

    def __enter__(self) -> Order:
        self._handle = nn.modules.module.register_module_forward_pre_hook(self._hook)
        return self

    def _hook(self, module: Any, inputs: Any) -> None:
        self.first.setdefault(id(module), len(self.first))

    def __exit__(self, *error: Any) -> None:
        self._handle.remove()


def layers(module: nn.Module, order: Order) -> list[dict[str, Any]]:
    """For each module that holds learnable parameters itself, in the order of calls: "name", "kind", "parameters"
    (numbers), "gradient" and "weight" (root mean squares; gradient None where none arrived)."""
    found = []
    for name, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if p.requires_grad and p.numel()]
        if own:
            rank = order.first.get(id(part), len(order.first))
            found.append((rank if name else -1, _layer(name or "(itself)", part, own)))
    found.sort(key=lambda pair: pair[0])
    return [layer for _, layer in found[:_MOST_LAYERS]]


def _layer(name: str, part: nn.Module, own: list[nn.Parameter]) -> dict[str, Any]:
    count = sum(p.numel() for p in own)
    gradients = [p.grad for p in own if p.grad is not None]
    return {
        "name": name, "kind": type(part).__name__, "parameters": count,
        "gradient": _root_mean_square(gradients, count) if gradients else None,
        "weight": _root_mean_square([p.detach() for p in own], count),
        "matrix": any(sum(size > 1 for size in p.shape) > 1 for p in own),
    }  # fmt: skip


def _root_mean_square(tensors: list[torch.Tensor], count: int) -> float:
    total = 0.0
    for one in tensors:
        values = one.coalesce().values() if one.is_sparse else one
        values = torch.view_as_real(values) if values.is_complex() else values
        total += float(values.detach().double().square().sum())
    return math.sqrt(total / count)


def judge(found: list[dict[str, Any]]) -> tuple[bool, str]:
    """Whether gradients neither explode nor vanish, and what they do, with figures."""
    norm = math.sqrt(sum(one["gradient"] ** 2 * one["parameters"] for one in found if one["gradient"] is not None))
    if norm > _EXPLODED:
        largest = max((one for one in found if one["gradient"] is not None), key=lambda one: one["gradient"])
        return False, f"explodes: its norm is {norm:.3g}, most of it in {largest['name']}"
    reached = [one for one in found if one["gradient"] and one["matrix"]]
    if len(reached) < 2:
        return True, ""
    first, last = reached[0], reached[-1]
    ratio = first["gradient"] / last["gradient"]
    if 1 / _RATIO <= ratio <= _RATIO:
        return True, ""
    word = "vanishes" if ratio < 1 else "explodes"
    figures = f"{first['gradient']:.2g} a weight in {first['name']}, {last['gradient']:.2g} in {last['name']}"
    return False, f"{word} towards the first layer: {figures} (1 : {max(ratio, 1 / ratio):.1g})"


def dead(module: nn.Module) -> list[str]:
    """Weights that are all zero and whose gradient is, too: nothing can move them, unless another one moves first."""
    return [
        name
        for name, p in module.named_parameters()
        if p.requires_grad and p.numel() and p.grad is not None and not _any(p.grad) and not _any(p.detach())
    ]


def _any(value: torch.Tensor) -> bool:
    value = value.coalesce().values() if value.is_sparse else value
    return bool((value != 0).any())
