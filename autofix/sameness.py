"""Whether an expression would have the same value if it stood elsewhere in its function.

A rewrite may write an expression once that stood twice, or move it to a later statement. Both are sound only while
nothing in between can change what it means. Uncertain means no.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator

from autofix.flow import Definition
from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.tree import children, walk

_PURE_NODES = (
    ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Slice, ast.Tuple, ast.List,
    ast.Compare, ast.BoolOp, ast.IfExp, ast.keyword, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
    ast.expr_context,
)  # fmt: skip
_PURE_FUNCTIONS = {"len", "float", "int", "bool", "abs", "min", "max", "range", "tuple", "list"}
_PURE_HOMES = ("math.", "torch.nn.functional.cosine_similarity", "torch.einsum", "torch.cdist", "torch.cat",
               "torch.stack", "torch.finfo", "torch.mm", "torch.baddbmm", "torch.addmm")  # fmt: skip
_PURE_METHODS = {"t", "mm", "size", "dim", "numel", "view_as", "expand_as", "index_select", "new_tensor", "mv", "dot"}


def same_expression(module: Module, one: ast.expr, other: ast.expr) -> bool:
    """Whether the two have the same text and certainly the same value."""
    if one is other:
        return True
    first, second = constant(module, one), constant(module, other)
    if first is not None and second is not None:
        return first == second and isinstance(first, bool) == isinstance(second, bool)
    if ast.dump(one) != ast.dump(other) or not is_pure(module, one):
        return False
    flow = module.flow(one)
    if module.flow(other) is not flow:
        return False
    for mine, theirs in zip(_reads(one), _reads(other), strict=True):
        here, there = flow.definition(mine), flow.definition(theirs)
        if here is None or there is None:
            if here is not there or flow.stores(mine.id):
                return False
        elif here.statement is not there.statement:
            return False
    early, late = sorted((module.statement(one), module.statement(other)), key=lambda s: s.lineno)
    return early is late or not _touched_between(module, one, early, late)


def is_pure(module: Module, node: ast.expr) -> bool:
    """Whether evaluating it has no effect and gives the same value each time: reads, arithmetic, and tensor
    operations without randomness or in-place effect."""
    for part in walk(node):
        if isinstance(part, ast.Call):
            if not _is_pure_call(module, part):
                return False
        elif not isinstance(part, _PURE_NODES):
            return False
    return True


def is_cheap(node: ast.expr) -> bool:
    """A read that may as well be written twice: a name, an attribute, a number, an element, a view such as
    `x[..., None]`."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not _is_plain_index(node.slice):
            return False
        node = node.value
    return isinstance(node, (ast.Name, ast.Constant))


def _is_plain_index(index: ast.expr) -> bool:
    if isinstance(index, (ast.Constant, ast.Name)):
        return True
    return isinstance(index, ast.Tuple) and all(isinstance(e, ast.Constant) for e in index.elts)


def movable(module: Module, node: ast.expr, to: ast.stmt, removed: Collection[ast.AST] = ()) -> str:
    """Why `node` may have another value where `to` stands, in words, or nothing when it has the same.

    removed: assignments that will be gone.
    """
    source = module.statement(node)
    if source is to:
        return ""
    if _contexts(module, source) != _contexts(module, to):
        return "the two steps stand under different context managers"
    flow = module.flow(node)
    for name in _reads(node):
        here = flow.definition(name)
        there = flow.definition_before(name.id, to)
        while there is not None and there.statement in removed and isinstance(there.statement, ast.stmt):
            there = flow.definition_before(name.id, there.statement)
        if here is None and there is None:
            bindings = flow.stores(name.id)
            if any(s in bindings for s in _between(module, source, to)) or source in bindings:
                return f"`{name.id}` may be bound to something else by then"
        elif here is None or there is None or here.statement is not there.statement:
            return f"`{name.id}` may be bound to something else by then"
    changed = _touched_between(module, node, source, to)
    return f"`{changed}` is changed in between" if changed else ""


def is_untouched(module: Module, name: ast.Name, definition: Definition) -> bool:
    """Whether a name still holds at its read what the assignment gave it: nothing changed it in place."""
    made, read = definition.statement, module.statement(name)
    return not isinstance(made, ast.stmt) or made is read or not _touched_between(module, name, made, read)


