"""Where an exponential stands: in training code or not, what it is called, and who else reads its exponent."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from autofix.calls import callee
from autofix.ops import tensor_op
from autofix.relations import words
from autofix.syntax import Module
from autofix.transforms.loops._clipping import is_test
from autofix.transforms.ranges._exponents import Quantity
from autofix.transforms.ranges._roles import LOG_RATIO, LOG_SCALE, LOG_STD, LOG_VARIANCE, Role, role_of
from autofix.tree import last_part, parameter_names, spaced, walk

_ASIDE = re.compile(
    r"^_*(generate|inference|infer|evaluate|eval|test|validate|validation|plot|visuali[sz]e|log_?metrics|report|interpret|"
    r"summary|init|initiali[sz]e|reset|load|export|from_pretrained|pre_?compute)(_|$)|_hook$|^_*(init_weights|metrics)|"
    r"^_*predict(_proba?|_label)?s?$|colou?rmap|"
    r"^_*convert($|_\w*(weight|checkpoint|state|model|param))"
)
_NO_GRAD = ("no_grad", "inference_mode", "eval_mode")
_LOGGING = (
    "record",
    "log",
    "log_dict",
    "add_scalar",
    "add_scalars",
    "add_histogram",
    "print",
    "info",
    "debug",
    "format",
)
_METHODS_OF_RESULT = ("item", "detach", "numpy", "tolist", "cpu")
_REFUSES = re.compile(r"raise NotImplementedError\(\s*f?[\"'][^\"']*\btrain", re.I)
_LOSSES = re.compile(
    r"(?<![a-zA-Z])(kld?|elbo|nll)(?![a-zA-Z])|loss|log_?prob|likelihood|backward|log_?(abs_?)?det|objective|optim",
    re.I,
)
_POLICY = re.compile(r"(^|_)(polic(y|ies)|actors?|actions?|agents?)(_|\d|$)")
_MODEL_OF_DATA = re.compile(r"vae|autoencoder|(^|_)flows?(_|$)|world|dynamics")
_TRAINING = re.compile(
    r"repara|loss|kl(d|_|$)|elbo|vae|forward|step|train|nll|encode|policy|actor|objective|update_policy|learn|optimi|"
    r"^main$|^fit$|^run$|^update$"
)


def result_name(module: Module, call: ast.Call) -> str:
    """The name that the exponential is bound or passed to; empty when it has none of its own."""
    node: ast.AST = call
    parent = module.parent(node)
    while isinstance(parent, (ast.BinOp, ast.Attribute)) or (isinstance(parent, ast.Call) and parent.func is node):
        if isinstance(parent, ast.BinOp) and not isinstance(parent.op, ast.Add):
            return ""
        node, parent = parent, module.parent(parent)
    if isinstance(parent, ast.keyword):
        return parent.arg or ""
    if isinstance(parent, ast.Call) and len(parent.args) == 2 and parent.args[1] is node:
        return "std" if last_part(parent.func) in ("Normal", "LogNormal", "Laplace") else ""
    if isinstance(parent, ast.Tuple):
        owner = module.parent(parent)
        target = owner.targets[0] if isinstance(owner, ast.Assign) else None
        if isinstance(target, ast.Tuple) and len(target.elts) == len(parent.elts):
            return last_part(target.elts[parent.elts.index(node)])  # type: ignore[arg-type]
        return ""
    return last_part(parent.targets[0]) if isinstance(parent, ast.Assign) else ""


def out_of_training(module: Module, call: ast.expr) -> bool:
    """Whether no gradient flows here: tests, logging, evaluation, initialisation."""
    if is_test(module, call):
        return True
    node: ast.AST = call
    for ancestor in module.ancestors(call):
        if isinstance(ancestor, ast.Attribute) and ancestor.attr in _METHODS_OF_RESULT:
            return True
        if isinstance(ancestor, ast.Call) and node is not ancestor.func and last_part(ancestor.func) in _LOGGING:
            return True
        if isinstance(ancestor, (ast.With, ast.AsyncWith)) and any(_disables(i.context_expr) for i in ancestor.items):
            return True
        if isinstance(ancestor, ast.If) and node in ancestor.body and _is_evaluation(ancestor.test):
            return True
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(_disables(d) for d in ancestor.decorator_list):
                return True
            if ancestor.name == "__init__":
                return _is_module(module.class_of(ancestor))
            if _ASIDE.search(ancestor.name.lower()):
                return True
        if isinstance(ancestor, ast.ClassDef) and any(last_part(b) == "Function" for b in ancestor.bases):
            return True
        node = ancestor
    return False


def _is_module(cls: ast.ClassDef | None) -> bool:
    """Whether a class is a module, which its base or a buffer that it registers says, or a set of data."""
    if cls is None:
        return False
    if any(re.search(r"Module|Model|Layer|Block|Dataset$", last_part(b)) for b in cls.bases):
        return True
    return any(isinstance(n, ast.Attribute) and n.attr == "register_buffer" for n in walk(cls))


def _disables(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return last_part(called) in _NO_GRAD


def _is_evaluation(test: ast.expr) -> bool:
    """`not self.training`."""
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and last_part(test.operand) == "training"


def refuses_training(module: Module) -> bool:
    """Whether the model of this file raises when it is asked to train."""
    return "NotImplementedError" in module.text and _REFUSES.search(module.text) is not None


def is_trained_with(module: Module, found: Quantity) -> bool:
    """Whether a loss can see the quantity: one in this file, or one elsewhere that is handed it. A log-std that only
    scales noise here, in a file that knows of no loss, belongs to a model that is run and not trained; so does one
    whose noise comes from a generator that callers hand over to have their samples again."""
    node = found.node
    if found.role not in (LOG_STD, LOG_VARIANCE) or not isinstance(node, ast.Name) or _LOSSES.search(module.text):
        return True
    if _draws_from_a_generator(module, node):
        return False
    definition = module.flow(node).definition(node)
    if definition is None or definition.kind == "parameter":
        return True
    return any(
        isinstance(a, (ast.Return, ast.Yield))
        or (isinstance(a, ast.Assign) and isinstance(a.targets[0], ast.Attribute))
        for read in module.flow(node).loads.get(node.id, [])
        for a in module.ancestors(read)
        if _is_handed_on(module, read, a)
    )


def _draws_from_a_generator(module: Module, node: ast.AST) -> bool:
    """Whether the function around `node`, or a method beside it, takes a random generator for what it draws."""
    cls = module.class_of(node)
    functions = [module.function(node)] if cls is None else [m for m in cls.body if isinstance(m, ast.FunctionDef)]
    return any(f is not None and {"generator", "generators"} & set(parameter_names(f)) for f in functions)


def weights_a_loss(module: Module, found: Quantity, call: ast.Call) -> bool:
    """Whether the exponential weights a loss whose weight it pays for: `loss * w.exp() - w`. The gradient of that sum
    pulls `w` back long before its exponential overflows."""
    product: ast.AST = call
    while isinstance(parent := module.parent(product), ast.BinOp) and isinstance(parent.op, (ast.Mult, ast.Div)):
        product = parent
    total = module.parent(product)
    if not isinstance(total, ast.BinOp) or not isinstance(total.op, (ast.Add, ast.Sub)):
        return False
    paid = total.right if total.left is product else total.left
    if not any(isinstance(n, ast.expr) and words(module, n) == words(module, found.node) for n in walk(paid)):
        return False
    return any("loss" in last_part(n).lower() for n in walk(product) if isinstance(n, (ast.Name, ast.Attribute)))


def is_of_a_policy(module: Module, node: ast.AST) -> bool:
    """Whether the names around `node` speak of a policy: its class, its function, what that is given, the file."""
    cls, function = module.class_of(node), module.function(node)
    names = [PurePath(module.path).stem]
    if cls is not None:
        names += [cls.name, *(last_part(b) for b in cls.bases)]
    if function is not None:
        names += [getattr(function, "name", ""), *parameter_names(function)]
        names += [n.id for n in walk(function) if isinstance(n, ast.Name)]
    plain = [spaced(n).lower() for n in names]
    return any(_POLICY.search(n) for n in plain) and not any(_MODEL_OF_DATA.search(n) for n in plain[:3])


def _is_handed_on(module: Module, read: ast.Name, statement: ast.AST) -> bool:
    """Whether a statement gives away the value itself, or one among several."""
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.expr):
        return False
    parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
    if isinstance(value, ast.Dict):
        parts = value.values
    if isinstance(value, ast.Call):
        parts = [*value.args, *(k.value for k in value.keywords)]
    return any(p is read for p in parts)


def role_in_use(module: Module, found: Quantity, call: ast.Call) -> Role:
    """The role that its use tells where its name is shared: `logs` that a log-determinant sums is a log-scale, a
    `log_scale` whose exponential multiplies noise is the logarithm of a standard deviation."""
    if found.role is LOG_SCALE and _multiplies_noise(module, call):
        return LOG_STD
    if (
        found.role is LOG_STD
        and isinstance(found.node, (ast.Name, ast.Attribute))
        and _is_log_determinant(module, found)
    ):
        return LOG_SCALE
    return found.role


def _multiplies_noise(module: Module, call: ast.Call) -> bool:
    parent = module.parent(call)
    if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, ast.Mult):
        return False
    other = parent.left if parent.right is call else parent.right
    values = [other]
    if isinstance(other, ast.Name):
        values += [
            v for s in module.flow(other).stores(other.id) if isinstance(v := getattr(s, "value", None), ast.expr)
        ]
    calls = (n for v in values for n in walk(v) if isinstance(n, ast.Call))
    return any(last_part(c.func).startswith("randn") for c in calls)


def _is_log_determinant(module: Module, found: Quantity) -> bool:
    """Whether the function sums the quantity into a name that says it is a log-determinant."""
    text = words(module, found.node)
    for statement in walk(module.flow(found.node).scope):
        if not isinstance(statement, ast.Assign) or not re.search(
            r"log_?(abs_?)?det", words(module, statement.targets[0])
        ):
            continue
        if any(isinstance(n, ast.expr) and words(module, n) == text for n in walk(statement.value)):
            return True
    return False


def is_formula(module: Module, found: Quantity) -> bool:
    """Whether a function of the module's top level computes a formula of its parameters: what it is asked to do."""
    node = found.node
    definition = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
    if definition is None or definition.kind != "parameter" or not isinstance(definition.statement, ast.FunctionDef):
        return False
    function = definition.statement
    if not isinstance(module.parent(function), ast.Module):
        return False
    same_role = [a.arg for a in function.args.args if role_of(a.arg) is found.role]
    return len(same_role) > 1 or not _TRAINING.search(function.name.lower())


