"""A logarithm of a number that can be exactly 0.

The defect
----------
`log`, `log2` or `log10` is taken of an absolute value, a square, a rectified or clamped number, a variance or a
probability and its complement, without anything that keeps it from being 0.

Why it hurts
------------
log(0) is -inf and its gradient inf: one zero in a batch (silence, an empty bin, a saturated tanh, a point that meets
its target) makes the loss -inf or NaN and every parameter NaN at the next step. In float16 a number below 6e-8 is
already 0. Clamping the *result* does not help: the gradient is 0 times inf.

Before
------

    log_mel = torch.log(spectrogram.abs())

After
-----

    log_mel = torch.log(spectrogram.abs().clamp_min(torch.finfo(spectrogram.dtype).tiny))

Try it
------

    import torch

    spectrogram = torch.tensor([1.0, 0.0], requires_grad=True)
    old = torch.log(spectrogram.abs())
    new = torch.log(spectrogram.abs().clamp_min(torch.finfo(spectrogram.dtype).tiny))
    (before,) = torch.autograd.grad(old.sum(), spectrogram)
    (after,) = torch.autograd.grad(new.sum(), spectrogram)
    assert old[1].isinf() and before[1].isnan()
    assert old[0] == new[0] and new[1] > -88 and after.tolist() == [1, 0]

When the fix is safe
--------------------
The argument is held at the smallest normal number of its dtype, so the logarithm is at least -87.3 (-9.7 in float16)
and gets no gradient there; every larger number keeps its value and gradient. Where the argument must learn its way out
of 0, a small constant added to it is gentler, and changes all values by a little. `log(1 - tanh(x) ** 2)`, the
correction of squashed policies, is rewritten as `2 * (log 2 - x - softplus(-2 * x))`, which is exact everywhere.

Left alone
----------
Arguments whose range is proved positive, or of which nothing is known; probabilities that a constant was mixed into,
and squares of what was clamped inside of 1 and -1; softmax, sigmoid and sums of exponentials, whose
logarithms have stable forms and rules of their own; logarithms clamped afterwards, likewise; arguments that the
function checks and refuses with an exception; `log(abs(d))` where the function divides by d too; code without
gradients: evaluation, logging, feature extraction, schedules, random draws, sizes and Python numbers; the part that a
mask keeps; diagonals of triangular maps, whose premise is that they have an inverse; functions whose docstring says
what a degenerate input gives. There is advice for determinants and deviations, which nothing ordinary makes 0, and for
odds of a number whose name does not say that it is predicted.

Sources
-------
PyTorch documentation: `torch.log`, `torch.finfo`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import Op, constant, tensor_op
from autofix.ranges import analysis
from autofix.relations import same
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name
from autofix.transforms.ranges._floors import held, hold, limits, unclamped
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing, only_compared
from autofix.transforms.ranges._networks import is_documented
from autofix.transforms.ranges._roots import (
    chosen_by_where,
    guarded_outside,
    has_margin,
    is_square,
    never_zero,
    refused,
    selected,
    squared,
    squeezed,
)
from autofix.tree import walk

_NAMES = ("log", "log2", "log10", "log_", "log2_", "log10_")
_SATURATES = "it is a probability, which saturates at exactly 0 and 1"
_PROBABILITY = re.compile(
    r"^(p|ps|q|probs?|p_\w+|\w*_probs?|prob\w*|preds?|pred(ict\w*)?|y_?(hat|pred)|scores?|conf\w*|outputs?)\d*$"
)
_DEVIATION = re.compile(r"(^|_)(std\w*|stddev|sigma|scale)$")
_WIDTH = re.compile(r"(^|_)(variance|length_?scales?|bandwidths?|sigmas?|scales?|precisions?)$")
_SIGNAL = re.compile(
    r"spec|mag|stft|fft|mel|wave|audio|signal|frame|power|energy|complex|fourier|err|diff|delta|resid", re.I
)
_DIAGONAL = re.compile(r"(^|_)diag(onal)?($|_)")
_WORDS = {
    "abs": "an absolute value is 0 where its argument is",
    "relu": "whatever is not positive is rectified to exactly 0",
    "var": "a constant row has variance 0",
    "norm": "the norm of a zero vector is 0",
    "square": "a square is 0 where its argument is",
    "std": "a constant row has deviation 0",
}


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    op = tensor_op(module, node, "log", "log2", "log10") if called in _NAMES else None
    if op is None or op.extra or op.args:
        return
    how = _vanishes(module, op.input, 0) or _is_probability(module, op)
    if not how or guarded_outside(module, op.call):
        return
    if never_zero(module, op.input) or learns_nothing(module, op.call) or only_compared(module, op.call):
        return
    if selected(module, op.input) or refused(module, op.input):
        return
    if _divides(module, op.input):
        return
    if chosen_by_where(module, op.call, op.input) or not carries_gradient(module, op.input):
        return
    text = re.sub(r"\s+", " ", module.source(op.input))
    severity = None if _is_ordinary(module, op, how) else Severity.INFO
    if severity is Severity.INFO and (_is_of_a_diagonal(module, op.input) or is_documented(module, op.call)):
        return
    message = f"nothing keeps {text} above 0: {how}, and then the logarithm is -inf and the gradient NaN"
    try:
        fix = _squashed(module, op) or _held(module, op)
    except Unrewritable as reason:
        yield context.finding(op.call, message, why=str(reason), severity=severity)
        return
    yield context.finding(op.call, message, fix=fix, severity=severity)


def _vanishes(module: Module, node: ast.expr, depth: int) -> str:
    """How `node` comes to be exactly 0 in ordinary data, in words; empty when nothing says so."""
    if depth > 8:
        return ""
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        return _vanishes(module, value, depth + 1) if value is not node else ""
    if is_square(module, node):
        return _WORDS["square"]
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Sub) and constant(module, node.left) == 1:
            base = squared(module, node.right)
            inside = base is None or has_margin(module, base)
            return "" if inside else "it is 0 where the square is 1"
        if isinstance(node.op, ast.Div) and constant(module, node.right) is not None:
            return _vanishes(module, node.left, depth + 1)
        if isinstance(node.op, ast.Mult) and (constant(module, node.left) is None) != (
            constant(module, node.right) is None
        ):
            number = constant(module, node.left) is not None
            return _vanishes(module, node.right if number else node.left, depth + 1)
        return ""
    op = tensor_op(module, node)
    if op is None:
        return ""
    if op.name in ("clamp", "clamp_min"):
        return "whatever is not positive is clamped to exactly 0" if constant(module, op.args.get("min")) == 0 else ""
    if op.name in ("sum", "mean", "amax", "unsqueeze", "squeeze", "view", "reshape", "float"):
        return _vanishes(module, op.input, depth + 1)
    return _WORDS.get(op.name, "")


def _is_ordinary(module: Module, op: Op, how: str) -> bool:
    """Whether ordinary data makes the argument exactly 0. Silence does with a spectrum, equal things with a difference;
    a determinant is 0 only where the map has stopped to be one."""
    if how == _SATURATES:
        return any(_PROBABILITY.search(n.id) for n in walk(op.input) if isinstance(n, ast.Name))
    absolute = tensor_op(module, _value(module, op.input), "abs", "absolute")
    if absolute is None:
        # The square of a width that is learnt or given is 0 only where the model has none.
        known = [_DEVIATION, _WIDTH] if how == _WORDS["square"] else [_DEVIATION]
        names = [last_name(n) for n in walk(op.input) if isinstance(n, (ast.Name, ast.Attribute))]
        return not any(k.search(n) for k in known for n in names)
    inner = _value(module, absolute.input)
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub) and constant(module, inner.left) is None:
        return True
    return any(_SIGNAL.search(last_name(n)) for n in walk(inner) if isinstance(n, (ast.Name, ast.Attribute)))


def _is_of_a_diagonal(module: Module, node: ast.expr) -> bool:
    """`log(abs(diagonal))`, the log-determinant of a triangular map, or that of any bijection: where it is 0 there is
    no inverse, which is its premise."""
    if getattr(module.function(node), "name", "") == "log_abs_det_jacobian":
        return True
    names = [last_name(n) for n in walk(node) if isinstance(n, (ast.Name, ast.Attribute))]
    return any(_DIAGONAL.search(n) for n in names)


def _divides(module: Module, node: ast.expr) -> bool:
    """`log(abs(d))` in a function that divides by d, as in the log-determinant of a rational map: where d is 0, the
    quotient has failed before its logarithm is asked for."""
    op = tensor_op(module, node, "abs", "absolute")
    if op is None or not isinstance(op.input, ast.Name):
        return False
    flow = module.flow(op.input)
    definition = flow.definition(op.input)
    reads = flow.readers(definition) if definition is not None else None
    parents = [(r, module.parent(r)) for r in reads or ()]
    return any(isinstance(p, ast.BinOp) and isinstance(p.op, ast.Div) and p.right is r for r, p in parents)


def _is_probability(module: Module, op: Op) -> str:
    """Words for `log(p)` and `log(1 - p)`, `log1p(-p)` beside it: p is a probability, and can be exactly 0 and 1."""
    if op.name != "log":
        return ""
    complement = _complement(module, op.input)
    p = complement if complement is not None else op.input
    if not isinstance(p, (ast.Name, ast.Attribute)) or analysis(module).of(p).known or squeezed(module, p):
        return ""
    if complement is None:
        paired = _logs_of_complement(module, op)
    else:
        logs = [tensor_op(module, n, "log") for n in walk(module.statement(op.call)) if isinstance(n, ast.Call)]
        paired = [o for o in logs if o is not None and same(module, o.input, p)]
    return _SATURATES if paired else ""


def _logs_of_complement(module: Module, op: Op) -> list[Op]:
    """`log(1 - p)` and `log1p(-p)` in the statement of `log(p)`."""
    found = []
    for node in walk(module.statement(op.call)):
        other = tensor_op(module, node, "log", "log1p") if isinstance(node, ast.Call) else None
        if other is None:
            continue
        away = _negated(other) if other.name == "log1p" else _complement(module, other.input)
        if away is not None and same(module, away, op.input):
            found.append(other)
    return found


def _negated(op: Op) -> ast.expr | None:
    minus = isinstance(op.input, ast.UnaryOp) and isinstance(op.input.op, ast.USub)
    return op.input.operand if minus and isinstance(op.input, ast.UnaryOp) else None


def _complement(module: Module, node: ast.expr) -> ast.expr | None:
    """p, where `node` is `1 - p`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and constant(module, node.left) == 1:
        return node.right
    return None


