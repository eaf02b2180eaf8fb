"""A block normalises the sum of its input and a sublayer's output, so that no path from input to output is plain.

The defect
----------
`x = norm(x + sublayer(x))`: the residual stream itself passes through every normalisation. In the pre-norm arrangement,
`x = x + sublayer(norm(x))`, only what goes into a sublayer is normalised.

Why it hurts
------------
At initialisation the gradients of the last blocks are large in a post-norm stack, and stay so however deep it is; in a
pre-norm stack they fall with the square root of its depth. A step that suits the one is too long for the other, which
is why post-norm models need a warm-up of the learning rate, and deep ones diverge without it. Measured in the snippet,
Xavier weights, 64 units: the gradient of the last block's weights has norm 228 in a post-norm stack of 24 blocks and
221 in one of 96; in pre-norm stacks 77 and 38.

Before
------

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.norm = nn.LayerNorm(dim)

        def forward(self, x):
            x = self.norm(x + self.attn(x, x, x)[0])
            return x

After
-----

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.norm = nn.LayerNorm(dim)

        def forward(self, x):
            h = self.norm(x)
            x = x + self.attn(h, h, h)[0]
            return x

Try it
------

    import torch
    from torch import nn

    def last_gradient(pre, depth, dim=64):
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(depth)]
        for layer in layers:
            nn.init.xavier_uniform_(layer[0].weight)
            nn.init.xavier_uniform_(layer[2].weight)
        norm, x = nn.LayerNorm(dim), torch.randn(32, dim)
        for layer in layers:
            x = x + layer(norm(x)) if pre else norm(x + layer(x))
        (norm(x) * torch.randn(32, dim)).sum().backward()
        return layers[-1][2].weight.grad.norm()

    assert last_gradient(pre=False, depth=96) > 0.8 * last_gradient(pre=False, depth=24)
    assert last_gradient(pre=True, depth=96) < 0.6 * last_gradient(pre=True, depth=24)

When the fix is safe
--------------------
There is none: a pre-norm model is another model, with other checkpoints, and needs one more normalisation behind its
last block. This rule only tells which blocks are post-norm. It runs when it is selected.

Left alone
----------
Blocks that choose between the two by a setting; sums that are read again below, as in a pre-norm block written over
several lines; sums of embeddings, of two inputs, of a mask; normalisations that are no LayerNorm or RMSNorm.

Sources
-------
Xiong et al.: On Layer Normalization in the Transformer Architecture (2020).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.structure._parts import (
    calls_in,
    has_no_branches,
    is_layer_norm,
    is_sum,
    own,
    passed_through,
    sublayer,
)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.FunctionDef)
    if node.name != "forward":
        return
    module = context.module
    cls = module.class_of(node)
    if cls is None or not has_no_branches(node):
        return
    found = [(call, kind) for call in calls_in(node) if (kind := _normalises(module, cls, call))]
    if not found:
        return
    (first, kind), more = found[0], len(found) - 1
    again = "" if not more else " (once more below)" if more == 1 else f" ({more} more times below)"
    message = f"{cls.name} is post-norm: the sum of its input and the output of its {kind} is normalised{again}"
    yield context.finding(first, message, why="a pre-norm block is another model, whose checkpoints differ")


def _normalises(module: Module, cls: ast.ClassDef, call: ast.Call) -> str:
    """What kind of sublayer is in the sum that a call normalises; empty when it is no such call."""
    if len(call.args) != 1 or call.keywords or not is_layer_norm(module, cls, own(call.func)):
        return ""
    total = call.args[0]
    while isinstance(total, ast.Name):
        found = module.flow(total).definition(total)
        if found is None or found.value is None or module.flow(total).readers(found) != [total]:
            return ""
        total = found.value
    if not isinstance(total, ast.BinOp) or not is_sum(total):
        return ""
    kinds = {side: sublayer(module, side) for side in (total.left, total.right)}
    layers = [(side, kind) for side, kind in kinds.items() if kind]
    if len(layers) != 1:
        return ""
    _, kind = layers[0]
    stream = passed_through(module, total.left if layers[0][0] is total.right else total.right)
    if isinstance(stream, ast.Call) and not is_layer_norm(module, cls, own(stream.func)):
        return ""
    if not isinstance(stream, (ast.Name, ast.Call)) and not is_sum(stream):
        return ""
    return {"linear": "linear layer"}.get(kind, f"{kind} layer" if kind == "feed-forward" else kind)


RULE = Rule(
    name="post-norm",
    summary="a block that normalises the sum of its input and a sublayer's output",
    severity=Severity.INFO,
    triggers=((b"Norm",), (b"forward",)),
    anchor=re.compile(r"self\.\w*norm\w*\(|self\.\w*Norm\w*\(|self\.ln\w*\("),
    nodes=(ast.FunctionDef,),
    check=check,
    by_default=False,
)
