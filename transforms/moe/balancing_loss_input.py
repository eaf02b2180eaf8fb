"""A load-balancing loss is computed from something else than the router's probabilities of all experts.

The defect
----------
The loss wants the probability of every expert: a softmax over all logits of the router, or what else its experts are
chosen by. Here it gets the raw logits, on one branch or always; or a softmax over the chosen logits alone; or one over
values that the router of this file has put through a softmax already; or a softmax where the experts are scored by
another function.

Why it hurts
------------
Raw logits have no lower bound, and neither has the loss: lowering all of them by 1 lowers it by E, and it falls
without end while the load stays as it is. Over the chosen logits alone the probabilities of a token add up to 1
whatever the router does, and an average over them is a constant: in the snippet the loss has a gradient of exactly
zero. A softmax of probabilities lies between 1/E and a little more: the loss hardly rises above 1 however lopsided the
load is. In the snippet one expert of 8 receives everything with certainty; the loss should be 8 and is 2.2.

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
    of_logits, lowered = (8 * (share * p.mean(dim=0)).sum() for p in (logits, logits - 1))
    torch.testing.assert_close(lowered, of_logits - 8)

When the fix is safe
--------------------
It is not: the loss is another one, on purpose, and its coefficient may have been tuned with the wrong one. Logits are
put through the softmax that the other branches take; a second softmax is taken away. Where the shapes that the loss is
computed with hang together with where its softmax stands, and beside experts that are chosen by their sigmoid, there is
no fix.

Left alone
----------
Losses whose softmax is over all logits; routers that return logits, or both logits and probabilities; files in which
the router is not in view; z-losses and other functions of the logits; losses of noisy gates, which are made of sums.

Sources
-------
Fedus, Zoph, Shazeer: Switch Transformers (2021), equations 4 to 6; DeepSeek-AI: DeepSeek-V3 (2024), equations 17 to 20,
for scores that are sigmoids divided by their sum.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import Op, tensor_op
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.moe._experts import softmax_of
from autofix.transforms.moe._raw_scores import LOSS, Raw, raw_mean, raw_on_a_branch
from autofix.transforms.routing._spelling import is_simple
from autofix.tree import children, last_part, parameter_names, walk

_ROUTER_CLASS = re.compile(r"router|gate$|gating", re.I)
_SCORE_FUNCTION = re.compile(r"scor(e|ing)_?func|gating_?func|gate_?act|scoring_?(type|mode)|score_?(type|mode)", re.I)
_JOINS = ("torch.cat", "torch.concat", "torch.stack")
_DEPTH = 6
_WHY = "the shapes of the loss hang together with where its softmax stands; take the softmax of all logits, once"
_CHANGE = "the load-balancing loss is computed from the probabilities of all experts, so its value is another one"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call):
        return
    op = tensor_op(module, node, "softmax")
    if op is not None:
        yield from _softmax(op, context)
    elif LOSS.search(last_part(node.func)):
        branch = raw_on_a_branch(module, node)
        if branch is not None:
            yield _raw(branch, "on this branch the load-balancing loss gets raw logits, on the others", context)
            return
        mean = raw_mean(module, node)
        if mean is not None:
            yield _raw(mean, "the load-balancing loss averages raw logits where it wants", context)


def _softmax(op: Op, context: Context) -> Iterator[Finding]:
    module, node = context.module, op.call
    function = module.function_scope(node)
    if not isinstance(function, ast.FunctionDef):
        return
    in_loss = LOSS.search(function.name) is not None
    router = None
    if in_loss and _is_of_chosen(module, op.input):
        message = "the load-balancing loss takes its softmax over the chosen logits alone: their sum is always 1"
        yield context.finding(node, message, why=_WHY)
        return
    if in_loss and _comes_from_parameter(module, op.input, function, 0):
        router = _router_of_probabilities(module)
    if router is not None:
        message = f"the load-balancing loss takes a softmax of what {router} has put through a softmax already"
        edits = rewrite.replace(module, node, "{x}", x=op.input)
        fix = _fix("take the probabilities as they are", edits, "flattened", module.source(op.input))
        yield context.finding(node, message, fix=fix)
    elif _feeds_loss(module, op):
        yield from _scored_otherwise(op, function, context)


def _fix(title: str, edits: tuple[Edit, ...], hazard: str = "whole shares", shares: str = "") -> Fix:
    """hazard: what the loss makes of the router's output. shares: source text of what holds probabilities already."""
    parameters = {"simplex": shares} if shares else {}
    claim = Claim(Relation.INTENDED, hazard=("value", "gradient", hazard), parameters=parameters, change=_CHANGE)
    return Fix(title=title, edits=edits, applicability=Applicability.UNSAFE, claim=claim)


# -- raw logits ----------------------------------------------------------------------------------------------------


