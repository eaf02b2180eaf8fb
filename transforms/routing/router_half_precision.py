"""A router's softmax or sigmoid is computed, or rounded, in half precision before it decides and is differentiated.

The defect
----------
The scores of a router are computed in the precision of the activations, although the same code computes them in
float32 under another setting, or the code itself casts the logits to half precision; or scores that were computed in
float32 are rounded to the activations' precision before the experts are selected and their weights divided by their
sum.

Why it hurts
------------
bfloat16 keeps eight bits: a score above 0.998 is rounded to 1, and since autograd computes the derivative s (1 - s)
from the rounded score, the router gets no gradient there at all. Experts with close scores get equal ones, which `topk`
then orders at will: tokens flip between experts from step to step.

Before
------

    if score_function == "softmax":
        scores = torch.softmax(logits, dim=-1, dtype=torch.float32)
    else:
        scores = torch.sigmoid(logits)

After
-----

    if score_function == "softmax":
        scores = torch.softmax(logits, dim=-1, dtype=torch.float32)
    else:
        scores = torch.sigmoid(logits.float())

Try it
------

    import torch

    logits = torch.tensor([7.0, -1.0], dtype=torch.bfloat16, requires_grad=True)
    scores = torch.sigmoid(logits)
    assert torch.autograd.grad(scores.sum(), logits)[0][0] == 0
    scores = torch.sigmoid(logits.float())
    assert torch.autograd.grad(scores.sum(), logits)[0][0] > 9e-4

    close = torch.tensor([[0.0, 0.001, -1.0]], dtype=torch.bfloat16)
    exact = torch.softmax(close, dim=-1, dtype=torch.float32)
    assert exact[0, 0] != exact[0, 1] and exact.bfloat16()[0, 0] == exact.bfloat16()[0, 1]

When the fix is safe
--------------------
The same function of the same logits is computed in float32, and cast back exactly where the neighbouring branch casts
back, so that both branches hand on the same dtype. Where `topk` is all that reads the scores, they are cast behind it
(and behind the division by their sum, where that follows), so that the selection sees them unrounded. In float32
training nothing changes.

Left alone
----------
Routers whose logits are float32 already; code that never mentions a precision, where autocast decides (it runs softmax
in float32); gates of activations (SwiGLU, attention output gates), samplers. Scores that are rounded after the division
by their sum are as they should be. A cast before the selection is reported without a fix where more than `topk` reads
the rounded scores: the cast belongs behind the last step, and what is handed on then has to follow.

Sources
-------
Fedus et al.: Switch transformers (2021), "selective precision"; Zoph et al.: ST-MoE (2022), section 3 on router
precision; PyTorch documentation, "Autocast Op Reference".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.ops import Op, tensor_op
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.routing._routing import functions_around, trains_nothing
from autofix.transforms.routing._selected import is_logits, reads_of, routes_tokens
from autofix.tree import walk

_FULL = ("torch.float32", "torch.float", "torch.float64", "torch.double")
_HALF = ("torch.bfloat16", "torch.float16", "torch.half")
_CASTS = ("to", "type_as", "type", "bfloat16", "half")
_STATISTIC = re.compile(r"aux|loss|metric|load|z_", re.I)
_CHANGE = "the scores are those of float32, rounded where the neighbouring branch rounds them"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if not isinstance(node, ast.Call) or not _named(node):
        return
    op = tensor_op(module, node, "softmax", "sigmoid")
    functions = functions_around(module, node)
    if op is None or not functions or out_of_training(module, node) or not routes_tokens(module, node):
        return
    if any(d for f in functions for d in f.decorator_list if "jit" not in ast.unparse(d)) and trains_nothing(
        module, node
    ):
        return
    if _is_full(module, op):
        yield from _rounded_before_selection(op, context)
        return
    if not is_logits(module, op.input):
        return
    half = _cast_to_half(module, op)
    if half is not None:
        yield from _half(op, half, context)
        return
    if _is_full_value(module, op.input, 0):
        return
    neighbour = _neighbour(module, op)
    if neighbour is not None:
        yield from _unlike_its_neighbour(op, neighbour, context)
    elif _cast_later(module, op):
        yield from _meant_for_float32(op, context)


def _named(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return "softmax" in name or "sigmoid" in name


# -- precision -------------------------------------------------------------------------------------------------


def _is_full(module: Module, op: Op) -> bool:
    """Whether the operation certainly runs in float32, as the code says."""
    given = op.args.get("dtype")
    if given is not None:
        return module.qualified(given) in _FULL
    return _cast_to(module, op.input, _FULL)


def _cast_to(module: Module, node: ast.expr, dtypes: tuple[str, ...]) -> bool:
    """Whether `node` itself is a cast to one of the dtypes."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in ("float", "double") and not node.args:
        return dtypes is _FULL
    if node.func.attr in ("bfloat16", "half") and not node.args:
        return dtypes is _HALF
    if node.func.attr not in ("to", "type"):
        return False
    return any(module.qualified(v) in dtypes for v in [*node.args, *(k.value for k in node.keywords)])


