"""A clamp on the result of exp, log or sqrt: the value is finite then, the gradient is NaN.

The defect
----------
`exp(x).clamp(max=c)`, `log(x).clamp(min=c)` or `sqrt(x).clamp(min=c)` bound what has already overflowed or diverged.

Why it hurts
------------
The forward pass looks repaired. In the backward pass the clamp sends a gradient of 0 to the elements it held, and the
function before it multiplies that by its own derivative, which is inf there: exp above 88.7 (11.09 in float16), log
and sqrt at 0. 0 times inf is NaN, and one NaN reaches every parameter below. Several projects shipped exactly this and
had to repair it again.

Before
------

    magnitude = torch.exp(log_magnitude).clamp(max=100.0)

After
-----

    magnitude = torch.exp(log_magnitude.clamp(max=4.60517))

Try it
------

    import torch

    x = torch.tensor([200.0], requires_grad=True)
    old = torch.exp(x).clamp(max=100.0)
    new = torch.exp(x.clamp(max=4.60517))
    torch.testing.assert_close(old, new)
    (before,) = torch.autograd.grad(old, x)
    (after,) = torch.autograd.grad(new, x)
    assert before.isnan() and after == 0

When the fix is safe
--------------------
The bound moves to the argument: `log c` for exp, `e ** c` for log, `c ** 2` for sqrt. All three functions are
increasing, so values are the same to rounding, and elements that were held still get no gradient. A bound that is too
small for float16 or float32 is raised to the smallest normal number of the argument's own dtype: the logarithm is then
held at -87.3 (float32) or -9.7 (float16) in place of a lower `c`.

Left alone
----------
Arguments whose range is proved (an exponent that is never large, a positive argument of log); exp with a lower bound
only, whose derivative underflows harmlessly; a learned logit scale, which the clamp itself keeps from growing;
`exp(...).clamp(max=1)`, the acceptance probability of Metropolis and importance samplers, which carries no gradient;
bounds that are not numbers; code under `no_grad`, logging, evaluation; `std` and `norm`, whose gradient at 0 torch
itself returns as 0.

Sources
-------
PyTorch documentation: "Autograd mechanics", gradients of non-differentiable functions.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import Op, constant, tensor_op
from autofix.ranges import analysis
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.precision._half import never_half
from autofix.transforms.ranges._floors import HALF_ZERO, TINY, at_least, literal
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.transforms.ranges._roles import LOGIT_SCALE, role_of
from autofix.tree import last_part

_CLAMPS = ("clamp", "clamp_min", "clamp_max", "clamp_", "clamp_min_", "clamp_max_")
_NAMES = (*_CLAMPS, "clip", "clip_")
_FUNCTIONS = ("exp", "log", "sqrt")
_LARGEST_EXPONENT = 11.0  # exp of it is finite in float16 too


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The numbers a clamp holds its input between; None where it is open."""

    low: float | None
    high: float | None


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call) or last_part(node.func) not in _NAMES:
        return
    clamp = tensor_op(module, node, *_CLAMPS)
    bounds = _numbers(module, clamp) if clamp else None
    if clamp is None or bounds is None:
        return
    inner = _function(module, clamp)
    if inner is None or inner.args or inner.extra or learns_nothing(module, node) or only_compared(module, node):
        return
    moved = _moved(module, inner, bounds)
    if moved is None or _is_logit_scale(inner.input) or not carries_gradient(module, inner.input):
        return
    if _is_replaced(module, clamp):
        return
    message = _message(module, inner, clamp)
    try:
        edits, region = _edits(module, clamp, inner, moved)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    fix = Fix(
        title=f"clamp the argument of {inner.name} instead of its result, so that the gradient stays finite",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.EQUAL,
            region=region,
            change=_change(module, inner, moved),
        ),
    )
    yield context.finding(node, message, fix=fix)


