"""What in view makes large gradients likely, and what makes bounding them pointless."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, own_nodes, parameter
from autofix.transforms.loops._clipping import parameters_argument, steps_an_input
from autofix.transforms.loops._loops import LOOPS, Pair, is_optimizer_call, local_function, statements_between
from autofix.tree import walk

_RECURRENT = re.compile(r"^(Conv)?(LSTM|GRU|RNN)(Cell)?$|LSTM|^(lstm|gru|rnn)(_|\d*$)|_(lstm|gru|rnn)$")
_ATTENTION = re.compile(
    r"Transformer(Encoder|Decoder|Model|Block|Layer|LM|Wrapper)|^(Text|Vision|Decoder|Encoder|Causal)Transformer"
    r"|MultiheadAttention|^AutoModel|^(Bert|Roberta|T5|Llama|Mistral)[A-Z]\w*|^(Nano|Mini)?GPT(2|Neo\w*|Config|LM\w*)?$"
    r"|^(lm_head|input_ids|attention_mask|token_type_ids|vocab_size|perplexity|scaled_dot_product_attention)$"
    r"|^(lm|num_tokens|token_batch)$"
)
_EXPERTS = re.compile(r"^(num_)?experts$|^moe(_|$)|MoE|MixtureOfExperts|^router(_|$)")
_LOG_PROBABILITY = re.compile(r"log_?probs?(_|$)|^logp(s|_|$)|log_?pi(_|$)|^ratios?$", re.I)
_ADVANTAGE = re.compile(r"advantages?|^advs?(_|$)|^returns$|^rewards?(_|$)", re.I)
_POLICY_LOSS = re.compile(
    r"(PPO|A2C|A3C|TRPO|GRPO|RLOO|Reinforce|VMPO|PolicyGradient)\w*Loss$|^(policy_gradient|pg)_loss$|(^|_)pi_loss$"
)
_VALUE_LEARNING = re.compile(
    r"^(target_?)?q\d?(_|$)|^next_q|critic_?target|target_?critic|polyak|soft_?update|_q_|^qf\d|DQN|^q_?net|target_net|td_error",
    re.I,
)
_ADVERSARIAL = re.compile(r"discriminator|(^|_)disc(r)?(_|$)|^(net|err|optim\w*)_?[GD]$|adversarial", re.I)
_LIKELIHOOD = re.compile(
    r"^(log_prob|log_likelihood|logdet|slogdet|lgamma|kl_divergence|sample_elbo|kl_loss|kld)$|elbo", re.I
)
_UNROLLED = re.compile(r"^(odeint|odeint_adjoint|cdeint|maml|MAML|MetaSGD|adapt)$")

_SCALAR = re.compile(
    r"(^|_)(log_)?(alpha|beta|eta|temp(erature)?|lagrang\w*|lambda|entropy|ent_coef|dual|tau)s?(_?(optim\w*|opt|optimizer|loss))+$",
    re.I,
)
_UTILITY = re.compile(
    r"lr_?find|learning_?rate_?find|lr_?range|explain|inversion|membership_?inference|attribute_?inference|calibrat|(^|_)adapt(_|$)|temperature_?scal",
    re.I,
)
_PROBE = re.compile(
    r"linear_?(model|probe|classifier|eval|head)|(^|_)probe(_|$)|online_?(eval|classif)\w*|bias_?(layer|correct)", re.I
)
_LATENT = re.compile(r"(^|_)(latents?|images?|pixels|poses?|masks?)$")
_HOOK = re.compile(
    r"^_?(after_backward|before_(update|step|optimi[sz]er\w*)|fire_event|on_(after_backward|before_\w*step))$"
)
_RUNTIME = ("engine", "trainer", "strategy", "runner", "pl_module")
_OTHER_LIBRARIES = ("paddle", "tensorflow", "tf", "jax", "mindspore", "oneflow")
_DATA = re.compile(r"^next$|batch|sample|rand|shuffle|choice|generate|roll|env|get_|load|play|collect|data")
_LAYERS = frozenset(
    "Linear LazyLinear Bilinear ReLU LeakyReLU ELU GELU SELU SiLU Tanh Sigmoid Softplus Softmax LogSoftmax Dropout "
    "BatchNorm1d LayerNorm Flatten Identity Sequential Conv2d MaxPool2d AvgPool2d".split()
)
_SMALL = 8  # layers with weights of a net that is shallow in any reading
_ADAPTIVE = re.compile(r"Adam|RMSprop|Adagrad|Adadelta|Lion|AdaBelief|NAdam|Prodigy|Adafactor")
_LARGE_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Risk:
    """because: a clause for the message; strong: whether practice bounds the norm for this reason as a rule."""

    because: str
    strong: bool


ADVERSARIAL = Risk("adversarial players amplify each other's gradients", False)


def risk(module: Module, found: Pair) -> Risk | None:
    """What makes one batch's gradient likely to be far larger than the rest, in the order of how much it says."""
    near = list(_near(module, found))
    around = enclosing_scopes(module, found.step.call)[:-1]
    outer = {w for n in (walk(around[-1]) if around else ()) for w in _identifiers(n)}
    words = {w for n in near for w in _identifiers(n)}
    far = words | {w for n in _reached(module, near) for w in _identifiers(n)}
    if any(_RECURRENT.search(w) for w in far):
        return Risk("a recurrent net multiplies its gradient over the time steps", True)
    if without_batches(module, found):
        return None
    if any(_EXPERTS.search(w) for w in far):
        return Risk("routing sends some batches to few experts, whose gradients spike", True)
    if any(_ATTENTION.search(w) for w in far):
        return Risk("attention models have rare batches with gradients far above the rest", True)
    if any(_POLICY_LOSS.search(w) for w in words | outer) or _weighs_log_probabilities(words):
        return Risk("a policy loss weighs log-probabilities with returns, whose scale nothing fixes", True)
    if found.step.scaler is not None and found.backward.kind == "scaled":
        return Risk("in half precision the scaler skips steps that overflow but lets any finite spike through", True)
    bootstraps = any(_VALUE_LEARNING.search(w) for w in words | outer)
    if not bootstraps and any(_LIKELIHOOD.search(w) for w in words):
        return Risk("the gradient of a log-likelihood grows without limit where the density is small", True)
    if any(_guards_loss(module, n) for n in near):
        return Risk("the code here already looks out for losses that are not finite", True)
    if any(isinstance(n, ast.keyword) and n.arg == "create_graph" for n in near) or any(
        _UNROLLED.search(w) for w in words
    ):
        return Risk("the loss is differentiated through other gradients or an unrolled solver", False)
    if bootstraps:
        return Risk("errors against a target that the net itself makes have no bound", False)
    if any(_ADVERSARIAL.search(w) for w in words):
        return ADVERSARIAL
    rate = _rate_of_sgd(module, found.step.optimizer)
    if rate is not None:
        return Risk(f"SGD moves by the full length of the gradient{rate}", False)
    return None


