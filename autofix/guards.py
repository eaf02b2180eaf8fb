"""The conditions that certainly hold where an expression is evaluated: the branch it stands in, asserts and early
exits above it, and what they say about intervals.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from autofix import intervals as iv
from autofix.intervals import Interval
from autofix.relations import same, words
from autofix.syntax import Module

Condition = tuple[ast.expr, bool]
Evaluate = Callable[[ast.expr], Interval]
_EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
}  # fmt: skip
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
_COMPARISONS: dict[str, type[ast.cmpop]] = {
    "lt": ast.Lt, "le": ast.LtE, "gt": ast.Gt, "ge": ast.GtE, "eq": ast.Eq, "ne": ast.NotEq, "less": ast.Lt,
    "less_equal": ast.LtE, "greater": ast.Gt, "greater_equal": ast.GtE, "not_equal": ast.NotEq,
}  # fmt: skip


def conditions(module: Module, node: ast.AST) -> Iterator[Condition]:
    """The tests that were evaluated on the way to `node`, and their outcomes, the innermost first."""
    yield from within_statement(module, node)
    yield from before_statement(module, module.statement(node))


def within_statement(module: Module, node: ast.AST) -> Iterator[Condition]:
    """Those of conditional expressions, `and`, `or` and comprehensions around `node` in its statement."""
    child: ast.AST = node
    if isinstance(child, ast.stmt):
        return
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.IfExp) and child is not ancestor.test:
            yield from _parts(ancestor.test, child is ancestor.body)
        elif isinstance(ancestor, ast.BoolOp) and child in ancestor.values:
            for value in ancestor.values[: ancestor.values.index(child)]:
                yield from _parts(value, isinstance(ancestor.op, ast.And))
        elif isinstance(ancestor, (ast.ListComp, ast.SetComp, ast.GeneratorExp)) and child is ancestor.elt:
            for generator in ancestor.generators:
                for test in generator.ifs:
                    yield from _parts(test, True)
        if isinstance(ancestor, (ast.stmt, ast.Lambda)):
            return
        child = ancestor


def before_statement(module: Module, statement: ast.stmt) -> Iterator[Condition]:
    """Those of the branches around a statement, and of asserts and early exits above it, in its function."""
    child: ast.AST = statement
    for ancestor in module.ancestors(statement):
        if isinstance(child, ast.stmt):
            yield from _above(module, child)
            if isinstance(ancestor, (ast.If, ast.While)) and child in ancestor.body:
                yield from _parts(ancestor.test, True)
            elif isinstance(ancestor, ast.If) and child in ancestor.orelse:
                yield from _parts(ancestor.test, False)
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return
        child = ancestor


def _above(module: Module, statement: ast.stmt) -> Iterator[Condition]:
    """Asserts and early exits among the statements before this one in its block."""
    block = module.block(statement)
    index = block.index(statement)
    for earlier in reversed(block[:index]):
        if isinstance(earlier, ast.Assert):
            yield from _parts(earlier.test, True)
        elif isinstance(earlier, ast.If):
            if leaves(earlier.body):
                yield from _parts(earlier.test, False)
            elif earlier.orelse and leaves(earlier.orelse):
                yield from _parts(earlier.test, True)


def leaves(body: list[ast.stmt]) -> bool:
    """Whether a block certainly ends by leaving: nothing after it runs."""
    last = body[-1]
    if isinstance(last, ast.If) and last.orelse:
        return leaves(last.body) and leaves(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return leaves(last.body)
    return isinstance(last, _EXITS)


def _parts(test: ast.expr, outcome: bool) -> Iterator[Condition]:
    """A test as the conditions that it joins."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _parts(test.operand, not outcome)
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) == outcome:
        for value in test.values:
            yield from _parts(value, outcome)
    elif isinstance(test, ast.NamedExpr):
        yield from _parts(test.value, outcome)
        yield test.target, outcome
    else:
        yield test, outcome


# -- what a condition says of an expression --------------------------------------------------------------------


def narrowed(module: Module, node: ast.expr, found: Interval, given: Condition, of: Evaluate) -> Interval:
    """The values of `node`, which are those of `found`, where the condition holds."""
    test, outcome = given
    test, outcome = _plain(module, test, outcome)
    if isinstance(test, ast.Compare):
        if len(test.ops) > 1 and not outcome:
            return found
        left = test.left
        for op, right in zip(test.ops, test.comparators, strict=True):
            found = _compared(module, node, found, (left, type(op), right), outcome, of)
            left = right
        return found
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.args:
        kind = _COMPARISONS.get(test.func.attr)
        parts = [test.func.value, *test.args] if module.qualified(test.func) is None else test.args
        if kind is not None and len(parts) == 2:
            return _compared(module, node, found, (parts[0], kind, parts[1]), outcome, of)
        return found
    if same(module, test, node) and not isinstance(test, ast.Constant):
        return _without_zero(found) if outcome else _meet(found, iv.constant(0.0))
    any_of = _any(module, test)
    if any_of is not None and outcome and _is_sum_of(module, node, any_of):
        return _without_zero(found)
    return found


