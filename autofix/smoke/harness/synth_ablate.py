"""Ablation of routing: the same class with every expert or head on, trained beside the original."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from . import synth_loads, synth_search, synth_step
from .synth_plan import Plan

_CHOSEN = (
    "top_n",
    "top_k",
    "topk",
    "k",
    "num_selected",
    "num_selects",
    "num_experts_per_tok",
    "n_activated_experts",
    "num_active",
)
_TOTAL = (
    "num_experts",
    "n_experts",
    "num_gates",
    "n_routed_experts",
    "num_local_experts",
    "experts",
    "num_heads",
    "heads",
)
_MASS = ("top_p", "threshold", "topp", "p_threshold", "routing_threshold")
_MASS_WORD = re.compile(r"(^|_)(top_?p|thresholds?)(_|$)")
_ALL = 30.0  # above 1, and its sigmoid is 1: every head's mass lies below such a threshold


def all_on(module: nn.Module) -> list[str]:
    """Raise every choice of experts or heads to all of them, in place; what was changed, in words."""
    changed: list[str] = []
    for path, part in module.named_modules():
        held = vars(part)
        total = next((n for name in _TOTAL if (n := _count(held.get(name))) and n > 1), None)
        if total is None:
            total = next(
                (len(m) for n, m in part.named_children() if "expert" in n and isinstance(m, nn.ModuleList)), None
            )
        for name in _CHOSEN:
            if type(held.get(name)) is int and total is not None and 0 < held[name] < total:
                changed.append(f"{path + '.' if path else ''}{name}: {held[name]} -> {total}")
                setattr(part, name, total)
        for name in _MASS:
            value = held.get(name)
            if isinstance(value, float) and 0.0 < value < 1.0:
                changed.append(f"{path + '.' if path else ''}{name}: {value:g} -> 1")
                setattr(part, name, 1.0)
        if _MASS_WORD.search(path.rpartition(".")[2]) and any(True for _ in part.parameters(recurse=False)):
            part.register_forward_hook(_above_all)
            changed.append(f"{path}: what it predicts -> 1")
    return [*changed, *_learned(module)]


def _learned(module: nn.Module) -> list[str]:
    """Thresholds that are parameters themselves."""
    found = []
    for name, parameter in module.named_parameters():
        owner, _, leaf = name.rpartition(".")
        if _MASS_WORD.search(leaf) and not _MASS_WORD.search(owner) and parameter.is_floating_point():
            with torch.no_grad():
                parameter.fill_(_ALL)
            found.append(f"{name}: learned -> 1")
    return found


def _above_all(part: nn.Module, inputs: Any, output: Any) -> Any:
    return torch.full_like(output, _ALL) if isinstance(output, torch.Tensor) else output


def _count(value: Any) -> int:
    if type(value) is int:
        return value
    return len(value) if isinstance(value, nn.ModuleList) else 0


def compare(kind: type, plan: Plan, seed: int, steps: int) -> dict[str, Any]:
    """Losses of both over `steps` steps on one batch, and how often each alternative is chosen; {} where the class
    makes no such choice."""
    try:
        module, _ = synth_step.build_initialised(kind, plan, seed)
        changed = all_on(module)
        if not changed:
            return {}
        inputs = synth_search.inputs_of(plan, seed)
        dense = synth_step.train(module, inputs, seed, steps)
        original, _ = synth_step.build_initialised(kind, plan, seed)
        loads = synth_loads.loads(original, plan, seed)
        routed = synth_step.train(synth_step.build_initialised(kind, plan, seed)[0], inputs, seed, steps)
    except Exception as error:
        return {"reason": f"{type(error).__name__}: {str(error)[:200]}"}
    return {
        "changed": changed, "routed_losses": routed.losses, "dense_losses": dense.losses,
        "routed_missing": routed.missing, "dense_missing": dense.missing, "loads": loads,
    }  # fmt: skip
