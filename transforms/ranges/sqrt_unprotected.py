"""A square root of a number that can be exactly 0: the gradient is infinite there.

The defect
----------
`sqrt`, `rsqrt`, `** 0.5` is taken of a variance, a mean of squares, a squared distance or something clamped at 0,
without anything that keeps it from being 0.

Why it hurts
------------
The derivative of the root is inf at 0. A perfect prediction, a constant row, two equal points or a padded sample make
a sum of squares exactly 0, a matrix without full rank has a singular value of 0, and backward computes inf times 0:
NaN in every parameter below. `rsqrt`, and a division by the root, give inf or NaN already in the value.

Before
------

    rmse = torch.sqrt(((prediction - target) ** 2).mean())

After
-----

    rmse = torch.sqrt(((prediction - target) ** 2).mean().clamp_min(torch.finfo(prediction.dtype).tiny))

Try it
------

    import torch

    prediction = torch.ones(4, requires_grad=True)
    target = torch.ones(4)  # a perfect prediction
    mse = ((prediction - target) ** 2).mean()
    (before,) = torch.autograd.grad(torch.sqrt(mse), prediction, retain_graph=True)
    (after,) = torch.autograd.grad(torch.sqrt(mse.clamp_min(torch.finfo(prediction.dtype).tiny)), prediction)
    assert before.isnan().all() and (after == 0).all()

When the fix is safe
--------------------
Where the root is a value of its own, its argument is held at the dtype's smallest normal number: no value changes in
float32 or bfloat16 but that of 0, which becomes 1e-19; in float16 roots below 0.0078 are held there. Below the bound
the gradient is 0, as that of a norm at 0. Where the root divides, the bound is the dtype's `eps`, so that the gradient
of the quotient stays moderate: an argument below 1.2e-7 (0.001 in float16) is held.

Left alone
----------
Arguments whose range is proved positive, or of which nothing is known; what is computed from raw inputs, fixed tables
or random draws alone, and roots that are only compared; `sqrt(relu(x))`, whose derivative at 0 is 0, unless it divides
(`clamp(min=0)` passes the root's infinite derivative on where its input is exactly 0, and only there); `std` and
`norm`, whose gradient at 0 torch itself returns as 0; roots with a constant added outside and roots clamped afterwards,
which have rules of their own, as has the root of a sum of squares; optimizers, running statistics, noise schedules and
evaluation; points that a function projects through a camera; functions whose docstring says what a degenerate input
gives; Python numbers.

There is advice where nothing ordinary makes the number exactly 0: the mean square of a vector of features, a point at
the origin, a clamped quantity that is no difference and no variance.

Sources
-------
PyTorch documentation: `torch.sqrt`, `torch.rsqrt`, "Autograd mechanics".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Finding, Fix, Severity
from autofix.ops import constant, tensor_op
from autofix.relations import same, signed_terms
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._floors import held, hold, unclamped
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.transforms.ranges._networks import is_documented, sees_a_camera
from autofix.transforms.ranges._roots import (
    LARGEST_EPS,
    chosen_by_where,
    guarded_outside,
    is_named_eps,
    is_own_product,
    is_square,
    never_zero,
    root_of,
    selected,
    squared,
)
from autofix.tree import walk

_CALLS = ("sqrt", "rsqrt", "pow", "sqrt_", "rsqrt_")

_SPECTRUM = "a matrix without full rank has a singular value of 0, or a rounding below"
_CLAMPED = "a clamp passes the gradient on where its input is exactly 0"
_CLAMPED_VALUE = "whatever is not positive is clamped to exactly 0"
_COORDINATE = re.compile(r"^_?(\w_)?([xyz]|xx|yy|zz)(\d|_\w+|w|c)?$", re.I)
_DECOMPOSED = (
    "two equal singular values make the gradient of the decomposition itself infinite: add a small multiple of the "
    "identity to the matrix, or a constant under the root if the values are all that is used"
)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) not in _CALLS:
        return
    root = root_of(module, node)
    if root is None or guarded_outside(module, root.node):
        return
    divides = root.inverse or _is_divisor(module, root.node)
    how = _vanishes(module, root.argument, 0, divides)
    if not how or never_zero(module, root.argument):
        return
    if learns_nothing(module, root.node):
        return
    if selected(module, root.argument) or chosen_by_where(module, root.node, root.argument):
        return
    if not carries_gradient(module, root.argument) or only_compared(module, root.node):
        return
    severity = None if divides or _is_ordinary(module, root.argument) else Severity.INFO
    if severity is Severity.INFO and (sees_a_camera(module, root.node) or is_documented(module, root.node)):
        return
    limit = "eps" if divides else "tiny"
    result = "the quotient is inf or NaN" if divides else "the gradient is NaN or inf"
    text = re.sub(r"\s+", " ", module.source(root.argument))
    message = f"nothing keeps {text} above 0: {how}, and then {result}"
    try:
        if how is _SPECTRUM:
            raise Unrewritable(_DECOMPOSED)
        edits = hold(module, root.argument, limit)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason), severity=severity)
        return
    bound = "1.2e-7 (0.001 in float16)" if divides else "the smallest normal number (6e-5 in float16)"
    yield context.finding(
        node,
        message,
        fix=Fix(
            title="hold the number under the root above 0, where the root has no finite derivative",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=held(
                module,
                unclamped(module, root.argument),
                f"torch.finfo(trial_dtype).{limit}",
                None,
                f"a number below {bound} under the root is held there",
            ),
        ),
        severity=severity,
    )


def _vanishes(module: Module, node: ast.expr, depth: int, divides: bool) -> str:
    """How `node` comes to be exactly 0 in ordinary data, in words; empty when nothing says so."""
    if depth > 8:
        return ""
    if isinstance(node, ast.Name):
        if _is_spectrum(module, node):
            return _SPECTRUM
        value = module.flow(node).value(node)
        return _vanishes(module, value, depth + 1, divides) if value is not node else ""
    if isinstance(node, ast.BinOp):
        return _arithmetic(module, node, depth, divides)
    if is_own_product(module, node):
        return "the product of a vector with itself is 0 where it is zero"
    op = tensor_op(module, node)
    if op is None:
        return ""
    if op.name == "var":
        return "a constant row has variance 0"
    if op.name == "relu":  # its derivative at 0 is 0, which selects: the infinite one of the root goes no further
        return "whatever is not positive is rectified to exactly 0" if divides else ""
    if op.name in ("clamp", "clamp_min", "clamp_", "clamp_min_"):
        if constant(module, op.args.get("min")) != 0:
            return ""
        return _CLAMPED_VALUE if divides else _CLAMPED
    if op.name == "mean" and _squares(module, op.input, 0):
        return "a mean of squares is 0 where all are equal to 0"
    if op.name in ("sum", "amax", "diag", "diag_embed", "unsqueeze", "squeeze", "view", "reshape", "float"):
        return _vanishes(module, op.input, depth + 1, divides)
    return ""


def _is_spectrum(module: Module, node: ast.Name) -> bool:
    """Whether the name is bound to singular values or to eigenvalues of a symmetric matrix."""
    definition = module.flow(node).definition(node)
    if definition is None or not isinstance(definition.statement, ast.Assign):
        return False
    made, target = definition.statement.value, definition.statement.targets[0]
    name = made.func.attr if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) else ""
    if definition.kind == "assign":
        return name in ("svdvals", "eigvalsh")
    places = {"svd": 1, "svd_lowrank": 1, "eigh": 0, "symeig": 0}
    if name not in places or not isinstance(target, ast.Tuple):
        return False
    place = target.elts[places[name]] if len(target.elts) > places[name] else None
    return isinstance(place, ast.Name) and place.id == node.id


def _is_rotation_sum(module: Module, node: ast.expr) -> bool:
    """`1 + m00 - m11 - m22` and its kin, as in the way from a rotation matrix to a quaternion."""
    terms = [(s, t) for sign, term in signed_terms(module, node) for s, t in _opened(module, sign, term)]
    ones = [t for s, t in terms if s > 0 and constant(module, t) == 1]
    entries = [t for _, t in terms if constant(module, t) is None]
    return len(ones) == 1 and len(entries) >= 3 and all(_is_entry(module, t) for t in entries)


def _opened(module: Module, sign: int, term: ast.expr) -> list[tuple[int, ast.expr]]:
    value = module.flow(term).value(term) if isinstance(term, ast.Name) else term
    if value is term or not isinstance(value, ast.BinOp):
        return [(sign, term)]
    return [(sign * s, t) for s, t in signed_terms(module, value)]


def _is_entry(module: Module, node: ast.expr) -> bool:
    """One entry of a matrix: unpacked from its parts, or taken by two indices."""
    if isinstance(node, ast.Name):
        definition = module.flow(node).definition(node)
        made = definition.statement.value if definition and isinstance(definition.statement, ast.Assign) else None
        parts = made.func.attr if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) else ""
        if definition is not None and definition.kind == "unpack":
            return parts in ("chunk", "unbind", "split") or isinstance(made, ast.Tuple)
        node = module.flow(node).value(node)
    index = node.slice if isinstance(node, ast.Subscript) else None
    numbers = index.elts[-2:] if isinstance(index, ast.Tuple) else []
    return len(numbers) == 2 and all(isinstance(n, ast.Constant) and isinstance(n.value, int) for n in numbers)


def _arithmetic(module: Module, node: ast.BinOp, depth: int, divides: bool) -> str:
    if isinstance(node.op, ast.Add) and _components(module, node):
        return "a sum of squares is 0 where all are 0"
    if isinstance(node.op, (ast.Add, ast.Sub)) and _is_rotation_sum(module, node):
        return "for a rotation by half a turn it is 0, or a rounding below"
    if isinstance(node.op, ast.Sub) and constant(module, node.left) == 1 and is_square(module, node.right):
        return "it is 0, or a rounding below, where the square is 1"
    if isinstance(node.op, ast.Div):
        return _vanishes(module, node.left, depth + 1, divides)
    if isinstance(node.op, ast.Mult):
        number = constant(module, node.left) is not None, constant(module, node.right) is not None
        if number[0] != number[1]:
            return _vanishes(module, node.right if number[0] else node.left, depth + 1, divides)
    return ""


def _components(module: Module, node: ast.BinOp) -> bool:
    """Whether a sum of squares is the length of a vector: its terms are components of one thing (`gx`, `gy`; `x[0]`,
    `x[1]`; `real`, `imag`) or differences. `sigma ** 2 + noise ** 2` is none: nobody expects both to be 0."""
    bases = _bases(module, node)
    if any(b is None or _is_raised(module, b) for b in bases):
        return False
    if all(isinstance(b, ast.BinOp) and isinstance(b.op, ast.Sub) for b in bases):
        return True
    texts = [re.sub(r"\s+", "", module.source(b)) for b in bases if b is not None]
    return all(_alike(texts[0], t) for t in texts[1:])


def _is_raised(module: Module, node: ast.expr) -> bool:
    """Whether a small constant was added before it was squared, so that 0 takes a difference of exactly its size."""
    value = module.flow(node).value(node)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return False
    number = constant(module, value.right)
    return is_named_eps(value.right) or (number is not None and 0 < number <= LARGEST_EPS)


def _bases(module: Module, node: ast.BinOp) -> list[ast.expr | None]:
    """What the terms of a sum are the squares of; None for a term that is no square."""
    terms: list[ast.expr] = [node]
    while isinstance(terms[0], ast.BinOp) and isinstance(terms[0].op, ast.Add):
        terms = [terms[0].left, terms[0].right, *terms[1:]]
    return [squared(module, t) for t in terms]


def _alike(one: str, other: str) -> bool:
    """Whether two names differ in a character or two, or are the parts of a complex number."""
    if {one[-4:], other[-4:]} == {"real", "imag"} or {one[-2:], other[-2:]} == {"re", "im"}:
        return True
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 2


def _squares(module: Module, node: ast.expr, depth: int) -> bool:
    """Whether `node` is a square or a sum of squares."""
    if depth > 6:
        return False
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return value is not node and _squares(module, value, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _squares(module, node.left, depth + 1) and _squares(module, node.right, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and same(module, node.left, node.right):
        return not isinstance(node.left, ast.Constant)
    op = tensor_op(module, node)
    if op is not None and op.name in ("sum", "mean"):
        return _squares(module, op.input, depth + 1)
    return is_square(module, node)


def _is_divisor(module: Module, node: ast.expr) -> bool:
    """Whether the root, or the name it is bound to, divides something, a positive factor beside it or not."""
    if _is_right_of_division(module, node):
        return True
    parent = module.parent(node)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return False
    name = parent.targets[0].id
    reads: list[ast.Name] = module.flow(node).loads.get(name, [])
    return any(_is_right_of_division(module, r) for r in reads)


def _is_right_of_division(module: Module, node: ast.expr) -> bool:
    parent = module.parent(node)
    while isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult):
        node, parent = parent, module.parent(parent)
    return isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.right is node


def _is_ordinary(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether ordinary data makes the number under the root exactly 0: equal things are subtracted, a row is constant,
    an image is flat. A whole vector of features that is 0, or a point at the origin, is no ordinary thing."""
    node = module.flow(node).value(node)
    op = tensor_op(module, node)
    if op is None and is_square(module, node):
        base = squared(module, node)
        return base is not None and _is_difference(module, base)
    if isinstance(node, ast.BinOp) and depth < 6:
        if isinstance(node.op, ast.Add) and _components(module, node):
            names = [getattr(b, "id", "") for b in _bases(module, node)]
            return not all(_COORDINATE.search(n) for n in names)
        if isinstance(node.op, ast.Mult):
            return any(_is_ordinary(module, p, depth + 1) for p in (node.left, node.right))
        if isinstance(node.op, ast.Div):
            return _is_ordinary(module, node.left, depth + 1)
        return _is_difference(module, node)
    if op is None or depth > 5:
        return depth == 0
    if op.name in (
        "mean",
        "clamp",
        "clamp_min",
        "clamp_",
        "clamp_min_",
        "sum",
        "amax",
        "unsqueeze",
        "squeeze",
        "float",
    ):
        return _is_ordinary(module, op.input, depth + 1) if not isinstance(op.input, ast.Attribute) else False
    if op.name in ("pow", "square"):
        return _is_difference(module, op.input)
    return depth == 0 or op.name == "var"


