"""A small constant is added to a square root, not to the number under it.

The defect
----------
`var.sqrt() + eps` keeps the quotient finite, but the root itself is taken of a number that can be exactly 0.

Why it hurts
------------
The derivative of the root is inf at 0. A constant row, a padded sample, two equal points or silence make the variance
or the sum of squares exactly 0, and backward computes inf times 0: NaN in every parameter below. The constant outside
the root protects the value only. In float16 a constant below 6e-8 is 0, and protects neither.

Before
------

    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    std = variance.sqrt() + 1e-6

After
-----

    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    std = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt() + 1e-6

Try it
------

    import torch

    x = torch.ones(4, requires_grad=True)  # a constant row
    variance = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    old = variance.sqrt() + 1e-6
    new = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt() + 1e-6
    assert old == new
    (before,) = torch.autograd.grad(old, x, retain_graph=True)
    (after,) = torch.autograd.grad(new, x)
    assert before.isnan().all() and (after == 0).all()

When the fix is safe
--------------------
The number under the root is held at the smallest normal number of its dtype, and the constant stays where it is: no
value of the result changes in float32 or bfloat16, and at 0 the gradient is 0, as that of a norm. In float16 the root
is at least 0.0078. The commoner repair moves the constant under the root; it protects as well, but changes a standard
deviation of 0.02 by more than one per cent at 1e-5, which a trained model would notice.

Left alone
----------
Arguments that are proved positive, chosen by a `where`, or sums of squares along rows that hold an exponential; what
is computed from raw inputs or random draws alone; `std` and `norm`, whose gradient at 0 torch itself returns as 0;
optimizers and whatever runs without gradients, such as running statistics, evaluation and logging; Python numbers.

Sources
-------
PyTorch documentation: `torch.sqrt`, "Autograd mechanics".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.model import Applicability, Finding, Fix, Severity
from autofix.ops import constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._floors import held, hold
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.transforms.ranges._roots import (
    LARGEST_EPS,
    Root,
    is_named_eps,
    never_zero,
    no_zero_rows,
    root_of,
    selected,
    squared,
)


@dataclass(frozen=True, slots=True)
class _Sum:
    """`sqrt(argument) + eps`."""

    root: Root
    eps: ast.expr


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    found = _sum(module, node)
    if found is None or learns_nothing(module, found.root.node) or only_compared(module, node):
        return
    argument = found.root.argument
    if never_zero(module, argument) or selected(module, argument) or not carries_gradient(module, argument):
        return
    if _has_no_zero_rows(module, argument):
        return
    text = re.sub(r"\s+", " ", module.source(argument))
    message = (
        f"{module.source(found.eps)} is added outside the root: at {text} = 0 the value is protected "
        "and the gradient is NaN or inf"
    )
    try:
        edits = hold(module, argument, "tiny")
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(
        node,
        message,
        fix=Fix(
            title="hold the number under the root above 0, where the gradient needs it; the constant outside stays",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=held(
                module,
                argument,
                "torch.finfo(trial_dtype).tiny",
                None,
                "in float16 a root below 0.0078, that of the smallest normal number, is held there",
            ),
        ),
    )


def _has_no_zero_rows(module: Module, argument: ast.expr) -> bool:
    """Whether the number under the root is a sum of squares along rows that cannot be 0."""
    total = tensor_op(module, module.flow(argument).value(argument), "sum", "mean")
    base = squared(module, total.input) if total is not None else None
    return base is not None and no_zero_rows(module, base)


def _sum(module: Module, node: ast.AST) -> _Sum | None:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return None
    for one, other in ((node.left, node.right), (node.right, node.left)):
        root = root_of(module, one)
        if root is None or root.inverse:
            continue
        value = constant(module, other)
        if value is not None and not 0 < value <= LARGEST_EPS:
            return None
        if value is not None or is_named_eps(other):
            return _Sum(root, other)
    return None


RULE = Rule(
    name="eps-outside-sqrt",
    summary="a small constant is added to a square root, not to the number under it: the gradient at 0 is NaN",
    severity=Severity.WARNING,
    triggers=((b"sqrt(", b"pow(", re.compile(rb"\*\* ?-?0\.5")),),
    anchor=re.compile(
        r"\+\s*[\w.]*(?:eps|tiny|small|EPS|TINY|1e-|0\.0)"
        r"|eps\w*\s*\+|EPS\w*\s*\+|1e-\d+\s*\+|0\.0\d+\s*\+"
    ),
    nodes=(ast.BinOp,),
    check=check,
    at_anchor=True,
    beside=re.compile(r"sqrt\((?<!rsqrt\()(?<!math\.sqrt\()|\*\*\s*\(?0?\.5|pow\([^()]*\b0?\.5"),
)
