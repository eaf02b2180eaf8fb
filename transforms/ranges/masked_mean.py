"""A mean over what a mask selects, divided by a count that is zero when nothing is selected.

The defect
----------
A sum is divided by the number of selected elements, tokens or members of a group: `(x * mask).sum() / mask.sum()`,
`loss.sum() / num_tokens`, pooling over an attention mask, `x[mask].mean()`. Nothing excludes that there are none.

Why it hurts
------------
One batch with nothing to count gives 0 / 0 = NaN. The gradient is NaN as well, and after the next optimizer step so
is every parameter: a packed sequence without label tokens, an image without objects, a rank whose share of the batch
is padding. It is the commonest numeric bug in the histories of published training code.

Before
------

    per_token = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    mask = labels != -100
    loss = (per_token * mask).sum() / mask.sum()

After
-----

    per_token = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    mask = labels != -100
    loss = (per_token * mask).sum() / mask.sum().clamp_min(1)

Try it
------

    import torch

    per_token = torch.ones(4, requires_grad=True)
    mask = torch.zeros(4, dtype=torch.bool)  # a batch without a label
    old = (per_token * mask).sum() / mask.sum()
    new = (per_token * mask).sum() / mask.sum().clamp_min(1)
    (before,) = torch.autograd.grad(old, per_token)
    (after,) = torch.autograd.grad(new, per_token)
    assert old.isnan() and before.isnan().all()
    assert new == 0 and (after == 0).all()

When the fix is safe
--------------------
A count is a whole number, so `clamp_min(1)` changes it only where it is zero, and there the sum above it is zero too:
the mean becomes 0 with gradient 0. A Python number becomes `max(n, 1)`; a count less one is clamped to 1 as a whole.
Where a mask is multiplied by weights its sum may be any positive number, and the bound is the machine epsilon of its
dtype: small enough to change no weighted mean, large enough that its reciprocal is finite in half precision as well.
The mean of an empty selection becomes its sum, which is 0 and keeps the graph.
That a tensor named `mask` holds zeros and ones is an assumption, stated with the evidence.

Left alone
----------
Denominators that are clamped, have an epsilon added, or are proved positive by a branch, an assert or an early return;
results that are one side of a `where` (see where-nan-grad); lengths, shapes and sizes; masks predicted by a network;
code under `no_grad`, in tests, or that only logs or sorts; numpy and jax. Masks that select something by construction:
a 1 is written at some index, ranks are compared with a bound of at least 1, values with their own maximum, labels with
their own transpose; a disk on a grid. Counts that less one are an index, groups that a loop has filled up, and masks
that every caller asks about. Masks that leave out what is NaN in the very tensor they average, where the mean of
nothing is NaN by convention.

Information, since it takes degenerate data: masks of padding, which are empty only for an example without content; the
nodes of a graph; masks that the model chose itself, as in masked autoencoders; metrics; counts over a whole
accumulation window or all ranks; a mean beside a `cross_entropy` over the same labels, which is NaN for the same
batch; and the mean of a selection, `x[mask].mean()`: without elements it is NaN, and so is the loss, but its gradient
is 0.

Sources
-------
Fixes of this kind in torchtune, Megatron-LM, trl and torch_stoi.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.calls import call_of
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import tensor_op
from autofix.ranges import analysis
from autofix.relations import changes_in_place, same, words
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import float_dtype_of
from autofix.transforms.ranges._clamping import brackets
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._counts import Count, count, mask_kind
from autofix.transforms.ranges._division import (
    DIVIDES,
    division,
    is_chosen_away,
    is_guarded,
    is_inference,
    is_numpy,
    is_torch,
)
from autofix.transforms.ranges._emptiness import degenerate, never_empty, skips_nan_of
from autofix.transforms.ranges._gradients import out_of_model
from autofix.transforms.ranges._nonempty import known_to_hold
from autofix.transforms.ranges._uses import only_ordered, only_reported
from autofix.tree import walk

_METRIC = re.compile(
    r"accura|metric|(^|_)(acc|stats?|logs?(?!_?p(s|rob)?)|report|monitor|iou|precision|recall|f1)(_|$)"
)
_CONVERTS = ("view", "reshape", "flatten", "float", "to", "type_as", "unsqueeze", "long", "int", "bool")
_LOSS = re.compile(r"loss|nll|(^|_)(ce|kl|bce|mse|mae|err|error)(_|$)")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "mean":
        yield from _mean_of_selection(node, context)
        return
    found = division(module, node)
    if found is None or isinstance(found.denominator, ast.Constant) or not is_torch(module):
        return
    counted = count(module, found.denominator)
    if counted is None or is_numpy(module, node) or _is_harmless(module, node, counted, found.denominator):
        return
    if counted.summed is None and not _LOSS.search(words(module, found.numerator).lower()):
        return
    shared = _shared(module, counted)
    if shared and shared[0] is not counted.at:
        return
    if _never_divides_by_zero(module, found.numerator, counted) or _leads_nowhere(module, node, found.numerator):
        return
    when = degenerate(module, counted.of, node, _per_row(module, counted)) if counted.of is not None else ""
    reciprocal = analysis(module).of(found.numerator).bounded and not analysis(module).of(found.numerator).zero
    raises = counted.number and _is_number(module, found.numerator)
    message = _message(module, counted, found.numerator, reciprocal, raises, when)
    severity = Severity.INFO if reciprocal or when else _severity(module, node, counted)
    if counted.of is not None and _is_nan_without_it(module, counted.of, node):
        severity = Severity.INFO
    try:
        fix = _fix(module, counted, shared, found.denominator)
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _is_harmless(module: Module, node: ast.AST, counted: Count, denominator: ast.expr) -> bool:
    if isinstance(counted.at, ast.Name) and changes_in_place(module, counted.at):
        return True
    about = [denominator, counted.at]
    about += [e for e in (counted.summed, counted.of) if e is not None]
    if counted.of is not None:
        about += [n for n in walk(counted.of) if isinstance(n, ast.Name) and mask_kind(module, n)]
    if is_guarded(module, node, about) or is_chosen_away(module, node) or is_inference(module, node):
        return True
    made = counted.definition.statement if counted.definition is not None else None
    if isinstance(made, ast.stmt) and is_guarded(module, made, about[1:]):
        return True
    if known_to_hold(module, node, counted):
        return True
    return isinstance(node, ast.expr) and out_of_training(module, node)


def _never_divides_by_zero(module: Module, numerator: ast.expr, counted: Count) -> bool:
    """Whether the mask selects something by construction, or leaves out only what is NaN already."""
    mask = counted.of
    if mask is None or counted.summed is None:
        return False
    if skips_nan_of(module, mask, numerator):
        return True
    return not counted.less and never_empty(module, mask, _per_row(module, counted))


def _leads_nowhere(module: Module, node: ast.AST, numerator: ast.expr) -> bool:
    """Whether no gradient returns from the mean."""
    if isinstance(node, ast.expr) and (only_ordered(module, node) or only_reported(module, node)):
        return True
    value = module.flow(numerator).value(numerator)
    return value is not numerator and out_of_training(module, value)


def _shared(module: Module, counted: Count) -> list[ast.Name]:
    """The reads of a count that a name holds, when it is read more than once and only to divide by it."""
    definition = counted.definition
    if not isinstance(counted.at, ast.Name) or definition is None or definition.value is None:
        return []
    if counted.at.id != definition.name or not _holds(definition.value, counted.summed):
        return []
    readers = module.flow(counted.at).readers(definition)
    if readers is None or len(readers) < 2 or not all(_is_denominator(module, r) for r in readers):
        return []
    return readers


def _holds(value: ast.expr, part: ast.expr | None) -> bool:
    return part is not None and any(n is part for n in walk(value))


def _is_denominator(module: Module, read: ast.expr) -> bool:
    node: ast.AST = read
    for ancestor in module.ancestors(read):
        found = division(module, ancestor)
        if found is not None:
            return found.denominator is node
        if isinstance(ancestor, ast.Subscript) and ancestor.value is not node:
            return False
        if isinstance(ancestor, ast.Call) and ancestor.func is not node:
            return False
        if not isinstance(ancestor, (ast.Subscript, ast.Attribute, ast.Call)):
            return False
        node = ancestor
    return False


# -- what is said ----------------------------------------------------------------------------------------------


def _is_number(module: Module, node: ast.expr) -> bool:
    """Whether `node` is plainly a Python number: `x.sum().item()`."""
    value = module.flow(node).value(node)
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "item"


def _message(module: Module, counted: Count, numerator: ast.expr, reciprocal: bool, raises: bool, data: str) -> str:
    text = re.sub(r"\s+", " ", module.source(counted.at))
    if len(text) > 60:
        text = "the count"
    when = "with one element selected" if counted.less else "when nothing is selected"
    if _per_row(module, counted):
        when = "for a row in which nothing is selected" if not counted.less else when
    if data == "padding" and not counted.less:
        when = "for an example that is all padding" if _per_row(module, counted) else "when all of it is padding"
    if data == "own":
        when = "when the model masks nothing"
    if data == "members":
        when = "for an example that has none"
    if raises:
        return f"{text} is 0 {when}, and the division of two Python numbers then raises ZeroDivisionError"
    if reciprocal:
        return f"{text} is 0 {when}, so its reciprocal is inf, and NaN where it is multiplied by 0"
    chosen = _is_chosen(module, numerator)
    is_itself = counted.of is not None and same(module, _uncast(module, numerator), counted.of)
    mean = f"{text} is 0 {when}, so {'each weight' if is_itself else 'the mean'} is 0 / 0 = NaN"
    return f"{mean}, and so is the loss of that batch" if chosen else f"{mean} and so is every gradient of that batch"


def _uncast(module: Module, node: ast.expr) -> ast.expr:
    """The mask behind `mask.float()`, whose quotient by its own sum is a row of weights."""
    op = tensor_op(module, node, "float", "to", "type", "double", "half")
    return op.input if op is not None else node


def _is_chosen(module: Module, numerator: ast.expr) -> bool:
    """Whether `where` chooses what is summed: it hands back zeros to what it did not choose, whatever came in."""
    value = module.flow(numerator).value(numerator)
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if value.func.attr in ("where", "masked_fill"):
            return True
        value = module.flow(value).value(value.func.value)
    return False


def _per_row(module: Module, counted: Count) -> bool:
    call = call_of(module, counted.summed) if isinstance(counted.summed, ast.Call) else None
    return call is not None and "dim" in call.args


def _severity(module: Module, node: ast.AST, counted: Count) -> Severity | None:
    if counted.summed is None or (counted.number and counted.definition is None):
        return Severity.INFO  # counted elsewhere, or over a whole accumulation window
    if _is_summed_over_ranks(module, counted.at) or out_of_model(module, node):
        return Severity.INFO
    statement = module.statement(node)
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    names = [words(module, t) for t in targets if t is not None]
    function = module.function(node)
    names.append(getattr(function, "name", ""))
    return Severity.INFO if any(_METRIC.search(n.lower()) and not _LOSS.search(n.lower()) for n in names) else None


def _is_summed_over_ranks(module: Module, count: ast.expr) -> bool:
    """Whether all processes together have to count nothing."""
    if not isinstance(count, ast.Name):
        return False
    calls = (n for n in walk(module.flow(count).scope) if isinstance(n, ast.Call) and n.args)
    return any(
        getattr(c.func, "attr", getattr(c.func, "id", "")) == "all_reduce" and getattr(c.args[0], "id", "") == count.id
        for c in calls
    )


def _is_nan_without_it(module: Module, mask: ast.expr, node: ast.AST) -> bool:
    """Whether a mean of PyTorch's own over the same labels, in the same function, is NaN for the same batch."""
    value = module.flow(mask).value(mask)
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _CONVERTS:
        value = module.flow(value).value(value.func.value)
    if isinstance(value, ast.Compare) and isinstance(value.ops[0], ast.NotEq):
        labels = value.left
    elif isinstance(value, ast.Call) and getattr(value.func, "attr", "") == "ne" and len(value.args) == 1:
        labels = value.func.value  # type: ignore[attr-defined]
    else:
        return False
    text = words(module, labels)
    for call in (n for n in walk(module.flow(node).scope) if isinstance(n, ast.Call)):
        keywords = {k.arg: k.value for k in call.keywords}
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name not in ("cross_entropy", "nll_loss") and "ignore_index" not in keywords:
            continue
        reduction = keywords.get("reduction")
        if reduction is not None and getattr(reduction, "value", "") != "mean":
            continue
        if any(isinstance(n, ast.expr) and words(module, n) == text for a in call.args for n in walk(a)):
            return not _excludes(module, call, node)
    return False


