"""Nothing bounds how many tokens an expert receives: neither a capacity nor a loss that evens the load.

The defect
----------
A layer sends each token to the experts with the highest scores. How many tokens an expert then receives is up to the
router: between none and all of them, and different in every batch.

Why it hurts
------------
Where each expert has its own device, or a row of one padded tensor, the memory and the time of a step follow the
busiest expert: the other devices wait for it, the other rows are padding, and a batch on which the router collapses is
the one that runs out of memory, late in training. A capacity (the tokens
per expert times a factor of 1.25 or so) bounds it and drops what is beyond; without one, a balancing loss has to keep
the load even, and this layer has neither. In the snippet a router whose bias drifts by 3 sends one expert of 8 more
than half of all tokens, 4 times its share.

Before
------

    weights, chosen = F.softmax(self.router(x), dim=-1).topk(self.top_k, dim=-1)
    rows = [x[(chosen == e).any(dim=-1)] for e in range(self.num_experts)]
    batch = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (experts, tokens of the busiest one, features)
    hidden = torch.bmm(batch, self.w_in).relu()

After
-----

    weights, chosen = F.softmax(self.router(x), dim=-1).topk(self.top_k, dim=-1)
    capacity = math.ceil(self.capacity_factor * x.size(0) * self.top_k / self.num_experts)
    rows = [x[(chosen == e).any(dim=-1)][:capacity] for e in range(self.num_experts)]
    batch = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    hidden = torch.bmm(batch, self.w_in).relu()

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
A load-balancing loss alone is the usual remedy where no step comes near the memory that there is.

Left alone
----------
Layers that run one expert after the other on one device: the tokens of all experts together are as many however they
fall, and so are memory and time (`moe-no-load-balancing` speaks of their load). Layers with a capacity, and those whose
load a loss or a bias evens: dropless layers are sound with one. Dense mixtures, implementations of finished models, and
code without gradients.

Sources
-------
Lepikhin et al.: GShard (2020). Fedus, Zoph, Shazeer: Switch Transformers (2021), section 2.2. Gale et al.: MegaBlocks
(2022), for layers that drop nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.moe._experts import (
    ANCHOR,
    TRIGGERS,
    Layer,
    choices,
    functions_of,
    layer_at,
    report,
    runs_every_expert,
)
from autofix.transforms.moe._surroundings import balances, hands_out_routing, has_capacity, identifiers, is_trainable
from autofix.tree import last_part, walk

# Experts on several devices, by what moves tokens to them or says how many there are.
_SPREAD = re.compile(
    r"all_?to_?all|all2all|process_group|(^|_)(ep|expert)_(group|size|rank|world)|expert_parallel|world_size|device_?mesh"
    r"|(^|_)devices$",
    re.I,
)
_COUNTS = re.compile(r"count|load|sizes|lengths|per_expert", re.I)
_WHY = "which tokens to drop is the layer's own design; a balancing loss is the usual remedy where memory is no concern"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if layer is None or not choices(module, layer) or not is_trainable(module, layer):
        return
    if runs_every_expert(module, layer) or has_capacity(module) or balances(module) or hands_out_routing(module, layer):
        return
    where = _tied_to_the_busiest(module, layer)
    if not where:
        return
    message = (
        f"neither a capacity nor a loss bounds how many tokens an expert of {layer.cls.name} receives, and {where}"
    )
    yield report(context, layer, message, why=_WHY)


def _tied_to_the_busiest(module: Module, layer: Layer) -> str:
    """How a step's memory and time hang on the busiest expert; empty for experts that run one after the other."""
    if any(_SPREAD.search(name) for name in identifiers(module)):
        return "the devices of the others wait for it"
    for function in functions_of(layer.unit):
        for node in walk(function):
            name = last_part(node.func) if isinstance(node, ast.Call) else ""
            if name == "pad_sequence":
                return "all of them are padded to the busiest"
            if name in ("max", "amax") and _COUNTS.search(module.source(node)):
                return "all of them are padded to the busiest"
    return ""


RULE = Rule(
    name="moe-no-capacity",
    summary="Neither a capacity nor a balancing loss bounds how many tokens an expert receives.",
    severity=Severity.INFO,
    triggers=(*TRIGGERS, (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
