"""Nothing keeps a router's logits small, and the softmax over them loses its accuracy as they grow.

The defect
----------
The softmax of a router whose load is balanced is trained in half precision without a z-loss: `logsumexp(logits)`
squared, averaged over the tokens and added to the loss with a small coefficient. The softmax itself does not care about
a constant that is added to all logits, nor does the loss of the task, so nothing else holds them.

Why it hurts
------------
The larger a number, the coarser its rounding in half precision: at 128 bfloat16 counts in steps of 1, and a step of 1
in a logit is a factor of 2.7 in a probability. Routers' logits grow during training, and the roundings turn into
choices that flip between steps. In the snippet, rounding logits to bfloat16 moves probabilities by at most 0.004 at
scale 1 and by more than 0.1 at scale 128. The authors of ST-MoE found that a z-loss is what made large sparse models
train without diverging, at no cost in quality.

Before
------

    logits = self.router(x)
    probs = F.softmax(logits, dim=-1)

After
-----

    logits = self.router(x)
    self.z_loss = torch.logsumexp(logits.float(), dim=-1).square().mean()  # add it with a coefficient of 0.001
    probs = F.softmax(logits, dim=-1)

Try it
------

    import torch

    torch.manual_seed(0)
    logits = torch.randn(4096, 8)

    def moved(scale):
        exact = (scale * logits).softmax(dim=-1)
        return (exact - (scale * logits).bfloat16().float().softmax(dim=-1)).abs().max()

    assert moved(1) < 0.004 and moved(128) > 0.1
    shift = torch.zeros(1, requires_grad=True)
    task = (logits + shift).softmax(dim=-1).max(dim=-1).values.mean()
    assert torch.autograd.grad(task, shift)[0].abs() < 1e-6  # the task does not hold the logits
    z_loss = torch.logsumexp(logits + 50 + shift, dim=-1).square().mean()
    assert torch.autograd.grad(z_loss, shift)[0] > 50  # the z-loss does

When the fix is safe
--------------------
There is none to write: another term in the loss is another objective, and its coefficient has to be chosen beside
that of the load-balancing loss.

Left alone
----------
Routers with a z-loss or another hold on their logits (a sigmoid, a norm, a cosine of the input with each expert, a
cap by tanh), or whose input is normalised while autocast or a cast runs the softmax in float32; layers in files without
half precision, for float32 has rounding to spare; layers whose load nothing balances, which is the first thing to see
to (`moe-no-load-balancing`); implementations of finished models.

Sources
-------
Zoph et al.: ST-MoE, designing stable and transferable sparse expert models (2022), section 3 and equation 5.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.moe._experts import ANCHOR, TRIGGERS, Layer, choices, functions_of, layer_at, report, words_of
from autofix.transforms.moe._surroundings import (
    balances,
    hands_out_routing,
    has_z_loss,
    identifiers,
    is_trainable,
)
from autofix.tree import calls_of, last_part, walk

_HALF = frozenset("autocast bfloat16 float16 half bf16 fp16 GradScaler mixed_precision".split())
_FULL = re.compile(r"\.float\(\)|dtype\s*=\s*torch\.float(32)?\b")
_NORM = re.compile(r"norm|(^|_)ln(_|\d|$)", re.I)
_HELD = re.compile(r"normalize|cosine|tanh|soft_?cap|clamp|layer_?norm|rms_?norm|batch_?norm|temperature", re.I)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if layer is None or layer.scored == "sigmoid" or not choices(module, layer):
        return
    if not is_trainable(module, layer) or has_z_loss(module) or hands_out_routing(module, layer):
        return
    if not identifiers(module) & _HALF or not balances(module) or any(_HELD.search(w) for w in words_of(layer)):
        return
    if _softmax_is_full(module, layer) and _is_given_normalised(module, layer):
        return
    message = f"nothing keeps the logits of {layer.cls.name}'s router small in half precision (a z-loss does)"
    yield report(context, layer, message, why="another term in the loss, with a coefficient of its own to choose")


def _softmax_is_full(module: Module, layer: Layer) -> bool:
    """Whether the file shows that the router's softmax runs in float32."""
    if "autocast" in identifiers(module):
        return True
    return any(_FULL.search(module.source(f)) for f in functions_of(layer.unit))


def _is_given_normalised(module: Module, layer: Layer) -> bool:
    """Whether every call of the layer in the file hands it the result of a normalisation."""
    calls: list[ast.Call] = []
    for cls in module.tree.body:
        if not isinstance(cls, ast.ClassDef):
            continue
        built = {
            t.attr
            for n in walk(cls)
            if isinstance(n, ast.Assign) and calls_of(n.value, layer.cls.name)
            for t in n.targets
            if isinstance(t, ast.Attribute)
        }
        calls += [c for name in built for c in calls_of(cls, name) if c.args]
    return bool(calls) and all(_NORM.search(_maker(module, c.args[0])) for c in calls)


def _maker(module: Module, node: ast.expr) -> str:
    """The name of what is called to compute a value."""
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    return last_part(value.func) if isinstance(value, ast.Call) else ""


RULE = Rule(
    name="moe-no-z-loss",
    summary="Nothing keeps a router's logits small.",
    severity=Severity.INFO,
    triggers=(*TRIGGERS, (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