def _excludes(module: Module, a: ast.AST, b: ast.AST) -> bool:
    """Whether they stand in different branches of one test, so that never both run."""
    for ancestor in module.ancestors(a):
        if isinstance(ancestor, ast.If):
            inside = [n for part in (ancestor.body, ancestor.orelse) for n in [{id(x) for s in part for x in walk(s)}]]
            if any(id(a) in p and id(b) not in p for p in inside) and any(id(b) in p for p in inside):
                return True
    return False


# -- what is written -------------------------------------------------------------------------------------------


def _fix(module: Module, counted: Count, shared: list[ast.Name], denominator: ast.expr) -> Fix:
    reads = shared or ([counted.at] if isinstance(counted.at, ast.Name) and _is_one_arm(counted) else [])
    at = counted.summed if reads and counted.summed is not None else counted.at
    region = _region(module, counted, reads) if reads else None
    bound, why = _bound(module, counted, at)
    if counted.number and at is counted.at and at is not counted.summed:
        if module.names.lookup("max", at) is not None or module.flow(at).stores("max"):
            raise Unrewritable("max is bound to something else here")
        same_factors = [f for f in _factors(denominator) if f is not at and same(module, f, at)]
        edits = tuple(e for f in (at, *same_factors) for e in rewrite.replace(module, f, f"max({{n}}, {bound})", n=f))
        form = f"max(..., {bound})"
    else:
        edits, form = _appended(module, at, f".clamp_min({bound})"), f"clamp_min({bound})"
    assumptions: tuple[str, ...] = ()
    if counted.of is not None and counted.whole and not _is_boolean(module, counted.of):
        assumptions = (f"{re.sub(chr(10), ' ', module.source(counted.of))} holds zeros and ones",)
    return Fix(
        title=f"{form} on the denominator: {why}",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.EQUAL,
            region=region,
            hazard=("value", "gradient", "exception") if counted.number else ("value", "gradient"),
            change="" if counted.whole else f"sums of weights below {bound} count as {bound}",
            assumptions=assumptions,
            extra=("one element",) if counted.less else ("zero counts",) if counted.number else (),
        ),
    )


