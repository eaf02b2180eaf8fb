"""The clip that is written before a step, in the spelling that its backward pass asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Span
from autofix.rewrite import Unrewritable
from autofix.rule import Context
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, own_nodes, parameter, same, stores_in
from autofix.transforms.loops._loops import Backward, Function, Pair, backward_call, statements_between
from autofix.transforms.loops._moving import insert_above
from autofix.transforms.loops._parameters import (
    Layout,
    Unclear,
    from_groups,
    has_sparse_gradients,
    is_sharded,
    laid_out,
    parameters_of,
    unsupported_sharding,
    wrapped_module,
)
from autofix.transforms.loops._stepped import stepped

_CLIP = "torch.nn.utils.clip_grad_norm_"


@dataclass(frozen=True, slots=True)
class Bound:
    """text: the bound as an expression; where: the condition under which it is one, empty when it always is."""

    text: str
    where: str = ""


def bound_of(context: Context, arguments: ast.expr | None) -> Bound:
    """The number of the configuration, or the field of a `TrainingArguments`, whose 0 means that nothing is clipped."""
    if arguments is None:
        return Bound(repr(float(context.options.max_norm)))
    setting = f"{context.module.source(arguments)}.max_grad_norm"
    return Bound(setting, f"{setting} > 0")


def clipping_fix(found: Pair, context: Context, bound: Bound) -> Fix:
    """The clip immediately before a step.

    Raises:
        Unrewritable: it cannot be written there, and why.
    """
    module = context.module
    statement = module.statement(found.step.call)
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.Return, ast.AnnAssign)):
        raise Unrewritable("the step is part of a larger statement; give it a line of its own")
    if any(isinstance(a, (ast.Lambda, ast.ListComp, ast.IfExp, ast.BoolOp)) for a in _within(module, found)):
        raise Unrewritable("the step is part of a larger expression; give it a line of its own")
    lines, imports = _lines(found, context, bound)
    exempt = f"; where {bound.where} does not hold, none is" if bound.where else ""
    region = None
    if found.call is found.step.call:
        region = Span(module.byte(module.chars(found.first)[0]), module.byte(module.chars(found.last)[1]))
    return Fix(
        title=_title(module, found, lines, bound.text),
        edits=(*imports, _insertion(module, statement, lines)),
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLIP,
            region=region,
            parameters={"max_norm": 1.0 if bound.where else float(context.options.max_norm)},
            change=f"gradients whose norm exceeds {bound.text} are scaled down to that norm; "
            f"all others stay as they are{exempt}",
        ),
    )


def _title(module: Module, found: Pair, lines: tuple[str, ...], bound: str) -> str:
    unscales = any(".unscale_(" in line for line in lines)
    what = "unscale the gradients and clip their norm" if unscales else "clip the gradient norm"
    return f"{what} to {bound} immediately before {' '.join(module.source(found.step.call).split())}"


def _within(module: Module, found: Pair) -> Iterator[ast.AST]:
    """What lies between the step and its statement."""
    for ancestor in module.ancestors(found.step.call):
        if isinstance(ancestor, ast.stmt):
            return
        yield ancestor


def _lines(found: Pair, context: Context, bound: Bound) -> tuple[tuple[str, ...], tuple[Edit, ...]]:
    """The statements to write above the step, and the import that they need."""
    module = context.module
    conditions = [bound.where] if bound.where else []
    if (waits := _synchronises(found, module)) and not _is_inside(module, found.step.call, "sync_gradients"):
        conditions.insert(0, waits)
    layout = _layout(found.step.call, module)
    if not conditions:
        return _clip(found, context, bound.text, layout)
    inner = Layout(layout.width + len(layout.unit), layout.unit)
    lines, imports = _clip(found, context, bound.text, inner)
    return (f"if {' and '.join(conditions)}:", *(f"{layout.unit}{line}" for line in lines)), imports


def _synchronises(found: Pair, module: Module) -> str:
    """`accelerator.sync_gradients`, which is false on all micro-batches but the last, where Accelerate runs the
    backward pass."""
    kind = _kind(found.backward, module)
    return f"{module.source(kind.owner)}.sync_gradients" if kind.kind == "accelerate" and kind.owner else ""


def _is_inside(module: Module, node: ast.AST, condition: str) -> bool:
    return any(isinstance(a, ast.If) and condition in module.source(a.test) for a in module.ancestors(node))


def _clip(found: Pair, context: Context, bound: str, layout: Layout) -> tuple[tuple[str, ...], tuple[Edit, ...]]:
    """The call that clips, in whichever spelling the backward pass asks for, and the import that it needs."""
    module, step, kind = context.module, found.step, _kind(found.backward, context.module)
    optimizer = module.source(step.optimizer)
    if "\n" in optimizer or "\r" in optimizer:
        raise Unrewritable("the optimizer is spelled over several lines; give it a name")
    if _runs_its_own(found, module):
        raise Unrewritable("on another path the optimizer itself runs the backward pass and scales the gradients")
    if has_sparse_gradients(module, step.optimizer, stepped(module, found).nodes):
        raise Unrewritable("clip_grad_norm_ does not accept the sparse gradients of an embedding")
    if kind.kind == "lightning":
        return (f'self.clip_gradients({optimizer}, gradient_clip_val={bound}, gradient_clip_algorithm="norm")',), ()
    parameters = parameters_of(module, step.optimizer, step.call)
    if kind.kind == "fabric" and kind.owner is not None:
        wrapped = wrapped_module(module, parameters, step.call)
        if wrapped is None:
            raise Unrewritable("fabric.clip_gradients needs the module, and which one the optimizer steps is unclear")
        return (f"{module.source(kind.owner)}.clip_gradients({wrapped}, {optimizer}, max_norm={bound})",), ()
    if isinstance(parameters, Unclear):
        raise Unrewritable(parameters.reason)
    text = parameters.text
    if kind.kind == "accelerate" and kind.owner is not None:
        prepared = (
            wrapped_module(module, parameters, step.call) if text == from_groups(module, step.optimizer) else None
        )
        if prepared:
            text = f"{prepared}.parameters()"
        return laid_out(f"{module.source(kind.owner)}.clip_grad_norm_", text, f"max_norm={bound}", layout), ()
    if parameters.owner is not None and is_sharded(module, parameters.owner):
        return (f"{module.source(parameters.owner)}.clip_grad_norm_(max_norm={bound})",), ()
    obstacle = unsupported_sharding(module)
    if obstacle:
        raise Unrewritable(obstacle)
    reference = module.names.reference(_CLIP, step.call)
    if reference is None:
        raise Unrewritable("the name torch means something else here")
    if _scales_with_apex(found):
        text = from_groups(module, step.optimizer)
    before = _unscaling(found, kind, module)
    return (*before, *laid_out(reference.text, text, f"max_norm={bound}", layout)), reference.edits


def _kind(backward: Backward, module: Module) -> Backward:
    """The backward pass itself, looked up inside a helper of this file."""
    if backward.helper is None:
        return backward
    inner = [b for n in own_nodes(backward.helper) if n is not backward.helper and (b := backward_call(module, n))]
    kinds = {b.kind for b in inner}
    if len(kinds) != 1:
        raise Unrewritable(f"{backward.helper.name} runs backward passes of different kinds")
    owner = inner[0].owner
    if isinstance(owner, ast.Name) and _is_local(owner, backward.helper, module):
        raise Unrewritable(f"{owner.id} is known inside {backward.helper.name} only; clip there, or pass it here")
    return inner[0]


def _is_local(name: ast.Name, function: Function, module: Module) -> bool:
    return parameter(function, name.id) is not None or bool(stores_in(module, function, name.id))


def _layout(call: ast.Call, module: Module) -> Layout:
    """How deep the step is indented, and what the file adds per level."""
    statement = module.statement(call)
    own = module.indentation(statement) or ""
    above = module.parent(statement)
    outer = (module.indentation(above) or "") if isinstance(above, ast.stmt) else own
    unit = own[len(outer) :] if own.startswith(outer) else ""
    return Layout(len(own.expandtabs(4)), unit or "    ")


def _scales_with_apex(found: Pair) -> bool:
    """Whether `with amp.scale_loss(...)` runs a backward pass here: the optimizer may then step master weights."""
    return any(
        isinstance(i.context_expr, ast.Call) and last_name(i.context_expr.func) == "scale_loss"
        for n in own_nodes(found.first)
        if isinstance(n, ast.With)
        for i in n.items
    )


def _runs_its_own(found: Pair, module: Module) -> bool:
    """Whether, on another path, an engine or a half-precision optimizer runs the backward pass itself."""
    return any(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr == "backward"
        and backward_call(module, n) is None
        for n in own_nodes(found.first)
    )


def _unscaling(found: Pair, kind: Backward, module: Module) -> tuple[str, ...]:
    """`scaler.unscale_(optimizer)`, unless it has been called or nothing is scaled."""
    step = found.step
    unscaled = [
        n
        for n in statements_between(module, found)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "unscale_"
    ]
    mine = [n for n in unscaled if n.args and same(n.args[0], step.optimizer)]
    if step.scaler is None:
        if kind.kind == "scaled" and not mine:
            raise Unrewritable("the gradients are scaled, but no scaler makes the step: clip after unscaling them")
        return ()
    if not mine:
        return (f"{module.source(step.scaler)}.unscale_({module.source(step.optimizer)})",)
    around = {id(module.block(s)) for s in _statements_around(module, step.call)}
    if any(id(module.block(module.statement(n))) in around for n in mine):
        return ()
    raise Unrewritable("the gradients are unscaled only on some path; unscale them on every path, then clip")


def _statements_around(module: Module, node: ast.AST) -> Iterator[ast.stmt]:
    yield module.statement(node)
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            yield ancestor


def _insertion(module: Module, statement: ast.stmt, lines: tuple[str, ...]) -> Edit:
    """Above the statement; in front of it where it shares its line (`loss.backward(); optimizer.step()`)."""
    if module.indentation(statement) is not None:
        return insert_above(module, statement, *lines)
    if any(line.startswith(("if ", " ", "\t", ")")) for line in lines):
        raise Unrewritable("the step shares its line with another statement; give it a line of its own")
    return module.insertion(module.chars(statement)[0], "".join(f"{line}; " for line in lines))
