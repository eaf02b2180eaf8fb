"""A normalisation to unit length written by hand.

The defect
----------
`x / x.norm(dim=d, keepdim=True)` divides by a length that may be exactly 0.

Why it hurts
------------
A zero vector (padding, a dead unit, the difference of two equal rows) gives 0 / 0 = NaN, forward and in the gradient
of everything before it. `x * rsqrt((x * x).sum(...))` gives 0 times inf, the same. An eps added to a root of squares
that is written by hand protects the value only: the gradient of the root is NaN at 0 nevertheless.

Before
------

    direction = x / x.norm(dim=-1, keepdim=True)

After
-----

    direction = F.normalize(x, dim=-1)

Try it
------

    import torch
    import torch.nn.functional as F

    x = torch.zeros(1, 3, requires_grad=True)
    before = x / x.norm(dim=-1, keepdim=True)
    after = F.normalize(x, dim=-1)
    (gradient,) = torch.autograd.grad(after.sum(), x)
    assert before.isnan().all()
    assert (after == 0).all() and gradient.isfinite().all()

When the fix is safe
--------------------
`normalize` divides by the length or by 1e-12, whichever is larger: vectors longer than that keep their values and
gradients, and a zero vector becomes zero instead of NaN. Where an eps is removed from the denominator, the result
changes by less than eps divided by the length, which is stated. `x / (x.norm(...) + eps)` is protected already: there
the finding is information.

Left alone
----------
Directions of which only comparisons are made; lengths of something else than the numerator; lengths that are clamped,
or read elsewhere as well; norms of a whole tensor, for which `normalize` has no dimension; roots of means (RMS); eps
inside the root; complex tensors; random directions, and what a layer or model predicts without a rectifier at its end,
which are never exactly zero; vectors that a decomposition or an earlier division gave their length; functions whose
docstring says what a zero vector gives; pipelines, samplers and the preparation of data.

Sources
-------
PyTorch documentation: `torch.nn.functional.normalize`.
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import constant
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.transforms.identities._training import ends_in_a_comparison, is_a_draw, outside_models
from autofix.transforms.ranges._networks import (
    has_length,
    is_documented,
    is_iterate,
    is_result_of_network,
    is_the_largest,
    is_weight,
)

_ZERO = "a zero vector is divided by its length 0, which is NaN, forward and in every gradient before it"
_ZERO_CHANGE = "vectors shorter than 1e-12 are divided by 1e-12"
_HALF_PROTECTED = "{eps} protects the value, but the gradient of the hand-written root is NaN at a zero vector"
_STYLE = "the division is protected by {eps}, but every unit vector comes out shorter; normalize does it in one call"
_EPS_CHANGE = "lengths are no longer raised by {eps}: results change by less than {eps} divided by the length"
_X = Operand(hazard=(0.0, 0.0))
_DIM, _EPS = Operand(code="-1"), Operand(code="1e-8")
_NORM = (
    "norm($x, dim=$dim, keepdim=True)",
    "norm($x, 2, $dim, keepdim=True)",
    "vector_norm($x, dim=$dim, keepdim=True)",
    "vector_norm($x, 2, $dim, keepdim=True)",
)
_ROOT = (
    "sqrt(sum($x ** 2, $dim, keepdim=True))",
    "sqrt(sum($x * $x, $dim, keepdim=True))",
    "sum($x ** 2, $dim, keepdim=True) ** 0.5",
)
_LOST = (
    "unsqueeze(norm($x, dim=$dim), $dim)",
    "unsqueeze(norm($x, 2, $dim), $dim)",
    "norm($x, dim=$dim:last)[..., None]",
    "norm($x, dim=$dim:one)[:, None]",
)
_RECIPROCAL = ("rsqrt(sum($x ** 2, $dim, keepdim=True))", "rsqrt(sum($x * $x, $dim, keepdim=True))")
_NEW = "torch.nn.functional.normalize({x}, dim={dim})"

_DIFFERENT = ("sub", "where", "masked_fill", "cross", "diff", "mul", "relu", "clamp", "grad")


def _may_be_zero(module: Module, match: Match) -> bool:
    """Whether a zero vector is ordinary: a difference, a product, a gradient, something masked or rectified."""
    node = module.flow(match.captures["x"]).value(match.captures["x"])
    if isinstance(node, ast.BinOp):
        scaled = any(constant(module, side) is not None for side in (node.left, node.right))
        return isinstance(node.op, ast.Sub) or (isinstance(node.op, ast.Mult) and not scaled)
    while isinstance(node, ast.Subscript):
        node = node.value
    name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    return name in _DIFFERENT


def _is_tiny(module: Module, match: Match) -> bool:
    """Whether what protects the length is too small to change a unit vector of ordinary length."""
    eps = constant(module, match.captures["eps"])
    return eps is not None and eps <= 1e-7


def _is_unknown(module: Module, match: Match) -> bool:
    """Whether nothing says that the vector is never zero, or that a zero vector was thought of."""
    x = match.captures["x"]
    known = (is_result_of_network, has_length, is_the_largest, is_iterate, is_weight, is_documented)
    return not any(says(module, x) for says in known)


IDENTITY = Identity(
    name="manual-normalize",
    summary="x / x.norm(dim=d, keepdim=True) becomes F.normalize(x, dim=d)",
    severity=Severity.WARNING,
    triggers=(
        (b"norm(", b"sqrt(", b"0.5"),
        (b"keepdim", b"unsqueeze(", b"None]", b"True)"),
        (b"/ ", b"/", b"div(", b"rsqrt("),
    ),
    anchor=re.compile(
        r"norm\((?<!np\.linalg\.norm\()(?<!self\.norm\()(?<!layer_norm\()(?<!weight_norm\()(?<!def norm\()"
        r"(?=[^#\n]*\b(?:keepdim|dim|True\)|None\]|unsqueeze|2,))"
        r"|sum\((?<!np\.sum\()(?=(?s:.{1,200}?)(?:sqrt\(|\*\* ?\(?0?\.5))|sqrt\((?=(?s:.{1,120}?)sum\()"
    ),
    title="write {new}, which turns a zero vector into zeros (in float32 and bfloat16)",
    local="vectors",
    silent=(ends_in_a_comparison, outside_models, is_a_draw),
    forms=(
        Form(
            (*(f"$x / {norm}" for norm in (*_NORM, *_ROOT, *_LOST)), *(f"$x * {norm}" for norm in _RECIPROCAL)),
            _NEW,
            _ZERO,
            change=_ZERO_CHANGE,
            tidy=True,
            when=(_may_be_zero,),
        ),
        Form(
            (*(f"$x / {norm}" for norm in (*_NORM, *_ROOT, *_LOST)), *(f"$x * {norm}" for norm in _RECIPROCAL)),
            _NEW,
            _ZERO,
            change=_ZERO_CHANGE,
            severity=Severity.INFO,
            tidy=True,
            when=(_is_unknown,),
            operands={"x": _X, "dim": _DIM},
        ),
        Form(
            tuple(f"$x / ({norm} + $eps:small)" for norm in _ROOT),
            _NEW,
            _HALF_PROTECTED,
            change=_EPS_CHANGE,
            hazard=("gradient",),
            tidy=True,
            operands={"x": _X, "dim": _DIM, "eps": _EPS},
        ),
        Form(
            tuple(f"$x / ({norm} + $eps:small)" for norm in _NORM),
            _NEW,
            _STYLE,
            title="write {new}, which clamps the length instead of raising it",
            change=_EPS_CHANGE,
            severity=Severity.INFO,
            tidy=True,
            when=(_is_unknown, _is_tiny),
            operands={"x": _X, "dim": _DIM, "eps": _EPS},
        ),
    ),
    near_misses=(
        "x / y.norm(dim=-1, keepdim=True)",
        "x / x.norm(dim=-1)",
        "x / x.norm()",
        "x / x.norm(p=1, dim=-1, keepdim=True)",
        "x * x.norm(dim=-1, keepdim=True)",
        "x / x.norm(dim=-1, keepdim=True).clamp(min=1e-6)",
        "x / x.norm(dim=-1, keepdim=True) ** 2",
        "x / (x.norm(dim=-1, keepdim=True) + 1)",
        "x / torch.sqrt((x**2).mean(-1, keepdim=True))",
        "x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)",
        "x / torch.sqrt((x**2).sum(-1, keepdim=True) + 1e-6)",
        "F.normalize(x, dim=-1)",
        "x / np.linalg.norm(x, axis=-1, keepdims=True)",
    ),
)
RULE = IDENTITY.rule