def _value(module: Module, node: ast.expr) -> ast.expr:
    return module.flow(node).value(node)


def _squashed(module: Module, op: Op) -> Fix | None:
    """The exact form of `log(1 - tanh(x) ** 2)`."""
    difference = _value(module, op.input)
    if op.name != "log" or not isinstance(difference, ast.BinOp) or not isinstance(difference.op, ast.Sub):
        return None
    squared = _value(module, difference.right)
    if constant(module, difference.left) != 1 or not is_square(module, squared):
        return None
    power = tensor_op(module, squared, "pow", "square")
    base = squared.left if isinstance(squared, ast.BinOp) else power.input if power else None
    tanh = tensor_op(module, _value(module, base), "tanh") if base is not None else None
    if tanh is None or not isinstance(tanh.input, (ast.Name, ast.Attribute)):
        return None
    if isinstance(tanh.input, ast.Name) and not _still_the_same(module, tanh.input, op.call):
        return None
    softplus = module.names.reference("torch.nn.functional.softplus", op.call)
    if softplus is None:
        return None
    template = f"2.0 * (0.6931471805599453 - {{x}} - {softplus.text}(-2.0 * {{x}}))"
    edits = (*softplus.edits, *rewrite.replace(module, op.call, template, x=tanh.input))
    return Fix(
        title="write 2 * (log 2 - x - softplus(-2 x)), which is the same and finite where tanh is 1",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL),
    )


