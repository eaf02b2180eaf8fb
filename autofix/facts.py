"""What a model is made of, told from its source: kinds of architecture and the properties that keep training stable.

Every fact has the line that it was read from. What is not found may still be done elsewhere (weights initialised by a
caller, gradients clipped by a framework): "not found" is no defect, findings are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autofix.model import Problem, Source
from autofix.syntax import Module, parse

KINDS = (
    "mixture of experts",
    "conditional heads",
    "attention",
    "normalising flow",
    "recurrent",
    "convolutional",
    "graph",
    "feed-forward",
)
PROPERTIES = ("initialisation", "normalisation", "residual path", "bounded operations", "scaled scores")

_RECURRENT = {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"}
_ATTENTION = {"MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoder",
              "TransformerDecoderLayer", "Transformer"}  # fmt: skip
_NORMS = re.compile(r"^(Layer|RMS|Batch|Group|Instance|SyncBatch|Local\w*)Norm\w*$|^Adaptive\w*Norm$")
_CONVOLUTION = re.compile(r"^(Lazy)?Conv(Transpose)?[123]d$")
_EXPERT = re.compile(r"(^|_)(experts?|moe)(_|$)", re.I)
_ROUTER = re.compile(r"(^|_)(router|gate|gating|routing|selector)(_|$)", re.I)
_QUERY = re.compile(r"(^|_)(qkv|to_q|to_qkv|q_proj|query|w_?q|wq|q|queries|in_proj)(_|$)", re.I)
_LOG_DET = re.compile(r"log_?(abs_?)?det|logdet|ladj|log_?jac", re.I)
_BALANCE = re.compile(r"aux\w*loss|balanc|z_?loss|load_loss|importance", re.I)
_CAPACITY = re.compile(r"capacity", re.I)
_INIT_METHODS = {"normal_", "uniform_", "zero_", "fill_", "copy_", "trunc_normal_"}
_BOUNDS = {"clamp", "clip", "clamp_min", "clamp_max", "tanh", "log_softmax", "logsigmoid", "softplus", "logsumexp",
           "nan_to_num", "log1p", "expm1", "finfo"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the source shows, and the 1-based line where."""

    name: str
    line: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """An `nn.Module` class. kinds: what it is, each with the line that says so. properties: what of `PROPERTIES` was
    found; routing: what a mixture needs ("load balancing", "capacity", "top-k", "normalised weights")."""

    name: str
    path: str
    line: int
    end: int
    kinds: tuple[Fact, ...]
    properties: tuple[Fact, ...]
    routing: tuple[Fact, ...] = ()

    def found(self, name: str) -> Fact | None:
        return next((f for f in (*self.properties, *self.routing) if f.name == name), None)

    def is_kind(self, *names: str) -> bool:
        return any(k.name in names for k in self.kinds)


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """A function (or module) that steps an optimizer. Lines are 1-based, None where there is none. order: whether the
    scaler unscales before the clip; None where there is no scaler or no clip."""

    path: str
    line: int
    name: str
    clip: int | None
    autocast: int | None
    scaler: int | None
    order: bool | None


@dataclass(frozen=True, slots=True)
class FileFacts:
    models: tuple[ModelFacts, ...] = ()
    training: tuple[TrainingFacts, ...] = ()


def facts_of(source: Source) -> FileFacts:
    """What a file shows; nothing for one that does not parse or does not use torch."""
    if b"torch" not in source.data:
        return FileFacts()
    module = parse(source)
    if isinstance(module, Problem):
        return FileFacts()
    classes = {n.name: n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)}
    models = [_model(module, node, source.path) for node in classes.values() if _is_model(module, node, classes, ())]
    return FileFacts(tuple(sorted(models, key=lambda m: m.line)), tuple(_training(module, source.path)))


def _is_model(module: Module, node: ast.ClassDef, classes: dict[str, ast.ClassDef], above: Sequence[str]) -> bool:
    """A class that derives from `nn.Module`, directly or through classes of the same file, and computes something."""
    if not any(isinstance(n, ast.FunctionDef) for n in node.body):
        return False
    for base in node.bases:
        dotted = module.qualified(base) or ""
        if dotted.startswith("torch.nn."):
            return True
        if isinstance(base, ast.Name) and base.id in classes and base.id not in above:
            if _is_model(module, classes[base.id], classes, (*above, node.name)):
                return True
        elif dotted.rpartition(".")[2].endswith(("Module", "PreTrainedModel")):
            return True
    return False


