"""What already bounds the gradients of a step, or makes clipping it wrong."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from autofix.syntax import Module
from autofix.transforms.loops._bindings import bindings, constructors, enclosing_scopes, last_name, same
from autofix.transforms.loops._imports import definition_elsewhere
from autofix.transforms.loops._loops import LOOPS, Pair, local_function, optimizer_step, pair, statements_between
from autofix.transforms.loops._stepped import calls_of, origins
from autofix.tree import walk

# Words for clipping gradients. PPO's `clip_range`, `clip_eps`, and OpenAI's CLIP are none of them.
_GRADIENT_CLIPPING = re.compile(
    r"clip_*grad|grad(ient)?s?_*(norm)?_*clip|clip(_the)?_*(norm|val(ue)?)(?!id|ues_in)|max_*grad(ient)?s?_*norm"
    r"|max_*norm|(^|[^a-z])clipping|norm_*clip|clip_*(weight|master|global|param(eter)?s(?!_)|threshold|max)"
    r"|^grad(ient)?_*(limit|bound|max)|agc$|unitwise_norm|normali[sz]e_*grad",
    re.I,
)
_IN_BACKWARD = re.compile(r"optim\w*_in_(bwd|backward)|register_post_accumulate_grad_hook|OptimizerInBackward", re.I)
_PRIVACY = re.compile(r"\bopacus\b|PrivacyEngine|DPOptimizer|DPLightning", re.I)
_HANDLES_GRADIENTS = re.compile(
    r"grad\w*(norm|manag|guard|sanit|process|clip)|(norm|manag|sanit|process|clip)\w*grad", re.I
)
_BOUNDS = re.compile(r"clamp|clip|norm|nan_to_num|sign|\bmax|\bmin")
_CLIPPING_CLASS = re.compile(
    r"^(Rprop|Adadelta|\w*LBFGS|\w*L_BFGS|\w*(Lamb|LAMB)\w*|\w*Muon\w*|\w*(LARS|Lars)\w*|Lion\w*|(Sign|sign)SGD\w*|Signum"
    r"|NovoGrad|\w*Sophia\w*|Clipped\w+|DP\w+|Adafactor|BertAdam)$"
)
_CLIPPING_ARGUMENT = re.compile(r"clip|max_grad|max_norm")
_TEST_FILE = re.compile(r"^(test_|bench|profile)|_(test|bench|benchmark)(_\w+)?\.py$|^conftest\.py$")
_TEST_FOLDERS = (
    "test", "tests", "testing", "test_utils", "unit_tests", "functional_tests", "benchmark", "benchmarks",
)  # fmt: skip
_TEST_NAME = re.compile(r"_*(test_|Test[A-Z]|bench|profile_)")
# An optimizer of one of several players, by its name.
_PLAYER = re.compile(
    r"discriminator|generator|critic|adversar|(^|_)(disc|gen|adv)(_|\d|$)|opt\w*_(d|g)(is\w*|en\w*|_\w+|\d)?$"
    r"|^(d|g)_opt|opt(im(izer)?)?(D|G)(_?[A-Z]?)$",
    re.I,
)
_LIGHTNING_HOOKS = ("configure_gradient_clipping", "on_before_optimizer_step", "clip_gradients")
_MODEL_WORD = re.compile(r"param|group|model|net(_|\b|s\b)|trainable|module|weight|bias|layer|embedding", re.I)
_TENSOR_METHODS = ("requires_grad_", "clone", "detach", "to", "cuda", "repeat", "expand", "contiguous", "float")


def is_test(module: Module, node: ast.AST) -> bool:
    """Whether the code checks or times something in place of training: clipping there only disturbs it."""
    path = PurePath(module.path)
    if _TEST_FILE.search(path.name):
        return True
    if not path.is_absolute() and any(part in _TEST_FOLDERS for part in path.parts[:-1]):
        return True
    return any(
        isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and _TEST_NAME.match(a.name)
        for a in module.ancestors(node)
    )


def inside_optimizer(module: Module, node: ast.AST) -> bool:
    """Whether the code is part of an optimizer (a class derived from one)."""
    return any(
        isinstance(a, ast.ClassDef) and any(re.search(r"Optimi[sz]er$", last_name(b)) for b in a.bases)
        for a in module.ancestors(node)
    )


def handled(module: Module, found: Pair) -> bool:
    """Whether something around already bounds the gradients, or decides with a setting that nothing does."""
    scopes = _scopes(module, found)
    for node in (n for scope in scopes for n in walk(scope)):
        if any(_GRADIENT_CLIPPING.search(w) or _IN_BACKWARD.search(w) for w in _words(node)):
            return True
        if isinstance(node, ast.Call) and last_name(node.func) == "register_hook" and _may_bound(module, node):
            return True
    cls = module.class_of(found.step.call)
    if cls is not None and any(module.method(cls, hook) for hook in _LIGHTNING_HOOKS):
        return True
    if is_private(module):
        return True
    return any(_bounds_gradients(module, n, found) for n in statements_between(module, found))


def is_private(module: Module) -> bool:
    """Whether training is differentially private, which clips the gradient of every example."""
    return bool(_PRIVACY.search(module.text))


def _may_bound(module: Module, hook: ast.Call) -> bool:
    """Whether a gradient hook may bound the gradient: it does so in view, or it is a function out of view."""
    body = hook.args[0] if hook.args else None
    return not isinstance(body, ast.Lambda) or bool(_BOUNDS.search(module.source(body)))


def _scopes(module: Module, found: Pair) -> list[ast.AST]:
    """The outermost function around the step, or its class, and the functions called between the two."""
    cls = module.class_of(found.step.call)
    outer = enclosing_scopes(module, found.step.call)[:-1]
    scopes: list[ast.AST] = [cls if cls is not None else outer[-1] if outer else found.first]
    if not outer and cls is None:
        loop = next((a for a in reversed(list(module.ancestors(found.first))) if isinstance(a, LOOPS)), None)
        scopes.append(loop or found.first)
        block = module.block(found.first)
        scopes += block[block.index(found.first) : block.index(found.last) + 1]
    called = [n for n in statements_between(module, found) if isinstance(n, ast.Call)]
    scopes += [f for f in (local_function(module, n) for n in called) if f is not None]
    if found.backward.helper is not None:
        scopes.append(found.backward.helper)
    return scopes


def _words(node: ast.AST) -> tuple[str, ...]:
    """Identifiers and short strings of one node."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (node.attr,)
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.keyword):
        return (node.arg or "",)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return (node.name,)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 40:
        return (node.value,)
    return ()


