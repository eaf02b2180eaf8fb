"""The router's weights are taken off the graph before they weight the experts' outputs.

The defect
----------
`detach()`, `.data`, `item()` or a `no_grad` block stands between the router's logits and the product with what the
experts or heads compute, and nothing else carries a gradient to the router.

Why it hurts
------------
The forward pass is that of a routed model, and the loss falls, because the experts learn. The router stays as it was
initialised: its parameters get no gradient from the task at all.

Before
------

    weights = torch.softmax(self.gate(x), dim=-1).detach()
    return (outputs * weights.unsqueeze(-1)).sum(dim=-2)

After
-----

    weights = torch.softmax(self.gate(x), dim=-1)
    return (outputs * weights.unsqueeze(-1)).sum(dim=-2)

Try it
------

    import torch

    gate, x, outputs = torch.nn.Linear(4, 2), torch.randn(3, 4), torch.randn(3, 2, 5)
    weights = torch.softmax(gate(x), dim=-1).detach()
    before = (outputs * weights.unsqueeze(-1)).sum(dim=-2)
    weights = torch.softmax(gate(x), dim=-1)
    after = (outputs * weights.unsqueeze(-1)).sum(dim=-2)
    assert torch.equal(before, after) and not before.requires_grad
    assert torch.autograd.grad(after.square().sum(), gate.weight)[0].norm() > 0

When the fix is safe
--------------------
No value changes; the gradient reaches the router. Whoever wrote `detach()` may have meant it (a router that is trained
by another loss, a frozen one), so the fix is unsafe. For a `no_grad` block there is none: what else stands in it is the
author's to sort.

Left alone
----------
Weights for logging and losses; estimators (`hard + soft - soft.detach()`); routers whose weights multiply the outputs
on the graph somewhere else, are handed out or handed on; a router's detached *input* (the router itself still learns);
teachers, frozen and reference models; samplers and evaluation.

Sources
-------
PyTorch documentation: `torch.Tensor.detach`, "Locally disabling gradient computation".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import constant, tensor_op
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing._hard_choice import from_router
from autofix.transforms.routing._ranked import SAME_VALUE
from autofix.transforms.routing._routing import functions_around, has_gradient_already, trains_nothing
from autofix.transforms.routing._selected import names_in, reads_of, routes_tokens
from autofix.tree import walk

_FROZEN = re.compile(
    r"teacher|frozen|freeze|(?<![a-z])ref(erence)?(?![a-z])|target|(?<![a-z])ema(?![a-z])|distil", re.I
)
_ALIKE = (
    *SAME_VALUE, "unsqueeze", "view", "reshape", "expand", "squeeze", "transpose", "permute", "softmax", "sigmoid",
    "normalize", "gather", "topk", "div", "flatten",
)  # fmt: skip
_STOPS = ("detach", "item", "data")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if isinstance(node, ast.With):
        yield from _without_gradients(node, context)
        return
    stopped = _stopped(node)
    if stopped is None or not isinstance(node, ast.expr) or not _is_of_interest(node, context.module):
        return
    module = context.module
    if not from_router(module, stopped) or _is_used_elsewhere(module, node, stopped):
        return
    if not any(_is_factor(module, read, 0) for read in _places(module, node)):
        return
    what = "detach()" if not isinstance(node, ast.Attribute) else ".data"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        what = f"{node.func.attr}()"
    message = f"{what} keeps the task's gradient from the router: the weights that it computes are never learnt"
    start, end = module.chars(stopped)[1], module.chars(node)[1]
    edits = (Edit(module.char_span(start, end), ""),)
    fix = Fix(
        title=f"leave the weights on the graph: without {what}",
        edits=edits,
        applicability=Applicability.UNSAFE,
        claim=Claim(Relation.STRAIGHT_THROUGH, hazard=("zero-gradient",)),
    )
    yield context.finding(node, message, fix=fix)


def _stopped(node: ast.AST) -> ast.expr | None:
    """What `x.detach()`, `x.item()` or `x.data` takes off the graph."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return node.func.value if node.func.attr in ("detach", "item") else None
    return node.value if isinstance(node, ast.Attribute) and node.attr == "data" else None


def _is_of_interest(node: ast.AST, module: Module) -> bool:
    functions = functions_around(module, node)
    if not functions or not routes_tokens(module, node) or trains_nothing(module, node):
        return False
    if any(has_gradient_already(f) for f in functions):
        return False
    return not any(_FROZEN.search(name) for name in names_in(module, functions[0]))


def _places(module: Module, node: ast.expr) -> list[ast.expr]:
    """Where a value is read: its name's reads, or the expression itself."""
    top: ast.expr = node
    while True:
        parent = module.parent(top)
        call = module.parent(parent) if isinstance(parent, ast.Attribute) else None
        if isinstance(call, ast.Call) and call.func is parent and tensor_op(module, call, *_ALIKE):
            top = call
        elif isinstance(parent, ast.Call) and top in parent.args[:1] and tensor_op(module, parent, *_ALIKE):
            top = parent
        else:
            break
    statement = module.statement(top)
    if not isinstance(statement, ast.Assign) or statement.value is not top or len(statement.targets) != 1:
        return [top]
    target = statement.targets[0]
    first = target.elts[0] if isinstance(target, (ast.Tuple, ast.List)) and target.elts else target
    if not isinstance(first, ast.Name):
        return []
    reads = reads_of(module, statement, first.id)
    return list(reads) if reads else []


