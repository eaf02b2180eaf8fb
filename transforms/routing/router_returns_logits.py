"""The logits that `topk` selected weight the experts' outputs as they are, without a softmax.

The defect
----------
A router's linear layer gives logits, any numbers of either sign. The largest are selected and multiplied with what
their experts compute.

Why it hurts
------------
A weight may be negative, or 30: outputs grow with the router's own weights, which nothing bounds, and their scale
changes from token to token. The router can lower the loss by scaling instead of choosing, the experts that it did not
select get no push down from those that it did, and in half precision the product overflows first here.

Before
------

    logits = self.gate(x)
    weights, selected = torch.topk(logits, self.top_k, dim=-1)
    y = (weights.unsqueeze(-1) * outputs.gather(-2, index)).sum(dim=-2)

After
-----

    logits = self.gate(x)
    weights, selected = torch.topk(torch.softmax(logits, dim=-1), self.top_k, dim=-1)
    y = (weights.unsqueeze(-1) * outputs.gather(-2, index)).sum(dim=-2)

Try it
------

    import torch

    logits = torch.tensor([[-2.0, -30.0, -5.0]])
    weights, selected = torch.topk(logits, 2, dim=-1)
    assert (weights < 0).all()  # the chosen experts count with a minus
    probs, same = torch.topk(torch.softmax(logits, dim=-1), 2, dim=-1)
    assert torch.equal(selected, same) and ((probs > 0) & (probs <= 1)).all()

When the fix is safe
--------------------
The softmax keeps the order, so the same experts are selected; their weights become their probabilities. That is another
forward pass, so the fix is unsafe.

Left alone
----------
Logits that a softmax, a sigmoid or another activation maps before or after the selection; values that only select or
are returned; attention and retrieval.

Sources
-------
Shazeer et al.: Outrageously large neural networks (2017), equations 2 to 5; Fedus et al.: Switch transformers (2021).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Finding, Fix, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._routing import functions_around, trains_nothing
from autofix.transforms.routing._selected import (
    Selection,
    is_logits,
    reads_of,
    routes_tokens,
    selects,
    use_as_weight,
    weighs,
)
from autofix.tree import walk

_EXPERTS = re.compile(r"expert", re.I)
_CHANGE = "the selected experts are weighted by their probabilities in place of their logits"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "topk":
        return
    if not functions_around(module, node) or not routes_tokens(module, node) or trains_nothing(module, node):
        return
    found = selects(module, node)
    if found is None or found.op is None or not is_logits(module, found.base):
        return
    product = _multiplied(module, found)
    if product is None or not _has_experts(module, node):
        return
    message = (
        f"{module.source(product)} holds raw logits, of either sign and any size, that weight the experts' outputs"
    )
    try:
        fix = _fix(module, found, product.id)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(node, message, fix=fix)


def _has_experts(module: Module, node: ast.AST) -> bool:
    cls = module.class_of(node)
    scope = cls if cls is not None else functions_around(module, node)[-1]
    return any(_EXPERTS.search(getattr(n, "attr", "") or getattr(n, "id", "")) for n in walk(scope))


def _multiplied(module: Module, found: Selection) -> ast.Name | None:
    """A read of the selected values that is a factor, when none of the reads is mapped."""
    statement = module.statement(found.call)
    if not isinstance(statement, ast.Assign) or statement.value is not found.call or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    if (
        not isinstance(target, (ast.Tuple, ast.List))
        or len(target.elts) != 2
        or not isinstance(target.elts[0], ast.Name)
    ):
        return None
    reads = reads_of(module, statement, target.elts[0].id)
    if not reads:
        return None
    kinds = [use_as_weight(module, read) for read in reads]
    if any(kind == "other" for kind in kinds):
        return None
    return next((read for read, kind in zip(reads, kinds, strict=True) if kind == "factor"), None)


def _fix(module: Module, found: Selection, weights: str) -> Fix:
    assert found.op is not None
    dim = found.op.args.get("dim")
    text = module.source(dim) if dim is not None else "-1"
    softmax = module.names.reference("torch.softmax", found.call)
    if softmax is None:
        raise Unrewritable("torch is another name here; take the softmax of the logits before the selection")
    edits = rewrite.replace(module, found.base, f"{softmax.text}({{x}}, dim={text})", x=found.base)
    return Fix(
        title="select from the softmax of the logits",
        edits=(*softmax.edits, *edits),
        applicability=Applicability.UNSAFE,
        claim=weighs(module, found, weights, whole=False, change=_CHANGE),
    )


RULE = Rule(
    name="router-returns-logits",
    summary="The logits that `topk` selected weight the experts' outputs as they are, without a softmax.",
    severity=Severity.WARNING,
    triggers=((b"topk(",), (b"expert", b"Expert")),
    anchor=re.compile(r"topk\("),
    beside=re.compile(r"logit|gate|rout"),
    nodes=(ast.Call,),
    check=check,
)
