"""What becomes of a mask: followed from the comparison through names, negations, shifts and scatters to its uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from autofix.model import Scalar
from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.routing._cut_off import Step, cuts_first, cuts_last, shifted_parts
from autofix.transforms.routing._mask import Held, State, Use
from autofix.transforms.routing._routing import is_minus_infinity_like, zero_like
from autofix.transforms.routing._spelled_choice import ones_like
from autofix.tree import walk

_FLOAT = ("float", "double", "half", "bfloat16", "to", "type", "type_as")
_INTEGER = ("int", "long")
_SHAPE = ("unsqueeze", "squeeze", "view", "reshape", "expand", "expand_as", "transpose", "permute", "repeat", "flatten",
          "repeat_interleave", "movedim", "swapaxes", "view_as", "reshape_as", "contiguous", "clone")  # fmt: skip
_COUNTS = ("sum", "any", "all", "mean", "nonzero", "item", "argmax", "cumsum", "numel", "size", "dim", "tolist", "cpu",
           "detach", "count_nonzero", "bincount", "numpy", "std", "var", "max", "min")  # fmt: skip
_ALIKE = ("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like")
_MOST_USES = 64
Path = tuple[tuple[Held, ast.Name], ...]


class Tracer:
    """Follows one mask. `uses` in source order; `mutations` of each variable; `unclear`: a read that may or may not
    see the mask (by variable name)."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.uses: list[Use] = []
        self.mutations: dict[ast.stmt, list[ast.stmt]] = {}
        self.unclear: list[tuple[Held, ast.Name]] = []
        self._seen: set[ast.AST] = set()

    def follow(self, node: ast.expr, state: State, path: Path = ()) -> None:
        module = self.module
        while len(self.uses) < _MOST_USES:
            parent = module.parent(node)
            if isinstance(parent, ast.keyword):
                parent = module.parent(parent)
            if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Invert):
                node, state = parent, _after(replace(state, true_below=not state.true_below), "not")
            elif isinstance(parent, ast.BinOp):
                step = self._arithmetic(parent, node, state, path)
                if step is None:
                    return
                node, state = step
            elif isinstance(parent, ast.Attribute) and parent.value is node:
                step = self._method(parent, node, state, path)
                if step is None:
                    return
                node, state = step
            elif isinstance(parent, ast.Call):
                step = self._argument(parent, node, state, path)
                if step is None:
                    return
                node, state = step
            elif isinstance(parent, ast.Subscript) and parent.value is node:
                if not isinstance(parent.ctx, ast.Load):
                    return
                sliced = cuts_last(parent)
                what = "slice" if sliced else "shape"
                node, state = parent, _after(replace(state, sliced=state.sliced or sliced), what)
            elif isinstance(parent, ast.Subscript):
                if not self._stored_by_mask(parent, state, path):
                    self._use(self._index_kind(parent), parent, node, state, path)
                return
            elif isinstance(parent, (ast.List, ast.Tuple)) and self._joined(parent):
                call = self._joined(parent)
                assert call is not None
                if state.sliced and any(p is node for p in shifted_parts(module, call)):
                    node, state = call, _after(replace(state, shifted=True, sliced=False), "shift")
                else:
                    self._use("other", call, node, state, path)
                    return
            else:
                self._ended(parent, node, state, path)
                return

    # -- expressions -----------------------------------------------------------------------------------------

    def _arithmetic(self, parent: ast.BinOp, node: ast.expr, state: State, path: Path) -> tuple[ast.expr, State] | None:
        other = parent.right if parent.left is node else parent.left
        if isinstance(parent.op, (ast.BitAnd, ast.BitOr)):
            return parent, _after(state, "combine")
        if isinstance(parent.op, ast.Mult):
            if constant(self.module, other) in (1, 1.0):
                return parent, _after(replace(state, kind="float"), "float")
            self._use("multiply", parent, node, state, path, factors=tuple(self._factors(parent, node)))
            return None
        if isinstance(parent.op, ast.Sub) and parent.right is node and constant(self.module, parent.left) in (1, 1.0):
            return parent, _after(replace(state, true_below=not state.true_below, kind="float"), "not")
        if isinstance(parent.op, ast.Div) and parent.left is node:
            return parent, _after(replace(state, scaled=True), "scale")
        kind = "operand" if isinstance(parent.op, ast.MatMult) else "other"
        self._use(kind, parent, node, state, path)
        return None

    def _factors(self, product: ast.BinOp, mask: ast.expr) -> Iterator[ast.expr]:
        """The other factors of the whole product that `mask` belongs to."""
        top: ast.expr = product
        while True:
            parent = self.module.parent(top)
            if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, (ast.Mult, ast.Div)):
                break
            if isinstance(parent.op, ast.Div) and parent.right is top:
                break
            top = parent
        pending: list[ast.expr] = [top]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
                pending.append(node.left)
                if isinstance(node.op, ast.Mult):
                    pending.append(node.right)
            elif node is not mask:
                yield node

    def _method(
        self, attribute: ast.Attribute, node: ast.expr, state: State, path: Path
    ) -> tuple[ast.expr, State] | None:
        call = self.module.parent(attribute)
        if not isinstance(call, ast.Call) or call.func is not attribute:
            return None  # shape, dtype, device, T
        name = attribute.attr
        if name in _FLOAT:
            return call, _after(replace(state, kind=self._width(name, call, state)), "float")
        if name in _INTEGER:
            return call, _after(replace(state, kind="int"), "int")
        if name == "bool":
            return call, _after(replace(state, kind="bool"), "bool")
        if name in _SHAPE:
            return call, _after(state, "shape")
        if name == "logical_not":
            return call, _after(replace(state, true_below=not state.true_below), "not")
        if name in ("logical_and", "logical_or", "masked_fill", "index_fill"):
            return call, _after(state, "combine")
        if name == "roll":
            return call, _after(replace(state, shifted=True), "shift")
        op = tensor_op(self.module, call, "gather", "scatter", "scatter_", "mul")
        if op is not None and op.name == "gather":
            return self._reordered("gather", call, op.args.get("dim"), op.args.get("index"), state)
        if op is not None and op.name in ("scatter", "scatter_"):
            source = op.args.get("src") or op.args.get("value")
            if source is not None and constant(self.module, source) is None and self._is_self(source, node):
                return None  # `keep.scatter(-1, order, keep)`: followed as the source
            return call, _after(state, "combine")
        if op is not None:
            self._use("multiply", call, node, state, path, factors=tuple(op.args.values()))
            return None
        self._use("count" if name in _COUNTS else "other", call, node, state, path)
        return None

    def _is_self(self, source: ast.expr, node: ast.expr) -> bool:
        return any(isinstance(n, ast.Name) and isinstance(node, ast.Name) and n.id == node.id for n in walk(source))

    def _width(self, name: str, call: ast.Call, state: State) -> str:
        if name == "float":
            return "float"
        arguments = [*call.args, *(k.value for k in call.keywords)]
        if name in ("to", "type") and arguments:
            said = [self.module.qualified(a) for a in arguments]
            if any(s in ("torch.float32", "torch.float", "torch.float64") for s in said):
                return "float"
            if any(s in ("torch.int", "torch.long", "torch.int32", "torch.int64", "torch.uint8") for s in said):
                return "int"
            if "torch.bool" in said:
                return "bool"
            if all(_is_device(a) for a in arguments):
                return state.kind
        return "cast"

    def _argument(self, call: ast.Call, node: ast.expr, state: State, path: Path) -> tuple[ast.expr, State] | None:
        module = self.module
        op = tensor_op(module, call)
        name = op.name if op is not None else (module.qualified(call.func) or "").rpartition(".")[2]
        if op is not None and op.input is node and op.form == "function":
            if name in ("logical_not",):
                return call, _after(replace(state, true_below=not state.true_below), "not")
            if name in ("logical_and", "logical_or"):
                return call, _after(state, "combine")
            if name == "gather":
                return self._reordered("gather", call, op.args.get("dim"), op.args.get("index"), state)
            if name in _SHAPE:
                return call, _after(state, "shape")
            if name in _COUNTS:
                self._use("count", call, node, state, path)
                return None
        if op is not None and name in ("logical_and", "logical_or"):
            return call, _after(state, "combine")
        if op is not None and name in ("scatter", "scatter_"):
            return self._scattered(call, op.input, op.args, node, state, path)
        if op is not None and name in ("masked_fill", "masked_fill_") and op.args.get("mask") is node:
            value = op.args.get("value")
            kind = "zero" if constant(module, value) == 0 else "other"
            if is_minus_infinity_like(module, value):
                kind = "minus-infinity"
            self._use(kind, call, node, state, path)
            return None
        if op is not None and name == "where" and op.args.get("condition") is node:
            values = (self._number(op.input), self._number(op.args["other"]))
            if values in ((1, 0), (0, 1)):
                below = state.true_below == (values[0] == 1)
                return call, _after(replace(state, true_below=below, kind="float"), "float" if values[0] else "not")
            self._use(self._where_kind(op.input, op.args["other"]), call, node, state, path)
            return None
        if name in ("mul", "multiply"):
            others = tuple(a for a in call.args if a is not node)
            self._use("multiply", call, node, state, path, factors=others)
            return None
        if name in _ALIKE:
            return None
        if any(p is node for p in shifted_parts(module, call)) and state.sliced:
            return call, _after(replace(state, shifted=True, sliced=False), "shift")
        if (module.qualified(call.func) or "").endswith("take_along_dim") and len(call.args) > 2:
            return self._reordered("gather", call, call.args[2], call.args[1], state)
        if name in ("einsum", "matmul", "bmm"):
            factors = tuple(a for a in call.args if a is not node and not isinstance(a, ast.Constant))
            self._use("operand", call, node, state, path, factors=factors)
            return None
        self._use("passed" if op is None else "other", call, node, state, path)
        return None

    def _number(self, node: ast.expr) -> Scalar | None:
        """A constant, or what a tensor of ones or zeros is full of."""
        if zero_like(self.module, node) is not None:
            return 0
        return 1 if ones_like(self.module, node) else constant(self.module, node)

    def _where_kind(self, yes: ast.expr, no: ast.expr) -> str:
        if any(is_minus_infinity_like(self.module, v) for v in (yes, no)):
            return "minus-infinity"
        zeros = [v for v in (yes, no) if constant(self.module, v) == 0 or _makes_zeros(v)]
        ones = [v for v in (yes, no) if constant(self.module, v) == 1]
        return "zero" if zeros and not ones else "other"

    def _reordered(
        self, kind: str, call: ast.Call, dim: ast.expr | None, index: ast.expr | None, state: State
    ) -> tuple[ast.expr, State] | None:
        if dim is None or index is None:
            return None
        return call, _after(replace(state, steps=(*state.steps, Step(kind, dim, index))), kind)

    def _scattered(
        self,
        call: ast.Call,
        base: ast.expr,
        args: Mapping[str, ast.expr],
        node: ast.expr,
        state: State,
        path: Path,
    ) -> tuple[ast.expr, State] | None:
        if args.get("src") is not node:
            return None
        step = self._reordered("scatter", call, args.get("dim"), args.get("index"), state)
        statement = self.module.statement(call)
        if step is None or not isinstance(statement, ast.Expr) or statement.value is not call:
            return step
        if isinstance(base, ast.Name):  # `mask.scatter_(-1, order, keep)` on a line of its own
            kind = self._base_kind(base, state)
            self._bound(base.id, statement, replace(step[1], kind=kind), path, mutated=True)
        return None

    def _base_kind(self, base: ast.Name, state: State) -> str:
        value = self.module.flow(base).value(base)
        if isinstance(value, ast.Call):
            said = [self.module.qualified(k.value) for k in value.keywords if k.arg == "dtype"]
            if said and said[0] == "torch.bool":
                return "bool"
        return "float" if state.kind == "bool" else state.kind

    def _stored_by_mask(self, target: ast.Subscript, state: State, path: Path) -> bool:
        """Whether the mask decides where a tensor of ones becomes 0 (or one of zeros 1), which is then followed."""
        statement = self.module.parent(target)
        if (
            not isinstance(target.value, ast.Name)
            or not isinstance(statement, ast.Assign)
            or len(statement.targets) != 1
        ):
            return False
        found = self.module.flow(statement).definition_before(target.value.id, statement)
        made = found.value if found is not None else None
        value = constant(self.module, statement.value)
        if made is None or state.kind != "bool" or isinstance(value, str):
            return False
        if value == 0 and ones_like(self.module, made):
            below = not state.true_below
        elif value == 1 and zero_like(self.module, made) is not None:
            below = state.true_below
        else:
            return False
        kind = self._base_kind(target.value, state)
        self._bound(
            target.value.id, statement, _after(replace(state, true_below=below, kind=kind), "store"), path, True
        )
        return True

    def _joined(self, node: ast.List | ast.Tuple) -> ast.Call | None:
        parent = self.module.parent(node)
        if not isinstance(parent, ast.Call):
            return None
        name = (self.module.qualified(parent.func) or "").rpartition(".")[2]
        return parent if name in ("cat", "concat", "concatenate", "stack") else None

    def _index_kind(self, parent: ast.Subscript) -> str:
        statement = self.module.statement(parent)
        outer = self.module.parent(parent)
        if isinstance(outer, ast.Tuple):
            outer = self.module.parent(outer)
        # `mask[order[removed]] = 0`: what the mask picks of an order says where the zeros go
        stores = isinstance(outer, ast.Subscript) and outer.value is not parent and isinstance(outer.ctx, ast.Store)
        if (stores or isinstance(parent.ctx, ast.Store)) and isinstance(statement, ast.Assign):
            if is_minus_infinity_like(self.module, statement.value):
                return "minus-infinity"
            if constant(self.module, statement.value) == 0:
                return "zero-store"
        return "index"

    # -- statements ------------------------------------------------------------------------------------------

    def _ended(self, parent: ast.AST | None, node: ast.expr, state: State, path: Path) -> None:
        statement = self.module.statement(node)
        if isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            if len(targets) == 1 and isinstance(targets[0], ast.Name):
                self._bound(targets[0].id, parent, state, path)
            elif len(targets) == 1 and isinstance(targets[0], ast.Subscript):
                self._written(targets[0], node, state, path)
            else:
                self._use("stored", parent, node, state, path)
        elif isinstance(parent, ast.AugAssign) and parent.value is node:
            kind = "multiply" if isinstance(parent.op, ast.Mult) else "other"
            self._use(kind, parent, node, state, path, factors=(parent.target,))
        elif isinstance(statement, ast.Return):
            self._use("returned", statement, node, state, path)
        elif isinstance(parent, ast.Compare):
            self._use("count", parent, node, state, path)
        elif not isinstance(parent, (ast.FormattedValue, ast.Expr)):
            self._use("other", parent or node, node, state, path)

    def _written(self, target: ast.Subscript, node: ast.expr, state: State, path: Path) -> None:
        """`mask[..., 1:] = mask[..., :-1].clone()` moves the mask in place, which is read where it is bound."""
        held = path[-1][0] if path else None
        if held and isinstance(target.value, ast.Name) and target.value.id == held.name and cuts_first(target):
            return
        self._use("other", target, node, state, path)

    def bind(self, name: str, binding: ast.stmt, state: State) -> None:
        """Follow a variable that holds the mask from the start."""
        self._bound(name, binding, state, ())

    def _bound(
        self,
        name: str,
        binding: ast.stmt,
        state: State,
        path: Path,
        mutated: bool = False,
    ) -> None:
        if binding in self._seen:
            return
        self._seen.add(binding)
        loads, unclear = self._loads(name, binding, mutated)
        mutations = [m for m in (self._mutation(load) for load in loads) if m is not None]
        if any(_moves(m) for m in mutations):
            state = replace(state, shifted=True)
        self.mutations[binding] = list(dict.fromkeys(mutations))
        held = Held(name, binding, replace(state, after=(), sliced=False), state.after)
        self.unclear.extend((held, load) for load in unclear)
        if state.kind in ("float", "cast"):  # another branch may bind it too: what follows reads either
            loads = sorted([*loads, *unclear], key=lambda n: (n.lineno, n.col_offset))
        for load in loads:
            if self._is_target(load):
                continue
            self.follow(load, replace(held.state), (*path, (held, load)))

    def _loads(self, name: str, binding: ast.stmt, mutated: bool) -> tuple[list[ast.Name], list[ast.Name]]:
        """Reads that certainly see the binding, and those that may."""
        flow = self.module.flow(binding)
        sure, unclear = [], []
        original = flow.definition_before(name, binding) if mutated else None
        for load in flow.loads.get(name, []):
            if (load.lineno, load.col_offset) <= (binding.end_lineno or 0, binding.end_col_offset or 0):
                continue
            found = flow.definition(load)
            if found is None:
                unclear.append(load)
            elif found.statement is binding or (original is not None and found.statement is original.statement):
                sure.append(load)
        return sure, unclear

    def _mutation(self, load: ast.Name) -> ast.stmt | None:
        """The statement that changes the variable in place through this read."""
        statement = self.module.statement(load)
        if self._is_target(load):
            return statement
        parent = self.module.parent(load)
        call = self.module.parent(parent) if isinstance(parent, ast.Attribute) else None
        if isinstance(parent, ast.Attribute) and parent.attr.endswith("_") and isinstance(call, ast.Call):
            return statement if isinstance(statement, ast.Expr) else None
        return None

    def _is_target(self, load: ast.Name) -> bool:
        parent = self.module.parent(load)
        return isinstance(parent, ast.Subscript) and parent.value is load and isinstance(parent.ctx, ast.Store)

    def _use(
        self,
        kind: str,
        node: ast.AST,
        mask: ast.expr,
        state: State,
        path: Path,
        factors: tuple[ast.expr, ...] = (),
    ) -> None:
        self.uses.append(Use(kind, node, mask, state, path, factors))


def _after(state: State, what: str) -> State:
    return replace(state, after=(*state.after, what), shaped=state.shaped or what == "shape")


def _moves(statement: ast.stmt) -> bool:
    """`mask[..., 1:] = mask[..., :-1].clone()`."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
        return False
    if not cuts_first(statement.targets[0]):
        return False
    return any(isinstance(n, ast.Subscript) and cuts_last(n) for n in walk(statement.value))


def _makes_zeros(node: ast.expr) -> bool:
    name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    return name in ("zeros_like", "zeros", "new_zeros")


def _is_device(node: ast.expr) -> bool:
    return getattr(node, "attr", None) == "device" or getattr(node, "id", None) == "device"
