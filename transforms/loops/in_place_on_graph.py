"""A tensor that its own backward pass still needs is changed in place.

The defect
----------
The result of `exp`, `sigmoid`, `softmax`, `sqrt`, `norm` and their like is changed in place (`y += b`, `y[m] = 0`,
`y.masked_fill_(...)`) while a gradient has to come back through it. Autograd kept that very tensor, because the
derivative of these functions is written in terms of their result.

Why it hurts
------------
`backward()` raises "one of the variables needed for gradient computation has been modified by an inplace operation",
often far from the line, and only where a gradient flows: a model that was tried under `no_grad`, or with that layer
frozen, runs until it is trained. Writing through `.data` to silence the error gives wrong gradients in place of none.

Before
------

    weights = scores.softmax(dim=-1)
    weights *= head_mask
    return weights @ value

After
-----

    weights = scores.softmax(dim=-1)
    weights = weights * head_mask
    return weights @ value

Try it
------

    import torch

    scores = torch.zeros(2, 3, requires_grad=True)
    mask = torch.tensor([1.0, 0.0, 1.0])
    weights = scores.softmax(dim=-1)
    weights *= mask
    try:
        weights.square().sum().backward()
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        raise AssertionError("the backward pass ran")
    weights = scores.softmax(dim=-1)
    weights = weights * mask
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()

When the fix is safe
--------------------
The values are the same, in a tensor of their own; where a part is assigned to, the result is cloned first. What it
costs is the memory of one more tensor.

Left alone
----------
Functions that do not keep their result (`clamp`, `log`, `gelu`, sums, products); code that does not stand in a
`forward`, a loss or a function with a backward pass, since boxes and scores are decoded in place after the model;
whatever runs without gradients, or asks first whether there are any; results that are cloned, detached or bound a
second time in between.

Sources
-------
PyTorch documentation: "Autograd mechanics", in-place correctness checks. Which functions keep their result was measured
with PyTorch 2.13.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, own_nodes
from autofix.transforms.loops._loops import Function, local_function
from autofix.transforms.ranges._gradients import carries_gradient, learns_nothing
from autofix.tree import walk

_KEEPS_ITS_RESULT = (
    "exp", "exp2", "expm1", "sigmoid", "tanh", "sqrt", "rsqrt", "reciprocal", "relu", "softmax", "log_softmax",
    "logsumexp", "norm", "vector_norm", "std", "cumprod", "prod", "tan",
)  # fmt: skip
_VIEWS = ("view", "reshape", "transpose", "permute", "squeeze", "unsqueeze", "expand", "flatten")
_MOVES = ("to", "float", "double", "half", "bfloat16", "cpu", "cuda", "clone", "contiguous", "type_as")
_STEPS = 12  # expressions between an operation and the tensor without a graph that it is given
_IN_PLACE = frozenset(
    "add_ sub_ mul_ div_ clamp_ clamp_min_ clamp_max_ masked_fill_ pow_ neg_ abs_ exp_ log_ sqrt_ relu_ sigmoid_ "
    "tanh_ square_ addcmul_ addcdiv_ lerp_ nan_to_num_ floor_ round_".split()
)
_MODULE = re.compile(r"Module|Model|Layer|Block|Attention|Head|Net$")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    target = _changed(node)
    if target is None or not isinstance(node, ast.stmt):
        return
    definition = module.flow(node).definition_before(target.id, node)
    if definition is None or definition.value is None or definition.kind != "assign":
        return
    made = _without_views(definition.value)
    op = tensor_op(module, made, *_KEEPS_ITS_RESULT)
    if op is None or op.form == "module" or not isinstance(definition.statement, ast.stmt):
        return
    if not _is_trained(module, node) or _changed_before(module, definition.statement, node, target.id):
        return
    if learns_nothing(module, op.call) or learns_nothing(module, target) or not carries_gradient(module, op.input):
        return
    if _is_detached(module, op.input, _STEPS):
        return
    message = (
        f"autograd keeps the result of {op.name} for its backward pass, which raises RuntimeError once {target.id} is "
        "changed in place"
    )
    try:
        edits, title = _edits(module, node, target, definition.value)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(
        node,
        message,
        fix=Fix(
            title=title,
            edits=edits,
            applicability=Applicability.SAFE,
            claim=Claim(
                Relation.EQUAL, hazard=("exception", "gradient"), region=_region(module, definition.statement, node)
            ),
        ),
    )


def _changed(node: ast.AST) -> ast.Name | None:
    """The name of the tensor that a statement changes in place."""
    if isinstance(node, ast.AugAssign):
        target: ast.expr = node.target
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        target = node.targets[0]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        target = node.value.func.value
        if node.value.func.attr not in _IN_PLACE or not isinstance(target, ast.Name):
            return None
    else:
        return None
    while isinstance(target, ast.Subscript):
        target = target.value
    return target if isinstance(target, ast.Name) else None


def _without_views(node: ast.expr) -> ast.expr:
    while True:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
            node = node.func.value
        else:
            return node


def _is_detached(module: Module, node: ast.expr, steps: int) -> bool:
    """Whether a value is one without a graph, moved, reshaped or scaled by a number or a setting of the class."""
    if not steps:
        return False
    if isinstance(node, ast.BinOp):
        scaled = isinstance(node.right, (ast.Constant, ast.Attribute)) and not isinstance(node.left, ast.Constant)
        return scaled and _is_detached(module, node.left, steps - 1)
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        made = found.value if found is not None and found.kind == "assign" else None
        return made is not None and _is_detached(module, made, steps - 1)
    if not isinstance(node, ast.Call):
        return False
    if module.qualified(node.func) in ("torch.as_tensor", "torch.tensor", "torch.from_numpy"):
        return not any(k.arg == "requires_grad" for k in node.keywords)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "detach":
        return True
    helper = local_function(module, node)
    if helper is not None:
        return _only_reshapes(helper) and len(node.args) == 1 and _is_detached(module, node.args[0], steps - 1)
    moved = isinstance(node.func, ast.Attribute) and node.func.attr in (*_VIEWS, *_MOVES)
    return moved and isinstance(node.func, ast.Attribute) and _is_detached(module, node.func.value, steps - 1)


def _only_reshapes(function: Function) -> bool:
    """Whether a function does nothing but return a view of its last parameter."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None or not function.args.args:
        return False
    shown = _without_views(body[0].value)
    return isinstance(shown, ast.Name) and shown.id == function.args.args[-1].arg


