"""Where routing happens, and where code that looks like it does not train anything."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant
from autofix.rule import Context
from autofix.syntax import Module
from autofix.tree import spaced, walk

GATE_TEMPERATURE = "GATE_TEMPERATURE"
GUMBEL_TEMPERATURE = "GUMBEL_TEMPERATURE"
TEMPERATURE = 0.1

_WORDS = re.compile(
    r"expert|rout(e|er|ing)|gat(e|es|ed|ing)(?![a-z])|(?<![a-z])mo[ehda](?![a-z])|heads?(?![a-z])|mixture|branch|adapter"
    r"|(?<![a-z])skip|dispatch|combine|activ(e|ated)_|sparse|select",
    re.I,
)
_SAMPLING_NAME = re.compile(
    r"generat|sampl(e|er|ing)|decod(e|ing)|nucleus|filter|warp|logits?_?process|speculat|(?<![a-z])beam|infer(ence)?(?![a-z])"
    r"|predict(?![a-z])|evaluat|(?<![a-z])eval(?![a-z])|validat|metric|calibrat|conformal|prune|pruning|analy[sz]e|visuali[sz]e"
    r"|accuracy|score_fn|^test_",
    re.I,
)
_SAMPLING_CLASS = re.compile(
    r"Logits?(Processor|Warper)|Sampler|Sampling|Warper|Generator$|Scheduler|Metric|Conformal|Calibrat|^Test|Generation"
)
_SAMPLING_CALLS = {"multinomial", "Categorical", "OneHotCategorical", "exponential_", "RelaxedOneHotCategorical"}
_SAMPLING_WORDS = re.compile(
    r"^(next_tokens?|next_token_\w+|input_ids|eos_token\w*|vocab(_size)?|max_new_tokens|repetition_penalty|generated_ids"
    r"|do_sample|past_key_values?|filter_value|min_tokens_to_keep|logits_processor|token_ids?)$"
)
_LOSS_NAME = re.compile(r"loss|(?<![a-z])kl(?![a-z])|divergence|distil|penalt|regulari|entropy", re.I)
_TARGETS = re.compile(r"teacher|target|reference|label|ground_truth|(?<![a-z])gold(?![a-z])", re.I)
_NO_GRAD = ("no_grad", "inference_mode")


def form_of(context: Context) -> str:
    """The form that a differentiable gate takes: the rule's own setting, else `--routing`."""
    return str(context.options.setting(context.rule, "routing", context.options.routing))


def width_of(context: Context) -> float:
    """The temperature that is written where the file has none yet."""
    value = context.options.setting(context.rule, "temperature", TEMPERATURE)
    return float(value) if isinstance(value, (int, float)) and value > 0 else TEMPERATURE


def functions_around(module: Module, node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions around a node, the innermost first."""
    return [a for a in module.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))]


def routes(module: Module, function: ast.AST) -> bool:
    """Whether a name in the function, or its own or its class's, speaks of experts, heads, gates or routing."""
    owners = [function, *(a for a in module.ancestors(function) if isinstance(a, (ast.ClassDef, ast.FunctionDef)))]
    if any(_WORDS.search(spaced(o.name)) for o in owners if isinstance(o, (ast.ClassDef, ast.FunctionDef))):
        return True
    return any(_WORDS.search(spaced(name)) for name in identifiers(function))


def trains_nothing(module: Module, node: ast.AST) -> bool:
    """Whether the code samples, evaluates or measures, or switches gradients off."""
    for function in functions_around(module, node):
        if _SAMPLING_NAME.search(spaced(function.name)) or _LOSS_NAME.search(spaced(function.name)):
            return True
        if any(_switches_off(d) for d in function.decorator_list) or _samples(module, function):
            return True
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.ClassDef):
            names = [ancestor.name, *(ast.unparse(b) for b in ancestor.bases)]
            if any(_SAMPLING_CLASS.search(n) or _LOSS_NAME.search(spaced(n)) for n in names):
                return True
        items = ancestor.items if isinstance(ancestor, (ast.With, ast.AsyncWith)) else []
        if any(_switches_off(i.context_expr) for i in items):
            return True
    return _evaluation_branch(module, node)


def is_target(module: Module, node: ast.expr) -> bool:
    """Whether a value comes from a teacher or a label: nobody wants a gradient there."""
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    names = (n for part in (node, value) for n in walk(part))
    return any(_TARGETS.search(getattr(n, "id", "") or getattr(n, "attr", "")) for n in names)


