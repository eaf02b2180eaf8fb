"""Gradients are clipped where it bounds nothing: before the backward pass, after the step, or while they are scaled.

The defect
----------
The call that clips stands at the wrong place between `zero_grad()` and the next turn of the loop. After
`optimizer.step()` the weights have moved already, and `zero_grad()` throws the clipped gradients away. Before
`backward()` there is nothing to clip. And under a `GradScaler` the gradients are multiplied by the loss scale (65,536
at first) until `unscale_` or `step` divides by it, so the bound is compared with a norm that is that much too large.

Why it hurts
------------
In the first two places the configuration says that gradients are clipped, and none is: the first outlier batch moves
the weights by its full gradient. In the third every ordinary gradient is clipped, to the bound divided by the scale:
with a bound of 1 and the initial scale the optimizer sees norms of at most 1.5e-5. SGD stands still, and Adam works on
gradients near its `eps`.

Before
------

    for batch in loader:
        optimizer.zero_grad()
        criterion(model(batch)).backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

After
-----

    for batch in loader:
        optimizer.zero_grad()
        criterion(model(batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

Try it
------

    import torch

    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(weight.grad.norm().item()))
    for size, unscale in ((0.1, False), (0.1, True), (1000.0, True)):
        scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
        optimizer.zero_grad()
        scaler.scale((weight * size).sum()).backward()
        if unscale:
            scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([weight], 1.0)
        scaler.step(optimizer)
    assert seen[0] < 1.6e-5  # an ordinary gradient, clipped while it is scaled
    assert abs(seen[1] - 0.1732) < 1e-4 and abs(seen[2] - 1.0) < 1e-4

When the fix is safe
--------------------
The same clip, with its bound and its condition, stands immediately before the step, after the backward pass; or
`scaler.unscale_(optimizer)` stands before it. Against the loop without any clip, every step whose norm is below the
bound is then the same, and above the bound it is bounded. It is what the code says it does.

Left alone
----------
A clip with something between that may belong to it: another backward pass, gradients that are unscaled out of view, a
second step that follows. A bound that only measures (`inf`). Clips inside helpers of other files. Where the right place
cannot be written in one edit (the clip runs more often than the step, names it reads are assigned in between) the
finding says what to do.

Sources
-------
PyTorch documentation: "Gradient clipping" among the automatic mixed precision examples, and
`torch.nn.utils.clip_grad_norm_`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, own_nodes
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.loops._clips import Clip, claimed_bound, clip_call
from autofix.transforms.loops._loops import LOOPS, Backward, Step, backward_call, local_function, optimizer_step
from autofix.transforms.loops._moving import move_clip
from autofix.tree import walk

_CLIP = re.compile(r"clip_grad|clip_?norm|clip_gradients", re.I)
_UNSCALES = re.compile(r"unscale|scale_loss")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if not isinstance(node, ast.Call) or not _names_clip(node):
        return
    module = context.module
    clip = clip_call(module, node)
    if clip is None or is_test(module, node):
        return
    order = _Order(module, clip)
    for found in (_after_step(order, context), _before_backward(order, context), _scaled(order, context)):
        if found is not None:
            yield found
            return


def _names_clip(node: ast.Call) -> bool:
    function = node.func
    if isinstance(function, ast.Attribute):
        return "clip" in function.attr
    return isinstance(function, ast.Name) and "clip" in function.id


class _Order:
    """What happens in one iteration around a clip: the calls of its function, or of the innermost loop with a step, in
    source order."""

    def __init__(self, module: Module, clip: Clip) -> None:
        self.module = module
        self.clip = clip
        self.scope = self._scope()
        self.backwards: list[Backward] = []
        self.steps: list[Step] = []
        self.clips: list[ast.Call] = []
        for node in own_nodes(self.scope):
            if not isinstance(node, ast.Call):
                continue
            step, backward = optimizer_step(module, node), backward_call(module, node)
            if step is not None:
                self.steps.append(step)
            elif backward is not None:
                self.backwards.append(backward)
            elif _CLIP.search(last_name(node.func)):
                self.clips.append(node)

    def _scope(self) -> ast.AST:
        for ancestor in self.module.ancestors(self.clip.call):
            if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module, ast.Lambda, ast.ClassDef)):
                return ancestor
            steps = isinstance(ancestor, LOOPS) and any(optimizer_step(self.module, n) for n in own_nodes(ancestor))
            if steps:
                return ancestor
        return self.module.tree

    def between(self, low: ast.AST, high: ast.AST, calls: list[ast.Call]) -> bool:
        """Whether one of the calls lies after `low` ends and before `high` starts."""
        start, end = self.module.chars(low)[1], self.module.chars(high)[0]
        return any(start <= self.module.chars(c)[0] < end for c in calls)

    def before(self, calls: list[ast.Call]) -> list[ast.Call]:
        here = self.module.chars(self.clip.call)[0]
        return sorted((c for c in calls if self.module.chars(c)[0] < here), key=lambda c: self.module.chars(c)[0])

    def after(self, calls: list[ast.Call]) -> list[ast.Call]:
        before = self.before(calls)
        rest = [c for c in calls if c not in before and c is not self.clip.call]
        return sorted(rest, key=lambda c: self.module.chars(c)[0])

    def follows(self, statement: ast.stmt) -> bool:
        """Whether the clip runs after `statement` in the same turn: it stands further down in one of its blocks."""
        module = self.module
        mine = {id(s) for s in _around(module, self.clip.call)}
        for outer in _around(module, statement):
            block = module.block(outer)
            if id(outer) not in mine and any(id(s) in mine for s in block):
                return True
        return False


def _around(module: Module, node: ast.AST) -> list[ast.stmt]:
    """The statements around a node, from the inside, up to its function."""
    own = module.statement(node)
    out = [own]
    for ancestor in module.ancestors(own):
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            break
        if isinstance(ancestor, ast.stmt):
            out.append(ancestor)
    return out


def _calls(found: list[Step] | list[Backward]) -> list[ast.Call]:
    return [f.call for f in found]


# -- after the step --------------------------------------------------------------------------------------------


def _after_step(order: _Order, context: Context) -> Finding | None:
    """backward, step, clip, and nothing else."""
    module, clip = order.module, order.clip
    steps, backwards = _calls(order.steps), _calls(order.backwards)
    earlier = order.before(steps)
    if not earlier or order.after(steps) or order.after(backwards) or not order.before(backwards):
        return None
    step = next(s for s in order.steps if s.call is earlier[-1])
    last = order.before(backwards)[-1]
    if order.between(step.call, clip.call, backwards) or len(order.clips) > 1 or len(steps) > 1:
        return None
    if module.chars(last)[0] > module.chars(step.call)[0] or not order.follows(module.statement(step.call)):
        return None
    if _in_inner_loop(module, clip.call, order.scope):
        return None
    bounds = "which bounds nothing"
    if _reads_gradients(order):
        bounds = "so the step is unbounded, and only what reads them later sees the bound"
    message = (
        f"the gradients are clipped after {module.source(step.optimizer)} has stepped on them, {bounds}: "
        "clip between the backward pass and the step"
    )
    unscale = step.scaler is not None and not _unscaled_between(order, last, step.call)
    return _moved(order, context, step, message, unscale)


def _reads_gradients(order: _Order) -> bool:
    """Whether gradients are read after the clip, here or in a function of this file that is called from here."""
    module, end = order.module, order.module.chars(order.clip.call)[1]
    later = [n for n in own_nodes(order.scope) if isinstance(n, ast.expr) and module.chars(n)[0] >= end]
    called = [f for n in later if isinstance(n, ast.Call) and (f := local_function(module, n)) is not None]
    nodes = [*later, *(n for f in called for n in own_nodes(f))]
    return any(isinstance(n, ast.Attribute) and n.attr == "grad" and isinstance(n.ctx, ast.Load) for n in nodes)


def _in_inner_loop(module: Module, node: ast.AST, scope: ast.AST) -> bool:
    for ancestor in module.ancestors(node):
        if ancestor is scope:
            return False
        if isinstance(ancestor, LOOPS):
            return True
    return False


def _unscaled_between(order: _Order, low: ast.AST, high: ast.AST) -> bool:
    calls = [n for n in own_nodes(order.scope) if isinstance(n, ast.Call) and last_name(n.func) == "unscale_"]
    return order.between(low, high, calls)


# -- before the backward pass ----------------------------------------------------------------------------------


def _before_backward(order: _Order, context: Context) -> Finding | None:
    """clip, backward, step, and no gradient from anywhere else that the clip might be for."""
    module, clip = order.module, order.clip
    steps, backwards = _calls(order.steps), _calls(order.backwards)
    if len(steps) != 1 or len(backwards) != 1 or len(order.clips) > 1 or order.before(steps) or order.before(backwards):
        return None
    step = order.steps[0]
    if module.chars(backwards[0])[0] > module.chars(step.call)[0] or _in_inner_loop(module, clip.call, order.scope):
        return None
    if _in_inner_loop(module, backwards[0], order.scope) or _fills_gradients(order):
        return None
    if not _stands_before(order, module.statement(step.call)):
        return None
    message = (
        "the gradients are clipped before the backward pass fills them, which bounds nothing: "
        "clip between the backward pass and the step"
    )
    unscale = step.scaler is not None and not _unscaled_between(order, backwards[0], step.call)
    return _moved(order, context, step, message, unscale)


def _stands_before(order: _Order, statement: ast.stmt) -> bool:
    """Whether the clip's unit is a statement of a block in which the step (or what holds it) follows."""
    block = order.module.block(order.clip.statement)
    around = {id(s) for s in _around(order.module, statement)}
    return any(id(s) in around for s in block) and id(order.clip.statement) not in around