def _is_full_value(module: Module, node: ast.expr, depth: int) -> bool:
    """Whether a value is float32 already, as far as the function shows."""
    if depth > 8:
        return True
    if _cast_to(module, node, _FULL):
        return True
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if value is not node:
            return _is_full_value(module, value, depth + 1)
        definition = module.flow(node).definition(node)
        return definition is None or definition.kind != "parameter"
    if isinstance(node, ast.Call):
        parts = [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node.func, ast.Attribute):
            parts.append(node.func.value)
        full = any(_cast_to(module, p, _FULL) or module.qualified(p) in _FULL for p in parts)
        named = (p for p in parts if isinstance(p, ast.Name))
        return full or any(_is_full_local(module, p, depth) for p in named)
    if isinstance(node, ast.BinOp):
        return _is_full_value(module, node.left, depth + 1) or _is_full_value(module, node.right, depth + 1)
    return False


def _is_full_local(module: Module, name: ast.Name, depth: int) -> bool:
    value = module.flow(name).value(name)
    return value is not name and _is_full_value(module, value, depth + 1)


# -- a cast to half precision ----------------------------------------------------------------------------------


def _cast_to_half(module: Module, op: Op) -> ast.expr | None:
    """The dtype or the cast that puts the operation into half precision."""
    given = op.args.get("dtype")
    if given is not None:
        return given if module.qualified(given) in _HALF else None
    return op.input if _cast_to(module, op.input, _HALF) else None


def _half(op: Op, half: ast.expr, context: Context) -> Iterator[Finding]:
    module = context.module
    text = module.source(half)
    message = f"the router's {op.name} runs in half precision because of `{text}`: scores near 1 give it no gradient"
    back = ""
    edits: tuple[Edit, ...]
    if half is op.args.get("dtype"):
        edits = rewrite.replace(module, half, _float32(module, half))
        back = f".to({text})"
    else:
        assert isinstance(half, ast.Call)
        assert isinstance(half.func, ast.Attribute)
        edits = rewrite.replace(module, half, "{x}.float()", x=half.func.value)
        back = module.text[module.chars(half.func.value)[1] : module.chars(half)[1]]
    later = _behind_selection(module, op.call, back)
    title = "compute the scores in float32 and cast the result"
    if later is not None:
        title = "compute and select the scores in float32, and cast the weights"
    edits = (*edits, later or module.insertion(module.chars(op.call)[1], back))
    yield context.finding(op.call, message, fix=_fix(title, edits))


def _behind_selection(module: Module, value: ast.Call, cast: str) -> Edit | None:
    """The cast on the selected weights, behind the division by their sum where that follows, when `topk` is all that
    reads the scores: the selection sees float32 then too."""
    statement = module.statement(value)
    scores = _only_target(statement)
    if scores is None or statement.value is not value:  # type: ignore[attr-defined]
        return None
    reads = reads_of(module, statement, scores)
    if reads is None or len(reads) != 1:
        return None
    last = module.statement(reads[0])
    call = last.value if isinstance(last, ast.Assign) and len(last.targets) == 1 else None
    chosen = tensor_op(module, call, "topk") if isinstance(call, ast.Call) else None
    target = last.targets[0] if isinstance(last, ast.Assign) else None
    pair = isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == 2
    if chosen is None or chosen.input is not reads[0] or not pair or not isinstance(target.elts[0], ast.Name):  # type: ignore[union-attr]
        return None
    name = target.elts[0].id  # type: ignore[union-attr]
    block = module.block(last)
    if statement not in block:
        return None
    for following in block[block.index(last) + 1 :]:
        if _only_target(following) != name or not _divided(following, name):
            break
        last = following
    between = block[block.index(statement) + 1 : block.index(last)]
    rebound = {n.id for s in between for n in walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if rebound & set(re.findall(r"\w+", cast)):
        return None  # the cast would speak of another tensor there
    try:
        return rewrite.insert_after(module, last, f"{name} = {name}{cast}")
    except Unrewritable:
        return None


def _only_target(statement: ast.stmt) -> str | None:
    """The one name that an assignment binds."""
    if isinstance(statement, ast.AugAssign):
        target: ast.expr | None = statement.target
    else:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    return target.id if isinstance(target, ast.Name) else None


def _divided(statement: ast.stmt, name: str) -> bool:
    """Whether an assignment divides `name`: `w /= w.sum()`, `w = w / w.sum()`."""
    if isinstance(statement, ast.AugAssign):
        return isinstance(statement.op, ast.Div)
    value = getattr(statement, "value", None)
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Div)
        and isinstance(value.left, ast.Name)
        and value.left.id == name
    )


