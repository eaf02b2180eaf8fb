"""An operation that is undefined on the side that `where` throws away: the value is right, the gradient NaN.

The defect
----------
`torch.where(x > 0, torch.log(x), 0.0)` computes the logarithm everywhere and chooses afterwards. The same holds for a
division, a root, a power or an exponential in one branch, for `f(x).masked_fill(x == 0, 0.0)`, and for a product with
a mask, `f(x) * (x > 0)`.

Why it hurts
------------
The gradient of the rejected side is 0, and it is multiplied by the derivative of the operation there, which is inf:
0 * inf = NaN. One rejected element makes the gradient of everything before it NaN although every value printed looks
right. A product with a mask is NaN forward as well. Filling the result afterwards does not help; the *input* has to be
harmless on the side that is rejected.

Before
------

    scale = torch.where(z.abs() > eps, 1.0 / z, torch.ones_like(z))

After
-----

    inside = z.abs() > eps
    scale = torch.where(inside, 1.0 / torch.where(inside, z, 1.0), torch.ones_like(z))

Try it
------

    import torch

    z = torch.tensor([0.0, 2.0], requires_grad=True)
    inside = z.abs() > 1e-6
    old = torch.where(inside, 1.0 / z, torch.ones_like(z))
    new = torch.where(inside, 1.0 / torch.where(inside, z, 1.0), torch.ones_like(z))
    (before,) = torch.autograd.grad(old.sum(), z)
    (after,) = torch.autograd.grad(new.sum(), z)
    assert torch.equal(old, new)
    assert before[0].isnan() and after.tolist() == [0, -0.25]

When the fix is safe
--------------------
The inner `where` changes the input only where the outer one rejects the result: every value stays what it was, bit
for bit, and every gradient that was finite. The condition is evaluated once.

Where one over a square root is chosen, its argument is held at a tiny number in place of the inner `where`: the
derivative overflows well above 0, below 2e-26 (6e-4 in float16).

Left alone
----------
Branches whose operation is defined everywhere, or already has a safe input; conditions that do not decide whether the
operation is defined; code without gradients; quotients of a sum that another `where` selected by the mask that is
counted, which hands back no gradient to what it rejects; a softplus written by hand, which has a rule of its own;
numpy.

Sources
-------
PyTorch issue 4132 and the "double where" of the JAX documentation; fixes of this kind in kornia.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.calls import call_of
from autofix.guards import narrowed
from autofix.intervals import Interval
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.operations import args_of_choice
from autofix.ops import constant, tensor_op
from autofix.ranges import analysis
from autofix.relations import words
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._clamping import brackets
from autofix.transforms.ranges._division import DIVIDES, division, is_numpy, is_torch
from autofix.transforms.ranges._floors import limits
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.tree import children, walk

_LOGS = ("log", "log2", "log10", "rsqrt", "sqrt")
_EXPONENTIALS = ("exp", "expm1")
_CASTS = ("float", "to", "type", "type_as", "double", "half", "bool")
_MASK_NAME = re.compile(r"mask|valid|zero|positive|inside|keep|finite|below|above|^is_|^has_")
_OVERFLOW = 88.0
_BRANCHING = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)


@dataclass(frozen=True, slots=True)
class Unsafe:
    """An operation and the argument on which it depends whether it is defined. what: in words. neutral: an argument
    for which it and its derivative are harmless."""

    kind: str
    argument: ast.expr
    what: str
    neutral: str
    names: tuple[ast.Name, ...] = ()  # the names that carry its result to the choice


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection: the part that is kept where `condition` is `outcome`."""

    condition: ast.expr
    outcome: bool
    part: ast.expr
    masked: bool = False  # a product, in which the condition is a number


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    choices = _choices(module, node)
    if not choices or not is_torch(module) or not isinstance(node, ast.expr):
        return
    for choice in choices:
        for unsafe in _unsafe_parts(module, choice.part, 0):
            if not _is_decided(module, unsafe, choice):
                continue
            if is_numpy(module, node) or learns_nothing(module, node) or only_compared(module, node):
                return
            if not carries_gradient(module, choice.part) or _is_softplus(module, unsafe):
                return
            if unsafe.kind == "divide" and _is_cut_off(module, unsafe.argument):
                return
            yield _finding(node, unsafe, choice, context)
            return


