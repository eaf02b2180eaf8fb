"""Values that are only ever compared: followed from where they are read to where their gradient ends."""

from __future__ import annotations

import ast
from typing import TypeGuard

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.tree import last_part, walk

# What a gradient passes.
_SMOOTH = frozenset(
    "sigmoid softmax tanh softplus relu exp log abs clamp clamp_min clamp_max float double half bfloat16 to type "
    "type_as view reshape squeeze unsqueeze expand expand_as flatten transpose permute contiguous clone repeat mean "
    "square pow mul add sub div".split()
)
_STEPS = frozenset(
    "gt ge lt le eq ne greater less greater_equal less_equal sign sgn heaviside round floor ceil bool int long "
    "argmax argmin argsort".split()
)
_TOLD = frozenset("item detach tolist numpy shape device dtype size dim numel requires_grad grad is_cuda ndim".split())
_PRINTS = frozenset("print format str repr isinstance len log info debug warning append_log".split())
_DEPTH = 14


def comparisons(module: Module, node: ast.expr) -> list[ast.expr] | None:
    """Where the gradient of a value ends: the comparisons (or signs, roundings) that read it, in source order; None
    when anything else may be done with it."""
    found: list[ast.expr] = []
    return found if _follow(module, node, found, 0) else None


def _follow(module: Module, node: ast.expr, found: list[ast.expr], depth: int) -> bool:
    """Whether `node` certainly ends in comparisons or is only looked at; `found` collects the comparisons."""
    for _ in range(_DEPTH):
        parent = module.parent(node)
        if isinstance(parent, ast.keyword):
            return False
        if isinstance(parent, ast.Compare):
            if not any(_is_none(c) for c in (parent.left, *parent.comparators)):
                found.append(parent)
            return True
        if isinstance(parent, ast.Attribute):
            if parent.attr in _TOLD:
                return True
            call = module.parent(parent)
            if not isinstance(call, ast.Call) or call.func is not parent:
                return False
            if parent.attr in _STEPS:
                found.append(call)
                return True
            if parent.attr not in _SMOOTH:
                return False
            node = call
        elif isinstance(parent, ast.Call):
            name = last_part(parent.func)
            if name in _PRINTS or (name in ("float", "int", "bool") and isinstance(parent.func, ast.Name)):
                return True
            op = tensor_op(module, parent)
            if op is None:
                return depth < 4 and _handed_on(module, parent, node, found, depth)
            if parent.func is node:
                return False
            if op.name in _STEPS:
                found.append(parent)
                return True
            if op.name not in _SMOOTH:
                return False
            node = parent
        elif isinstance(parent, (ast.BinOp, ast.UnaryOp)) or _is_part_of(parent, node):
            node = parent
        elif isinstance(parent, (ast.FormattedValue, ast.Assert)):
            return True
        elif isinstance(parent, ast.Assign):
            return depth < 4 and _named(module, parent, found, depth)
        elif isinstance(parent, ast.For) and parent.iter is node:
            return depth < 4 and _each(module, parent, found, depth)
        elif isinstance(parent, (ast.Return, ast.Tuple)):
            return depth < 4 and _handed_back(module, parent, node, found, depth)
        else:
            return False
    return False


def _named(module: Module, statement: ast.Assign, found: list[ast.expr], depth: int) -> bool:
    target = statement.targets[0]
    if len(statement.targets) != 1 or not isinstance(target, ast.Name):
        return False
    return _read_by_name(module, statement, target.id, found, depth)


def _read_by_name(module: Module, statement: ast.stmt, name: str, found: list[ast.expr], depth: int) -> bool:
    flow = module.flow(statement)
    reads = []
    for load in flow.loads.get(name, []):
        definition = flow.definition(load)
        if definition is None:
            return False
        if definition.statement is statement:
            reads.append(load)
    return all(_follow(module, r, found, depth + 1) for r in reads)


def _handed_on(module: Module, call: ast.Call, node: ast.expr, found: list[ast.expr], depth: int) -> bool:
    """Whether a function or class of this file that receives a value does nothing but compare it."""
    function = _called(module, call)
    if function is None or node not in call.args or any(isinstance(a, ast.Starred) for a in call.args):
        return False
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    names = names[1:] if names[:1] == ["self"] else names
    place = call.args.index(node)
    if place >= len(names):
        return False
    flow = module.flow(function.body[0])
    reads = flow.loads.get(names[place], [])
    return not flow.stores(names[place]) and all(_follow(module, r, found, depth + 1) for r in reads)