def _model(module: Module, node: ast.ClassDef, path: str) -> ModelFacts:
    seen = _Seen(module, node)
    kinds = tuple(_kinds(seen))
    routed = any(k.name in ("mixture of experts", "conditional heads") for k in kinds)
    return ModelFacts(
        node.name,
        path,
        node.lineno,
        node.end_lineno or node.lineno,
        kinds,
        tuple(_properties(seen, any(k.name == "attention" for k in kinds))),
        tuple(_routing(seen)) if routed else (),
    )


class _Seen:
    """The nodes of a class, and the calls among them by the last part of what they call."""

    def __init__(self, module: Module, node: ast.ClassDef) -> None:
        self.module = module
        self.node = node
        self.nodes = list(ast.walk(node))
        self.calls: dict[str, ast.Call] = {}
        for one in self.nodes:
            if isinstance(one, ast.Call) and (name := _called(one)):
                self.calls.setdefault(name, one)

    def call(self, wanted: Callable[[str], object]) -> tuple[str, int] | None:
        return next(((n, c.lineno) for n, c in self.calls.items() if wanted(n)), None)

    def named(self, pattern: re.Pattern[str]) -> tuple[str, int] | None:
        """The first name or attribute that matches."""
        for one in self.nodes:
            name = one.id if isinstance(one, ast.Name) else one.attr if isinstance(one, ast.Attribute) else ""
            if name and pattern.search(name):
                return name, one.lineno  # type: ignore[attr-defined]
        return None

    def held(self, pattern: re.Pattern[str]) -> tuple[str, int] | None:
        """The first attribute of self that is assigned and matches."""
        for one in self.nodes:
            if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and pattern.search(one.attr):
                return one.attr, one.lineno
        return None


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _kinds(seen: _Seen) -> Iterator[Fact]:
    name = seen.node.name
    experts = seen.held(_EXPERT)
    router = seen.held(_ROUTER)
    chooses = seen.call(lambda n: n in ("topk", "argmax", "sort", "argsort", "one_hot", "gumbel_softmax"))
    if experts or re.search(r"MoE\b|MoE[A-Z]|MixtureOfExperts", name):
        yield Fact("mixture of experts", experts[1] if experts else seen.node.lineno, experts[0] if experts else name)
    elif router and chooses:
        yield Fact("conditional heads", router[1], f"{router[0]}, {chooses[0]}")
    attention = seen.call(lambda n: n in _ATTENTION or n == "scaled_dot_product_attention")
    query, weights = seen.named(_QUERY), seen.call(lambda n: n in ("softmax", "Softmax"))
    if attention:
        yield Fact("attention", attention[1], attention[0])
    elif query and weights:
        yield Fact("attention", weights[1], f"softmax of scores from {query[0]}")
    elif query and "Attention" in name:
        yield Fact("attention", query[1], query[0])
    log_det = seen.named(_LOG_DET)
    if log_det or re.search(r"Flow|Coupling", name):
        yield Fact("normalising flow", log_det[1] if log_det else seen.node.lineno, log_det[0] if log_det else name)
    elif seen.call(lambda n: n == "exp") and (scale := seen.named(re.compile(r"^log_(s|scale)$"))):
        yield Fact("normalising flow", scale[1], scale[0])
    for kind, wanted in (
        ("recurrent", lambda n: n in _RECURRENT),
        ("convolutional", _CONVOLUTION.match),
        ("graph", re.compile(r"^(GCN|GAT|SAGE|Graph)\w*Conv\w*$|^MessagePassing$|^scatter_(add|mean)$").match),
        ("feed-forward", lambda n: n in ("Linear", "LazyLinear")),
    ):
        found = seen.call(wanted)
        if found:
            yield Fact(kind, found[1], found[0])


# -- properties ------------------------------------------------------------------------------------------------


def _properties(seen: _Seen, attends: bool) -> Iterator[Fact]:
    yield from _initialisation(seen)
    norm = seen.call(_NORMS.match) or seen.call(lambda n: n in ("normalize", "layer_norm", "rms_norm", "group_norm"))
    if norm:
        yield Fact("normalisation", norm[1], norm[0])
    residual = _residual(seen)
    if residual:
        yield Fact("residual path", residual.lineno, ast.unparse(residual)[:60])
    bounds = [(c.lineno, n) for n, c in seen.calls.items() if n in _BOUNDS]
    if bounds:
        yield Fact("bounded operations", min(bounds)[0], ", ".join(n for _, n in sorted(bounds)))
    scale = _scaled(seen) if attends else None
    if scale:
        yield Fact("scaled scores", scale.lineno, ast.unparse(scale)[:60])


