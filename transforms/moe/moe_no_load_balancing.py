"""Tokens go to the experts that the router scores highest, and nothing keeps it from always choosing the same ones.

The defect
----------
A mixture-of-experts layer sends each token to its top experts. Only the experts that are chosen learn, so those that
happen to be chosen early become better, are chosen more, and learn more. Nothing in the loss of the task counters
that: not the experts' weights, not the router, not the rest of the network gains by keeping idle experts alive.

Why it hurts
------------
A few experts do all the work and the rest are parameters that take memory and never train. Under a fixed capacity the
tokens of the crowded experts are dropped; without one, the busiest device sets the time of a step. The Switch
Transformer's auxiliary loss counters it: E times the sum over experts of (share of the tokens) times (mean
probability). It is 1 where every expert receives the same share, E where one of E experts receives everything, and
its gradient lowers the probability of the experts that receive too much. In the snippet below a router that prefers
the first of 8 experts starts at a coefficient of variation of the load of 1.4, and 200 steps on this loss alone bring
it below 0.1. In `examples/balanced_experts` a classifier of 8 experts ends at 2.2 without it and at 0.4 with it.

Before
------

    probs = F.softmax(self.router(tokens), dim=-1)
    weights, chosen = probs.topk(self.top_k, dim=-1)

    ...

    loss = F.cross_entropy(model(x), y)
    loss.backward()

After
-----

    probs = F.softmax(self.router(tokens), dim=-1)
    weights, chosen = probs.topk(self.top_k, dim=-1)
    # load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens
    expert_share = F.one_hot(chosen.reshape(-1), probs.size(-1)).float().mean(dim=0)
    mean_prob = probs.reshape(-1, probs.size(-1)).mean(dim=0)
    self.aux_loss = probs.size(-1) * (expert_share * mean_prob).sum()

    ...

    loss = F.cross_entropy(model(x), y)
    loss = loss + 0.01 * sum(m.aux_loss for m in model.modules() if isinstance(m, SparseMoE))
    loss.backward()

Try it
------

    import torch

    torch.manual_seed(0)
    tokens, router = torch.randn(512, 16), torch.nn.Linear(16, 8)
    router.bias.data += torch.linspace(2.0, -2.0, 8)

    def route():
        probs = router(tokens).softmax(dim=-1)
        chosen = probs.topk(2, dim=-1).indices
        share = torch.nn.functional.one_hot(chosen.reshape(-1), 8).float().mean(dim=0)
        return 8 * (share * probs.mean(dim=0)).sum(), share.std(correction=0) / share.mean()

    assert route()[0] > 1.5 and route()[1] > 1.4  # a few experts have the tokens
    optimizer = torch.optim.Adam(router.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad(), route()[0].backward(), optimizer.step()
    assert abs(route()[0] - 1) < 0.01 and route()[1] < 0.1

When the fix is safe
--------------------
Never by itself: training has another objective, so the fix counts as unsafe. What it leaves as it was, the verifier
checks: every output of the patched statements, and its gradient, is identical bit for bit. Of the new loss it checks
that it is 1 at an even load (for one and for several experts per token), that its gradient reaches the router, that
steps down it alone halve the coefficient of variation of the load, and that the line in the training loop adds it.

The loss is kept on the module as `aux_loss`, and is that of the last forward pass. A module that has run cannot be
deep-copied while it holds one, replicas of `nn.DataParallel` keep it to themselves, and a re-entrant activation
checkpoint computes it without a gradient: where the file does any of these, there is a finding and no fix. Where the
training loop is not in the same file, add 0.01 times the sum over the layers to its loss.

Left alone
----------
Code with any other means of balancing in view: an auxiliary, importance or z-loss, a bias for selection that follows
the load (DeepSeek-V3), Sinkhorn or optimal transport, expert choice, `router_aux_loss_coef` and its kin. Layers that
hand their scores out beside the output: the caller may balance by them. Implementations of finished models, that
load weights, keep a cache or read a configuration made elsewhere; layers without gradients, or with several routers of
which a flag takes one; a choice that is not written back along the experts; one expert per token whose weight is the
constant 1, which `softmax-after-top-k` reports first; a class of a script that trains nothing, while another file of
the project has one of that name; dense mixtures, in which every expert sees every token.

Sources
-------
Fedus, Zoph, Shazeer: Switch Transformers (2021), equations 4 to 6. Shazeer et al.: Outrageously large neural
networks, the sparsely-gated mixture-of-experts layer (2017). Wang et al.: Auxiliary-loss-free load balancing strategy
for mixture-of-experts (2024).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.moe._balancing import balancing_fix
from autofix.transforms.moe._experts import (
    ANCHOR,
    TRIGGERS,
    Layer,
    Selection,
    choices,
    functions_of,
    layer_at,
    noise_of,
    report,
)
from autofix.transforms.moe._surroundings import balances, hands_out_routing, is_capacity, is_superseded, is_trainable
from autofix.transforms.routing._selected import how_many
from autofix.transforms.routing._selected import selection as chosen_by
from autofix.tree import last_part, walk


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if layer is None or not layer.selections or not is_trainable(module, layer):
        return
    if balances(module) or hands_out_routing(module, layer):
        return
    if _is_one_of_several(layer):
        return
    chosen = choices(module, layer)
    if not chosen or any(_is_constant(module, s) for s in chosen) or is_superseded(module, layer):
        return
    message = _message(module, layer)
    try:
        yield report(context, layer, message, fix=balancing_fix(module, chosen))
    except Unrewritable as reason:
        yield report(context, layer, message, why=str(reason))


def _message(module: Module, layer: Layer) -> str:
    against = {
        "learnt": "only noise that the router can learn to switch off works against imbalance",
        "fixed": "only noise works against imbalance",
        "": "nothing balances their load",
    }[noise_of(module, layer)]
    dropped = ", and tokens beyond the capacity of these are dropped" if _drops_tokens(layer) else ""
    return (
        f"{layer.cls.name} sends each token to the experts that its router scores highest and {against}: experts that "
        f"are chosen early learn more and are chosen more, until a few do all the work{dropped}"
    )


def _drops_tokens(layer: Layer) -> bool:
    """Whether a method other than the constructor reads a capacity."""
    read = (n for f in functions_of(layer.unit) if f.name != "__init__" for n in walk(f))
    return any(
        isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Load) and is_capacity(last_part(n))
        for n in read
    )


def _is_constant(module: Module, selection: Selection) -> bool:
    """Whether a token has one expert, always or by default, whose weight is the constant 1: a router that learns
    nothing always chooses alike (`softmax-after-top-k` says so, and what to do about it comes first)."""
    if selection.kind != "logits" or selection.op.name != "topk":
        return False
    if how_many(module, selection.op.args.get("k"))[0] != 1:
        return False
    for node in walk(selection.function):
        op = tensor_op(module, node, "softmax")
        found = chosen_by(module, op.input) if op is not None else None
        if found is not None and found.call is selection.node:
            return True
    return False


def _is_one_of_several(layer: Layer) -> bool:
    """Whether the constructor makes the router in more than one way."""
    made = [
        s.value
        for s in walk(layer.init)
        if isinstance(s, ast.Assign)
        for t in s.targets
        if isinstance(t, ast.Attribute) and t.attr == layer.router and getattr(t.value, "id", "") == "self"
    ]
    return len({last_part(v.func) for v in made if isinstance(v, ast.Call)}) > 1


RULE = Rule(
    name="moe-no-load-balancing",
    summary="A sparse mixture of experts is trained without anything that balances the experts' load.",
    severity=Severity.WARNING,
    triggers=(*TRIGGERS, (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
