"""A loop that accumulates gradients clips on every micro-batch.

The defect
----------
The clip runs in every turn, while the step takes effect only in the turn that completes the accumulation: under
`accelerator.accumulate(model)` without `if accelerator.sync_gradients:`, or in front of the
`if (i + 1) % accumulate == 0:` of a loop that accumulates by hand.

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
Clips that a condition guards (other than one on clipping itself); turns that empty the gradients each time, which
accumulate nothing; scaled gradients, which have to be unscaled first (`grad-clip-misplaced`).

Sources
-------
Accelerate documentation: "Performing gradient accumulation" and `Accelerator.clip_grad_norm_`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Scalar, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._accumulated import step_of_accumulation
from autofix.transforms.loops._bindings import last_name, own_nodes, same
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.loops._clips import claimed_bound, clip_call, unit_of
from autofix.transforms.loops._loops import backward_call, optimizer_step
from autofix.transforms.loops._moving import move_clip

_CLIPS = ("clip_grad_norm_", "clip_grad_value_")
_OWN_CLIP = re.compile(r"clip_?grad|grad(ient)?_?clip", re.I)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if not isinstance(node, ast.Call) or not _OWN_CLIP.search(last_name(node.func)):
        return
    module = context.module
    owner = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr in _CLIPS else None
    if owner is not None and "accelerator" in ast.unparse(owner).lower():
        yield from _accelerated(node, owner, context)
    elif _clips_parameters(module, node) and not is_test(module, node):
        yield from _by_hand(node, context)


def _clips_parameters(module: Module, node: ast.Call) -> bool:
    """Whether a call clips gradients: torch's function, or one of the project's, handed `<model>.parameters()`."""
    if clip_call(module, node) is not None:
        return True
    first = node.args[0] if node.args else None
    if (module.qualified(node.func) or "").startswith("torch.") or not isinstance(first, ast.Call):
        return False
    return isinstance(first.func, ast.Attribute) and first.func.attr == "parameters"


def _by_hand(node: ast.Call, context: Context) -> Iterator[Finding]:
    """A clip in every turn, and the step behind it in every so many."""
    module, unit = context.module, unit_of(context.module, node)
    step = step_of_accumulation(module, unit)
    if step is None or any(word in module.source(module.function_scope(node)) for word in ("unscale_", ".scale(")):
        return
    message = (
        "the gradients are clipped on every micro-batch: clip once, immediately before the step, when they are complete"
    )
    if not isinstance(module.statement(node), ast.Expr):
        why = "its result is used in every turn; clip before the step, and use its result there"
        yield context.finding(node, message, why=why)
        return
    try:
        edits = move_clip(module, unit, step, module.function_scope(node))
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    found = clip_call(module, node)
    bound: dict[str, Scalar] = claimed_bound(found) if found is not None else {"max_norm": 1.0}
    title = "move the clip to the step that it is for, once an accumulation"
    yield context.finding(node, message, fix=_fix(title, edits, bound))


def _fix(title: str, edits: tuple[Edit, ...], bound: dict[str, Scalar]) -> Fix:
    return Fix(
        title=title,
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLIP,
            parameters=bound,
            change="gradients beyond the bound are clipped when they are complete; all others stay as they are",
            extra=("moved", "micro-batches"),
        ),
    )


def _accelerated(node: ast.Call, owner: ast.expr, context: Context) -> Iterator[Finding]:
    """A clip of Accelerate in every turn of an accumulation that Accelerate counts."""
    module = context.module
    if len(node.args) < 2 or is_test(module, node):
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
    title = f"clip under `if {name}.sync_gradients:`, once a step"
    yield context.finding(node, message, fix=_fix(title, (edit,), _bound(node)))


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
    summary="A loop that accumulates gradients clips on every micro-batch.",
    severity=Severity.WARNING,
    triggers=((b".accumulate(", b" % "), (b"clip_grad", b"grad_clip"), (b".step(", b"optimizer_step("), (b"backward",)),
    anchor=re.compile(r"clip_grad|grad_clip"),
    nodes=(ast.Call,),
    check=check,
    beside=re.compile(r"backward"),
)
