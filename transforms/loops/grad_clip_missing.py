"""An optimizer steps on gradients whose norm nothing bounds.

The defect
----------
Between `backward()` and the optimizer's `step()` nothing limits the size of the gradient, so the batch with the
largest gradient, not the learning rate, decides how far the weights move.

Why it hurts
------------
Gradients of recurrent nets, attention, flows, differential equations and policy losses have heavy tails: one batch
in thousands is orders of magnitude above the rest. Plain SGD moves by its full length; adaptive methods carry it in
their moments for many steps. Loss spikes and divergence after long healthy training are the usual sight.

Clipping the norm bounds large steps. It does **not** cure NaN: `clip_grad_norm_` on a gradient that holds one NaN or
inf makes every gradient NaN (`error_if_nonfinite=True` makes it raise instead). The cause of a non-finite gradient
has to be repaired where it arises; other rules do that.

Before
------

    for batch in loader:
        optimizer.zero_grad()
        scaler.scale(criterion(model(batch))).backward()
        scaler.step(optimizer)
        scaler.update()

After
-----

    for batch in loader:
        optimizer.zero_grad()
        scaler.scale(criterion(model(batch))).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        scaler.step(optimizer)
        scaler.update()

Try it
------

    import copy

    import torch

    model = torch.nn.Linear(3, 1)
    batch, target = torch.full((2, 3), 100.0), torch.full((2, 1), 1e4)
    moved = {}
    for clip in (False, True):
        trained = copy.deepcopy(model)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        torch.nn.functional.mse_loss(trained(batch), target).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(trained.parameters(), max_norm=1.0)
        optimizer.step()
        moved[clip] = (trained.weight - model.weight).norm()
    assert moved[False] > 10_000 and moved[True] <= 0.1001

When the fix is safe
--------------------
While the norm stays below the bound (`max_norm`, 1.0 unless configured), every step is what it was; above it, the
gradient keeps its direction and gets the bound's length. The clip is written immediately before the step, in the
step's own block, so that accumulated gradients are clipped once, when they are complete. With a `GradScaler` the
gradients are unscaled first, once. Accelerate, Fabric and Lightning's manual optimisation get their own calls.

The finding is a warning where something in view makes large gradients likely, and the message says what: a recurrent
net, attention, experts, a policy loss, a density that can be raised without limit (a flow, a width that is learnt),
float16 with a scaler, a check for losses that are not finite. It is information where the reason is weaker (SGD's
step is as long as the gradient, gradients through gradients, adversarial players, whose step sizes are part of a
recipe), and in Lightning's manual optimisation, where a callback may clip out of sight. The reason is read off the
model whose parameters the optimizer was built of, in whichever file of the project it is defined, and off what feeds
its loss; another model in the same class or file is none, nor is a frozen one that feeds it, where all of the stepped
model is in view. Where no reason is in view, the rule is silent.

Left alone
----------
Loops in which anything clips already, by whatever helper or hook, or handles `.grad` by hand; loops beside a setting
for clipping, since 0 or None mean that somebody decided against it; optimizers that bound their own steps, LBFGS and
every `step(closure)`; optimizers of an image, a latent, a temperature, a linear probe, or of a part of a module by
that module; shallow nets in view under an adaptive optimizer; experts that all see every token, and gates without
experts; policy losses on normalised advantages or clamped ratios; critics with a gradient penalty or spectral norm;
loops that see the same data every turn, or data that are made up; losses summed over a batch or the whole data set;
the terms of an evidence bound; players whose losses a model hands over; linear heads; code that is deprecated or
stands behind a `raise`; tools around training (learning rate finders, explainers); steps of a runtime with hooks or
of an optimizer that is another object's; actors and critics that take turns on losses without a policy gradient;
optimizers inside the backward pass; DeepSpeed, Lightning's automatic optimisation and the Trainer of transformers,
which clip by configuration; differentially private training; optimizers' own code; tests and benchmarks; and a single
step that nothing repeats.
A finding without a fix remains where a clip is commented out, where a setting of the file, of a file beside it or of
a `TrainingArguments` is not applied, and where the right call cannot be written here: sharded, tensor-parallel or
sparse parameters, and optimizers that synchronise or scale inside themselves.

Sources
-------
Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013). PyTorch documentation:
`torch.nn.utils.clip_grad_norm_`, and "Gradient clipping" among the automatic mixed precision examples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, own_nodes, parameter, same, stores_in
from autofix.transforms.loops._clipping import (
    alternates,
    commented_out,
    handled,
    inside_optimizer,
    is_test,
    needs_no_clipping,
    trains,
)
from autofix.transforms.loops._loops import (
    Backward,
    Function,
    Pair,
    backward_call,
    optimizer_step,
    pair,
    statements_between,
)
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
from autofix.transforms.loops._risks import ADVERSARIAL, Risk, risk
from autofix.transforms.loops._settings import setting_beside, setting_elsewhere, training_arguments
from autofix.transforms.loops._spared import is_handed_over, is_remote, is_small, needs_none, without_batches

_CLIP = "torch.nn.utils.clip_grad_norm_"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    step = optimizer_step(module, node)
    if step is None or is_test(module, node) or inside_optimizer(module, node):
        return
    found = pair(module, step)
    if found is None or not trains(module, found) or needs_no_clipping(module, step.optimizer):
        return
    if handled(module, found):
        return
    if needs_none(module, found):
        return
    reason = risk(module, found)
    strong = reason is not None and reason.strong
    if not strong and _is_unlikely(module, found, reason):
        return
    message = _message(module, found, reason)
    setting, switched_off = setting_elsewhere(module), commented_out(module, found)
    if reason is None and not setting and not switched_off:
        return
    if setting:
        why = f"the file has a setting {setting!r} that this step does not apply; use it here"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    if arguments := training_arguments(module, found):
        why = f"{arguments} is a TrainingArguments: clip by its max_grad_norm here, 1.0 by default, where it is above 0"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    if beside := setting_beside(module, node):
        why = f"{beside[1]} beside it clips by the setting {beside[0]!r}: read it and clip by it here as well"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    if switched_off:
        why = "a clip stands here commented out: restore it if leaving it out was not meant"
        yield context.finding(found.step.call, message, why=why, severity=Severity.INFO)
        return
    quiet = not strong or found.backward.kind == "lightning" or alternates(module, found)
    severity = Severity.INFO if quiet or is_remote(module, found) else None
    try:
        fix = _fix(found, context)
    except Unrewritable as obstacle:
        yield context.finding(found.step.call, message, why=str(obstacle), severity=severity)
        return
    yield context.finding(found.step.call, message, fix=fix, severity=severity)


def _is_unlikely(module: Module, found: Pair, reason: Risk | None) -> bool:
    """Whether, with no strong reason against it, this loop is one that goes well without a bound, or somebody else's
    to decide about. Players without an adversary follow recipes (DDPG, TD3, SAC) that do without."""
    if is_remote(module, found) or is_small(module, found) or without_batches(module, found):
        return True
    if reason is None and is_handed_over(module, found):
        return True
    return reason is not ADVERSARIAL and alternates(module, found)


def _message(module: Module, found: Pair, reason: Risk | None) -> str:
    optimizer = module.source(found.step.optimizer)
    start = f"nothing bounds the gradients that {optimizer} steps on"
    cure = "clipping their norm bounds such steps (it does not cure NaN)"
    if reason is None:
        return f"{start}; nothing in view says that they spike, but where the loss does, {cure}"
    return f"{start}, and {reason.because}: one outlier batch can throw the weights off; {cure}"


def _fix(found: Pair, context: Context) -> Fix:
    module, bound = context.module, repr(float(context.options.max_norm))
    statement = module.statement(found.step.call)
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.Return, ast.AnnAssign)):
        raise Unrewritable("the step is part of a larger statement; give it a line of its own")
    if any(isinstance(a, (ast.Lambda, ast.ListComp, ast.IfExp, ast.BoolOp)) for a in _within(module, found)):
        raise Unrewritable("the step is part of a larger expression; give it a line of its own")
    lines, imports = _lines(found, context, bound)
    region = None
    if found.call is found.step.call:
        region = Span(module.byte(module.chars(found.first)[0]), module.byte(module.chars(found.last)[1]))
    return Fix(
        title=_title(module, found, lines, bound),
        edits=(*imports, _insertion(module, statement, lines)),
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLIP,
            region=region,
            parameters={"max_norm": float(context.options.max_norm)},
            change=f"gradients whose norm exceeds {bound} are scaled down to that norm; all others stay as they are",
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


def _lines(found: Pair, context: Context, bound: str) -> tuple[tuple[str, ...], tuple[Edit, ...]]:
    """The statements to write above the step, and the import that they need."""
    module, step, kind = context.module, found.step, _kind(found.backward, context.module)
    optimizer = module.source(step.optimizer)
    if "\n" in optimizer or "\r" in optimizer:
        raise Unrewritable("the optimizer is spelled over several lines; give it a name")
    if _runs_its_own(found, module):
        raise Unrewritable("on another path the optimizer itself runs the backward pass and scales the gradients")
    if has_sparse_gradients(module, step.optimizer):
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
        return _accelerate(found, module, module.source(kind.owner), text, bound), ()
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
    return (*before, *laid_out(reference.text, text, f"max_norm={bound}", _layout(step.call, module))), reference.edits


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


def _accelerate(found: Pair, module: Module, owner: str, text: str, bound: str) -> tuple[str, ...]:
    layout = _layout(found.step.call, module)
    clip = laid_out(f"{owner}.clip_grad_norm_", text, f"max_norm={bound}", layout)
    for ancestor in module.ancestors(found.step.call):
        if isinstance(ancestor, ast.If) and "sync_gradients" in module.source(ancestor.test):
            return clip
    inner = Layout(layout.width + len(layout.unit), layout.unit)
    clip = laid_out(f"{owner}.clip_grad_norm_", text, f"max_norm={bound}", inner)
    return (f"if {owner}.sync_gradients:", *(f"{layout.unit}{line}" for line in clip))


def _insertion(module: Module, statement: ast.stmt, lines: tuple[str, ...]) -> Edit:
    """Above the statement; in front of it where it shares its line (`loss.backward(); optimizer.step()`)."""
    if module.indentation(statement) is not None:
        return rewrite.insert_before(module, statement, *lines)
    if any(line.startswith(("if ", " ", "\t", ")")) for line in lines):
        raise Unrewritable("the step shares its line with another statement; give it a line of its own")
    return module.insertion(module.chars(statement)[0], "".join(f"{line}; " for line in lines))


RULE = Rule(
    name="grad-clip-missing",
    summary="An optimizer steps on gradients whose norm nothing bounds.",
    severity=Severity.WARNING,
    triggers=((b".step(",), (b"backward(",)),
    anchor=re.compile(r"\.step\("),
    nodes=(ast.Call,),
    check=check,
)