def _is_one_arm(counted: Count) -> bool:
    """Whether a name holds the count or something else, which may be no tensor: `m.sum() if m is not None else n`."""
    value = counted.definition.value if counted.definition is not None else None
    return isinstance(value, ast.IfExp)


def _factors(node: ast.expr) -> Iterator[ast.expr]:
    """`k * n * n` has a factor twice, and both are 0 together."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _bound(module: Module, counted: Count, at: ast.expr) -> tuple[str, str]:
    if counted.whole:
        return "1", "a count, so nothing changes but where there is nothing to count"
    dtype = float_dtype_of(module, at) or (counted.of is not None and float_dtype_of(module, counted.of)) or None
    if dtype == "torch.float32":
        return "1e-8", "a sum of weights that are never negative, in single precision"
    finfo = module.names.reference("torch.finfo", at)
    if dtype is None or finfo is None or finfo.edits:
        raise Unrewritable("the dtype of the weights is not in view; clamp their sum at a bound that fits it")
    return f"{finfo.text}({dtype}).eps", "a sum of weights that are never negative, bounded by what its dtype resolves"


def _is_boolean(module: Module, node: ast.expr) -> bool:
    value = module.flow(node).value(node)
    while isinstance(value, ast.Call) and getattr(value.func, "attr", "") in ("float", "to", "type_as", "long", "int"):
        value = module.flow(value).value(getattr(value.func, "value", value))
    return isinstance(value, ast.Compare) or (
        isinstance(value, ast.Call) and getattr(value.func, "attr", "") in ("ne", "eq", "gt", "lt", "ge", "le", "bool")
    )


def _appended(module: Module, node: ast.expr, method: str) -> tuple[Edit, ...]:
    group = brackets(module, node)
    if group is None:
        return rewrite.replace(module, node, "{q}" + method, q=node)
    return (module.insertion(group[1], method),)


def _region(module: Module, counted: Count, shared: list[ast.Name]) -> Span | None:
    statement = counted.definition.statement if counted.definition is not None else None
    if not isinstance(statement, ast.stmt):
        return None
    start, end = module.chars(statement)
    first = module.chars(module.statement(shared[0]))[1]
    return Span(module.byte(start), module.byte(max(end, first)))


# -- means of selections ---------------------------------------------------------------------------------------


def _mean_of_selection(node: ast.Call, context: Context) -> Iterator[Finding]:
    """`x[mask].mean()`: NaN when nothing is selected."""
    module = context.module
    call = call_of(module, node)
    if call is None or call.args or not is_torch(module):
        return
    source = module.flow(call.input).value(call.input)
    mask = _selection(module, source)
    if mask is None or is_numpy(module, node) or out_of_training(module, node):
        return
    about = [call.input, source, mask, *(n for n in walk(mask) if isinstance(n, ast.Name) and mask_kind(module, n))]
    if is_guarded(module, node, about) or is_chosen_away(module, node) or _leads_nowhere(module, node, call.input):
        return
    if never_empty(module, mask, per_row=False) or skips_nan_of(module, mask, source):
        return
    text = re.sub(r"\s+", " ", module.source(call.input))
    name = text if len(text) <= 60 else "the selection"
    message = f"{name} is empty when nothing is selected, and its mean is NaN; so is the loss, but its gradient is 0"
    severity = Severity.INFO  # the empty selection sends back zeros, so the parameters stay as they are
    try:
        fix = _fix_of_mean(module, node, call.input)
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _selection(module: Module, node: ast.expr) -> ast.expr | None:
    """The mask that selects the elements of `node`."""
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, (ast.Tuple, ast.Slice, ast.Constant)):
        return node.slice if mask_kind(module, node.slice) == "mask" else None
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "masked_select" and node.args:
        return node.args[-1]
    if call is not None and call.name in ("float", "view", "flatten", "log", "exp", "abs", "square", "neg"):
        return _selection(module, call.input)
    return None


def _fix_of_mean(module: Module, node: ast.Call, selected: ast.expr) -> Fix:
    edits: tuple[Edit, ...] = ()
    name = module.source(selected)
    if not isinstance(selected, ast.Name):
        statement = module.statement(node)
        inner = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)
        if any(isinstance(a, inner) for a in module.ancestors(node) if a is not statement) or not isinstance(
            statement, (ast.Assign, ast.AugAssign, ast.Return, ast.AnnAssign)
        ):
            raise Unrewritable("it is not always evaluated here; bind the selection and take its sum where it is empty")
        scope = module.flow(node).scope
        taken = {n.id for n in walk(scope) if isinstance(n, ast.Name)}
        free = [n for n in ("selected", "selected_values", "chosen") if n not in taken]
        if not free:
            raise Unrewritable("bind the selection to a name and take its sum where it is empty")
        name = free[0]
        line = f"{name} = {rewrite.expression(module, '{s}', s=selected)}"
        edits = (rewrite.insert_before(module, statement, line),)
    edits += rewrite.replace(module, node, "{n}.mean() if {n}.numel() > 0 else {n}.sum()", n=name)
    return Fix(
        title="the sum of nothing in place of the mean of nothing: 0, and still part of the graph",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL),
    )


RULE = Rule(
    name="masked-mean",
    summary="A mean whose denominator counts what a mask selects, which may be nothing.",
    severity=Severity.WARNING,
    triggers=(
        (b"torch",),
        (b".sum(", b"tokens", b".mean()", b"count_nonzero", b"bincount", b"num_items"),
        (b"/", b".mean()"),
    ),
    anchor=re.compile(r"\.sum\(|count_nonzero\(|bincount\(|/ *(?:num|n)_\w*(?:tokens|items|valid)"),
    nodes=(ast.BinOp, ast.AugAssign, ast.Call),
    check=check,
    beside=re.compile(DIVIDES),
    further=(
        (
            re.compile(r"\.mean\(\)|masked_select\("),
            re.compile(
                r"masked_select|(?:[)\]]|(?<![\w.\"'])(?!list\[|tuple\[|dict\[|type\[|set\[)[a-z_][\w.]*)"
                r"\[[^\]:,\n\"'\d-]"
            ),
        ),
    ),
)