def _is_softplus(module: Module, unsafe: Unsafe) -> bool:
    """Whether the exponential is that of a softplus written by hand, of which a rule of its own speaks."""
    made = module.parent(unsafe.argument)
    call = module.parent(made) if isinstance(made, ast.Attribute) else made
    if unsafe.kind != "exp" or not isinstance(call, ast.Call):
        return False
    parent = module.parent(call)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add):
        other = parent.right if parent.left is call else parent.left
        outer = module.parent(parent)
        outer = module.parent(outer) if isinstance(outer, ast.Attribute) else outer
        return constant(module, other) == 1 and outer is not None and tensor_op(module, outer, "log") is not None
    outer = module.parent(parent) if isinstance(parent, ast.Attribute) else parent
    return outer is not None and tensor_op(module, outer, "log1p") is not None


def _is_cut_off(module: Module, denominator: ast.expr) -> bool:
    """Whether the numerator sums up what another `where` chose by the mask that the denominator counts: where the count
    is 0 it chose nothing, and it hands back zeros to all that it did not choose, whatever came in."""
    divided = division(module, module.parent(denominator) or denominator)
    counted = _summed(module, denominator)
    chosen = _summed(module, divided.numerator) if divided is not None else None
    call = call_of(module, chosen) if isinstance(chosen, ast.Call) else None
    if counted is None or call is None or call.name not in ("where", "masked_fill"):
        return False
    condition, outcome = args_of_choice(call)
    return outcome and words(module, _comparison(module, condition)) == words(module, _comparison(module, counted))


def _summed(module: Module, node: ast.expr) -> ast.expr | None:
    """What `node` is the sum of, through names and casts."""
    value = _comparison(module, node)
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    return _comparison(module, call.input) if call is not None and call.name == "sum" else None


def _choices(module: Module, node: ast.AST) -> list[Choice]:
    if isinstance(node, ast.BinOp):
        if not isinstance(node.op, ast.Mult):
            return []
        pairs = ((node.left, node.right), (node.right, node.left))
        return [Choice(mask, True, part, True) for mask, part in pairs if _is_mask(module, mask)]
    name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    if name not in ("where", "masked_fill", "masked_fill_") or not isinstance(node, ast.Call):
        return []
    call = call_of(module, node)
    if call is None or not ("condition" in call.args or "mask" in call.args):
        return []
    condition, outcome = args_of_choice(call)
    other = call.args.get("other") or call.args.get("value")
    found = [Choice(condition, outcome, call.input)]
    return found if other is None else [*found, Choice(condition, not outcome, other)]


def _is_mask(module: Module, node: ast.expr) -> bool:
    """Whether a factor is a comparison, as it is or as a number."""
    if isinstance(node, ast.Name) and not _MASK_NAME.search(node.id):
        return False
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") not in _CASTS:
        return False
    return isinstance(node, (ast.Name, ast.Call, ast.Compare)) and isinstance(_comparison(module, node), ast.Compare)


def _comparison(module: Module, node: ast.expr) -> ast.expr:
    """The comparison behind names and casts."""
    for _ in range(6):
        if isinstance(node, ast.Name):
            value = module.flow(node).value(node)
            if value is node:
                return node
            node = value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CASTS:
            node = node.func.value
        else:
            return node
    return node


# -- operations that are not defined everywhere ----------------------------------------------------------------


def _unsafe_parts(module: Module, part: ast.expr, depth: int, through: tuple[ast.Name, ...] = ()) -> Iterator[Unsafe]:
    pending: list[ast.AST] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)):
            continue
        found = _unsafe(module, node, through)
        if found is not None:
            yield found
        if isinstance(node, ast.Name) and depth < 2:
            yield from _behind(module, node, depth, through)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", "")
            if name not in ("where", "detach", "nan_to_num", "item") and call_of(module, node) is not None:
                pending.extend((*node.args, getattr(node.func, "value", node.func)))
        elif isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Subscript)):
            pending.extend(c for c in children(node) if isinstance(c, ast.expr))


def _behind(module: Module, name: ast.Name, depth: int, through: tuple[ast.Name, ...]) -> Iterator[Unsafe]:
    found = module.flow(name).definition(name)
    if found is not None and found.value is not None and found.kind == "assign":
        yield from _unsafe_parts(module, found.value, depth + 1, (*through, name))


