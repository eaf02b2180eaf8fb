"""A softmax over the few logits that `topk` selected: for one expert it is the constant 1.

The defect
----------
A router selects k logits and takes the softmax of those alone. The softmax of a single number is 1, whatever the
number is.

Why it hurts
------------
With k = 1 the router's weight is 1 and its gradient exactly 0: it never learns where to send anything. For larger k
the form is sound (it equals the softmax over all experts, selected and divided by its sum), so a configuration that
only changes k silently switches the router's training off.

Before
------

    top, index = torch.topk(logits, 1, dim=-1)
    weights = torch.softmax(top, dim=-1)

After
-----

    top, index = torch.topk(torch.softmax(logits, dim=-1), 1, dim=-1)
    weights = top

Try it
------

    import torch

    logits = torch.tensor([[2.0, 1.0, -1.0]], requires_grad=True)
    top, index = torch.topk(logits, 1, dim=-1)
    weights = torch.softmax(top, dim=-1)
    assert weights.item() == 1 and torch.autograd.grad(weights.sum(), logits)[0].norm() == 0
    top, index = torch.topk(torch.softmax(logits, dim=-1), 1, dim=-1)
    assert torch.autograd.grad(top.sum(), logits)[0].norm() > 0

    two = torch.topk(logits, 2, dim=-1)[0].softmax(dim=-1)
    all_first = torch.topk(logits.softmax(dim=-1), 2, dim=-1)[0]
    torch.testing.assert_close(two, all_first / all_first.sum(dim=-1, keepdim=True))

When the fix is safe
--------------------
The same experts are selected. With k = 1 they are weighted by their probability, as in Switch Transformers, where they
were weighted by 1: that is another forward pass, so the fix is unsafe. Where k is configured, the written form divides
by the sum unless k is 1, and nothing but k = 1 changes.

Left alone
----------
A k that is larger than 1, also by default, or that a model takes from its configuration; a k that the code compares
with 1, or a choice between both orders that it offers; a softmax of what is a probability already; samplers. Of a
balancing loss `balancing-loss-input` speaks.

Sources
-------
Fedus et al.: Switch transformers (2021), equation 2; Shazeer et al.: Outrageously large neural networks (2017), for the
softmax over the selected ones.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import Op, constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._routing import functions_around, trains_nothing
from autofix.transforms.routing._selected import (
    Selection,
    how_many,
    is_logits,
    names_in,
    reads_of,
    routes_tokens,
    selection,
    squashed,
)
from autofix.transforms.routing._spelling import is_simple
from autofix.tree import walk

_BALANCE = re.compile(r"balanc|aux(iliary)?_?loss|switch_?loss", re.I)
_ORDER = re.compile(r"softmax_?(before|after)|(before|after)_?softmax|(pre|post)_?softmax|norm_?top_?k|renorm", re.I)
_CHANGE = "with k = 1 the selected expert is weighted by its probability in place of 1; for larger k nothing changes"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call) or not _calls_softmax(node):
        return
    op = tensor_op(module, node, "softmax")
    functions = functions_around(module, node)
    if op is None or not functions or not routes_tokens(module, node):
        return
    found = selection(module, op.input)
    if found is None or squashed(module, found.base) or not _is_last(module, op, found):
        return
    if _BALANCE.search(functions[0].name) or trains_nothing(module, node) or _is_one_of_two_orders(module, node):
        return
    number, certain = how_many(module, found.count)
    if certain and number != 1:
        return
    if not certain and (_looks_at(module, node, found) or not is_logits(module, found.base)):
        return
    if number != 1 and not (number is None and _is_parameter(module, found.count)):
        return
    if number == 1:
        message = "the softmax of the one selected logit is the constant 1, so the router gets no gradient"
        severity = Severity.ERROR if certain else Severity.WARNING
    else:
        k = module.source(found.count) if found.count is not None else "k"
        message = f"with {k} = 1 this softmax is the constant 1, and the router gets no gradient"
        severity = Severity.INFO
    try:
        fix = _fix(module, op, found, number if certain else None)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _is_parameter(module: Module, count: ast.expr | None) -> bool:
    """Whether the caller of a routing function chooses k. (A model that reads it from its configuration has weights
    that were trained with this form.)"""
    definition = module.flow(count).definition(count) if isinstance(count, ast.Name) else None
    return definition is not None and definition.kind == "parameter"


def _calls_softmax(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return "softmax" in name.lower() or name == "act"


def _is_last(module: Module, op: Op, found: Selection) -> bool:
    """Whether softmax and topk certainly work on the same dimension."""
    own = constant(module, op.args.get("dim"))
    other = constant(module, found.op.args.get("dim", ast.Constant(-1))) if found.op is not None else -1
    return own is not None and other is not None and (own == other or {own, other} == {-1, 1})


def _is_one_of_two_orders(module: Module, node: ast.Call) -> bool:
    """Whether a conditional expression takes this softmax or one in the other order."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            return False
        if isinstance(ancestor, ast.IfExp):
            return sum(isinstance(n, ast.Call) and _calls_softmax(n) for n in walk(ancestor)) > 1
    return False