def _bounds_gradients(module: Module, node: ast.AST, found: Pair) -> bool:
    """Whether a node between backward and step touches the size of the gradients, or may do so out of sight."""
    if isinstance(node, ast.Attribute) and node.attr == "grad":
        return bool(_BOUNDS.search(_around(module, node, found)))
    if isinstance(node, ast.Call):
        name = last_name(node.func)
        if "clip" in name.lower():
            return True
        return bool(_HANDLES_GRADIENTS.search(name)) and local_function(module, node) is None
    return False


def _around(module: Module, node: ast.AST, found: Pair) -> str:
    """The text of the outermost statement around `node` that holds neither the backward pass nor the step."""
    outside = {id(a) for call in (found.backward.call, found.step.call) for a in module.ancestors(call)}
    inner = [a for a in module.ancestors(node) if isinstance(a, ast.stmt) and id(a) not in outside]
    return module.source(inner[-1]) if inner else ""


def commented_out(module: Module, found: Pair) -> bool:
    """Whether a comment between backward pass and step holds a call that clips: somebody switched it off."""
    start, end = module.chars(found.backward.call)[1], module.chars(found.call)[0]
    return any(
        start <= a and b <= end and re.search(r"clip_grad\w*\(|clip_gradients\(", module.text[a:b])
        for a, b in module.comments
    )