def _plain(module: Module, test: ast.expr, outcome: bool) -> Condition:
    """Without negations, brackets of `torch.all` and conversions to a Python value."""
    for _ in range(6):
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, (ast.Invert, ast.Not)):
            test, outcome = test.operand, not outcome
        elif isinstance(test, ast.Call) and _called(test) in ("logical_not",) and len(test.args) <= 1:
            test, outcome = _subject(module, test), not outcome
        elif isinstance(test, ast.Call) and outcome and _called(test) in ("all", "item", "bool"):
            inner = _subject(module, test)
            if inner is test:
                break
            test = inner
        elif isinstance(test, ast.Name):
            value = module.flow(test).value(test)
            if not isinstance(value, (ast.Compare, ast.UnaryOp)) and _called(value) not in _COMPARISONS:
                break
            test = value
        else:
            break
    return test, outcome


def _called(node: ast.expr) -> str:
    func = node.func if isinstance(node, ast.Call) else None
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _subject(module: Module, node: ast.Call) -> ast.expr:
    """The tensor that a call without further arguments is about."""
    if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None:
        return node if node.args else node.func.value
    return node.args[0] if len(node.args) == 1 else node


def _any(module: Module, test: ast.expr) -> ast.expr | None:
    """What `mask.any()` and `torch.any(mask)` are about."""
    for _ in range(3):
        if not isinstance(test, ast.Call):
            return None
        inner = _subject(module, test)
        if inner is test:
            return None
        if _called(test) == "any":
            return inner
        test = inner
    return None


def _is_sum_of(module: Module, node: ast.expr, mask: ast.expr) -> bool:
    """Whether `node` is the sum, over everything, of what a test found something in."""
    value = module.flow(node).value(node)
    while isinstance(value, ast.Call) and _called(value) in ("item", "float", "int", "to", "clone", "detach"):
        inner = _subject(module, value) if _called(value) != "to" else getattr(value.func, "value", value)
        if inner is value:
            return False
        value = inner
    if not isinstance(value, ast.Call) or _called(value) not in ("sum", "count_nonzero") or value.keywords:
        return False
    inner = _subject(module, value)
    while isinstance(inner, ast.Call) and _called(inner) in ("float", "int", "long", "bool", "to"):
        following = getattr(inner.func, "value", inner)
        if following is inner:
            break
        inner = following
    return inner is not value and same(module, inner, mask)


def _compared(
    module: Module,
    node: ast.expr,
    found: Interval,
    comparison: tuple[ast.expr, type[ast.cmpop], ast.expr],
    outcome: bool,
    of: Evaluate,
) -> Interval:
    left, kind, right = comparison
    if kind not in _MIRRORED:
        return found
    if not outcome:
        kind = _OPPOSITE[kind]
    for subject, op, other in ((left, kind, right), (right, _MIRRORED[kind], left)):
        if _is(module, subject, node):
            return _limited(found, op, of(other))
        if _is_absolute(module, subject, node) and op in (ast.Gt, ast.GtE, ast.NotEq):
            bound = of(other)
            if bound.positive or (bound.low >= 0 and op is ast.Gt) or (op is ast.NotEq and bound == iv.constant(0.0)):
                return _without_zero(found)
    return found


def _is(module: Module, subject: ast.expr, node: ast.expr) -> bool:
    if isinstance(subject, ast.NamedExpr):
        subject = subject.target
    if type(subject) is not type(node) and not isinstance(subject, (ast.Name, ast.Call)):
        return False
    return words(module, subject) == words(module, node) and same(module, subject, node)


def _is_absolute(module: Module, subject: ast.expr, node: ast.expr) -> bool:
    if not isinstance(subject, ast.Call) or _called(subject) not in ("abs", "absolute", "fabs"):
        return False
    inner = _subject(module, subject)
    return inner is not subject and same(module, inner, node)


def _limited(found: Interval, op: type[ast.cmpop], bound: Interval) -> Interval:
    if op is ast.NotEq:
        return _without_zero(found) if bound == iv.constant(0.0) else found
    if op is ast.Eq:
        return _meet(found, bound)
    if op in (ast.Gt, ast.GtE):
        strict = op is ast.Gt
        limit = iv.make(bound.low, iv.UNKNOWN.high, zero=None, low_open=strict)
        met = _meet(found, limit)
        return _without_zero(met) if (strict and bound.low >= 0) or bound.positive else met
    strict = op is ast.Lt
    met = _meet(found, iv.make(iv.UNKNOWN.low, bound.high, zero=None, high_open=strict))
    return _without_zero(met) if (strict and bound.high <= 0) or (bound.high <= 0 and not bound.zero) else met


def _without_zero(found: Interval) -> Interval:
    if found.integer and found.low == 0:
        return iv.make(1.0, max(found.high, 1.0), zero=False, integer=True)
    return iv.make(found.low, found.high, zero=False, low_open=found.low_open, high_open=found.high_open,
                   integer=found.integer)  # fmt: skip


def _meet(x: Interval, y: Interval) -> Interval:
    """What both allow; `x` where they exclude each other, which is then code that never runs."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low > high:
        return x
    zero = x.zero and y.zero and low <= 0 <= high
    low_open = (x.low_open and x.low == low) or (y.low_open and y.low == low)
    high_open = (x.high_open and x.high == high) or (y.high_open and y.high == high)
    if low == high and (low_open or high_open):
        return x
    integer = x.integer or y.integer if x.integer else False
    return iv.make(low, high, zero=zero, low_open=low_open, high_open=high_open, integer=integer)
