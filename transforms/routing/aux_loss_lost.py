"""An auxiliary loss of the router is computed and takes no part in training, or takes part twice.

The defect
----------
An autograd function that carries a loss backward (`MoEAuxLossAutoScaler.apply(weights, aux_loss)` and its kin) returns
its first argument with the loss attached to its graph. Called for its effect, with the result thrown away, it has none.
A loss that is bound to a name and never read, or only logged, is lost as well; and where the model's own loss already
holds the auxiliary one, adding it again doubles its weight.

Why it hurts
------------
Nothing balances the experts: a few of them get all tokens, the others stop learning, and the logged loss looks as if it
were being minimised. Counted twice, balance is bought with the main loss.

Before
------

    weights = scores.gather(-1, indices)
    if self.training:
        aux_loss = self.balance(scores, indices)
        AuxLossScaler.apply(weights, aux_loss)
    return weights, indices

After
-----

    weights = scores.gather(-1, indices)
    if self.training:
        aux_loss = self.balance(scores, indices)
        weights = AuxLossScaler.apply(weights, aux_loss)
    return weights, indices

Try it
------

    import torch

    class AuxLossScaler(torch.autograd.Function):
        @staticmethod
        def forward(ctx, output, aux_loss):
            return output.view_as(output)

        @staticmethod
        def backward(ctx, grad):
            return grad, torch.ones(())

    balance, weights = torch.tensor(2.0, requires_grad=True), torch.ones(3, requires_grad=True)
    AuxLossScaler.apply(weights, balance.square())  # thrown away
    weights.sum().backward()
    assert balance.grad is None
    weights = AuxLossScaler.apply(weights, balance.square())
    weights.sum().backward()
    assert balance.grad == 4.0

When the fix is safe
--------------------
The value that comes back is the one that was given, so the forward pass stays as it is. The gradient that arrives is
the auxiliary loss's, which the code was written for; its weight has never been felt before: look at its coefficient.
Losses that are never added, or added twice, are reported without a fix: where and with what coefficient is the
author's.

Left alone
----------
Calls whose result is used; functions named otherwise (some autograd functions are called for an effect); losses that
are returned, stored or handed on, or unpacked and ignored away from a training loop (a router may have attached them to
its weights already), or unpacked beside two other losses, of which the loop takes what it is about; code without
gradients, tests.

Sources
-------
Shazeer et al.: Outrageously large neural networks (2017); Fedus et al.: Switch transformers (2021), for the loss;
Megatron-LM, `MoEAuxLossAutoScaler`, for the function that attaches it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.calls import autograd_function, callee, returned
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.routing._routing import functions_around, identifiers
from autofix.transforms.routing._selected import reads_of
from autofix.transforms.routing._spelling import is_simple
from autofix.tree import walk

_SCALER = re.compile(r"aux(iliary)?_?loss|balanc\w*_?loss|loss_?(auto_?)?scaler|add_?(aux\w*_?)?loss|z_?loss", re.I)
_AUXILIARY = re.compile(
    r"^_?(total_|moe_|router_)?(aux(iliary)?|(load_)?balanc(e|ing)|router|gate|gating|moe|(router_)?z)_loss(es)?$|^l_aux$"
    r"|^_?load_balancing_aux_loss$",
    re.I,
)
_QUIET = ("item", "detach", "tolist", "float", "cpu")
_LOGGING = re.compile(r"^(log|print|info|debug|add_scalar|log_dict|log_metrics|write|record|format|update)$")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call):
            yield from _discarded(node, node.value, context)
    elif isinstance(node, ast.Assign):
        yield from _never_read(node, context)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        yield from _twice(node, context)


# -- a result that is thrown away ------------------------------------------------------------------------------


def _discarded(statement: ast.Expr, call: ast.Call, context: Context) -> Iterator[Finding]:
    module = context.module
    carried = _carried(module, call)
    if carried is None or out_of_training(module, call):
        return
    name = module.source(call.func)
    target = module.source(carried)
    loss = f"the loss that `{name}` attaches to {target} is lost, for its result is thrown away"
    if not is_simple(carried) or isinstance(carried, (ast.Constant, ast.UnaryOp, ast.Call)):
        yield context.finding(call, loss, why="what it returns must take the place of what it was given, from here on")
        return
    if not _read_later(module, statement, carried):
        why = f"{target} is not read after this line: call it before the last use of {target}, and use its result there"
        yield context.finding(call, loss, why=why)
        return
    start, end = module.chars(call.func)  # replaced together with the name, so that the trial runs both statements
    imported = _imported(module, call)
    carrier = imported or module.source(call.func)
    fix = Fix(
        title=f"assign the result to {target}, so that the loss's gradient travels with it",
        edits=(Edit(module.char_span(start, end), f"{target} = {module.text[start:end]}"),),
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.STRAIGHT_THROUGH,
            results=(target,) if isinstance(carried, ast.Name) else (),
            hazard=("zero-gradient",),
            parameters={"carrier": carrier} if carrier else {},
            assumptions=(f"`{carrier}.apply(x, loss)` returns x and gives the loss a gradient of 1",)
            if carrier
            else (),
        ),
    )
    yield context.finding(call, loss, fix=fix)


def _carried(module: Module, call: ast.Call) -> ast.expr | None:
    """What an auxiliary loss is attached to, when the call does nothing but that."""
    if not isinstance(call.func, ast.Attribute) or len(call.args) + len(call.keywords) < 2 or not call.args:
        return _by_helper(module, call)
    if call.func.attr != "apply":
        return _by_helper(module, call)
    owner = call.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    if not name[:1].isupper() or not _SCALER.search(name):
        return None
    return None if isinstance(call.args[0], ast.Starred) else call.args[0]


def _imported(module: Module, call: ast.Call) -> str:
    """The class that attaches the loss, where it stands in another file."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == "apply" else None
    if not isinstance(owner, ast.Name) or autograd_function(module, owner) is not None:
        return ""
    return owner.id if module.names.lookup(owner.id, owner) is not None else ""


