"""Minus infinity masks scores that a softmax normalises.

The defect
----------
Masked positions are filled with -inf, and nothing guarantees that every row keeps an unmasked one.

Why it hurts
------------
Softmax subtracts the row's maximum. In a row that is masked everywhere the maximum is -inf, and -inf - -inf is NaN:
the output of that row, and through the backward pass the gradient of every parameter below it. One sample that is all
padding, one query without a key in its window, or a padding mask that meets a causal one is enough, and the weights
are lost after the next step. Replacing the NaN after the softmax repairs the forward pass only.

`torch.finfo(dtype).min` gives exactly the same weights wherever a row has an unmasked position, since the exponential
of the difference is zero, and equal weights, finite and to be ignored downstream, where it has none. A literal such as
-1e9 is no way out: under float16 filling with it raises RuntimeError.

Before
------

    scores = (query @ key.transpose(-2, -1)).masked_fill(mask == 0, float("-inf"))
    weights = torch.softmax(scores, dim=-1)

After
-----

    scores = query @ key.transpose(-2, -1)
    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1)

Try it
------

    import torch

    scores = torch.zeros(2, 2, requires_grad=True)
    mask = torch.tensor([[1, 0], [0, 0]])  # the second row is padding
    before = torch.softmax(scores.masked_fill(mask == 0, float("-inf")), dim=-1)
    after = torch.softmax(scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min), dim=-1)
    (gradient,) = torch.autograd.grad(after[:, 0].sum(), scores)
    assert before[1].isnan().all()
    assert after.tolist() == [[1, 0], [0.5, 0.5]] and gradient.isfinite().all()

When the fix is safe
--------------------
Weights and gradients of every row with an unmasked position stay as they are. The minimum is that of the tensor being
filled; a mask that is built for later addition takes the dtype it is created with or cast to. Where the filled tensor
meets a second mask by addition, the sum is clamped to the minimum, since two minima add up to -inf again; so is a sum
of two masks that hold the minimum already.

Left alone
----------
-inf for maxima, top-k, running bests, beam scores, log-sum-exp identities, CRF and Viterbi tables, and values compared
with an infinity later; samplers and everything under `no_grad`; thresholds taken from the row itself, which keep an
entry; strictly causal masks that keep the diagonal, unless another mask is added to them; masks for
`scaled_dot_product_attention`, which gives a fully masked row zeros. Where the weights' NaN is replaced after the
softmax the finding comes without a rewrite: equal weights would take the place of zeros.

Sources
-------
PyTorch documentation: `torch.finfo`, `torch.Tensor.masked_fill_`, `torch.nn.functional.softmax`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.transforms.masks._masks import findings
from autofix.transforms.masks._minima import added_minima


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    yield from findings(node, context, infinite=True)
    yield from added_minima(node, context)


_SPELLINGS = (re.compile(rb"inf\b"), b"-Inf", b"NINF", b"finfo(")

RULE = Rule(
    name="mask-neg-inf",
    summary="-inf masks scores before a softmax: a fully masked row becomes NaN",
    severity=Severity.ERROR,
    triggers=(
        _SPELLINGS,
        (b"masked_fill", b"where(", b"full(", b"full_like(", b"fill_(", b"] = ", b"]=", b"* "),
        (b"oftmax", b"mask", b"attention", b"attn"),
    ),
    anchor=re.compile(
        r"-\s*inf\b|-[iI]nf|[\"']inf|\.inf\b|NINF|masked_fill_?\(|where\(.*self\."
        r"|NEG_?INF|neg_inf|MASK_VALUE|mask_value|finfo\(.*\)\.min\b"
    ),
    nodes=(ast.Call, ast.Assign, ast.BinOp),
    check=check,
)
