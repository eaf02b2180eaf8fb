"""Loops that an expert leaves without a clip, whatever else is in view."""

from __future__ import annotations

import ast
import re

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, own_nodes, parameter
from autofix.transforms.loops._clipping import parameters_argument, steps_an_input
from autofix.transforms.loops._loops import LOOPS, Pair, is_optimizer_call, statements_between
from autofix.transforms.loops._signatures import rejects
from autofix.transforms.loops._stepped import bare, calls_of, is_method, stepped_layers
from autofix.tree import walk

_SCALAR = re.compile(
    r"(^|_)(log_)?(alpha|beta|eta|temp(erature)?|lagrang\w*|lambda|entropy|ent_coef|dual|tau)s?(_?(optim\w*|opt|optimizer|loss))+$",
    re.I,
)
_UTILITY = re.compile(
    r"lr_?find|learning_?rate_?find|lr_?range|explain|inversion|membership_?inference|attribute_?inference|calibrat|(^|_)adapt(_|$)|temperature_?scal",
    re.I,
)
_DEPRECATED = re.compile(r"\W*(deprecated|\.\. deprecated)", re.I)
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
_MADE_UP = re.compile(r"synthetic|dummy|(^|_)toy_", re.I)
_LAYERS = frozenset(
    "Linear LazyLinear Bilinear ReLU LeakyReLU ELU GELU SELU SiLU Tanh Sigmoid Softplus Softmax LogSoftmax Dropout "
    "BatchNorm1d LayerNorm Flatten Identity Sequential Conv2d MaxPool2d AvgPool2d".split()
)
_SMALL = 8  # layers with weights of a net that is shallow in any reading
_ADAPTIVE = re.compile(r"Adam|RMSprop|Adagrad|Adadelta|Lion|AdaBelief|NAdam|Prodigy|Adafactor")


def needs_none(module: Module, found: Pair) -> bool:
    """Whether an expert would leave this loop unclipped whatever the model: what it steps is a scalar or a probe, it
    is a tool around training, the step belongs to a runtime with hooks, or to another library."""
    if _is_retired(module, found.step.call):
        return True
    optimizer = found.step.optimizer
    if _SCALAR.search(last_name(optimizer)) or _SCALAR.search(_loss_name(found)):
        return True
    around = [a.name for a in module.ancestors(found.step.call) if isinstance(a, (ast.FunctionDef, ast.ClassDef))]
    if any(_UTILITY.search(_snake(n)) or _PROBE.search(n) for n in around):
        return True
    if (
        _steps_probe(module, optimizer)
        or _steps_heads(module, optimizer)
        or _steps_inputs_only(module, optimizer)
        or _fits_a_part_of_itself(module, found)
    ):
        return True
    if any(isinstance(n, ast.Name) and n.id in _OTHER_LIBRARIES for n in walk(module.function_scope(optimizer))):
        return True
    between = statements_between(module, found)
    return any(isinstance(n, ast.Call) and _HOOK.match(last_name(n.func)) for n in between)


def _is_retired(module: Module, step: ast.Call) -> bool:
    """Whether a function around the step calls itself deprecated, or every call of it in this file raises: it stands
    behind a `raise` that nothing passes, or its arguments do not fit."""
    for scope in module.ancestors(step):
        if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if _DEPRECATED.match(ast.get_docstring(scope) or ""):
            return True
        if any(last_name(d) == "deprecated" for d in scope.decorator_list):
            return True
        if isinstance(scope, ast.ClassDef):
            continue
        calls, bound = calls_of(module, scope), is_method(module, scope)
        if calls and all(_is_behind_raise(module, c) or rejects(scope, c, is_method=bound) for c in calls):
            return True
    return False


def _is_behind_raise(module: Module, node: ast.AST) -> bool:
    around = [module.statement(node), *(a for a in module.ancestors(node) if isinstance(a, ast.stmt))]
    return any(
        isinstance(before, ast.Raise)
        for statement in around
        for before in module.block(statement)[: module.block(statement).index(statement)]
    )


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
    models = [bare(m) for o in owners for m in constructors(module, o)]
    return len(owners) == len(built) and bool(models) and all(_is_shallow(module, m) for m in models)


