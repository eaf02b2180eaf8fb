"""Where a value goes: does it reach a softmax, a maximum, a sum, another function of the file?

A may-analysis that walks forward through one file. It answers "which kinds of consumer can see this value", so that a
rule can ask for a softmax and refuse a beam search.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.masks._calls import built_class, callers, defined_function, leaf_name, parameter_of
from autofix.transforms.masks._reaching import readers_after, readers_of_parameter


class End(Enum):
    """A kind of consumer."""

    SOFTMAX = auto()
    LOG_SOFTMAX = auto()
    ATTENTION = auto()  # the mask argument of PyTorch's multi-head attention
    FUSED = auto()  # scaled_dot_product_attention, which gives a fully masked row zeros
    SELECTED = auto()  # max, topk, sort: only the order counts
    TESTED = auto()  # compared with an infinity, isinf, isfinite
    SUMMED = auto()  # a reduction or a product of matrices
    EXPONENTIATED = auto()
    LOSS = auto()
    SAMPLED = auto()  # multinomial or Categorical sees the softmax
    REPAIRED = auto()  # NaN of the weights is replaced
    OUTPUT_REPAIRED = auto()  # NaN is replaced after the weights have met the values
    RETURNED = auto()
    STORED = auto()  # in an attribute, a buffer or a container
    PASSED = auto()  # to a function that this file does not define


@dataclass(slots=True)
class Fate:
    """What became of a value. sums, scalings: the additions, products and quotients it went through, in order.
    casts: the dtype expressions it was cast to. names: what it was bound to. passed_as: keywords that carried it
    out. through: calls that fill, cut or scatter it on the way. softmaxes: those that normalise it. zeroed:
    the masks under which the weights are set to zero. joined: what it was concatenated as."""

    ends: set[End] = field(default_factory=set)
    sums: list[ast.expr | ast.stmt] = field(default_factory=list)
    scalings: list[ast.expr | ast.stmt] = field(default_factory=list)
    casts: list[ast.expr] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    passed_as: list[str] = field(default_factory=list)
    through: list[ast.Call] = field(default_factory=list)
    softmaxes: list[ast.Call] = field(default_factory=list)
    zeroed: list[ast.expr] = field(default_factory=list)
    joined: list[ast.expr] = field(default_factory=list)


_SHAPING = {"triu", "triu_", "tril", "tril_", "masked_fill", "masked_fill_", "scatter", "scatter_"}
_SAME = frozenset((
    "view", "reshape", "transpose", "permute", "contiguous", "unsqueeze", "squeeze", "expand", "expand_as", "view_as",
    "repeat", "flatten", "unflatten", "clone", "detach", "cuda", "cpu", "masked_fill", "masked_fill_",
    "masked_scatter", "where", "to", "type", "type_as", "float", "half", "double", "bfloat16", "clamp", "clamp_",
    "clamp_min", "clamp_max", "clamp_min_", "clamp_max_", "clip", "maximum", "minimum", "div", "div_", "mul", "mul_",
    "true_divide", "triu", "tril", "triu_", "tril_", "narrow", "roll", "movedim", "swapaxes", "mT", "select",
    "index_select", "gather", "scatter", "scatter_", "fill_", "copy_", "chunk", "split", "unbind",
    "repeat_interleave", "broadcast_to", "tile", "take_along_dim", "refine_names", "rename", "align_to", "pin_memory",
    "requires_grad_", "unsqueeze_", "squeeze_", "t", "fill_diagonal_", "index_fill", "index_fill_",
    "dropout", "rearrange", "unfold", "pad", "cat", "stack", "concat", "concatenate", "squeeze_",
    "float_power", "as_tensor",
))  # fmt: skip
_CASTS = {"to", "type", "type_as", "float", "half", "double", "bfloat16"}
_SELECT = frozenset((
    "max", "amax", "topk", "argmax", "sort", "argsort", "min", "amin", "argmin", "kthvalue", "msort", "median",
    "mode", "aminmax", "multinomial", "unique",
))  # fmt: skip
_SUM = frozenset((
    "sum", "mean", "cumsum", "prod", "cumprod", "logcumsumexp", "matmul", "bmm", "mm", "mv", "dot", "einsum", "norm",
    "std", "var", "trapz", "nansum", "mse_loss",
))  # fmt: skip
_TESTS = frozenset((
    "isinf", "isneginf", "isposinf", "isfinite", "isnan", "nan_to_num", "nan_to_num_", "eq", "ne", "gt", "lt", "ge",
    "le",
))  # fmt: skip
_LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy")
_BINARY = ("add", "add_", "copy_", "sub", "sub_", "maximum", "minimum")
_FUSED = re.compile(r"scaled_dot_product|memory_efficient_attention|flash_att(?:n|ention)|flex_attention|sdpa", re.I)
_JOINS = ("cat", "concat", "concatenate", "stack")
_LIMIT = 600
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class _Item:
    """A value on its way. weights: it already is what a softmax gave. mixed: and was multiplied with the values.
    summed: it was added to something, whose dtype counts from there. calls: the in-file calls entered. up: how many
    callers were followed."""

    node: ast.expr
    weights: bool = False
    mixed: bool = False
    summed: bool = False
    calls: tuple[ast.Call, ...] = ()
    up: int = 0


def follow(module: Module, start: ast.expr | ast.stmt, in_place: bool = False) -> Fate:
    """The fate of an expression's value and, `in_place`, of the tensor that it or a statement changes."""
    walk = _Walk(module)
    if in_place:
        walk.mutated(start, _Item(start))  # type: ignore[arg-type]
    if isinstance(start, ast.expr):
        walk.push(_Item(start))
    walk.run()
    return walk.fate