def _initialisation(seen: _Seen) -> Iterator[Fact]:
    for one in seen.nodes:
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            dotted = seen.module.qualified(one.func) or ""
            of_parameter = one.func.attr in _INIT_METHODS and isinstance(one.func.value, ast.Attribute)
            if dotted.startswith("torch.nn.init.") or one.func.attr in ("reset_parameters", "apply") or of_parameter:
                yield Fact("initialisation", one.lineno, dotted.rpartition(".")[2] or one.func.attr)
                return
    for one in seen.nodes:
        if isinstance(one, ast.Call) and _called(one) == "Parameter" and one.args and not _is_raw(one.args[0]):
            yield Fact("initialisation", one.lineno, f"its own parameters: {ast.unparse(one.args[0])[:48]}")
            return


def _is_raw(value: ast.expr) -> bool:
    """Memory as it was found, which somebody else has to fill."""
    return isinstance(value, ast.Call) and _called(value) in ("empty", "Tensor", "FloatTensor", "empty_like")


def _residual(seen: _Seen) -> ast.AugAssign | ast.BinOp | ast.Name | None:
    """`x + f(x)`, or `x += f(x)`: a sum whose one side is what the other side is computed from."""
    for one in seen.nodes:
        if isinstance(one, ast.AugAssign) and isinstance(one.op, ast.Add) and isinstance(one.target, ast.Name):
            if isinstance(one.value, ast.Call) and one.target.id in _names(one.value):
                return one
        elif isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add):
            for side, other in ((one.left, one.right), (one.right, one.left)):
                if isinstance(side, ast.Name) and isinstance(other, ast.Call) and side.id in _names(other):
                    return one
    return next((n for n in seen.nodes if isinstance(n, ast.Name) and re.search("residual|shortcut", n.id)), None)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _scaled(seen: _Seen) -> ast.BinOp | None:
    """Scores divided by a root, or multiplied by a scale, where they are computed."""
    methods = (n for n in seen.node.body if isinstance(n, ast.FunctionDef) and n.name != "__init__")
    for one in (n for method in methods for n in ast.walk(method)):
        if not isinstance(one, ast.BinOp) or not isinstance(one.op, (ast.Div, ast.Mult)):
            continue
        text = ast.unparse(one.right)
        if "sqrt" in text or "** 0.5" in text or "** -0.5" in text or re.search(r"\bscal(e|ing)\b", text):
            return one
    return None


def _routing(seen: _Seen) -> Iterator[Fact]:
    balance, capacity = seen.named(_BALANCE), seen.named(_CAPACITY)
    if balance:
        yield Fact("load balancing", balance[1], balance[0])
    if capacity:
        yield Fact("capacity", capacity[1], capacity[0])
    top = seen.call(lambda n: n in ("topk", "argmax"))
    if top:
        yield Fact("top-k", top[1], top[0])
    weights = seen.call(lambda n: n in ("softmax", "sigmoid", "normalize"))
    if weights:
        yield Fact("normalised weights", weights[1], weights[0])


# -- training --------------------------------------------------------------------------------------------------


def _training(module: Module, path: str) -> Iterator[TrainingFacts]:
    """Each innermost function that calls `backward`, or the module itself."""
    for scope in ast.walk(module.tree):
        if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            continue
        calls = [n for n in _own(scope) if isinstance(n, ast.Call)]
        backward = next((c for c in calls if _called(c) == "backward" and isinstance(c.func, ast.Attribute)), None)
        if backward is None or not any(_called(c) == "step" for c in calls):
            continue
        clip = _line(calls, lambda n: n.startswith("clip_grad"))
        unscale = _line(calls, lambda n: n == "unscale_")
        scaler = _line(calls, lambda n: n in ("GradScaler", "unscale_", "scale"))
        order = None if clip is None or scaler is None else unscale is not None and unscale < clip
        name = scope.name if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) else "the module"
        yield TrainingFacts(path, backward.lineno, name, clip, _line(calls, lambda n: n == "autocast"), scaler, order)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    pending = list(ast.iter_child_nodes(scope))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def _line(calls: Sequence[ast.Call], wanted: Callable[[str], bool]) -> int | None:
    return min((c.lineno for c in calls if wanted(_called(c))), default=None)
