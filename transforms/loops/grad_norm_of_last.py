"""A gradient norm that is computed by hand holds the last parameter only.

The defect
----------
A loop over the parameters computes the norm of each gradient, and the sum is taken after the loop, or assigned in it
where it should be added: of all the norms only the last one counts.

Why it hurts
------------
Clipping divides by this norm. The last parameter is often a bias, whose gradient is a small part of the whole, so the
gradients are scaled by a factor that is far too large, or not at all: with weights whose gradient has norm 3 and a last
bias at 0.04, a bound of 1 leaves a step of norm 3. The configuration says that gradients are clipped, and none are. A
monitor that logs such a norm shows no spike where there is one.

Before
------

    total = torch.zeros([])
    for p in model.parameters():
        norm = p.grad.norm() ** 2
    total.add_(norm)
    total = total ** 0.5

After
-----

    total = torch.zeros([])
    for p in model.parameters():
        norm = p.grad.norm() ** 2
        total.add_(norm)
    total = total ** 0.5

Try it
------

    import torch

    parameters = [torch.nn.Parameter(torch.zeros(4)), torch.nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.full((4,), 1.5), torch.tensor([0.04])
    seen = {}
    for inside in (False, True):
        total = torch.zeros([])
        for p in parameters:
            norm = p.grad.norm() ** 2
            if inside:
                total.add_(norm)
        if not inside:
            total.add_(norm)
        seen[inside] = total**0.5
    whole = torch.nn.utils.clip_grad_norm_(parameters, max_norm=float("inf"))
    assert abs(seen[False] - 0.04) < 1e-6 and abs(seen[True] - whole) < 1e-6

When the fix is safe
--------------------
It changes the norm on purpose, to that of all gradients together, which is what the loop is for. Whoever tuned the
bound to the old number may want a larger one, so the fix is applied only when unsafe fixes are allowed.

Left alone
----------
A loop that does anything else than compute names; a sum that starts as anything else than zero, immediately before the
loop or above it in the same block; a value that is used in the loop; a norm of which no root is taken afterwards, where
the sum is assigned in the loop; a loop that ends early. `torch.nn.utils.clip_grad_norm_` and
`torch.nn.utils.get_total_norm` compute the norm without any of this.

Sources
-------
PyTorch documentation: `torch.nn.utils.clip_grad_norm_`, `torch.nn.utils.get_total_norm`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name
from autofix.transforms.loops._moving import ends_its_line, remarks_above
from autofix.tree import mentions, walk

_TITLE = "add the norm of every gradient to the sum, not that of the last alone"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if not isinstance(node, ast.For) or node.orelse or not _reads_gradients(node):
        return
    module = context.module
    block = module.block(node)
    place = block.index(node)
    values = _computed(node.body)
    if not values:
        return
    following = block[place + 1] if place + 1 < len(block) else None
    added = _added(following) if following is not None else None
    if added is not None and following is not None and added[1] in values:
        total, name = added
        start = _start_at_zero(block[:place], total)
        if start is not None and not mentions(node, total):
            text = module.source(following)
            message = f"{text} stands after the loop, so {total} holds the {name} of the last gradient only"
            move = partial(_indented, module, following, node, values[name])
            yield _finding(context, following, message, move, _region(module, start, following), total)
        return
    for name, statement in values.items():
        start, root = _start_at_zero(block[:place], name), _rooted(block[place + 1 :], name)
        if start is not None and root is not None:
            message = f"{name} is assigned anew for every gradient and holds the last one only: add to it"
            add = partial(_augmented, module, statement)
            yield _finding(context, statement, message, add, _region(module, start, root), name)


def _reads_gradients(loop: ast.For) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "grad" for n in walk(loop))


def _computed(body: list[ast.stmt]) -> dict[str, ast.Assign]:
    """The names that a loop computes of gradients and does not use itself, each with its only assignment; none when
    the loop does anything else."""
    assigned: dict[str, ast.Assign] = {}
    pending, many = list(body), set[str]()
    while pending:
        statement = pending.pop(0)
        if isinstance(statement, ast.If) and not statement.orelse:
            pending += statement.body
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if not isinstance(target, ast.Name):
                return {}
            many |= {target.id} & assigned.keys()
            assigned[target.id] = statement
        elif not isinstance(statement, (ast.Continue, ast.Pass, ast.Assert)):
            return {}
    read = {n.id for s in body for n in walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    last = {name: s for name, s in assigned.items() if name not in read | many}
    return {name: s for name, s in last.items() if _is_of_gradient(s.value, assigned)}


def _is_of_gradient(value: ast.expr, assigned: dict[str, ast.Assign]) -> bool:
    """Whether a value reads `.grad`, itself or through a name of the same loop."""
    return any(
        (isinstance(n, ast.Attribute) and n.attr == "grad")
        or (isinstance(n, ast.Name) and n.id in assigned and _is_of_gradient(assigned[n.id].value, {}))
        for n in walk(value)
    )


def _added(statement: ast.stmt) -> tuple[str, str] | None:
    """`total` and `norm` in `total += norm`, `total = total + norm` and `total.add_(norm)`."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        return _names(statement.target, statement.value)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.value, ast.BinOp):
        total, added = statement.targets[0], statement.value
        named = _names(total, added.left)
        if isinstance(added.op, ast.Add) and named is not None and named[0] == named[1]:
            return _names(total, added.right)
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_":
        return _names(call.func.value, call.args[0]) if len(call.args) == 1 and not call.keywords else None
    return None


