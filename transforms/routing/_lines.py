"""The statements that compute a gate."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant, tensor_op
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.routing._cut_off import CutOff, Step
from autofix.transforms.routing._mask import Held, Use
from autofix.transforms.routing._routing import GATE_TEMPERATURE, TEMPERATURE, fresh
from autofix.transforms.routing._spelling import bracketed, is_simple, temperature, without_conversion
from autofix.transforms.routing._uses import Tracer

_BY_HAND = "use --routing straight-through, or write the soft weights by hand"


class GateLines:
    """What the lines of a gate are made of. uses: the gate uses that must see the gate, in source order."""

    comment = "# straight-through: the hard mask forward, the gradient of its soft gate backward"

    def __init__(self, module: Module, cut: CutOff, tracer: Tracer, uses: Sequence[Use], soft: bool) -> None:
        self.module = module
        self.cut = cut
        self.tracer = tracer
        self.uses = uses
        self.soft = soft
        self.function = module.function_scope(cut.node)
        self.compare = module.statement(cut.node)
        self.edits: list[Edit] = []
        self.needed: list[ast.expr] = []  # expressions that the new lines read again
        self.width = TEMPERATURE  # of the gate, where the file does not say
        self.temperature: str | None = None
        self.result = ""  # the name of the mask, where a soft gate takes it over

    def _positive(self, held: Held) -> bool:
        return held.state.true_below == self.cut.mass.ranked.descending

    def _bound_sides(self) -> tuple[tuple[str, str], list[str]]:
        """Text of quantity and threshold, and the lines that give a name to what is no plain one."""
        cut = self.cut
        names: list[str] = []
        lines: list[str] = []
        quantity = cut.mass.total if cut.mass.sliced else cut.quantity
        for side, wish in ((quantity, self._quantity_name()), (cut.threshold, "threshold")):
            plain = without_conversion(side)
            if is_simple(plain):
                names.append(self.module.source(plain))
                self.needed.append(plain)
                continue
            name = fresh(self.function, wish, f"{wish}_now")
            lines.append(f"{name} = {rewrite.expression(self.module, '{x}', x=plain)}")
            names.append(name)
        return (names[0], names[1]), lines

    def _quantity_name(self) -> str:
        return "mass_before" if self.cut.mass.before else "cumulative"

    def _lines(self, hard: str, held: Held | None, bound: tuple[str, str], target: str) -> list[str]:
        quantity, threshold = bound
        ranked = self.cut.mass.ranked
        taken = {target}
        lines = [] if self.soft else [self.comment]
        shifted = held is not None and held.state.shifted
        through = ranked.descending and not self.soft
        if not self.cut.mass.before and (shifted or self.cut.mass.late or through):
            mass = self._name(taken, "mass_before")
            lines.append(f"{mass} = {quantity} - {self._values()}")
            quantity = mass
        above, below = (threshold, quantity) if ranked.descending else (quantity, threshold)
        soft = self.result or self._name(taken, "soft_gate", "gate_probability")
        lines.append(self._sigmoid(soft, above, below))
        steps = held.state.steps if held is not None else ()
        if self.soft:
            return lines + self._soft_lines(held, soft, steps, target)
        lines += [self._reordered(soft, step) for step in steps]
        return [*lines, self._sum(hard, held, soft, target)]

    def _sigmoid(self, name: str, above: str, below: str) -> str:
        inner = f"({bracketed(above)} - {bracketed(below)}) / {self._temperature()}"
        sigmoid = self.module.names.reference("torch.sigmoid", self.cut.node)
        if sigmoid is None:
            return f"{name} = ({inner}).sigmoid()"
        self.edits.extend(sigmoid.edits)
        return f"{name} = {sigmoid.text}({inner})"

    def _sum(self, hard: str, held: Held | None, soft: str, target: str) -> str:
        positive = held is None or self._positive(held)
        kind = held.state.kind if held is not None else "bool"
        difference = f"({soft} - {soft}.detach())"
        if not positive:
            hard = f"(~{hard})" if kind == "bool" else f"(1 - {hard})"
        if kind in ("bool", "int"):
            return f"{target} = {hard}.to({soft}.dtype) + {difference}"
        if kind == "cast":
            return f"{target} = {hard} + {difference}.to({hard}.dtype)"
        return f"{target} = {hard} + {difference}"

    def _soft_lines(self, held: Held | None, soft: str, steps: Sequence[Step], target: str) -> list[str]:
        """p · gate, renormalised, with what was forced on kept on."""
        lines: list[str] = []
        path = [h for h, _ in self.uses[0].path]
        path = path[: next(i for i, h in enumerate(path) if h is held) + 1] if held is not None else []
        done = 0
        for variable in path:
            if "combine" in variable.arrived:
                raise Unrewritable(f"the mask is combined with others; {_BY_HAND}")
            lines += [self._reordered(soft, s) for s in variable.state.steps[done:]]
            done = len(variable.state.steps)
            for mutation in self.tracer.mutations.get(variable.binding, []):
                lines += self._forced(mutation, soft)
        probabilities = self._values() if not steps else self._original()
        dim = self._dim()
        return [
            *lines,
            f"{target} = {probabilities} * {soft}",
            f"{target} = {target} / {target}.sum(dim={dim}, keepdim=True)",
        ]

    def _forced(self, mutation: ast.stmt, soft: str) -> list[str]:
        if isinstance(mutation, ast.Assign) and isinstance(mutation.targets[0], ast.Subscript):
            value = constant(self.module, mutation.value)
            index = self.module.source(mutation.targets[0].slice)
            if value is not None:
                return [f"{soft} = {soft}.clone()", f"{soft}[{index}] = 1.0"]
            return []  # the shift itself
        if isinstance(mutation, ast.Expr) and isinstance(mutation.value, ast.Call):
            op = tensor_op(self.module, mutation.value, "scatter_")
            if op is not None and op.args.get("src") is not None and constant(self.module, op.args["src"]) is None:
                return []  # the scatter itself
        raise Unrewritable(f"what forces items on is not understood; {_BY_HAND}")

    def _original(self) -> str:
        ranked = self.cut.mass.ranked
        if tensor_op(self.module, self._value(ranked.values), "softmax") is None:
            self.needed.append(ranked.base)
            return self.module.source(ranked.base)
        raise Unrewritable("the probabilities exist in sorted order only; use straight-through")

    def _value(self, node: ast.expr) -> ast.expr:
        return self.module.flow(node).value(node) if isinstance(node, ast.Name) else node

    def _dim(self) -> str:
        total = self._value(self.cut.mass.total)
        op = tensor_op(self.module, total, "cumsum")
        dim = op.args.get("dim") if op is not None else None
        return self.module.source(dim) if dim is not None else "-1"

    def _reordered(self, soft: str, step: Step) -> str:
        dim, index = self.module.source(step.dim), self.module.source(step.index)
        self.needed.extend(n for n in (step.dim, step.index) if isinstance(n, ast.Name))
        if step.kind == "gather":
            return f"{soft} = {soft}.gather({dim}, {index})"
        if self.cut.mass.ranked.partial:
            base = self.cut.mass.ranked.base
            zeros = self.module.names.reference("torch.zeros_like", self.cut.node)
            if zeros is None or not is_simple(base):
                raise Unrewritable("topk ranks some of the items only, and the full tensor has no name")
            full = f"{zeros.text}({self.module.source(base)}, dtype={soft}.dtype)"
            return f"{soft} = {full}.scatter({dim}, {index}, {soft})"
        return f"{soft} = {soft}.scatter({dim}, {index}, {soft})"

    def _values(self) -> str:
        values = self.cut.mass.ranked.values
        self.needed.append(values)
        return self.module.source(values)

    def _name(self, taken: set[str], *wishes: str) -> str:
        name = fresh(self.function, *[w for w in wishes if w not in taken], f"{wishes[-1]}_now")
        taken.add(name)
        return name

    def _temperature(self) -> str:
        name, edits = temperature(self.module, self.function, number=self.width)
        self.edits.extend(edits)
        self.temperature = name if name == GATE_TEMPERATURE else None
        return name
