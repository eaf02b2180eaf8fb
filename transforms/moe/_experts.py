"""What a mixture-of-experts layer is in source: experts, a router that scores them, and the choice between them.

A layer whose experts or router are classes of the same file is one unit: it is seen through the class that holds both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.model import Finding, Fix, Severity
from autofix.ops import Op, constant, tensor_op
from autofix.rule import Context
from autofix.syntax import Module
from autofix.transforms.routing._routing import learnt
from autofix.tree import last_part, walk

# What the rules of this family look for, before a file is decoded.
TRIGGERS: tuple[tuple[bytes | re.Pattern[bytes], ...], ...] = (
    (b"xpert",),
    (b"gate", b"gating", b"rout", b"Rout", b"Gat", b"witch", b"_experts"),
    (b"forward",),
)
ANCHOR = re.compile(
    r"self\.(?:[a-z_]*experts?|experts?_[a-z_]+)(?::[^=\n]+)?\s*=[^=]"
    r"|xpert\w*\([^\n]*\)\s*for |xpert\w*\([^)]*\)\s*for "
    r"|Parameter\([^\n]*(?:num|n)_experts?"
)

_EXPERTS = re.compile(r"(^|_)experts?(_(list|layers?|mlps?|ffns?|networks?|modules?|bank))?$")
_COUNT = re.compile(r"^(n|num|number_of|nb|total|local|top|selected|active)?_*(of_|local_|routed_)?n?_?experts?(_.*)?$")
_ROUTER = re.compile(
    r"(^|_)(gate|gates|gating|gater|router|routing|route|switch|dispatcher|wg|w_gate|w_router|selector)(_|$|\d)", re.I
)
_NO_ROUTER = re.compile(
    r"proj|_up|up_|_act|act_|shared|attn|attention|residual|forget|input_gate|output_gate|_fn$", re.I
)
_ROUTER_CLASS = re.compile(r"rout|gat(e|ing)|topk|top_k", re.I)
_EXPERT_CLASS = re.compile(r"expert", re.I)
_LISTS = ("ModuleList", "ModuleDict", "Sequential")
_SELECTIONS = ("topk", "argmax", "max", "sort", "argsort")
_SEEN_THROUGH = frozenset(
    "float double half bfloat16 to type type_as view reshape flatten squeeze unsqueeze contiguous clone masked_fill "
    "masked_fill_ add sub mul div true_divide clamp clamp_min nan_to_num where".split()
)
# What a probability is still a probability after.
SAME_PROBABILITY = ("float", "to", "type_as", "contiguous", "view", "reshape", "clone", "half", "bfloat16", "type")
_NOISE = ("randn_like", "randn", "normal", "rand_like", "gumbel_softmax")
_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice of experts for each token.

    node: the call. scores: what it chooses by. kind: "softmax", "sigmoid", "logits" or "" (unknown) of those scores.
    function: where it stands. logits: the router's scores before a softmax or sigmoid, where they are in view.
    """

    node: ast.Call
    op: Op
    scores: ast.expr
    kind: str
    function: ast.FunctionDef
    logits: ast.expr | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A mixture-of-experts layer.

    cls: the class that holds the experts and the router. experts: name of the attribute with the experts. count: the
    number of experts where it is a literal. unit: the classes of the file that it is made of, itself first.
    selections: the choices that its code makes. scored: "softmax", "sigmoid" or "" by what weighs the experts.
    """

    cls: ast.ClassDef
    init: ast.FunctionDef
    forward: ast.FunctionDef
    experts: str
    router: str
    unit: tuple[ast.ClassDef, ...]
    selections: tuple[Selection, ...]
    scored: str
    count: int | None = None


def layer_at(module: Module, node: ast.AST) -> Layer | None:
    """The layer whose constructor `node` is."""
    if not isinstance(node, ast.FunctionDef) or node.name != "__init__":
        return None
    cls = module.class_of(node)
    if cls is None or node not in cls.body:
        return None
    if any(isinstance(s, ast.ClassDef) and s.name == cls.name and s.lineno > cls.lineno for s in module.tree.body):
        return None  # a script that goes on with a second version of the class: that one is the layer
    known: dict[ast.ClassDef, Layer | None] = vars(module).setdefault("_expert_layers", {})
    if cls not in known:
        known[cls] = _layer(module, cls, node)
    return known[cls]


def report(context: Context, layer: Layer, message: str, *, why: str = "", fix: Fix | None = None,
           severity: Severity | None = None) -> Finding:  # fmt: skip
    """One finding for the whole layer, at the head of its class."""
    width = len(f"class {layer.cls.name}".encode())
    head = ast.Pass(
        lineno=layer.cls.lineno, col_offset=layer.cls.col_offset, end_lineno=layer.cls.lineno,
        end_col_offset=layer.cls.col_offset + width,
    )  # fmt: skip
    return context.finding(head, message, fix=fix, why=why, severity=severity)


# -- the parts -----------------------------------------------------------------------------------------------------


def _layer(module: Module, cls: ast.ClassDef, init: ast.FunctionDef) -> Layer | None:
    forward = module.method(cls, "forward") or module.method(cls, "__call__")
    if forward is None:
        return None
    made = _attributes(module, cls)
    experts = _experts(module, cls, made)
    if experts is None:
        return None
    unit = _unit(module, cls, made)
    router = _router(module, unit, experts)
    if router is None:
        return None
    selections = tuple(_selections(module, unit))
    scored = _scored(module, unit, selections)
    if not selections and not scored:
        return None
    return Layer(cls, init, forward, experts, router, unit, selections, scored, _count(module, made.get(experts)))


def _attributes(module: Module, cls: ast.ClassDef) -> dict[str, ast.expr]:
    """What the class assigns to `self.<name>`, the last value of each."""
    out: dict[str, ast.expr] = {}
    for node in (n for part in module.setters(cls) for n in walk(part)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if _is_own(target):
                    out[target.attr] = node.value  # type: ignore[attr-defined]
        elif isinstance(node, ast.AnnAssign) and node.value is not None and _is_own(node.target):
            out[node.target.attr] = node.value  # type: ignore[union-attr]
    return out


def _is_own(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _experts(module: Module, cls: ast.ClassDef, made: dict[str, ast.expr]) -> str | None:
    """The attribute that holds the experts: a list of modules, a class of experts, or weights of all of them."""
    for name, value in made.items():
        if _holds_experts(module, name, value) and _is_used(module, cls, name):
            return name
    return None


def _holds_experts(module: Module, name: str, value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    called = last_part(value.func)
    if "shared" in name:
        return False
    if called in _LISTS:
        if _EXPERTS.search(name):
            return not _repeats_one(value)
        return any(
            isinstance(n, ast.Call) and _EXPERT_CLASS.search(last_part(n.func)) for n in walk(value) if n is not value
        )
    if called == "Parameter":
        return _is_bank(value)
    return bool(_EXPERTS.search(name) and _EXPERT_CLASS.search(called))


def _repeats_one(value: ast.Call) -> bool:
    """`[self.body for _ in range(n)]`: one module n times, no experts."""
    made = value.args[0] if value.args else None
    if not isinstance(made, (ast.ListComp, ast.GeneratorExp)):
        return False
    names = {n.id for g in made.generators for n in walk(g.target) if isinstance(n, ast.Name)}
    return not any(isinstance(n, ast.Call) or getattr(n, "id", "") in names for n in walk(made.elt))


def _is_bank(value: ast.Call) -> bool:
    """`nn.Parameter(torch.empty(num_experts, d_in, d_out))`: the weights of every expert in one tensor."""
    maker = value.args[0] if value.args else None
    while isinstance(maker, ast.BinOp):
        maker = maker.left
    if not isinstance(maker, ast.Call) or not maker.args:
        return False
    sizes: list[ast.expr] = list(maker.args)
    if len(sizes) == 1 and isinstance(sizes[0], (ast.Tuple, ast.List)):
        sizes = sizes[0].elts
    return len(sizes) >= 3 and bool(_COUNT.match(last_part(sizes[0])))


def _is_used(module: Module, cls: ast.ClassDef, name: str) -> bool:
    """Whether a method other than the constructor reads the attribute."""
    for method in cls.body:
        if not isinstance(method, ast.FunctionDef) or method.name.startswith(("__init__", "reset", "init", "_init")):
            continue
        if f"self.{name}" not in module.lines_of(method):
            continue
        if any(_is_own(n) and n.attr == name for n in walk(method)):  # type: ignore[attr-defined]
            return True
    return False


def _unit(module: Module, cls: ast.ClassDef, made: dict[str, ast.expr]) -> tuple[ast.ClassDef, ...]:
    """The class, and those of this file that its attributes are made of, when they are routers or experts."""
    classes = {s.name: s for s in module.tree.body if isinstance(s, ast.ClassDef)}
    out = [cls]
    for base in cls.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            out.append(classes[base.id])
    for name, value in made.items():
        if not isinstance(value, ast.Call):
            continue
        for part in walk(value):
            found = classes.get(last_part(part.func)) if isinstance(part, ast.Call) else None
            if found is None or found in out:
                continue
            if _ROUTER_CLASS.search(found.name) or _ROUTER.search(name) or _EXPERT_CLASS.search(found.name):
                out.append(found)
    return tuple(out)


def _router(module: Module, unit: tuple[ast.ClassDef, ...], experts: str) -> str | None:
    """The attribute that scores the experts: a layer or weight that a method of the unit applies."""
    for cls in unit[:1]:
        made = _attributes(module, cls)
        for name, value in made.items():
            if name == experts or not _ROUTER.search(name) or _NO_ROUTER.search(name):
                continue
            if isinstance(value, (ast.Call, ast.IfExp, ast.Name)) and _is_used(module, cls, name):
                return name
        for name, value in made.items():  # `self.w = nn.Linear(dim, num_experts)`
            if name == experts or not isinstance(value, ast.Call) or last_part(value.func) != "Linear":
                continue
            sizes = [*value.args[1:2], *(k.value for k in value.keywords if k.arg == "out_features")]
            if sizes and _COUNT.match(last_part(sizes[0])) and _is_used(module, cls, name):
                return name
    return None


def _count(module: Module, value: ast.expr | None) -> int | None:
    if not isinstance(value, ast.Call) or not value.args:
        return None
    made = value.args[0]
    if isinstance(made, ast.List):
        return len(made.elts)
    if isinstance(made, (ast.ListComp, ast.GeneratorExp)) and isinstance(made.generators[0].iter, ast.Call):
        arguments = made.generators[0].iter.args
        number = constant(module, arguments[-1]) if arguments else None
        return number if isinstance(number, int) else None
    return None


# -- the choice ----------------------------------------------------------------------------------------------------


def functions_of(unit: tuple[ast.ClassDef, ...]) -> Iterator[ast.FunctionDef]:
    for cls in unit:
        yield from (s for s in cls.body if isinstance(s, ast.FunctionDef))


def _selections(module: Module, unit: tuple[ast.ClassDef, ...]) -> Iterator[Selection]:
    for function in functions_of(unit):
        text = module.lines_of(function)
        if not any(name in text for name in _SELECTIONS):
            continue
        for node in walk(function):
            op = tensor_op(module, node, *_SELECTIONS)
            if op is None or not isinstance(node, ast.Call) or (op.name == "max" and "dim" not in op.args):
                continue
            kind, logits = scores_kind(module, op.input)
            if kind:
                yield Selection(node, op, op.input, kind, function, logits)


def scores_kind(module: Module, node: ast.expr, depth: int = 0) -> tuple[str, ast.expr | None]:
    """ "softmax", "sigmoid" or "logits" when `node` is a router's scores, with its input; "" when it is not known."""
    if depth > _DEPTH:
        return "", None
    op = tensor_op(module, node)
    if op is not None and op.name in ("softmax", "sigmoid"):
        return op.name, op.input
    if op is not None and op.name in ("log_softmax", "softplus"):
        return "", None
    if op is not None and op.name in _SEEN_THROUGH:
        return scores_kind(module, op.input, depth + 1)
    if isinstance(node, ast.Call):
        name = last_part(node.func)
        if (_ROUTER.search(name) and not _NO_ROUTER.search(name)) or _is_count_layer(module, node):
            return "logits", node
        if name in ("linear", "matmul", "einsum", "mm") and any(_ROUTER.search(last_part(a)) for a in node.args):
            return "logits", node
        return "", None
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            kind, logits = scores_kind(module, side, depth + 1)
            if kind:
                return kind, logits
        return "", None
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if value is not node:
            kind, logits = scores_kind(module, value, depth + 1)
            if kind:
                return kind, logits
        if re.search(r"logits|score|gat(e|ing)|rout", node.id) and not isinstance(value, ast.Call):
            return "logits" if "prob" not in node.id else "softmax", node
    if isinstance(node, ast.Subscript):
        return scores_kind(module, node.value, depth + 1)
    return "", None


