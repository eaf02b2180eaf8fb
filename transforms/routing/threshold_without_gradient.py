"""A parameter or predicted threshold is only ever compared, so no gradient reaches it.

The defect
----------
A threshold is a parameter (or a layer predicts it), and all that the class does with it is to compare: `scores >
self.threshold`, `torch.sign(difference - self.threshold)`, as a mask, an index or a condition. A comparison has no
gradient, whatever is done with its result.

Why it hurts
------------
The threshold keeps the value that it was initialised with: `requires_grad` is true, the optimizer holds it, and its
gradient is None in every step. What was meant to be learnt is a constant. DistributedDataParallel refuses a module
whose parameters take no part in the loss, unless it is told to look for them.

Before
------

    self.threshold = nn.Parameter(torch.tensor(0.5))
    ...
    mask = (scores > self.threshold).float()
    return features * mask

After
-----

    mask = (scores > self.threshold).float()
    # straight-through: the hard choice forward, the gradient of the gate backward
    soft_gate = torch.sigmoid((scores - self.threshold) / GATE_TEMPERATURE)
    mask = mask + (soft_gate - soft_gate.detach())
    return features * mask

Try it
------

    import torch

    threshold = torch.nn.Parameter(torch.tensor(0.5))
    scores, features = torch.tensor([0.2, 0.4, 0.6]), torch.tensor([1.0, 2.0, 3.0])
    mask = (scores > threshold).float()
    before = features * mask
    soft_gate = torch.sigmoid((scores - threshold) / 0.1)
    after = features * (mask + (soft_gate - soft_gate.detach()))
    assert torch.equal(before, after) and not before.requires_grad
    assert torch.autograd.grad(after.sum(), threshold)[0].abs() > 1

When the fix is safe
--------------------
Straight-through leaves every value of the forward pass as it is: the difference that is added is zero, exactly. Only
the backward pass changes, from no gradient to that of a sigmoid around the threshold. It is written where the mask
multiplies something. A mask that picks by index, or a condition, is reported without a fix: what it selects has to be
multiplied by a gate first.

Left alone
----------
Thresholds that something else reads as well (a regulariser, a surrogate, a difference that is not only compared), in
this file or another one of the project; those that are written by hand (`.data`, `copy_`) or frozen; zeros in a file
that loads weights, which are a place for what was trained elsewhere; what hard-top-p-mask and hard-top-k-mask report.

Sources
-------
Bengio, Léonard, Courville: Estimating or propagating gradients through stochastic neurons (2013), for the
straight-through estimator; Kusupati et al.: Soft threshold weight reparameterization for learnable sparsity (2020), for
a threshold that does have a gradient.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.neighbours import neighbours, read
from autofix.ops import constant
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.routing import hard_top_k_mask, hard_top_p_mask
from autofix.transforms.routing._compared import comparisons, sides
from autofix.transforms.routing._gated import judge
from autofix.transforms.routing._hard_choice import Choice
from autofix.transforms.routing._mask import State
from autofix.transforms.routing._mask_writer import MaskWriter
from autofix.transforms.routing._routing import functions_around, has_gradient_already, trains_nothing, width_of
from autofix.transforms.routing._uses import Tracer
from autofix.tree import last_part, walk

_PARAMETER = "torch.nn.Parameter"
_LAYERS = ("torch.nn.Linear", "torch.nn.Sequential")
_BLANK = ("torch.zeros", "torch.empty", "torch.Tensor", "torch.FloatTensor")
_LOADS = re.compile(r"load_state_dict|from_pretrained|pretrained|safetensors|load_file|hf_hub")
_WHY = "multiply what the comparison selects by a gate, such as sigmoid((score - threshold) / temperature)"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or len(node.targets) != 1:
        return
    target, made = node.targets[0], node.value
    cls = module.class_of(node)
    if cls is None or not _is_own(target):
        return
    assert isinstance(target, ast.Attribute)
    dotted = module.qualified(made.func)
    is_parameter = dotted == _PARAMETER
    if not (is_parameter or dotted in _LAYERS) or (is_parameter and not _is_trained(module, made)):
        return
    found = _ends(module, cls, target.attr, is_parameter)
    if not found:
        return
    for _, comparison in found:
        if trains_nothing(module, comparison) or any(map(has_gradient_already, functions_around(module, comparison))):
            return
        if _is_reported(comparison, context):
            return
    if _is_read_elsewhere(module, cls, target.attr, is_parameter):
        return
    yield _finding(found, target.attr, is_parameter, context)


def _is_own(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"


def _is_trained(module: Module, made: ast.Call) -> bool:
    """Whether a parameter has a gradient, and a value to start from."""
    said = [k.value for k in made.keywords if k.arg == "requires_grad"] + made.args[1:2]
    if said and constant(module, said[0]) not in (True, 1):
        return False
    data = made.args[0] if made.args else next((k.value for k in made.keywords if k.arg == "data"), None)
    blank = isinstance(data, ast.Call) and module.qualified(data.func) in _BLANK
    return not (blank and _LOADS.search(module.text))


def _ends(module: Module, cls: ast.ClassDef, attribute: str, is_parameter: bool) -> list[tuple[ast.expr, ast.expr]]:
    """The reads of an attribute, each with a comparison where its gradient ends; none when it may not end there."""
    inside = [n for part in module.naming(attribute) for n in walk(part)]
    if any(_is_named(module, n, attribute) for n in inside) or _is_bound_again(module, cls, attribute, inside):
        return []
    found: list[tuple[ast.expr, ast.expr]] = []
    for node in inside:
        if not isinstance(node, ast.Attribute) or node.attr != attribute or isinstance(node.ctx, ast.Store):
            continue
        owner = module.class_of(node)
        if _is_own(node) and owner is not None and owner is not cls and not _are_related(owner, cls):
            continue
        if not _is_own(node) or owner is not cls:
            return []
        reading: ast.expr = node
        if not is_parameter:
            call = module.parent(node)
            if not isinstance(call, ast.Call) or call.func is not node:
                return []
            reading = call
        ends = comparisons(module, reading)
        if ends is None:
            return []
        found += [(reading, end) for end in ends if all(end is not e for _, e in found)]
    return found


def _is_bound_again(module: Module, cls: ast.ClassDef, attribute: str, inside: list[ast.AST]) -> bool:
    """Whether the class binds the attribute to anything else than None as well."""
    bound = []
    for node in inside:
        if not isinstance(node, ast.Attribute) or node.attr != attribute or not isinstance(node.ctx, ast.Store):
            continue
        if module.class_of(node) is cls:
            value = getattr(module.parent(node), "value", None)
            if not (isinstance(value, ast.Constant) and value.value is None):
                bound.append(node)
    return len(bound) != 1


def _are_related(one: ast.ClassDef, other: ast.ClassDef) -> bool:
    return any(a.name == last_part(b) for a, c in ((one, other), (other, one)) for b in c.bases)


def _is_named(module: Module, node: ast.AST, attribute: str) -> bool:
    """Whether a text names the attribute where it may be looked up: `getattr(m, "limit")`, `"limit" in name`."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or attribute not in node.value:
        return False
    parent = module.parent(node)
    looks_up = isinstance(parent, ast.Call) and last_part(parent.func) in ("getattr", "setattr", "hasattr", "endswith")
    return looks_up or isinstance(parent, ast.Compare)


