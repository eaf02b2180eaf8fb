"""A division by something that degenerate data makes zero.

The defect
----------
The denominator is a length, a spread, an amplitude, a range or a sum of what may all vanish, and nothing keeps it
away from zero: `x / x.norm()`, `(x - x.mean()) / x.std()`, `x / x.abs().max()`, `(x - x.min()) / (x.max() - x.min())`,
`2 * column / (width - 1)`.

Why it hurts
------------
A zero vector, a silent recording, a blank image, a group of equal rewards or a feature map one pixel wide gives
0 / 0 = NaN, forward and in every gradient before it; one such sample makes the loss of the whole batch NaN. Code like
this runs for weeks before the first of them comes along.

Before
------

    peak = waveform.abs().amax(dim=-1, keepdim=True)
    normalised = waveform / peak

After
-----

    peak = waveform.abs().amax(dim=-1, keepdim=True)
    normalised = waveform / peak.clamp_min(torch.finfo(peak.dtype).eps)

Try it
------

    import torch

    waveform = torch.zeros(1, 4, requires_grad=True)  # silence
    peak = waveform.abs().amax(dim=-1, keepdim=True)
    before = waveform / peak
    after = waveform / peak.clamp_min(torch.finfo(peak.dtype).eps)
    (gradient,) = torch.autograd.grad(after.sum(), waveform)
    assert before.isnan().all()
    assert (after == 0).all() and gradient.isfinite().all()

When the fix is safe
--------------------
The denominator is never negative, so `clamp_min` changes it only below the bound. The bound is the machine epsilon of
its dtype (a plain 1e-8 where it is single precision for certain): a smaller one, such as `tiny`, would keep the value
finite and make the gradient 1e38. A size less one is a whole number, for which the bound is 1.

Left alone
----------
Denominators that are clamped, have an epsilon added, or are proved away from zero by the range analysis; names,
parameters and configured numbers of which nothing is known; counts (see masked-mean), roots (see sqrt-unprotected),
unit vectors (see manual-normalize); quotients that a `where` chooses away (see where-nan-grad); inference and numpy.
Lengths of what a layer or model predicts, of columns of an orthogonal matrix, of random draws, and the largest of
several lengths, which are never 0; iterates of a power iteration; weights; fixed tables; scripts; points that were
given 1 as their last coordinate, or that a function projects through a camera; functions whose docstring says what a
degenerate input gives. Denominators that can be negative are reported as advice: which replacement is right depends on
what they mean.

Sources
-------
Fixes of this kind in kornia, pyro and torch_stoi.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.calls import call_of
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import constant
from autofix.ranges import analysis
from autofix.relations import changes_in_place, same, words
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._away_from_zero import floored
from autofix.transforms.ranges._clamping import brackets
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._counts import count
from autofix.transforms.ranges._denominators import Vanishing, is_range_of, measured, vanishing
from autofix.transforms.ranges._division import (
    DIVIDES,
    Division,
    division,
    is_chosen_away,
    is_guarded,
    is_inference,
    is_numpy,
    is_torch,
)
from autofix.transforms.ranges._gradients import carries_gradient, out_of_model
from autofix.transforms.ranges._networks import (
    has_length,
    is_documented,
    is_iterate,
    is_result_of_network,
    is_the_largest,
    is_weight,
)
from autofix.transforms.ranges._roots import is_square, root_of
from autofix.transforms.ranges._signed import signed_zero
from autofix.transforms.ranges._upstream import is_drawn
from autofix.transforms.ranges._uses import only_ordered
from autofix.tree import walk

# Words of which one is in the function whose denominator vanishes: lengths, spreads, extremes, squares, sizes less one,
# coordinates. `.norm(` alone is a layer far more often than a length.
_WORDS = (
    r"\.norm\((?:\)|dim|p|-1|[012]|(?<=torch\.norm\()|(?<=linalg\.norm\())",
    r"\.(?:std\(|var\(|amax\(|max\(|square\(\)|pow\(2|abs\(\)\.|relu\(\))",
    r"_norm\((?<=vector_norm\()",
    r"std_mean\(",
    r"cdist\(",
    r"pairwise_distance\(",
    r"torch\.relu\(",
    r"\*\* ?2",
    r"disparity",
    r"- 1(?:\.0\)|(?<=width - 1)|(?<=height - 1)|(?<=\([wh] - 1)|(?<=size\(0\) - 1))",
    r"\[\.\.\., (?::1|-1:)\]",
    r":3\]",
)


_OF_A_MODEL = re.compile(r"class|label|vocab|models?(?![a-z])")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    found = division(module, node)
    if found is None or isinstance(found.denominator, ast.Constant) or not is_torch(module):
        return
    why = vanishing(module, found.denominator)
    if why is None:
        yield from _signed(found, context)
        return
    if root_of(module, module.flow(found.denominator).value(found.denominator)) is not None:
        return  # a root of a sum of squares, whose own gradient fails first: of that other rules speak
    if count(module, found.denominator) is not None or not _is_plausible(module, found, why):
        return
    if is_numpy(module, node) or _is_harmless(module, found, why):
        return
    message = _message(module, why)
    severity = _severity(module, found, why)
    if severity is Severity.INFO and why.kind != "size" and _is_never_zero(module, why):
        return
    try:
        fix = _fix(module, why)
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _is_harmless(module: Module, found: Division, why: Vanishing) -> bool:
    node = found.node
    if isinstance(why.at, ast.Name) and changes_in_place(module, why.at):
        return True
    if _writes_data(module, node) or _is_asked_for_zero(module, why.at):
        return True
    if why.kind in ("total", "amplitude", "maximum") and why.source is not None and _is_kept(module, why.source):
        return True
    about = [found.denominator, why.at, *([why.source] if why.source is not None else [])]
    if why.kind in ("total", "amplitude") and why.source is not None:
        about += _made_of(module, why.source)
    if is_guarded(module, node, about) or is_chosen_away(module, node) or is_inference(module, node):
        return True
    if isinstance(node, ast.expr) and only_ordered(module, node):
        return True
    return out_of_training(module, found.denominator) or out_of_model(module, found.denominator)


def _writes_data(module: Module, node: ast.AST) -> bool:
    """`layer.weight.data *= scale / layer.weight.norm()`: an initialisation, hidden from autograd."""
    statement = module.statement(node)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return isinstance(target, ast.Attribute) and target.attr == "data"


def _is_asked_for_zero(module: Module, node: ast.expr) -> bool:
    """Whether the function asks anywhere whether it is 0, to put something in place of what was divided by it."""
    text = words(module, node)
    while isinstance(node, (ast.Subscript, ast.Attribute)) or (isinstance(node, ast.Call) and not node.keywords):
        node = node.value if not isinstance(node, ast.Call) else getattr(node.func, "value", node.func)
        text = words(module, node)
    if not isinstance(node, ast.Name):
        return False
    for asked in (n for n in walk(module.flow(node).scope) if isinstance(n, ast.Compare)):
        left = asked.left
        while isinstance(left, ast.Subscript):
            left = left.value
        is_zero = isinstance(asked.ops[0], ast.Eq) and constant(module, asked.comparators[0]) == 0
        if is_zero and words(module, left) == text:
            return True
    return False


def _is_kept(module: Module, node: ast.expr) -> bool:
    """Whether a tensor is one that the object keeps, `self.density`, and no data of a batch."""
    for _ in range(8):
        value = module.flow(node).value(node)
        if isinstance(value, ast.Attribute):
            return getattr(value.value, "id", "") == "self"
        if isinstance(value, (ast.Subscript, ast.BinOp)):
            value = value.value if isinstance(value, ast.Subscript) else value.left
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            value = value.args[0] if module.qualified(value.func) and value.args else value.func.value
        if value is node:
            return False
        node = value
    return False


def _made_of(module: Module, node: ast.expr) -> list[ast.expr]:
    """The names that `node` is computed from, through single definitions: what is known of them is known of it."""
    found: list[ast.expr] = []
    pending: list[ast.AST] = [node]
    for _ in range(12):
        if not pending:
            break
        for name in (n for n in walk(pending.pop()) if isinstance(n, ast.Name)):
            value = module.flow(name).value(name)
            found.append(name)
            if value is not name:
                pending.append(value)
    return [n for n in found if module.qualified(n) is None]


def _is_plausible(module: Module, found: Division, why: Vanishing) -> bool:
    """Whether zero is to be expected of data that is degenerate, not of data that is absurd."""
    if why.kind == "spread":
        numerator = module.flow(found.denominator).value(found.numerator)
        return isinstance(numerator, ast.BinOp) and isinstance(numerator.op, ast.Sub)
    if why.kind == "size":
        return not _OF_A_MODEL.search(words(module, why.at).lower())  # a problem of one class is none
    if why.kind == "norm":
        return not _is_unit_vector(module, found) and not is_drawn(module, found.numerator)
    if why.kind == "maximum":
        source = measured(module, why.at)
        above = source is not None and same(module, found.numerator, source)
        if source is None or not (above or is_range_of(module, found.numerator, source)):
            return False
        return not _is_made_good(module, source)
    return True


def _is_never_zero(module: Module, why: Vanishing) -> bool:
    """Whether a vector has its length from somewhere, is a prediction, a weight or a fixed table, or is documented."""
    if is_documented(module, why.at) or is_the_largest(module, why.at) or is_iterate(module, why.at):
        return True
    if module.function(why.at) is None:  # a script, whose author sees the data
        return True
    source = why.source or why.at
    if why.kind == "norm" and isinstance(source, ast.Name) and source is why.at:
        source = _measured(module, source)
    if is_result_of_network(module, source) or has_length(module, source):
        return True
    if is_weight(module, source):
        return True
    definition = module.flow(source).definition(source) if isinstance(source, ast.Name) else None
    is_given = definition is not None and definition.kind == "parameter"
    return not is_given and not carries_gradient(module, source)


def _measured(module: Module, name: ast.Name) -> ast.expr:
    """The vector whose length `name` is bound to."""
    value = module.flow(name).value(name)
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    return call.input if call is not None else name


def _is_made_good(module: Module, node: ast.expr) -> bool:
    """Whether a `where` put something else in place of what is too small: `where(x < eps, default, x)`."""
    value = module.flow(node).value(node)
    call = value if isinstance(value, ast.Call) else None
    if call is None or module.qualified(call.func) != "torch.where" or len(call.args) != 3:
        return False
    condition = module.flow(call.args[0]).value(call.args[0])
    kept = {words(module, a) for a in call.args[1:]}
    compared = (n.left for n in walk(condition) if isinstance(n, ast.Compare))
    return any(isinstance(n, ast.expr) and words(module, n) in kept for left in compared for n in walk(left))


def _is_unit_vector(module: Module, found: Division) -> bool:
    """`x / x.norm(dim=..., keepdim=True)`, the dimension kept or put back, which is `normalize`."""
    value = module.flow(found.denominator).value(found.denominator)
    call = call_of(module, value) if isinstance(value, ast.Call) else None
    is_widened = call is not None and call.name == "unsqueeze"
    if call is not None and is_widened:
        value = module.flow(call.input).value(call.input)
        call = call_of(module, value) if isinstance(value, ast.Call) else None
    if call is None or call.name not in ("norm", "vector_norm") or not same(module, call.input, found.numerator):
        return False
    return is_widened or "keepdim" in call.args or "keepdim" in {k.arg for k in call.node.keywords}


def _severity(module: Module, found: Division, why: Vanishing) -> Severity | None:
    """Information where 0 takes a vector that is exactly zero: weights, directions and quaternions seldom are."""
    if why.kind in ("size", "maximum", "norm"):
        return Severity.INFO
    return Severity.INFO if why.kind == "total" and _is_total_of_lengths(module, why.at) else None


def _is_total_of_lengths(module: Module, node: ast.expr) -> bool:
    """Whether a sum or mean is over squares, lengths, or predictions whatever their sign: all are 0 for one vector,
    or one output, that is exactly zero."""
    for _ in range(8):
        value = module.flow(node).value(node)
        if isinstance(value, ast.Subscript):
            node = value.value
            continue
        if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Pow, ast.Mult)):
            node = value.right if constant(module, value.left) is not None else value.left
            continue
        call = call_of(module, value) if isinstance(value, ast.Call) else None
        if call is None:
            return False
        if call.name in ("sum", "mean"):
            inner = module.flow(call.input).value(call.input)
            lengths = call_of(module, inner) if isinstance(inner, ast.Call) else None
            if call.name == "mean" and lengths is not None and lengths.name in ("abs", "absolute"):
                return is_result_of_network(module, lengths.input)
            return is_square(module, call.input) or (
                lengths is not None and lengths.name in ("norm", "vector_norm", "square")
            )
        node = call.input
    return False


def _message(module: Module, why: Vanishing) -> str:
    text = re.sub(r"\s+", " ", module.source(why.at))
    text = text if len(text) <= 60 else "the denominator"
    if why.kind == "size":
        return f"{text} is 0 {why.when}, and the quotient is inf or NaN, or a ZeroDivisionError"
    return f"{text} is 0 {why.when}, so the quotient is NaN or inf and so is every gradient before it"


def _fix(module: Module, why: Vanishing) -> Fix:
    if why.kind == "maximum" and not (why.source is not None and analysis(module).of(why.source).low >= 0):
        raise Unrewritable("its sign is not known, and clamping a negative one from below would change it")
    if why.kind == "size":
        return _fix_of_size(module, why)
    floor = floored(module, why.at, why.source, why.floating, why.kind)
    return Fix(
        title=f"clamp_min({floor.bound}) on the denominator, which is never negative: {floor.why}",
        edits=floor.edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, change=f"denominators below {floor.bound} count as {floor.bound}"),
    )


def _fix_of_size(module: Module, why: Vanishing) -> Fix:
    if module.names.lookup("max", why.at) is not None or module.flow(why.at).stores("max"):
        raise Unrewritable("max is bound to something else here")
    one = "1"
    if isinstance(why.at, ast.BinOp) and isinstance(why.at.right, ast.Constant):
        one = repr(why.at.right.value)
    return Fix(
        title=f"max(..., {one}) on the denominator: a size less one, so nothing changes for sizes above 1",
        edits=_in_place_of(module, why.at, rewrite.expression(module, f"max({{n}}, {one})", n=why.at)),
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, hazard=("value", "gradient", "exception"), extra=("one element", "unit sizes")),
    )


def _in_place_of(module: Module, node: ast.expr, text: str) -> tuple[Edit, ...]:
    """A call in place of an expression and of the brackets around it, which it does not need."""
    group = brackets(module, node)
    return (Edit(module.char_span(*group), text),) if group else rewrite.replace(module, node, text)


# -- denominators of either sign -------------------------------------------------------------------------------


def _signed(found: Division, context: Context) -> Iterator[Finding]:
    """Advice: a coordinate, a disparity, a reference element."""
    module, node = context.module, found.node
    denominator = found.denominator
    message = signed_zero(module, found)
    if message and _is_asked_for_zero(module, denominator):
        return
    if not message or is_numpy(module, node) or is_inference(module, node):
        return
    if is_guarded(module, node, [denominator]) or is_chosen_away(module, node):
        return
    if out_of_training(module, denominator) or is_documented(module, denominator):
        return
    why = "it can be negative: replace values near zero by one of the same sign, or choose them away with where"
    yield context.finding(node, message, why=why, severity=Severity.INFO)


RULE = Rule(
    name="div-unprotected",
    summary="A division by a length, spread, range or sum that degenerate data makes zero.",
    severity=Severity.WARNING,
    triggers=(
        (b"torch",),
        (b"/", b".div(", b".div_("),
    ),
    anchor=re.compile("|".join(_WORDS)),
    nodes=(ast.BinOp, ast.AugAssign, ast.Call),
    check=check,
    beside=re.compile(DIVIDES),
)