def _is_difference(module: Module, node: ast.expr) -> bool:
    """Whether `node` is a difference, or is called an error, as it is or behind a mask, a cast or an absolute value."""
    named = [n.id for n in walk(node) if isinstance(n, ast.Name)]
    if any(
        re.search(r"diff|delta|err|resid|cent(ered|red)|(^|_)(wave\w*|audio|frames?|signal|speech)", n) for n in named
    ):
        return True
    for _ in range(6):
        node = module.flow(node).value(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.Add)):
            return any(s < 0 for s, _ in signed_terms(module, node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return _is_difference(module, node.left) or _is_difference(module, node.right)
        op = tensor_op(module, node)
        if op is None or op.name not in ("abs", "float", "masked_fill", "mul", "sub", "view", "reshape"):
            return False
        if op.name == "sub":
            return True
        node = op.input
    return False


# What stands before `** -0.5` where the scale of attention or of an initialiser is computed from a size.
# Bases that are sizes or the schedules of a sampler.
_NO_SCALE = "".join(
    rf"(?<!{size}{space}\*\*)"
    for size in (
        r"dim size features size\(-1\) shape\[-1\] shape\[0\] shape\[1\] head heads positions patches embeddings "
        r"channels inputs depth layers layers\) cumprod\[timesteps\] cumprod\[t\] timesteps\]\)"
    ).split()
    for space in ("", " ")
)

RULE = Rule(
    name="sqrt-unprotected",
    summary="a square root of a variance, a mean of squares or a clamped number that can be exactly 0",
    severity=Severity.WARNING,
    triggers=((b"sqrt(", b"pow(", re.compile(rb"\*\* ?-?0\.5")),),
    # Not the root of RMS norm, whose constant under the root is written beside the variance.
    anchor=re.compile(
        r"sqrt\((?<!math\.sqrt\()(?<!np\.sqrt\()(?!\s*[\w.]+\s*\+\s*(?:self\.)?(?:\w*eps\w*|1e-\d+)\))"
        r"(?!\w+(?:\.float\(\)|\.square\(\)|\.pow\(2\))+\.mean\([^()\n]*\) \+ (?:self\.)?\w*eps\w*\))"
        r"(?!\s*(?:self\.)?(?:[\d.]+|num_\w+|fan_in)\))"
        rf"|\*\*{_NO_SCALE}\s*\(?-?0?\.5|pow\([^()]*-?0?\.5\)"
    ),
    nodes=(ast.Call, ast.BinOp),
    check=check,
    at_anchor=True,
    beside=re.compile(
        r"\bvar(?:_mean)?\(|svd|eig|\b1(?:\.0*)?\s*[+-]|[+-]\s*1\b"
        r"|(?:dot|inner)(?:_?prod\w*)?\("
        r"|cl(?:amp|ip)|re[lL][uU]|mean\(|\*\*\s*2|pow\(|square\(|\b(\w[\w.\[\]]*) ?\* ?\1(?!\w)"
    ),
)