def samples_elsewhere(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool | None:
    """Whether a helper is called by samplers only; None when this file never calls it."""
    callers = [c for c in module.calls(function.name) if function not in functions_around(module, c)]
    if not callers:
        return None
    return all(trains_nothing(module, c) for c in callers)


def has_gradient_already(function: ast.AST) -> bool:
    """Whether the function estimates the gradient by itself: `hard + soft - soft.detach()` in any arrangement, an
    autograd function, a Gumbel sample."""
    for node in walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            if any(_called(side) == "detach" or _is_data(side) for side in (node.left, node.right)):
                return True
        elif isinstance(node, ast.Call):
            if _called(node) in ("gumbel_softmax", "register_hook"):
                return True
            if _called(node) == "apply" and isinstance(node.func, ast.Attribute) and len(node.args) > 1:
                return True
    return False


def identifiers(function: ast.AST) -> set[str]:
    """Every name, attribute and parameter in a function."""
    out: set[str] = set()
    for node in walk(function):
        if isinstance(node, ast.Name):
            out.add(node.id)
        elif isinstance(node, ast.Attribute):
            out.add(node.attr)
        elif isinstance(node, ast.arg):
            out.add(node.arg)
    return out


def fresh(function: ast.AST, *wishes: str) -> str:
    """The first of the names that the function does not use, else the last one with a number."""
    taken = {n.id for n in walk(function) if isinstance(n, ast.Name)}
    taken |= {n.arg for n in walk(function) if isinstance(n, ast.arg)}
    for wish in wishes:
        if wish not in taken:
            return wish
    number = 2
    while f"{wishes[-1]}_{number}" in taken:
        number += 1
    return f"{wishes[-1]}_{number}"


def learnt(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value is certainly a parameter, or computed by a module of this class."""
    if depth > 6:
        return False
    for part in walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            cls = module.class_of(part)
            made = module.self_attribute(cls, part.attr) if cls else None
            parent = module.parent(part)
            if isinstance(made, ast.Call):
                name = module.qualified(made.func) or ""
                if name == "torch.nn.Parameter":
                    return True
                if isinstance(parent, ast.Call) and parent.func is part and name.startswith("torch.nn."):
                    return True
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = module.flow(part).value(part)
            if value is not part and learnt(module, value, depth + 1):
                return True
    return False


def zero_like(module: Module, node: ast.expr | None) -> ast.Call | None:
    """The call that makes a tensor of zeros (`zeros_like`, `zeros`, `new_zeros`, `full_like(x, 0)`)."""
    if not isinstance(node, ast.Call):
        return None
    name = _called(node)
    if name in ("zeros_like", "zeros", "new_zeros"):
        return node
    if name in ("full_like", "full") and len(node.args) > 1:
        value = node.args[1]
        if isinstance(value, ast.Constant) and value.value in (0, 0.0, False):
            return node
    return None


def _called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)


def _is_data(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "data"


def _switches_off(node: ast.expr) -> bool:
    target = node.func if isinstance(node, ast.Call) else node
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name in _NO_GRAD


def _samples(module: Module, function: ast.AST) -> bool:
    known: dict[ast.AST, bool] = vars(module).setdefault("_routing_samples", {})
    if function not in known:
        words = any(_SAMPLING_WORDS.match(name) for name in identifiers(function))
        known[function] = words or any(
            _called(n) in _SAMPLING_CALLS for n in module.nodes(function) if isinstance(n, ast.Call)
        )
    return known[function]


def _evaluation_branch(module: Module, node: ast.AST) -> bool:
    """Whether the node runs only when `self.training` is false."""
    inner: ast.AST = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.If):
            test, negated = ancestor.test, False
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                test, negated = test.operand, True
            if isinstance(test, ast.Attribute) and test.attr == "training":
                in_body = any(inner is s for s in ancestor.body)
                if in_body == negated:
                    return True
        inner = ancestor
    return False


def is_minus_infinity_like(module: Module, node: ast.expr | None) -> bool:
    """Whether a fill value is meant to be ruled out by a softmax: −inf, −1e9, `finfo.min`."""
    if node is None:
        return False
    number = constant(module, node)
    if number is not None:
        return number <= -1e3
    return any(isinstance(n, ast.Attribute) and n.attr == "min" for n in walk(node))