def _is_factor(module: Module, read: ast.expr, depth: int) -> bool:
    """Whether a value multiplies something that is no constant, at once or under another name."""
    if depth > 4:
        return False
    node: ast.expr = read
    while True:
        parent = module.parent(node)
        if isinstance(parent, ast.Subscript) and parent.value is node:
            node = parent
            continue
        if isinstance(parent, ast.BinOp):
            if isinstance(parent.op, (ast.Mult, ast.MatMult)):
                other = parent.right if parent.left is node else parent.left
                return constant(module, other) is None and not _is_statistic(module, parent)
            if isinstance(parent.op, ast.Div) and parent.left is node:
                node = parent
                continue
            return False
        call = module.parent(parent) if isinstance(parent, ast.Attribute) else parent
        if isinstance(call, ast.Call) and (call.func is parent or node in call.args[:1]):
            if tensor_op(module, call, *_ALIKE) is None:
                return False
            node = call
            continue
        if isinstance(parent, ast.Call):
            return (module.qualified(parent.func) or "") in ("torch.einsum", "torch.matmul", "torch.bmm")
        statement = module.statement(node)
        if not isinstance(statement, ast.Assign) or statement.value is not node:
            return False
        return any(_is_factor(module, place, depth + 1) for place in _places(module, node) if place is not node)


def _is_statistic(module: Module, node: ast.AST) -> bool:
    statement = module.statement(node)
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    text = " ".join(ast.unparse(t) for t in targets if t is not None)
    return bool(re.search(r"loss|aux|metric|load|stat|usage|entropy|(^|_)log", text, re.I))


def _is_used_elsewhere(module: Module, node: ast.AST, stopped: ast.expr) -> bool:
    """Whether the same value stays on the graph anywhere else in the function."""
    function = functions_around(module, node)[0]
    names = set()
    value: ast.expr = stopped
    for _ in range(8):
        if isinstance(value, ast.Name):
            names.add(value.id)
            found = module.flow(value).value(value)
            if found is value:
                break
            value = found
            continue
        op = tensor_op(module, value) if isinstance(value, ast.Call) else None
        if op is None:
            break
        value = op.input
    inside = {n for n in walk(node) if isinstance(n, ast.Name)}
    for part in walk(function):
        if (
            not isinstance(part, ast.Name)
            or part.id not in names
            or not isinstance(part.ctx, ast.Load)
            or part in inside
        ):
            continue
        if not _feeds_only(module, part, stopped):
            return True
    return False


def _feeds_only(module: Module, read: ast.Name, stopped: ast.expr) -> bool:
    """Whether a read is part of the way to the value that is stopped, or yields indices."""
    statement = module.statement(read)
    if isinstance(statement, ast.Assign) and isinstance(stopped, ast.Name):
        definition = module.flow(stopped).definition(stopped)
        if definition is not None and definition.statement is statement:
            return True
    parent = module.parent(read)
    return isinstance(parent, ast.Attribute) and parent.attr in (
        "shape",
        "dtype",
        "device",
        "size",
        "argmax",
        "argsort",
    )


# -- blocks without gradients ------------------------------------------------------------------------------------


def _without_gradients(node: ast.With, context: Context) -> Iterator[Finding]:
    module = context.module
    if not any(_switches_off(i.context_expr) for i in node.items) or not _is_of_interest(node, module):
        return
    for statement in node.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0]
        first = target.elts[0] if isinstance(target, (ast.Tuple, ast.List)) and target.elts else target
        if not isinstance(first, ast.Name) or not from_router(module, statement.value):
            continue
        end = node.end_lineno or node.lineno
        reads = [r for r in module.flow(statement).loads.get(first.id, []) if r.lineno > end]
        definitions = [module.flow(r).definition(r) for r in reads]
        mine = [r for r, d in zip(reads, definitions, strict=True) if d is not None and d.statement is statement]
        if any(_is_factor(module, read, 0) for read in mine):
            message = f"{first.id} is computed without gradients and weights what follows: the router never learns"
            yield context.finding(
                statement, message, why="move the router out of the block; leave in it what needs no gradient"
            )
            return


def _switches_off(node: ast.expr) -> bool:
    target = node.func if isinstance(node, ast.Call) else node
    return getattr(target, "attr", getattr(target, "id", "")) in ("no_grad", "inference_mode")


RULE = Rule(
    name="router-detached",
    summary="The router's weights are taken off the graph before they weight the experts' outputs.",
    severity=Severity.ERROR,
    triggers=(
        (b".detach()", b".item()", b".data", b"no_grad", b"inference_mode"),
        (b"softmax", b"sigmoid", b"logits", b"topk"),
        (b"rout", b"gate", b"gating", b"expert", b"Gat", b"Rout"),
    ),
    anchor=re.compile(r"\.detach\(\)|\.item\(\)|\.data\b|no_grad|inference_mode"),
    beside=re.compile(r"(?:rout|gate|gating|logits)\w*\("),
    nodes=(ast.Call, ast.Attribute, ast.With),
    check=check,
)
