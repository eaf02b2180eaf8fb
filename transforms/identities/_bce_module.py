"""`nn.BCELoss` on the output of a sigmoid."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.calls import maker_of
from autofix.flow import Definition
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import Op, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context
from autofix.sameness import is_cheap, is_pure, is_untouched, movable
from autofix.syntax import Module
from autofix.transforms.identities._boundary import crossing

MESSAGE = (
    "the loss saturates at 100 and its gradient is exactly 0 once the sigmoid has rounded to 0 or 1: logits beyond 17 "
    "on the wrong side teach nothing"
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
    """A call of a `BCELoss` of this function or class."""
    module = context.module
    if not isinstance(node.func, (ast.Attribute, ast.Name)) or not node.args:
        return
    maker = maker_of(module, node.func)
    if not isinstance(maker, ast.Call) or module.qualified(maker.func) not in _LOSSES:
        return
    use = _use(module, node)
    if use is None:
        found = crossing(module, node.args[0])
        if found is not None and found.name == "sigmoid":
            message = (
                f"{found.function} applies the sigmoid on line {found.line} and BCELoss takes its logarithm here: where "
                "the sigmoid has rounded to 0 or 1 the gradient is exactly 0"
            )
            why = "the logits have to be handed over in place of the probability, which other callers may read"
            yield context.finding(node, message, why=why, severity=Severity.INFO)
        return
    calls = _calls(module, node.func, maker)
    if calls is None:
        yield context.finding(node, MESSAGE, why="the loss is used in ways that are not all in view")
        return
    if min(calls, key=lambda c: module.chars(c)[0]) is not node:
        return  # one cause, one finding
    uses = [_use(module, call) for call in calls]
    if any(u is None for u in uses):
        yield context.finding(node, MESSAGE, why="the same BCELoss is also called with something else than a sigmoid")
        return
    try:
        edits = _edits(module, maker, [u for u in uses if u is not None])
    except Unrewritable as error:
        yield context.finding(node, MESSAGE, why=str(error))
        return
    claim = Claim(Relation.EQUAL, region=_region(module, maker, use), hazard=("zero-gradient",))
    yield context.finding(node, MESSAGE, fix=Fix(_TITLE, edits, Applicability.SAFE, claim))


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


def _calls(module: Module, func: ast.expr, maker: ast.Call) -> list[ast.Call] | None:
    """Every call of the loss; None when it is read in another way, or may be read from elsewhere."""
    if isinstance(func, ast.Name):
        found = module.flow(func).definition(func)
        readers: list[ast.expr] | None = None
        if found is not None and found.value is maker and module.flow(func).scope is not module.tree:
            readers = list(module.flow(func).readers(found) or ())
        elif found is not None and found.value is maker:
            readers = [n for n in ast.walk(module.tree) if isinstance(n, ast.Name) and n.id == func.id and _is_read(n)]
    else:
        assert isinstance(func, ast.Attribute)
        readers = [
            n for n in ast.walk(module.tree) if isinstance(n, ast.Attribute) and n.attr == func.attr and _is_read(n)
        ]
        owners = {module.class_of(n) for n in readers}
        if owners != {module.class_of(func)}:
            return None
    if readers is None:
        return None
    out: list[ast.Call] = []
    for reader in readers:
        parent = module.parent(reader)
        if not isinstance(parent, ast.Call) or parent.func is not reader:
            return None
        out.append(parent)
    return out


def _region(module: Module, maker: ast.Call, use: _Use) -> Span | None:
    """The statements to run: where the loss is called, when it is made in another function."""
    if module.function(maker) is module.function(use.call):
        return None
    behind = [d.statement for _, d in use.reads if isinstance(d.statement, ast.stmt)]
    spans = [module.span(s) for s in (module.statement(use.call), *behind)]
    return Span(min(s.start for s in spans), max(s.end for s in spans))


def _is_read(node: ast.expr) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


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