def needs_no_clipping(module: Module, optimizer: ast.expr) -> bool:
    """Whether the optimizer bounds its own steps, or steps something other than a model's parameters."""
    if _is_called(module, optimizer):
        return True
    made = constructors(module, optimizer)
    for value in (*made, *origins(module, optimizer)):
        if not isinstance(value, ast.Call):
            continue
        if _CLIPPING_CLASS.match(last_name(value.func)):
            return True
        if any(k.arg and _CLIPPING_ARGUMENT.search(k.arg) for k in value.keywords) or _may_clip(module, value):
            return True
    for value in made:
        if not isinstance(value, ast.Call):
            continue
        parameters = parameters_argument(value)
        if parameters is not None and (steps_an_input(module, parameters) or _has_no_input(module, parameters)):
            return True
    return False


def _may_clip(module: Module, made: ast.Call) -> bool:
    """Whether the project's own class of an optimizer clips by an argument, which was left at its default here."""
    if (module.qualified(made.func) or "torch.").startswith("torch."):
        return False
    found = definition_elsewhere(module, made.func)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return False
    build = found[0].method(found[1], "__init__")
    return build is not None and any(
        _CLIPPING_ARGUMENT.search(a.arg) for a in (*build.args.args, *build.args.kwonlyargs)
    )


def _is_called(module: Module, optimizer: ast.expr) -> bool:
    """Whether the optimizer is called like a function, as Pyro's are: those keep one optimizer per parameter."""
    scope = module.function_scope(optimizer)
    return any(isinstance(n, ast.Call) and same(n.func, optimizer) for n in walk(scope))


def _has_no_input(module: Module, parameters: ast.expr) -> bool:
    """Whether the module whose parameters are stepped is only ever called without arguments: it holds the quantities
    that are being fitted (a homography, a pose), and no data pass through it."""
    if not isinstance(parameters, ast.Call) or not isinstance(parameters.func, ast.Attribute):
        return False
    owner = parameters.func.value
    calls = [n for n in walk(module.function_scope(parameters)) if isinstance(n, ast.Call) and same(n.func, owner)]
    return bool(calls) and not any(c.args or c.keywords for c in calls)


def parameters_argument(call: ast.Call) -> ast.expr | None:
    """What an optimizer's constructor is given to step."""
    if call.args:
        return call.args[0]
    return next((k.value for k in call.keywords if k.arg in ("params", "parameters")), None)


def steps_an_input(module: Module, parameters: ast.expr) -> bool:
    """Whether tensors are optimised rather than a model: `Adam([image])`, `SGD([x.requires_grad_()])`."""
    if isinstance(parameters, (ast.List, ast.Tuple)):
        return bool(parameters.elts) and all(_is_a_tensor_given(module, e) for e in parameters.elts)
    if isinstance(parameters, ast.Dict):
        pairs = zip(parameters.keys, parameters.values, strict=True)
        groups = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "params"]
        return bool(groups) and all(steps_an_input(module, g) for g in groups)
    if isinstance(parameters, (ast.Name, ast.Attribute)):
        values = [v for _, v in bindings(module, parameters) if v is not None and v is not parameters]
        if values and not any(isinstance(v, (ast.Name, ast.Attribute)) for v in values):
            return all(steps_an_input(module, v) or _is_tensor(module, v) for v in values)
        return not _MODEL_WORD.search(module.source(parameters))
    if isinstance(parameters, ast.Call):
        return _is_tensor(module, parameters)
    return False


def _is_a_tensor_given(module: Module, element: ast.expr) -> bool:
    """Whether an element of `Adam([...])` is one tensor that no name calls a model's: `[placement]`, `[self.mask]`."""
    if not isinstance(element, (ast.Name, ast.Attribute)):
        return steps_an_input(module, element)
    values = [v for _, v in bindings(module, element) if v is not None]
    if any(isinstance(v, (ast.Dict, ast.List, ast.ListComp)) or _reads_parameters(v) for v in values):
        return False
    return steps_an_input(module, element) or not _MODEL_WORD.search(module.source(element))


