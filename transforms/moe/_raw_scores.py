"""Where a load-balancing loss receives the raw logits of a router in place of its probabilities."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import Op, constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.moe._experts import softmax_of
from autofix.transforms.routing._ranked import SAME_VALUE
from autofix.transforms.routing._selected import is_router_call
from autofix.tree import last_part, mentions, walk

LOSS = re.compile(r"balanc|aux(iliary)?_?loss|router_?loss|switch_?loss|l_?aux", re.I)
_SQUASHES = re.compile(r"softmax|sigmoid|sinkhorn|normali[sz]e|relu|softplus|exp$|tanh|entmax|logsumexp|cdf|log$")
_SHAPED = ("view", "reshape", "flatten", "squeeze", "unsqueeze")
_NOT_A_USE = ("shape", "size", "dtype", "device", "numel")
_DEPTH = 8
FunctionNode = ast.FunctionDef


@dataclass(frozen=True, slots=True)
class Raw:
    """at: the logits that stand where probabilities are meant. like: a softmax that another branch puts the same
    logits through. elsewhere: why putting them through one there would change more than the loss."""

    at: ast.expr
    like: Op | None = None
    elsewhere: str = ""


def called_loss(module: Module, call: ast.Call) -> FunctionNode | None:
    """The loss function of this file that a call runs: a method of the class, or a function of the file."""
    func, found = call.func, None
    if isinstance(func, ast.Name):
        named = [s for s in module.tree.body if isinstance(s, ast.FunctionDef) and s.name == func.id]
        found = named[0] if len(named) == 1 else None
    elif isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        cls = module.class_of(call)
        found = module.method(cls, func.attr) if cls is not None else None
    return found if found is not None and LOSS.search(found.name) else None


# -- logits on one branch, probabilities on the others --------------------------------------------------------------


def raw_on_a_branch(module: Module, call: ast.Call) -> Raw | None:
    """The branch on which an argument of a call that computes a balancing loss is the logits that the other branches
    put through a softmax or sigmoid."""
    callee = called_loss(module, call)
    if callee is not None and _squashes(callee):
        return None
    for argument in [*call.args, *(k.value for k in call.keywords)]:
        if isinstance(argument, ast.Name):
            found = _branches(module, argument)
            if found is not None:
                return found
    return None


def _branches(module: Module, argument: ast.Name) -> Raw | None:
    flow = module.flow(argument)
    bindings: list[ast.Assign] = []
    for statement in flow.stores(argument.id):
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        if not isinstance(statement.targets[0], ast.Name):
            return None
        if not mentions(statement.value, argument.id):  # else the same scores, divided or cast
            bindings.append(statement)
    if len(bindings) < 2 or len({id(module.block(s)) for s in bindings}) < len(bindings):
        return None
    if not all(isinstance(module.parent(s), ast.If) for s in bindings):
        return None
    shares = {s: op for s in bindings if (op := softmax_of(module, s.value)) is not None}
    raw = [s for s in bindings if s not in shares]
    if len(raw) != 1 or not shares or not isinstance(raw[0].value, ast.Name):
        return None
    logits = flow.definition(raw[0].value)
    if logits is None or not any(_is_definition(module, op.input, logits.statement) for op in shares.values()):
        return None
    like = next((op for op in shares.values() if op.name == "softmax"), None)
    if like is None or not _weighs_by_softmax(module, raw[0]):
        return Raw(raw[0].value, None, "this branch scores its experts by something else than a softmax")
    return Raw(raw[0].value, like, _other_use(module, raw[0], argument))


def _is_definition(module: Module, node: ast.expr, statement: ast.AST | None) -> bool:
    found = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
    return found is not None and found.statement is statement


def _weighs_by_softmax(module: Module, statement: ast.stmt) -> bool:
    """Whether the branch itself takes a softmax: of what it selects."""
    calls = (n for s in module.block(statement) for n in walk(s) if isinstance(n, ast.Call))
    return any(tensor_op(module, c, "softmax") is not None for c in calls)


def _other_use(module: Module, raw: ast.Assign, argument: ast.Name) -> str:
    """Why the scores are not the loss's alone once the branches have joined."""
    name = argument.id
    branches = module.parent(raw)
    for ancestor in module.ancestors(raw):
        if isinstance(ancestor, ast.If):
            branches = ancestor
    inside = {id(n) for s in module.block(raw) for n in walk(s)}
    above = {id(n) for n in walk(branches)} if branches is not None else set()
    for read in module.flow(raw).loads.get(name, []):
        if id(read) in above and id(read) not in inside:
            continue
        statement = module.statement(read)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            continue
        parent = module.parent(read)
        if isinstance(parent, ast.Attribute) and parent.attr in ("sum", *_NOT_A_USE):
            continue
        call = parent if isinstance(parent, ast.Call) else module.parent(parent) if parent is not None else None
        if isinstance(call, ast.Call) and LOSS.search(last_part(call.func)):
            continue
        return f"{name} is read for other things than the loss as well"
    return ""