def names_a_risky_model(module: Module) -> bool:
    """Whether the file names a recurrent net, attention or experts anywhere."""
    words = {w for n in walk(module.tree) for w in _identifiers(n)}
    return any(_RECURRENT.search(w) or _ATTENTION.search(w) or _EXPERTS.search(w) for w in words)


def _guards_loss(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or last_name(node.func) not in ("isnan", "isfinite", "isinf"):
        return False
    return bool(re.search(r"loss|grad", module.source(node), re.I))


def _weighs_log_probabilities(words: set[str]) -> bool:
    """Whether the loss is a policy gradient. Losses that follow a learned Q, as in SAC, are none."""
    if not any(_LOG_PROBABILITY.search(w) for w in words) or any(_VALUE_LEARNING.search(w) for w in words):
        return False
    return any(_ADVANTAGE.search(w) for w in words)


def needs_none(module: Module, found: Pair) -> bool:
    """Whether an expert would leave this loop unclipped whatever the model: what it steps is a scalar or a probe, it
    is a tool around training, the step belongs to a runtime with hooks, or to another library."""
    optimizer = found.step.optimizer
    if _SCALAR.search(last_name(optimizer)) or _SCALAR.search(_loss_name(found)):
        return True
    around = [a.name for a in module.ancestors(found.step.call) if isinstance(a, (ast.FunctionDef, ast.ClassDef))]
    if any(_UTILITY.search(_snake(n)) or _PROBE.search(n) for n in around):
        return True
    if (
        _steps_probe(module, optimizer)
        or _steps_inputs_only(module, optimizer)
        or _fits_a_part_of_itself(module, found)
    ):
        return True
    if any(isinstance(n, ast.Name) and n.id in _OTHER_LIBRARIES for n in walk(module.function_scope(optimizer))):
        return True
    between = statements_between(module, found)
    return any(isinstance(n, ast.Call) and _HOOK.match(last_name(n.func)) for n in between)


def is_remote(module: Module, found: Pair) -> bool:
    """Whether the optimizer belongs to another object (`engine.optimizer`, `self.agent.optim`), or the function is
    called by a runtime that its user sets up: who owns the training is out of view."""
    owner = found.step.optimizer
    while isinstance(owner, ast.Subscript):
        owner = owner.value
    if isinstance(owner, ast.Attribute) and not (isinstance(owner.value, ast.Name) and owner.value.id == "self"):
        return True
    function = module.function_scope(found.step.call)
    arguments = getattr(function, "args", None)
    names = [a.arg for a in arguments.args] if isinstance(arguments, ast.arguments) else []
    return any(n in _RUNTIME for n in names)


def is_handed_over(module: Module, found: Pair) -> bool:
    """Whether the step is made once, outside a loop, with an optimizer that another file makes or on a loss that is an
    argument: the recipe is the caller's."""
    function = module.function_scope(found.step.call)
    inside = [a for a in module.ancestors(found.step.call) if isinstance(a, LOOPS)]
    if any(module.function_scope(loop) is function for loop in inside):
        return False
    call = found.backward.call
    loss = call.func.value if isinstance(call.func, ast.Attribute) and found.backward.kind == "tensor" else None
    if isinstance(loss, ast.Name) and parameter(function, loss.id) is not None:
        return True
    return not any(is_optimizer_call(module, n) for n in walk(module.tree))


def is_small(module: Module, found: Pair) -> bool:
    """Whether the stepped model is in view, shallow and feed-forward, and an adaptive optimizer bounds its steps."""
    built = constructors(module, found.step.optimizer)
    if not built or not all(isinstance(b, ast.Call) and _ADAPTIVE.search(last_name(b.func)) for b in built):
        return False
    owners = [o for b in built if isinstance(b, ast.Call) and (o := _owner(b)) is not None]
    models = [_bare(m) for o in owners for m in constructors(module, o)]
    return len(owners) == len(built) and bool(models) and all(_is_shallow(module, m) for m in models)


def without_batches(module: Module, found: Pair) -> bool:
    """Whether every turn of the loop sees the same data: no batch can be an outlier."""
    function = module.function_scope(found.step.call)
    loop: ast.AST | None = None
    for ancestor in module.ancestors(found.step.call):
        if ancestor is function:
            break
        if isinstance(ancestor, LOOPS):
            loop = ancestor
            break
    if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call) or not isinstance(loop.target, ast.Name):
        return False
    if last_name(loop.iter.func) not in ("range", "trange") and not _wraps_range(loop.iter):
        return False
    turn, last = loop.target.id, found.backward.call.lineno
    for node in (n for s in loop.body for n in own_nodes(s)):
        if isinstance(node, LOOPS) and ".grad" not in module.source(node):  # one over the parameters brings no data
            return False
        if isinstance(node, ast.Subscript) and any(isinstance(n, ast.Name) and n.id == turn for n in walk(node.slice)):
            return False
        if isinstance(node, ast.Call) and node.lineno <= last and _brings_data(last_name(node.func)):
            return False
    return True


