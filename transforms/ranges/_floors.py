"""Small constants that their tensor's dtype can hold."""

from __future__ import annotations

import ast

from autofix import rewrite
from autofix.model import Claim, Edit, Relation
from autofix.ops import Op, constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.ranges._roots import is_own_product
from autofix.tree import walk

TINY = 1.1754943508222875e-38  # the smallest normal number of float32
HALF_ZERO = 1e-7  # float16 rounds smaller numbers to 0
SAME_DTYPE = frozenset(
    "pow square sum mean abs add sub mul div neg clamp clamp_min clamp_max relu exp log sqrt var std unsqueeze squeeze "
    "view reshape transpose permute detach contiguous flatten expand amax amin prod norm sigmoid softmax tanh cumsum "
    "maximum minimum matmul bmm".split()
)


def literal(value: float | None) -> str:
    """A number that an engineer would write: six significant digits; empty for None."""
    return "" if value is None else repr(float(f"{value:.6g}"))


def tiny(module: Module, node: ast.expr) -> str:
    """`torch.finfo(x.dtype).tiny` for the dtype of `node`, as source text.

    Raises:
        Unrewritable: no plain name in `node` certainly has its dtype.
    """
    return limits(module, node, "tiny")


def limits(module: Module, node: ast.expr, name: str) -> str:
    """`torch.finfo(x.dtype).<name>` ("eps", "tiny") for the dtype of `node`, as source text.

    Raises:
        Unrewritable: no plain name in `node` certainly has its dtype, or `torch` is another name here.
    """
    owner = dtype_owner(module, node)
    reference = module.names.reference("torch.finfo", node)
    if owner is None or reference is None or reference.edits:
        raise Unrewritable("the bound depends on the dtype, and nothing here names a tensor of this dtype")
    return f"{reference.text}({module.source(owner)}.dtype).{name}"


def at_least(module: Module, value: float | None, node: ast.expr) -> str:
    """`value` as source text, raised to the smallest normal number where the dtype of `node` may round it to 0.

    Raises:
        Unrewritable: the dtype matters, and no name says which it is.
    """
    if value is None or value >= HALF_ZERO:
        return literal(value)
    floor = tiny(module, node)
    return floor if value <= TINY else f"max({literal(value)}, {floor})"


def held(module: Module, node: ast.expr, low: str | None, high: str | None, change: str) -> Claim:
    """The claim that only `node` is clamped: the patched code is the original with `node` between `low` and `high`.

    The bounds are source text that may read `trial_dtype`. A name with other readers, which see it as it was, leaves
    the weaker claim: equal but for the stated change.
    """
    if isinstance(node, ast.Name):
        flow = module.flow(node)
        definition = flow.definition(node)
        alone = flow.readers(definition) == [node] if definition is not None else _is_only_read(module, node)
        if not alone:
            return Claim(Relation.EQUAL, change=change)
    figures = {"quantity": ast.unparse(node), "min": low, "max": high}
    return Claim(Relation.CLAMPED, parameters=figures, change=change)


def _is_only_read(module: Module, name: ast.Name) -> bool:
    """Whether the function reads a name that several assignments can reach in this one place."""
    reads = [n for n in walk(module.function_scope(name)) if isinstance(n, ast.Name) and n.id == name.id]
    return [n for n in reads if isinstance(n.ctx, ast.Load)] == [name]


def unclamped(module: Module, node: ast.expr) -> ast.expr:
    """`node` without the clamp to at least 0 that it may be."""
    clamp = clamp_at_zero(module, node)
    return clamp.input if clamp else node


def hold(module: Module, node: ast.expr, limit: str) -> tuple[Edit, ...]:
    """Clamp `node` to `torch.finfo(dtype).<limit>`, or raise the bound of the clamp at 0 that it is.

    Raises:
        Unrewritable: nothing names a tensor of this dtype.
    """
    bound = limits(module, node, limit)
    clamp = clamp_at_zero(module, node)
    if clamp is not None:
        return rewrite.replace(module, clamp.args["min"], bound)
    return rewrite.replace(module, node, f"{{x}}.clamp_min({bound})", x=node)


def clamp_at_zero(module: Module, node: ast.expr) -> Op | None:
    """The clamp to at least exactly 0 that `node` is."""
    op = tensor_op(module, node, "clamp", "clamp_min")
    return op if op is not None and "min" in op.args and constant(module, op.args["min"]) == 0 else None


def dtype_owner(module: Module, node: ast.expr) -> ast.expr | None:
    """A name (or attribute of a name) in `node` that has the dtype of `node`; None when that is not certain.

    Arithmetic keeps the dtype of its one tensor; of two tensors the first is taken, which differs from the result
    only where dtypes are mixed, and then holds less.
    """
    if isinstance(node, ast.Name):
        return None if constant(module, node) is not None else node
    if is_own_product(module, node) and isinstance(node, ast.Call):
        return dtype_owner(module, node.args[0])
    if isinstance(node, ast.Attribute):
        return node if isinstance(node.value, (ast.Name, ast.Attribute)) and constant(module, node) is None else None
    if isinstance(node, ast.Subscript):
        # An entry of a dict has a dtype; the dict has none.
        keyed = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        return node if keyed else dtype_owner(module, node.value)
    if isinstance(node, ast.UnaryOp):
        return dtype_owner(module, node.operand)
    if isinstance(node, ast.BinOp):
        return dtype_owner(module, node.left) or dtype_owner(module, node.right)
    op = tensor_op(module, node)
    if op is None or op.name not in SAME_DTYPE or "dtype" in op.args:
        return None
    return dtype_owner(module, op.input)
