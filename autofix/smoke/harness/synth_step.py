"""Training steps of one built module: what is finite, and which parameters learn."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from . import synth_search
from .synth_plan import Plan

FULL, PARTIAL, BARE, NON_FINITE, FAILED = "full-gradient", "partial-gradient", "no-parameters", "non-finite", "failed"
_LEARNING_RATE = 1e-3
_MOST_NAMES = 50


class Outcome:
    """What the steps showed. losses: one a step. missing: parameters that never received a gradient."""

    def __init__(self, verdict: str, reason: str = "") -> None:
        self.verdict = verdict
        self.reason = reason
        self.missing: list[str] = []
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.digest: list[float] = []


def train(module: nn.Module, inputs: tuple[list[Any], dict[str, Any]], seed: int, steps: int) -> Outcome:
    """Forward, backward and `steps` optimizer steps on one batch. Raises whatever the module raises."""
    positional, named = inputs
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if not parameters:
        return _without_parameters(module, positional, named, seed)
    optimizer = torch.optim.AdamW(parameters.values(), lr=_LEARNING_RATE)
    outcome = Outcome(FULL)
    reached: set[str] = set()
    for _ in range(max(1, steps)):
        optimizer.zero_grad(set_to_none=True)
        loss = _loss(_run(module, positional, named, seed), seed)
        if loss is None:
            return _flawed(outcome, FAILED, "forward returned no floating-point tensor")
        if not bool(torch.isfinite(loss)):
            return _flawed(outcome, NON_FINITE, f"the loss is {loss.item()} at step {len(outcome.losses) + 1}")
        outcome.losses.append(loss.item())
        if not loss.requires_grad:
            break
        loss.backward()
        bad = [n for n, p in parameters.items() if p.grad is not None and not _finite(p.grad)]
        if bad:
            reason = f"non-finite gradient of {', '.join(bad[:4])} at step {len(outcome.losses)}"
            return _flawed(outcome, NON_FINITE, reason)
        reached |= {n for n, p in parameters.items() if p.grad is not None and _any(p.grad)}
        squares = [
            float(g.float().norm()) ** 2 for p in parameters.values() if (g := p.grad) is not None and not g.is_sparse
        ]
        outcome.norms.append(math.sqrt(sum(squares)))
        if any(p.grad is not None and p.grad.is_sparse for p in parameters.values()):
            optimizer = torch.optim.SGD(parameters.values(), lr=_LEARNING_RATE)  # AdamW refuses sparse gradients
        optimizer.step()
    bad = [n for n, p in parameters.items() if not _finite(p)]
    if bad:
        return _flawed(outcome, NON_FINITE, f"{', '.join(bad[:4])} became non-finite after a step")
    outcome.digest = [float(p.detach().double().sum()) for p in parameters.values()][:200]
    outcome.missing = [n for n in parameters if n not in reached][:_MOST_NAMES]
    if outcome.missing:
        outcome.verdict = PARTIAL
        none = len(outcome.missing) == len(parameters)
        outcome.reason = "no parameter receives a gradient" if none else ""
    return outcome


def _flawed(outcome: Outcome, verdict: str, reason: str) -> Outcome:
    outcome.verdict, outcome.reason = verdict, reason
    return outcome


def _run(module: nn.Module, positional: Any, named: Any, seed: int) -> Any:
    """One forward on copies of the inputs, with the same dropout every time."""
    torch.manual_seed(seed + 2)
    with synth_search.quiet():
        return synth_search.call(module, copied(positional), copied(named))


def _without_parameters(module: nn.Module, positional: Any, named: Any, seed: int) -> Outcome:
    output = _run(module, requiring_gradient(positional), requiring_gradient(named), seed)
    outcome = Outcome(BARE)
    loss = _loss(output, seed)
    if loss is None:
        return outcome
    outcome.losses.append(loss.item())
    if not bool(torch.isfinite(loss)):
        return _flawed(outcome, NON_FINITE, f"the output is {loss.item()}")
    return outcome


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same nest of lists, tuples and dictionaries with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_mapped(item, change) for item in value)
    if type(value) is dict:
        return {name: _mapped(item, change) for name, item in value.items()}
    return value


def requiring_gradient(value: Any) -> Any:
    """Floating-point inputs as leaves of a graph."""
    return _mapped(value, lambda t: t.detach().clone().requires_grad_().clone() if t.is_floating_point() else t)


def copied(value: Any) -> Any:
    """Inputs that the code may change in place."""
    return _mapped(value, torch.clone)


def detached(value: Any) -> Any:
    return _mapped(value, lambda t: t.detach().clone())


def moved(value: Any, device: str) -> Any:
    return _mapped(value, lambda t: t.to(device))


def _loss(output: Any, seed: int) -> torch.Tensor | None:
    """One number that depends on every output: a scalar loss as it is, else a fixed random combination."""
    found = [t for t in tensors(output) if t.is_floating_point() or t.is_complex()]
    if not found:
        return None
    learning = [t for t in found if t.requires_grad] or found
    scalars = [t for t in learning if t.numel() == 1]
    if len(scalars) == 1 and scalars[0] is learning[0] and len(learning) == 1:
        return scalars[0].reshape(()).float()
    generator = torch.Generator().manual_seed(seed + 3)
    total: Any = 0.0
    for one in learning:
        real = torch.view_as_real(one) if one.is_complex() else one
        if real.numel() == 0:
            continue
        weight = torch.randn(real.shape, generator=generator).to(real.device)
        total = total + (real.float() * weight).mean()
    return total if isinstance(total, torch.Tensor) else None


def tensors(value: Any, deep: int = 0) -> list[torch.Tensor]:
    """Every tensor in an output, wherever it is nested."""
    if isinstance(value, torch.Tensor):
        return [value]
    if deep > 5 or value is None or isinstance(value, (str, int, float, bytes, type)):
        return []
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors(item, deep + 1)]
    if isinstance(value, (list, tuple, set)):
        return [t for item in value for t in tensors(item, deep + 1)]
    if isinstance(value, torch.distributions.Distribution):
        sampled = value.rsample() if value.has_rsample else value.log_prob(value.sample())
        return [sampled]
    if dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        return [t for item in vars(value).values() if not isinstance(item, nn.Module) for t in tensors(item, deep + 1)]
    return []


def _finite(value: torch.Tensor) -> bool:
    value = value.coalesce().values() if value.is_sparse else value
    return bool(torch.isfinite(value).all())


def _any(value: torch.Tensor) -> bool:
    value = value.coalesce().values() if value.is_sparse else value
    return bool((value != 0).any())


# -- uninitialised parameters --------------------------------------------------------------------------------


def build_initialised(kind: type, plan: Plan, seed: int) -> tuple[nn.Module, list[str]]:
    """The module and the names of parameters that nothing initialised.

    Fresh memory holds NaN while it is built. Where a parent of the package initialises what it contains
    (`_init_weights`), such parameters are drawn here; elsewhere they stay NaN, as memory could be.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        module = synth_search.construct(kind, plan, seed)
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]
    empty = [
        n
        for n, p in module.named_parameters()
        if not isinstance(p, nn.parameter.UninitializedParameter) and _holds_nan(p)
    ]
    if empty and _parents_initialise(kind):
        torch.manual_seed(seed + 4)
        with torch.no_grad():
            for name in empty:
                module.get_parameter(name).normal_(0.0, 0.02)
    return module, empty


def _holds_nan(parameter: torch.Tensor) -> bool:
    try:
        return bool(torch.isnan(parameter).any())
    except NotImplementedError:  # a tensor subclass that cannot say
        return False


def _parents_initialise(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return any(
        isinstance(v, type) and (hasattr(v, "_init_weights") or hasattr(v, "init_weights"))
        for v in vars(module).values()
    ) if module is not None else False  # fmt: skip
