"""A router scores each expert by a sigmoid of its own, and the scores are used as weights as they are.

The defect
----------
The sigmoid of one expert's logit does not depend on the others'. The weights of the chosen experts then have no fixed
sum, and nothing makes the experts compete: the task can raise all scores together.

Why it hurts
------------
The output of the layer is scaled by the sum of the chosen scores, which differs by token and moves during training;
behind a residual it changes the size of the branch. And a sigmoid saturates: once the logits have grown, several
scores round to 1, the choice between them is made by what is left of the rounding, and their gradient is gone. In the
snippet the weights of the two chosen experts add up to between 1.2 and 2, and at logits 8 times as large a chosen
score passes on less than a thousandth of its gradient.

Before
------

    scores = torch.sigmoid(self.router(x))
    weights, chosen = scores.topk(self.top_k, dim=-1)

After
-----

    scores = F.softmax(self.router(x), dim=-1)
    weights, chosen = scores.topk(self.top_k, dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)

Try it
------

    import torch

    torch.manual_seed(0)
    logits = torch.randn(4096, 8)

    def chosen(logits):
        return logits.sigmoid().topk(2, dim=-1)

    total = chosen(logits + 1).values.sum(dim=-1)
    assert total.min() < 1.3 and total.max() > 1.9
    large = (8 * (logits + 1)).requires_grad_()
    slope = torch.autograd.grad(chosen(large).values.sum(), large)[0]
    assert slope.sum() / (2 * 4096) < 1e-3

When the fix is safe
--------------------
There is none to write: softmax in place of a sigmoid is another router. Dividing the chosen scores by their sum is the
smaller change; a sigmoid with a bias for the selection that follows the load is the form of DeepSeek-V3.

Left alone
----------
Sigmoid routers whose chosen scores are divided by their sum, or whose selection is corrected by a bias; mixtures in
which each expert is a switch of its own and all of them run; implementations of finished models.

Sources
-------
DeepSeek-AI: DeepSeek-V3 technical report (2024), section 2.1.2. Csordás, Irie, Schmidhuber: Approximating two-layer
feedforward networks for efficient transformers (2023), for sigmoid routers that are meant.
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
    functions_of,
    layer_at,
    report,
    words_of,
)
from autofix.transforms.moe._surroundings import is_trainable
from autofix.tree import walk

_CORRECTED = re.compile(
    r"correction|(expert|selection|rout(er|ing)|gate|score|balance)s?_?bias|^bias$|normali[sz]e|norm_topk"
)
_WHY = (
    "softmax in place of the sigmoid is another router; dividing the chosen scores by their sum is the smaller change"
)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    chosen = choices(module, layer) if layer is not None else []
    if layer is None or not chosen or any(s.kind != "sigmoid" for s in chosen) or not is_trainable(module, layer):
        return
    if any(_CORRECTED.search(w) for w in words_of(layer)) or _divides_by_sum(layer):
        return
    message = (
        f"{layer.cls.name} weighs experts by sigmoids that do not depend on each other: the weights have no fixed sum, "
        "and nothing makes the experts compete"
    )
    yield report(context, layer, message, why=_WHY)


def _divides_by_sum(layer: Layer) -> bool:
    """Whether something of the layer is divided by a sum, or goes through a softmax after all."""
    for function in functions_of(layer.unit):
        for node in walk(function):
            called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if called in ("softmax", "div", "div_", "true_divide"):
                return True
            value = node.op if isinstance(node, (ast.BinOp, ast.AugAssign)) else None
            if isinstance(value, ast.Div):
                return True
    return False


RULE = Rule(
    name="sigmoid-router",
    summary="A router weighs experts by sigmoids that do not depend on each other.",
    severity=Severity.INFO,
    triggers=(*TRIGGERS, (b"sigmoid", b"Sigmoid"), (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
