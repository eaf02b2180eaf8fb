"""The golden routers, run: the forward pass stays, the gradient arrives, and the gate agrees with the hard mask."""

from __future__ import annotations

from types import ModuleType

import golden_cases as golden
import pytest
import torch

from autofix.detect import scan
from autofix.patch import compose

CASES = [c for c in golden.cases("hard-top-p-mask") if (c.folder / "after.py").exists()]


def loaded(name: str, text: bytes) -> ModuleType:
    module = ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
    return module


def run(text: bytes, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    """The output of the file's last module on x, and the gradient of its squared sum for every parameter."""
    module = loaded("case", text)
    built = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, torch.nn.Module)]
    torch.manual_seed(0)
    model = built[-1]()
    out = model(x)
    out.square().sum().backward()
    return out.detach(), {n: p.grad for n, p in model.named_parameters()}


def routing(gradients: dict[str, torch.Tensor | None]) -> set[str]:
    """Parameters that decide what is kept."""
    words = ("router", "gate", "threshold", "selector", "budget")
    return {n for n in gradients if any(w in n for w in words) or n == "p"}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.folder.name)
def test_the_choice_gets_a_gradient(case: golden.Case) -> None:
    findings = scan(case.source, [case.rule], case.options).findings
    after = compose(case.source, findings).after
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1))
    before_out, before = run(case.source.data, x)
    after_out, patched = run(after, x)
    wanted = routing(patched)
    assert wanted
    starved = {n for n in wanted if before[n] is None or not before[n].any()}
    assert starved, "the case is to show parameters without a gradient"
    for name in wanted:
        gradient = patched[name]
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.any(), f"{name} still has no gradient"
    if case.options.setting(case.rule.name, "routing", case.options.routing) == "straight-through":
        assert torch.equal(after_out, before_out)
        others = set(before) - wanted
        # What lies behind the gate keeps its gradient; products are summed in the same order, so 1e-5 is rounding.
        for name in others:
            torch.testing.assert_close(patched[name], before[name], rtol=1e-5, atol=1e-5)


def test_the_gate_lies_above_one_half_where_the_hard_mask_is_one() -> None:
    probs = torch.softmax(2 * torch.randn(1000, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    ranked = probs.sort(dim=-1, descending=True).values
    cumulative = ranked.cumsum(dim=-1)
    mass_before = cumulative - ranked
    threshold = 0.7
    hard = mass_before < threshold
    for temperature in (1.0, 0.1, 0.01):
        gate = torch.sigmoid((threshold - mass_before) / temperature)
        assert torch.equal(gate > 0.5, hard)
    inverted = torch.sigmoid((cumulative - threshold) * 10.0)
    assert ((inverted > 0.5) == hard).float().mean() < 0.2


def test_adding_the_difference_changes_no_bit() -> None:
    """`hard + gate - gate.detach()`, without the brackets that the rule writes, would round."""
    gate = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    for hard in (torch.zeros_like(gate), torch.ones_like(gate)):
        assert torch.equal(hard + (gate - gate.detach()), hard)
    assert not torch.equal(torch.ones_like(gate) + gate - gate.detach(), torch.ones_like(gate))
