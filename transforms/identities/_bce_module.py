"""`nn.BCELoss` on the output of a sigmoid."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.flow import Definition
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import Op, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context
from autofix.sameness import is_cheap, is_pure, is_untouched, movable
from autofix.syntax import Module
from autofix.transforms.identities._boundary import crossing
from autofix.transforms.identities._loss_modules import calls_of

MESSAGE = (
    "the loss saturates at 100 and its gradient is exactly 0 once the sigmoid has rounded to 0 or 1: logits beyond 17 "
    "on the wrong side teach nothing"
)
CHANGE = (
    "losses beyond 100, where binary_cross_entropy cuts the logarithm off, are no longer cut, and get their gradient"
)
_LOSSES = ("torch.nn.BCELoss", "torch.nn.modules.loss.BCELoss")
_TITLE = "make it BCEWithLogitsLoss and hand over the logits, which never rounds the probability"


@dataclass(frozen=True, slots=True)
class _Use:
    """One call of the loss: its argument, and the sigmoid behind it. reads: names followed to get there."""

    call: ast.Call
    argument: ast.expr
    sigmoid: Op
    reads: tuple[tuple[ast.Name, Definition], ...]


def check_module(node: ast.Call, context: Context) -> Iterator[Finding]:
    """The calls of the `BCELoss` that `node` makes."""
    module = context.module
    if module.qualified(node.func) not in _LOSSES:
        return
    calls = calls_of(module, node)
    uses = [(call, _use(module, call)) for call in calls.nodes]
    for call, use in uses:
        found = crossing(module, call.args[0]) if use is None and call.args else None
        if found is not None and found.name == "sigmoid":
            message = (
                f"{found.function} applies the sigmoid on line {found.line} and BCELoss takes its logarithm here: "
                "where the sigmoid has rounded to 0 or 1 the gradient is exactly 0"
            )
            why = "the logits have to be handed over in place of the probability, which other callers may read"
            yield context.finding(call, message, why=why, severity=Severity.INFO)
    known = [use for _, use in uses if use is not None]
    if not known:
        return
    where = known[0].call
    if not calls.complete:
        yield context.finding(where, MESSAGE, why="the loss is used in ways that are not all in view")
    elif len(known) != len(uses):
        yield context.finding(where, MESSAGE, why="the same BCELoss is also called with something else than a sigmoid")
    else:
        yield _rewritten(node, known, context)


def _rewritten(maker: ast.Call, uses: list[_Use], context: Context) -> Finding:
    module, where = context.module, uses[0].call
    try:
        edits = _edits(module, maker, uses)
    except Unrewritable as error:
        return context.finding(where, MESSAGE, why=str(error))
    claim = Claim(Relation.EQUAL, _region(module, maker, uses[0]), hazard=("zero-gradient",), change=CHANGE)
    return context.finding(where, MESSAGE, fix=Fix(_TITLE, edits, Applicability.SAFE, claim))


def _use(module: Module, call: ast.Call) -> _Use | None:
    node = call.args[0] if call.args else None
    reads: list[tuple[ast.Name, Definition]] = []
    while isinstance(node, ast.Name) and len(reads) < 4:
        found = module.flow(node).definition(node)
        if found is None or found.value is None or not is_untouched(module, node, found):
            return None
        reads.append((node, found))
        node = found.value
    op = tensor_op(module, node, "sigmoid") if node is not None else None
    return _Use(call, call.args[0], op, tuple(reads)) if op is not None else None


def _region(module: Module, maker: ast.Call, use: _Use) -> Span | None:
    """The statements to run: where the loss is called, when it is made in another function."""
    if module.function(maker) is module.function(use.call):
        return None
    behind = [d.statement for _, d in use.reads if isinstance(d.statement, ast.stmt)]
    spans = [module.span(s) for s in (module.statement(use.call), *behind)]
    return Span(min(s.start for s in spans), max(s.end for s in spans))


def _edits(module: Module, maker: ast.Call, uses: list[_Use]) -> tuple[Edit, ...]:
    """The constructor, and every call's argument.

    Raises:
        Unrewritable: with the reason.
    """
    reference = module.names.reference("torch.nn.BCEWithLogitsLoss", maker)
    if reference is None:
        raise Unrewritable("the name that BCEWithLogitsLoss needs is bound to something else here")
    edits = [*reference.edits, Edit(module.span(maker.func), reference.text)]
    for use in uses:
        edits += _handed_over(module, use, {u.argument for u in uses})
    return tuple(dict.fromkeys(edits))


def _handed_over(module: Module, use: _Use, arguments: set[ast.expr]) -> Iterator[Edit]:
    logits, statement = use.sigmoid.input, module.statement(use.call)
    if not use.reads:
        yield from rewrite.replace(module, use.argument, "{x}", x=logits)
        return
    behind = [d.statement for _, d in use.reads if isinstance(d.statement, ast.stmt)]
    gone = [s for s in behind if _only_for(module, s, arguments)]
    if len(gone) == len(use.reads) == 1 and not is_cheap(logits):
        yield from rewrite.replace(module, use.sigmoid.call, "{x}", x=logits)  # the name holds the logits from now on
        return
    reason = movable(module, logits, statement, gone)
    if reason:
        raise Unrewritable(reason)
    if not is_cheap(logits) or not is_pure(module, logits):
        raise Unrewritable(f"`{module.source(logits)}` has no name, and its sigmoid is read elsewhere as well")
    yield from rewrite.replace(module, use.argument, "{x}", x=logits)
    if len(gone) == len(use.reads) == 1:
        with contextlib.suppress(Unrewritable):  # it may stay: nobody reads it
            yield rewrite.delete(module, gone[0])


def _only_for(module: Module, statement: ast.stmt, arguments: set[ast.expr]) -> bool:
    """Whether nobody but the losses reads what the statement assigns."""
    flow = module.flow(statement)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(target, ast.Name) or flow.scope is module.tree:
        return False
    readers = flow.readers(Definition(target.id, statement, None, "assign"))
    return readers is not None and all(reader in arguments for reader in readers)
