"""A small constant that is meant to protect a division, a root or a logarithm is 0 in float16.

The defect
----------
1e-8, 1e-10 or 1e-12 is added to a number, or bounds it from below, so that it is never 0; and the tensor can be
float16: the code runs under `autocast` or in a model cast with `half()`.

Why it hurts
------------
The smallest number of float16 is 6e-8, and everything below 3e-8 rounds to 0. `x + 1e-8` is then x, and
`x.clamp(min=1e-8)` is x: a zero norm, variance or sum divides by 0 (NaN or inf), log(0) is -inf, and the root has an
infinite gradient. The same line is right in float32, so the fault shows only once mixed precision is turned on. 1e-6
avoids 0 / 0, but 1 / 1e-6 is inf in float16. bfloat16 has float32's range and is not affected.

Before
------

    with torch.autocast("cuda", dtype=torch.float16):
        features = self.encoder(images)
        spread = features.std(dim=-1, keepdim=True)
        features = features / (spread + 1e-8)

After
-----

    with torch.autocast("cuda", dtype=torch.float16):
        features = self.encoder(images)
        spread = features.std(dim=-1, keepdim=True)
        features = features / spread.clamp_min(torch.finfo(spread.dtype).eps)

Try it
------

    import torch

    features = torch.full((1, 4), 2.0, dtype=torch.float16)  # a constant row
    spread = features.std(dim=-1, keepdim=True)
    before = features / (spread + 1e-8)
    after = features / spread.clamp_min(torch.finfo(spread.dtype).eps)
    assert spread + 1e-8 == 0
    assert before.isinf().all() and after.isfinite().all()

When the fix is safe
--------------------
A denominator that is never negative, or the number under a root that divides, is held at its dtype's `eps`: 1.2e-7 in
float32, 0.001 in float16, so that the quotient and its gradient stay moderate. Under a logarithm or a root of its own
the constant is added as before, so that a gradient arrives below it too, and raised to the dtype's smallest normal
number: nothing changes in float32 or bfloat16, and in float16 it becomes 6e-5.

Left alone
----------
Code where nothing says float16, or which says bfloat16; functions that cast to float32, compare dtypes or ask `finfo`
for a bound; what `autocast` runs in float32 (sums, norms, powers, softmax, exp and log); tensors made like one that
the file hands over outside of `autocast`; numbers of Python, numpy and counts; quantities proved positive; optimizers,
evaluation and the preparation of data. A denominator of unknown sign is reported without a fix: clamping would change
its negative values.

Sources
-------
PyTorch documentation: `torch.finfo`, "Autocast Op Reference", "Numerical accuracy".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import constant, tensor_op
from autofix.ranges import analysis
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._clipping import inside_optimizer
from autofix.transforms.precision._half import (
    Autocast,
    Switch,
    Width,
    autocast_around,
    casts_to_a_dtype,
    is_aware,
    names_half,
    runs_in_half,
    width,
)
from autofix.transforms.ranges._call_sites import given
from autofix.transforms.ranges._clamping import brackets
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._counts import count
from autofix.transforms.ranges._division import division, is_numpy
from autofix.transforms.ranges._floors import dtype_owner, limits
from autofix.transforms.ranges._gradients import carries_gradient, out_of_model
from autofix.transforms.ranges._roots import looks_like_tensor, root_of
from autofix.tree import last_part, parameter_names

_ZERO = 2.98e-8  # float16 rounds anything smaller to 0
_DIVISOR, _DIVIDING_ROOT, _LOG, _ROOT = "division", "division by the root", "logarithm", "root"
_CLAMPS = ("clamp", "clamp_min")
_MOVES = ("unsqueeze", "squeeze", "view", "reshape", "expand", "detach", "contiguous", "transpose")
_NUMBERS = ("item", "tolist", "numpy", "numel", "size", "dim", "perf_counter", "time")
_WHOLE = re.compile(r"mask|label|target|count|index|indices|(^|_)(ids?|lens?|lengths?|valid|tokens?)(_|$)", re.I)
_FLOATING = ("mean", "norm", "vector_norm", "std", "var", "sqrt", "sigmoid", "softmax", "exp", "float", "half")
_HALF_ALONE = ("full precision only",)
_DEPTH = 6


@dataclass(frozen=True, slots=True)
class _Guard:
    """`quantity + small`, or `quantity.clamp(min=small)`. added: which of the two."""

    node: ast.expr
    quantity: ast.expr
    small: ast.expr
    added: bool


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    guard = _guard(module, node)
    if guard is None:
        return
    use = _use(module, guard.node, 0)
    if not use or not _is_tensor(module, guard, use) or analysis(module).of(guard.quantity).positive:
        return
    why = _half(module, guard)
    if not why or _is_aside(module, guard):
        return
    message = (
        f"{module.source(guard.small)} is 0 in float16, and {why}: nothing protects the {use} where "
        f"{_text(module, guard.quantity)} is 0"
    )
    try:
        fix = _fix(module, guard, use)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(node, message, fix=fix)


def _guard(module: Module, node: ast.AST) -> _Guard | None:
    if isinstance(node, ast.BinOp):
        if not isinstance(node.op, ast.Add):
            return None
        if _is_small(module, node.right):
            return _Guard(node, node.left, node.right, True)
        return _Guard(node, node.right, node.left, True) if _is_small(module, node.left) else None
    op = tensor_op(module, node, *_CLAMPS)
    small = op.args.get("min") if op is not None else None
    if op is None or small is None or op.extra or not _is_small(module, small):
        return None
    return _Guard(op.call, op.input, small, False)


def _is_small(module: Module, node: ast.expr) -> bool:
    """Whether `node` is a literal, or the name of one, that float16 rounds to 0."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float) and 0 < node.value < _ZERO
    if not isinstance(node, ast.Name):
        return False
    value = constant(module, node)
    return isinstance(value, float) and 0 < value < _ZERO