def _fills_gradients(order: _Order) -> bool:
    """Whether anything else than the backward pass may fill gradients before the clip."""
    start = order.module.chars(order.clip.call)[0]
    for node in own_nodes(order.scope):
        if not isinstance(node, (ast.Attribute, ast.Call)) or order.module.chars(node)[0] >= start:
            continue
        if isinstance(node, ast.Attribute) and node.attr in ("grad", "autograd"):
            return True
        name = last_name(node.func) if isinstance(node, ast.Call) else ""
        if re.search(r"backward|grad(?!_norm|_enabled)", name) and name not in ("zero_grad", "no_grad"):
            return True
    return False


# -- while they are scaled -------------------------------------------------------------------------------------


def _scaled(order: _Order, context: Context) -> Finding | None:
    """scale(loss).backward, clip, scaler.step, and `unscale_` nowhere."""
    module, clip = order.module, order.clip
    backwards = [b for b in order.backwards if b.call in order.before(_calls(order.backwards))]
    following = [s for s in order.steps if s.call in order.after(_calls(order.steps))]
    if not backwards or not following or any(b.kind != "scaled" for b in order.backwards):
        return None
    if any(s.scaler is None for s in order.steps) or _unscales(order):
        return None
    nearest = min(following, key=lambda s: module.chars(s.call)[0])
    later = [b.call for b in order.backwards if b not in backwards]
    if order.between(clip.call, nearest.call, later) or order.between(
        backwards[-1].call, clip.call, _calls(order.steps)
    ):
        return None
    scaler = nearest.scaler
    assert scaler is not None
    message = (
        f"the gradients are still multiplied by the loss scale here, so the bound acts on a norm that is too large by "
        f"it: {module.source(scaler)}.unscale_ comes first"
    )
    steps = [s for s in following if not order.between(clip.call, s.call, later)]
    if len(order.steps) > len(steps) or len(order.clips) > 1:
        return context.finding(clip.call, message, why="several optimizers or clips share the scaler: unscale each one")
    if not _as_often(order, nearest.call):
        why = (
            "the clip runs more often than the step, and unscale_ must run once a step: move both into the step's block"
        )
        return context.finding(clip.call, message, why=why)
    lines = [f"{module.source(s.scaler)}.unscale_({module.source(s.optimizer)})" for s in steps if s.scaler is not None]
    try:
        edit = rewrite.insert_before(module, module.statement(clip.call), *lines)
    except Unrewritable as reason:
        return context.finding(clip.call, message, why=str(reason))
    return context.finding(clip.call, message, fix=_fix(clip, "unscale the gradients before they are clipped", (edit,)))


