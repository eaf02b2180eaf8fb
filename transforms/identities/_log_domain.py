"""The logarithm of a product, factor by factor, where every factor is certainly positive."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autofix.flow import Definition
from autofix.ops import constant, tensor_op
from autofix.pattern import Match
from autofix.ranges import interval
from autofix.sameness import is_untouched
from autofix.substitute import Derived
from autofix.syntax import Module
from autofix.transforms.identities._operands import shift_of

_CATEGORICAL = {"torch.distributions.Categorical", "torch.distributions.OneHotCategorical",
                "torch.distributions.categorical.Categorical"}  # fmt: skip
_MOST_NAMES = 6
Read = tuple[ast.Name, Definition]


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product.

    node: the expression that its logarithm is made from. template: that logarithm, `{}` standing for `node`; empty when
    the sign of the factor is not known. divides: it stands in a denominator. exponent: `x`, where the factor is
    `exp(x)`. scale: an expression that multiplies the logarithm, for a power. negative: so does -1.
    """

    node: ast.expr
    template: str
    divides: bool
    exponent: ast.expr | None = None
    scale: ast.expr | None = None
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    factors: tuple[Factor, ...]
    reads: tuple[Read, ...]

    @property
    def exponents(self) -> list[ast.expr]:
        return [f.exponent for f in self.factors if f.exponent is not None and not f.divides]

    @property
    def opaque(self) -> list[ast.expr]:
        """Factors whose sign is not known."""
        return [f.node for f in self.factors if not f.template]


def product(module: Module, node: ast.expr) -> Product:
    reads: list[Read] = []
    return Product(tuple(_factors(module, node, False, reads, 0)), tuple(reads))


def is_weighted_exp(module: Module, match: Match) -> bool:
    """Whether the captured `p` is a product of an exponential and something else."""
    found = product(module, match.captures["p"])
    return len(found.factors) > 1 and bool(found.exponents)


def exponent_is_shifted(module: Module, match: Match) -> bool:
    """Whether an exponent of the captured product `p` has its own maximum subtracted."""
    found = product(module, match.captures["p"])
    return any(shift_of(module, node, match.captures.get("dim")) for node in found.exponents)


def consequence(module: Module, match: Match) -> str:
    """What becomes of the logarithm of a sum of exponentials, of `x` or in the product `p`."""
    exponents = [match.captures["x"]] if "x" in match.captures else product(module, match.captures["p"]).exponents
    if exponents and all(interval(module, n).non_positive for n in exponents):
        return "the result is -inf with a NaN gradient when all exponents lie below -104 (-17 in float16)"
    return (
        "the result is inf with a NaN gradient once an exponent passes 88.7 (11.09 in float16), and -inf when all lie "
        "below -104"
    )


def exponent_is_free(module: Module, match: Match) -> bool:
    """Whether no exponent of the captured product `p` is shifted, or proved to stay small."""
    found = product(module, match.captures["p"])
    large = [n for n in found.exponents if interval(module, n).high > 80]
    return bool(large) and not exponent_is_shifted(module, match)


def has_unknown_weight(module: Module, match: Match) -> bool:
    return bool(product(module, match.captures["p"]).opaque)


def log_terms(module: Module, match: Match) -> Derived | None:
    """The logarithm of the captured product `p` as a sum of terms."""
    found = product(module, match.captures["p"])
    if found.opaque:
        return None
    text, captures = "", {}
    # A sum that begins with a positive term reads best.
    for index, factor in enumerate(sorted(found.factors, key=lambda f: (f.divides, f.negative))):
        name = f"p{index}"
        captures[name] = factor.node
        term = factor.template.replace("{}", f"{{{name}}}")
        if factor.scale is not None:
            captures[f"{name}k"] = factor.scale
            term = f"{{{name}k}} * {term}"
        minus = factor.divides != factor.negative
        text += f" {'-' if minus else '+'} {term}" if text else f"-{term}" if minus else term
    return Derived(text, captures, found.reads)


