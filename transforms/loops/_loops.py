"""Training loops: which calls step an optimizer, and which backward pass a step belongs to."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, own_nodes, same
from autofix.tree import walk

Function = ast.FunctionDef | ast.AsyncFunctionDef
LOOPS = (ast.For, ast.AsyncFor, ast.While)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

_OPTIMIZER_NAME = re.compile(r"optim", re.I)
_SHORT_OPTIMIZER_NAME = re.compile(r"(^|_)opt(s|er)?(\d|_|$)|^opt[A-Z]|[a-z]Opt$")
_NOT_AN_OPTIMIZER = re.compile(r"sched|engine|scaler|profil|env(_|$)|manager|option|config|args", re.I)
_OPTIMIZER_CLASS = re.compile(
    r"^(\w*(Adam|SGD|RMSprop|RMSProp|Adagrad|AdaGrad|Adadelta|Lion|Lamb|LAMB|LARS|Lars|Adafactor|AdaBelief|Ranger"
    r"|Shampoo|Muon|Sophia|Prodigy|NovoGrad|Rprop|LBFGS|MADGRAD|Adan|SOAP|Adamax|Adopt)\w*|\w*Optimi[sz]er)$"
)
_OPTIMIZER_PACKAGES = ("torch_optimizer.", "pytorch_optimizer.", "timm.optim.", "bitsandbytes.optim.")
_LOSS_NAME = re.compile(r"loss|err|cost|objective|elbo|nll|energy|(^|_)(kl|ce|mse|bce)(_|$)", re.I)
_TENSOR_BACKWARD_KEYWORDS = {"gradient", "retain_graph", "create_graph", "inputs", "retain_variables"}


@dataclass(frozen=True, slots=True)
class Step:
    """A call that makes an optimizer change parameters.

    optimizer: the optimizer as an expression; scaler: the GradScaler that steps it (`scaler.step(optimizer)`).
    """

    call: ast.Call
    optimizer: ast.expr
    scaler: ast.expr | None


@dataclass(frozen=True, slots=True)
class Backward:
    """A call that fills gradients.

    kind: "tensor" (`loss.backward()`), "scaled" (`scaler.scale(loss).backward()`), "accelerate", "fabric",
    "lightning" (`self.manual_backward(loss)`) or "helper" (a function of this file that runs a backward pass).
    owner: the accelerator, fabric or scaler; None otherwise. helper: the function that "helper" calls.
    """

    call: ast.Call
    kind: str
    owner: ast.expr | None = None
    helper: Function | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A step, its backward pass, and the statements of one block that begin with the one and end with the other.

    call: the step itself, or the call of the method of this class that makes it.
    """

    step: Step
    backward: Backward
    call: ast.Call
    first: ast.stmt
    last: ast.stmt


def optimizer_step(module: Module, node: ast.AST) -> Step | None:
    """The optimizer step that `node` is, when names and constructors say so.

    `step` with an argument is none: a closure is called several times per step, and what is passed to the `step` of
    an environment, a scheduler or a moving average is no closure either.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "step":
        return None
    receiver = node.func.value
    if is_scaler(module, receiver):
        return Step(node, node.args[0], receiver) if len(node.args) == 1 and not node.keywords else None
    if node.args or node.keywords:
        return None
    return Step(node, receiver, None) if is_optimizer(module, receiver) else None


def is_scaler(module: Module, node: ast.expr) -> bool:
    if "scaler" in last_name(node).lower():
        return True
    return any(
        isinstance(v, ast.Call) and (module.qualified(v.func) or "").endswith(".GradScaler")
        for v in constructors(module, node)
    )


def is_optimizer(module: Module, node: ast.expr) -> bool:
    name = last_name(node)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        name = f"{name}_{node.slice.value}"  # `state["optimizer"]`
    if _NOT_AN_OPTIMIZER.search(name):
        return False
    values = constructors(module, node)
    if values and all(is_optimizer_call(module, v) for v in values):
        return True
    if _OPTIMIZER_NAME.search(name):
        return not any(_is_scheduler(module, v) for v in values)
    return bool(_SHORT_OPTIMIZER_NAME.search(name)) and _zeroes(module, node)


def is_optimizer_call(module: Module, node: ast.AST) -> bool:
    """Whether `node` constructs an optimizer by the name of its class."""
    if not isinstance(node, ast.Call):
        return False
    dotted = module.qualified(node.func) or ""
    if dotted.startswith("torch.optim."):
        return "lr_scheduler" not in dotted and "swa_utils" not in dotted
    name = last_name(node.func)
    return bool(_OPTIMIZER_CLASS.match(name)) or (dotted.startswith(_OPTIMIZER_PACKAGES) and name[:1].isupper())


def _is_scheduler(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return "lr_scheduler" in (module.qualified(node.func) or "") or "sched" in last_name(node.func).lower()


def _zeroes(module: Module, optimizer: ast.expr) -> bool:
    """Whether the function around (or its class) zeroes the gradients of this same object."""
    scope = module.class_of(optimizer) or module.function_scope(optimizer)
    return any(isinstance(n, ast.Attribute) and n.attr == "zero_grad" and same(n.value, optimizer) for n in walk(scope))


# -- backward --------------------------------------------------------------------------------------------------


def backward_call(module: Module, node: ast.AST) -> Backward | None:
    """The backward pass that `node` runs, directly or through a function of this file."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute):
        if node.func.attr == "manual_backward" and last_name(node.func.value) == "self":
            return Backward(node, "lightning")
        found = _direct_backward(module, node, node.func.value) if node.func.attr == "backward" else None
        if found is not None:
            return found
    helper = local_function(module, node)
    if helper is not None and _runs_backward(module, helper):
        return Backward(node, "helper", helper=helper)
    return None