# -- another branch that runs in float32 -------------------------------------------------------------------------


def _neighbour(module: Module, op: Op) -> ast.Assign | None:
    """The statement that computes the same name in float32 from the same logits, in another branch of one `if`."""
    statement = module.statement(op.call)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        return None
    top: ast.If | None = None
    node: ast.AST = statement
    for ancestor in module.ancestors(statement):
        if not isinstance(ancestor, ast.If):
            break
        in_chain = node in ancestor.orelse and len(ancestor.orelse) == 1
        top = ancestor if top is None or in_chain or node in ancestor.body or node in ancestor.orelse else top
        node = ancestor
    if top is None:
        return None
    for other in walk(top):
        if not isinstance(other, ast.Assign) or other is statement or module.block(other) is module.block(statement):
            continue
        if len(other.targets) != 1 or ast.unparse(other.targets[0]) != target.id:
            continue
        for call in walk(other.value):
            found = tensor_op(module, call, "softmax", "sigmoid") if isinstance(call, ast.Call) else None
            if found is not None and _is_full(module, found) and _same_logits(found, op):
                return other
    return None


def _same_logits(full: Op, op: Op) -> bool:
    text = ast.unparse(op.input)
    return ast.unparse(full.input) == text or ast.unparse(full.input).startswith((f"{text}.float", f"{text}.to("))


def _unlike_its_neighbour(op: Op, neighbour: ast.Assign, context: Context) -> Iterator[Finding]:
    module = context.module
    message = (
        f"this {op.name} runs in the precision of {module.source(op.input)}, the branch beside it in float32: "
        "in half precision scores near 1 give the router no gradient"
    )
    value = neighbour.value
    back = ""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _CASTS:
        back = module.text[module.chars(value.func.value)[1] : module.chars(value)[1]]
    try:
        edits = _in_float32(module, op)
    except Unrewritable as reason:
        yield context.finding(op.call, message, why=str(reason))
        return
    if back and not _is_cast(module, op.call):
        edits = (*edits, module.insertion(module.chars(op.call)[1], back))
    yield context.finding(op.call, message, fix=_fix("compute the scores in float32, as the branch beside it", edits))


def _in_float32(module: Module, op: Op) -> tuple[Edit, ...]:
    if op.name == "softmax" and op.form != "module":
        end = module.chars(op.call)[1] - 1
        comma = "" if module.text[:end].rstrip().endswith((",", "(")) else ", "
        return (module.insertion(end, f"{comma}dtype={_float32(module, op.call)}"),)
    return rewrite.replace(module, op.input, "{x}.float()", x=op.input)


def _is_cast(module: Module, call: ast.Call) -> bool:
    parent = module.parent(call)
    return isinstance(parent, ast.Attribute) and parent.attr in _CASTS


def _float32(module: Module, node: ast.expr) -> str:
    reference = module.names.reference("torch.float32", node)
    if reference is None or reference.edits:
        raise Unrewritable("torch is another name here")
    return reference.text


def _fix(title: str, edits: tuple[Edit, ...]) -> Fix:
    return Fix(
        title=title,
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, hazard=("rounding",), change=_CHANGE),
    )


# -- a cast back that has nothing to cast back ---------------------------------------------------------------------


def _cast_later(module: Module, op: Op) -> bool:
    """Whether the selected scores are cast to the activations' dtype further down: that is where they were meant to
    leave float32. Nothing else may read what is computed here, so that its dtype can change."""
    statement = module.statement(op.call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(statement, ast.Assign) or statement.value is not op.call or not isinstance(target, ast.Name):
        return False
    names, found, pending = {target.id}, False, [(target.id, statement)]
    while pending:
        name, binding = pending.pop()
        reads = reads_of(module, binding, name)
        if not reads:
            return False
        for read in reads:
            kind = _way(module, read)
            reader = module.statement(read)
            if kind == "cast":
                found = True
            elif kind == "kept" and isinstance(reader, (ast.Assign, ast.AugAssign)):
                bound = reader.targets[0] if isinstance(reader, ast.Assign) else reader.target
                first = bound.elts[0] if isinstance(bound, (ast.Tuple, ast.List)) and bound.elts else bound
                if not isinstance(first, ast.Name) or isinstance(reader, ast.AugAssign):
                    return False
                if first.id != "_" and (first.id, reader) not in pending:
                    pending.append((first.id, reader))
                    names.add(first.id)
            elif kind not in ("index", "sum"):
                return False
        if len(names) > 6:
            return False
    return found


def _way(module: Module, read: ast.Name) -> str:
    """What a read leads to: "cast" to another tensor's dtype, "kept" scores, an "index", or "other"."""
    parent = module.parent(read)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.left is read:
        return "kept" if module.statement(read) is module.parent(parent) else "other"
    if isinstance(parent, ast.Attribute):
        call = module.parent(parent)
        if isinstance(call, ast.Call) and call.func is parent:
            if _cast_behind(module, read) is call:
                return "cast"
            if parent.attr in ("topk", "gather") and module.parent(call) is module.statement(read):
                return "kept"
            if parent.attr in ("argmax", "argsort"):
                return "index"
            return "sum" if parent.attr == "sum" and _divides(module, call) else "other"
        return "index" if parent.attr in ("shape", "device") else "other"
    if isinstance(parent, ast.Call) and parent.args and parent.args[0] is read:
        name = (module.qualified(parent.func) or "").rpartition(".")[2]
        if name in ("topk", "gather") and module.parent(parent) is module.statement(read):
            return "kept"
        return "index" if name in ("argmax", "argsort") else "other"
    return "other"


def _divides(module: Module, call: ast.Call) -> bool:
    parent = module.parent(call)
    return isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div) and parent.right is call