def _brings_data(name: str) -> bool:
    """Whether a call brings a batch, by its name. Fresh noise alone (`torch.randn`) has no outliers."""
    return name not in ("rand", "randn", "getattr") and bool(_DATA.search(name))


def _wraps_range(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Call) and last_name(call.args[0].func) == "range"


def _loss_name(found: Pair) -> str:
    call = found.backward.call
    if not isinstance(call.func, ast.Attribute):
        return ""
    return last_name(call.args[0] if call.args else call.func.value)


def _owner(built: ast.Call) -> ast.expr | None:
    """`model` in `Adam(model.parameters())`."""
    given = parameters_argument(built)
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute) and given.func.attr == "parameters":
        return given.func.value
    return None


def _steps_probe(module: Module, optimizer: ast.expr) -> bool:
    for built in constructors(module, optimizer):
        owner = _owner(built) if isinstance(built, ast.Call) else None
        if owner is None:
            continue
        if _PROBE.search(last_name(owner)) or _LATENT.search(last_name(owner)):
            return True
        names = [last_name(m.func) for m in (_bare(v) for v in constructors(module, owner)) if isinstance(m, ast.Call)]
        if names and all(n == "Linear" or _PROBE.search(_snake(n)) for n in names):
            return True
    return False


def _bare(model: ast.expr) -> ast.expr:
    """`Net()` in `Net().to(device).train()`."""
    while (
        isinstance(model, ast.Call)
        and isinstance(model.func, ast.Attribute)
        and model.func.attr in ("to", "cuda", "cpu", "float", "double", "train", "requires_grad_")
    ):
        model = model.func.value
    return model


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _steps_inputs_only(module: Module, optimizer: ast.expr) -> bool:
    """Whether the optimizer is an argument, and every optimizer that the file makes steps tensors, not a model."""
    if constructors(module, optimizer):
        return False
    calls = [n for n in walk(module.tree) if isinstance(n, ast.Call) and is_optimizer_call(module, n)]
    given = [parameters_argument(c) for c in calls]
    return bool(given) and all(g is not None and steps_an_input(module, g) for g in given)