def _unsafe(module: Module, node: ast.AST, through: tuple[ast.Name, ...]) -> Unsafe | None:
    divided = division(module, node) if isinstance(node, (ast.BinOp, ast.Call)) else None
    if divided is not None:
        if constant(module, divided.denominator) is not None:
            return None
        return Unsafe("divide", divided.denominator, "the quotient", "1.0", through)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(module, node.left, node.right, through)
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    if call is None or call.form not in ("function", "method"):
        return None
    if (module.qualified(call.node.func) or "torch.").partition(".")[0] in ("math", "numpy"):
        return None
    if call.name in _LOGS:
        return Unsafe(call.name, call.input, f"the {call.name}", "1.0", through)
    if call.name == "reciprocal":
        return Unsafe("divide", call.input, "the reciprocal", "1.0", through)
    if call.name in _EXPONENTIALS:
        return Unsafe("exp", call.input, f"the {call.name}", "0.0", through)
    if call.name == "pow" and "exponent" in call.args:
        return _power(module, call.input, call.args["exponent"], through)
    return None


def _power(module: Module, base: ast.expr, exponent: ast.expr, through: tuple[ast.Name, ...]) -> Unsafe | None:
    number = constant(module, exponent)
    if number is None or number >= 1 or number == 0:
        return None
    return Unsafe("sqrt" if number > 0 else "divide", base, "the power", "1.0", through)


def _is_decided(module: Module, unsafe: Unsafe, choice: Choice) -> bool:
    """Whether the condition keeps the operation exactly where it is defined, and nothing else makes it so."""
    ranges = analysis(module)
    found = ranges.of(unsafe.argument)
    if _is_defined(unsafe.kind, found):
        return False
    condition = _comparison(module, choice.condition) if choice.masked else choice.condition
    kept = narrowed(module, unsafe.argument, found, (condition, choice.outcome), ranges.of)
    if not _is_defined(unsafe.kind, kept):
        return False
    if unsafe.kind == "divide" and found.integer:
        parent = module.parent(unsafe.argument)
        numerator = ranges.of(parent.left) if isinstance(parent, ast.BinOp) else found
        return not numerator.integer and not (numerator.known and numerator.low == numerator.high)
    return True


def _is_defined(kind: str, x: Interval) -> bool:
    if kind == "divide":
        return not x.zero
    return x.high <= _OVERFLOW if kind == "exp" else x.positive


# -- what is said and written ----------------------------------------------------------------------------------


def _finding(node: ast.expr, unsafe: Unsafe, choice: Choice, context: Context) -> Finding:
    module = context.module
    text = re.sub(r"\s+", " ", module.source(unsafe.argument))
    text = text if len(text) <= 50 else "its argument"
    if choice.masked:
        message = (
            f"{unsafe.what} of {text} is computed before the mask: 0 times inf is NaN, in the value and its gradient"
        )
    else:
        message = f"{unsafe.what} of {text} is computed on the rejected side too: its gradient there is 0 * inf = NaN"
    try:
        fix = _fix(module, node, unsafe, choice)
    except Unrewritable as error:
        return context.finding(node, message, why=str(error))
    return context.finding(node, message, fix=fix)


def _fix(module: Module, node: ast.expr, unsafe: Unsafe, choice: Choice) -> Fix:
    where = module.names.reference("torch.where", node)
    if where is None or where.edits:
        raise Unrewritable(
            "torch is not imported under its own name here; choose a harmless input by the same condition"
        )
    if _is_inverse_root(module, unsafe):
        return _held_root(module, unsafe)
    target = module.statement(unsafe.argument)
    edits, condition = _condition(module, node, choice, target)
    neutral = "1" if unsafe.kind == "divide" and analysis(module).of(unsafe.argument).integer else unsafe.neutral
    sides = "{c}, {u}, " + neutral if choice.outcome else "{c}, " + neutral + ", {u}"
    edits += rewrite.replace(module, unsafe.argument, f"{where.text}({sides})", c=condition, u=unsafe.argument)
    region: Span | None = None
    results: tuple[str, ...] = ()
    if unsafe.names:
        for name in unsafe.names:
            _require_single_use(module, name)
        start, end = module.chars(target)[0], module.chars(module.statement(node))[1]
        region, results = Span(module.byte(start), module.byte(end)), _chosen(module.statement(node))
    return Fix(
        title=f"a harmless input ({neutral}) where the result is rejected, by the same condition: no value changes",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, region=region, results=results),
    )