def _is_trained(module: Module, node: ast.AST) -> bool:
    """Whether the code is a module's forward pass, a loss, or runs a backward pass itself."""
    function = next((a for a in module.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))), None)
    if function is None or any(isinstance(a, ast.If) and _asks(a.test) for a in module.ancestors(node)):
        return False
    if function.name == "forward":
        cls = module.class_of(function)
        return cls is not None and any(_MODULE.search(last_name(b)) for b in cls.bases)
    if re.search(r"(^|_)loss(es)?($|_)|^training_step$", function.name):
        return True
    return any(isinstance(n, ast.Attribute) and n.attr == "backward" for n in walk(function))


def _asks(test: ast.expr) -> bool:
    """Whether a test is about gradients: what stands below it knows whether there are any."""
    return any(getattr(n, "attr", "") in ("requires_grad", "is_grad_enabled") for n in walk(test))


def _changed_before(module: Module, made: ast.stmt, statement: ast.stmt, name: str) -> bool:
    """Whether an earlier statement changes the same tensor: one finding tells of all."""
    start, end = module.chars(made)[1], module.chars(statement)[0]
    return any(
        start <= module.chars(n)[0] < end and (found := _changed(n)) is not None and found.id == name
        for n in own_nodes(module.function_scope(statement))
        if isinstance(n, (ast.AugAssign, ast.Assign, ast.Expr))
    )


def _region(module: Module, made: ast.stmt, statement: ast.stmt) -> Span | None:
    """From where the tensor is made to where it is changed, when both stand in one block."""
    if module.block(made) is not module.block(statement):
        return None
    return Span(module.span(made).start, module.span(statement).end)


def _edits(module: Module, node: ast.stmt, target: ast.Name, made: ast.expr) -> tuple[tuple[Edit, ...], str]:
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        name, end = module.chars(node.target)[1], module.chars(node.value)[0]
        between = module.text[name:end]
        operator = between.strip().rstrip("(").strip()
        if not re.fullmatch(r"(\+|-|\*|/|\*\*|//|%|@)=", operator) or "\n" in between:
            raise Unrewritable("write the operation out of place")
        simple = isinstance(node.value, (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript))
        opened = "(" in between
        value = module.source(node.value)
        if opened or "\n" in value:
            raise Unrewritable("write the operation out of place")
        value = value if simple else f"({value})"
        edit = Edit(module.span(node), f"{target.id} = {target.id} {operator[:-1]} {value}")
        return (edit,), f"write it out of place: {target.id} = {target.id} {operator[:-1]} ..."
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        function = node.value.func
        start, end = module.chars(function)[1] - 1, module.chars(function)[1]
        edits = (module.insertion(module.chars(node)[0], f"{target.id} = "), Edit(module.char_span(start, end), ""))
        return edits, f"write it out of place: {target.id} = {target.id}.{function.attr[:-1]}(...)"
    _, end = module.chars(made)
    if not isinstance(made, (ast.Call, ast.Subscript)):
        raise Unrewritable("clone the result before a part of it is changed")
    return (module.insertion(end, ".clone()"),), "clone the result before a part of it is changed"


RULE = Rule(
    name="in-place-on-graph",
    summary="A tensor that its own backward pass still needs is changed in place.",
    severity=Severity.ERROR,
    triggers=(
        (b"torch",),
        (b"forward(", b"backward(", b"loss"),
        (b"exp", b"sigmoid", b"tanh", b"sqrt", b"relu", b"softmax", b"reciprocal", b"norm(", b"std(", b"prod("),
    ),
    anchor=re.compile(
        r"softmax\(|sigmoid\(|tanh\(|relu\(|sqrt\((?<!math\.sqrt\()(?<!np\.sqrt\()|exp\((?<!math\.exp\()(?<!np\.exp\()"
        r"|exp2\(|expm1\(|reciprocal\(|logsumexp\(|norm\(|std\(|prod\(|tan\("
    ),
    # The name that receives the result, changed in place further down.
    beside=re.compile(
        r"\n[ \t]+(\w+)(?:: *[\w.]+)? = [^\n]*\b(?:exp2?|expm1|sigmoid|tanh|r?sqrt|reciprocal|relu|(?:log_?)?softmax"
        r"|logsumexp|(?:vector_)?norm|std|(?:cum)?prod|tan)\((?:[^\n]*\n){1,100}?"
        r"[ \t]*\1(?: [-+*/@%]=|\[[^\n]*\] ?[-+*/]?=|\.\w+_\()"
    ),
    nodes=(ast.AugAssign, ast.Assign, ast.Expr),
    check=check,
)