def _still_the_same(module: Module, read: ast.Name, at: ast.Call) -> bool:
    """Whether `read`'s name still has, at `at`, the value that it has at `read`."""
    flow = module.flow(read)
    if flow is not module.flow(at):
        return False
    here = flow.definition(read)
    there = flow.definition_before(read.id, module.statement(at))
    return module.statement(read) is module.statement(at) or (here is not None and here == there)


def _held(module: Module, op: Op) -> Fix:
    far = [o for o in _logs_of_complement(module, op) if o.name == "log1p"]
    low = "the logarithm of a smaller number than the smallest normal one (6e-5 in float16) is that number's"
    claim = held(module, unclamped(module, op.input), "torch.finfo(trial_dtype).tiny", None, low)
    if far:
        claim = Claim(Relation.EQUAL, change=f"{low}; a probability closer to 1 than its dtype resolves is held there")
    return Fix(
        title=f"hold the argument of {op.name} at the smallest normal number of its dtype, above 0"
        + (", and that of log1p above -1" if far else ""),
        edits=(*hold(module, op.input, "tiny"), *(e for o in far for e in _held_below_one(module, o))),
        applicability=Applicability.SAFE,
        claim=claim,
    )


def _held_below_one(module: Module, op: Op) -> tuple[Edit, ...]:
    p = _negated(op)
    assert p is not None
    return rewrite.replace(module, p, f"{{x}}.clamp_max(1.0 - {limits(module, p, 'eps')})", x=p)


RULE = Rule(
    name="log-unprotected",
    summary="a logarithm of an absolute value, a square, a rectified number or a variance that can be exactly 0",
    severity=Severity.WARNING,
    triggers=((b"log(", b"log2(", b"log10("),),
    anchor=re.compile(r"log(?:2|10)?\((?<!math\.log\()(?<!np\.log\()(?<!\wlog\()(?!\s*[\"'f])"),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
    beside=re.compile(
        r"abs(?:olute)?\(|re[lL][uU]|var\(|norm\(|square\(|std\(|log1p\(|\b1(?:\.0*)?\s*-"
        r"|\*\*\s*2|pow\(|cl(?:amp|ip)|\b(\w[\w.\[\]]*) ?\* ?\1(?!\w)"
    ),
)