def _fits_a_part_of_itself(module: Module, found: Pair) -> bool:
    """Whether a module steps some parameters of its own inside its forward pass, or with an optimizer that one of its
    methods builds, uses and forgets: a fit beside the training."""
    cls = module.class_of(found.step.call)
    if cls is None or not any(last_name(b) == "Module" for b in cls.bases):
        return False
    function = module.function_scope(found.step.call)
    if isinstance(function, ast.FunctionDef) and function.name == "forward":
        return not any(isinstance(n, LOOPS) for n in walk(function))
    optimizer = found.step.optimizer
    return isinstance(optimizer, ast.Name) and any(
        isinstance(n, ast.Assign) and any(_is_named(t, optimizer) for t in n.targets) for n in own_nodes(function)
    )


def _is_named(target: ast.expr, name: ast.Name) -> bool:
    return isinstance(target, ast.Name) and target.id == name.id


def _is_shallow(module: Module, model: ast.expr) -> bool:
    if not isinstance(model, ast.Call):
        return False
    inside = _class_named(module, last_name(model.func), model)
    built = [n for n in walk(inside if inside is not None else model) if isinstance(n, ast.Call)]
    layers = [last_name(n.func) for n in built if (module.qualified(n.func) or "").startswith("torch.nn.")]
    functional = [n for n in layers if n[:1].isupper()]
    weighted = [n for n in functional if n in ("Linear", "LazyLinear", "Bilinear", "Conv2d")]
    if inside is not None and any(isinstance(n, (*LOOPS, ast.ListComp)) for n in walk(inside)):
        return False
    return 0 < len(weighted) <= _SMALL and all(n in _LAYERS for n in functional)


def _class_named(module: Module, name: str, near: ast.AST) -> ast.ClassDef | None:
    """The one class of that name in the file: at its top, or in a function around `near`."""
    scopes = enclosing_scopes(module, near)
    found = [n for scope in scopes for n in walk(scope) if isinstance(n, ast.ClassDef) and n.name == name]
    return found[0] if found else None


def _rate_of_sgd(module: Module, optimizer: ast.expr) -> str | None:
    built = constructors(module, optimizer)
    if not built or not all(isinstance(b, ast.Call) and last_name(b.func) == "SGD" for b in built):
        return None
    rates = [k.value for b in built if isinstance(b, ast.Call) for k in b.keywords if k.arg == "lr"]
    known = [r.value for r in rates if isinstance(r, ast.Constant) and isinstance(r.value, (int, float))]
    return f", here times {known[0]}" if known and known[0] >= _LARGE_RATE else ""


def _near(module: Module, found: Pair) -> Iterator[ast.AST]:
    """The functions around the backward pass and the step, and those of this file that they call."""
    scopes: list[ast.AST] = []
    for call in (found.step.call, found.backward.call, found.call):
        function = module.function_scope(call)
        if function is module.tree:
            loops = [a for a in module.ancestors(call) if isinstance(a, LOOPS)]
            scopes.append(loops[-1] if loops else found.first)
        else:
            scopes.append(function)
    if found.backward.helper is not None:
        scopes.append(found.backward.helper)
    called = [f for s in scopes for n in walk(s) if isinstance(n, ast.Call) and (f := local_function(module, n))]
    seen: set[int] = set()
    for scope in (*scopes, *called):
        if id(scope) not in seen:
            seen.add(id(scope))
            yield from walk(scope)


def _reached(module: Module, near: list[ast.AST]) -> Iterator[ast.AST]:
    """The classes and functions of the file that are named near the loop, and those named there; the constructor of
    the class that the loop belongs to."""
    tops = {s.name: s for s in module.tree.body if isinstance(s, (ast.ClassDef, ast.FunctionDef))}
    cls = module.class_of(near[0]) if near else None
    pending = [
        m for name in ("__init__", "configure_optimizers") if cls is not None and (m := module.method(cls, name))
    ]
    seen: set[str] = set()
    for node in near:
        if isinstance(node, ast.Name) and node.id in tops and node.id not in seen:
            seen.add(node.id)
            pending.append(tops[node.id])  # type: ignore[arg-type]
    while pending:
        for node in walk(pending.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in tops and node.id not in seen:
                seen.add(node.id)
                pending.append(tops[node.id])  # type: ignore[arg-type]


def _identifiers(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        padding = node.attr == "rnn" and isinstance(node.value, ast.Attribute)  # torch.nn.utils.rnn.pad_sequence
        return () if padding and last_name(node.value) == "utils" else (node.attr,)
    if isinstance(node, (ast.arg, ast.keyword)):
        return (node.arg or "",)
    return ()
