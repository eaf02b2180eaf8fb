"""A loss with its graph is stored in a list or dictionary that outlives the step.

The defect
----------
`losses.append(loss)` beside `loss.backward()`, or a record for logging that holds the very loss that is returned to be
differentiated: `return loss, {"loss": loss}`.

Why it hurts
------------
A stored loss holds its graph, and the graph whatever the backward pass does not free. A list over an epoch holds one a
turn. In a record for logging it may live longer than the step, and before the backward pass has run it holds every
activation of the model: with gradient accumulation, or a logger that averages records, memory is that of several
batches.

Before
------

    for batch in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch))
        loss.backward()
        optimizer.step()
        losses.append(loss)

After
-----

    for batch in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

Try it
------

    import torch

    model = torch.nn.Linear(4, 1)
    kept = {False: [], True: []}
    for _ in range(5):
        loss = model(torch.ones(8, 4)).square().mean()
        loss.backward()
        for detach, losses in kept.items():
            losses.append(loss.detach() if detach else loss)
    assert [value.grad_fn is not None for value in kept[False]] == [True] * 5
    assert [value.grad_fn is not None for value in kept[True]] == [False] * 5
    assert [float(v) for v in kept[False]] == [float(v) for v in kept[True]]

When the fix is safe
--------------------
The stored value is the same number on the same device. The backward pass of the loss, or of a sum that it is a term of,
runs beside it, or the loss itself is returned for it, so nothing needs the graph of the copy; a store that something
differentiates is left alone.

Left alone
----------
Stores that something differentiates, or that the loop starts anew; losses whose backward pass keeps its graph; the
dictionary that is itself what is differentiated (`return {"loss": loss}`, as Lightning and detection models have it);
records whose name does not say that they are for logging.

Sources
-------
PyTorch documentation: "Frequently Asked Questions", "My model reports cuda runtime error(2): out of memory".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.loops._losses import has_run_backward, innermost_loop, is_differentiated, starts_outside

_RECORD = re.compile(r"log(s|_|ging|$)|metric|stat(s|istics)|monitor|report|summar|record|scalars|track", re.I)
_NOT_A_RECORD = re.compile(r"logit|log_?prob|state", re.I)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if isinstance(node, ast.Return):
        yield from _returned(node, context)
        return
    module = context.module
    kept = _kept(node)
    if kept is None:
        return
    store, loss, start = kept
    loop = innermost_loop(module, node)
    if loop is None or not has_run_backward(module, loop, loss):
        return
    if starts_outside(module, loop, store) != start or is_differentiated(module, store) or is_test(module, node):
        return
    text = ast.unparse(store)
    message = f"{text} outlives the step and keeps the graph of every {loss.id} in it"
    yield _finding(context, loss, [loss], message, (text,), {"start": start})


def _kept(node: ast.AST) -> tuple[ast.expr, ast.Name, str] | None:
    """The store, the loss and what the store starts as: of `losses.append(loss)` and `losses[key] = loss`."""
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Attribute) or node.func.attr != "append" or len(node.args) != 1:
            return None
        loss, store = _reduced(node.args[0]), node.func.value
        if isinstance(loss, ast.Name) and isinstance(store, (ast.Name, ast.Attribute)):
            return store, loss, "[]"
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        store, loss = node.targets[0].value, _reduced(node.value)
        if isinstance(loss, ast.Name) and isinstance(store, (ast.Name, ast.Attribute)):
            return store, loss, "{}"
    return None


def _reduced(value: ast.expr) -> ast.expr:
    """`loss` in `loss.mean()` and `loss.sum()`."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("mean", "sum"):
        return value.func.value if not value.args and not value.keywords else value
    return value


# -- returned beside the loss ------------------------------------------------------------------------------------