def without_batches(module: Module, found: Pair) -> bool:
    """Whether every turn of the loop sees the same data: no batch can be an outlier."""
    function = module.function_scope(found.step.call)
    last = found.backward.call.lineno
    loop = _loop_within(module, found.step.call, function)
    if loop is None and isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        before = [n for s in function.body for n in own_nodes(s) if getattr(n, "lineno", last) <= last]
        if any(isinstance(n, ast.Call) and _brings_data(last_name(n.func)) for n in before):
            return False
        calls = calls_of(module, function)
        loops = [_loop_within(module, c, module.function_scope(c)) for c in calls]
        return bool(calls) and all(
            outer is not None and _repeats(module, outer, call.lineno) for outer, call in zip(loops, calls, strict=True)
        )
    return loop is not None and _repeats(module, loop, last)


def _loop_within(module: Module, node: ast.AST, function: ast.AST) -> ast.AST | None:
    for ancestor in module.ancestors(node):
        if ancestor is function:
            return None
        if isinstance(ancestor, LOOPS):
            return ancestor
    return None


def _repeats(module: Module, loop: ast.AST, last: int) -> bool:
    """Whether a loop counts, and no turn of it fetches data before the line `last`."""
    if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name):
        return False
    turns = constructors(module, loop.iter) if isinstance(loop.iter, ast.Name) else [loop.iter]
    if len(turns) != 1 or not isinstance(turns[0], ast.Call):
        return False
    if last_name(turns[0].func) not in ("range", "trange") and not _wraps_range(turns[0]):
        return False
    turn = loop.target.id
    for node in (n for s in loop.body for n in own_nodes(s)):
        if isinstance(node, LOOPS) and ".grad" not in module.source(node):  # one over the parameters brings no data
            return False
        if isinstance(node, ast.Subscript) and any(isinstance(n, ast.Name) and n.id == turn for n in walk(node.slice)):
            return False
        brings = isinstance(node, ast.Call) and node.lineno <= last and _brings_data(last_name(node.func))
        if isinstance(node, ast.Call) and brings and not _draws(module, node, loop):
            return False
    return True


def _draws(module: Module, call: ast.Call, loop: ast.For) -> bool:
    """Whether a call draws whole numbers that are the data themselves, and no places to look up in others."""
    if module.qualified(call.func) != "torch.randint":
        return False
    statement = module.statement(call)
    if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
        return False
    names = {n.id for t in statement.targets for n in walk(t) if isinstance(n, ast.Name)}
    if any(isinstance(a, ast.Subscript) for a in module.ancestors(call) if a is not statement):
        return False
    looked_up = [n.slice for n in walk(loop) if isinstance(n, ast.Subscript)]
    looked_up += [n.iter for n in walk(loop) if isinstance(n, (ast.For, ast.comprehension)) and n is not loop]
    return not any(isinstance(n, ast.Name) and n.id in names for part in looked_up for n in walk(part))


def _brings_data(name: str) -> bool:
    """Whether a call brings a batch, by its name. Fresh noise alone (`torch.randn`) has no outliers, nor has what
    calls itself made up."""
    if name in ("rand", "randn", "getattr") or _MADE_UP.search(name):
        return False
    return bool(_DATA.search(name))


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
        names = [last_name(m.func) for m in (bare(v) for v in constructors(module, owner)) if isinstance(m, ast.Call)]
        if names and all(n == "Linear" or _PROBE.search(_snake(n)) for n in names):
            return True
    return False


def _steps_heads(module: Module, optimizer: ast.expr) -> bool:
    """Whether every module that is stepped is in view and is one linear map, or a loss with weights."""
    layers = stepped_layers(module, optimizer)
    names = [last_name(v.func) for v in layers if isinstance(v, ast.Call)]
    heads = [n for n in names if n in ("Linear", "LazyLinear")]
    return bool(heads) and len(names) == len(layers) and all(n in heads or n.endswith("Loss") for n in names)


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