def _use(module: Module, node: ast.expr, depth: int) -> str:
    """What the guarded number is guarded for; empty when it is none of these."""
    parent = module.parent(node)
    if depth > _DEPTH or parent is None:
        return ""
    divided = division(module, parent)
    if divided is not None and divided.denominator is node:
        return _DIVISOR
    if isinstance(parent, ast.Attribute):  # the method's call is above
        return _use_in(module, node, module.parent(parent), depth)
    return _use_in(module, node, parent, depth)


def _use_in(module: Module, node: ast.expr, parent: ast.AST | None, depth: int) -> str:
    """The use of `node` as what a call, a product or an assignment is about."""
    root = root_of(module, parent) if parent is not None else None
    if parent is None:
        return ""
    if root is not None and root.argument is node:
        return _DIVIDING_ROOT if root.inverse or _use(module, root.node, depth + 1) == _DIVISOR else _ROOT
    op = tensor_op(module, parent) if isinstance(parent, ast.Call) else None
    if op is not None and op.input is node:
        if op.name in ("log", "log2", "log10"):
            return _LOG
        if op.name == "reciprocal":
            return _DIVISOR
        return _use(module, op.call, depth + 1) if op.name in _MOVES else ""
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult):
        other = parent.right if parent.left is node else parent.left
        number = constant(module, other)
        return _use(module, parent, depth + 1) if number is not None and number > 0 else ""
    return _use_of_name(module, node, parent, depth)


def _use_of_name(module: Module, node: ast.expr, parent: ast.AST, depth: int) -> str:
    """The use of the name that `node` is assigned to."""
    target = parent.targets[0] if isinstance(parent, ast.Assign) and len(parent.targets) == 1 else None
    if not isinstance(target, ast.Name) or not isinstance(parent, ast.Assign) or parent.value is not node:
        return ""
    uses = [_use(module, read, depth + 1) for read in module.flow(node).certain_readers(target.id, parent)]
    return next((u for u in (_DIVISOR, _DIVIDING_ROOT, _LOG, _ROOT) if u in uses), "")