def _returned(node: ast.Return, context: Context) -> Iterator[Finding]:
    """`return loss, ..., record` where the record holds the loss."""
    module = context.module
    if not isinstance(node.value, ast.Tuple) or len(node.value.elts) < 2 or is_test(module, node):
        return
    losses = [e for e in node.value.elts if isinstance(e, ast.Name) and "loss" in e.id.lower()]
    if not losses or losses[0] is not node.value.elts[0]:
        return
    for element in node.value.elts[1:]:
        record, name, names = _record(module, element)
        if record is None or not names:
            continue
        held = [
            v
            for k, v in zip(record.keys, record.values, strict=True)
            if isinstance(k, ast.Constant) and isinstance(k.value, str) and _is_the_loss(module, v, losses[0])
        ]
        if held and _is_computed(module, losses[0]):
            which = f"{name} holds" if name else "the record holds"
            message = f"{which} {losses[0].id} with its graph beside the {losses[0].id} that is returned for backward"
            results = tuple(f"{name}[{_key(record, v)}]" for v in held) if name else ()
            yield _finding(context, held[0], held, message, results, {}, None if name else node)


def _record(module: Module, element: ast.expr) -> tuple[ast.Dict | None, str, bool]:
    """The dictionary that is returned, its name, and whether it is certainly a record for logging."""
    if isinstance(element, ast.Name):
        if not _RECORD.search(element.id) or _NOT_A_RECORD.search(element.id):
            return None, "", False
        value = module.flow(element).value(element)
        return (value, element.id, True) if isinstance(value, ast.Dict) else (None, "", False)
    return None, "", False


def _key(record: ast.Dict, value: ast.expr) -> str:
    return next(ast.unparse(k) for k, v in zip(record.keys, record.values, strict=True) if v is value and k is not None)


def _is_the_loss(module: Module, value: ast.expr, loss: ast.Name) -> bool:
    if not isinstance(value, ast.Name) or value.id != loss.id:
        return False
    one, two = module.flow(value).definition(value), module.flow(loss).definition(loss)
    return one is not None and two is not None and one.statement is two.statement


def _is_computed(module: Module, loss: ast.Name) -> bool:
    """Whether the loss is computed here of what a model gives, with gradients."""
    scope = module.function_scope(loss)
    decorators = [ast.unparse(d) for d in getattr(scope, "decorator_list", [])]
    if any("no_grad" in d or "inference_mode" in d for d in decorators):
        return False
    found = module.flow(loss).definition(loss)
    if found is None or found.value is None or not isinstance(found.value, (ast.Call, ast.BinOp)):
        return False
    text = ast.unparse(found.value)
    if text.endswith((".item()", ".detach()", ".data")) or "no_grad" in module.source(scope):
        return False
    return any(isinstance(n, ast.Call) and _runs_model(n) for n in own_nodes(scope))


def _runs_model(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return bool(re.search(r"model|net(work)?$|forward|encoder|decoder|module", name, re.I))


# -- the fix -----------------------------------------------------------------------------------------------------


def _finding(
    context: Context,
    node: ast.AST,
    losses: list[ast.Name] | list[ast.expr],
    message: str,
    results: tuple[str, ...],
    parameters: dict[str, str],
    region: ast.AST | None = None,
) -> Finding:
    module = context.module
    edits: list[Edit] = []
    try:
        for loss in losses:
            edits += rewrite.replace(module, loss, "{x}.detach()", x=loss)
    except Unrewritable as reason:
        return context.finding(node, message, why=str(reason))
    span: Span | None = module.span(region) if region is not None else None
    name = ast.unparse(losses[0])
    fix = Fix(
        title=f"store {name}.detach(), the same value without its graph",
        edits=tuple(edits),
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, region=span, results=results, hazard=("graph",), parameters=parameters),
    )
    return context.finding(node, message, fix=fix)


RULE = Rule(
    name="graph-in-metrics",
    summary="A loss with its graph is stored where it outlives the step.",
    severity=Severity.WARNING,
    triggers=((b"loss",), (b"backward(", re.compile(rb"return \w*loss"))),
    anchor=re.compile(
        r"append\(\w+(?:\.(?:mean|sum)\(\))?\)|\]\s*=\s*\w+(?:\.(?:mean|sum)\(\))?\s*$"
        r"|return \w*loss\w*\s*,|: \w*loss\w*,",
        re.M,
    ),
    nodes=(ast.Call, ast.Assign, ast.Return),
    check=check,
    beside=re.compile(r"backward\(|return \w*loss"),
)