def _is_count_layer(module: Module, call: ast.Call) -> bool:
    """`self.w(x)` with `self.w = nn.Linear(dim, num_experts)`."""
    if not _is_own(call.func):
        return False
    cls = module.class_of(call)
    made = module.self_attribute(cls, call.func.attr) if cls is not None else None  # type: ignore[attr-defined]
    if not isinstance(made, ast.Call) or last_part(made.func) != "Linear" or len(made.args) < 2:
        return False
    return bool(_COUNT.match(last_part(made.args[1])))


def _scored(module: Module, unit: tuple[ast.ClassDef, ...], selections: tuple[Selection, ...]) -> str:
    kinds = {s.kind for s in selections}
    for kind in ("sigmoid", "softmax"):
        if kind in kinds:
            return kind
    for function in functions_of(unit):
        for node in walk(function):
            op = tensor_op(module, node, "softmax", "sigmoid")
            if op is not None and scores_kind(module, op.input)[0]:
                return op.name
    return ""


def choices(module: Module, layer: Layer) -> list[Selection]:
    """The choices of experts for each token, the one to build on first; none where experts choose tokens.

    The load is even by construction there: the choice is along the first dimension, or along one that the softmax is
    not along. Of several choices by the same scores (`max` for the weight, `argmax` for the expert) one is given.
    """
    chosen = [s for s in layer.selections if s.op.name in ("topk", "argmax", "max")]
    routers = [s for s in chosen if module.class_of(s.node) is not layer.cls]
    chosen = routers or chosen  # what the layer then chooses among is the router's own choice
    if not chosen or not all(_is_by_token(module, s) and _is_kept_by_token(module, s) for s in chosen):
        return []
    by_scores: dict[str, Selection] = {}
    for selection in sorted(chosen, key=lambda s: s.op.name != "argmax"):
        by_scores.setdefault(f"{selection.function.lineno} {ast.unparse(selection.scores)}", selection)
    return list(by_scores.values())


