"""Declared identities on code generated from their declarations: scanned, patched, parsed, and run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autofix import snippets
from autofix.declare import Form, Identity
from autofix.detect import scan
from autofix.model import Relation, Severity, Source
from autofix.patch import compose
from autofix.rule import Options, Rule
from autofix.snippets import Snippet
from autofix.transforms.identities import (
    bce_with_logits,
    entropy,
    expm1,
    log1p,
    log_det,
    log_sigmoid,
    log_softmax,
    manual_logsumexp,
    manual_norm,
    manual_normalize,
    manual_sigmoid,
    manual_softmax,
    manual_softplus,
    nll_of_log_softmax,
    solve_not_inverse,
    variance_cancellation,
)

SHIPPED = (
    log_softmax.IDENTITY,
    manual_softmax.IDENTITY,
    manual_logsumexp.IDENTITY,
    log_sigmoid.IDENTITY,
    manual_sigmoid.IDENTITY,
    manual_softplus.IDENTITY,
    expm1.IDENTITY,
    log1p.IDENTITY,
    bce_with_logits.IDENTITY,
    nll_of_log_softmax.IDENTITY,
    manual_norm.IDENTITY,
    manual_normalize.IDENTITY,
    variance_cancellation.IDENTITY,
    log_det.IDENTITY,
    entropy.IDENTITY,
    solve_not_inverse.IDENTITY,
)

FIRING = [(i, s) for i in SHIPPED for s in snippets.firing(i)]
SILENT = [(i, s) for i in SHIPPED for s in snippets.silent(i)]


def patched(rule: Rule, code: str) -> tuple[str, list[Any]]:
    source = Source("m.py", code.encode())
    found = scan(source, [rule], Options())
    assert found.problem is None
    made = compose(source, found.findings)
    assert not made.rejected
    return made.after.decode(), list(found.findings)


def compiled(code: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    space: dict[str, Any] = {}
    exec(compile(code, "m.py", "exec"), space)
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = space["f"]
    return function


def run(code: str, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The value, and the gradient of the value's first column, which the smallest inputs lie in."""
    leaf = x.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Implicit dimension choice")  # a spelling that old code uses
        value = compiled(code)(leaf, y)
    first = value[..., 0] if value.dim() == 2 and value.shape[-1] > 1 else value
    (gradient,) = torch.autograd.grad(first.sum(), leaf)
    return value.detach(), gradient


@pytest.mark.parametrize(
    ("identity", "snippet"), FIRING, ids=[f"{i.name}: {s.label}" for i, s in FIRING]
)  # fmt: skip
def test_fires_and_is_right(identity: Identity, snippet: Snippet) -> None:
    form = snippet.form
    assert form is not None
    after, findings = patched(identity.rule, snippet.code)
    assert len(findings) == 1, snippet.code
    (finding,) = findings
    if form.why:
        assert finding.fix is None
        assert finding.unfixed_reason
        return
    assert finding.fix is not None, finding.unfixed_reason
    assert finding.fix.claim.relation is Relation.EQUAL
    assert finding.fix.claim.hazard == form.hazard
    assert bool(finding.fix.claim.change) == bool(form.change)
    ast.parse(after)
    assert "step" not in after, "an intermediate that nobody reads is left behind"
    assert patched(identity.rule, after) == (after, [])

    operand = form.operands["x"]
    torch.manual_seed(0)
    low, high = operand.ordinary
    x = torch.empty(4, 5, dtype=torch.float64).uniform_(low, high)
    y = torch.empty(4, 5, dtype=torch.float64).uniform_(0.5, 1.5)
    # float64 rounding on 20 numbers of order 1; an eps of 1e-8 against probabilities of at least 5e-4 changes 2e-5.
    tolerance = 1e-4 if form.change else 1e-10
    for before, now in zip(run(snippet.code, x, y), run(after, x, y), strict=True):
        torch.testing.assert_close(now, before, rtol=tolerance, atol=tolerance)

    if form.severity is Severity.INFO or "underflow" in form.hazard:
        return
    extreme = torch.linspace(*operand.hazard, 20).reshape(4, 5)
    value, gradient = run(snippet.code, extreme, y.float())
    sound_value, sound_gradient = run(after, extreme, y.float())
    assert sound_value.isfinite().all()
    assert sound_gradient.isfinite().all()
    broken = not (value.isfinite().all() and gradient.isfinite().all())
    assert broken or (sound_gradient.abs().sum() > 0.1 and gradient.abs().sum() < 1e-6)


@pytest.mark.parametrize(
    ("identity", "snippet"), SILENT, ids=[f"{i.name}: {s.label}" for i, s in SILENT]
)  # fmt: skip
def test_stays_silent(identity: Identity, snippet: Snippet) -> None:
    ast.parse(snippet.code)
    after, findings = patched(identity.rule, snippet.code)
    assert findings == [], snippet.code
    assert after == snippet.code


def test_declarations_are_checked() -> None:
    with pytest.raises(ValueError, match="bound nowhere"):
        Form(("log($x)",), "torch.log({y})", "")
    with pytest.raises(ValueError, match="no tensor operation"):
        Form(("logg($x)",), "torch.log({x})", "")
    with pytest.raises(ValueError, match="no condition"):
        Form(("log($x:tiny)",), "torch.log({x})", "")
    with pytest.raises(ValueError, match="either a replacement or the reason"):
        Form(("log($x)",), "", "")
