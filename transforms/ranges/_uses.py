"""What becomes of a value: whether it only orders, is only compared or only reported, so that no gradient returns."""

from __future__ import annotations

import ast
import re

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.transfer import MOVES
from autofix.transforms.ranges._gradients import only_compared
from autofix.tree import walk

_NUMBER = ("item", "tolist", "numpy")
_RECORDS = ("append", "update", "log", "log_dict", "add_scalar", "record", "record_mean", "logkv", "print", "info")
_RECORD = re.compile(r"metric|(^|[._])(logs?|logger|stats|history|monitor|report)(_|[.\[]|$)", re.I)


def only_ordered(module: Module, node: ast.AST, depth: int = 0) -> bool:
    """Whether all that becomes of `node`, after arithmetic, is a comparison, an order or an index."""
    current: ast.AST = node
    for _ in range(12):
        parent = module.parent(current)
        if only_compared(module, current):
            return True
        if isinstance(parent, ast.Assign):
            reads = _later_reads(module, parent)
            return depth < 4 and bool(reads) and all(only_ordered(module, r, depth + 1) for r in reads)
        if isinstance(parent, ast.Attribute) and parent.attr in MOVES:
            called = module.parent(parent)
            if not isinstance(called, ast.Call) or called.func is not parent:
                return False
            current = called
            continue
        operation = isinstance(parent, ast.Call) and current in parent.args and tensor_op(module, parent) is not None
        if parent is None or (not operation and not isinstance(parent, (ast.BinOp, ast.UnaryOp, ast.IfExp))):
            return False
        if isinstance(parent, ast.IfExp) and current is parent.test:
            return True
        current = parent
    return False


def only_reported(module: Module, node: ast.AST, depth: int = 0) -> bool:
    """Whether all that becomes of `node` is a Python number, an entry of a log or a metric."""
    child: ast.AST = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.Attribute) and ancestor.attr in _NUMBER:
            return True
        if isinstance(ancestor, ast.Call) and child is not ancestor.func and _records(module, ancestor):
            return True
        if isinstance(ancestor, ast.stmt):
            return _statement_reports(module, ancestor, depth)
        child = ancestor
    return False


def _records(module: Module, call: ast.Call) -> bool:
    func = call.func
    if isinstance(func, ast.Name):
        return func.id == "print"
    return isinstance(func, ast.Attribute) and func.attr in _RECORDS and bool(_RECORD.search(module.source(func)))


def _statement_reports(module: Module, statement: ast.stmt, depth: int) -> bool:
    if isinstance(statement, ast.Return):
        function = module.function(statement)
        calls = _calls_of_inner(module, function) if isinstance(function, ast.FunctionDef) else []
        return depth < 4 and bool(calls) and all(only_reported(module, c, depth + 1) for c in calls)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    target = statement.targets[0]
    if isinstance(target, (ast.Subscript, ast.Attribute)):
        return _RECORD.search(module.source(target)) is not None
    reads = _later_reads(module, statement)
    return depth < 4 and bool(reads) and all(only_reported(module, r, depth + 1) for r in reads)


def _later_reads(module: Module, statement: ast.Assign) -> list[ast.Name]:
    """The reads of the name that a statement binds, below it; none when it binds anything else."""
    target = statement.targets[0]
    if len(statement.targets) != 1 or not isinstance(target, ast.Name):
        return []
    end = module.chars(statement)[1]
    flow = module.flow(statement)
    reads = [r for r in flow.loads.get(target.id, []) if module.chars(r)[0] > end]
    known = [(r, flow.definition(r)) for r in reads]
    return [r for r, d in known if d is None or d.statement is statement]


def _calls_of_inner(module: Module, function: ast.FunctionDef) -> list[ast.Call]:
    """The calls of a function that is defined inside another one."""
    outer = module.function(function)
    if outer is None:
        return []
    return [n for n in walk(outer) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == function.name]