def _is_replaced(module: Module, clamp: Op) -> bool:
    """Whether what is NaN after the clamp gets another value, `x[isnan(x)] = old`, which a clamp before it
    would end."""
    statement = module.statement(clamp.call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return False
    reads = module.flow(clamp.call).loads.get(target.id, [])
    later = [r for r in reads if module.chars(r)[0] > module.chars(statement)[1]]
    parents = [module.parent(r) for r in later]
    return any(isinstance(p, ast.Call) and last_part(p.func) == "isnan" for p in parents) or any(
        isinstance(p, ast.Attribute) and p.attr == "isnan" for p in parents
    )


def _numbers(module: Module, clamp: Op) -> _Bounds | None:
    """The bounds of a clamp whose every bound is a number."""
    low, high = (
        None if side is None or (isinstance(side, ast.Constant) and side.value is None) else side
        for side in (clamp.args.get("min"), clamp.args.get("max"))
    )
    known = [constant(module, side) for side in (low, high) if side is not None]
    if clamp.extra or not known or any(v is None or not math.isfinite(v) for v in known):
        return None
    numbers = iter(float(v) for v in known if v is not None)
    return _Bounds(next(numbers) if low is not None else None, next(numbers) if high is not None else None)


def _function(module: Module, clamp: Op) -> Op | None:
    """The exp, log or sqrt that is clamped, at once or through a name that nothing reads before the clamp."""
    node = clamp.input
    op = tensor_op(module, node, *_FUNCTIONS)
    if op is not None or not isinstance(node, ast.Name):
        return op
    flow = module.flow(node)
    definition = flow.definition(node)
    readers = flow.readers(definition) if definition is not None else None
    if definition is None or definition.value is None or not readers:
        return None
    in_place = last_part(clamp.call.func).endswith("_")
    first = min(readers, key=lambda reader: module.chars(reader)[0])
    if first is not node or (len(readers) > 1 and not in_place):
        return None
    return tensor_op(module, definition.value, *_FUNCTIONS)


def _moved(module: Module, inner: Op, bounds: _Bounds) -> _Bounds | None:
    """The bounds of the argument; None where no gradient can be lost."""
    reach = analysis(module).of(inner.input)
    if inner.name == "exp":
        if bounds.high is None or bounds.high <= 0 or bounds.high == 1 or reach.high <= _LARGEST_EXPONENT:
            return None
        low = math.log(bounds.low) if bounds.low is not None and bounds.low > 0 else None
        return _Bounds(low, math.log(bounds.high))
    if bounds.low is None or reach.positive or reach.magnitude > 0:
        return None
    if inner.name == "log":
        high = None if bounds.high is None or bounds.high > math.log(3e38) else math.exp(bounds.high)
        return _Bounds(_exp(bounds.low), high)
    if inner.name == "sqrt" and bounds.low > 0:
        return _Bounds(bounds.low**2, None if bounds.high is None else bounds.high**2)
    return None


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _is_logit_scale(node: ast.expr) -> bool:
    """A learned temperature: it gets no gradient once it is held, and so never reaches 88."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return role_of(name) is LOGIT_SCALE


def _message(module: Module, inner: Op, clamp: Op) -> str:
    half = "" if never_half(module, inner.input) else " (11.09 in float16)"
    where = f"above 88.7{half}" if inner.name == "exp" else "at 0"
    text = re.sub(r"\s+", " ", module.source(inner.input))
    return (
        f"the clamp comes after {inner.name}({text}), whose derivative is inf {where}: the clamp sends back 0, "
        "and 0 times inf makes the gradient NaN"
    )


def _edits(module: Module, clamp: Op, inner: Op, bounds: _Bounds) -> tuple[tuple[Edit, ...], Span | None]:
    """The clamp on the argument, and nothing in its old place.

    Raises:
        Unrewritable: the clamp changes its tensor in place, or the code has a shape that is not rewritten.
    """
    low = literal(bounds.low) if inner.name == "exp" else at_least(module, bounds.low, inner.input)
    written = ", ".join(f"{n}={v}" for n, v in (("min", low), ("max", literal(bounds.high))) if v)
    argument = rewrite.expression(module, f"{{x}}.clamp({written})", x=inner.input)
    template = f"{{x}}.{inner.name}()" if inner.form == "method" else None
    if inner.call is clamp.input:
        if template is not None:
            return rewrite.replace(module, clamp.call, template, x=argument), None
        held = rewrite.replace(module, inner.input, "{x}", x=argument)
        outer = module.chars(clamp.call)
        kept = module.chars(inner.call)
        cut = (Edit(module.char_span(outer[0], kept[0]), ""), Edit(module.char_span(kept[1], outer[1]), ""))
        return (*(e for e in cut if e.span.start < e.span.end), *held), None
    return _two_statements(module, clamp, inner, argument, template)


def _two_statements(
    module: Module, clamp: Op, inner: Op, argument: str, template: str | None
) -> tuple[tuple[Edit, ...], Span]:
    assert isinstance(clamp.input, ast.Name)
    first, second = module.statement(inner.call), module.statement(clamp.call)
    region = module.char_span(module.chars(first)[0], module.chars(second)[1])
    if template is not None:
        held = rewrite.replace(module, inner.call, template, x=argument)
    else:
        held = rewrite.replace(module, inner.input, "{x}", x=argument)
    statement = isinstance(second, ast.Expr) and second.value is clamp.call
    rebinds = (
        isinstance(second, ast.Assign)
        and second.value is clamp.call
        and len(second.targets) == 1
        and isinstance(second.targets[0], ast.Name)
        and second.targets[0].id == clamp.input.id
    )
    if last_part(clamp.call.func).endswith("_") and not (statement or rebinds):
        raise Unrewritable("the clamp in place is part of a larger statement")
    if (statement or rebinds) and module.block(first) is module.block(second):
        return (*held, _without(module, second)), region
    return (*held, *rewrite.replace(module, clamp.call, "{x}", x=clamp.input)), region


def _without(module: Module, statement: ast.stmt) -> Edit:
    """Delete a statement; a comment behind it stays, on a line of its own."""
    start, end = module.chars(statement)
    comment = next((c for c, _ in module.comments if c >= end), None)
    if comment is not None and module.text[end:comment].strip(" \t") == "" and len(module.block(statement)) > 1:
        return Edit(module.char_span(start, comment), "")
    return rewrite.delete(module, statement)


def _change(module: Module, inner: Op, bounds: _Bounds) -> str:
    if inner.name == "exp" or bounds.low is None or bounds.low >= HALF_ZERO:
        return ""
    is_full = never_half(module, inner.input)
    if inner.name == "sqrt":
        held = f"the root is held at {math.sqrt(6.1e-5):.2g}, that of the smallest normal number"
        return "" if is_full else f"in float16 {held}"
    full = ["at -87.3 in float32"] if bounds.low <= TINY else []
    held = " and ".join(full if is_full else [*full, "at -9.7 in float16"])
    return f"the logarithm is held {held}, that of the smallest normal number" if held else ""


RULE = Rule(
    name="clamp-after",
    summary="a clamp bounds the result of exp, log or sqrt in place of the argument: the gradient is NaN",
    severity=Severity.ERROR,
    triggers=((b"clamp", b"clip"), (b"exp(", b"log(", b"sqrt(")),
    anchor=re.compile(r"clamp(?:_min|_max)?_?\(|clip(?:_min|_max)?_?\("),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
    beside=re.compile(r"(?:exp|log|sqrt)\("),
)
