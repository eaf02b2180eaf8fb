"""A variance as the difference of two large numbers.

The defect
----------
`mean(x ** 2) - mean(x) ** 2` subtracts two numbers that agree in most of their digits when the mean is large against
the spread.

Why it hurts
------------
In float32, data with mean 1e4 and spread 0.1 gives squares near 1e8, which are spaced 8 apart: the result is
rounding, often negative, and its root NaN. In float16 the squares overflow at 256, and inf - inf is NaN as well.

Before
------

    std = torch.sqrt((x ** 2).mean(dim=0) - x.mean(dim=0) ** 2)

After
-----

    std = torch.std(x, dim=0, correction=0)

Try it
------

    import torch

    x = 1e4 + torch.tensor([-0.1, 0.1, -0.1, 0.1])
    before = torch.sqrt((x**2).mean(dim=0) - x.mean(dim=0) ** 2)
    after = torch.std(x, dim=0, correction=0)
    assert before.isnan() or abs(before - 0.1) > 0.09
    assert abs(after - 0.1) < 0.001  # x itself is spaced by 0.001

When the fix is safe
--------------------
It is the same function (the population variance), computed from the differences to the mean: values and gradients
agree up to the rounding of today's. Under a root it becomes the standard deviation, whose gradient at 0 torch returns
as 0. Moments that are read elsewhere as well stay. Where the difference is clamped at 0 at once, nothing diverges and
the finding is information.

Left alone
----------
Moments of different tensors or along different dimensions; running moments and sums over batches, which have no single
tensor to take the variance of; weighted means; a formula that a flag chooses which is off by default, beside another;
complex tensors.

Sources
-------
Chan, Golub, LeVeque: Algorithms for computing the sample variance (1983). PyTorch documentation: `torch.var`.
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.flow import parameter_default
from autofix.model import Severity
from autofix.ops import tensor_op
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.identities._operands import in_full
from autofix.tree import walk

_MESSAGE = (
    "the two means agree in most digits when the mean is large against the spread: the variance is then rounding, and "
    "may be negative (NaN under a root); in float16 the squares overflow at 256"
)
_CLAMPED = (
    "the two means agree in most digits when the mean is large against the spread: the variance is then rounding, "
    "which the clamp turns into 0"
)
_SQUARES = ("$x ** 2", "$x * $x", "square($x)")
_MEAN = "mean($x, $dim, keepdim=$keep?)"
_ALL = "mean($x)"


def _pairs(mean: str) -> tuple[str, ...]:
    inside = mean.replace("mean($x", "mean({}")
    first = tuple(inside.format(square) for square in _SQUARES)
    second = (f"{mean} ** 2", f"{mean} * {mean}", f"square({mean})")
    return tuple(f"{a} - {b}" for a in first for b in second)


def _rooted(mean: str) -> tuple[str, ...]:
    return tuple(f"sqrt({pair})" for pair in _pairs(mean))


def _is_bare(module: Module, match: Match) -> bool:
    """Whether no root is taken of the difference, at once or of the one name it has: that is rewritten as a whole."""
    node: ast.AST | None = match.ops[0].call
    while node is not None and not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
        node = _owner(module, node)
    return node is None or not _is_rooted(module, node)


def _owner(module: Module, node: ast.AST) -> ast.AST | None:
    """The expression around `node`, or the one read of the name that `node` is bound to."""
    parent = module.parent(node)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return None if isinstance(parent, ast.stmt) else parent
    reads = module.flow(parent).certain_readers(parent.targets[0].id, parent)
    return module.parent(reads[0]) if len(reads) == 1 else None


def _is_rooted(module: Module, difference: ast.AST) -> bool:
    owner = _owner(module, difference)
    call = module.parent(owner) if isinstance(owner, ast.Attribute) else owner
    return isinstance(call, ast.Call) and (getattr(call.func, "attr", "") or getattr(call.func, "id", "")) == "sqrt"


def _is_clamped(module: Module, match: Match) -> bool:
    """Whether what comes out negative is clamped at once."""
    node: ast.AST = match.ops[0].call
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            return False
        if isinstance(ancestor, ast.Call) and tensor_op(
            module, ancestor, "clamp", "clamp_min", "relu", "maximum", "abs"
        ):
            return True
    return False


def _is_asked_for(module: Module, match: Match) -> bool:
    """Whether a flag that is off by default chooses this formula, and the other branch binds the same name: the author
    offers both, and says which is the faster."""
    inner: ast.AST = match.ops[0].call
    target = next(iter(getattr(module.statement(match.ops[0].call), "targets", [])), None)
    for ancestor in module.ancestors(inner):
        if isinstance(ancestor, ast.If) and inner in ancestor.body and isinstance(ancestor.test, ast.Name):
            found = module.flow(ancestor.test).definition(ancestor.test)
            function = found.statement if found is not None and found.kind == "parameter" else None
            default = parameter_default(function, ancestor.test.id) if isinstance(function, ast.FunctionDef) else None
            bound = {n.id for s in ancestor.orelse for n in walk(s) if isinstance(n, ast.Name)}
            return getattr(default, "value", None) is False and getattr(target, "id", "") in bound
        inner = ancestor
    return False


IDENTITY = Identity(
    name="variance-cancellation",
    summary="mean(x ** 2) - mean(x) ** 2 becomes var(x, correction=0)",
    severity=Severity.WARNING,
    triggers=((b"mean(",), (b"** 2", b"**2", b"pow(", b"square(", b"* "), (b") - ", b"sub(", b" - ")),
    anchor=re.compile(r"mean\((?<!np\.mean\()(?=(?s:.{1,300}?)mean\()"),
    title="write {new}, which subtracts the mean before it squares",
    local="values",
    forms=(
        Form(
            _pairs(_MEAN),
            "torch.var({x}, dim={dim}, correction=0, keepdim={keep})",
            _CLAMPED,
            severity=Severity.INFO,
            when=(_is_clamped,),
        ),
        Form(
            _pairs(_ALL),
            "torch.var({x}, correction=0)",
            _CLAMPED,
            severity=Severity.INFO,
            when=(_is_clamped,),
        ),
        Form(
            _rooted(_MEAN),
            "torch.std({x}, dim={dim}, correction=0, keepdim={keep})",
            _MESSAGE,
            operands={"x": Operand(hazard=(2e19, 3e19)), "dim": Operand(code="-1"), "keep": Operand(code="True")},
        ),
        Form(
            _rooted(_ALL),
            "torch.std({x}, correction=0)",
            _MESSAGE,
            operands={"x": Operand(hazard=(2e19, 3e19))},
        ),
        Form(
            _pairs(_MEAN),
            "torch.var({x}, dim={dim}, correction=0, keepdim={keep})",
            _MESSAGE,
            when=(_is_bare,),
            operands={"x": Operand(hazard=(2e19, 3e19)), "dim": Operand(code="-1"), "keep": Operand(code="True")},
        ),
        Form(
            _pairs(_ALL),
            "torch.var({x}, correction=0)",
            _MESSAGE,
            when=(_is_bare,),
            operands={"x": Operand(hazard=(2e19, 3e19))},
        ),
    ),
    silent=(_is_asked_for,),
    in_full=in_full,
    near_misses=(
        "(x**2).mean(-1) - y.mean(-1) ** 2",
        "(x**2).mean(-1) - x.mean(0) ** 2",
        "(x**2).mean(-1) - x.mean(-1)",
        "(x**2).sum(-1) - x.sum(-1) ** 2",
        "(x**2).mean(-1) + x.mean(-1) ** 2",
        "x.mean(-1) ** 2 - (x**2).mean(-1)",
        "(x**3).mean(-1) - x.mean(-1) ** 3",
        "(x * y).mean(-1) - x.mean(-1) * y.mean(-1)",
        "(x**2).mean(-1) - 2 * x.mean(-1) ** 2",
        "torch.var(x, dim=-1, correction=0)",
        "np.mean(x**2) - np.mean(x) ** 2",
        "torch.mean((x - x.mean(-1, keepdim=True)) ** 2, -1)",
    ),
)
RULE = IDENTITY.rule
