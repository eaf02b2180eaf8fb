"""Whether a mask gates anything that trains, and what else already carries a gradient to the router."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._cut_off import CutOff
from autofix.transforms.routing._mask import State, Use
from autofix.transforms.routing._routing import functions_around, learnt, samples_elsewhere, trains_nothing
from autofix.transforms.routing._uses import Tracer
from autofix.tree import walk

_GATES = ("multiply", "operand", "zero", "zero-store")
_STATISTIC = re.compile(
    r"loss|aux|balanc|entropy|usage|penalt|(?<![a-z])cv(?![a-z])|regular|importance|(?<![a-z])load|metric|stat|(?<![a-z])log",
    re.I,
)
_ATTENTION = ("attn_mask", "attention_mask", "key_padding_mask", "block_mask", "mask")


@dataclass(frozen=True, slots=True)
class Gated:
    """uses: what must see the gate. kept: probabilities multiply the outputs as well. learnt: the threshold is a
    parameter or predicted. why: why there can be no fix, if so."""

    tracer: Tracer
    uses: tuple[Use, ...]
    kept: bool
    learnt: bool
    why: str = ""


def gated(module: Module, cut: CutOff) -> Gated | None:
    """What the mask of a cut-off gates; None when it gates nothing that trains."""
    tracer = Tracer(module)
    tracer.follow(cut.node, State(true_below=cut.true_below, sliced=cut.mass.sliced, steps=cut.steps))
    return judge(module, cut, tracer)


def judge(module: Module, cut: CutOff, tracer: Tracer) -> Gated | None:
    uses = tracer.uses
    if any(u.kind == "minus-infinity" for u in uses):
        return None
    descending = cut.mass.ranked.descending
    function = module.function_scope(cut.node)
    names = probability_names(module, cut, function)
    gates = [u for u in uses if u.kind in _GATES and _keeps(u) == descending and not _is_statistic(module, u)]
    is_learnt = learnt(module, cut.threshold)
    if gates:
        kept = all(is_kept(module, u, names) for u in gates) or _other_path(module, function, names, tracer)
        gates += [u for u in uses if u.kind == "passed" and u.state.kind in ("float", "cast") and not _is_attention(u)]
        return Gated(tracer, tuple(sorted(gates, key=_place)), kept, is_learnt)
    returned = [u for u in uses if u.kind == "returned" and _keeps(u) == descending]
    if returned:
        return _returned(module, cut, tracer, returned, names, is_learnt)
    passed = [u for u in uses if u.kind == "passed" and _keeps(u) == descending and not _is_attention(u)]
    if passed and all(u.state.kind in ("float", "cast") for u in passed):
        return Gated(tracer, tuple(passed), _other_path(module, function, names, tracer), is_learnt)
    indexed = [u for u in uses if u.kind == "index" and _keeps(u) == descending]
    if indexed and not _other_path(module, function, names, tracer) and _computes(module, indexed):
        why = "the mask only selects by index; multiply what it selects by a gate to give the choice a gradient"
        return Gated(tracer, tuple(indexed), False, is_learnt, why)
    return None


def _place(use: Use) -> tuple[int, int]:
    return use.mask.lineno, use.mask.col_offset


def _keeps(use: Use) -> bool:
    """Whether what the use lets through lies below the threshold."""
    below = use.state.true_below
    if use.kind == "zero-store":
        return not below
    if use.kind == "zero" and isinstance(use.node, ast.Call):
        called = use.node.func.attr if isinstance(use.node.func, ast.Attribute) else ""
        if called.startswith("masked_fill"):
            return not below
        arguments = use.node.args
        if len(arguments) == 3 and isinstance(arguments[1], ast.Constant):  # torch.where(removed, 0, x)
            return not below
    return below


def _is_attention(use: Use) -> bool:
    return isinstance(use.node, ast.Call) and any(
        k.arg in _ATTENTION and k.value is use.mask for k in use.node.keywords
    )


def _is_statistic(module: Module, use: Use) -> bool:
    """Whether a product ends in a loss term or a figure to log."""
    statement = module.statement(use.node)
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(_STATISTIC.search(ast.unparse(t)) for t in targets)
    return False


# -- probabilities -------------------------------------------------------------------------------------------------


def probability_names(module: Module, cut: CutOff, function: ast.AST) -> set[str]:
    """Names in the function that hold the router's probabilities or weights made of them, with their gradient."""
    parts = [*walk(cut.mass.ranked.base), *walk(cut.mass.ranked.values)]
    names = {n.id for n in parts if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    names.discard("self")
    masks = {ast.unparse(cut.node)}
    for _ in range(3):
        before = len(names)
        for node in walk(function):
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            target = node.targets[0]
            if any(ast.unparse(n) in masks for n in walk(node.value) if isinstance(n, ast.Compare)):
                continue
            if isinstance(target, ast.Name) and carries(module, node.value, names):
                names.add(target.id)
        if len(names) == before:
            break
    return names


def carries(module: Module, node: ast.expr, names: set[str]) -> bool:
    """Whether an expression passes a probability's gradient on, elementwise."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.BinOp):
        return carries(module, node.left, names) or carries(module, node.right, names)
    if isinstance(node, (ast.Subscript, ast.Attribute)):
        return carries(module, node.value, names)
    if isinstance(node, ast.Call):
        op = tensor_op(
            module, node, "softmax", "normalize", "masked_fill", "where", "gather", "float", "to", "unsqueeze", "view",
            "reshape", "clamp", "clamp_min", "type_as", "expand", "sigmoid", "transpose", "contiguous",
            "cumsum", "relu",
        )  # fmt: skip
        if op is not None:
            return carries(module, op.input, names)
        scatter = tensor_op(module, node, "scatter", "scatter_")
        if scatter is not None and "src" in scatter.args:
            return carries(module, scatter.args["src"], names)
    return False


def is_kept(module: Module, use: Use, names: set[str]) -> bool:
    """Whether what the mask is multiplied with are the probabilities themselves, or holds them."""
    if use.kind in ("multiply", "operand"):
        return any(carries(module, f, names) for f in use.factors)
    if use.kind == "zero-store" and isinstance(use.node, ast.Subscript):
        return carries(module, use.node.value, names)
    op = tensor_op(module, use.node, "masked_fill", "masked_fill_", "where")
    if op is None:
        return False
    return carries(module, op.input, names) or carries(module, op.args.get("other", op.input), names)


def _other_path(module: Module, function: ast.AST, names: set[str], tracer: Tracer) -> bool:
    """Whether probabilities multiply something somewhere else in the function, other than in a loss term."""
    mine = {id(u.node) for u in tracer.uses}
    for node in walk(function):
        if id(node) in mine or not isinstance(node, (ast.BinOp, ast.Call)):
            continue
        if isinstance(node, ast.BinOp):
            if not isinstance(node.op, (ast.Mult, ast.MatMult)):
                continue
            sides = [node.left, node.right]
        else:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in ("einsum", "matmul", "bmm", "mul", "mul_"):
                continue
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            sides = [*receiver, *node.args]
        carrying = [s for s in sides if carries(module, s, names)]
        others = [s for s in sides if s not in carrying and not isinstance(s, ast.Constant)]
        if carrying and others and not in_statistic(module, node) and not all(_is_masks(s, tracer) for s in others):
            return True
    return False


def _is_masks(node: ast.expr, tracer: Tracer) -> bool:
    held = {h.name for u in tracer.uses for h, _ in u.path}
    return any(isinstance(n, ast.Name) and n.id in held for n in walk(node))


def in_statistic(module: Module, node: ast.AST) -> bool:
    statement = module.statement(node)
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(_STATISTIC.search(ast.unparse(t)) for t in targets)
    return False


def _computes(module: Module, uses: list[Use]) -> bool:
    """Whether what is selected is given to something that is called (an expert), not merely counted."""
    for use in uses:
        parent = module.parent(use.node)
        if isinstance(parent, ast.Call) and use.node in parent.args and tensor_op(module, parent) is None:
            return True
    return False


# -- masks that leave the function -----------------------------------------------------------------------------------


def _returned(
    module: Module, cut: CutOff, tracer: Tracer, returned: list[Use], names: set[str], is_learnt: bool
) -> Gated | None:
    """A helper or router that hands the mask out: look at what its callers in this file do with it."""
    functions = functions_around(module, cut.node)
    function = functions[0]
    if samples_elsewhere(module, function):
        return None
    statement = returned[0].node
    if not isinstance(statement, ast.Return) or statement.value is None:
        return None
    position = _position(statement.value, returned[0].mask)
    others = _others(statement.value, returned[0].mask)
    hands_out_probabilities = any(carries(module, o, names) for o in others)
    callers = _callers(module, function)
    is_float = all(u.state.kind in ("float", "cast") for u in returned)
    seen: list[Use] = []
    for call in callers:
        outer = Tracer(module)
        if position is None:
            outer.follow(call, State(returned[0].state.true_below, returned[0].state.kind))
        else:
            follow_unpacked(module, outer, call, position, returned[0].state)
        seen.extend(outer.uses)
    if any(u.kind == "minus-infinity" for u in seen):
        return None
    gates = [u for u in seen if u.kind in _GATES]
    if seen and not gates and not any(u.kind in ("passed", "returned", "index") for u in seen):
        return None
    if not seen and hands_out_probabilities:
        return Gated(tracer, tuple(returned), True, is_learnt, _elsewhere(is_float))
    kept = bool(gates) and hands_out_probabilities and _multiplied_there(module, callers)
    if is_float:
        return Gated(tracer, tuple(returned), kept, is_learnt)
    fits = bool(seen) and all(u.kind in ("multiply", "operand", "count") and "not" not in u.state.after for u in seen)
    return Gated(tracer, tuple(returned), kept, is_learnt, "" if fits else _elsewhere(False))


def _elsewhere(is_float: bool) -> str:
    if is_float:
        return ""
    return "the mask is handed out as booleans, which code elsewhere may need; hand out a gate beside it"


def _position(value: ast.expr, mask: ast.expr) -> int | None:
    if isinstance(value, ast.Tuple):
        return next((i for i, e in enumerate(value.elts) if any(n is mask for n in walk(e))), None)
    return None


def _others(value: ast.expr, mask: ast.expr) -> list[ast.expr]:
    if isinstance(value, ast.Tuple):
        return [e for e in value.elts if not any(n is mask for n in walk(e))]
    return []


def _callers(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.Call]:
    """Calls of the function in this file; for `forward`, calls of attributes that hold an instance of its class."""
    if function.name not in ("forward", "__call__"):
        return [c for c in module.calls(function.name) if not trains_nothing(module, c)]
    cls = module.class_of(function)
    if cls is None:
        return []
    holders = set()
    for call in module.calls(cls.name):
        parent = module.parent(call)
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Attribute):
            holders.add(parent.targets[0].attr)
    return [c for name in holders for c in module.calls(name)]


def follow_unpacked(module: Module, tracer: Tracer, call: ast.Call, position: int, state: State) -> None:
    """Follow the element of a tuple that a call returns: `weights, mask = self.router(x)`."""
    statement = module.statement(call)
    if not isinstance(statement, ast.Assign) or statement.value is not call:
        return
    target = statement.targets[0]
    if not isinstance(target, (ast.Tuple, ast.List)) or position >= len(target.elts):
        return
    name = target.elts[position]
    if isinstance(name, ast.Name):
        tracer.bind(name.id, statement, State(state.true_below, state.kind))


def _multiplied_there(module: Module, callers: list[ast.Call]) -> bool:
    """Whether another part of what a caller unpacks multiplies something as well."""
    for call in callers:
        statement = module.statement(call)
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], (ast.Tuple, ast.List)):
            continue
        names = {e.id for e in statement.targets[0].elts if isinstance(e, ast.Name)}
        for node in walk(module.function_scope(call)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                held = {n.id for n in walk(node) if isinstance(n, ast.Name)} & names
                if len(held) > 1:
                    return True
    return False