# -- whether it is a tensor, and float16 -----------------------------------------------------------------------


def _is_tensor(module: Module, guard: _Guard, use: str) -> bool:
    for part in _origins(module, guard.quantity, 0):
        if isinstance(part, ast.Call) and last_part(part.func) in _NUMBERS:
            return False
    if not guard.added or use in (_LOG, _ROOT, _DIVIDING_ROOT):
        return not is_numpy(module, guard.node)
    return looks_like_tensor(module, guard.quantity) and not is_numpy(module, guard.node)


def _origins(module: Module, node: ast.expr, depth: int) -> Iterator[ast.AST]:
    """The nodes that a value is computed from, through single definitions."""
    for part in ast.walk(node):
        yield part
        if isinstance(part, ast.Name) and depth < _DEPTH:
            value = module.flow(part).value(part)
            if value is not part:
                yield from _origins(module, value, depth + 1)


def _half(module: Module, guard: _Guard) -> str:
    """Why the quantity can be float16 here, in words; empty when it cannot, or when nothing says so."""
    cast = width(module, guard.quantity, autocast=False)
    if cast is Width.HALF:
        return "it is cast to float16"
    around = autocast_around(module, guard.node)
    if cast is Width.FULL or around is Autocast.OFF:
        return ""
    if casts_to_a_dtype(module, guard.quantity):
        return "its dtype is a setting"
    if is_aware(module, guard.node) or count(module, guard.quantity) is not None:
        return ""
    if around is Autocast.HALF:
        return "" if width(module, guard.quantity, autocast=True) is Width.FULL else "autocast runs this in float16"
    if names_half(module, module.class_of(guard.node) or module.flow(guard.node).scope):
        return "it is computed in float16 here"
    switch = runs_in_half(module)
    if switch is Switch.CAST:
        return "this file runs models in float16"
    if switch is Switch.AUTOCAST and width(module, guard.quantity, autocast=True) is not Width.FULL:
        if _is_made_outside(module, guard.quantity):
            return ""
        return "this file trains in mixed precision"
    return ""


def _is_made_outside(module: Module, quantity: ast.expr) -> bool:
    """Whether it is about a tensor made like a parameter (`zeros_like(rewards)`), and all calls of the function in this
    file stand outside of autocast and hand over what was made outside of it: it is single precision."""
    owner = dtype_owner(module, quantity)
    flow = module.flow(quantity)
    function = flow.scope
    if not isinstance(owner, ast.Name) or not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    made = [getattr(s, "value", None) for s in flow.stores(owner.id)]
    like = [v.args[0] for v in made if isinstance(v, ast.Call) and v.args and last_part(v.func).endswith("_like")]
    names = [n.id for n in like if isinstance(n, ast.Name) and n.id in parameter_names(function)]
    handed = [a for n in names for a in given(module, function, n)]
    return bool(handed) and not any(a is None or _comes_from_autocast(module, a) for a in handed)


def _comes_from_autocast(module: Module, argument: ast.expr) -> bool:
    definition = module.flow(argument).definition(argument) if isinstance(argument, ast.Name) else None
    places = (argument, definition.statement) if definition is not None else (argument,)
    return any(autocast_around(module, place) is Autocast.HALF for place in places)


def _is_aside(module: Module, guard: _Guard) -> bool:
    node = _outermost_logarithm(module, guard.node)  # a call named `log` around a number might keep records
    if out_of_training(module, node) or inside_optimizer(module, node) or out_of_model(module, node):
        return True
    return not carries_gradient(module, guard.quantity)


def _outermost_logarithm(module: Module, node: ast.expr) -> ast.expr:
    found = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            break
        if isinstance(ancestor, ast.Call) and tensor_op(module, ancestor, "log", "log2", "log10") is not None:
            found = ancestor
    return found


# -- the fix ---------------------------------------------------------------------------------------------------


