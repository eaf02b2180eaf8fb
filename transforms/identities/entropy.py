"""`p * log(p)` of a probability that may be 0.

The defect
----------
An entropy sums `p * log(p)`. Its limit at p = 0 is 0, but computed term by term it is 0 times -inf.

Why it hurts
------------
One probability of exactly 0 (a softmax in float16, a one-hot target, a top-k that masked the rest, an empty cluster)
makes the sum NaN, and the gradient with it.

Before
------

    entropy = -(usage * torch.log(usage)).sum(dim=-1)

After
-----

    entropy = -(usage * torch.log(usage.clamp_min(torch.finfo(usage.dtype).tiny))).sum(dim=-1)

Try it
------

    import torch

    usage = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    before = -(usage * torch.log(usage)).sum(dim=-1)
    after = -(usage * torch.log(usage.clamp_min(torch.finfo(usage.dtype).tiny))).sum(dim=-1)
    (gradient,) = torch.autograd.grad(after, usage)
    assert before.isnan()
    torch.testing.assert_close(after, torch.tensor(2.0).log())
    assert gradient.isfinite().all()

When the fix is safe
--------------------
Every probability above the smallest normal number keeps its term and gradient; at 0 the term becomes 0 and the
gradient a large finite number. Without gradients the fix is `torch.special.entr`, which is the function itself; where
gradients flow it is not: `entr` and `xlogy` are finite at 0, but their gradients are not.

Left alone
----------
Probabilities that come from a softmax or sigmoid in view, whose logarithm `log-softmax` and `log-sigmoid` take from
the logits, the form that trains best; quantities proved to be positive, or mixed with a constant; logarithms that are
protected already; cross-entropies of two different distributions; NumPy, other bases, `out=` and complex tensors.

Sources
-------
PyTorch documentation: `torch.special.entr`, `torch.special.xlogy`.
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity
from autofix.model import Severity
from autofix.ops import constant, tensor_op
from autofix.origins import origins
from autofix.pattern import Match
from autofix.ranges import interval
from autofix.sameness import is_cheap
from autofix.syntax import Module
from autofix.transforms.identities._training import with_gradient, without_gradient
from autofix.transforms.ranges._roots import squeezed

_MESSAGE = "a probability of exactly 0 makes its term 0 times -inf, NaN, and with it the sum and every gradient"
_SUMMED = ("sum", "mean", "nansum")


def _is_settled(module: Module, match: Match) -> bool:
    """Whether the probability is positive for certain, or made by an activation whose logits are in view."""
    p = match.captures["p"]
    if interval(module, p).low > 0 or squeezed(module, p):
        return True
    made = module.flow(p).value(p)
    if isinstance(made, ast.BinOp) and isinstance(made.op, ast.Sub) and constant(module, made.left) == 1:
        made = module.flow(p).value(made.right)
    if isinstance(made, ast.Subscript) and any(isinstance(part, ast.Compare) for part in origins(module, made.slice)):
        return True  # `p[p > 0]`
    return tensor_op(module, made, "softmax", "sigmoid", "exp", "softplus") is not None


def _is_summed(module: Module, match: Match) -> bool:
    """Whether the products are added up, in this statement or behind the names that they get."""
    return _reaches_sum(module, match.ops[0].call, 0)


def _reaches_sum(module: Module, node: ast.expr, depth: int) -> bool:
    statement = module.statement(node)
    for ancestor in module.ancestors(node):
        if ancestor is statement:
            break
        if isinstance(ancestor, ast.Call) and tensor_op(module, ancestor, *_SUMMED) is not None:
            return True
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(target, ast.Name) or depth > 2:
        return False
    readers = module.flow(statement).loads.get(target.id, [])
    return any(_reaches_sum(module, r, depth + 1) for r in readers if module.statement(r) is not statement)


def _may_be_repeated(module: Module, match: Match) -> bool:
    return is_cheap(match.captures["p"])


IDENTITY = Identity(
    name="entropy",
    summary="p * log(p) of a probability that may be 0",
    severity=Severity.WARNING,
    triggers=((b"log(",), (b"sum(", b"mean("), (b"*", b"mul(")),
    anchor=re.compile(r"log\((?<!math\.log\()(?<!np\.log\()(?<!\wlog\()"),
    title="write {new}, which is 0 at a probability of 0",
    local="probability",
    forms=(
        Form(
            ("$p * log($p)",),
            "-torch.special.entr({p})",
            _MESSAGE,
            hazard=("value",),
            when=(without_gradient, _is_summed),
        ),
        Form(
            ("$p * log($p)",),
            "{p} * torch.log({p}.clamp_min(torch.finfo({p}.dtype).tiny))",
            _MESSAGE,
            title="write {new}, which is 0 at a probability of 0 and has a finite gradient there (that of entr is "
            "infinite)",
            when=(with_gradient, _is_summed, _may_be_repeated),
        ),
        Form(
            ("$p * log($p)",),
            "",
            _MESSAGE,
            why="the probability has no name, and the fix reads it three times: give it one",
            when=(with_gradient, _is_summed),
        ),
    ),
    silent=(_is_settled,),
    near_misses=(
        "(x * torch.log(y)).sum(-1)",
        "x * torch.log(x)",
        "(x * torch.log(x + 1e-8)).sum(-1)",
        "(x * torch.log(x.clamp(min=1e-8))).sum(-1)",
        "(torch.softmax(x, -1) * torch.log(torch.softmax(x, -1))).sum(-1)",
        "(x * torch.log2(x)).sum(-1)",
        "(x * torch.log1p(x)).sum(-1)",
        "torch.special.entr(x).sum(-1)",
        "torch.xlogy(x, x).sum(-1)",
        "(x / torch.log(x)).sum(-1)",
        "(x + torch.log(x)).sum(-1)",
        "(x * np.log(x)).sum(-1)",
        "(x * torch.log(x, out=y)).sum(-1)",
    ),
)
RULE = IDENTITY.rule
