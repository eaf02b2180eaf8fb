"""A Euclidean norm written by hand.

The defect
----------
`sqrt((x ** 2).sum(dim))` takes the root of a sum that may be exactly 0, and squares numbers that may be large.

Why it hurts
------------
The gradient of the root at 0 is infinite and the square's is 0: their product is NaN. One zero vector is enough (two
equal embeddings, padding, the diagonal of a distance matrix), and after one optimizer step every parameter is NaN. In
float16 the squares overflow at 256, so the norm of a vector with one entry of 300 is inf.

Before
------

    distance = torch.sqrt(torch.sum((a - b) ** 2, dim=-1))

After
-----

    distance = torch.linalg.vector_norm(a - b, dim=-1)

Try it
------

    import torch

    a = torch.ones(3, requires_grad=True)
    b = torch.ones(3)
    (before,) = torch.autograd.grad(torch.sqrt(torch.sum((a - b) ** 2, dim=-1)), a)
    (after,) = torch.autograd.grad(torch.linalg.vector_norm(a - b, dim=-1), a)
    assert before.isnan().all() and (after == 0).all()

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. At a zero vector the gradient becomes
0, the smallest subgradient. A square that is read elsewhere as well stays.

Left alone
----------
Roots with an eps or a clamp inside, which are protected, or outside, which have rules of their own; rows that cannot
be 0: those of a Cholesky factor, those that hold an exponential, those whose norm is asserted; random draws and
windows; symbolic and sparse tensors; means of squares (an RMS is no norm); sums of squares of different quantities;
other exponents; code without gradients; complex tensors and `out=`.

Sources
-------
PyTorch documentation: `torch.linalg.vector_norm`.
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.origins import origins
from autofix.pattern import Match
from autofix.relations import words
from autofix.syntax import Module
from autofix.transforms.identities._operands import in_full
from autofix.transforms.identities._training import from_data_alone, is_a_draw, without_gradient
from autofix.transforms.ranges._roots import guarded_outside, no_zero_rows
from autofix.tree import last_part, walk

_MESSAGE = (
    "the gradient is NaN at a zero vector (infinite at the root, times 0), and in float16 the squares overflow at 256"
)
_COINCIDE = (
    "the gradient is NaN where two points coincide (infinite at the root, times 0), and in float16 the squares "
    "overflow at 256"
)
_EDGE = re.compile(r"(^|_)(edges?|bonds?)_?(vec(tor)?s?|diffs?|disp\w*)")
_X = Operand(hazard=(0.0, 0.0))
_SQUARES = ("abs($x) ** 2", "$x ** 2", "$x * $x", "square($x)")
_ALONG = tuple(
    root.format(f"sum({square}, $dim, keepdim=$keep?)") for root in ("sqrt({})", "{} ** 0.5") for square in _SQUARES
)
_WHOLE = tuple(root.format(f"sum({square})") for root in ("sqrt({})", "{} ** 0.5") for square in _SQUARES)


def _is_protected(module: Module, match: Match) -> bool:
    """Whether a small constant is added to the root, or the root is clamped: other rules speak about these."""
    root = module.parent(match.ops[0].call) if match.ops and match.ops[0].name == "sum" else None
    return guarded_outside(module, root if isinstance(root, ast.BinOp) else match.ops[0].call) if match.ops else False


def _is_never_zero(module: Module, match: Match) -> bool:
    """Whether a row of zeros is out of the question, or the function asserts what its norm is."""
    x = match.captures["x"]
    if no_zero_rows(module, x):
        return True
    statement = module.statement(x)
    name = (
        statement.targets[0].id
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        else ""
    )
    asserts = (s for s in module.block(statement) if isinstance(s, ast.Assert))
    return bool(name) and any(
        isinstance(n, ast.Compare) and any(isinstance(m, ast.Name) and m.id == name for m in walk(n.left))
        for s in asserts for n in walk(s) if "shape" not in module.source(n)
    )  # fmt: skip


def _is_no_dense_tensor(module: Module, match: Match) -> bool:
    """Whether the norm is taken of a symbolic or a sparse tensor, which `vector_norm` does not know."""
    if ".to_dense()" in module.source(module.statement(match.captures["x"])):
        return True
    for part in origins(module, match.captures["x"]):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id[:1].isupper():
            return (module.qualified(part.func) or "").partition(".")[0] != "torch"
    return False


def _joins_points(module: Module, match: Match) -> bool:
    """Whether it is the distance of two points out of one tensor, `pos[i] - pos[j]`, or the length of an edge or a
    bond: 0 only where two points coincide."""
    x = match.captures["x"]
    if any(_EDGE.search(n) for n in _named(x)):
        return True
    value = module.flow(x).value(x)
    sides = [value.left, value.right] if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub) else []
    bases = [words(module, s.value) for s in sides if isinstance(s, ast.Subscript) and isinstance(s.slice, ast.Name)]
    return len(bases) == 2 and bases[0] == bases[1]


def _named(node: ast.expr) -> list[str]:
    """The name of a variable, or those of the key it is found under."""
    key = node.slice if isinstance(node, ast.Subscript) else None
    return [last_part(n).lower() for n in (node, *([key] if key is not None else []))]


IDENTITY = Identity(
    name="manual-norm",
    summary="sqrt((x ** 2).sum(dim)) becomes linalg.vector_norm(x, dim=dim)",
    severity=Severity.WARNING,
    triggers=((b"sqrt(", b"0.5"), (b"sum(",), (b"**", b"pow(", b"square(", b"*")),
    anchor=re.compile(
        r"sum\((?<!np\.sum\()(?=(?s:.{1,300}?)(?:sqrt\(|\*\* ?\(?0?\.5|pow\(0?\.5))"
        r"|sqrt\((?<!math\.sqrt\()(?<!np\.sqrt\()(?=(?s:.{1,120}?)sum\()"
    ),
    title="write {new}, whose gradient at a zero vector is 0",
    local="difference",
    forms=(
        Form(
            _ALONG,
            "torch.linalg.vector_norm({x}, dim={dim}, keepdim={keep})",
            _COINCIDE,
            hazard=("gradient", "value"),
            severity=Severity.INFO,
            when=(_joins_points,),
            operands={"x": _X, "dim": Operand(code="-1"), "keep": Operand(code="True")},
        ),
        Form(
            _ALONG,
            "torch.linalg.vector_norm({x}, dim={dim}, keepdim={keep})",
            _MESSAGE,
            hazard=("gradient", "value"),
            operands={"x": _X, "dim": Operand(code="-1"), "keep": Operand(code="True")},
        ),
        Form(
            _WHOLE,
            "torch.linalg.vector_norm({x})",
            _MESSAGE,
            hazard=("gradient", "value"),
            operands={"x": _X},
        ),
    ),
    silent=(without_gradient, from_data_alone, is_a_draw, _is_protected, _is_never_zero, _is_no_dense_tensor),
    in_full=in_full,
    near_misses=(
        "torch.sqrt((x**3).sum(-1))",
        "torch.sqrt((x * y).sum(-1))",
        "torch.sqrt((x**2).mean(-1))",
        "torch.sqrt((x**2).sum(-1) + 1e-8)",
        "torch.sqrt((x**2).sum(-1).clamp(min=1e-8))",
        "torch.sqrt((x**2 + y**2).sum(-1))",
        "torch.sqrt(x**2)",
        "(x**2).sum(-1)",
        "(x**2).sum(-1) ** 2",
        "torch.rsqrt((x**2).sum(-1))",
        "torch.linalg.vector_norm(x, dim=-1)",
        "np.sqrt((x**2).sum(-1))",
        "torch.sqrt((x**2).sum(-1), out=y)",
    ),
)
RULE = IDENTITY.rule