def _meant_for_float32(op: Op, context: Context) -> Iterator[Finding]:
    module = context.module
    message = (
        f"the scores are cast to the activations' dtype further down, but this {op.name} runs in it already: "
        "selection and sum are rounded"
    )
    try:
        edits = _in_float32(module, op)
    except Unrewritable as reason:
        yield context.finding(op.call, message, why=str(reason))
        return
    yield context.finding(
        op.call, message, fix=_fix("compute the scores in float32, up to the cast behind them", edits)
    )


# -- float32 that is rounded too early -----------------------------------------------------------------------------


def _rounded_before_selection(op: Op, context: Context) -> Iterator[Finding]:
    """`softmax(..., dtype=torch.float32).type_as(x)` that `topk` selects from: one finding for each function."""
    module = context.module
    call = _cast_behind(module, op.call)
    if call is None or not is_logits(module, op.input):
        return
    statement = module.statement(call)
    if not isinstance(statement, ast.Assign) or statement.value is not call or len(statement.targets) != 1:
        return
    target = statement.targets[0]
    if not isinstance(target, ast.Name) or _STATISTIC.search(target.id):
        return
    chosen = _selects_from(module, statement, target.id)
    if chosen is None:
        return
    message = f"the scores leave float32 before {chosen} selects from them: experts with close scores become equal"
    start, end = module.chars(op.call)[1], module.chars(call)[1]
    later = _behind_selection(module, call, module.text[start:end])
    if later is None:
        why = "keep float32 until the weights are final, and cast what is handed on"
        yield context.finding(call, message, why=why, severity=Severity.INFO)
        return
    edits = (Edit(Span(module.byte(start), module.byte(end)), ""), later)
    fix = _fix("select in float32, and cast the weights", edits)
    yield context.finding(call, message, fix=fix, severity=Severity.INFO)


def _cast_behind(module: Module, node: ast.expr) -> ast.Call | None:
    """The cast to another tensor's dtype, or to half precision, that is put on a result at once."""
    parent = module.parent(node)
    call = module.parent(parent) if isinstance(parent, ast.Attribute) else None
    if not isinstance(parent, ast.Attribute) or not isinstance(call, ast.Call) or call.func is not parent:
        return None
    if parent.attr not in _CASTS or _cast_to(module, call, _FULL):
        return None
    said = " ".join(ast.unparse(a) for a in [*call.args, *(k.value for k in call.keywords)])
    if parent.attr == "to" and not re.search(r"dtype|half|float16|bfloat16", said):
        return None
    return call


def _selects_from(module: Module, statement: ast.stmt, name: str) -> str | None:
    """What selects from the value that a statement binds, in the same block after it."""
    block = module.block(statement)
    at = block.index(statement)
    for later in block[at + 1 :]:
        for part in walk(later):
            if not isinstance(part, ast.Call):
                continue
            called = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            if not re.search(r"top_?k", called, re.I):
                continue
            receiver = [part.func.value] if isinstance(part.func, ast.Attribute) else []
            if any(isinstance(a, ast.Name) and a.id == name for a in [*receiver, *part.args]):
                return called
        if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in walk(later)):
            return None
    return None


RULE = Rule(
    name="router-half-precision",
    summary="A router's softmax or sigmoid is computed, or rounded, in half precision before it selects experts.",
    severity=Severity.WARNING,
    triggers=(
        (b"float32", b".float()", b"torch.float", b"bfloat16", b".half()", b".dtype", b"type_as("),
        (b"expert", b"rout", b"moe", b"MoE"),
        (b"softmax(", b"sigmoid("),
    ),
    anchor=re.compile(r"softmax\((?!\s*(?:attn|attention)_\w+,)|sigmoid\("),
    beside=re.compile(r"float32|\.float\(\)|torch\.float\b|bfloat16|\.half\(\)|\.dtype|type_as\("),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
)
