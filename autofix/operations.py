"""What an operation with operands does to their intervals: arithmetic, clamps, selections, constructors."""

from __future__ import annotations

import ast
from collections.abc import Callable

from autofix import intervals as iv
from autofix.calls import Call
from autofix.guards import narrowed
from autofix.intervals import UNKNOWN, Interval
from autofix.relations import may_be_empty
from autofix.syntax import Module
from autofix.transfer import MAKERS, MOVES, UNARY, total

Evaluate = Callable[[ast.expr], Interval]


def operate(op: ast.operator, left: Interval, right: Interval) -> Interval:
    if isinstance(op, ast.Add):
        return iv.add(left, right)
    if isinstance(op, ast.Sub):
        return iv.subtract(left, right)
    if isinstance(op, ast.Mult):
        return iv.multiply(left, right)
    if isinstance(op, ast.Div):
        return iv.divide(left, right)
    if isinstance(op, ast.Pow):
        return iv.power(left, right)
    if isinstance(op, ast.MatMult):
        return iv.NON_NEGATIVE if left.low >= 0 and right.low >= 0 else UNKNOWN
    if isinstance(op, ast.FloorDiv):
        return UNARY["floor"](iv.divide(left, right))
    if isinstance(op, ast.Mod) and right.positive:
        return iv.make(0.0, right.high, integer=left.integer and right.integer)
    boolean = left == right == iv.BOOLEAN
    return iv.BOOLEAN if boolean and isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)) else UNKNOWN


def operation(module: Module, call: Call, of: Evaluate) -> Interval:
    name, args = call.name, call.args
    base = name[:-1] if name.endswith("_") and name[:-1] in UNARY else name
    if name in ("max", "min") and ("dim" in args or "other" in args):
        return _extreme(call, of)
    if name in ("sum", "cumsum", "nansum"):
        found = total(of(call.input))
        return iv.join(found, iv.constant(0.0)) if may_be_empty(module, call.input) else found
    if base in UNARY:
        return UNARY[base](of(call.input))
    if name in MOVES:
        return of(call.input)
    if name.startswith("clamp") or name in ("clip", "clip_", "hardtanh"):
        return clamp(of(call.input), call, of)
    if name in ("where", "masked_fill", "masked_fill_") and ("condition" in args or "mask" in args):
        return _chosen(module, call, of)
    if name in ("where", "masked_fill", "masked_fill_", "index_fill", "lerp"):
        other = args.get("other") or args.get("value")
        return iv.join(of(call.input), of(other)) if other is not None else UNKNOWN
    if name in ("tril", "triu", "tril_", "triu_", "nan_to_num", "nan_to_num_", "pad", "diag", "diag_embed"):
        return iv.join(of(call.input), iv.constant(0.0), *(of(a) for k, a in args.items() if k in
                       ("nan", "posinf", "neginf", "value")))  # fmt: skip
    if name in ("maximum", "minimum"):
        other = args.get("other")
        combine = iv.maximum if name == "maximum" else iv.minimum
        return combine(of(call.input), of(other)) if other is not None else UNKNOWN
    if name in _ARITHMETIC and "other" in args and len(args) == 1:
        return operate(_ARITHMETIC[name](), of(call.input), of(args["other"]))
    if name in ("pow", "pow_", "float_power") and "exponent" in args:
        return iv.power(of(call.input), of(args["exponent"]))
    if name in ("cat", "stack", "concat", "tensor", "as_tensor", "Tensor", "FloatTensor", "from_numpy", "hstack"):
        return of(call.input)
    if name in ("full", "full_like", "new_full") and "fill_value" in args:
        return of(args["fill_value"])
    return _maker(call, of)


def _chosen(module: Module, call: Call, of: Evaluate) -> Interval:
    """`where` and `masked_fill`: each element comes from a side for which the condition is known."""
    condition, kept = args_of_choice(call)
    other = call.args.get("other") or call.args.get("value")
    if other is None:
        return UNKNOWN
    mine = narrowed(module, call.input, of(call.input), (condition, kept), of)
    return iv.join(mine, narrowed(module, other, of(other), (condition, not kept), of))


def args_of_choice(call: Call) -> tuple[ast.expr, bool]:
    """The condition of a `where` or `masked_fill`, and what it is where the input's own element is taken."""
    return (call.args["condition"], True) if "condition" in call.args else (call.args["mask"], False)


def _maker(call: Call, of: Evaluate) -> Interval:
    if call.form == "function" and call.name in MAKERS:
        return MAKERS[call.name]
    if call.name in ("arange", "linspace", "len"):
        given = [of(a) for a in call.node.args]
        if call.name == "len":
            return iv.SIZE
        if call.name == "linspace" and len(given) >= 2:
            return iv.join(*given[:2])
        if call.name == "arange" and given:
            start = iv.constant(0.0) if len(given) == 1 else given[0]
            high = given[0] if len(given) == 1 else given[1]
            found = iv.make(min(start.low, high.low), max(start.high, high.high))
            rising = len(given) < 3 or given[2].low > 0
            return iv.make(start.low, max(start.high, high.high)) if rising else found
    return UNKNOWN


def _extreme(call: Call, of: Evaluate) -> Interval:
    """`max(x, dim)` and `max(x, y)` look alike when the second argument is a name."""
    own = of(call.input)
    other = call.args.get("other") or call.args["dim"]
    combine = iv.maximum if call.name == "max" else iv.minimum
    value = other.operand if isinstance(other, ast.UnaryOp) else other
    if "other" not in call.args and (isinstance(value, (ast.Constant, ast.Tuple)) or "keepdim" in call.args):
        return own
    both = combine(own, of(other))
    return both if "other" in call.args else iv.join(own, both)


def clamp(x: Interval, call: Call, of: Evaluate) -> Interval:
    low, high = call.args.get("min"), call.args.get("max")
    if call.name == "hardtanh":
        low, high = call.args.get("min_val"), call.args.get("max_val")
        if low is None and high is None:
            return iv.minimum(iv.maximum(x, iv.constant(-1.0)), iv.constant(1.0))
    if low is not None and not _is_none(low):
        x = iv.maximum(x, of(low))
    if high is not None and not _is_none(high):
        x = iv.minimum(x, of(high))
    return x


_ARITHMETIC: dict[str, type[ast.operator]] = {
    "add": ast.Add, "sub": ast.Sub, "subtract": ast.Sub, "mul": ast.Mult, "multiply": ast.Mult, "div": ast.Div,
    "divide": ast.Div, "true_divide": ast.Div, "matmul": ast.MatMult, "bmm": ast.MatMult, "mm": ast.MatMult,
    "add_": ast.Add, "sub_": ast.Sub, "mul_": ast.Mult, "div_": ast.Div, "dot": ast.MatMult, "mv": ast.MatMult,
}  # fmt: skip


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