def _names(total: ast.expr, value: ast.expr) -> tuple[str, str] | None:
    return (total.id, value.id) if isinstance(total, ast.Name) and isinstance(value, ast.Name) else None


def _start_at_zero(before: list[ast.stmt], name: str) -> ast.Assign | None:
    """The last statement of a block that mentions a name, where it sets it to zero."""
    last = next((s for s in reversed(before) if mentions(s, name)), None)
    if not isinstance(last, ast.Assign) or not all(isinstance(t, ast.Name) for t in last.targets):
        return None
    return last if _is_zero(last.value) else None


def _is_zero(value: ast.expr) -> bool:
    made = last_name(value.func) if isinstance(value, ast.Call) else ""
    if made in ("zeros", "zeros_like", "new_zeros"):
        return True
    if isinstance(value, ast.Call) and made in ("tensor", "float", "FloatTensor") and value.args:
        value = value.args[0]
    return isinstance(value, ast.Constant) and type(value.value) in (int, float) and value.value == 0


def _rooted(after: list[ast.stmt], name: str) -> ast.stmt | None:
    """The first statement that reads a name, where it takes a root of it."""
    first = next((s for s in after if mentions(s, name)), None)
    return first if first is not None and any(_is_root(n, name) for n in walk(first)) else None


def _is_root(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        whole = isinstance(node.right, ast.Constant) and isinstance(node.right.value, int)
        return isinstance(node.left, ast.Name) and node.left.id == name and not whole
    if not isinstance(node, ast.Call) or last_name(node.func) not in ("sqrt", "sqrt_"):
        return False
    base = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else None
    rooted = node.args[0] if len(node.args) == 1 else base
    return isinstance(rooted, ast.Name) and rooted.id == name


# -- the fix -----------------------------------------------------------------------------------------------------


def _region(module: Module, start: ast.stmt, end: ast.stmt) -> Span:
    """What to execute: from the statement that sets the sum to zero to the last that makes it."""
    return Span(module.span(start).start, module.span(end).end)


def _finding(
    context: Context, node: ast.stmt, message: str, edit: Callable[[], Edit], region: Span, total: str
) -> Finding:
    try:
        edits = (edit(),)
    except Unrewritable as reason:
        return context.finding(node, message, why=str(reason))
    change = "the norm is that of all gradients together, not of the last one"
    claim = Claim(Relation.INTENDED, region=region, results=(total,), hazard=("last alone",), change=change)
    return context.finding(node, message, fix=Fix(_TITLE, edits, Applicability.UNSAFE, claim))


def _indented(module: Module, statement: ast.stmt, loop: ast.For, computed: ast.Assign) -> Edit:
    """Move a statement into the loop above it, behind the assignment whose value it adds."""
    last: ast.stmt = loop.body[-1]
    while isinstance(last, ast.If):
        last = last.body[-1]
    home = computed if last is computed else loop.body[-1]
    if home is not computed and not any(s is computed for s in loop.body):
        raise Unrewritable("the norm is computed on some path only; add it there")
    indent, start = module.indentation(home), module.chars(statement)[0]
    own = module.indentation(statement)
    if (
        indent is None
        or own is None
        or statement.end_lineno != statement.lineno
        or not ends_its_line(module, statement)
    ):
        raise Unrewritable("the sum, or the end of the loop, shares its line with another statement")
    remarks = remarks_above(module, statement)
    first = module.line_start(start) - sum(len(module.line_text(statement.lineno - 1 - n)) for n in range(len(remarks)))
    moved = module.text[first:start].splitlines(keepends=True)
    return Edit(module.char_span(first, start), "".join(indent + line.removeprefix(own) for line in moved))


def _augmented(module: Module, statement: ast.Assign) -> Edit:
    start, end = module.chars(statement.targets[0])[1], module.chars(statement.value)[0]
    text = module.text[start:end]
    if text.strip() != "=":
        raise Unrewritable("the assignment is spelled over several lines")
    return Edit(module.char_span(start, end), text.replace("=", "+="))


RULE = Rule(
    name="grad-norm-of-last",
    summary="A gradient norm that is computed by hand holds the last parameter only.",
    severity=Severity.WARNING,
    triggers=((b".grad",), (b"norm",), (b".sqrt(", b"sqrt(", b"**", b".pow(")),
    anchor=re.compile(r"\.grad\b"),
    nodes=(ast.For,),
    check=check,
    beside=re.compile(r"\*\*|sqrt\(|\.pow\("),
)
