"""A standard deviation over something that can have a single element.

The defect
----------
`x.std()` and `x.var()` divide by n - 1. Advantages, rewards or a batch of embeddings are standardised by it, and
nothing excludes that there is only one of them: the last minibatch, one rollout, a group of one, a selection that
keeps one.

Why it hurts
------------
For a single element n - 1 is 0 and the result is NaN, whatever epsilon is added afterwards: `NaN + 1e-8` is NaN. The
loss is NaN, and so is every parameter after the next step. It comes with the minibatch that is left over when the
number of samples is one more than a multiple of the minibatch size.

Before
------

    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)

After
-----

    if advantages.numel() > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)

Try it
------

    import torch

    advantages = torch.tensor([3.0])  # the minibatch that is left over
    before = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    if advantages.numel() > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    assert before.isnan() and advantages == 3

When the fix is safe
--------------------
For two elements and more nothing changes. A single element is left as it is, as where nothing is standardised. Where
the result has a name of its own, or the deviation is along a dimension, the fix is `correction=min(1, n - 1)`: 1 as
before, and 0 for one element, whose deviation is then 0 with gradient 0, so that its standardised value is 0.

Left alone
----------
`unbiased=False` and `correction=0`; dimensions of features; code under a test of the number of elements, under
`no_grad`, or that only logs or compares; tensors of which nothing says that their number varies; advantages of a
whole rollout, which a loop over its steps fills in; transforms of data.

Sources
-------
PyTorch documentation: `torch.std`. Stable-Baselines3 standardises advantages only for more than one of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.calls import Call, call_of
from autofix.guards import conditions
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import constant
from autofix.ranges import analysis
from autofix.relations import words
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import is_plain
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._counts import mask_kind
from autofix.transforms.ranges._division import division, is_inference, is_numpy, is_torch
from autofix.transforms.ranges._gradients import out_of_model
from autofix.transforms.ranges._uses import only_ordered
from autofix.tree import last_part, walk

_SAMPLES = re.compile(r"(^|_)(adv|advs|advantages?|rewards?|returns?|rets?|gae|deltas?|td_errors?)(_|\d|$)")
_GROUPS = re.compile(r"(^|_)(view|reshape|unflatten)$")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
    if name not in ("std", "var") or not isinstance(node, ast.Call) or not is_torch(module):
        return
    call = call_of(module, node)
    if call is None or not _is_unbiased(module, call):
        return
    found = _why(module, call)
    if found is None or is_numpy(module, node) or is_inference(module, node) or out_of_training(module, node):
        return
    if out_of_model(module, node):
        return
    if all(only_ordered(module, _quotient(module, r)) for r in _reads(module, node)):
        return
    if _is_counted(module, node, call.input):
        return
    when, severity = found
    text = re.sub(r"\s+", " ", module.source(call.input))
    text = text if len(text) <= 50 else "the tensor"
    message = f"the {call.name} of {text} is NaN {when}, and an epsilon added to NaN is NaN"
    try:
        fix = _fix(module, call)
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix=fix, severity=severity)


def _is_unbiased(module: Module, call: Call) -> bool:
    """Whether it divides by n - 1."""
    for key in ("unbiased", "correction"):
        if key in call.args:
            value = constant(module, call.args[key])
            return value is not None and bool(value) and key == "correction" and value == 1
    dim = call.args.get("dim")
    return not (isinstance(dim, ast.Constant) and isinstance(dim.value, bool))


def _why(module: Module, call: Call) -> tuple[str, Severity | None] | None:
    """When there is one element, where that is plausible."""
    dim = call.args.get("dim")
    if _is_selection(module, call.input) and dim is None:
        return "where one element is selected", None
    if not _standardises(module, call.node):
        return None
    name = words(module, call.input).rpartition(".")[2].lower()
    place = constant(module, dim) if dim is not None else None
    if dim is None and _SAMPLES.search(name):
        if _is_of_a_rollout(module, call.input):
            return None
        return "for a single sample: a minibatch that is left over, a rollout of one step", None
    if place == 0 and is_plain(call.input) and _SAMPLES.search(name):
        return "for a batch of one", None
    if dim is not None and _is_grouped(module, call.input):
        return "for groups of one", Severity.INFO
    return None


def _is_of_a_rollout(module: Module, node: ast.expr) -> bool:
    """Whether advantages are filled in step after step of a rollout in this function, backwards in time: as many as a
    rollout has steps and environments, which is fixed. Not the steps of one episode, whose number is a `len`."""
    flow = module.flow(node)
    filled = {words(module, node), *(words(module, n) for n in _terms(module, node))}
    for loop in (n for n in walk(flow.scope) if isinstance(n, ast.For)):
        called = loop.iter if isinstance(loop.iter, ast.Call) else None
        if called is None or last_part(called.func) != "reversed" or "len(" in words(module, called):
            continue
        assigned = [t for n in walk(loop) if isinstance(n, ast.Assign) for t in n.targets]
        if any(isinstance(t, ast.Subscript) and words(module, t.value) in filled for t in assigned):
            return True
    return False


def _terms(module: Module, node: ast.expr) -> list[ast.expr]:
    """What a difference of returns and values is made of, where it is bound to `node`."""
    statements = [s for s in walk(module.flow(node).scope) if isinstance(s, ast.Assign)]
    text = words(module, node)
    made = [s.value for s in statements if any(words(module, t) == text for t in s.targets)]
    differences = [v for v in made if isinstance(v, ast.BinOp) and isinstance(v.op, ast.Sub)]
    return [side for v in differences for side in (v.left, v.right)]


def _is_selection(module: Module, node: ast.expr) -> bool:
    value = module.flow(node).value(node)
    if not isinstance(value, ast.Subscript) or isinstance(value.slice, (ast.Tuple, ast.Slice, ast.Constant)):
        return False
    return mask_kind(module, value.slice) == "mask"


def _is_grouped(module: Module, node: ast.expr) -> bool:
    """`rewards.view(-1, group)`."""
    value = module.flow(node).value(node)
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    if not _GROUPS.search(value.func.attr) or not _SAMPLES.search(words(module, value.func.value).lower()):
        return False
    return len(value.args) == 2 and constant(module, value.args[0]) == -1 and constant(module, value.args[1]) is None


def _standardises(module: Module, node: ast.Call) -> bool:
    """Whether something is divided by it, at once or under a name."""
    return any(_divides(module, r) for r in _reads(module, node))


def _reads(module: Module, node: ast.Call) -> list[ast.expr]:
    """The call, or the reads of the name that it is bound to."""
    statement = module.statement(node)
    if not isinstance(statement, ast.Assign) or statement.value is not node or len(statement.targets) != 1:
        return [node]
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        return []
    return [*module.flow(node).certain_readers(target.id, statement)]


def _quotient(module: Module, read: ast.expr) -> ast.AST:
    """The division by `read`, or `read`."""
    return next((a for a in module.ancestors(read) if division(module, a) is not None), read)


def _divides(module: Module, node: ast.expr) -> bool:
    child: ast.AST = node
    for ancestor in module.ancestors(node):
        found = division(module, ancestor)
        if found is not None:
            return found.denominator is child
        if isinstance(ancestor, ast.stmt):
            return False
        child = ancestor
    return False


def _is_counted(module: Module, node: ast.Call, subject: ast.expr) -> bool:
    """Whether a test on the way looks at the tensor, or at a number of things."""
    text = re.compile(rf"(^|[^\w.]){re.escape(words(module, subject))}([^\w]|$)")
    for test, _ in conditions(module, node):
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
            continue
        said = words(module, test)
        if text.search(said) or re.search(r"len\(|numel|shape|size|num_|(^|[^\w])n([^\w]|$)", said):
            return True
    return False


# -- what is written -------------------------------------------------------------------------------------------


def _fix(module: Module, call: Call) -> Fix:
    subject, node = call.input, call.node
    guard = _guard(module, call)
    if guard is not None:
        return guard
    if not is_plain(subject):
        raise Unrewritable("bind the tensor to a name and use correction=min(1, n - 1), or skip this for one element")
    if "correction" in call.args or (len(node.args) > (2 if call.form == "function" else 1)):
        raise Unrewritable("it states its correction: use 0 for one element, or skip this for one element")
    if not all(_is_protected(module, r) for r in _reads(module, node)):
        raise Unrewritable("for one element it would be 0, and nothing protects the division: add an epsilon first")
    dim = call.args.get("dim")
    name = module.source(subject)
    number = f"{name}.numel()" if dim is None else f"{name}.size({module.source(dim)})"
    end = module.chars(node)[1] - 1
    before = module.text[:end].rstrip()
    comma = "" if before.endswith(("(", ",")) else ", "
    text = f"{comma}correction=min(1, {number} - 1)"
    return Fix(
        title="correction=min(1, n - 1): 1 as before, and 0 for a single element, whose deviation is then 0",
        edits=(module.insertion(end, text),),
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, extra=("one element",)),
    )


def _guard(module: Module, call: Call) -> Fix | None:
    """`if x.numel() > 1:` around a statement that standardises a name in place of itself: a single sample keeps its
    scale, as where nothing is standardised."""
    subject, statement = call.input, module.statement(call.node)
    if call.args or not isinstance(subject, ast.Name) or not isinstance(statement, ast.Assign):
        return None
    target = statement.targets[0]
    if len(statement.targets) != 1 or not isinstance(target, ast.Name) or target.id != subject.id:
        return None
    start, end = module.chars(statement)
    line = module.text.rfind("\n", 0, start) + 1
    indent = module.text[line:start]
    if indent.strip() or "\n" in module.text[start:end] or not all(
        _is_protected(module, r) for r in _reads(module, call.node)
    ):  # fmt: skip
        return None
    inner = "\t" if "\t" in indent else "    "
    text = f"if {subject.id}.numel() > 1:\n{indent}{inner}{module.text[start:end]}"
    return Fix(
        title="standardise only more than one sample: the deviation of a single one says nothing about its scale",
        edits=(Edit(module.char_span(start, end), text),),
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, extra=("one element",)),
    )


def _is_protected(module: Module, read: ast.expr) -> bool:
    """Whether what is divided by is above zero even where the deviation is zero."""
    child: ast.AST = read
    for ancestor in module.ancestors(read):
        found = division(module, ancestor)
        if found is not None and found.denominator is child:
            return not analysis(module).of(found.denominator).zero
        if isinstance(ancestor, ast.stmt):
            return True
        child = ancestor
    return True


RULE = Rule(
    name="std-of-one",
    summary="A standard deviation over samples of which there may be one.",
    severity=Severity.WARNING,
    triggers=((b"torch",), (b".std(", b".var(")),
    anchor=re.compile(r"\.(?:std|var)\("),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
)
