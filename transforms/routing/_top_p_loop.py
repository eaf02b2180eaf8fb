"""Top-p as a Python loop: items are switched on in sorted order until their probabilities add up to a threshold."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.routing._cut_off import CutOff, Mass
from autofix.transforms.routing._gate import Writer, Written
from autofix.transforms.routing._gated import Gated, judge
from autofix.transforms.routing._mask import Held, State
from autofix.transforms.routing._ranked import Ranked, is_probability, ranked_values
from autofix.transforms.routing._routing import zero_like
from autofix.transforms.routing._uses import Tracer
from autofix.tree import mentions, walk

_CONVERSIONS = ("item", "detach", "cpu", "tolist", "numpy", "float", "double", "clone")
Loop = ast.For | ast.While


@dataclass(frozen=True, slots=True)
class LoopCutOff:
    """loop: the innermost loop. node: the comparison that ends it. store: the assignment that switches an item on, or
    None when the loop only counts or lists. rows: the indices that choose a row of the probabilities. in_order: the
    mask is filled in sorted order. through: an item that crosses the threshold is left out."""

    loop: Loop
    node: ast.expr
    threshold: ast.expr
    probabilities: ast.expr
    store: ast.Subscript
    rows: tuple[str, ...]
    in_order: bool
    through: bool
    forced: bool


def loop_cut_off(module: Module, loop: Loop) -> LoopCutOff | None:
    """The cut-off that a loop makes, when it is one."""
    ending = _ending(module, loop)
    if ending is None:
        return None
    at, compare, accumulator, threshold, forced = ending
    added = _added(loop, accumulator)
    stored = _stored(module, loop)
    if added is None or stored is None:
        return None
    (add_at, value), (store_at, store) = added, stored
    if store_at > at:
        through = add_at < at
    elif add_at < at:
        through = False
    else:
        return None
    source = _row_of(module, loop, value)
    if source is None:
        return None
    probabilities, rows, ranked = source
    index = store.slice.elts if isinstance(store.slice, ast.Tuple) else [store.slice]
    if tuple(ast.unparse(i) for i in index[:-1]) != rows:
        return None
    in_order = ranked and not _names_an_item(module, loop, index[-1])
    if not ranked and not _same_item(value, index[-1]) and not _names_an_item(module, loop, index[-1]):
        return None
    if not is_probability(module, Ranked(probabilities, None, probabilities, True, False)):
        return None
    return LoopCutOff(loop, compare, threshold, probabilities, store, rows, in_order, through, forced)


def gated_loop(module: Module, found: LoopCutOff) -> Gated | None:
    """What the mask that the loop fills gates."""
    base = found.store.value
    if not isinstance(base, ast.Name):
        return None
    flow = module.flow(base)
    definition = flow.definition(base)
    if definition is None or not isinstance(definition.statement, ast.Assign):
        return None
    zeros = zero_like(module, definition.value)
    if zeros is None:
        return None
    kind = "float"
    for keyword in zeros.keywords:
        if keyword.arg == "dtype":
            said = module.qualified(keyword.value) or ast.unparse(keyword.value)
            kind = "bool" if said.endswith("bool") else "int" if "int" in said or "long" in said else "cast"
            kind = "float" if said in ("torch.float32", "torch.float") else kind
    tracer = Tracer(module)
    tracer.bind(base.id, definition.statement, State(true_below=True, kind=kind))
    return judge(module, _as_cut_off(found), tracer)


def write_loop(module: Module, found: LoopCutOff, gate: Gated, soft: bool, width: float) -> Written:
    """The gate, computed for all rows at once beside the loop's own mask.

    Raises:
        Unrewritable: with the reason, for a person.
    """
    writer = _LoopWriter(module, found, gate, soft)
    writer.width = width
    return writer.write()


class _LoopWriter(Writer):
    def __init__(self, module: Module, found: LoopCutOff, gate: Gated, soft: bool) -> None:
        super().__init__(module, _as_cut_off(found), gate.tracer, gate.uses, soft)
        self.found = found
        self.compare = _outermost(module, found)

    def _bound_sides(self) -> tuple[tuple[str, str], list[str]]:
        return ("", _all_rows(self.module, self.found)), []

    def _lines(self, hard: str, held: Held | None, bound: tuple[str, str], target: str) -> list[str]:
        if self.soft and self.found.forced:
            raise Unrewritable("the loop keeps a minimum on; use straight-through, or write the soft weights by hand")
        taken = {target}
        base = self.found.probabilities
        if not isinstance(base, (ast.Name, ast.Attribute)):
            raise Unrewritable("the probabilities of all rows have no name")
        self.needed.append(base)
        probabilities = self.module.source(base)
        ranked = self._name(taken, "ranked", "ranked_probs")
        order = self._name(taken, "order", "ranks")
        through = self.found.through and self.soft
        mass = self._name(taken, "cumulative" if through else "mass_before")
        gate = self.result or self._name(taken, "soft_gate", "gate_probability")
        total = f"{ranked}.cumsum(dim=-1)"
        lines = [] if self.soft else [self.comment]
        lines.append(f"{ranked}, {order} = {probabilities}.sort(dim=-1, descending=True)")
        lines.append(f"{mass} = {total}" if through else f"{mass} = {total} - {ranked}")
        lines.append(self._sigmoid(gate, bound[1], mass))
        if not self.found.in_order:
            lines.append(f"{gate} = {gate}.scatter(-1, {order}, {gate})")
        if not self.soft:
            return [*lines, self._sum(hard, held, gate, target)]
        weights = ranked if self.found.in_order else probabilities
        return [
            *lines,
            f"{target} = {weights} * {gate}",
            f"{target} = {target} / {target}.sum(dim=-1, keepdim=True)",
        ]


def _as_cut_off(found: LoopCutOff) -> CutOff:
    ranked = Ranked(found.probabilities, None, found.probabilities, descending=True, partial=False)
    mass = Mass(found.probabilities, ranked, before=not found.through)
    return CutOff(found.node, found.probabilities, found.threshold, mass, true_below=True)


def _outermost(module: Module, found: LoopCutOff) -> ast.stmt:
    """The outermost loop that runs over the rows."""
    outer: ast.stmt = found.loop
    for ancestor in module.ancestors(found.loop):
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        if isinstance(ancestor, ast.For) and any(
            isinstance(n, ast.Name) and n.id in found.rows for n in walk(ancestor.target)
        ):
            outer = ancestor
    return outer


def _all_rows(module: Module, found: LoopCutOff) -> str:
    """The threshold for all rows at once."""
    node = _plain(module, found.threshold)
    if isinstance(node, ast.Subscript):
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        texts = tuple(ast.unparse(i) for i in index)
        if texts == found.rows:
            return f"{module.source(node.value)}.unsqueeze(-1)"
        if texts == found.rows[: len(texts)]:
            return f"{module.source(node.value)}[..., {', '.join(['None'] * (len(found.rows) - len(texts) + 1))}]"
        if texts and texts[:-1] == found.rows and texts[-1] == "0":  # one value a row: (..., 1)
            return module.source(node.value)
    names = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    inside = _outermost(module, found)
    if any(inside.lineno <= s.lineno <= (inside.end_lineno or 0) for n in names for s in module.flow(node).stores(n)):
        raise Unrewritable("the threshold is computed row by row; compute it for all rows first")
    if not isinstance(node, (ast.Name, ast.Attribute, ast.Constant)):
        raise Unrewritable("the threshold of all rows has no name")
    return module.source(node)


def _plain(module: Module, node: ast.expr) -> ast.expr:
    """Without conversions, and through a name that the loop gives it."""
    for _ in range(6):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CONVERSIONS:
            node = node.func.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float" and node.args:
            node = node.args[0]
        elif isinstance(node, ast.Name):
            definition = module.flow(node).definition(node)
            value = definition.value if definition is not None else None
            if not isinstance(value, (ast.Subscript, ast.Call)) or _is_computed(value):
                return node
            node = value
        else:
            return node
    return node


def _is_computed(node: ast.expr) -> bool:
    """A call other than a conversion."""
    while isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _CONVERSIONS:
            return True
        node = node.func.value
    return False


# -- the loop's parts ------------------------------------------------------------------------------------------------


def _ending(module: Module, loop: Loop) -> tuple[int, ast.expr, str, ast.expr, bool] | None:
    """Where the loop ends (index in its body), the comparison, the accumulator, the threshold, and whether a further
    condition holds it up."""
    if isinstance(loop, ast.While):
        found = _reaches(loop.test, below=True)
        return (-1, *found) if found is not None else None
    for at, statement in enumerate(loop.body):
        if isinstance(statement, ast.If) and any(isinstance(s, ast.Break) for s in statement.body):
            found = _reaches(statement.test, below=False)
            return (at, *found) if found is not None else None
    return None


def _reaches(test: ast.expr, below: bool) -> tuple[ast.expr, str, ast.expr, bool] | None:
    """`accumulated >= threshold` (or `<` in a while), alone or as a part of `and`."""
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    for part in parts:
        if not isinstance(part, ast.Compare) or len(part.ops) != 1:
            continue
        smaller = isinstance(part.ops[0], (ast.Lt, ast.LtE))
        if not smaller and not isinstance(part.ops[0], (ast.Gt, ast.GtE)):
            continue
        left, right = part.left, part.comparators[0]
        if smaller != below:
            left, right = right, left
        if isinstance(left, ast.Name) and not isinstance(left.ctx, ast.Store):
            return part, left.id, right, len(parts) > 1 and not below
    return None


def _added(loop: Loop, accumulator: str) -> tuple[int, ast.expr] | None:
    """Where and what the loop adds to the accumulator."""
    for at, statement in enumerate(loop.body):
        adds = isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add)
        if adds and isinstance(statement, ast.AugAssign) and getattr(statement.target, "id", None) == accumulator:
            return at, statement.value
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.BinOp):
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and target.id == accumulator and isinstance(value.op, ast.Add):
                for one, other in ((value.left, value.right), (value.right, value.left)):
                    if isinstance(one, ast.Name) and one.id == accumulator:
                        return at, other
    return None


def _stored(module: Module, loop: Loop) -> tuple[int, ast.Subscript] | None:
    """Where the loop switches an item on. A loop that counts or lists, and a store behind it, count as well."""
    for at, statement in enumerate(loop.body):
        target = _switched_on(statement)
        if target is not None:
            return at, target
    chosen = _chosen(loop)
    block = module.block(loop)
    behind = block[block.index(loop) + 1 :]
    for statement in behind:
        target = _switched_on(statement)
        if target is not None:
            last = target.slice.elts[-1] if isinstance(target.slice, ast.Tuple) else target.slice
            for at, name in chosen:
                if mentions(last, name):
                    return at, target
    return None


def _switched_on(statement: ast.stmt) -> ast.Subscript | None:
    """`mask[...] = 1`."""
    if not isinstance(statement, ast.Assign) or not _is_one(statement.value):
        return None
    return statement.targets[0] if isinstance(statement.targets[0], ast.Subscript) else None


def _chosen(loop: Loop) -> list[tuple[int, str]]:
    """Counters and lists that the loop extends, with their place in its body."""
    out = []
    for at, statement in enumerate(loop.body):
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name) and _is_one(statement.value):
            out.append((at, statement.target.id))
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            func = statement.value.func
            if isinstance(func, ast.Attribute) and func.attr == "append" and isinstance(func.value, ast.Name):
                out.append((at, func.value.id))
    return out


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (1, 1.0, True)


def _row_of(module: Module, loop: Loop, value: ast.expr) -> tuple[ast.expr, tuple[str, ...], bool] | None:
    """The tensor of probabilities that an added value is an element of, the row's indices, and whether the value was
    taken from the sorted ones."""
    node = _element(module, loop, _plain(module, value))
    if node is None:
        return None
    rows: tuple[str, ...] = ()
    ranked = False
    for _ in range(8):
        node = _unconverted(node)
        found = ranked_values(module, node)
        if found is not None and found.descending and not ranked:
            node, ranked = found.base, True
            continue
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            index: Sequence[ast.expr] = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            rows = (*(ast.unparse(i) for i in index), *rows)
            node = node.value
            continue
        if isinstance(node, ast.Name):
            definition = module.flow(node).definition(node)
            inner = definition.value if definition is not None else None
            if inner is not None and (isinstance(inner, ast.Subscript) or _is_conversion(inner)):
                node = inner
                continue
        return node, rows, ranked
    return None


def _element(module: Module, loop: Loop, node: ast.expr) -> ast.expr | None:
    """The row that an element belongs to: `row[k]`, or what the loop runs over when the element is its target."""
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Tuple):
            if len(node.slice.elts) < 2:
                return None
            rest = node.slice.elts[:-1]
            index: ast.expr = rest[0] if len(rest) == 1 else ast.Tuple(elts=list(rest), ctx=ast.Load())
            row = ast.Subscript(value=node.value, slice=index, ctx=ast.Load())
            return ast.copy_location(row, node)
        return node.value
    if isinstance(node, ast.Name) and isinstance(loop, ast.For):
        return _iterated(loop, node.id)
    return None


def _iterated(loop: ast.For, name: str) -> ast.expr | None:
    """The sequence whose elements the loop binds to `name`."""
    target, source = loop.target, loop.iter
    if isinstance(source, ast.Call) and getattr(source.func, "id", "") == "enumerate" and source.args:
        source = source.args[0]
        target = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else target
    if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "zip":
        if isinstance(target, ast.Tuple) and len(target.elts) == len(source.args):
            for element, sequence in zip(target.elts, source.args, strict=True):
                if isinstance(element, ast.Name) and element.id == name:
                    return _unconverted(sequence)
        return None
    return _unconverted(source) if isinstance(target, ast.Name) and target.id == name else None


def _unconverted(node: ast.expr) -> ast.expr:
    while _is_conversion(node):
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Attribute)
        node = node.func.value
    return node


def _is_conversion(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CONVERSIONS


def _same_item(value: ast.expr, index: ast.expr) -> bool:
    """`probs[b, t, h]` beside `mask[b, t, h]`."""
    for node in walk(value):
        if isinstance(node, ast.Subscript):
            last = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
            return ast.unparse(last) == ast.unparse(index)
    return False


def _names_an_item(module: Module, loop: Loop, index: ast.expr) -> bool:
    """Whether an index is an element of the sorting permutation, and no rank."""
    index = _plain(module, index)
    if isinstance(index, ast.Subscript):
        return True
    if isinstance(index, ast.Name):
        if isinstance(loop, ast.For):
            source = _iterated(loop, index.id)
            if source is not None:
                return not (isinstance(source, ast.Call) and getattr(source.func, "id", "") == "range")
        return any(name == index.id for _, name in _chosen(loop))  # the list of items that were chosen
    return False