class _Walk:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.fate = Fate()
        self.pending: list[_Item] = []
        self.seen: set[tuple[ast.AST, bool]] = set()

    def push(self, item: _Item) -> None:
        key = (item.node, item.weights)
        if key not in self.seen and len(self.seen) < _LIMIT:
            self.seen.add(key)
            self.pending.append(item)

    def run(self) -> None:
        while self.pending:
            self.step(self.pending.pop(0))

    def end(self, item: _Item, kind: End) -> None:
        if item.mixed and kind is End.REPAIRED:
            kind = End.OUTPUT_REPAIRED
        if not item.weights or kind in (End.SAMPLED, End.REPAIRED, End.OUTPUT_REPAIRED):
            self.fate.ends.add(kind)

    def onward(self, item: _Item, node: ast.expr) -> None:
        self.push(replace(item, node=node))

    def added(self, item: _Item, addition: ast.expr | ast.stmt) -> _Item:
        """The item after an addition."""
        if item.weights:
            return item
        self.fate.sums.append(addition)
        return replace(item, summed=True)

    def mutated(self, statement: ast.AST, item: _Item) -> None:
        """The tensor that `statement` changes in place is read afterwards."""
        for load in readers_after(self.module, statement):
            self.onward(item, load)

    # -- one step --------------------------------------------------------------------------------------

    def step(self, item: _Item) -> None:
        module, node = self.module, item.node
        parent = module.parent(node)
        if isinstance(parent, ast.keyword):
            call = module.parent(parent)
            if isinstance(call, ast.Call):
                self.argument(item, call, parent.arg, None)
        elif isinstance(parent, ast.Call):
            if node is not parent.func:
                index = next((i for i, a in enumerate(parent.args) if a is node), None)
                self.argument(item, parent, None, index)
        elif isinstance(parent, ast.Attribute):
            self.attribute(item, parent)
        elif isinstance(parent, ast.Subscript):
            if node is parent.value and isinstance(parent.ctx, ast.Load):
                self.onward(item, parent)
            elif node is parent.value and item.weights and not item.mixed and _set_to_zero(module, parent):
                self.fate.zeroed.append(parent.slice)
        elif isinstance(parent, ast.BinOp):
            self.arithmetic(item, parent)
        elif isinstance(parent, ast.Compare):
            self.comparison(item, parent)
        elif isinstance(parent, (ast.IfExp, ast.BoolOp, ast.Starred, ast.Await)):
            if not (isinstance(parent, ast.IfExp) and node is parent.test):
                self.onward(item, parent)
        elif isinstance(parent, (ast.Tuple, ast.List)):
            self.element(item, parent)
        elif isinstance(parent, (ast.Return, ast.Yield)):
            self.returned(item, None)
        elif isinstance(parent, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            self.assigned(item, parent)
        elif isinstance(parent, ast.AugAssign):
            self.augmented(item, parent)
        elif isinstance(parent, (ast.Dict, ast.Lambda)):
            self.end(item, End.STORED)

    def arithmetic(self, item: _Item, parent: ast.BinOp) -> None:
        if isinstance(parent.op, (ast.Add, ast.Sub)):
            self.onward(self.added(item, parent), parent)
        elif isinstance(parent.op, (ast.Mult, ast.Div)):
            if not item.weights:
                self.fate.scalings.append(parent)
            self.onward(item, parent)
        elif isinstance(parent.op, ast.MatMult):
            self.end(item, End.SUMMED)
            if item.weights:
                self.onward(replace(item, mixed=True), parent)

    def comparison(self, item: _Item, parent: ast.Compare) -> None:
        sides = [parent.left, *parent.comparators]
        if any(_extreme(self.module, side) for side in sides):
            self.end(item, End.TESTED)
        if item.weights and len({ast.dump(side) for side in sides}) == 1:
            self.end(item, End.REPAIRED)

    def element(self, item: _Item, parent: ast.Tuple | ast.List) -> None:
        outer = self.module.parent(parent)
        index = next(i for i, e in enumerate(parent.elts) if e is item.node)
        if isinstance(outer, ast.Return):
            self.returned(item, index)
        elif isinstance(outer, ast.Call):
            if (self.module.qualified(outer.func) or "").startswith("torch."):
                if leaf_name(outer.func) in _JOINS and not item.weights:
                    self.fate.joined.append(item.node)
                self.onward(item, outer)
            else:
                self.end(item, End.PASSED)
        elif isinstance(outer, ast.Assign) and len(outer.targets) == 1 and isinstance(outer.targets[0], ast.Tuple):
            targets = outer.targets[0].elts
            if len(targets) == len(parent.elts) and isinstance(targets[index], ast.Name):
                self.bound(item, targets[index].id, outer)  # type: ignore[attr-defined]
        else:
            self.end(item, End.STORED)

    def assigned(self, item: _Item, parent: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> None:
        if isinstance(parent, ast.NamedExpr):
            self.onward(item, parent)
            self.bound(item, parent.target.id, self.module.statement(parent))
            return
        for target in parent.targets if isinstance(parent, ast.Assign) else [parent.target]:
            if isinstance(target, ast.Name):
                self.bound(item, target.id, parent)
            elif isinstance(target, ast.Attribute):
                self.fate.names.append(target.attr)
                self.end(item, End.STORED)
            elif isinstance(target, ast.Subscript):
                self.mutated(parent, item)
                self.end(item, End.STORED)
            elif isinstance(target, ast.Tuple):  # chunk, split, unbind: every part has it
                for part in target.elts:
                    if isinstance(part, ast.Name) and isinstance(parent.value, ast.Call):
                        self.bound(item, part.id, parent)

    def bound(self, item: _Item, name: str, statement: ast.stmt) -> None:
        if not item.weights:
            self.fate.names.append(name)
        for load in readers_after(self.module, statement, name):
            self.onward(item, load)

    def augmented(self, item: _Item, parent: ast.AugAssign) -> None:
        if isinstance(parent.op, (ast.Add, ast.Sub)):
            item = self.added(item, parent)
        elif isinstance(parent.op, (ast.Mult, ast.Div)) and not item.weights:
            self.fate.scalings.append(parent)
        self.mutated(parent, item)

    def attribute(self, item: _Item, parent: ast.Attribute) -> None:
        call = self.module.parent(parent)
        if isinstance(call, ast.Call) and call.func is parent:
            self.operation(item, call, parent.attr)
        elif parent.attr in ("T", "mT", "H", "mH", "data"):
            self.onward(item, parent)

    # -- calls -----------------------------------------------------------------------------------------

    def operation(self, item: _Item, call: ast.Call, name: str) -> None:
        """A tensor operation applied to the value."""
        if name in ("softmax", "softmin"):
            self.softmax(item, call)
        elif name == "log_softmax":
            self.end(item, End.LOG_SOFTMAX)
        elif name in ("add", "add_", "sub", "sub_", "baddbmm", "addmm", "baddbmm_"):
            self.onward(self.added(item, call), call)
        elif name in ("max", "min") and any(a is not item.node and not _is_dimension(a) for a in call.args):
            self.onward(item, call)
        elif name in _SELECT:
            self.end(item, End.SAMPLED if name == "multinomial" else End.SELECTED)
        elif name in _TESTS:
            if name in ("isnan", "nan_to_num", "nan_to_num_"):
                self.end(item, End.REPAIRED if item.weights else End.TESTED)
            elif not name.startswith("is"):
                return
            self.end(item, End.TESTED)
        elif name in ("logsumexp", "exp", "exp_", "sigmoid", "logsigmoid"):
            self.end(item, End.EXPONENTIATED)
        elif name in _SUM:
            self.end(item, End.SUMMED)
            if item.weights:
                self.onward(replace(item, mixed=True), call)
        elif name in _SAME:
            padded = name.startswith(("masked_fill", "where")) and item.weights and not item.mixed
            if padded and (mask := _zeroed_by(self.module, call)) is not None:
                self.fate.zeroed.append(mask)
            if not item.weights:
                self.passes(item, call, name)
            self.onward(item, call)
        if name.endswith("_") and not name.endswith("__"):
            self.mutated(call, item)

    def passes(self, item: _Item, call: ast.Call, name: str) -> None:
        """Note what an operation that lets the value through tells about it."""
        if name in _CASTS and not item.summed:
            self.fate.casts.extend(list(call.args) or [call])
            self.fate.casts.extend(k.value for k in call.keywords if k.arg == "dtype")
        if name in _SHAPING:
            self.fate.through.append(call)
        if name in ("mul", "mul_", "div", "div_", "true_divide"):
            self.fate.scalings.append(call)

    def softmax(self, item: _Item, call: ast.Call) -> None:
        self.end(item, End.SOFTMAX)
        if not item.weights and call not in self.fate.softmaxes:
            self.fate.softmaxes.append(call)
        self.push(replace(item, node=call, weights=True))

    def argument(self, item: _Item, call: ast.Call, keyword: str | None, index: int | None) -> None:
        module = self.module
        op = tensor_op(module, call)
        if op is not None and op.form != "method" and op.name not in _LOSSES:
            if op.input is item.node or (op.name in ("where", "maximum", "minimum", "add", "sub", "mul", "div")):
                self.operation(item, call, op.name)
            return
        if op is not None and op.name in ("where", "masked_fill", "masked_fill_"):
            if op.args.get("mask") is not item.node and op.args.get("condition") is not item.node:
                self.onward(item, call)
            return
        dotted = module.qualified(call.func) or ""
        leaf = leaf_name(call.func)
        if self.library(item, call, dotted, leaf, keyword, index):
            return
        if self.enter(item, call, keyword, index):
            return
        if leaf in ("append", "extend", "update", "register_buffer", "dict", "setattr"):
            self.end(item, End.STORED)
        elif leaf in _BINARY and isinstance(call.func, ast.Attribute):
            if leaf.startswith(("add", "sub")):
                item = self.added(item, call)
            self.onward(item, call)
            if leaf.endswith("_"):
                self.mutated(call, item)
        else:
            if keyword and not item.weights:
                self.fate.passed_as.append(keyword)
            self.end(item, End.PASSED)

    def library(
        self, item: _Item, call: ast.Call, dotted: str, leaf: str, keyword: str | None, index: int | None
    ) -> bool:
        """Calls of known functions and modules."""
        built = built_class(self.module, call)
        if _FUSED.search(leaf):
            self.end(item, End.FUSED)
        elif leaf == "multi_head_attention_forward" or built == "torch.nn.MultiheadAttention":
            self.end(item, End.ATTENTION)
        elif "cross_entropy" in leaf.lower() or leaf in ("nll_loss", "kl_div", "binary_cross_entropy_with_logits"):
            self.end(item, End.LOSS)
        elif leaf in ("multinomial", "Categorical", "OneHotCategorical", "RelaxedOneHotCategorical"):
            self.end(item, End.SAMPLED)
        elif re.search(r"log_?softmax", leaf, re.I):
            self.end(item, End.LOG_SOFTMAX)
        elif re.search(r"gumbel|sparsemax|entmax", leaf, re.I):
            return False
        elif re.search(r"softmax", leaf, re.I) and index in (None, 0):
            self.softmax(item, call)
        elif dotted.startswith(("torch.", "einops.", "opt_einsum.")):
            if not dotted.startswith("torch.distributed"):
                self.operation(item, call, leaf)
        elif leaf in ("rearrange", "repeat", "pad", "dropout", "pad_at_dim"):
            self.onward(item, call)
        else:
            return False
        return True

    def enter(self, item: _Item, call: ast.Call, keyword: str | None, index: int | None) -> bool:
        """Go on inside a function of this file that receives the value."""
        function = defined_function(self.module, call)
        if function is None or len(item.calls) >= _DEPTH or call in item.calls:
            return False
        parameter = parameter_of(self.module, function, call, keyword, index)
        if parameter is None:
            return False
        for load in readers_of_parameter(self.module, function, parameter):
            self.push(replace(item, node=load, calls=(*item.calls, call)))
        return True

    def returned(self, item: _Item, index: int | None) -> None:
        """Go on where the function was called."""
        if item.calls:
            self.result(replace(item, calls=item.calls[:-1]), item.calls[-1], index)
            return
        self.end(item, End.RETURNED)
        if item.up >= 2:
            return
        scope = self.module.function_scope(item.node)
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for call in callers(self.module, scope):
                self.result(replace(item, up=item.up + 1), call, index)

    def result(self, item: _Item, call: ast.Call, index: int | None) -> None:
        if index is None:
            self.onward(item, call)
            return
        parent = self.module.parent(call)
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple):
            targets = parent.targets[0].elts
            if index < len(targets) and isinstance(targets[index], ast.Name):
                self.bound(item, targets[index].id, parent)  # type: ignore[attr-defined]


def _zeroed_by(module: Module, call: ast.Call) -> ast.expr | None:
    """`m` of `w.masked_fill(m, 0)`, `torch.where(m, w, 0)`."""
    op = tensor_op(module, call, "masked_fill", "masked_fill_", "where")
    if op is None:
        return None
    values = [op.args.get("value"), op.args.get("other"), op.input]
    zero = any(v is not None and _is_zero(module, v) for v in values)
    return op.args.get("mask", op.args.get("condition")) if zero else None


def _is_zero(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        dotted = module.qualified(node.func) or ""
        if dotted in ("torch.zeros_like", "torch.zeros"):
            return True
        if dotted in ("torch.tensor", "torch.scalar_tensor", "torch.as_tensor") and node.args:
            node = node.args[0]
    number = constant(module, node)
    return number is not None and number == 0


def _set_to_zero(module: Module, target: ast.Subscript) -> bool:
    """`w[m] = 0`, where `m` is no position."""
    statement = module.parent(target)
    if not isinstance(statement, ast.Assign) or not _is_zero(module, statement.value):
        return False
    return isinstance(target.slice, (ast.Name, ast.UnaryOp, ast.Compare, ast.Call, ast.Attribute))


def _is_dimension(node: ast.expr) -> bool:
    return isinstance(node, (ast.Constant, ast.UnaryOp))


def _extreme(module: Module, node: ast.expr) -> bool:
    number = constant(module, node)
    return number is not None and abs(number) >= 1e4