def _fix(module: Module, guard: _Guard, use: str) -> Fix:
    owner = dtype_owner(module, guard.quantity)
    if owner is not None and _may_be_whole(module, guard.quantity, owner):
        raise Unrewritable("the bound depends on the dtype, and the tensor that could name it may hold whole numbers")
    divides = use in (_DIVISOR, _DIVIDING_ROOT)
    signed = use == _DIVISOR and guard.added and analysis(module).of(guard.quantity).low < 0
    if signed:
        raise Unrewritable("the sign of the denominator is not known, and clamping it would change negative ones")
    bound = limits(module, guard.quantity, "eps" if divides else "tiny")
    if not divides or isinstance(guard.small, ast.Name):
        if module.names.lookup("max", guard.node) is not None or module.flow(guard.node).stores("max"):
            raise Unrewritable("max is bound to something else here")
        bound = f"max({module.source(guard.small)}, {bound})"
    if divides and guard.added:
        return Fix(
            title="clamp_min at the dtype's eps, for the number is never negative and 1 / eps is finite in float16 too",
            edits=_in_place_of(module, guard.node, f"{{q}}.clamp_min({bound})", guard.quantity),
            applicability=Applicability.SAFE,
            claim=_claim("numbers below 1.2e-7 (0.001 in float16) are held there; the constant is no longer added"),
        )
    title = "bound it at the dtype's eps, which float16 holds and whose reciprocal is finite"
    change = "numbers below 1.2e-7 (0.001 in float16) are held there"
    if not divides:
        title = "raise the constant to the dtype's smallest normal number: nothing changes in float32"
        title += ", and adding keeps the gradient below it" if guard.added else ""
        change = "in float16 the constant is 6e-5 and no longer 0"
    # Where the cast is in view the code is float16 whatever comes in, and 6e-5 under a root shows in ordinary values.
    is_cast = not divides and width(module, guard.quantity, autocast=False) is Width.HALF
    return Fix(
        title=title,
        edits=rewrite.replace(module, guard.small, bound),
        applicability=Applicability.SAFE,
        claim=_claim(change, Relation.INTENDED if is_cast else Relation.EQUAL, () if divides else _HALF_ALONE),
    )


def _claim(change: str, relation: Relation = Relation.EQUAL, extra: tuple[str, ...] = ()) -> Claim:
    return Claim(relation, change=change, extra=("half-precision", *extra))


def _may_be_whole(module: Module, quantity: ast.expr, owner: ast.expr) -> bool:
    """Whether the tensor whose dtype is asked may hold integers or booleans, which have no `finfo`."""
    if not _WHOLE.search(last_part(owner)):
        return False
    return not any(
        isinstance(n, ast.Call) and last_part(n.func) in _FLOATING
        for n in (*ast.walk(quantity), *_origins(module, owner, 0))
    )


def _in_place_of(module: Module, node: ast.expr, template: str, quantity: ast.expr) -> tuple[Edit, ...]:
    """A call in place of a sum and of the brackets around it, which a call does not need."""
    group = brackets(module, node)
    if group is None or any(group[0] <= at < group[1] for at, _ in module.comments):
        return rewrite.replace(module, node, template, q=quantity)
    return (Edit(module.char_span(*group), rewrite.expression(module, template, q=quantity)),)


def _text(module: Module, node: ast.expr) -> str:
    text = re.sub(r"\s+", " ", module.source(node))
    return text if len(text) <= 60 else "the number"


RULE = Rule(
    name="half-epsilon",
    summary="1e-8 or 1e-12 protects a division, root or logarithm that can be float16, where it is 0",
    severity=Severity.WARNING,
    triggers=(
        (b"autocast", b"torch.float16", b"torch.half", b".half()", b"GradScaler", b'"fp16"', b"'fp16'"),
        (b"1e-8", b"1e-08", b"1e-9", b"1e-09", b"1e-1", b"1e-2", b"1.0e-8", b"1.e-8"),
    ),
    anchor=re.compile(r"1(?:\.0?)?e-(?:0?[89]|[12]\d)\b"),
    nodes=(ast.BinOp, ast.Call),
    check=check,
)
