"""A sum of squares or a softmax is computed in half precision because the code itself asks for it.

The defect
----------
A tensor is cast with `half()` or `to(torch.float16)`, and its root mean square, length, softmax or log-sum-exp is then
computed from what is left. Or a softmax is given the dtype of its own scores, which changes nothing except below
`autocast`: that would have run it in float32.

Why it hurts
------------
The largest number of float16 is 65504: the square of 256 is inf already, and so is a sum that passes it. `rsqrt(inf)`
is 0, so a row with one large activation becomes a row of zeros without a gradient, or NaN after a division. A softmax
survives, but its scores have been rounded to three digits first: to a multiple of 0.5 from 512 on, of 32 at the end.
And a probability that is kept in half precision is 1 from 0.998 (bfloat16) or 0.9998 on: the derivative p (1 - p) is
computed from it, so a row that is nearly certain passes no gradient at all.

Before
------

    h = x.half()
    scale = torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5)

After
-----

    h = x.half()
    scale = torch.rsqrt(h.float().pow(2).mean(-1, keepdim=True) + 1e-5).to(h.dtype)

Try it
------

    import torch

    h = torch.tensor([[300.0, 1.0]]).half()
    before = torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5)
    after = torch.rsqrt(h.float().pow(2).mean(-1, keepdim=True) + 1e-5).to(h.dtype)
    assert (h * before == 0).all()  # the row is gone
    torch.testing.assert_close(h * after, torch.tensor([[2**0.5, 2**0.5 / 300]]).half())

    scores = torch.tensor([7.0, -1.0], dtype=torch.bfloat16, requires_grad=True)
    kept, wide = scores.softmax(dim=-1, dtype=scores.dtype), scores.softmax(dim=-1, dtype=torch.float32)
    assert torch.autograd.grad(kept[0], scores)[0][0] == 0
    assert torch.autograd.grad(wide[0], scores)[0][0] > 3e-4

When the fix is safe
--------------------
The same numbers are squared, summed and put under the root, in float32, and the result has the dtype it had. It differs
by the rounding of float16 only, where the sum was finite. A softmax that is computed in float32 and cast back gives the
same probabilities, since it is summed up in float32 inside; its gradient is that of the unrounded ones. Where a softmax
names the dtype of its own scores, that may be meant, to match a reference bit for bit: that fix needs `--unsafe-fixes`.

Left alone
----------
Tensors whose dtype no cast in view decides; code below an `autocast` that is on, which runs softmax, powers, sums and
norms in float32; `norm` and `sum` themselves, which add up in float32 inside; softmax of a tensor that was float16
before. A sum of squares that no root brings back into range is reported without a fix: it should stay in float32.

Sources
-------
PyTorch documentation: "Autocast Op Reference", `torch.finfo`; Micikevicius et al., "Mixed Precision Training", 2018.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import Op, constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.precision._half import (
    Autocast,
    Width,
    autocast_around,
    is_half_cast,
    names_float16,
    width,
)
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._roots import is_square, root_of

_EXPONENTIAL = ("softmax", "log_softmax", "logsumexp")
_TOTALS = ("mean", "sum")
_CHANGE = "the result is that of float32, rounded to float16 once at the end"


@dataclass(frozen=True, slots=True)
class _Squares:
    """A mean or sum of the squares of `bases` (one expression, or both factors of a product)."""

    total: Op
    bases: tuple[ast.expr, ...]


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    op = tensor_op(module, node, *_EXPONENTIAL, *_TOTALS)
    if op is None or autocast_around(module, node) is Autocast.HALF:
        return
    yield from _exponential(op, context) if op.name in _EXPONENTIAL else _squared(op, context)


# -- softmax and its kin ---------------------------------------------------------------------------------------


def _exponential(op: Op, context: Context) -> Iterator[Finding]:
    module = context.module
    given = op.args.get("dtype")
    cast = is_half_cast(module, op.input)
    if op.form == "module" or out_of_training(module, op.call):
        return
    if given is not None and _is_own_dtype(given, op.input):
        yield from _kept_in_half(op, given, context)
        return
    if given is not None and names_float16(module, given):
        edits = (*rewrite.replace(module, given, _torch(module, given, "float32")), _behind(module, op.call, ".half()"))
    elif given is None and cast is not None:
        edits = (
            *rewrite.replace(module, op.input, "{x}.float()", x=cast),
            _behind(module, op.call, ".half()"),
        )
    else:
        return
    fix = Fix(
        title=f"compute {op.name} in float32 and cast its result, which float16 holds",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, change=_CHANGE),
    )
    message = (
        f"the scores are rounded to float16, which keeps three digits of them, before {op.name} takes their exponent"
    )
    yield context.finding(op.call, message, fix=fix, severity=Severity.INFO)


def _is_own_dtype(given: ast.expr, scores: ast.expr) -> bool:
    """Whether `dtype=` is that of what the operation is applied to."""
    return isinstance(given, ast.Attribute) and given.attr == "dtype" and ast.dump(given.value) == ast.dump(scores)


def _kept_in_half(op: Op, given: ast.expr, context: Context) -> Iterator[Finding]:
    """`softmax(scores, dim=-1, dtype=scores.dtype)`: nothing but an `autocast` would have changed the dtype."""
    module = context.module
    if op.name == "logsumexp" or not isinstance(op.input, (ast.Name, ast.Attribute)):
        return
    if width(module, op.input, autocast=False) is Width.FULL or autocast_around(module, op.call) is Autocast.OFF:
        return
    text = module.source(given)
    back = "" if _is_cast_at_once(module, op.call) else f".to({text})"
    edits = rewrite.replace(module, given, _torch(module, given, "float32"))
    fix = Fix(
        title=f"compute {op.name} in float32 and cast its result to the dtype it had",
        edits=(*edits, _behind(module, op.call, back)) if back else edits,
        applicability=Applicability.UNSAFE,
        claim=Claim(Relation.EQUAL, change="gradients in half precision are those of probabilities in float32"),
    )
    message = (
        f"dtype={text} keeps this {op.name} out of float32 also below autocast, which would run it there: in "
        "bfloat16 a probability above 0.998 is 1 and passes no gradient"
    )
    yield context.finding(op.call, message, fix=fix, severity=Severity.INFO)


def _is_cast_at_once(module: Module, call: ast.Call) -> bool:
    parent = module.parent(call)
    return isinstance(parent, ast.Attribute) and parent.attr in ("to", "type_as", "type")


def _torch(module: Module, node: ast.expr, name: str) -> str:
    reference = module.names.reference(f"torch.{name}", node)
    if reference is None or reference.edits:
        raise Unrewritable("torch is another name here")
    return reference.text


def _behind(module: Module, node: ast.expr, text: str) -> Edit:
    return module.insertion(module.chars(node)[1], text)


# -- squares ---------------------------------------------------------------------------------------------------


def _squared(op: Op, context: Context) -> Iterator[Finding]:
    module = context.module
    found = _squares(module, op)
    if found is None or "dtype" in op.args:
        return
    base = found.bases[0]
    if width(module, base, autocast=False) is not Width.HALF or out_of_training(module, op.call):
        return
    text = re.sub(r"\s+", " ", module.source(base))
    message = f"{text} is float16, so its squares are inf from 256 on, and a sum of them is inf beyond 65504"
    root = _root_above(module, op.call)
    if root is None:
        why = "the sum may exceed what float16 holds: compute it in float32 and cast back only what is small again"
        yield context.finding(op.call, message, why=why)
        return
    try:
        edits = _edits(module, found, root)
    except Unrewritable as reason:
        yield context.finding(op.call, message, why=str(reason))
        return
    yield context.finding(
        op.call,
        message,
        fix=Fix(
            title="square, sum and take the root in float32, and cast the root, which float16 holds",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=Claim(Relation.EQUAL, hazard=("value", "gradient"), change=_CHANGE),
        ),
    )


def _squares(module: Module, op: Op) -> _Squares | None:
    node = op.input
    if not is_square(module, node):
        return None
    if isinstance(node, ast.BinOp):
        both = isinstance(node.op, ast.Mult)
        return _Squares(op, (node.left, node.right) if both else (node.left,))
    inner = tensor_op(module, node, "pow", "square")
    return _Squares(op, (inner.input,)) if inner is not None else None


def _root_above(module: Module, node: ast.expr) -> ast.Call | None:
    """The call of the root that `node` stands under, in the same expression and with at most a constant added."""
    current: ast.expr = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.Attribute):
            continue
        if not isinstance(ancestor, ast.expr):
            return None
        root = root_of(module, ancestor)
        if root is not None and root.argument is current:
            return root.node if isinstance(root.node, ast.Call) else None
        is_sum = isinstance(ancestor, ast.BinOp) and isinstance(ancestor.op, ast.Add)
        if not is_sum or not isinstance(ancestor, ast.BinOp):
            return None
        other = ancestor.right if ancestor.left is current else ancestor.left
        if constant(module, other) is None and not isinstance(other, (ast.Name, ast.Attribute)):
            return None
        current = ancestor
    return None


def _edits(module: Module, found: _Squares, root: ast.Call) -> tuple[Edit, ...]:
    base = found.bases[0]
    cast = is_half_cast(module, base)
    if cast is not None:
        widened = [rewrite.replace(module, b, "{x}.float()", x=is_half_cast(module, b) or b) for b in found.bases]
        return (*(e for edits in widened for e in edits), *_cast_back(module, root, ".half()"))
    if not isinstance(base, (ast.Name, ast.Attribute)):
        raise Unrewritable("no plain name has the dtype that the result must be cast back to")
    widened = [rewrite.replace(module, b, "{x}.float()", x=b) for b in found.bases]
    back = _cast_back(module, root, f".to({module.source(base)}.dtype)")
    return (*(e for edits in widened for e in edits), *back)


def _cast_back(module: Module, root: ast.Call, cast: str) -> tuple[Edit, ...]:
    """The cast behind the root, or behind the product that it is a factor of: the gradient of a factor is a sum that
    float16 may not hold either."""
    product: ast.expr = root
    parent = module.parent(product)
    while isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Mult, ast.Div)):
        other = parent.right if parent.left is product else parent.left
        if width(module, other, autocast=False) is not Width.HALF:
            break  # a wider factor decides the dtype of the product
        product, parent = parent, module.parent(parent)
    if product is root:
        return (_behind(module, root, cast),)
    start, _ = module.chars(product)
    return (module.insertion(start, "("), _behind(module, product, f"){cast}"))


RULE = Rule(
    name="half-reduction",
    summary="a root mean square or softmax of a tensor that the code casts to float16: squares are inf from 256 on",
    severity=Severity.WARNING,
    triggers=(
        (b".half()", b"torch.float16", b"torch.half", re.compile(rb"softmax\([^\n()]*dtype=[\w.]+\.dtype")),
        (b"softmax(", b"logsumexp(", b"sqrt(", b".mean(", b".sum(", b"torch.mean(", b"torch.sum("),
    ),
    anchor=re.compile(
        r"half\(\)|float16(?<=torch\.float16)(?<!== torch\.float16)(?<!in \(torch\.float16)|half\b(?<=torch\.half)"
    ),
    nodes=(ast.Call,),
    check=check,
    beside=re.compile(r"softmax\(|logsumexp\(|sqrt\(|mean\(|sum\("),
    further=((re.compile(r"softmax\([^\n()]*dtype=[\w.]+\.dtype"), None),),
)