def _chosen(statement: ast.stmt) -> tuple[str, ...]:
    """The name that the choice is bound to: names that carry the operation to it hold other values where it is
    rejected, which nothing else reads."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    return (target.id,) if isinstance(target, ast.Name) else ()


def _is_inverse_root(module: Module, unsafe: Unsafe) -> bool:
    """Whether the operation is one over a square root: its derivative overflows well above 0."""
    call = module.parent(unsafe.argument)
    call = module.parent(call) if isinstance(call, ast.Attribute) else call
    if unsafe.kind == "rsqrt" or unsafe.kind != "sqrt" or call is None:
        return unsafe.kind == "rsqrt"
    parent = module.parent(call)
    return isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.right is call


def _held_root(module: Module, unsafe: Unsafe) -> Fix:
    """Hold the argument where the derivative, its power -1.5, is a finite number.

    Raises:
        Unrewritable: nothing names a tensor of its dtype.
    """
    if "is_scripting" in module.text or "jit.script" in module.text:
        raise Unrewritable("TorchScript knows no finfo: choose a harmless number under the root with where")
    for name in unsafe.names:
        _require_single_use(module, name)
    bound = f"{limits(module, unsafe.argument, 'tiny')} ** 0.5"
    return Fix(
        title="hold the number under the root where the derivative of the inverse root is finite",
        edits=rewrite.replace(module, unsafe.argument, f"{{u}}.clamp_min({bound})", u=unsafe.argument),
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.EQUAL,
            change="a number below 1e-19 (0.008 in float16) under the root is held there: the derivative of the "
            "inverse root overflows below 2e-26 (6e-4 in float16), not at 0 alone",
        ),
    )


def _require_single_use(module: Module, name: ast.Name) -> None:
    found = module.flow(name).definition(name)
    readers = module.flow(name).readers(found) if found is not None else None
    if readers is None or len(readers) != 1:
        raise Unrewritable(f"{name.id} is read elsewhere too, where its values would change; give this choice its own")


def _condition(module: Module, node: ast.expr, choice: Choice, target: ast.stmt) -> tuple[tuple[Edit, ...], str]:
    """The condition as a name or text that may be evaluated at `target`."""
    condition = choice.condition
    if choice.masked and not isinstance(condition, ast.Compare):
        if not isinstance(condition, ast.Name):
            condition = _comparison(module, condition)
        elif not isinstance(module.flow(condition).value(condition), ast.Compare):
            _require_known_at(module, condition, target)
            return (), f"{condition.id} > 0"
    if isinstance(condition, ast.Name):
        _require_known_at(module, condition, target)
        return (), condition.id
    statement = module.statement(node)
    if any(isinstance(a, _BRANCHING) for a in module.ancestors(node) if not isinstance(a, ast.stmt)):
        raise Unrewritable("bind the condition to a name, and choose a harmless input by it")
    for name in (n for n in walk(condition) if isinstance(n, ast.Name)):
        _require_known_at(module, name, target)
    taken = {n.id for n in walk(module.flow(node).scope) if isinstance(n, ast.Name)}
    free = next((n for n in ("inside", "is_inside", "is_defined") if n not in taken), None)
    if free is None or not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)):
        raise Unrewritable("bind the condition to a name, and choose a harmless input by it")
    line = f"{free} = {rewrite.expression(module, '{c}', c=condition)}"
    group = brackets(module, condition)
    named = (Edit(module.char_span(*group), free),) if group else rewrite.replace(module, condition, free)
    return (rewrite.insert_before(module, target, line), *named), free


def _require_known_at(module: Module, name: ast.Name, target: ast.stmt) -> None:
    """That a name means at an earlier statement what it means where the choice is made."""
    if module.statement(name) is target or module.qualified(name) is not None:
        return
    flow = module.flow(name)
    here = flow.definition(name)
    before = flow.definition_before(name.id, target)
    same = here.statement is before.statement if here is not None and before is not None else here is before
    if not same or (here is None and flow.stores(name.id)):
        raise Unrewritable("the condition is computed after the operation; choose its input by it beforehand")


_PARTIAL = ("log", "log2", "log10", "sqrt", "rsqrt", "exp", "expm1", "reciprocal", "pow")

RULE = Rule(
    name="where-nan-grad",
    summary="An operation that is undefined on the side that where or a mask rejects.",
    severity=Severity.ERROR,
    triggers=((b"torch",),),
    anchor=re.compile(
        r"where\((?<!np\.where\()|masked_fill_?\(|\* *\(?\(?[\w.]+ *(?:>|!=|<) *[\w.]+\)"
        r"|\*(?<!\*\*) *\w*(?:mask|valid|nonzero|positive)"
    ),
    nodes=(ast.Call, ast.BinOp),
    check=check,
    # An operation that is not defined everywhere; not a division by a number, nor one of `math`.
    beside=re.compile(
        "|".join(rf"{name}\((?<!math\.{name}\()(?<!np\.{name}\()(?<!\w{name}\()" for name in _PARTIAL)
        + rf"|\*\*\s*\(?(?:-|0?\.|[a-z])|{DIVIDES}"
    ),
)
