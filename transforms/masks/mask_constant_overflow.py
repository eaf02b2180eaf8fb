"""A literal such as -1e9 or -10000 masks scores that a softmax normalises.

The defect
----------
Masked positions are filled with a constant, or have one added, that was chosen for one dtype and one size of scores.

Why it hurts
------------
A constant is wrong in one of two ways. Below -65504 it does not fit into float16: `masked_fill` with -1e9 raises
RuntimeError ("value cannot be converted without overflow"), and `(1.0 - mask) * -1e9` becomes -inf where the mask has
float16's dtype or is added to such scores in place, which makes a fully masked row NaN, forward and in every gradient.
Above that, -10000 or -1e5 is a finite penalty: in float32 and bfloat16 a score that is larger by as much outweighs the
mask, and masked positions leak into the output.

`torch.finfo(dtype).min` exists in every dtype and no score outweighs it. As a summand it has a flaw of its own: in
float16 its sum with a score of -16 or below is -inf, so `(1.0 - mask) * finfo.min` beside scores of the same dtype is
rewritten too, and a mask that is added elsewhere takes half the minimum: any score and any second mask can be added.

Before
------

    scores = scores + (1.0 - mask) * -10000.0
    weights = torch.softmax(scores, dim=-1)

After
-----

    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1)

Try it
------

    import torch

    scores, mask = torch.tensor([[0.0, 20000.0]]), torch.tensor([[1.0, 0.0]])
    before = torch.softmax(scores + (1.0 - mask) * -10000.0, dim=-1)
    after = torch.softmax(scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min), dim=-1)
    assert before.tolist() == [[0, 1]]  # all of the weight is on the masked position
    assert after.tolist() == [[1, 0]]
    half = torch.zeros(1, 2, dtype=torch.float16)
    try:
        half.masked_fill(mask == 0, -1e9)
        raise AssertionError("float16 has no -1e9")
    except RuntimeError as error:
        assert "overflow" in str(error)
    assert half.masked_fill(mask == 0, torch.finfo(half.dtype).min).isfinite().all()

When the fix is safe
--------------------
Rows with an unmasked position keep their weights, up to what leaked before; a fully masked row gets equal weights. A
product that is added to scores in the same expression becomes a fill by a boolean mask, which cannot overflow and
which takes for granted that the mask holds zeros and ones. A mask that is built for addition elsewhere takes half the
minimum of the dtype it is cast to, or of the scores it is added to in place. Where several pieces are joined to the
scores of one softmax, one finding changes all of them.

Left alone
----------
Constants chosen by a branch on the dtype; scores that are float32 or bfloat16 whatever the model's dtype is; products
that promotion makes float32 (an integer mask or a comparison times a Python number, a `where` of two numbers), unless
they are cast or added in place; masks that say how much of a position is seen; -inf in masks for the fused kernel,
which gives a closed row zeros; clamps and initial values; beam search, samplers, top-k selection and label handling;
constants whose way to a softmax is not certain. Information, not a warning: constants that float16 holds, such as
-10000, which leak only where scores lie thousands apart; a constant that becomes -inf in a causal mask, or in one that
is handed to an attention elsewhere, of which most give a closed row zeros; a product of a mask whose dtype is not in
view; `m.masked_fill(m == 0, -9e15)` of a mask that may hold integers, which gets no rewrite.

Sources
-------
PyTorch documentation: `torch.finfo`, `torch.Tensor.masked_fill_`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.transforms.masks._masks import FILLED, findings


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    yield from findings(node, context, infinite=False)


_SPELLINGS = (
    re.compile(rb"-(?: ?1(?:\.0?)?e| ?10000| ?655|9999|9[e.]|3\.4|3e38|2 ?\*\*|\(2|5e|6e4|= 1)"),
    re.compile(rb"\* ?1(?:e|0000)"),
    re.compile(rb"0000(?:\.0)? ?\*"),
    b"finfo(",
)

# What a function speaks of that masks scores.
_SCORES = re.compile(r"(?i:mask|att|score|logit|causal|triu|tril|pad|softmax|sim\b|dots|bias|penalty)")

RULE = Rule(
    name="mask-constant-overflow",
    summary="a fixed constant masks scores before a softmax: it overflows in float16 or leaks in float32",
    severity=Severity.WARNING,
    triggers=((b"oftmax", b"mask", b"attention", b"attn"), _SPELLINGS),
    # A number that is added or multiplied; not the limit of float16 that a tensor is clamped to.
    anchor=re.compile(
        r"-(?<!max -)(?<!clip\(-)(?<!clamp\(-)(?<!min=-)=?\s*"
        r"(?:(?:[1-9]\.?\d*e\+?\d+|[1-9]\d{3,})(?!\w|\.[a-zA-Z])|\(?2\s*\*\*)"
        r"|\*\s*(?:1e\+?\d|1\.0?e\+?\d|[1-9]\d{4,})|000\.?0?\s*\*(?!\*)|NEG_?INF|neg_inf|MASK_VALUE|mask_value|penalty"
        rf"|finfo\(.*\)\.min\b|{FILLED}"
    ),
    nodes=(ast.Call, ast.Assign, ast.BinOp),
    check=check,
    beside=_SCORES,
)