# -- logits whose mean is multiplied by the load --------------------------------------------------------------------


def raw_mean(module: Module, call: ast.Call) -> Raw | None:
    """The logits of a router that the loss function of this file which `call` runs averages over the tokens and
    multiplies by the load."""
    callee = called_loss(module, call)
    if callee is None or _squashes(callee):
        return None
    parameters = [a.arg for a in (*callee.args.posonlyargs, *callee.args.args)]
    if parameters[:1] == ["self"]:
        parameters = parameters[1:]
    given = dict(zip(parameters, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    for name, argument in given.items():
        if not is_router_output(module, argument):
            continue
        mean = _mean_of(module, callee, name)
        if mean is None:
            continue
        calls = [c for c in walk(module.tree) if isinstance(c, ast.Call) and called_loss(module, c) is callee]
        several = "it is called from several places" if len(calls) > 1 else ""
        return Raw(mean, None, several)
    return None


def is_router_output(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value is certainly what a router's linear layer gives, at most cast or reshaped since."""
    if depth > _DEPTH:
        return False
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    if not isinstance(value, ast.Call):
        return False
    op = tensor_op(module, value, *SAME_VALUE, *_SHAPED)
    if op is not None:
        return is_router_output(module, op.input, depth + 1)
    return is_router_call(module, value)


def _mean_of(module: Module, function: FunctionNode, parameter: str) -> ast.expr | None:
    """What a function averages over all but the last dimension of a parameter and multiplies by another value."""
    for node in walk(function):
        op = tensor_op(module, node, "mean", "sum") if isinstance(node, ast.Call) else None
        if op is None or not isinstance(node, ast.Call) or not _is_over_tokens(module, op.args.get("dim")):
            continue
        if _is_parameter(module, op.input, parameter, 0) and _is_multiplied(module, node, function):
            return op.input
    return None


def _is_over_tokens(module: Module, dim: ast.expr | None) -> bool:
    elements = dim.elts if isinstance(dim, (ast.Tuple, ast.List)) else [dim]
    numbers = [constant(module, e) for e in elements]
    return numbers in ([0], [0, 1])


def _is_parameter(module: Module, node: ast.expr, parameter: str, depth: int) -> bool:
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        if found is None or depth > _DEPTH:
            return False
        if found.kind == "parameter":
            return node.id == parameter
        return found.value is not None and _is_parameter(module, found.value, parameter, depth + 1)
    op = tensor_op(module, node, *SAME_VALUE, *_SHAPED)
    return op is not None and op.name not in ("detach", "clamp") and _is_parameter(module, op.input, parameter, depth)


def _is_multiplied(module: Module, mean: ast.Call, function: FunctionNode) -> bool:
    statement = module.statement(mean)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is mean else None
    names = {target.id} if isinstance(target, ast.Name) else set()
    for node in walk(function):
        if isinstance(node, ast.Call) and last_part(node.func) in ("dot", "einsum", "mul"):
            sides = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            sides = [node.left, node.right]
        else:
            continue
        hits = [s for s in sides if s is mean or (isinstance(s, ast.Name) and s.id in names)]
        others = [s for s in sides if s not in hits and constant(module, s) is None and not _is_number(s)]
        if hits and others:
            return True
    return False


def _is_number(node: ast.expr) -> bool:
    """Whether a factor is a size or a coefficient: `E`, `num_experts`, `self.alpha`."""
    return bool(re.search(r"experts?$|^[A-Z]$|coef|alpha|weight$|scale|factor|size", last_part(node) or ""))


def _squashes(function: FunctionNode) -> bool:
    calls = (n for n in walk(function) if isinstance(n, ast.Call))
    return any(_SQUASHES.search(last_part(c.func) or "") for c in calls)
