"""What sets gradients to zero, or may do so out of view, between one step of an optimizer and the next."""

from __future__ import annotations

import ast
import re

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, own_nodes, parameter, same
from autofix.transforms.loops._loops import (
    backward_call,
    is_optimizer,
    is_optimizer_call,
    is_scaler,
    local_function,
)
from autofix.tree import walk

# Every other way to empty a gradient: by hand, or by a function that is named so.
_BY_HAND = re.compile(
    r"\.grad\s*=(?!=)|\.grad(\.data)?\.(zero_|copy_|fill_|mul_|set_|detach_\(\)\.zero_)\("
    r"|\bsetattr\(\w+, *[\"']grad[\"']|\bdel \w+(\.\w+)*\.grad\b"
)
_EMPTIES = re.compile(
    r"\w*(zero|clear|reset|clean|flush|drop|none)\w*grad\w*|\w*grad\w*(zero|clear|reset|none)\w*", re.I
)
_TO_NONE = ("set_to_none", "set_grad_to_none")
_STEPS_BY_ITSELF = re.compile(
    r"\bdeepspeed\b|\bcolossalai\b|optim\w*_in_(bwd|backward)|register_post_accumulate_grad_hook|OptimizerInBackward"
    r"|\bfunctorch\b|\bhigher\b",
    re.I,
)
_ORCHESTRATES = re.compile(
    r"trainer|callback|hook|engine|runner|strategy|plugin|learner|agent|manager|controller|handler|accum", re.I
)
_TRAINS = re.compile(r"(^|_)(train|step|update|optimi[sz]e|fit|learn|call_?event|run_?callbacks?|emit|fire)", re.I)
_HARMLESS = re.compile(
    r"^(print|isinstance|type|id|len|str|repr|info|debug|log\w*|clip_grad\w*|unscale_|step|scale_loss|getattr|hasattr"
    r"|get_lr|adjust_\w*(lr|rate)\w*|\w*(lr|learning_rate)\w*|save\w*|state_dict|append)$"
)


def zeroed(module: Module, loop: ast.AST, optimizer: ast.expr) -> bool:
    """Whether a turn of `loop` empties the gradients that `optimizer` steps on, or may do so out of view."""
    if _BY_HAND.search(module.text) or _STEPS_BY_ITSELF.search(module.text):
        return True
    words = {m.group() for m in _EMPTIES.finditer(module.text)}
    if words - {"zero_grad", *_TO_NONE}:
        return True
    return _zeroes(module, loop, optimizer, {id(loop)})


def _zeroes(module: Module, scope: ast.AST, optimizer: ast.expr, seen: set[int]) -> bool:
    """The same for what runs when `scope` does, calls of functions of this file included."""
    for node in own_nodes(scope):
        if isinstance(node, ast.Attribute) and node.attr == "zero_grad":
            if not _is_another(module, node.value, optimizer):
                return True
        elif isinstance(node, ast.Call):
            helper = local_function(module, node)
            if helper is not None:
                if id(helper) not in seen and _zeroes(module, helper, optimizer, seen | {id(helper)}):
                    return True
            elif _may_zero(module, node, optimizer):
                return True
    return False


def _is_another(module: Module, owner: ast.expr, optimizer: ast.expr) -> bool:
    """Whether what is zeroed is certainly another optimizer than the one in question."""
    if same(owner, optimizer) or not is_optimizer(module, owner):
        return False
    one, two = constructors(module, owner), constructors(module, optimizer)
    built = bool(one) and bool(two) and all(is_optimizer_call(module, v) for v in (*one, *two))
    return built and not {ast.dump(v) for v in one} & {ast.dump(v) for v in two}


def _may_zero(module: Module, call: ast.Call, optimizer: ast.expr) -> bool:
    """Whether a call out of view may zero the gradients: it is handed the optimizer, or it orchestrates training."""
    name = last_name(call.func)
    if backward_call(module, call) is not None:
        return False
    handed = any(same(a, optimizer) for a in (*call.args, *(k.value for k in call.keywords)))
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if handed and not (owner is not None and is_scaler(module, owner)):
        return not _HARMLESS.match(name)
    if owner is None:
        return bool(_TRAINS.search(name))
    if isinstance(owner, ast.Name) and owner.id in ("self", "cls"):
        return not _is_attribute(module, call.func)
    if _is_super(owner) or _ORCHESTRATES.search(ast.unparse(owner)):
        return True
    return bool(_TRAINS.search(name)) and name not in ("step", "train", "update") and not _is_torch(module, call)


def _is_attribute(module: Module, function: ast.expr) -> bool:
    """Whether `self.<name>` holds an object that this class assigns; a method of a base class is out of view."""
    cls = module.class_of(function)
    if cls is None or not isinstance(function, ast.Attribute):
        return False
    return any(
        isinstance(n, ast.Attribute)
        and n.attr == function.attr
        and isinstance(n.ctx, ast.Store)
        and isinstance(n.value, ast.Name)
        for n in walk(cls)
    )


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "super"


def _is_torch(module: Module, call: ast.Call) -> bool:
    return (module.qualified(call.func) or "").startswith("torch.")


def leaves_zeroing_to_others(module: Module, optimizer: ast.expr) -> bool:
    """Whether the optimizer may empty the gradients itself: it is of unknown make. One that a function is handed is
    taken for PyTorch's, unless its annotation says otherwise."""
    values = constructors(module, optimizer)
    if values:
        return not all(_is_plain(module, v) for v in values)
    if not isinstance(optimizer, ast.Name):
        return True
    found = [parameter(scope, optimizer.id) for scope in enclosing_scopes(module, optimizer)]
    given = next((a for a in found if a is not None), None)
    if given is None:
        return True
    annotation = "" if given.annotation is None else module.source(given.annotation)
    return bool(annotation) and not re.search(r"\b(optim\.|Optimizer$|Adam|SGD|Any)", annotation)


def _is_plain(module: Module, value: ast.expr) -> bool:
    """Whether an expression builds an optimizer whose `step` leaves gradients as they are."""
    if not isinstance(value, ast.Call) or not is_optimizer_call(module, value):
        return False
    name = last_name(value.func)
    own = any(isinstance(n, ast.ClassDef) and n.name == name for n in module.tree.body)
    return not own and not name.endswith(("Optimizer", "Optimiser", "Optim"))
