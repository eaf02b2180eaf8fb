"""Two masks that both hold the minimum of their dtype, added: -inf again."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.ops import tensor_op
from autofix.rewrite import Unrewritable, replace
from autofix.rule import Context
from autofix.syntax import Module
from autofix.transforms.masks._batch import depends_on_batch
from autofix.transforms.masks._calls import leaf_name
from autofix.transforms.masks._dtypes import dtype_of
from autofix.transforms.masks._purpose import in_sampler
from autofix.transforms.masks._reaching import reaching
from autofix.transforms.masks._rewriting import Writer, closing_bracket
from autofix.transforms.masks._rows import keeps_diagonal, resolved
from autofix.transforms.masks._sums import is_clamped

_VIEWS = frozenset((
    "view", "reshape", "transpose", "permute", "unsqueeze", "squeeze", "expand", "repeat", "to", "type", "type_as",
    "contiguous", "clone", "triu", "tril", "triu_", "tril_", "float", "half", "cuda", "flatten",
))  # fmt: skip
_DEPTH = 8


def added_minima(node: ast.AST, context: Context) -> Iterator[Finding]:
    """A finding for a sum of two masks, each filled with `torch.finfo(...).min`."""
    module = context.module
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return
    if not all(isinstance(s, (ast.Name, ast.Subscript, ast.Call)) for s in (node.left, node.right)):
        return
    if not (_holds_minimum(module, node.left, 0) and _holds_minimum(module, node.right, 0)):
        return
    if is_clamped(module, node) or in_sampler(module, node):
        return
    message = "the minimum of a dtype plus itself is -inf: a row that both masks close becomes NaN in softmax"
    severity = None
    if keeps_the_diagonal(module, node.left) or keeps_the_diagonal(module, node.right):
        severity = Severity.INFO  # the other mask alone stands there, and its minimum is finite beside float32 scores
        message = "the minimum of a dtype plus itself is -inf: in float16 a row that the masks close becomes NaN"
    try:
        fix = Fix(
            "clamp the sum of the two masks at the minimum of the dtype",
            _clamp(module, node),
            Applicability.SAFE,
            Claim(Relation.MASK, hazard=("value", "gradient")),
        )
    except Unrewritable as error:
        yield context.finding(node, message, why=str(error), severity=severity)
        return
    yield context.finding(node, message, fix, severity=severity)


def keeps_the_diagonal(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a mask is cut to the part above the diagonal or filled by positions: each row keeps its own."""
    parts = resolved(module, node)
    for part in parts:
        if isinstance(part, ast.Call) and leaf_name(part.func).startswith(("triu", "tril")):
            return keeps_diagonal(module, part)
        fill = tensor_op(module, part, "masked_fill", "masked_fill_")
        if fill is not None and "mask" in fill.args and not depends_on_batch(module, fill.args["mask"]):
            return True
    names = [p for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Load)]
    bound = [v for n in names if depth < 4 for v in _values(module, n)]
    return any(keeps_the_diagonal(module, v, depth + 1) for v in bound)


def _clamp(module: Module, node: ast.BinOp) -> tuple[Edit, ...]:
    writer = Writer(module, node)
    dtype = dtype_of(module, node.left) or dtype_of(module, node.right)
    if dtype is None:
        raise Unrewritable("the dtype of the sum has no name here")
    value = writer.minimum_text(dtype)
    bracket = closing_bracket(module, node)
    if bracket is not None and isinstance(module.parent(node), ast.Attribute):
        return (*writer.import_edits(), module.insertion(bracket, f".clamp_min({value})"))
    return (*writer.import_edits(), *replace(module, node, "{s}.clamp_min({v})", s=node, v=value))


def _holds_minimum(module: Module, node: ast.expr, depth: int) -> bool:
    """Whether a tensor certainly is a mask of zeros and the minimum of a dtype."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Subscript):
        return _holds_minimum(module, node.value, depth + 1)
    if isinstance(node, ast.Name):
        values = _values(module, node)
        return bool(values) and all(_holds_minimum(module, v, depth + 1) for v in values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _is_minimum(module, node.right) or _is_minimum(module, node.left)
    if not isinstance(node, ast.Call):
        return False
    op = tensor_op(module, node, "masked_fill", "masked_fill_", "where")
    if op is not None and op.name.startswith("masked_fill"):
        value = op.args.get("value")
        return (value is not None and _is_minimum(module, value)) or _holds_minimum(module, op.input, depth + 1)
    if op is not None:
        other = op.args.get("other")
        return other is not None and (_is_minimum(module, other) or _is_minimum(module, op.input))
    dotted = module.qualified(node.func) or ""
    if dotted in ("torch.full", "torch.full_like"):
        return len(node.args) > 1 and _is_minimum(module, node.args[1])
    if dotted in ("torch.triu", "torch.tril"):
        return bool(node.args) and _holds_minimum(module, node.args[0], depth + 1)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not dotted:
        return _holds_minimum(module, node.func.value, depth + 1)
    return False


def _is_minimum(module: Module, node: ast.expr) -> bool:
    """`torch.finfo(...).min`, or a name bound to it on every path."""
    if isinstance(node, ast.IfExp):
        return _is_minimum(module, node.body)
    if isinstance(node, ast.Name):
        values = _values(module, node)
        return bool(values) and all(not isinstance(v, ast.Name) and _is_minimum(module, v) for v in values)
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "min"
        and isinstance(node.value, ast.Call)
        and module.qualified(node.value.func) == "torch.finfo"
    )


def _values(module: Module, name: ast.Name) -> list[ast.expr]:
    """What may have been assigned to a name; nothing when some binding is no plain assignment."""
    statements, entry = reaching(module, module.flow(name), name)
    if entry:
        return []
    values = [
        s.value
        for s in statements
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name)
    ]
    return values if len(values) == len(statements) else []