def _is_by_token(module: Module, selection: Selection) -> bool:
    dim = constant(module, selection.op.args.get("dim"))
    if dim in (None, -1):
        return True
    softmax = softmax_of(module, selection.scores)
    along = constant(module, softmax.args.get("dim")) if softmax is not None else None
    return dim == 1 and (along == 1 or selection.kind != "softmax")


def _is_kept_by_token(module: Module, selection: Selection) -> bool:
    """Whether what is chosen along the experts is written along them as well. `scatter(1, chosen, ...)` of a choice
    along the last dimension writes along the sequence where tokens come as (batch, sequence, dim)."""
    dim = constant(module, selection.op.args.get("dim"))
    for node in walk(selection.function):
        op = tensor_op(module, node, "scatter", "scatter_")
        along = constant(module, op.args.get("dim")) if op is not None else None
        if isinstance(along, int) and along >= 0 and along != dim:
            return False
    return True


def noise_of(module: Module, layer: Layer) -> str:
    """ "learnt" where the layer adds noise to its scores whose size a module of it computes, "fixed" for any other
    noise, "" for none."""
    found = ""
    for function in functions_of(layer.unit):
        for node in () if function.name == "__init__" else walk(function):
            if not isinstance(node, ast.Call) or last_part(node.func) not in _NOISE:
                continue
            product = module.parent(node)
            if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Mult):
                other = product.right if product.left is node else product.left
                if learnt(module, other):
                    return "learnt"
            found = "fixed"
    return found