def same_contexts(module: Module, one: ast.stmt, other: ast.stmt) -> bool:
    """Whether both run under the same context managers (`no_grad`, `autocast`)."""
    return _contexts(module, one) == _contexts(module, other)


def _contexts(module: Module, statement: ast.stmt) -> list[ast.AST]:
    return [a for a in module.ancestors(statement) if isinstance(a, (ast.With, ast.AsyncWith))]


def _reads(node: ast.expr) -> list[ast.Name]:
    return [n for n in walk(node) if isinstance(n, ast.Name)]


def _is_pure_call(module: Module, call: ast.Call) -> bool:
    op = tensor_op(module, call)
    if op is not None:
        return not op.name.endswith("_")
    dotted = module.qualified(call.func)
    if dotted is not None:
        return dotted.startswith(_PURE_HOMES)
    if isinstance(call.func, ast.Name):
        return call.func.id in _PURE_FUNCTIONS and module.names.lookup(call.func.id, call) is None
    return isinstance(call.func, ast.Attribute) and call.func.attr in _PURE_METHODS


def _touched_between(module: Module, node: ast.expr, early: ast.stmt, late: ast.stmt) -> str:
    """What `node` reads that a statement from `early` to `late` changes in place, or nothing."""
    names = {n.id for n in _reads(node)}
    attributes = {module.source(n) for n in walk(node) if isinstance(n, ast.Attribute)}
    for statement in _between(module, early, late):
        for part in _shallow(statement):
            for changed in _changed(module, part):
                if changed in names or changed in attributes:
                    return changed
        if attributes and _may_change_attributes(statement):
            return sorted(attributes)[0]
    return ""


def _between(module: Module, early: ast.stmt, late: ast.stmt) -> Iterator[ast.stmt]:
    """Statements that may run after `early` and before `late`: those between them in the text, and all of a loop
    that holds the later one only."""
    scope = module.function_scope(late)
    first, last = early.end_lineno or early.lineno, late.lineno
    loops = [a for a in module.ancestors(late) if isinstance(a, (ast.For, ast.AsyncFor, ast.While))]
    around = set(module.ancestors(early))
    wide = [loop for loop in itertools.takewhile(lambda a: a is not scope, loops) if loop not in around]
    if wide:
        last = max(last, *((loop.end_lineno or last) + 1 for loop in wide))
    for statement in module.nodes(scope):
        if isinstance(statement, ast.stmt) and statement is not early and statement is not scope:
            begins = statement.lineno
            if statement is late and not wide:
                continue
            if first <= begins < last or (begins < first < (statement.end_lineno or begins)):
                yield statement


def _shallow(statement: ast.stmt) -> Iterator[ast.AST]:
    """A statement's own parts, not those of the statements inside it."""
    yield statement
    for child in children(statement):
        if not isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from walk(child)


def _changed(module: Module, part: ast.AST) -> Iterator[str]:
    """The names and attributes that `part` stores into or changes in place."""
    if isinstance(part, (ast.Subscript, ast.Attribute)) and not isinstance(part.ctx, ast.Load):
        if isinstance(part, ast.Attribute):
            yield module.source(part)
        yield from _owner(module, part.value)
    elif isinstance(part, ast.AugAssign):
        yield from _owner(module, part.target)
    elif isinstance(part, ast.Call):
        name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
        if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":
            if isinstance(part.func, ast.Attribute):
                yield from _owner(module, part.func.value)
            for argument in part.args[:1]:  # `nn.init.normal_(x)`
                yield from _owner(module, argument)
        for keyword in part.keywords:
            if keyword.arg == "out" or (keyword.arg == "inplace" and not isinstance(keyword.value, ast.Constant)):
                yield from _owner(module, keyword.value)


def _owner(module: Module, node: ast.expr) -> Iterator[str]:
    """The name, and the attribute if there is one, that holds the memory which `node` is a view of."""
    while True:
        if isinstance(node, ast.Attribute):
            yield module.source(node)
            node = node.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            break
    if isinstance(node, ast.Name):
        yield node.id


def _may_change_attributes(statement: ast.stmt) -> bool:
    """Whether a statement calls something on `self` for its effect: `self.update()`."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    func = statement.value.func
    while isinstance(func, ast.Attribute):
        func = func.value
    return isinstance(func, ast.Name) and func.id == "self"