def _factors(module: Module, node: ast.expr, divides: bool, reads: list[Read], depth: int) -> Iterator[Factor]:
    if depth > 12:
        yield Factor(node, "", divides)
        return
    pair = _product_of_two(module, node)
    if pair is not None:
        left, right, is_division = pair
        yield from _factors(module, left, divides, reads, depth + 1)
        yield from _factors(module, right, divides != is_division, reads, depth + 1)
        return
    factor = _known(module, node, divides)
    if factor is not None:
        yield factor
        return
    if isinstance(node, ast.Name) and len(reads) < _MOST_NAMES:
        found = module.flow(node).definition(node)
        if found is not None and found.value is not None and is_untouched(module, node, found):
            inner: list[Read] = [*reads, (node, found)]
            factors = [*_factors(module, found.value, divides, inner, depth + 1)]
            if all(f.template for f in factors) or any(f.exponent is not None for f in factors):
                reads[:] = inner
                yield from factors
                return
    yield Factor(node, "", divides)


def _product_of_two(module: Module, node: ast.expr) -> tuple[ast.expr, ast.expr, bool] | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        return node.left, node.right, isinstance(node.op, ast.Div)
    op = tensor_op(module, node, "mul", "div", "true_divide")
    if op is None or len(op.args) != 1 or op.extra:
        return None
    return op.input, next(iter(op.args.values())), op.name != "mul"


def _known(module: Module, node: ast.expr, divides: bool) -> Factor | None:
    """A factor whose logarithm can be written."""
    number = constant(module, node)
    if number is not None:
        return Factor(node, "math.log({})", divides) if number > 0 else None
    op = tensor_op(module, node, "exp", "softmax", "sigmoid", "sqrt", "pow")
    if op is not None and op.extra:
        return None
    if op is not None and op.name == "exp":
        if isinstance(op.input, ast.UnaryOp) and isinstance(op.input.op, ast.USub):
            return Factor(op.input.operand, "{}", divides, op.input, negative=True)
        return Factor(op.input, "{}", divides, op.input)
    if op is not None and op.name == "softmax" and set(op.args) == {"dim"}:
        dim = constant(module, op.args["dim"])
        return Factor(op.input, f"{{}}.log_softmax(dim={dim})", divides) if type(dim) is int else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(module, node.left, node.right, divides)
    if op is not None and op.name == "pow" and "exponent" in op.args:
        return _power(module, op.input, op.args["exponent"], divides)
    if isinstance(node, ast.Attribute) and node.attr == "probs" and _is_categorical(module, node.value):
        return Factor(node.value, "{}.logits", divides)
    if isinstance(node, ast.Attribute):
        source = _assigned_attribute(module, node)
        if isinstance(source, ast.Attribute) and source.attr == "probs" and _is_categorical(module, source.value):
            return Factor(node, f"{module.source(source.value)}.logits", divides)
        if _is_constrained_positive(module, node):
            return Factor(node, "{}.log()", divides)
        return None
    if op is not None and interval(module, node).positive:
        return Factor(node, "{}.log()", divides)
    return None


def _power(module: Module, base: ast.expr, exponent: ast.expr, divides: bool) -> Factor | None:
    inner = _known(module, base, divides)
    if inner is None or inner.scale is not None or inner.exponent is not None:
        return None
    if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
        return Factor(inner.node, inner.template, divides, None, exponent.operand, True)
    return Factor(inner.node, inner.template, divides, None, exponent)


def _assigned_attribute(module: Module, node: ast.Attribute) -> ast.expr | None:
    cls = module.class_of(node)
    is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
    return module.self_attribute(cls, node.attr) if cls is not None and is_own else None


def _is_categorical(module: Module, node: ast.expr) -> bool:
    """Whether `node` is a categorical distribution, whose `logits` are the logarithms of its `probs`."""
    made = _assigned_attribute(module, node) if isinstance(node, ast.Attribute) else module.flow(node).value(node)
    return isinstance(made, ast.Call) and module.qualified(made.func) in _CATEGORICAL


def _is_constrained_positive(module: Module, node: ast.Attribute) -> bool:
    """Whether the class, a distribution, declares this parameter of its own as positive."""
    cls = module.class_of(node)
    if cls is None or not isinstance(node.value, ast.Name) or node.value.id != "self":
        return False
    for statement in cls.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Dict):
            continue
        if not any(isinstance(t, ast.Name) and t.id == "arg_constraints" for t in statement.targets):
            continue
        for key, value in zip(statement.value.keys, statement.value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == node.attr:
                return isinstance(value, ast.Attribute) and value.attr in ("positive", "softplus_positive")
    return False
