"""Square roots however they are spelled, and whether a gradient flows through what they are taken of."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix.ops import constant, tensor_op
from autofix.ranges import analysis
from autofix.relations import same
from autofix.syntax import Module
from autofix.tree import walk

LARGEST_EPS = 0.01
_PRODUCT = re.compile(r"(^|_)(dot|inner)(_?prod(uct)?)?$")
_TRIANGULAR = re.compile(r"tril|chol", re.I)
_EPS_NAME = re.compile(r"(^|_)(eps|epsilon|tiny|small)\d*$", re.I)


@dataclass(frozen=True, slots=True)
class Root:
    """A square root of a tensor. inverse: `rsqrt`."""

    node: ast.expr
    argument: ast.expr
    inverse: bool


def root_of(module: Module, node: ast.AST) -> Root | None:
    """The square root that `node` is: `sqrt`, `rsqrt`, `** 0.5`, `** -0.5` and `pow(x, 0.5)`, of a tensor."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = constant(module, node.right)
        if power not in (0.5, -0.5) or not looks_like_tensor(module, node.left):
            return None
        return Root(node, node.left, power < 0)
    op = tensor_op(module, node, "sqrt", "rsqrt", "pow")
    if op is None or op.extra or not isinstance(node, ast.expr):
        return None
    if op.name == "pow":
        power = constant(module, op.args.get("exponent"))
        if power not in (0.5, -0.5):
            return None
        return Root(node, op.input, power < 0)
    return Root(node, op.input, op.name == "rsqrt")


def is_square(module: Module, node: ast.expr) -> bool:
    """Whether `node` is the square of a tensor: `x ** 2`, `x.pow(2)`, `x.square()`, `x * x`, `x.abs() ** 2`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return same(module, node.left, node.right) and constant(module, node.left) is None
    return is_second_power(module, node)


def is_second_power(module: Module, node: ast.AST) -> bool:
    """Whether `node` is written as a square: `x ** 2`, `x.pow(2)`, `x.square()`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return constant(module, node.right) == 2 and constant(module, node.left) is None
    op = tensor_op(module, node, "pow", "square")
    return op is not None and (op.name == "square" or constant(module, op.args.get("exponent")) == 2)


def is_own_product(module: Module, node: ast.expr) -> bool:
    """`batched_dot_product(x, x)`: whatever function it is, its name says what it computes."""
    if not isinstance(node, ast.Call) or len(node.args) != 2 or isinstance(node.args[0], ast.Constant):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    return _PRODUCT.search(name) is not None and same(module, node.args[0], node.args[1])


def guarded_outside(module: Module, root: ast.expr) -> bool:
    """Whether a small constant is added to the root, or the root is clamped: other rules speak about these."""
    parent = module.parent(root)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add):
        other = parent.right if parent.left is root else parent.left
        value = constant(module, other)
        return is_named_eps(other) or (value is not None and 0 < value <= LARGEST_EPS)
    called = module.parent(parent) if isinstance(parent, ast.Attribute) else parent
    op = tensor_op(module, called) if isinstance(called, ast.Call) else None
    return op is not None and op.input is root and op.name.startswith("clamp")