def _looks_at(module: Module, node: ast.AST, found: Selection) -> bool:
    """Whether the code knows of k = 1, or offers the other order."""
    function = functions_around(module, node)[0]
    if any(_ORDER.search(name) for name in names_in(module, function)):
        return True
    if found.count is None:
        return True
    count = ast.unparse(found.count)
    cls = module.class_of(node)
    for part in walk(cls or functions_around(module, node)[-1]):
        if isinstance(part, ast.Compare) and isinstance(part.comparators[0], ast.Constant):
            same = ast.unparse(part.left).rpartition(".")[2] == count.rpartition(".")[2]
            if same and part.comparators[0].value in (1, 2):
                return True
    return False


def _fix(module: Module, op: Op, found: Selection, number: int | None) -> Fix:
    call = op.call
    held = op.input
    if not isinstance(held, ast.Name):
        raise Unrewritable("the selected logits have no name; take the softmax of all logits and select from that")
    definition = module.flow(held).definition(held)
    statement = definition.statement if definition is not None else None
    if not isinstance(statement, ast.Assign) or statement.value is not found.call:
        raise Unrewritable("the selected logits change on the way; take the softmax of all logits and select from that")
    reads = reads_of(module, statement, held.id)
    if reads is None or any(r is not held for r in reads):
        raise Unrewritable(f"{held.id} is read elsewhere as well; take the softmax of all logits and select from that")
    if module.block(statement) is not module.block(module.statement(call)):
        raise Unrewritable(
            "the softmax stands under another condition than the selection; take it before the selection"
        )
    edits: list[Edit] = [*rewrite.replace(module, found.base, _softmax(module, op), x=found.base)]
    if number == 1:
        edits += rewrite.replace(module, call, "{x}", x=held)
    else:
        if found.count is None or not is_simple(found.count):
            raise Unrewritable("k has no name that can be read again")
        dim = module.source(op.args["dim"])
        template = f"({{x}} / {{x}}.sum(dim={dim}, keepdim=True) if {{k}} > 1 else {{x}})"
        edits += rewrite.replace(module, call, template, x=held, k=found.count)
    return Fix(
        title="take the softmax over all experts, then select",
        edits=tuple(edits),
        applicability=Applicability.UNSAFE,
        claim=Claim(Relation.INTENDED, hazard=("zero-gradient",), change=_CHANGE),
    )


def _softmax(module: Module, op: Op) -> str:
    """The same call with another input."""
    if op.form == "method":
        rest: list[ast.expr | ast.keyword] = [*op.call.args, *op.call.keywords]
        template = f"{{x}}.softmax({_arguments(module, rest)})"
    elif op.form == "function":
        rest = [*op.call.args[1:], *(k for k in op.call.keywords if k.arg != "input")]
        template = f"{module.source(op.call.func)}({{x}}, {_arguments(module, rest)})"
    else:
        template = f"{module.source(op.call.func)}({{x}})"
    return template


def _arguments(module: Module, rest: list[ast.expr | ast.keyword]) -> str:
    return ", ".join(
        f"{p.arg}={module.source(p.value)}" if isinstance(p, ast.keyword) else module.source(p) for p in rest
    )


RULE = Rule(
    name="softmax-after-top-k",
    summary="A softmax over the few logits that `topk` selected: for one expert it is the constant 1.",
    severity=Severity.WARNING,
    triggers=((b"topk(",), (b"softmax", b"Softmax"), (b"expert", b"rout", b"gate", b"gating", b"moe", b"MoE")),
    anchor=re.compile(r"topk\("),
    beside=re.compile(r"softmax|self\.\w*(?:act|norm|prob)\w*\("),
    nodes=(ast.Call,),
    check=check,
)
