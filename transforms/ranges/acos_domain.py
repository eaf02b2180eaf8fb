"""The inverse of a cosine, a sine or a tanh at the ends of its domain: the gradient is infinite.

The defect
----------
`acos`, `asin` or `atanh` is taken of a number that can be exactly 1 or -1, or a rounding error beyond.

Why it hurts
------------
The derivative of all three is inf at both ends. Two equal directions, an identity rotation or a clamp to (-1, 1) give
exactly 1, and backward multiplies inf by 0: NaN. A dot product of unit vectors exceeds 1 by a few roundings as often as
not; then the value itself is NaN. A margin of 1e-6 or less does not help in half precision, where 1 - 1e-6 is 1.

Before
------

    angle = torch.acos((a * b).sum(-1).clamp(-1.0, 1.0))

After
-----

    eps = torch.finfo(a.dtype).eps
    angle = torch.acos((a * b).sum(-1).clamp(-1.0 + eps, 1.0 - eps))

Try it
------

    import torch

    a = torch.tensor([1.0, 0.0, 0.0], requires_grad=True)
    b = torch.tensor([1.0, 0.0, 0.0])
    eps = torch.finfo(a.dtype).eps
    (before,) = torch.autograd.grad(torch.acos((a * b).sum(-1).clamp(-1.0, 1.0)), a)
    (after,) = torch.autograd.grad(torch.acos((a * b).sum(-1).clamp(-1.0 + eps, 1.0 - eps)), a)
    assert not before.isfinite().any() and after.isfinite().all()

When the fix is safe
--------------------
The margin is the spacing of the dtype's numbers below 1, the least that has an effect: angles closer to an end than
0.0005 rad (0.044 in float16, 0.13 in bfloat16) are held there and get no gradient. `atan2` of sine and cosine has no
such ends; where small angles matter, it is the better formula.

Left alone
----------
Arguments that are proved to stay inside, or that a factor below 1 holds there; angles that are only compared;
parameters, of which nothing says that they come near the ends (advice); multiples of a parameter that every call in
the file gives zeros; constants and whatever carries no gradient; evaluation, metrics and tests; `atanh` of anything
but a number that was clamped to the closed interval or came from a tanh.

Sources
-------
PyTorch documentation: `torch.acos`, `torch.asin`, `torch.atanh`, `torch.finfo`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.calls import callee
from autofix.model import Applicability, Edit, Finding, Fix, Severity
from autofix.ops import Op, constant, tensor_op
from autofix.ranges import analysis
from autofix.relations import changes_in_place
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transfer import MOVES
from autofix.transforms.ranges._call_sites import given
from autofix.transforms.ranges._exponents import own_value
from autofix.transforms.ranges._floors import held, limits
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.transforms.ranges._roots import has_margin, selected
from autofix.tree import last_part, parameter_names, walk

_NAMES = ("acos", "asin", "atanh", "arccos", "arcsin", "arctanh")
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    op = tensor_op(module, node, *_NAMES) if called in _NAMES else None
    if op is None or op.extra or op.args or learns_nothing(module, op.call):
        return
    clamp = _closed_clamp(module, op.input)
    if clamp is None and ("tanh" in op.name or _stays_inside(module, op.input)):
        return
    if _is_zero(module, op.input) or not carries_gradient(module, op.input) or only_compared(module, op.call):
        return
    text = re.sub(r"\s+", " ", module.source(op.input))
    ends = "the clamp lets exactly 1 and -1 through, where" if clamp else f"where {text} is 1 or -1,"
    message = f"{ends} the derivative of {op.name} is inf and the gradient becomes NaN"
    severity = Severity.INFO if clamp is None and _is_anything(module, op.input) else None
    try:
        edits = _edits(module, op, clamp)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason), severity=severity)
        return
    yield context.finding(
        node,
        message,
        fix=Fix(
            title=f"clamp the argument of {op.name} inside the open interval, by the spacing of its dtype",
            edits=edits,
            applicability=Applicability.SAFE,
            claim=held(
                module,
                clamp.input if clamp else op.input,
                "-1.0 + torch.finfo(trial_dtype).eps",
                "1.0 - torch.finfo(trial_dtype).eps",
                "angles closer to an end than 0.0005 rad (0.044 in float16, 0.13 in bfloat16) are held there"
                if "tanh" not in op.name
                else "values beyond 8.3 (3.8 in float16, 2.8 in bfloat16) are held there",
            ),
        ),
        severity=severity,
    )


def _is_anything(module: Module, node: ast.expr) -> bool:
    """Whether `node` is a parameter, of which nothing here says that it comes near the ends."""
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    value = module.flow(node).value(node)
    return isinstance(value, ast.Name) and not re.search(r"cos|sin|dot|sim", value.id)


def _closed_clamp(module: Module, node: ast.expr) -> Op | None:
    """The clamp to exactly [-1, 1] that `node` is, or that bound the name only this reads."""
    if isinstance(node, ast.Name):
        flow = module.flow(node)
        definition = flow.definition(node)
        if definition is None or definition.value is None or flow.readers(definition) != [node]:
            return None
        node = definition.value
    op = tensor_op(module, node, "clamp", "clamp_")
    if op is None or op.extra:
        return None
    ends = constant(module, op.args.get("min")), constant(module, op.args.get("max"))
    return op if ends == (-1, 1) else None


def _stays_inside(module: Module, node: ast.expr) -> bool:
    if selected(module, node) or has_margin(module, node) or _is_scaled_down(module, node):
        return True
    reach = analysis(module).of(node)
    above = reach.low > -1 or (reach.low == -1 and reach.low_open)
    below = reach.high < 1 or (reach.high == 1 and reach.high_open)
    return above and below


_Zeros = frozenset[tuple[ast.AST, str]]  # parameters of functions that are 0 in the call being looked at


def _is_zero(module: Module, node: ast.expr | None, zeros: _Zeros = frozenset(), depth: int = 0) -> bool:
    """Whether a value is 0 whatever comes in: a multiple of a parameter that every call in the file gives zeros."""
    if node is None or depth > 16:
        return False
    if isinstance(node, ast.Constant):
        return node.value == 0 and not isinstance(node.value, bool)
    if isinstance(node, (ast.Tuple, ast.List)):
        return bool(node.elts) and all(_is_zero(module, e, zeros, depth + 1) for e in node.elts)
    if isinstance(node, ast.BinOp):
        parts = {ast.Mult: [node.left, node.right], ast.Div: [node.left]}.get(type(node.op), [])
        return any(_is_zero(module, p, zeros, depth + 1) for p in parts)
    if isinstance(node, ast.IfExp):
        return all(_is_zero(module, e, zeros, depth + 1) for e in (node.body, node.orelse))
    if isinstance(node, ast.Name):
        return _is_zero_name(module, node, zeros, depth)
    return isinstance(node, ast.Call) and _is_zero_call(module, node, zeros, depth)


def _is_zero_call(module: Module, node: ast.Call, zeros: _Zeros, depth: int) -> bool:
    name = last_part(node.func)
    if name in ("zeros", "zeros_like", "new_zeros"):
        return True
    function = callee(module, node) or _inner_function(module, node)
    if function is not None:
        pairs = zip(parameter_names(function), node.args, strict=False)
        zeros |= {(function, p) for p, a in pairs if _is_zero(module, a, zeros, depth + 1)}
        returns = [n for n in walk(function) if isinstance(n, ast.Return) and module.function(n) is function]
        return bool(returns) and all(_is_zero(module, r.value, zeros, depth + 1) for r in returns)
    if module.qualified(node.func) == "torch.tensor":
        return bool(node.args) and _is_zero(module, node.args[0], zeros, depth + 1)
    if not isinstance(node.func, ast.Attribute) or name not in MOVES | {"clamp"}:
        return False
    return _is_zero(module, node.func.value, zeros, depth + 1)


def _inner_function(module: Module, node: ast.Call) -> ast.FunctionDef | None:
    """The function that is defined in the one around the call, and called."""
    outer = module.function(node)
    if not isinstance(outer, ast.FunctionDef) or not isinstance(node.func, ast.Name):
        return None
    return next((s for s in outer.body if isinstance(s, ast.FunctionDef) and s.name == node.func.id), None)


def _is_zero_name(module: Module, node: ast.Name, zeros: _Zeros, depth: int) -> bool:
    flow = module.flow(node)
    definition, function = flow.definition(node), flow.scope
    if changes_in_place(module, node) or definition is None:
        return False
    if definition.kind != "parameter":
        return _is_zero(module, own_value(definition), zeros, depth + 1)
    if (function, node.id) in zeros or not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return (function, node.id) in zeros
    values = given(module, function, node.id)
    return bool(values) and all(_is_zero(module, v, zeros, depth + 1) for v in values)


def _is_scaled_down(module: Module, node: ast.expr) -> bool:
    """Whether a factor a little below 1 holds a cosine inside, as `cosine * (1 - 1e-6)`: a margin somebody chose."""
    value = module.flow(node).value(node)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Mult):
        return False
    factors = [constant(module, side) for side in (value.left, value.right)]
    return any(f is not None and 0.9 < f < 1 for f in factors)


def _edits(module: Module, op: Op, clamp: Op | None) -> tuple[Edit, ...]:
    inner = clamp.input if clamp else op.input
    eps = limits(module, inner, "eps")
    before: tuple[Edit, ...] = ()
    statement = module.statement(clamp.call if clamp else op.call)
    if _is_free(module, "eps", statement) and not any(isinstance(a, _SCOPES) for a in module.ancestors(op.call)):
        before, eps = (rewrite.insert_before(module, statement, f"eps = {eps}"),), "eps"
    low, high = ("-1.0", "1.0")
    if clamp is not None:
        ends = (*rewrite.replace(module, clamp.args["min"], "{x} + {e}", x=clamp.args["min"], e=eps),)
        tops = (*rewrite.replace(module, clamp.args["max"], "{x} - {e}", x=clamp.args["max"], e=eps),)
        return (*before, *ends, *tops)
    return (*before, *rewrite.replace(module, inner, f"{{x}}.clamp({low} + {eps}, {high} - {eps})", x=inner))


def _is_free(module: Module, name: str, statement: ast.stmt) -> bool:
    scope = module.function_scope(statement)
    if scope is module.tree or isinstance(statement, (ast.If, ast.While, ast.For, ast.With)):
        return False
    names = {n.id for n in walk(module.tree) if isinstance(n, ast.Name)}
    arguments = {n.arg for n in walk(module.tree) if isinstance(n, ast.arg)}
    return name not in names | arguments


RULE = Rule(
    name="acos-domain",
    summary="acos, asin or atanh of a number that can be exactly 1 or -1: the gradient is NaN",
    severity=Severity.WARNING,
    triggers=((b"acos(", b"asin(", b"atanh(", b"arccos(", b"arcsin(", b"arctanh("),),
    anchor=re.compile(
        r"a(?:rc)?(?:cos|sin|tanh)\((?<!math\.acos\()(?<!math\.asin\()(?<!np\.arccos\()(?<!np\.arcsin\()"
    ),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
)
