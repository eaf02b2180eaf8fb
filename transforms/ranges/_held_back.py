"""What keeps an exponent small although nothing clamps it: a likelihood that pays for it, or its caller."""

from __future__ import annotations

import ast
import re

from autofix.calls import call_of, callee, returned
from autofix.flow import Flow
from autofix.relations import words
from autofix.syntax import Module
from autofix.transforms.ranges._exponents import Quantity, element, place_in, view_of
from autofix.transforms.ranges._roles import LOG_STD, LOG_VARIANCE
from autofix.transforms.ranges._roots import is_second_power
from autofix.tree import last_part, parameter_names, walk

_GAUSSIAN_LOSS = re.compile(r"gaussian_nll_loss|GaussianNLLLoss", re.I)
_OPTIONAL = ("default", "exists_or", "ifnone", "if_none", "maybe")
_MOST_STEPS = 16


def is_paid_for(module: Module, found: Quantity, call: ast.Call) -> bool:
    """Whether a Gaussian likelihood in view pays for the quantity: the square of a residual that its exponential
    scales, beside the quantity itself, or torch's own Gaussian loss. Its gradient pulls the quantity back from either
    side before its exponential overflows."""
    if found.role not in (LOG_STD, LOG_VARIANCE):
        return False
    if _GAUSSIAN_LOSS.search(module.text) is not None:
        return not _scales_noise(module, call)
    return _scales_squared_residual(module, call) and _is_summed_plainly(module, found)


def is_given(module: Module, found: Quantity) -> bool:
    """Whether a function that the caller hands to the constructor computes the quantity: what bounds it, if anything,
    stands there."""
    node: ast.expr | None = found.node
    index: int | None = None
    for _ in range(_MOST_STEPS):
        if isinstance(node, ast.Name):
            node, index = _bound_to(module.flow(node), node)
        elif isinstance(node, ast.IfExp):
            node = node.body
        elif isinstance(node, ast.Call) and _is_of_constructor(module, node):
            return True
        elif isinstance(node, ast.Call) and callee(module, node) is not None:
            node, index = _result(module, node, index), None
        elif node is not None:
            node = view_of(module, node)
    return False


def _result(module: Module, call: ast.Call, index: int | None) -> ast.expr | None:
    """What a function of the file returns, or the part of it at `index`."""
    part = element(module, call, index)
    results = returned(module, call)
    return part if part is not call else results[0] if results else None


def _bound_to(flow: Flow, name: ast.Name) -> tuple[ast.expr | None, int | None]:
    """What a name is bound to, and the place of its own part where that is unpacked."""
    found = flow.definition(name)
    statement = found.statement if found is not None else None
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return None, None
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return statement.value, place_in(target, name.id)


def _is_of_constructor(module: Module, call: ast.Call) -> bool:
    """`self.encoder(x)`, where the constructor was given the encoder, or may be."""
    func, cls = call.func, module.class_of(call)
    if cls is None or not isinstance(func, ast.Attribute) or getattr(func.value, "id", "") != "self":
        return False
    init = module.method(cls, "__init__")
    if init is None:
        return False
    text, given = words(module, func), parameter_names(init)
    bound = (
        s.value for s in walk(init) if isinstance(s, ast.Assign) and any(words(module, t) == text for t in s.targets)
    )
    return any(isinstance(v, ast.Name) and v.id in given for value in bound for v in _alternatives(value))


def _alternatives(value: ast.expr) -> list[ast.expr]:
    if isinstance(value, ast.IfExp):
        return [value.body, value.orelse]
    if isinstance(value, ast.BoolOp):
        return value.values
    if isinstance(value, ast.Call) and last_part(value.func) in _OPTIONAL:
        return value.args
    return [value]


def _scales_noise(module: Module, call: ast.Call) -> bool:
    """Whether the exponential, or a name that it is bound to, multiplies random numbers: a sample that goes on into the
    model, where no likelihood of this quantity needs to be."""
    return any(
        last_part(n.func).startswith(("randn", "rsample")) or last_part(n.func) == "normal"
        for product in _products(module, call)
        for n in walk(product)
        if isinstance(n, ast.Call)
    )


def _scales_squared_residual(module: Module, call: ast.Call) -> bool:
    """`((x - mean) * exp(-log_std)) ** 2`, `(x - mean) ** 2 * exp(-log_var)`, in one statement or more."""
    for product in _products(module, call):
        if not any(_is_difference(module, n) for n in walk(product)):
            continue
        for node in (*walk(module.statement(product)), *_readers(module, product)):
            if _is_square(module, node):
                return True
    return False


def _products(module: Module, call: ast.Call) -> list[ast.expr]:
    """The products and quotients of the exponential, where it stands and where a name that it is bound to is read."""
    out: list[ast.expr] = []
    for place in (call, *_readers(module, call)):
        while isinstance(parent := module.parent(place), ast.BinOp) and isinstance(parent.op, (ast.Mult, ast.Div)):
            place = parent
        if isinstance(place, ast.BinOp):
            out.append(place)
    return out


def _readers(module: Module, node: ast.expr) -> list[ast.Name]:
    """The reads of the name that the statement of `node` is bound to."""
    statement = module.statement(node)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return []
    return module.flow(node).certain_readers(target.id, statement)


def _is_difference(module: Module, node: ast.AST) -> bool:
    value = module.flow(node).value(node) if isinstance(node, ast.Name) else node
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Pow):
        value = value.left
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub)


def _is_square(module: Module, node: ast.AST) -> bool:
    """Whether a node is a square, or a name that is squared where it stands."""
    if isinstance(node, ast.Name):
        parent = module.parent(node)
        above = module.parent(parent) if isinstance(parent, ast.Attribute) else parent
        return above is not None and not isinstance(above, ast.Name) and _is_square(module, above)
    return is_second_power(module, node)


def _is_summed_plainly(module: Module, found: Quantity) -> bool:
    """Whether the function adds the quantity itself to something, or takes it away."""
    text = words(module, found.node)
    for node in walk(module.flow(found.node).scope):
        if type(node) is not type(found.node) or not isinstance(node, ast.expr) or words(module, node) != text:
            continue
        if _is_term(module, node):
            return True
    return False


def _is_term(module: Module, node: ast.expr) -> bool:
    place: ast.AST = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.AugAssign):
            return isinstance(ancestor.op, (ast.Add, ast.Sub))
        if isinstance(ancestor, ast.BinOp) and isinstance(ancestor.op, (ast.Add, ast.Sub)):
            return True
        if isinstance(ancestor, (ast.stmt, ast.Subscript)):
            return False
        if isinstance(ancestor, ast.Call) and place is not ancestor.func:
            known = call_of(module, ancestor)
            if known is not None and known.name not in ("sum", "mean"):
                return False
        place = ancestor
    return False