def _handed_back(module: Module, parent: ast.AST, node: ast.expr, found: list[ast.expr], depth: int) -> bool:
    """Whether a submodule's forward returns a value to one class of this file, which does nothing but compare it."""
    place = parent.elts.index(node) if isinstance(parent, ast.Tuple) else None
    owner = module.class_of(node)
    if not isinstance(module.statement(node), ast.Return) or owner is None:
        return False
    if place is not None and not isinstance(module.parent(parent), ast.Return):
        return False
    if getattr(module.function_scope(node), "name", "") != "forward":
        return False
    named = [n for part in module.naming(owner.name) for n in walk(part)]
    made = [n for n in named if isinstance(n, ast.Name) and n.id == owner.name and module.class_of(n) is not owner]
    built = module.parent(made[0]) if len(made) == 1 else None
    statement = module.statement(built) if isinstance(built, ast.Call) and built.func is made[0] else None
    target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is built else None
    if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != "self" or statement is None:
        return False
    parts = [n for part in module.naming(target.attr) for n in walk(part)]
    reads = [n for n in parts if isinstance(n, ast.Attribute) and n.attr == target.attr and n is not target]
    for read in reads:
        if ast.unparse(read.value) == "self" and module.class_of(read) is not module.class_of(target):
            continue
        call = module.parent(read)
        bound = module.parent(call) if isinstance(call, ast.Call) and call.func is read else None
        if module.class_of(read) is not module.class_of(target) or not isinstance(bound, ast.Assign):
            return False
        if not _taken(module, bound, place, found, depth):
            return False
    return bool(reads)


def _taken(module: Module, bound: ast.Assign, place: int | None, found: list[ast.expr], depth: int) -> bool:
    """Whether the part of a result that `place` says is bound to a name that is only compared."""
    target = bound.targets[0]
    if place is None:
        return _named(module, bound, found, depth)
    parts = target.elts if isinstance(target, ast.Tuple) else []
    if place >= len(parts) or any(isinstance(p, ast.Starred) for p in parts):
        return False
    name = parts[place]
    return isinstance(name, ast.Name) and _read_by_name(module, bound, name.id, found, depth)


def _called(module: Module, call: ast.Call) -> ast.FunctionDef | None:
    """The function of this file that a call runs: one of the module, a method, or the forward of a submodule."""
    func, top = call.func, module.tree.body
    if isinstance(func, ast.Name):
        functions = [s for s in top if isinstance(s, ast.FunctionDef) and s.name == func.id]
        return functions[0] if len(functions) == 1 else None
    cls = module.class_of(call)
    if cls is None or not isinstance(func, ast.Attribute) or ast.unparse(func.value) != "self":
        return None
    method = module.method(cls, func.attr)
    if method is not None:
        return method
    made = module.self_attribute(cls, func.attr)
    classes = [s for s in top if isinstance(s, ast.ClassDef) and isinstance(made, ast.Call)
               and s.name == last_part(made.func)]  # fmt: skip
    return module.method(classes[0], "forward") if len(classes) == 1 else None


def _each(module: Module, loop: ast.For, found: list[ast.expr], depth: int) -> bool:
    """Whether all that a loop over a value does with its parts is to compare them."""
    if not isinstance(loop.target, ast.Name) or module.flow(loop).stores(loop.target.id) != [loop]:
        return False
    reads = module.flow(loop).loads.get(loop.target.id, [])
    return all(_follow(module, r, found, depth + 1) for r in reads)


def _is_part_of(parent: ast.AST | None, node: ast.expr) -> TypeGuard[ast.Subscript]:
    return isinstance(parent, ast.Subscript) and parent.value is node


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def sides(comparison: ast.expr, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """What a plain comparison keeps and the threshold it keeps it above, when `node` is part of the threshold."""
    if not isinstance(comparison, ast.Compare) or len(comparison.ops) != 1:
        return None
    left, right = comparison.left, comparison.comparators[0]
    if isinstance(comparison.ops[0], (ast.Lt, ast.LtE)):
        left, right = right, left
    elif not isinstance(comparison.ops[0], (ast.Gt, ast.GtE)):
        return None
    return (left, right) if any(n is node for n in walk(right)) else None