def _raw(found: Raw, what: str, context: Context) -> Finding:
    module = context.module
    message = f"{what} probabilities: it has no lower bound and falls without end"
    if found.elsewhere:
        return context.finding(found.at, message, why=f"{found.elsewhere}; give the loss a softmax of its own")
    given = found.like.args.get("dtype") if found.like is not None else None
    precision = f", dtype={module.source(given)}" if given is not None else ""
    edits = rewrite.replace(module, found.at, f"{{x}}.softmax(dim=-1{precision})", x=found.at)
    return context.finding(found.at, message, fix=_fix("give the loss the softmax of all logits", edits))


# -- a softmax beside experts that are scored by something else ----------------------------------------------------


def _scored_otherwise(op: Op, function: ast.FunctionDef, context: Context) -> Iterator[Finding]:
    """A softmax for the loss, of logits whose sigmoid chooses the experts, or that a setting decides about."""
    module = context.module
    if not isinstance(op.input, ast.Name):
        return
    above = [a for a in module.ancestors(op.call) if isinstance(a, ast.If)]
    if any(_SCORE_FUNCTION.search(ast.unparse(a.test)) for a in above):
        return
    for other in walk(function):
        if not isinstance(other, ast.Call) or other is op.call:
            continue
        settings = [k for k in other.keywords if k.arg and _SCORE_FUNCTION.search(k.arg)]
        if settings and _is_given(module, other, op.input) and not isinstance(settings[0].value, ast.Constant):
            message = (
                f"the experts are scored as {module.source(settings[0].value)} says, but the load-balancing loss "
                "always takes a softmax of the logits"
            )
            why = "compute the loss from the scores that the experts are chosen by, divided by their sum"
            yield context.finding(op.call, message, why=why, severity=Severity.INFO)
            return
        scores = _choosing_sigmoid(module, other, op)
        if scores is not None:
            message = f"the experts are chosen by {scores}, a sigmoid, but the load-balancing loss takes a softmax"
            why = f"divide {scores} by its sum, and compute the loss from that"
            yield context.finding(op.call, message, why=why, severity=Severity.INFO)
            return


def _feeds_loss(module: Module, op: Op) -> bool:
    """Whether what a softmax is bound to is an argument of a balancing loss, and of nothing else."""
    statement = module.statement(op.call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is op.call else None
    if not isinstance(target, ast.Name):
        return False
    reads = module.flow(statement).certain_readers(target.id, statement)
    return bool(reads) and all(_is_argument_of_loss(module, r) for r in reads)


def _is_argument_of_loss(module: Module, read: ast.Name) -> bool:
    parent = module.parent(read)
    call = module.parent(parent) if isinstance(parent, ast.keyword) else parent
    if not isinstance(call, ast.Call) or call.func is read:
        return False
    return any(LOSS.search(last_part(n)) for n in (call.func, *call.args))


def _is_given(module: Module, call: ast.Call, logits: ast.Name) -> bool:
    found = module.flow(logits).definition(logits)
    given = [
        a for a in [*call.args, *(k.value for k in call.keywords)] if isinstance(a, ast.Name) and a.id == logits.id
    ]
    return found is not None and any(module.flow(a).definition(a) == found for a in given)


def _choosing_sigmoid(module: Module, call: ast.Call, op: Op) -> str | None:
    """The name of a sigmoid of the same logits, always computed before the softmax, that `topk` selects from."""
    sigmoid = tensor_op(module, call, "sigmoid")
    if sigmoid is None or not isinstance(op.input, ast.Name) or softmax_of(module, call) is None:
        return None
    inside = [n for n in walk(sigmoid.input) if isinstance(n, ast.Name)]
    found = module.flow(op.input).definition(op.input)
    if found is None or len(inside) != 1 or module.flow(inside[0]).definition(inside[0]) != found:
        return None
    statement = module.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is call else None
    if not isinstance(target, ast.Name):
        return None
    reached = module.flow(op.call).definition_before(target.id, module.statement(op.call))
    if reached is None or reached.statement is not statement:
        return None
    for read in module.flow(statement).certain_readers(target.id, statement):
        around = module.parent(read)
        chosen = around if isinstance(around, ast.Call) else module.parent(around) if around is not None else None
        if isinstance(chosen, ast.Call) and tensor_op(module, chosen, "topk") is not None and is_simple(read):
            return target.id
    return None


# -- logits that are chosen or scored already ----------------------------------------------------------------------


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
    beside=re.compile(r"balanc|aux_?loss|auxiliary_?loss|router_?loss|switch_?loss|l_?aux"),
    further=(
        (re.compile(r"balanc\w*\(|aux_?loss\w*\(|auxiliary_?loss\w*\(|router_?loss\w*\(|switch_?loss\w*\("), None),
    ),
)
