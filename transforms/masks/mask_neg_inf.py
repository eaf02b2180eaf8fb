"""Minus infinity masks scores that a softmax normalises.

The defect
----------
Masked positions are filled with -inf, and nothing guarantees that every row keeps an unmasked one.

Why it hurts
------------
Softmax subtracts the row's maximum. In a row that is masked everywhere the maximum is -inf, and -inf - -inf is NaN:
the output of that row, and through the backward pass the gradient of every parameter below it. One sample that is all
padding, one query without a key in its window, or a padding mask that meets a causal one is enough, and the weights
are lost after the next step. Replacing the NaN of the weights helps where the scores themselves were filled: the fill
passes no gradient. After an added mask the scores' gradient stays NaN, and after the product with the values that of
the values.

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

    values = torch.ones(2, 1, requires_grad=True)
    before.matmul(values).nan_to_num().sum().backward()  # too late: the output is finite
    assert values.grad.isnan().all()
    before = torch.softmax(scores.masked_fill(mask == 0, float("-inf")), dim=-1)
    (gradient,) = torch.autograd.grad(before.nan_to_num()[:, 0].sum(), scores)
    assert gradient.isfinite().all()

When the fix is safe
--------------------
Weights and gradients of every row with an unmasked position stay as they are. The minimum is that of the tensor being
filled; a mask that is built for later addition takes half the minimum of the dtype it is created with or cast to, so
that neither a score nor a second mask makes it -inf again. Where the filled tensor meets a second mask by addition,
the sum is clamped to the minimum; so is a sum of two masks that hold the minimum already.

An error is what the file itself shows to happen: a mask of queries times one of keys, one that closes the diagonal,
code that asks for fully masked rows, replaces their NaN or bounds the count of what a mask leaves at 1. Elsewhere the
mask comes from a caller who may never close a row, and the finding is information; the fix is the same.

Left alone
----------
-inf for maxima, top-k, running bests, beam scores, log-sum-exp identities, CRF and Viterbi tables, and values compared
with an infinity later; samplers and everything under `no_grad`; thresholds taken from the row itself, which keep an
entry; causal masks that keep the diagonal, unless another mask is added to them; masks of sizes, positions and what the
constructor left, which close the same rows in every batch; boolean masks that are only converted, in files whose masks
a library makes as floats; masks that open closed rows or a column; filled scores whose masked weights are set to zero
after the softmax, and which get neither NaN nor its gradient; masks for fused kernels, which give a fully masked row
zeros. Functions with the arguments of `scaled_dot_product_attention`, and code that replaces NaN too late, get no
rewrite: equal weights would take the place of zeros.

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
from autofix.transforms.masks._masks import FILLED, findings
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
    # `float("inf")` where something makes it negative.
    anchor=re.compile(
        r"-\s*inf\b|-[iI]nf|inf\b(?<=\W-float\(.inf)|inf\b(?<=\W- float\(.inf)|inf\b(?<=\*.float\(.inf)"
        r"|inf\b(?<=\*float\(.inf)"
        r"|inf\b(?<=\Wtensor\(float\(.inf)|float\([\"']inf[\"']\) ?\*|\.inf\b|NINF|NEG_?INF|neg_inf|MASK_VALUE"
        rf"|mask_value|finfo\(.*\)\.min\b|{FILLED}"
    ),
    nodes=(ast.Call, ast.Assign, ast.BinOp),
    check=check,
)
