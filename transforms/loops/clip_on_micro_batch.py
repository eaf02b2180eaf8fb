"""An Accelerate loop clips on every micro-batch of an accumulation.

The defect
----------
Under `accelerator.accumulate(model)` the clip runs in every turn, without `if accelerator.sync_gradients:`, while the
step takes effect only in the turn that completes the accumulation.

Why it hurts
------------
The bound is for the gradient that the optimizer steps on. Clipped in every turn, the partial sums are bounded one after
the other: what one outlier batch contributed is scaled down together with all batches before it, and the direction of
the sum depends on the order of the micro-batches. With more than one process it also bounds gradients that have not
been averaged yet.

Before
------

    for batch in loader:
        with accelerator.accumulate(model):
            loss = model(**batch).loss
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

After
-----

    for batch in loader:
        with accelerator.accumulate(model):
            loss = model(**batch).loss
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

Try it
------

    import torch

    def direction(every_turn):
        weight = torch.nn.Parameter(torch.zeros(2))
        for gradient in (torch.tensor([0.0, 10.0]), torch.tensor([1.0, 0.0])):
            (weight * gradient).sum().backward()
            if every_turn:
                torch.nn.utils.clip_grad_norm_([weight], 1.0)
        torch.nn.utils.clip_grad_norm_([weight], 1.0)
        return weight.grad / weight.grad.norm()

    assert direction(every_turn=False)[0] < 0.11
    assert direction(every_turn=True)[0] > 0.7

When the fix is safe
--------------------
While the norm of the sums stays below the bound every step is what it was, bit for bit; above it the step sees the
whole gradient scaled down to the bound.

Left alone
----------
Loops that accumulate by hand, where the clip may stand where it belongs; clips that any condition guards; loops without
`accelerator.accumulate`.

Sources
-------
Accelerate documentation: "Performing gradient accumulation" and `Accelerator.clip_grad_norm_`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Scalar, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import own_nodes, same
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.loops._loops import backward_call, optimizer_step

_CLIPS = ("clip_grad_norm_", "clip_grad_value_")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _CLIPS:
        return
    module, owner = context.module, node.func.value
    if "accelerator" not in ast.unparse(owner).lower() or len(node.args) < 2 or is_test(module, node):
        return
    block = _accumulation(module, node, owner)
    if block is None or not _trains(module, block):
        return
    name = module.source(owner)
    message = (
        f"the gradients are clipped on every micro-batch: clip when {name}.sync_gradients says that they are complete"
    )
    statement = module.statement(node)
    indent = module.indentation(statement)
    if indent is None or not isinstance(statement, ast.Expr) or statement.value is not node:
        why = "its result is used in every turn; compute it under `if accelerator.sync_gradients:` and use it there"
        yield context.finding(node, message, why=why)
        return
    start, end = module.chars(statement)
    unit = "\t" if "\t" in indent else "    "
    text = module.text[start:end].replace("\r\n", "\n").replace("\r", "\n").replace("\n", f"\n{unit}")
    edit = Edit(module.char_span(start, end), f"if {name}.sync_gradients:\n{indent}{unit}{text}")
    fix = Fix(
        title=f"clip under `if {name}.sync_gradients:`, once a step",
        edits=(edit,),
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLIP,
            parameters=_bound(node),
            change="gradients beyond the bound are clipped when they are complete; all others stay as they are",
            extra=("moved",),
        ),
    )
    yield context.finding(node, message, fix=fix)


def _accumulation(module: Module, node: ast.Call, owner: ast.expr) -> ast.With | None:
    """The `with accelerator.accumulate(...)` around a clip that no condition guards."""
    for ancestor in module.ancestors(node):
        if isinstance(
            ancestor, (ast.If, ast.FunctionDef, ast.AsyncFunctionDef, ast.For, ast.While, ast.IfExp, ast.BoolOp)
        ):
            return None
        if isinstance(ancestor, ast.With):
            calls = [i.context_expr for i in ancestor.items if isinstance(i.context_expr, ast.Call)]
            functions = [c.func for c in calls if isinstance(c.func, ast.Attribute)]
            if any(f.attr == "accumulate" and same(f.value, owner) for f in functions):
                return ancestor
    return None


def _trains(module: Module, block: ast.With) -> bool:
    nodes = list(own_nodes(block))
    return any(backward_call(module, n) for n in nodes) and any(optimizer_step(module, n) for n in nodes)


def _bound(call: ast.Call) -> dict[str, Scalar]:
    assert isinstance(call.func, ast.Attribute)
    kind = "clip_value" if call.func.attr == "clip_grad_value_" else "max_norm"
    value = call.args[1]
    written = isinstance(value, ast.Constant) and isinstance(value.value, (int, float)) and value.value > 0
    return {kind: float(value.value) if written else 1.0}  # type: ignore[attr-defined]


RULE = Rule(
    name="clip-on-micro-batch",
    summary="An Accelerate loop clips on every micro-batch of an accumulation.",
    severity=Severity.WARNING,
    triggers=((b".accumulate(",), (b"clip_grad_",)),
    anchor=re.compile(r"clip_grad_"),
    nodes=(ast.Call,),
    check=check,
)
