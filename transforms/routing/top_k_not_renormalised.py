"""The selected probabilities weight the experts without being divided by their sum.

The defect
----------
A router selects the k most probable of its experts and weights their outputs with these probabilities as they are.
What they add up to, between k / n and 1, is the scale of the layer's output.

Why it hurts
------------
At initialisation the probabilities are about 1 / n each, so the output of two experts of eight is a quarter of what the
same experts give when their weights add up to 1, and it grows as the router becomes certain: the scale of the layer
depends on the router's confidence. With an evenly undecided router, the layer is close to switched off.

Before
------

    probs = torch.softmax(self.gate(x), dim=-1)
    weights, selected = torch.topk(probs, 2, dim=-1)

After
-----

    probs = torch.softmax(self.gate(x), dim=-1)
    weights, selected = torch.topk(probs, 2, dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)

Try it
------

    import torch

    probs = torch.softmax(torch.zeros(1, 8), dim=-1)
    weights, selected = torch.topk(probs, 2, dim=-1)
    assert weights.sum() == 0.25
    weights = weights / weights.sum(dim=-1, keepdim=True)
    assert weights.sum() == 1

When the fix is safe
--------------------
The same experts are selected, and the weights of each token are scaled by one number. That is another forward pass, and
some published models leave the weights as they are on purpose, so the fix is unsafe and the finding is advice. The sum
of the largest probabilities is at least k / n, so the division needs no floor.

Left alone
----------
k = 1, where dividing would leave the constant 1 and no gradient; a k that is configured (published models do it both
ways, and their weights were trained so); weights that are divided, normalised or mapped by a softmax anywhere behind
the selection, or under a setting; sigmoid scores, which are no shares; samplers.

Sources
-------
Lepikhin et al.: GShard (2020), algorithm 1, for two experts with weights that add up to 1; Fedus et al.: Switch
transformers (2021), for one expert with its probability.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Finding, Fix, Severity
from autofix.ops import constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._hard_choice import from_router
from autofix.transforms.routing._ranked import SAME_VALUE
from autofix.transforms.routing._routing import functions_around, trains_nothing
from autofix.transforms.routing._selected import (
    Selection,
    how_many,
    names_in,
    reads_of,
    routes_tokens,
    selects,
    use_as_weight,
    weighs,
)

_NORMALISES = re.compile(r"norm(ali[sz]e)?(?!al)|denom|scal(e|ing)_factor|route_scale|softmax\d|_sum\b", re.I)
_CHANGE = "the weights of the selected experts are divided by their sum"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "topk":
        return
    functions = functions_around(module, node)
    if not functions or not routes_tokens(module, node) or trains_nothing(module, node):
        return
    found = selects(module, node)
    if found is None or found.op is None or not _is_softmax(module, found.base) or not from_router(module, found.base):
        return
    number, certain = how_many(module, found.count)
    if not certain or number is None or number < 2:
        return
    scope = module.class_of(node) or functions[-1]
    if any(_NORMALISES.search(name) for name in names_in(module, scope) if not _is_layer(name)):
        return
    name = _weights(module, found)
    if name is None:
        return
    message = f"{name} adds up to less than 1, by how much depends on the router's confidence, and scales the output"
    try:
        fix = _fix(module, found, name)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(node, message, fix=fix)


def _is_layer(name: str) -> bool:
    """A normalisation of activations: `self.norm1`, `LayerNorm`."""
    return bool(re.search(r"layer_?norm|^(rms|batch|group|instance)_?norm|^norm\d*$|norm_?layer", name, re.I))


def _is_softmax(module: Module, node: ast.expr) -> bool:
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    for _ in range(6):
        op = tensor_op(module, value, "softmax", *SAME_VALUE) if isinstance(value, ast.Call) else None
        if op is None:
            return False
        if op.name == "softmax":
            return constant(module, op.args.get("dim")) in (-1, 1, 2)
        value = module.flow(op.input).value(op.input) if isinstance(op.input, ast.Name) else op.input
    return False


def _weights(module: Module, found: Selection) -> str | None:
    """The name of the selected probabilities, when they are factors and nothing divides them."""
    statement = module.statement(found.call)
    if not isinstance(statement, ast.Assign) or statement.value is not found.call or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != 2:
        return None
    name = target.elts[0]
    if not isinstance(name, ast.Name):
        return None
    reads = reads_of(module, statement, name.id)
    if not reads:
        return None
    kinds = [use_as_weight(module, read) for read in reads]
    return name.id if "factor" in kinds and "other" not in kinds else None


def _fix(module: Module, found: Selection, name: str) -> Fix:
    assert found.op is not None
    dim = found.op.args.get("dim")
    text = module.source(dim) if dim is not None else "-1"
    statement = module.statement(found.call)
    edit = rewrite.insert_after(module, statement, f"{name} = {name} / {name}.sum(dim={text}, keepdim=True)")
    return Fix(
        title="divide the selected probabilities by their sum",
        edits=(edit,),
        applicability=Applicability.UNSAFE,
        claim=weighs(module, found, name, whole=True, change=_CHANGE),
    )


RULE = Rule(
    name="top-k-not-renormalised",
    summary="The selected probabilities weight the experts without being divided by their sum.",
    severity=Severity.INFO,
    triggers=((b"topk(",), (b"softmax",), (b"expert", b"Expert", b"rout", b"gate")),
    anchor=re.compile(r"topk\("),
    beside=re.compile(r"softmax"),
    nodes=(ast.Call,),
    check=check,
)
