"""`total_loss += loss` keeps the graph of every loss that is added.

The defect
----------
A loop runs the backward pass of a loss and adds the loss itself, a tensor with its graph, to a running sum.

Why it hurts
------------
The sum's graph grows by some nodes a turn and reaches back to the first one, so memory grows as long as the loop runs:
what a backward pass does not free (inputs that operations keep by reference, hooks, the loss tensors) stays alive. Ten
thousand additions make a graph of ten thousand nodes, and every operation on the sum appends to it.

Before
------

    for batch in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch))
        loss.backward()
        optimizer.step()
        total_loss += loss

After
-----

    for batch in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch))
        loss.backward()
        optimizer.step()
        total_loss += loss.detach()

Try it
------

    import torch

    model = torch.nn.Linear(4, 1)
    totals = {False: 0.0, True: 0.0}
    for _ in range(100):
        loss = model(torch.ones(8, 4)).square().mean()
        loss.backward()
        for detach in totals:
            totals[detach] += loss.detach() if detach else loss
    depth, node = 0, totals[False].grad_fn
    while node is not None:  # along the sum, back to the first turn
        depth, node = depth + 1, node.next_functions[0][0] if node.next_functions else None
    assert depth >= 100 and totals[True].grad_fn is None
    assert totals[False].item() == totals[True].item()

When the fix is safe
--------------------
The sum has the same value, on the same device, and no step changes. Nothing could have been differentiated through it:
the backward pass of each loss has freed its graph. `.detach()` does not wait for an accelerator, as `.item()` does.

Left alone
----------
A loss whose backward pass is not run in the same turn, or keeps its graph (`retain_graph=True`); sums that something
differentiates; sums that the loop starts anew; anything under `torch.no_grad()`; losses that are numbers already.
Where the loop runs over the few micro-batches of one step the finding is information.

Sources
-------
PyTorch documentation: "Frequently Asked Questions", "Don't accumulate history across your training loop".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.loops._loops import optimizer_step
from autofix.transforms.loops._losses import has_run_backward, innermost_loop, is_differentiated, starts_outside


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    added = _added(node)
    if added is None:
        return
    store, value = added
    loss = _loss_in(value)
    loop = innermost_loop(module, node)
    if loss is None or loop is None or not has_run_backward(module, loop, loss):
        return
    if starts_outside(module, loop, store) != "0" or is_differentiated(module, store) or is_test(module, node):
        return
    text = ast.unparse(store)
    short = _is_accumulation(module, loop)
    growth = (
        "for the micro-batches of one step, though it is never differentiated"
        if short
        else "so memory grows turn after turn"
    )
    message = f"{text} keeps the graph of every {loss.id} added to it, {growth}"
    severity = Severity.INFO if short else None
    try:
        edits = rewrite.replace(module, loss, "{x}.detach()", x=loss)
    except Unrewritable as reason:
        yield context.finding(value, message, why=str(reason), severity=severity)
        return
    fix = Fix(
        title=f"add {loss.id}.detach(), the same value without its graph",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, results=(text,), hazard=("graph",), parameters={"start": "0"}),
    )
    yield context.finding(value, message, fix=fix, severity=severity)


def _is_accumulation(module: Module, loop: ast.stmt) -> bool:
    """Whether the loop runs over the micro-batches of one step (`for _ in range(accumulate_steps)`): a handful."""
    if not isinstance(loop, ast.For) or any(optimizer_step(module, n) for n in own_nodes(loop)):
        return False
    return re.search(r"accum|micro", ast.unparse(loop.iter), re.I) is not None


def _added(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """The sum and what is added: of `s += x` and `s = s + x`."""
    if isinstance(node, ast.AugAssign):
        return (node.target, node.value) if isinstance(node.op, ast.Add) else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.BinOp):
        target, value = node.targets[0], node.value
        adds = isinstance(value.op, ast.Add) and isinstance(target, (ast.Name, ast.Attribute))
        if adds and ast.unparse(target) == ast.unparse(value.left):
            return target, value.right
    return None


def _loss_in(value: ast.expr) -> ast.Name | None:
    """The loss in `loss`, `loss * n`, `n * loss`, `loss / n`, where `n` is a number by its form."""
    if isinstance(value, ast.Name):
        return value
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, (ast.Mult, ast.Div)):
        return None
    if _is_count(value.right):
        return _loss_in(value.left)
    if isinstance(value.op, ast.Mult) and _is_count(value.left):
        return _loss_in(value.right)
    return None


def _is_count(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float))
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in ("len", "size", "numel", "item")
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
    names = (ast.Name, ast.Attribute)
    return isinstance(node, names) and bool(
        re.search(r"size|steps|accum|num_|^n$|count|batch", ast.unparse(node), re.I)
    )


RULE = Rule(
    name="loss-keeps-graph",
    summary="`total_loss += loss` keeps the graph of every loss that is added.",
    severity=Severity.WARNING,
    triggers=((b"backward(",), (b"+=", b" + ")),
    anchor=re.compile(r"\+=?\s"),
    nodes=(ast.AugAssign, ast.Assign),
    check=check,
    beside=re.compile(r"backward\("),
)
