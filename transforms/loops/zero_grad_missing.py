"""A loop steps an optimizer on gradients that nothing sets to zero.

The defect
----------
`backward()` adds to the gradients that are there. A loop runs it and the optimizer's `step()` turn after turn, and
nothing empties the gradients in between: no `zero_grad` of the optimizer or of a model, nothing done by hand.

Why it hurts
------------
Every step goes along the sum of all gradients since the loop began: after a thousand turns the newest batch is a
thousandth of it. The sum keeps growing, so plain SGD overshoots further and further, and adaptive methods follow a
direction that is out of date; the loss falls at first, then swings or diverges, and no learning rate repairs it.

With a `GradScaler` little is left of old gradients, since unscaling divides them by the loss scale each time. But that
scaler finds its scale by overflowing: the gradients of that turn are infinite, whatever is added to infinity is no less
so, and the scaler skips every later step while its scale falls to zero.

Before
------

    for batch, target in loader:
        loss = criterion(model(batch), target)
        loss.backward()
        optimizer.step()

After
-----

    for batch, target in loader:
        loss = criterion(model(batch), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

Try it
------

    import torch

    seen = {}
    for zero in (False, True):
        weight = torch.nn.Parameter(torch.tensor(1.0))
        optimizer = torch.optim.SGD([weight], lr=0.3)
        for turn in range(30):
            if zero:
                optimizer.zero_grad(set_to_none=True)
            (weight * weight).backward()
            optimizer.step()
        seen[zero] = (abs(weight.item()), abs(weight.grad.item()))
    assert seen[True][0] < 1e-6  # the minimum, with fresh gradients
    assert seen[False][0] > 0.1 and seen[False][1] > 0.1  # it swings for ever

When the fix is safe
--------------------
It is not: the first step is the same, all later ones are others, which is the point, but a loop may sum gradients up on
purpose. It therefore needs `--unsafe-fixes`. `zero_grad` is written before the first backward pass of the turn; where
the step runs only every so many turns, behind the step, so that accumulation keeps working.

Left alone
----------
Loops in which anything empties gradients, in whatever spelling, or may do so out of view: a function that is handed the
optimizer, a method of a base class, callbacks, trainers, engines, hooks; optimizers of unknown make, whose `step` may
do it; closures; steps that are not repeated by a loop of the same function; files that write to `.grad`; tests.

Sources
-------
PyTorch documentation: `torch.optim.Optimizer.zero_grad`; "Optimizing Model Parameters" among the tutorials.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes, same
from autofix.transforms.loops._clipping import inside_optimizer, is_test, trains
from autofix.transforms.loops._loops import LOOPS, Pair, backward_call, optimizer_step, pair
from autofix.transforms.loops._zeroing import leaves_zeroing_to_others, zeroed

_CONDITIONS = (ast.If, ast.Try, ast.Match, *LOOPS)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    step = optimizer_step(module, node)
    if step is None or is_test(module, node) or inside_optimizer(module, node):
        return
    found = pair(module, step)
    if found is None or found.call is not step.call or not trains(module, found):
        return
    loop = _loop(module, found)
    if loop is None or leaves_zeroing_to_others(module, step.optimizer) or zeroed(module, loop, step.optimizer):
        return
    around = _zeroed_around(module, loop, step.optimizer)
    if around and _is_conditional(module, found):
        return  # zeroed and stepped once for all turns of this loop
    optimizer = module.source(step.optimizer)
    message = f"nothing sets the gradients to zero between the turns, so {optimizer} steps along the sum of all of them"
    if around:
        message = (
            f"the gradients are set to zero before the loop only, so {optimizer} steps along the sum over its turns"
        )
    if step.scaler is not None:
        message = (
            "nothing sets the gradients to zero between the turns, so the first overflow, which a scaler expects, "
            f"stays in them: every later step of {optimizer} is skipped"
        )
    try:
        fix = _fix(module, found)
    except Unrewritable as reason:
        yield context.finding(step.call, message, why=str(reason))
        return
    yield context.finding(step.call, message, fix=fix)


def _loop(module: Module, found: Pair) -> ast.stmt | None:
    """The innermost loop of this function that repeats the backward pass and the step, and goes on afterwards."""
    for ancestor in module.ancestors(found.first):
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            return None
        if isinstance(ancestor, LOOPS):
            return None if isinstance(ancestor.body[-1], (ast.Break, ast.Return, ast.Raise)) else ancestor
    return None


def _zeroed_around(module: Module, loop: ast.stmt, optimizer: ast.expr) -> bool:
    """Whether the function around the loop empties gradients outside of it."""
    inside = {id(n) for n in own_nodes(loop)}
    scope = module.function_scope(loop)
    return any(
        isinstance(n, ast.Attribute) and n.attr == "zero_grad" and id(n) not in inside and same(n.value, optimizer)
        for n in own_nodes(scope)
    )


def _is_conditional(module: Module, found: Pair) -> bool:
    """Whether the step runs less often than the statement with its backward pass."""
    return isinstance(found.last, _CONDITIONS) and found.last is not found.first


def _fix(module: Module, found: Pair) -> Fix:
    optimizer = module.source(found.step.optimizer)
    if "\n" in optimizer or "\r" in optimizer:
        raise Unrewritable("the optimizer is spelled over several lines; give it a name")
    line = f"{optimizer}.zero_grad(set_to_none=True)"
    conditional = _is_conditional(module, found)
    edit = _behind(module, found, line) if conditional else rewrite.insert_before(module, _head(module, found), line)
    return Fix(
        title=f"call {line} {'behind the step' if conditional else 'before the backward pass'}",
        edits=(edit,),
        applicability=Applicability.UNSAFE,
        claim=Claim(
            Relation.INTENDED,
            hazard=("stale gradients",),
            change="every step but the first: it sees the gradients since the last step, not the sum of all of them",
        ),
    )


def _head(module: Module, found: Pair) -> ast.stmt:
    """The first statement of the block that runs a backward pass, behind the last one that steps an optimizer."""
    block = module.block(found.first)
    end = block.index(found.first)
    head = end
    for index in range(end - 1, -1, -1):
        nodes = list(own_nodes(block[index]))
        if any(optimizer_step(module, n) for n in nodes):
            break
        if any(backward_call(module, n) for n in nodes):
            head = index
    return block[head]


def _behind(module: Module, found: Pair, line: str) -> Edit:
    statement = module.statement(found.step.call)
    if not isinstance(statement, (ast.Expr, ast.Assign)):
        raise Unrewritable("the step is part of a larger statement; give it a line of its own")
    return rewrite.insert_after(module, statement, line)


RULE = Rule(
    name="zero-grad-missing",
    summary="A loop steps an optimizer on gradients that nothing sets to zero.",
    severity=Severity.WARNING,
    triggers=((b".step(",), (b"backward(",)),
    anchor=re.compile(r"\.step\("),
    nodes=(ast.Call,),
    check=check,
)
