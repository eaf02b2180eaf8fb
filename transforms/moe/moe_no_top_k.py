"""A mixture of experts that runs every expert on every token: the experts add cost, and none is left out.

The defect
----------
The router's probabilities weigh the outputs of all experts, and all of them are computed. With top-k selection a
token is sent to k experts of E; without it the layer costs as much as E feed-forward layers, whatever the weights are.
The same holds where the top experts are chosen, and the others run to be weighed with zero.

Why it hurts
------------
The point of a sparse mixture is that parameters grow with E and the cost of a token does not. A dense mixture grows
with both, and its experts specialise less: each receives a gradient from every token. Where the constructor takes
`top_k` and nothing selects, the caller believes to run a sparse layer and pays for a dense one: that is a warning. In
the snippet 8 experts of which 2 are wanted cost 4 times as many multiplications.

Before
------

    weights = F.softmax(self.gate(x), dim=-1)
    outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
    return (outputs * weights.unsqueeze(-2)).sum(dim=-1)

After
-----

    weights, chosen = F.softmax(self.gate(x), dim=-1).topk(self.top_k, dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    out = torch.zeros_like(x)
    for e, expert in enumerate(self.experts):
        token, rank = torch.where(chosen == e)
        out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
    return out

Try it
------

    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    x, gate = torch.randn(64, 16), torch.nn.Linear(16, 8)
    experts, rows = torch.nn.ModuleList([torch.nn.Linear(16, 16) for _ in range(8)]), []
    for expert in experts:
        expert.register_forward_hook(lambda _, given, __: rows.append(given[0].size(0)))
    dense = torch.stack([expert(x) for expert in experts], dim=-1) * F.softmax(gate(x), dim=-1).unsqueeze(-2)
    assert sum(rows) == 8 * 64
    rows.clear()
    weights, chosen = F.softmax(gate(x), dim=-1).topk(2, dim=-1)
    for e, expert in enumerate(experts):
        expert(x[torch.where(chosen == e)[0]])
    assert sum(rows) == 2 * 64

When the fix is safe
--------------------
There is none to write: how tokens are sent to experts and brought back is a choice of the layer's author, and a
selection needs load balancing beside it.

Left alone
----------
Mixtures that are dense on purpose and say so: multi-gate mixtures of multi-task models, soft mixtures and slots,
ensembles, mixtures of at most two experts, classes whose docstring says that every expert runs. Any layer that selects
in some form, or writes what it chose along another dimension than it chose it; loops that pass an expert over; one
module listed several times; implementations of finished models.

Sources
-------
Shazeer et al.: Outrageously large neural networks (2017). Puigcerver et al.: From sparse to soft mixtures of experts
(2023), for a dense form that is meant.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.transforms.moe._experts import (
    ANCHOR,
    TRIGGERS,
    Layer,
    choices,
    layer_at,
    report,
    runs_every_expert,
    words_of,
)
from autofix.transforms.moe._surroundings import is_trainable

_SELECTS = re.compile(
    r"top_?k$|topk|argmax|argsort|^sort$|kthvalue|multinomial|gumbel|one_hot|nonzero|sparse|dispatch|capacity|top_?p$"
    r"|threshold|entmax|sparsemax|^where$|index_add_?|masked_select|scatter"
)
_DENSE = re.compile(
    r"soft(?!max|plus)|dense|ensemble|mmoe|multi_?gate|multi_?task|task|tower|(^|_)ple(_|$)|cgc|slot|density|mdn|vote|blend|interp"
    r"|mixture_?of_?(gaussian|logistic)|cond_?conv|lora|adapter|basis|modalit",
    re.I,
)
_WANTED = re.compile(r"^(top_?k|num_experts_per_tok(en)?|experts_per_tok(en)?|num_selected|num_active_experts)$")
# A class that says of itself that its experts all run.
_SAID = re.compile(r"\bdense(ly)?\b|\b(every|all)( of)?( the)? experts? (runs?|is|are|compute|process|see|get)", re.I)
_FEW = 2
_WHY = "a dense mixture may be meant; for a sparse one, select the top experts of each token and balance their load"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if (
        layer is None
        or layer.scored == "sigmoid"
        or not is_trainable(module, layer)
        or not runs_every_expert(module, layer)
    ):
        return
    name = layer.cls.name
    if layer.selections:
        if not choices(module, layer) or _SAID.search(ast.get_docstring(layer.cls) or ""):
            return
        message = f"{name} chooses the top experts of each token and runs every expert on every token all the same"
        yield report(
            context, layer, message, why="send each expert the tokens that chose it; the weights stay as they are"
        )
        return
    words = words_of(layer)
    if layer.count is not None and layer.count <= _FEW:
        return
    if any(_SELECTS.search(w) and not _WANTED.match(w) for w in words):
        return
    wanted = _wanted(layer)
    if wanted:
        message = f"{name} takes {wanted} and selects nothing: every expert runs on every token"
        yield report(context, layer, message, why=_WHY, severity=Severity.WARNING)
        return
    if any(_DENSE.search(w) for w in (*words, name)):
        return
    message = f"{name} runs every expert on every token: its cost grows with the number of experts"
    yield report(context, layer, message, why=_WHY)


def _wanted(layer: Layer) -> str:
    """The constructor's parameter that says how many experts a token is sent to."""
    arguments = layer.init.args
    named = (a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
    return next((name for name in named if _WANTED.match(name)), "")


RULE = Rule(
    name="moe-no-top-k",
    summary="A mixture of experts runs every expert on every token.",
    severity=Severity.INFO,
    triggers=(*TRIGGERS, (b"softmax", b"Softmax")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