def _by_helper(module: Module, call: ast.Call) -> ast.expr | None:
    """The same for a function of this file that returns what such a call makes of its first argument."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if not call.args or not re.search(r"loss", name, re.I) or isinstance(call.args[0], ast.Starred):
        return None
    function = callee(module, call)
    values = returned(module, call) if function is not None else []
    if function is None or not values:
        return None
    parameters = [a.arg for a in function.args.args if a.arg not in ("self", "cls")]
    for value in values:
        made = module.flow(value).value(value) if isinstance(value, ast.Name) else value
        inner = _carried(module, made) if isinstance(made, ast.Call) and made is not call else None
        if isinstance(inner, ast.Name) and parameters and inner.id == parameters[0]:
            return call.args[0]
    return None


def _read_later(module: Module, statement: ast.stmt, carried: ast.expr) -> bool:
    if isinstance(carried, ast.Attribute):
        return True
    names = {n.id for n in walk(carried) if isinstance(n, ast.Name)}
    end = statement.end_lineno or statement.lineno
    loads = module.flow(statement).loads
    return any(load.lineno > end for name in names for load in loads.get(name, []))


# -- a loss that nobody reads ----------------------------------------------------------------------------------


def _never_read(statement: ast.Assign, context: Context) -> Iterator[Finding]:
    module = context.module
    if len(statement.targets) != 1 or not isinstance(statement.value, (ast.Call, ast.BinOp)):
        return
    target = statement.targets[0]
    elements = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
    named = [e for e in elements if isinstance(e, ast.Name) and _AUXILIARY.match(e.id)]
    functions = functions_around(module, statement)
    if not named or not functions or out_of_training(module, statement.value) or _is_callable(statement.value):
        return
    for name in named:
        if name.id in _declared_elsewhere(functions[0]) or "locals" in identifiers(functions[0]):
            continue
        others = [e.id for e in elements if isinstance(e, ast.Name) and e is not name and "loss" in e.id.lower()]
        if len(others) > 1:
            continue  # a model hands out its losses one by one, and the loop takes the ones that it is about
        loads = module.flow(statement).loads.get(name.id, [])
        if not loads and (name is target or _goes_backward(functions[0])):
            message = f"{name.id} is computed and never added to a loss, so it trains nothing"
            yield context.finding(name, message, why="its coefficient, and the loss it belongs to, are yours to choose")
            continue
        mine = reads_of(module, statement, name.id)
        if not others and mine and _goes_backward(functions[0]) and all(_is_quiet(module, r) for r in mine):
            message = f"{name.id} is logged and never added to the loss that backward() is called on"
            yield context.finding(name, message, why="add it with its coefficient before backward()")


def _is_callable(value: ast.expr) -> bool:
    """`aux_loss = nn.CrossEntropyLoss()` or a partial: what computes a loss, and none itself."""
    if not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    return name[:1].isupper() or name in ("partial", "getattr", "get", "pop", "bool", "int", "float")


def _declared_elsewhere(function: ast.AST) -> set[str]:
    return {n for part in walk(function) if isinstance(part, (ast.Global, ast.Nonlocal)) for n in part.names}


def _goes_backward(function: ast.AST) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "backward" for n in walk(function))


def _is_quiet(module: Module, read: ast.expr) -> bool:
    """Whether a read only shows the number."""
    node: ast.AST = read
    for ancestor in module.ancestors(read):
        if isinstance(ancestor, ast.Attribute) and ancestor.attr in _QUIET:
            return True
        if isinstance(ancestor, ast.FormattedValue):
            return True
        if isinstance(ancestor, ast.Call) and ancestor.func is not node:
            name = ancestor.func.attr if isinstance(ancestor.func, ast.Attribute) else getattr(ancestor.func, "id", "")
            return bool(_LOGGING.match(name))
        if isinstance(ancestor, ast.stmt):
            return False
        node = ancestor
    return False


# -- a loss that is added twice --------------------------------------------------------------------------------


def _twice(node: ast.BinOp | ast.AugAssign, context: Context) -> Iterator[Finding]:
    """`outputs.loss + c * outputs.aux_loss`: the loss of a model that was given labels already holds the other."""
    if not isinstance(node.op, ast.Add):
        return
    module = context.module
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
    for main, other in (sides, sides[::-1]):
        holder = _loss_of(module, main)
        if holder is None:
            continue
        added = [p for p in walk(other) if isinstance(p, ast.Attribute) and p.attr == "aux_loss"]
        if any(ast.unparse(p.value) == ast.unparse(holder) for p in added) and _asked_with_labels(module, holder):
            text = module.source(holder)
            message = f"{text}.loss already holds {text}.aux_loss with its coefficient, so here it counts twice"
            why = f"drop the sum, or take the loss without it: given labels, {text}.loss is the library's own total"
            yield context.finding(node, message, why=why)
            return


def _loss_of(module: Module, node: ast.expr) -> ast.expr | None:
    """`outputs` for `outputs.loss`, also through a name."""
    value = node
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            value = module.flow(node).value(node)
        else:
            found = module.flow(node).definition_before(node.id, module.statement(node))
            value = found.value if found is not None and found.value is not None else node
    return value.value if isinstance(value, ast.Attribute) and value.attr == "loss" else None


def _asked_with_labels(module: Module, holder: ast.expr) -> bool:
    """Whether the outputs come from a call that was given labels and asked for the router's logits."""
    value = module.flow(holder).value(holder) if isinstance(holder, ast.Name) else holder
    if not isinstance(value, ast.Call):
        return False
    given = {k.arg for k in value.keywords}
    return "labels" in given and ("output_router_logits" in given or None in given)


RULE = Rule(
    name="aux-loss-lost",
    summary="An auxiliary loss of the router is computed and takes no part in training, or takes part twice.",
    severity=Severity.WARNING,
    triggers=((b"_loss", b"l_aux", b".apply("),
              (b"aux", b"Aux", b"balanc", b"Balanc", b"z_loss", b"ZLoss", b"router", b"gate_loss", b"gating_loss",
               b"moe_loss")),
    anchor=re.compile(
        r"Loss\w*\.apply\(|Scaler\.apply\(|apply_\w*loss\w*\(|aux_loss(?!\w*(?:coef|weight|alpha|_func))(?<!_set_aux_loss)|l_aux\b|balanc(?:e|ing)_loss|router_loss(?!_coef|_weight)"
        r"|gat(?:e|ing)_loss|moe_loss|z_loss(?!_coef|_weight)"
    ),
    nodes=(ast.Expr, ast.Assign, ast.BinOp, ast.AugAssign),
    check=check,
)  # fmt: skip