def softmax_of(module: Module, node: ast.expr) -> Op | None:
    """The softmax or sigmoid that a value is, at most cast or reshaped since."""
    for _ in range(_DEPTH):
        value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
        op = tensor_op(module, value)
        if op is None or op.name in ("softmax", "sigmoid"):
            return op
        if op.name not in SAME_PROBABILITY:
            return None
        node = op.input
    return None


def words_of(layer: Layer) -> frozenset[str]:
    """The names, attributes and parameters that the layer's own classes speak of."""
    found: set[str] = set()
    for cls in layer.unit:
        for node in walk(cls):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
    return frozenset(found)


def runs_every_expert(module: Module, layer: Layer) -> bool:
    """Whether a loop over the experts calls each of them on the same input."""
    for function in functions_of(layer.unit[:1]):
        for node in walk(function):
            if not isinstance(node, (ast.For, ast.ListComp, ast.GeneratorExp)):
                continue
            over = [node] if isinstance(node, ast.For) else node.generators
            loop = next((g for g in over if _reads(g.iter, layer.experts)), None)
            if loop is None:
                continue
            names = {n.id for n in walk(loop.target) if isinstance(n, ast.Name)}
            made = {n.id for n in walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for call in walk(node):
                if not isinstance(call, ast.Call) or len(call.args) != 1 or getattr(call.func, "id", "") not in names:
                    continue
                if isinstance(call.args[0], ast.Name) and call.args[0].id not in made:
                    return not _is_conditional(module, call, node)
    return False


def _is_conditional(module: Module, call: ast.AST, loop: ast.AST) -> bool:
    """Whether a call is made in some passes of a loop only."""
    for ancestor in module.ancestors(call):
        if ancestor is loop:
            return isinstance(loop, (ast.ListComp, ast.GeneratorExp)) and any(g.ifs for g in loop.generators)
        if isinstance(ancestor, (ast.If, ast.IfExp)):
            return True
        if isinstance(ancestor, ast.For) and any(isinstance(n, ast.Continue) for n in walk(ancestor)):
            return True
    return False


def _reads(node: ast.expr, attribute: str) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == attribute for n in walk(node))
