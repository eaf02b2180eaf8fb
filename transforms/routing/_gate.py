"""Writing the differentiable gate beside a hard mask."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.transforms.routing._lines import GateLines
from autofix.transforms.routing._mask import Held, Use
from autofix.transforms.routing._routing import fresh
from autofix.transforms.routing._spelling import (
    changed_in_place,
    operand,
)
from autofix.tree import walk

_COMBINED = "the mask is combined with others on the way to its use; add the gate by hand there"
_NO_GRAPH = ("item", "tolist", "detach", "any", "all", "nonzero", "argmax", "size", "numel", "dim")
_KEEPS = {"float", "shape", "gather", "scatter", "scale"}


@dataclass(frozen=True, slots=True)
class Written:
    """A finished rewrite. name: the variable that held the mask and now carries the gradient, when it kept its name,
    else what is made of it ("returned" for what the function returns), "" when that has no name.
    first and last: the statements between which everything happens. temperature: the name of the constant."""

    edits: tuple[Edit, ...]
    name: str
    first: ast.stmt
    last: ast.stmt
    temperature: str | None = None


class Writer(GateLines):
    """Writes one fix: where the gate goes, and the uses that must see it."""

    def write(self) -> Written:
        """The edits.

        Raises:
            Unrewritable: with the reason, for a person.
        """
        held = self._held()
        if held is None:
            return self._inline() if not self.uses[0].path else self._unnamed()
        bound = self._sides_named()
        at = self._insertion(held)
        target, rename = self._target(held)
        lines = self._lines(held.name, held, bound, target)
        self._stable(at)
        for use in self.uses:
            self._rename(use, held, target)
        self.edits.append(rewrite.insert_after(self.module, at, *lines))
        last = self._last() if rename or any(u.kind == "zero" for u in self.uses) else at
        name = self.result if self.soft else self._outcome() if rename else target
        return Written(tuple(self.edits), name, self._first(), last, self.temperature)

    def _unnamed(self) -> Written:
        """The finished mask stands in the expression that uses it: give it a line of its own."""
        use = self.uses[0]
        state = use.state
        statement = self.module.statement(use.mask)
        if len(self.uses) > 1 or state.shaped or state.scaled or state.kind == "int" or use.kind == "zero":
            raise Unrewritable(_COMBINED)
        bound = self._sides_named()
        hard = fresh(self.function, "mask", "hard_mask")
        held = Held(hard, statement, state, ())
        target = fresh(self.function, "weights" if self.soft else "gate", "hard_gate")
        if not self._positive(held) or "combine" in state.after or self.soft:
            raise Unrewritable(_COMBINED)
        lines = [f"{hard} = {self.module.source(use.mask)}", *self._lines(hard, held, bound, target)]
        self._stable(statement)
        self.edits.append(rewrite.insert_before(self.module, statement, *lines))
        self.edits.append(self._named(use.mask, target))
        return Written(tuple(self.edits), self._outcome(), self._first(), statement, self.temperature)

    def _outcome(self) -> str:
        """What the last statement that reads the gate makes of it, in the trial's words."""
        statement = self._last()
        if isinstance(statement, ast.Return):
            return "returned"
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""

    def _sides_named(self) -> tuple[str, str]:
        """Names for the sides of the comparison, given above it where there are none."""
        bound, above = self._bound_sides()
        quantity = self.cut.mass.total if self.cut.mass.sliced else self.cut.quantity
        for side, name in zip((quantity, self.cut.threshold), bound, strict=True):
            line = next((line for line in above if line.startswith(f"{name} = ")), None)
            if line is not None:
                self.edits.append(self._named(side, name))
                self._above(self.module.statement(side), line)
        return bound

    def _above(self, statement: ast.stmt, line: str) -> None:
        """Insert a line above a statement; below the one that was inserted there before."""
        edit = rewrite.insert_before(self.module, statement, line)
        for at, other in enumerate(self.edits):
            if other.span == edit.span:
                self.edits[at] = Edit(edit.span, other.text + edit.text)
                return
        self.edits.append(edit)

    def _named(self, side: ast.expr, name: str) -> Edit:
        """Put a name in the place of an expression and of the brackets around it."""
        start, end = self.module.chars(side)
        text = self.module.text
        before, after = text[:start].rstrip(), text[end:].lstrip()
        called = isinstance(self.module.parent(side), ast.Call)
        if before.endswith("(") and after.startswith(")") and not called and not before[:-1][-1:].isidentifier():
            start, end = len(before) - 1, len(text) - len(after) + 1
        return Edit(self.module.char_span(start, end), name)

    # -- where -----------------------------------------------------------------------------------------------

    def _held(self) -> Held | None:
        """The last variable on the way to every use that holds the plain mask."""
        common = [h for h, _ in self.uses[0].path]
        for use in self.uses[1:]:
            mine = [h for h, _ in use.path]
            common = [a for a, b in zip(common, mine, strict=False) if a is b]
        for held in reversed(common):
            if held.state.shaped or held.state.scaled:
                continue
            if self._fits(held):
                return held
        if len(self.uses) > 1:
            raise Unrewritable(_COMBINED)
        return None

    def _fits(self, held: Held) -> bool:
        positive = self._positive(held)
        for use in self.uses:
            operations = [o for o in self._operations(use, held) if o != "slice"]
            if use.kind == "zero":  # a negation there is part of the rewrite
                operations = [o for o in operations if o != "not"]
            elif not positive:
                if operations.count("not") != 1:
                    return False
                operations.remove("not")
            if not set(operations) <= _KEEPS:
                return False
            reorders = {"gather", "scatter"} & set(operations)
            if held.state.kind == "bool" and reorders and "float" not in operations:
                return False
        return True

    def _operations(self, use: Use, held: Held) -> list[str]:
        held_path = [h for h, _ in use.path]
        after = held_path[next(i for i, h in enumerate(held_path) if h is held) + 1 :]
        return [o for h in after for o in h.arrived] + list(use.state.after)

    def _insertion(self, held: Held) -> ast.stmt:
        """The statement after which the mask is final, in the block that binds it."""
        first = min(self.module.statement(u.node).lineno for u in self.uses)
        block = self.module.block(held.binding)
        at = held.binding
        for mutation in self.tracer.mutations.get(held.binding, []):
            inside = next((s for s in block if s is mutation or any(n is mutation for n in walk(s))), None)
            if inside is None or (inside.lineno >= first and inside is not at):
                raise Unrewritable("the mask still changes after its first use")
            if inside.lineno > at.lineno:
                at = inside
        if isinstance(at, ast.AugAssign):
            raise Unrewritable("the mask is combined in place; add the gate by hand after it")
        return at

    def _target(self, held: Held) -> tuple[str, bool]:
        """The name to bind, and whether the uses must be renamed to it. Where nothing but the gate reads the mask, it
        keeps its name."""
        unclear = [load for h, load in self.tracer.unclear if h is held]
        is_float = held.state.kind in ("float", "cast")
        keeps_name = self._positive(held) and (self._only_gates(held) if not unclear else is_float)
        if keeps_name and (unclear or not self.soft):
            return held.name, False
        if keeps_name:
            self.result = held.name
        if unclear:
            raise Unrewritable(f"{held.name} has several meanings where it is used; name the gate apart first")
        wishes = ("weights", "gate_weights") if self.soft else ("gate", "hard_gate", "straight_through")
        return fresh(self.function, *wishes), True

    def _only_gates(self, held: Held) -> bool:
        """Whether every read of the mask is a gate, or keeps no graph, or divides by the number of kept ones."""
        loads = {load for u in self.tracer.uses for h, load in u.path if h is held and not self._harmless(u)}
        return loads <= {load for u in self.uses for h, load in u.path if h is held}

    def _harmless(self, use: Use) -> bool:
        if use.kind != "count":
            return False
        node: ast.AST = use.node
        while isinstance(node, ast.expr):
            parent = self.module.parent(node)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _NO_GRAPH:
                return True
            if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div):
                return parent.right is node
            if parent is None:
                return False
            node = parent
        return False

    def _first(self) -> ast.stmt:
        """The first statement behind the probabilities that has a part in the mask: usually the sort."""
        names = {n.id for n in walk(self.cut.mass.ranked.base) if isinstance(n, ast.Name)}
        first, pending, seen = self.compare, [self.cut.quantity, self.cut.mass.ranked.values], set(names)
        while pending:
            for name in walk(pending.pop()):
                if not isinstance(name, ast.Name) or name.id in seen:
                    continue
                seen.add(name.id)
                found = self.module.flow(self.compare).definition_before(name.id, self.compare)
                if found is None or not isinstance(found.statement, ast.Assign):
                    continue
                if found.statement.lineno < first.lineno:
                    first = found.statement
                pending.append(found.statement.value)
        return first

    def _last(self) -> ast.stmt:
        return max((self.module.statement(u.node) for u in self.uses), key=lambda s: s.end_lineno or s.lineno)

    # -- the uses --------------------------------------------------------------------------------------------

    def _rename(self, use: Use, held: Held, name: str) -> None:
        load = next(load for h, load in use.path if h is held)
        negation = self._negation(load, use)
        if use.kind == "zero" and use.path[-1][0] is held:
            self._multiply(use, negation, load, name)
        elif name != held.name:
            if negation is None and not self._positive(held):
                raise Unrewritable("the mask is negated in a way that is not understood")
            edit = self._swap(load if self._positive(held) or negation is None else negation, load, name)
            if edit not in self.edits:
                self.edits.append(edit)

    def _swap(self, whole: ast.expr, load: ast.expr, name: str) -> Edit:
        """Replace a negation by its operand, and the variable in it by the gate."""
        start, end = self.module.chars(whole)
        return Edit(self.module.char_span(start, end), self._text(operand(whole), load, name))

    def _text(self, node: ast.expr, load: ast.expr, name: str) -> str:
        start, end = self.module.chars(node)
        a, b = self.module.chars(load)
        return self.module.text[start:a] + name + self.module.text[b:end]

    def _negation(self, load: ast.expr, use: Use) -> ast.expr | None:
        """The expression that negates the mask between a read and its use."""
        node: ast.expr = load
        while node is not use.mask:
            parent = self.module.parent(node)
            if not isinstance(parent, ast.expr):
                return None
            if operand(parent) is not parent:
                return parent
            node = parent
        return None

    def _multiply(self, use: Use, negation: ast.expr | None, load: ast.expr, name: str) -> None:
        """`x.masked_fill(~mask, 0)` and `torch.where(mask, x, 0)` become `x * gate`."""
        call = use.node
        op = tensor_op(self.module, call, "masked_fill", "where")
        if op is None or not isinstance(call, ast.expr):
            raise Unrewritable("the values are zeroed in place; multiply them by the gate instead")
        kept = op.input
        if op.name == "where" and constant(self.module, op.input) == 0:
            kept = op.args["other"]
        factor = self._text(use.mask, load, name)
        if negation is not None:
            start, end = self.module.chars(use.mask)
            a, b = self.module.chars(negation)
            factor = self.module.text[start:a] + self._text(operand(negation), load, name) + self.module.text[b:end]
        self.edits.extend(rewrite.replace(self.module, call, "{x} * {gate}", x=kept, gate=factor))

    def _inline(self) -> Written:
        """The comparison stands in the expression that uses it: give the mask a line of its own."""
        use = self.uses[0]
        if use.kind == "zero-store":
            raise Unrewritable("zeros are stored by index; scatter the comparison to the places of the items instead")
        if len(self.uses) > 1 or use.state.kind == "int":
            raise Unrewritable("the mask has no name of its own; give it one")
        positive = self.cut.true_below == self.cut.mass.ranked.descending
        operations = [o for o in use.state.after if o != "slice"]
        whole: ast.expr = self.cut.node
        if not positive:
            found = self._negation(self.cut.node, use)
            if found is None or operations.count("not") != 1:
                raise Unrewritable("the mask is negated in a way that is not understood")
            whole = found
            operations.remove("not")
        if not set(operations) <= _KEEPS or use.kind == "zero":
            raise Unrewritable("the mask has no name of its own; give it one")
        if {"gather", "scatter"} & set(operations) and "float" not in operations:
            raise Unrewritable("the mask has no name of its own; give it one")
        keep = fresh(self.function, "keep", "hard_mask")
        target = fresh(self.function, "weights" if self.soft else "gate", "hard_gate")
        sign = "<" if positive else ">"
        if isinstance(self.cut.node, ast.Compare):
            sign = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}[type(self.cut.node.ops[0])]
        bound, above = self._bound_sides()
        hard = self._comparison(bound, sign)
        if not positive:
            hard = f"~({hard})"
        lines = [*above, f"{keep} = {hard}", *self._lines(keep, None, bound, target)]
        self.edits.append(rewrite.insert_before(self.module, self.compare, *lines))
        named = self._named(whole, target) if whole is self.cut.node else self._swap(whole, self.cut.node, target)
        self.edits.append(named)
        return Written(tuple(self.edits), self._outcome(), self._first(), self._last(), self.temperature)

    def _comparison(self, bound: tuple[str, str], sign: str) -> str:
        node = self.cut.node
        if isinstance(node, ast.Compare) and node.left is not self.cut.quantity:
            return f"{bound[1]} {sign} {bound[0]}"
        return f"{bound[0]} {sign} {bound[1]}"

    def _stable(self, at: ast.stmt) -> None:
        """Every name that the new lines read still means there what it meant at the comparison."""
        names = {n for e in self.needed for n in walk(e) if isinstance(n, ast.Name)}
        block = self.module.block(at)
        after = block[block.index(at) + 1 :]
        flow = self.module.flow(self.cut.node)
        for name in names:
            if not flow.stores(name.id):
                continue
            there = flow.definition_before(name.id, after[0]) if after else flow.definition_before(name.id, at)
            here = flow.definition_before(name.id, self.compare)
            if here is None or there is None or here.statement is not there.statement:
                raise Unrewritable(f"{name.id} changes between the comparison and the use of the mask")
        changed = changed_in_place(self.function, self.compare.lineno, at.end_lineno or at.lineno)
        if any(n.id in changed for n in names):
            raise Unrewritable("the sorted values change in place before the mask is used")