def is_named_eps(node: ast.expr) -> bool:
    """Whether `node` is a name or an attribute that is called a small constant."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return _EPS_NAME.search(name) is not None


def never_zero(module: Module, node: ast.expr) -> bool:
    """Whether the range analysis proves that `node` keeps away from 0."""
    reach = analysis(module).of(node)
    return reach.positive or reach.magnitude > 0


def squeezed(module: Module, node: ast.expr) -> bool:
    """Whether a probability, or what is left to 1, was mixed with a constant, as `0.9 * p + 0.05`, and keeps away from
    0 and 1 by that."""
    value = module.flow(node).value(node)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub) and constant(module, value.left) == 1:
        value = module.flow(value.right).value(value.right)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return False
    for scaled, shift in ((value.left, value.right), (value.right, value.left)):
        low = constant(module, shift)
        if low is None or not isinstance(scaled, ast.BinOp) or not isinstance(scaled.op, ast.Mult):
            continue
        factors = [f for f in (constant(module, scaled.left), constant(module, scaled.right)) if f is not None]
        if len(factors) == 1 and low > 0 and factors[0] > 0 and low + factors[0] < 1:
            return True
    return False


def has_margin(module: Module, node: ast.expr) -> bool:
    """Whether both ends are clamped, neither at exactly 1: any other bound is a margin somebody chose."""
    op = tensor_op(module, module.flow(node).value(node), "clamp", "clamp_")
    ends = (op.args.get("min"), op.args.get("max")) if op else (None, None)
    return all(end is not None and constant(module, end) not in (-1, 1) for end in ends)


def squared(module: Module, node: ast.expr) -> ast.expr | None:
    """What is squared, directly or in the definition of a name; None where nothing is."""
    node = module.flow(node).value(node)
    if not is_square(module, node):
        return None
    if isinstance(node, ast.BinOp):
        return node.left
    op = tensor_op(module, node, "pow", "square")
    return op.input if op else None


def no_zero_rows(module: Module, x: ast.expr) -> bool:
    """Whether a row of zeros in `x` is out of the question: an exponential is added in it, or it is one of a Cholesky
    factor, whose diagonal is positive."""
    value = module.flow(x).value(x)
    if _TRIANGULAR.search(module.source(x)):
        return True
    terms = [value.left, value.right] if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) else []
    calls = (n for t in terms for n in walk(t) if isinstance(n, ast.Call))
    return any(tensor_op(module, n, "exp", "softplus") is not None for n in calls)


def looks_like_tensor(module: Module, node: ast.expr) -> bool:
    """Whether some tensor operation is in `node`, or in the values of its names: `**` works on numbers too."""
    for part in walk(node):
        value = module.flow(part).value(part) if isinstance(part, ast.Name) else part
        if isinstance(value, ast.Subscript) and _indexes_a_tensor(value):
            return True
        if isinstance(value, ast.Call) and tensor_op(module, value) is not None:
            return True
    value = module.flow(node).value(node)
    return value is not node and looks_like_tensor(module, value)


def _indexes_a_tensor(node: ast.Subscript) -> bool:
    """`x[..., 0]`, `x[:, 1]`: no list or number is indexed like that."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
    return any(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value is Ellipsis) for p in parts)


def selected(module: Module, node: ast.expr) -> bool:
    """Whether `node` is the result of a `where`, or computed from parts of one: somebody chose the safe values
    already. So is `x[inside]`, the part that a mask keeps."""
    value = module.flow(node).value(node)
    if tensor_op(module, value, "where") is not None:
        return True
    parts = [n for n in walk(value) if isinstance(n, ast.Subscript)]
    if not parts:  # a number made of such parts above
        above = [module.flow(n).value(n) for n in walk(value) if isinstance(n, ast.Name)]
        parts = [n for v in above if isinstance(v, ast.BinOp) for n in walk(v) if isinstance(n, ast.Subscript)]
    return bool(parts) and all(_is_chosen(module, p) for p in parts)


def _is_chosen(module: Module, node: ast.Subscript) -> bool:
    index = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    if isinstance(index, ast.Name):
        mask = module.flow(node).value(index)
        compared = isinstance(mask, (ast.Compare, ast.UnaryOp)) or (
            isinstance(mask, ast.BinOp) and isinstance(mask.op, (ast.BitAnd, ast.BitOr))
        )
        if compared or "mask" in index.id:
            return True
    return tensor_op(module, module.flow(node).value(node.value), "where") is not None


def chosen_by_where(module: Module, node: ast.expr, argument: ast.expr) -> bool:
    """Whether a `where` around `node` asks about its argument: a rule of its own speaks about that."""
    names = {n.id for n in walk(argument) if isinstance(n, ast.Name)}
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            return False
        op = tensor_op(module, ancestor, "where")
        if op is not None and names & {n.id for n in walk(op.args["condition"]) if isinstance(n, ast.Name)}:
            return True
    return False


def refused(module: Module, node: ast.expr) -> bool:
    """Whether the function raises for some values of what `node` is computed from."""
    names = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    for statement in walk(module.flow(node).scope):
        if isinstance(statement, ast.If) and any(isinstance(s, ast.Raise) for s in statement.body):
            compared = [n for n in walk(statement.test) if isinstance(n, ast.Compare)]
            if any(names & {n.id for n in walk(c) if isinstance(n, ast.Name)} for c in compared):
                return True
    return False