def _reads_parameters(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and last_name(value.func) in ("parameters", "named_parameters")


def _is_tensor(module: Module, value: ast.expr) -> bool:
    """Whether an expression certainly makes one tensor: a constructor, `nn.Parameter(...)`, `x.requires_grad_()`."""
    if not isinstance(value, ast.Call):
        return False
    dotted = module.qualified(value.func) or ""
    if dotted in ("torch.nn.Parameter", "torch.autograd.Variable"):
        return True
    if dotted.startswith("torch.") and dotted.count(".") == 1:
        return True
    return isinstance(value.func, ast.Attribute) and value.func.attr in _TENSOR_METHODS


def alternates(module: Module, found: Pair) -> bool:
    """Whether another optimizer steps on a backward pass of its own: in the same function or class, or by the name of
    this one, which is a player's in an adversarial game."""
    if _PLAYER.search(last_name(found.step.optimizer)):
        return True
    scope = module.class_of(found.step.call) or module.function_scope(found.step.call)
    for node in walk(scope):
        step = optimizer_step(module, node)
        if step is None or same(step.optimizer, found.step.optimizer):
            continue
        other = pair(module, step)
        if other is not None and other.backward.call is not found.backward.call:
            return not _exclude_each_other(module, found.step.call, step.call)
    return False


def other_branch(module: Module, found: Pair) -> Pair | None:
    """The step with a scaler that one without stands in for, or the reverse: `if amp: scaler.step(opt) else:
    opt.step()`."""
    for node in walk(module.function_scope(found.step.call)):
        step = optimizer_step(module, node)
        if step is None or not same(step.optimizer, found.step.optimizer):
            continue
        if (step.scaler is None) == (found.step.scaler is None):
            continue
        if _exclude_each_other(module, found.step.call, step.call):
            return pair(module, step)
    return None


def _exclude_each_other(module: Module, left: ast.Call, right: ast.Call) -> bool:
    """Whether one runs only when the other does not (`if amp: ... else: ...`)."""
    around = set(module.ancestors(left))
    meeting = next((a for a in module.ancestors(right) if a in around), None)
    if not isinstance(meeting, ast.If):
        return False
    return _in_body(meeting, left) != _in_body(meeting, right)


def _in_body(branch: ast.If, call: ast.Call) -> bool:
    return any(n is call for s in branch.body for n in walk(s))


def trains(module: Module, found: Pair) -> bool:
    """Whether one optimizer steps again and again: in a loop that it outlives, or in a function that is handed it.

    A script, function or loop body that builds an optimizer and steps it once shows something; it does not train.
    """
    function = module.function_scope(found.step.call)
    built = [
        statement
        for statement, value in bindings(module, found.step.optimizer)
        if isinstance(value, ast.Call)
        and (value.args or value.keywords)
        and module.function_scope(statement) is function
    ]
    for ancestor in module.ancestors(found.step.call):
        if ancestor is function:
            break
        outlived = not any(ancestor in module.ancestors(s) for s in built)
        if isinstance(ancestor, LOOPS) and outlived and not _loops_over(ancestor, found.step.optimizer):
            return True
    return function is not module.tree and not built and not _runs_once(module, function)


def _runs_once(module: Module, function: ast.AST) -> bool:
    """Whether the only calls of a function are statements of the script itself, in no loop."""
    calls = calls_of(module, function) if isinstance(function, ast.FunctionDef) else []
    return bool(calls) and all(
        module.function_scope(c) is module.tree and not any(isinstance(a, LOOPS) for a in module.ancestors(c))
        for c in calls
    )


def _loops_over(loop: ast.AST, optimizer: ast.expr) -> bool:
    return isinstance(loop, (ast.For, ast.AsyncFor)) and same_name(loop.target, optimizer)


def same_name(target: ast.expr, node: ast.expr) -> bool:
    return isinstance(target, ast.Name) and isinstance(node, ast.Name) and target.id == node.id