def _is_reported(comparison: ast.expr, context: Context) -> bool:
    others = (hard_top_p_mask.RULE, hard_top_k_mask.RULE)
    return any(
        True
        for rule in others
        if isinstance(comparison, rule.nodes)
        for _ in rule.check(comparison, Context(rule.name, rule.severity, context.module, context.options))
    )


def _is_read_elsewhere(module: Module, cls: ast.ClassDef, attribute: str, is_parameter: bool) -> bool:
    """Whether another file of the project may use the value: one that knows the class, or goes through modules, and
    reads the attribute; for a layer, whose result may be handed out, one that knows the class."""
    name = re.escape(attribute.encode())
    own = re.escape(cls.name.encode())
    class_name, copies = rb"\b" + own + rb"\b", re.compile(rb"^class " + own + rb"\b", re.M)
    read_of = rb"(?<!self)(?<!args)(?<!cfg)(?<!config)\." + name + rb"\b|[\"']" + name + rb"[\"']"
    knows = class_name + rb"|\.modules\(\)|named_modules\(|named_parameters\("
    wanted = [re.compile(p) for p in ((read_of, knows) if is_parameter else (class_name,))]
    others = neighbours(module.path)
    texts = (read(path) for path in others or ())
    return others is None or any(all(p.search(t) for p in wanted) and not copies.search(t) for t in texts)


def _finding(found: list[tuple[ast.expr, ast.expr]], attribute: str, is_parameter: bool, context: Context) -> Finding:
    module = context.module
    reading, comparison = found[0]
    what = f"self.{attribute} is a parameter" if is_parameter else f"what self.{attribute} predicts is"
    message = f"{what}{' that is' if is_parameter else ''} only ever compared: no gradient reaches it, it never learns"
    if len(found) > 1:
        return context.finding(comparison, message, why=f"it is compared in several places; {_WHY}")
    both = sides(comparison, reading)
    if both is None:
        return context.finding(comparison, message, why=_WHY)
    choice = Choice(comparison, both[0], both[1], False, State(true_below=True, kind="bool"))
    tracer = Tracer(module)
    tracer.follow(comparison, choice.state)
    gate = judge(module, choice.as_cut_off(module), tracer)
    if gate is None or gate.why or not any(u.kind in ("multiply", "operand") for u in gate.uses):
        return context.finding(comparison, message, why=_WHY)
    try:
        return context.finding(
            comparison, message, fix=MaskWriter(module, choice, gate, False, width_of(context)).fix()
        )
    except Unrewritable as reason:
        return context.finding(comparison, message, why=str(reason))


RULE = Rule(
    name="threshold-without-gradient",
    summary="A parameter or predicted threshold is only ever compared, so no gradient reaches it.",
    severity=Severity.WARNING,
    triggers=(
        (b"thresh", b"cutoff", b"cut_off", b"top_p", b"_thr ", b"skip", b"halt", b"exit"),
        (b"nn.Parameter", b"Parameter(", b"Linear("),
    ),
    anchor=re.compile(
        r"(?:thresh|cut_?off|top_p|_thr )\w*(?:: [\w.]+)?\s*=\s*(?:torch\.)?(?:nn\.)?(?:Parameter|Linear|Sequential)\("
        r"|(?:skip|halt|exit)\w*\s*=\s*(?:torch\.)?(?:nn\.)?Linear\("
    ),
    nodes=(ast.Assign,),
    check=check,
)