def _direct_backward(module: Module, node: ast.Call, receiver: ast.expr) -> Backward | None:
    if module.qualified(node.func) == "torch.autograd.backward":
        return Backward(node, "tensor")
    name = last_name(receiver).lower()
    if isinstance(receiver, ast.Call):
        if isinstance(receiver.func, ast.Attribute) and receiver.func.attr == "scale":
            return Backward(node, "scaled", receiver.func.value)
    elif "accelerator" in name or _built_by(module, receiver, "Accelerator"):
        return Backward(node, "accelerate", receiver)
    elif "fabric" in name or _built_by(module, receiver, "Fabric"):
        return Backward(node, "fabric", receiver)
    if _OPTIMIZER_NAME.search(name) or name in ("self", "super", "cls"):
        return None
    if any(k.arg not in _TENSOR_BACKWARD_KEYWORDS for k in node.keywords) or len(node.args) > 1:
        return None
    if node.args and not _LOSS_NAME.search(name) and not isinstance(receiver, ast.Call):
        return None  # an engine that is handed the loss
    if node.args and _LOSS_NAME.search(last_name(node.args[0])) and not _LOSS_NAME.search(name):
        return None
    return Backward(node, "tensor")


def _built_by(module: Module, node: ast.expr, cls: str) -> bool:
    values = constructors(module, node)
    return bool(values) and all(isinstance(v, ast.Call) and last_name(v.func) == cls for v in values)


def local_function(module: Module, call: ast.Call) -> Function | None:
    """The function or method of this file that `call` calls (`helper(...)`, `self.method(...)`)."""
    func = call.func
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        cls = module.class_of(call)
        return module.method(cls, func.attr) if cls else None
    if not isinstance(func, ast.Name):
        return None
    for scope in enclosing_scopes(module, call):
        found = [s for s in getattr(scope, "body", []) if isinstance(s, ast.FunctionDef) and s.name == func.id]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _runs_backward(module: Module, function: Function) -> bool:
    """Whether a function runs a backward pass and leaves the step to its caller."""
    ran = False
    for node in own_nodes(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "step" and optimizer_step(module, node):
            return False
        if node.func.attr == "backward" and _direct_backward(module, node, node.func.value):
            ran = True
    return ran


def pair(module: Module, step: Step) -> Pair | None:
    """The nearest backward pass that runs before the step: in the same function, or in the method of the same class
    that calls the step's method after a backward pass."""
    if isinstance(module.function(step.call), ast.Lambda):
        return None
    return _pair_at(module, step, step.call) or _pair_of_methods(module, step)


def _pair_at(module: Module, step: Step, call: ast.Call) -> Pair | None:
    """The backward pass that runs before `call` in the same function."""
    function = module.function_scope(call)
    statement = module.statement(call)
    while True:
        for earlier in reversed(_before(module, statement)):
            found = _last_backward(module, earlier)
            if found is not None and not _complete_loop(module, earlier):
                return Pair(step, found, call, earlier, statement)
        parent = module.parent(statement)
        if isinstance(parent, ast.Try) and not any(s is statement for s in parent.body):
            tried = [b for s in parent.body if (b := _last_backward(module, s)) is not None]
            if tried and any(s is statement for s in (*parent.orelse, *parent.finalbody)):
                return Pair(step, tried[-1], call, parent, parent)
        while parent is not None and parent is not function and not isinstance(parent, ast.stmt):
            parent = module.parent(parent)
        if parent is function or not isinstance(parent, (ast.With, ast.AsyncWith, ast.If, ast.Try, ast.Match, *LOOPS)):
            return None
        statement = parent


def _pair_of_methods(module: Module, step: Step) -> Pair | None:
    cls, function = module.class_of(step.call), module.function_scope(step.call)
    if cls is None or function not in cls.body or not isinstance(function, ast.FunctionDef):
        return None
    for node in walk(cls):
        if isinstance(node, ast.Call) and local_function(module, node) is function:
            found = _pair_at(module, step, node)
            if found is not None:
                return found
    return None


def _before(module: Module, statement: ast.stmt) -> list[ast.stmt]:
    block = module.block(statement)
    return block[: block.index(statement)]


def _last_backward(module: Module, statement: ast.stmt) -> Backward | None:
    if isinstance(statement, _DEFINITIONS):
        return None
    found = None
    for node in own_nodes(statement):
        found = backward_call(module, node) or found
    return found


def _complete_loop(module: Module, statement: ast.stmt) -> bool:
    """Whether a statement is a loop that steps an optimizer itself: its gradients are spent when it ends."""
    inner = [n for n in own_nodes(statement) if isinstance(n, LOOPS)]
    return any(optimizer_step(module, n) for loop in inner for n in own_nodes(loop))


def statements_between(module: Module, found: Pair) -> list[ast.AST]:
    """The nodes that run after the backward pass and before the step, in source order."""
    start = module.chars(found.backward.call)[1]
    end = module.chars(found.call)[0]
    block = module.block(found.first)
    begin = block.index(found.first)
    stop = block.index(found.last)
    nodes = [n for s in block[begin : stop + 1] for n in own_nodes(s)]
    return [n for n in nodes if hasattr(n, "lineno") and start <= module.chars(n)[0] < end]