def is_compared(module: Module, found: Quantity) -> bool:
    """Whether the function distinguishes large values of the quantity from small ones by itself."""
    text = words(module, found.node)
    return any(
        isinstance(n, ast.Compare)
        and isinstance(n.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        and any(isinstance(o, ast.expr) and words(module, o) == text for o in (n.left, *n.comparators))
        for n in walk(module.flow(found.node).scope)
    )


def is_used_plainly(module: Module, found: Quantity) -> bool:
    """Whether a log-ratio is an objective of its own and not only an importance weight: of a whole sequence it may
    be hundreds, which a clamp would change."""
    if found.role is not LOG_RATIO:
        return False
    function = module.flow(found.node).scope
    if found.negative or (isinstance(function, ast.FunctionDef) and not _TRAINING.search(function.name.lower())):
        return True
    statement = module.statement(found.node)
    text = words(module, found.node)
    for node in walk(module.flow(found.node).scope):
        if not isinstance(node, type(found.node)) or not isinstance(node, ast.expr) or words(module, node) != text:
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            continue
        if _is_exponent(module, node) or module.statement(node) is statement or out_of_training(module, node):
            continue
        return True
    return False


def clamped_afterwards(module: Module, call: ast.Call) -> bool:
    """Whether the exponential itself is clamped, at once or wherever it is read."""
    if _is_clamped(module, call):
        return True
    statement = module.parent(call)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    reads = module.flow(call).certain_readers(statement.targets[0].id, statement)
    return bool(reads) and all(_is_clamped(module, r) for r in reads)


def _is_clamped(module: Module, node: ast.expr) -> bool:
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            return False
        op = tensor_op(module, ancestor)
        if op is not None and op.name.startswith(("clamp", "clip", "minimum", "nan_to_num")):
            return True
        if isinstance(ancestor, ast.Call) and last_part(ancestor.func) == "min":
            return True
        if isinstance(ancestor, ast.Call) and not isinstance(module.parent(node), ast.Attribute):
            return False
    return False


def shared_with_methods(module: Module, found: Quantity) -> str:
    """Why the quantity cannot be clamped in one function alone, if so: another reads the attribute as it is, or gets it
    from the same maker."""
    node = found.node
    maker = maker_function(module, node)
    if maker is not None and sum(callee(module, n) is maker for n in module.calls(maker.name)) > 1:
        return f"{maker.name} gives it to more than one function; bound it there, so that all see the same"
    if not isinstance(node, ast.Attribute) or found.role not in (LOG_SCALE, LOG_STD, LOG_VARIANCE):
        return ""
    cls, text = module.class_of(node), words(module, node)
    mine = module.flow(node).scope
    if cls is None or not text.startswith("self."):
        return ""
    for member in cls.body:
        if not isinstance(member, ast.FunctionDef) or member is mine or member.name.startswith(("reset", "init")):
            continue
        for read in walk(member):
            if isinstance(read, ast.Attribute) and isinstance(read.ctx, ast.Load) and words(module, read) == text:
                if member.name == "__init__" or _is_exponent(module, read):
                    continue
                return f"{member.name} reads {text} as well and would go on seeing it unclamped; clamp it in both"
    return ""


def maker_function(module: Module, node: ast.expr) -> ast.FunctionDef | None:
    """The function of this file whose result, or a part of it, a name is bound to."""
    found = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
    value = getattr(found.statement, "value", None) if found is not None else None
    return callee(module, value) if isinstance(value, ast.Call) else None


def _is_exponent(module: Module, read: ast.expr) -> bool:
    for ancestor in module.ancestors(read):
        if isinstance(ancestor, ast.stmt):
            return False
        if isinstance(ancestor, ast.Call) and tensor_op(module, ancestor, "exp", "exp_", "expm1"):
            return True
    return False
