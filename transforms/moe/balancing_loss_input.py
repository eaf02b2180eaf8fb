"""A load-balancing loss is computed from something else than the router's probabilities of all experts.

The defect
----------
The loss wants the probability of every expert, a softmax over all logits of the router. Here the softmax is taken over
the chosen logits alone, or over values that the router of this file has put through a softmax already.

Why it hurts
------------
Over the chosen logits alone the probabilities of a token add up to 1 whatever the router does, and an average over
them is a constant: in the snippet the loss has a gradient of exactly zero. A softmax of probabilities lies between
1/E and a little more: the loss hardly rises above 1 however lopsided the load is. In the snippet one expert of 8
receives everything with certainty; the loss should be 8 and is 2.2.

Before
------

    weights, chosen = torch.topk(router_logits, top_k, dim=-1)
    weights = weights.softmax(dim=-1)
    mean_prob = weights.mean(dim=-1)

After
-----

    probs = router_logits.softmax(dim=-1)
    weights, chosen = torch.topk(probs, top_k, dim=-1)
    mean_prob = probs.mean(dim=0)

Try it
------

    import torch

    logits = torch.randn(64, 8, requires_grad=True)
    of_chosen = logits.topk(2, dim=-1).values.softmax(dim=-1).mean(dim=-1)
    assert torch.autograd.grad(of_chosen.sum(), logits)[0].abs().max() < 1e-6
    probs = torch.zeros(64, 8)
    probs[:, 0] = 1.0
    share = torch.nn.functional.one_hot(probs.argmax(dim=-1), 8).float().mean(dim=0)
    once, twice = (8 * (share * p.mean(dim=0)).sum() for p in (probs, probs.softmax(dim=-1)))
    assert once == 8 and twice < 2.3

When the fix is safe
--------------------
There is none to write: the shapes that the loss is computed with hang together with where its softmax stands, and a
router that returns logits serves other callers as well.

Left alone
----------
Losses whose softmax is over all logits; routers that return logits, or both logits and probabilities; files in which
the router is not in view.

Sources
-------
Fedus, Zoph, Shazeer: Switch Transformers (2021), equations 4 to 6.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.ops import tensor_op
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.moe._experts import softmax_of
from autofix.tree import children, parameter_names, walk

_LOSS = re.compile(r"balanc|aux(iliary)?_?loss|router_?loss|switch_?loss|l_?aux", re.I)
_ROUTER_CLASS = re.compile(r"router|gate$|gating", re.I)
_JOINS = ("torch.cat", "torch.concat", "torch.stack")
_DEPTH = 6
_WHY = "the shapes of the loss hang together with where its softmax stands; take the softmax of all logits, once"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    op = tensor_op(module, node, "softmax")
    if op is None or not isinstance(node, ast.Call):
        return
    function = module.function_scope(node)
    if not isinstance(function, ast.FunctionDef) or not _LOSS.search(function.name):
        return
    if _is_of_chosen(module, op.input):
        message = "the load-balancing loss takes its softmax over the chosen logits alone: their sum is always 1"
        yield context.finding(node, message, why=_WHY)
    elif _comes_from_parameter(module, op.input, function, 0):
        router = _router_of_probabilities(module)
        if router is not None:
            message = f"the load-balancing loss takes a softmax of what {router} has put through a softmax already"
            yield context.finding(node, message, why=_WHY)


def _is_of_chosen(module: Module, node: ast.expr) -> bool:
    """Whether a value is what `topk` keeps of logits."""
    if not isinstance(node, ast.Name):
        kept = node.value if isinstance(node, (ast.Attribute, ast.Subscript)) else None
        return kept is not None and _is_topk_of_logits(module, kept)
    found = module.flow(node).definition(node)
    if found is None or found.kind != "unpack" or not isinstance(found.statement, ast.Assign):
        return False
    target = found.statement.targets[0]
    is_first = isinstance(target, (ast.Tuple, ast.List)) and getattr(target.elts[0], "id", "") == node.id
    return is_first and _is_topk_of_logits(module, found.statement.value)


def _is_topk_of_logits(module: Module, node: ast.expr) -> bool:
    op = tensor_op(module, node, "topk")
    if op is None:
        return False
    value = module.flow(op.input).value(op.input) if isinstance(op.input, ast.Name) else op.input
    return tensor_op(module, value, "softmax", "sigmoid") is None


def _comes_from_parameter(module: Module, node: ast.expr, function: ast.FunctionDef, depth: int) -> bool:
    """Whether a value is a parameter, or parameters of several layers joined and moved."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Name):
        if node.id in parameter_names(function):
            return True
        values = [
            s.value for s in walk(function) if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") == node.id
        ]
        return len(values) == 1 and _comes_from_parameter(module, values[0], function, depth + 1)
    if isinstance(node, ast.Call) and module.qualified(node.func) in _JOINS and node.args:
        inside = [n for n in walk(node.args[0]) if isinstance(n, ast.Name)]
        return any(n.id in parameter_names(function) for n in inside)
    op = tensor_op(module, node, "float", "to", "view", "reshape")
    return op is not None and _comes_from_parameter(module, op.input, function, depth + 1)


def _router_of_probabilities(module: Module) -> str | None:
    """The one router class of the file, when what it returns first is its softmax over all experts."""
    routers = [
        (cls.name, forward)
        for cls in module.tree.body
        if isinstance(cls, ast.ClassDef) and _ROUTER_CLASS.search(cls.name)
        if (forward := module.method(cls, "forward")) is not None
    ]
    if len(routers) != 1:
        return None
    name, forward = routers[0]
    returned = [n.value for n in _own(forward) if isinstance(n, ast.Return) and n.value is not None]
    if len(returned) != 1 or not isinstance(returned[0], ast.Tuple) or not returned[0].elts:
        return None
    first = returned[0].elts[0]
    softmax = softmax_of(module, first)
    if softmax is None or softmax.name != "softmax" or tensor_op(module, softmax.input, "topk") is not None:
        return None
    logits = softmax.input.id if isinstance(softmax.input, ast.Name) else None
    also = {n.id for e in returned[0].elts for n in walk(e) if isinstance(n, ast.Name)}
    return None if logits in also and logits != getattr(first, "id", None) else name


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            pending.extend(children(node))


RULE = Rule(
    name="balancing-loss-input",
    summary="A load-balancing loss is computed from something else than the probabilities of all experts.",
    severity=Severity.WARNING,
    triggers=((b"balanc", b"aux_loss", b"auxiliary_loss", b"router_loss", b"switch_loss"), (b"softmax",), (b"xpert",)),
    anchor=re.compile(r"softmax\("),
    nodes=(ast.Call,),
    check=check,
    beside=re.compile(r"def \w*(?:balanc|aux_?loss|auxiliary_?loss|router_?loss|switch_?loss|l_?aux)"),
)
