"""Clamping a quantity so that every reader in its function sees the clamped value."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix import rewrite
from autofix.flow import Definition, Flow
from autofix.model import Edit, Span
from autofix.relations import attribute_definition, is_store, same, words
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._exponents import own_value
from autofix.transforms.ranges._roles import Bounds
from autofix.tree import walk

_METADATA = frozenset(
    ("shape", "dtype", "device", "ndim", "size", "dim", "numel", "new_zeros", "new_ones", "new_empty", "is_cuda",
     "requires_grad", "new_full", "new_tensor")
)  # fmt: skip
_LIKE = ("randn_like", "zeros_like", "ones_like", "empty_like", "rand_like", "full_like", "len", "isinstance", "type")
_LINE = 120  # a longer line gets a statement of its own in place of a longer definition


@dataclass(frozen=True, slots=True)
class Clamping:
    """The edits, the source text of what they clamp, and the statements that see the clamped value."""

    edits: tuple[Edit, ...]
    quantity: str
    region: Span | None
    where: str


def clamping(module: Module, node: ast.expr, bounds: Bounds) -> Clamping:
    """Clamp what `node` (a read of the quantity) stands for.

    Raises:
        Unrewritable: some reader in the function would go on seeing the unclamped value.
    """
    if isinstance(node, ast.Name):
        return _name(module, node, bounds)
    if isinstance(node, ast.Attribute):
        return _attribute(module, node, bounds)
    return _expression(module, node, bounds)


def template(bounds: Bounds) -> str:
    """The clamp, as a template for `rewrite`."""
    given = [("min", bounds.low), ("max", bounds.high)]
    return "{q}.clamp(" + ", ".join(f"{k}={_literal(v)}" for k, v in given if v is not None) + ")"


def _literal(value: float) -> str:
    return "4.6052" if abs(value - 4.605170185988092) < 1e-9 else repr(value)


# -- names -------------------------------------------------------------------------------------------------------


def _name(module: Module, node: ast.Name, bounds: Bounds) -> Clamping:
    flow = module.flow(node)
    found = flow.definition(node)
    if found is None:
        return _before_first_reader(module, node, flow, bounds, None)
    if found.kind in ("parameter", "loop", "with"):
        return _before_first_reader(module, node, flow, bounds, found)
    readers = flow.readers(found)
    if readers is None or (flow.scope is module.tree and any(module.function(r) is not None for r in readers)):
        raise Unrewritable(f"{node.id} has readers that may or may not see this value; clamp each of its values")
    statement = found.statement
    if not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        raise Unrewritable(f"{node.id} is bound inside a larger statement")
    region = _region(module, statement, readers)
    plain = isinstance(statement, ast.AnnAssign) or (isinstance(statement, ast.Assign) and len(statement.targets) == 1)
    value = own_value(found) if plain else None
    if value is not None:
        reads_itself = any(isinstance(n, ast.Name) and n.id == node.id for n in walk(value))
        if reads_itself or _fits(module, value, bounds):
            edits = rewrite.replace(module, value, template(bounds), q=value)
            what = module.source(value) if reads_itself else node.id
            return Clamping(edits, what, region, "at its definition")
    line = f"{node.id} = {rewrite.expression(module, template(bounds), q=node.id)}"
    return Clamping((rewrite.insert_after(module, statement, line),), node.id, region, "at its definition")


def _before_first_reader(
    module: Module, node: ast.Name, flow: Flow, bounds: Bounds, found: Definition | None
) -> Clamping:
    """Bind the clamped value above the first read, in a block that holds every read."""
    loads = [n for n in flow.loads.get(node.id, []) if not _reads_metadata(module, n)]
    stores = flow.stores(node.id)
    if found is not None and found.kind == "parameter":
        if stores:
            mine = flow.readers(found)
            if mine is None:
                raise Unrewritable(f"{node.id} is bound anew on some path; clamp each of its values")
            loads = [n for n in mine if not _reads_metadata(module, n)]
    elif stores:
        last = max(s.end_lineno or s.lineno for s in stores if not isinstance(s, (ast.For, ast.With)))
        within = [n for n in loads if any(a in stores for a in [module.statement(n)])]
        loads = [n for n in loads if n not in within]
        if any(n.lineno <= last for n in loads):
            raise Unrewritable(f"several assignments of {node.id} reach this place; clamp each of them")
    else:
        raise Unrewritable(f"where {node.id} comes from is not in this function")
    if any(module.function(n) is not flow.scope for n in loads):
        raise Unrewritable(f"{node.id} is also read by a function inside this one")
    target = _common_statement(module, loads, flow.scope)
    line = f"{node.id} = {rewrite.expression(module, template(bounds), q=node.id)}"
    region = _region(module, target, loads)
    return Clamping((rewrite.insert_before(module, target, line),), node.id, region, "before its first use")


def _reads_metadata(module: Module, node: ast.expr) -> bool:
    """Whether a read asks for shape, type or presence alone."""
    parent = module.parent(node)
    if isinstance(parent, ast.Attribute) and parent.attr in _METADATA:
        return True
    if isinstance(parent, ast.Compare) and any(isinstance(o, (ast.Is, ast.IsNot)) for o in parent.ops):
        return True
    if isinstance(parent, ast.Call) and node in parent.args:
        func = parent.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        return name in _LIKE
    return False


def _common_statement(module: Module, reads: list[ast.Name], scope: ast.AST) -> ast.stmt:
    """The first statement, in the innermost block that holds all the reads, that reads."""
    chains = []
    for read in reads:
        chain = [module.statement(read)]
        chain += [a for a in module.ancestors(chain[0]) if isinstance(a, ast.stmt)]
        chains.append(chain[: chain.index(scope)] if scope in chain else chain)
    for candidate in chains[0]:
        block = module.block(candidate)
        if len(block) == 1 and block[0] is candidate and module.parent(candidate) is None:
            break
        if all(any(s in block for s in chain) for chain in chains) and not _is_elif(module, candidate):
            inside = [s for s in block if any(s in chain for chain in chains)]
            return inside[0]
    raise Unrewritable("no block holds every reader")


def _is_elif(module: Module, statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and module.source(statement).startswith("elif")


# -- attributes --------------------------------------------------------------------------------------------------


def _attribute(module: Module, node: ast.Attribute, bounds: Bounds) -> Clamping:
    text = words(module, node)
    scope = module.flow(node).scope
    every = [n for n in walk(scope) if isinstance(n, ast.Attribute) and words(module, n) == text]
    stores = [n for n in every if is_store(module, n, text)]
    reads = [n for n in every if isinstance(n.ctx, ast.Load) and not _reads_metadata(module, n)]
    if stores:
        return _assigned_attribute(module, node, bounds, stores, reads)
    return _expression(module, node, bounds)


def _assigned_attribute(
    module: Module, node: ast.Attribute, bounds: Bounds, stores: list[ast.Attribute], reads: list[ast.Attribute]
) -> Clamping:
    text = module.source(node)
    assigned = attribute_definition(module, node)
    if assigned is None or len(stores) != 1:
        raise Unrewritable(f"several assignments of {text} may reach this place; clamp each of them")
    statement = assigned.statement
    region = _region(module, statement, [r for r in reads if r.lineno > statement.lineno])
    if assigned.index is None and (not isinstance(statement, ast.Assign) or len(statement.targets) == 1):
        edits = rewrite.replace(module, assigned.value, template(bounds), q=assigned.value)
        return Clamping(edits, text, region, "where it is assigned")
    line = f"{text} = {rewrite.expression(module, template(bounds), q=text)}"
    return Clamping((rewrite.insert_after(module, statement, line),), text, region, "where it is assigned")


# -- other expressions -------------------------------------------------------------------------------------------


def _expression(module: Module, node: ast.expr, bounds: Bounds) -> Clamping:
    """Clamp in place when nothing else in the function reads the same; else bind a local above the first read."""
    scope = module.flow(node).scope
    text = words(module, node)
    twins = [
        n
        for n in walk(scope)
        if isinstance(n, type(node)) and isinstance(n, ast.expr) and words(module, n) == text
        and (not isinstance(n, ast.Attribute) or isinstance(n.ctx, ast.Load)) and not _reads_metadata(module, n)
        and (n is node or not out_of_training(module, n))
    ]  # fmt: skip
    if len(twins) == 1:
        return Clamping(_appended(module, node, bounds), module.source(node), None, "in the exponent")
    if isinstance(node, ast.Call):
        raise Unrewritable("the same call is made more than once; bind its result and clamp that")
    if any(module.function(n) is not scope or _in_comprehension(module, n) for n in twins):
        raise Unrewritable("it is also read by a function inside this one")
    if not isinstance(node, ast.Attribute) and not all(same(module, node, n) for n in twins):
        raise Unrewritable("the same text stands for different values here")
    if scope is module.tree:
        raise Unrewritable("it is code of the module's top level, where the readers cannot be told")
    twins.sort(key=lambda n: (n.lineno, n.col_offset))
    target = _common_statement(module, twins, scope)  # type: ignore[arg-type]
    name = _local_name(module, node, scope)
    line = f"{name} = {rewrite.expression(module, template(bounds), q=node)}"
    edits: tuple[Edit, ...] = (rewrite.insert_before(module, target, line),)
    for twin in twins:
        group = brackets(module, twin)
        edits += (Edit(module.char_span(*group), name),) if group else rewrite.replace(module, twin, "{q}", q=name)
    region = _region(module, target, twins)
    return Clamping(edits, module.source(node), region, "once, above its first use")


def _appended(module: Module, node: ast.expr, bounds: Bounds) -> tuple[Edit, ...]:
    """`(a - b).exp()` becomes `(a - b).clamp(...).exp()`: brackets that are there serve."""
    group = brackets(module, node)
    if group is None:
        return rewrite.replace(module, node, template(bounds), q=node)
    return (module.insertion(group[1], template(bounds).removeprefix("{q}")),)


def brackets(module: Module, node: ast.expr) -> tuple[int, int] | None:
    """Where the brackets around `node` begin and end, when they are its own and not those of a call."""
    start, end = module.chars(node)
    before, after = module.text[:start].rstrip(" "), module.text[end:].lstrip(" ")
    if not before.endswith("(") or not after.startswith(")") or re.search(r"[\w)\]]\s*\($", before[-80:]):
        return None
    return len(before) - 1, len(module.text) - len(after) + 1


def _fits(module: Module, value: ast.expr, bounds: Bounds) -> bool:
    """Whether the clamp still fits on the line of the definition."""
    line = module.line_text(value.end_lineno or value.lineno).rstrip()
    return len(line) + len(template(bounds)) <= _LINE


def _in_comprehension(module: Module, node: ast.expr) -> bool:
    return any(isinstance(a, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
               for a in module.ancestors(node))  # fmt: skip


def _local_name(module: Module, node: ast.expr, scope: ast.AST) -> str:
    base = node.attr.strip("_") if isinstance(node, ast.Attribute) else "log_ratio"
    if isinstance(node, ast.Subscript):
        base = "exponent"
    taken = {n.id for n in walk(scope) if isinstance(n, ast.Name)}
    taken |= {a.arg for a in walk(scope) if isinstance(a, ast.arg)}
    return next(n for n in (base, f"clamped_{base}", f"{base}_clamped", f"{base}_in_range") if n not in taken)


def _region(module: Module, first: ast.stmt, reads: list[ast.Name] | list[ast.Attribute] | list[ast.expr]) -> Span:
    """From the first statement to the last one that reads, as bytes."""
    ends = [module.chars(module.statement(r))[1] for r in reads]
    start, end = module.chars(first)
    return Span(module.byte(start), module.byte(max([end, *ends])))
