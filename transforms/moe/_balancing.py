"""Writing the load-balancing loss of the Switch Transformer into a layer, and adding it to the loss that is trained."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Fix, Relation, Span
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, stores_in
from autofix.transforms.loops._loops import Backward, Pair, backward_call, optimizer_step, pair
from autofix.transforms.loops._parameters import Parameters, parameters_of
from autofix.transforms.moe._experts import Selection, softmax_of
from autofix.transforms.moe._surroundings import identifiers
from autofix.transforms.routing._routing import fresh
from autofix.tree import walk

COEFFICIENT = 0.01  # Fedus et al. (2021), section 2.2
LOSS = "aux_loss"
# What does not go with a loss that is kept on the module, by the name that the file would use.
_AT_ODDS = {
    "deepcopy": "the file copies modules, and one that holds the loss of its last pass cannot be copied",
    "DataParallel": "replicas of DataParallel keep what their forward pass sets to themselves",
    "checkpoint": "activation checkpointing may run the forward pass without a gradient",
}
_ONE_HOT = "torch.nn.functional.one_hot"


@dataclass(frozen=True, slots=True)
class _Chosen:
    """scores: the name of the probabilities (or logits) of all experts. choice: the name of the chosen experts.
    kind: what `scores` is."""

    scores: str
    choice: str
    kind: str


def balancing_fix(module: Module, choices: Sequence[Selection]) -> Fix:
    """The loss beside the one choice of experts that a layer makes.

    Raises:
        Unrewritable: with the reason, for a person.
    """
    if len(choices) != 1:
        raise Unrewritable("experts are chosen in several places; compute the loss for each path")
    (selection,) = choices
    statement = module.statement(selection.node)
    owner = module.class_of(selection.function)
    constructor = module.method(owner, "__init__") if owner is not None else None
    if owner is None or constructor is None:
        raise Unrewritable("the choice is made outside a class; compute the loss where the layer calls it")
    for name, what in _AT_ODDS.items():
        if name in identifiers(module):
            raise Unrewritable(f"{what}; return the loss from forward")
    if any(isinstance(n, ast.Attribute) and n.attr == LOSS for n in walk(owner)):
        raise Unrewritable(f"the class has an attribute {LOSS} of its own")
    edits: list[Edit] = []
    chosen = _chosen(module, selection, statement, edits)
    edits.append(rewrite.insert_after(module, statement, *_lines(module, selection, chosen, edits)))
    edits.append(_initial(module, constructor))
    joined = _joined(module, owner)
    if joined is not None:
        edits.append(joined)
    what = f"compute the load-balancing loss on {owner.name}"
    how = f"add it to the loss with coefficient {COEFFICIENT}" if joined else f"add self.{LOSS} to the loss of training"
    return Fix(
        title=f"{what} and {how}" if joined else f"{what}; {how} with a coefficient of {COEFFICIENT}",
        edits=tuple(edits),
        applicability=Applicability.UNSAFE,
        claim=Claim(
            Relation.BALANCE,
            region=Span(module.span(statement).start, module.span(statement).end),
            hazard=("collapse",),
            parameters={"loss": f"self.{LOSS}", "choice": chosen.choice, "scores": _router_output(module, selection)},
        ),
    )


def _router_output(module: Module, selection: Selection) -> str:
    if selection.logits is None:
        raise Unrewritable("where the router's scores come from is not in view")
    return " ".join(module.source(selection.logits).split())


# -- what is chosen, and by what -----------------------------------------------------------------------------------


def _chosen(module: Module, selection: Selection, statement: ast.stmt, edits: list[Edit]) -> _Chosen:
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        raise Unrewritable("the chosen experts have no name; assign them to one")
    if _is_without_gradient(module, statement):
        raise Unrewritable("the choice is made without gradients; compute the loss where the scores have one")
    if selection.op.name in ("argmax", "max") and "dim" not in selection.op.args:
        raise Unrewritable("the choice is made over the whole tensor")
    choice = _choice(selection, statement)
    function = selection.function
    name = selection.scores.id if isinstance(selection.scores, ast.Name) else ""
    if not name:
        text = rewrite.expression(module, "{x}", x=selection.scores)
        if "\n" in text:
            raise Unrewritable("the scores are spelled over several lines; give them a name")
        name = fresh(function, "router_probs" if selection.kind == "softmax" else "router_scores")
        edits.append(rewrite.insert_before(module, statement, f"{name} = {text}"))
        edits.extend(rewrite.replace(module, selection.scores, name))
    elif name in {n.id for t in statement.targets for n in walk(t) if isinstance(n, ast.Name)}:
        raise Unrewritable("the choice overwrites the scores that it was made by; give it another name")
    # noise, masks and slices may stand between the softmax and the name
    if selection.kind != "logits" and softmax_of(module, selection.scores) is None:
        if not isinstance(selection.logits, ast.Name):
            raise Unrewritable("the probabilities of all experts have no name of their own")
        return _Chosen(selection.logits.id, choice, "logits")
    return _Chosen(name, choice, selection.kind)


def _choice(selection: Selection, statement: ast.Assign) -> str:
    target, value = statement.targets[0], statement.value
    if value is selection.node and isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == 2:
        index = target.elts[1]
        if selection.op.name in ("topk", "max") and isinstance(index, ast.Name) and index.id != "_":
            return index.id
    if isinstance(target, ast.Name):
        if value is selection.node and selection.op.name == "argmax":
            return target.id
        if isinstance(value, ast.Attribute) and value.value is selection.node and value.attr == "indices":
            return target.id
        if isinstance(value, ast.Subscript) and value.value is selection.node and _is_one(value.slice):
            return target.id
    raise Unrewritable("the chosen experts have no name; assign them to one")


def _is_one(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in (1, -1)


def _is_without_gradient(module: Module, node: ast.AST) -> bool:
    for ancestor in module.ancestors(node):
        contexts = [ast.unparse(i.context_expr) for i in ancestor.items] if isinstance(ancestor, ast.With) else []
        if any(re.search(r"no_grad|inference_mode", c) for c in contexts):
            return True
        if isinstance(ancestor, (ast.If, ast.For, ast.While, ast.Try)):
            raise Unrewritable("the choice is made under a branch or in a loop; compute the loss once for all paths")
    return False


# -- the lines -----------------------------------------------------------------------------------------------------


def _lines(module: Module, selection: Selection, chosen: _Chosen, edits: list[Edit]) -> list[str]:
    function = selection.function
    one_hot = module.names.reference(_ONE_HOT, selection.node)
    if one_hot is None:
        raise Unrewritable("the name torch means something else here")
    edits.extend(one_hot.edits)
    probs, lines = chosen.scores, []
    if chosen.kind == "logits":
        probs = fresh(function, "router_probs", "all_router_probs")
        lines.append(f"{probs} = {chosen.scores}.softmax(dim=-1)")
    elif chosen.kind == "sigmoid":
        probs = fresh(function, "router_probs", "all_router_probs")
        lines.append(f"{probs} = {chosen.scores} / {chosen.scores}.sum(dim=-1, keepdim=True)")
    share, mean = fresh(function, "expert_share"), fresh(function, "mean_prob", "mean_router_prob")
    return [
        "# load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens",
        *lines,
        f"{share} = {one_hot.text}({chosen.choice}.reshape(-1), {probs}.size(-1)).float().mean(dim=0)",
        f"{mean} = {probs}.reshape(-1, {probs}.size(-1)).mean(dim=0)",
        f"self.{LOSS} = {probs}.size(-1) * ({share} * {mean}).sum()",
    ]


def _initial(module: Module, constructor: ast.FunctionDef) -> Edit:
    return rewrite.insert_after(module, constructor.body[-1], f"self.{LOSS} = 0.0  # of the last forward pass")


# -- the training loop ---------------------------------------------------------------------------------------------


def _joined(module: Module, owner: ast.ClassDef) -> Edit | None:
    """The edit that adds the loss before the one backward pass of the file, None where that is not certain."""
    if owner not in module.tree.body:
        return None
    pairs: dict[ast.Call, Pair] = {}
    for node in walk(module.tree):
        step = optimizer_step(module, node)
        found = pair(module, step) if step is not None else None
        if found is not None:
            pairs[found.backward.call] = found
    if len(pairs) != 1:
        return None
    (found,) = pairs.values()
    backward = _inside(module, found.backward)
    loss = _loss_of(backward) if backward is not None else None
    parameters = parameters_of(module, found.step.optimizer, found.step.call)
    if backward is None or loss is None or not isinstance(parameters, Parameters) or parameters.owner is None:
        return None
    statement = module.statement(backward.call)
    model = module.source(parameters.owner)
    if not isinstance(statement, ast.Expr) or "\n" in model or backward is not found.backward:
        return None
    name = "module" if re.search(r"\bm\b", model) else "m"
    term = f"sum({name}.{LOSS} for {name} in {model}.modules() if isinstance({name}, {owner.name}))"
    line = f"{loss} = {loss} + {COEFFICIENT} * {term}"
    if not stores_in(module, module.function_scope(statement), loss):
        return None
    try:
        return rewrite.insert_before(module, statement, line)
    except Unrewritable:
        return None


def _inside(module: Module, backward: Backward) -> Backward | None:
    if backward.helper is None:
        return backward
    inner = [b for n in walk(backward.helper) if (b := backward_call(module, n)) is not None and b.helper is None]
    return inner[0] if len(inner) == 1 else None


def _loss_of(backward: Backward) -> str | None:
    """The plain name of the loss that a backward pass starts from."""
    call = backward.call
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    if backward.kind == "tensor":
        value: ast.expr | None = receiver
    elif backward.kind == "scaled":
        value = receiver.args[0] if isinstance(receiver, ast.Call) and receiver.args else None
    else:
        value = call.args[0] if call.args else None
    return value.id if isinstance(value, ast.Name) and last_name(value) else None
