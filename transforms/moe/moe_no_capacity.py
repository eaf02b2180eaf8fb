"""Nothing bounds how many tokens an expert receives: neither a capacity nor a loss that evens the load.

The defect
----------
A layer sends each token to the experts with the highest scores. How many tokens an expert then receives is up to the
router: between none and all of them, and different in every batch.

Why it hurts
------------
The memory and the time of a step follow the busiest expert. With experts on several devices the others wait for it,
and a batch on which the router collapses is the one that runs out of memory, late in training. A capacity (the tokens
per expert times a factor of 1.25 or so) bounds it and drops what is beyond; without one, a balancing loss has to keep
the load even, and this layer has neither. In the snippet a router whose bias drifts by 3 sends one expert of 8 more
than half of all tokens, 4 times its share.

Before
------

    weights, chosen = F.softmax(self.router(x), dim=-1).topk(self.top_k, dim=-1)
    for e, expert in enumerate(self.experts):
        token, rank = torch.where(chosen == e)
        out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))

After
-----

    weights, chosen = F.softmax(self.router(x), dim=-1).topk(self.top_k, dim=-1)
    capacity = math.ceil(self.capacity_factor * x.size(0) * self.top_k / len(self.experts))
    for e, expert in enumerate(self.experts):
        token, rank = torch.where(chosen == e)
        token, rank = token[:capacity], rank[:capacity]
        out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))

Try it
------

    import torch

    torch.manual_seed(0)
    logits = torch.randn(4096, 8)
    logits[:, 0] += 3.0
    load = torch.bincount(logits.argmax(dim=-1), minlength=8)
    assert load[0] > 4 * 4096 / 8
    capacity = int(1.25 * 4096 / 8)
    assert load.clamp(max=capacity).max() == capacity

When the fix is safe
--------------------
There is none to write: dropping tokens changes what the layer computes, and which are dropped is the author's choice.
Where memory is no concern, a load-balancing loss alone is the usual remedy.

Left alone
----------
Layers with a capacity, and those whose load a loss or a bias evens: dropless layers are sound with one. Dense
mixtures, implementations of finished models, and code without gradients.

Sources
-------
Lepikhin et al.: GShard (2020). Fedus, Zoph, Shazeer: Switch Transformers (2021), section 2.2. Gale et al.: MegaBlocks
(2022), for layers that drop nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.transforms.moe._experts import ANCHOR, TRIGGERS, choices, layer_at, report, runs_every_expert
from autofix.transforms.moe._surroundings import balances, hands_out_routing, has_capacity, is_trainable

_WHY = "which tokens to drop is the layer's own design; a balancing loss is the usual remedy where memory is no concern"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if layer is None or not choices(module, layer) or not is_trainable(module, layer):
        return
    if runs_every_expert(layer) or has_capacity(module) or balances(module) or hands_out_routing(module, layer):
        return
    message = f"nothing bounds how many tokens an expert of {layer.cls.name} receives: neither a capacity nor a loss"
    yield report(context, layer, message, why=_WHY)


RULE = Rule(
    name="moe-no-capacity",
    summary="Neither a capacity nor a balancing loss bounds how many tokens an expert receives.",
    severity=Severity.INFO,
    triggers=(*TRIGGERS, (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