def _unscales(order: _Order) -> bool:
    """Whether anything in view unscales gradients by itself: a helper, another method, arithmetic with the scale."""
    module = order.module
    scope = module.class_of(order.clip.call) or module.function_scope(order.clip.call)
    for node in walk(scope):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name and (_UNSCALES.search(name) or name in ("get_scale", "_scale")):
            return True
    return False


def _as_often(order: _Order, step: ast.Call) -> bool:
    """Whether the clip runs whenever the step does and no more often, conditions on clipping itself apart."""
    module = order.module
    unit = order.clip.statement
    block = module.block(unit)
    return any(s is outer for outer in [module.statement(step)] for s in block)


# -- fixes -----------------------------------------------------------------------------------------------------


def _moved(order: _Order, context: Context, step: Step, message: str, unscale: bool) -> Finding:
    clip = order.clip
    try:
        edits = _move(order, step, unscale)
    except Unrewritable as reason:
        return context.finding(clip.call, message, why=str(reason))
    what = "move the clip between the backward pass and the step"
    return context.finding(clip.call, message, fix=_fix(clip, what, edits))


def _fix(clip: Clip, title: str, edits: tuple[Edit, ...]) -> Fix:
    bound = ast.unparse(clip.bound)
    return Fix(
        title=title,
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.CLIP,
            parameters=claimed_bound(clip),
            change=f"gradients beyond {bound} are clipped, as the code says; all others stay as they are",
            extra=("moved",),
        ),
    )


def _move(order: _Order, step: Step, unscale: bool) -> tuple[Edit, ...]:
    module, target = order.module, order.module.statement(step.call)
    if any(isinstance(a, (ast.Lambda, ast.IfExp, ast.BoolOp)) for a in module.ancestors(step.call) if a is not target):
        raise Unrewritable("the step is part of a larger expression")
    first = f"{module.source(step.scaler)}.unscale_({module.source(step.optimizer)})" if step.scaler is not None else ""
    return move_clip(module, order.clip.statement, target, order.scope, first if unscale else "")


RULE = Rule(
    name="grad-clip-misplaced",
    summary="Gradients are clipped before the backward pass, after the step, or while they are scaled.",
    severity=Severity.WARNING,
    triggers=((b"clip_grad_norm", b"clip_grad_value"), (b".step(",), (b"backward(",)),
    anchor=re.compile(r"clip_grad_"),
    nodes=(ast.Call,),
    check=check,
)
