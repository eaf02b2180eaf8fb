"""Where a value goes: does it reach a softmax, a maximum, a sum, another function of the file?

A may-analysis that walks forward through one file. It answers "which kinds of consumer can see this value", so that a
rule can ask for a softmax and refuse a beam search.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import Enum, auto

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
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
    REPAIRED = auto()  # NaN of the softmax is replaced afterwards
    RETURNED = auto()
    STORED = auto()  # in an attribute, a buffer or a container
    PASSED = auto()  # to a function that this file does not define


@dataclass(slots=True)
class Fate:
    """What became of a value. sums, scalings: the additions, products and quotients it went through, in order.
    casts: the dtype expressions it was cast to. names: what it was bound to. passed_as: keywords that carried it
    out. through: calls that fill, cut or scatter it on the way."""

    ends: set[End] = field(default_factory=set)
    sums: list[ast.expr | ast.stmt] = field(default_factory=list)
    scalings: list[ast.expr | ast.stmt] = field(default_factory=list)
    casts: list[ast.expr] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    passed_as: list[str] = field(default_factory=list)
    through: list[ast.Call] = field(default_factory=list)


_SHAPING = {"triu", "triu_", "tril", "tril_", "masked_fill", "masked_fill_", "scatter", "scatter_"}
_SAME = frozenset(
    "view reshape transpose permute contiguous unsqueeze squeeze expand expand_as view_as repeat flatten unflatten clone "
    "detach cuda cpu masked_fill masked_fill_ masked_scatter where to type type_as float half double bfloat16 clamp "
    "clamp_ clamp_min clamp_max clamp_min_ clamp_max_ clip maximum minimum div div_ mul mul_ true_divide triu tril triu_ "
    "tril_ narrow roll movedim swapaxes mT select index_select gather scatter scatter_ fill_ copy_ chunk split unbind "
    "repeat_interleave broadcast_to tile take_along_dim refine_names rename align_to pin_memory requires_grad_ "
    "unsqueeze_ squeeze_ t fill_diagonal_ index_fill index_fill_ softplus tanh dropout rearrange unfold pad cat stack "
    "concat concatenate squeeze_ float_power as_tensor".split()
)
_CASTS = {"to", "type", "type_as", "float", "half", "double", "bfloat16"}
_SELECT = frozenset(
    "max amax topk argmax sort argsort min amin argmin kthvalue msort median mode aminmax multinomial unique".split()
)
_SUM = frozenset(
    "sum mean cumsum prod cumprod logcumsumexp matmul bmm mm mv dot einsum norm std var trapz nansum mse_loss".split()
)
_TESTS = frozenset("isinf isneginf isposinf isfinite isnan nan_to_num nan_to_num_ eq ne gt lt ge le".split())
_LIMIT = 600
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class _Item:
    """A value on its way. weights: it already is what a softmax gave. calls: the in-file calls entered."""

    node: ast.expr
    weights: bool
    calls: tuple[ast.Call, ...]
    up: int


def follow(module: Module, start: ast.expr | ast.stmt, in_place: bool = False) -> Fate:
    """The fate of an expression's value and, `in_place`, of the tensor that it or a statement changes."""
    walk = _Walk(module)
    if in_place:
        walk.mutated(start, False, (), 0)
    if isinstance(start, ast.expr):
        walk.push(start, False, (), 0)
    walk.run()
    return walk.fate


class _Walk:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.fate = Fate()
        self.pending: list[_Item] = []
        self.seen: set[tuple[ast.AST, bool]] = set()

    def push(self, node: ast.expr, weights: bool, calls: tuple[ast.Call, ...], up: int) -> None:
        if (node, weights) not in self.seen and len(self.seen) < _LIMIT:
            self.seen.add((node, weights))
            self.pending.append(_Item(node, weights, calls, up))

    def run(self) -> None:
        while self.pending:
            self.step(self.pending.pop(0))

    def end(self, item: _Item, kind: End) -> None:
        if not item.weights or kind in (End.SAMPLED, End.REPAIRED):
            self.fate.ends.add(kind)

    def onward(self, item: _Item, node: ast.expr, weights: bool | None = None) -> None:
        self.push(node, item.weights if weights is None else weights, item.calls, item.up)

    def mutated(self, statement: ast.AST, weights: bool, calls: tuple[ast.Call, ...], up: int) -> None:
        """The tensor that `statement` changes in place is read afterwards."""
        for load in readers_after(self.module, statement):
            self.push(load, weights, calls, up)

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
            if not item.weights:
                self.fate.sums.append(parent)
            self.onward(item, parent)
        elif isinstance(parent.op, (ast.Mult, ast.Div)):
            if not item.weights:
                self.fate.scalings.append(parent)
            self.onward(item, parent)
        elif isinstance(parent.op, ast.MatMult):
            self.end(item, End.SUMMED)
            if item.weights:
                self.onward(item, parent)

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
                self.mutated(parent, item.weights, item.calls, item.up)
                self.end(item, End.STORED)
            elif isinstance(target, ast.Tuple):  # chunk, split, unbind: every part has it
                for part in target.elts:
                    if isinstance(part, ast.Name) and isinstance(parent.value, ast.Call):
                        self.bound(item, part.id, parent)

    def bound(self, item: _Item, name: str, statement: ast.stmt) -> None:
        if not item.weights:
            self.fate.names.append(name)
        for load in readers_after(self.module, statement, name):
            self.push(load, item.weights, item.calls, item.up)

    def augmented(self, item: _Item, parent: ast.AugAssign) -> None:
        if isinstance(parent.op, (ast.Add, ast.Sub)) and not item.weights:
            self.fate.sums.append(parent)
        elif isinstance(parent.op, (ast.Mult, ast.Div)) and not item.weights:
            self.fate.scalings.append(parent)
        self.mutated(parent, item.weights, item.calls, item.up)

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
            if not item.weights:
                self.fate.sums.append(call)
            self.onward(item, call)
        elif name in ("max", "min") and call.args and not _is_dimension(call.args[0]):
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
                self.onward(item, call)
        elif name in _SAME:
            if name in _CASTS and not item.weights:
                self.fate.casts.extend([a for a in call.args] or [call])
                self.fate.casts.extend(k.value for k in call.keywords if k.arg == "dtype")
            if name in _SHAPING and not item.weights:
                self.fate.through.append(call)
            self.onward(item, call)
        if name.endswith("_") and not name.endswith("__"):
            self.mutated(call, item.weights, item.calls, item.up)

    def softmax(self, item: _Item, call: ast.Call) -> None:
        self.end(item, End.SOFTMAX)
        self.onward(item, call, weights=True)

    def argument(self, item: _Item, call: ast.Call, keyword: str | None, index: int | None) -> None:
        module = self.module
        op = tensor_op(module, call)
        if op is not None and op.form != "method":
            if op.input is item.node or (op.name in ("where", "maximum", "minimum", "add", "sub", "mul", "div")):
                self.operation(item, call, op.name)
            return
        if op is not None and op.name in ("where", "masked_fill", "masked_fill_"):
            if op.args.get("mask") is not item.node and op.args.get("condition") is not item.node:
                self.onward(item, call)
            return
        dotted = module.qualified(call.func) or ""
        leaf = _leaf(call.func)
        if self.library(item, call, dotted, leaf, keyword, index):
            return
        if self.enter(item, call, keyword, index):
            return
        if leaf in ("append", "extend", "update", "register_buffer", "dict", "setattr"):
            self.end(item, End.STORED)
        elif leaf in ("add", "add_", "copy_", "sub", "sub_", "maximum", "minimum") and isinstance(call.func, ast.Attribute):
            if leaf.startswith(("add", "sub")) and not item.weights:
                self.fate.sums.append(call)
            self.onward(item, call)
            if leaf.endswith("_"):
                self.mutated(call, item.weights, item.calls, item.up)
        else:
            if keyword and not item.weights:
                self.fate.passed_as.append(keyword)
            self.end(item, End.PASSED)

    def library(
        self, item: _Item, call: ast.Call, dotted: str, leaf: str, keyword: str | None, index: int | None
    ) -> bool:
        """Calls of known functions and modules."""
        built = _built_class(self.module, call)
        if leaf == "scaled_dot_product_attention":
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
        parameter = _parameter(self.module, function, call, keyword, index)
        if parameter is None:
            return False
        for load in readers_of_parameter(self.module, function, parameter):
            self.push(load, item.weights, (*item.calls, call), item.up)
        return True

    def returned(self, item: _Item, index: int | None) -> None:
        """Go on where the function was called."""
        if item.calls:
            self.result(_Item(item.node, item.weights, item.calls[:-1], item.up), item.calls[-1], index)
            return
        self.end(item, End.RETURNED)
        if item.up >= 2:
            return
        scope = self.module.function_scope(item.node)
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for call in callers(self.module, scope):
                self.result(_Item(item.node, item.weights, (), item.up + 1), call, index)

    def result(self, item: _Item, call: ast.Call, index: int | None) -> None:
        if index is None:
            self.onward(item, call)
            return
        parent = self.module.parent(call)
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple):
            targets = parent.targets[0].elts
            if index < len(targets) and isinstance(targets[index], ast.Name):
                self.bound(item, targets[index].id, parent)  # type: ignore[attr-defined]


# -- the file's own functions --------------------------------------------------------------------------------------


def defined_function(module: Module, call: ast.Call) -> ast.FunctionDef | None:
    """The function of this file that `call` certainly calls: `name(...)`, `self.name(...)`, `Class.name(...)`."""
    func = call.func
    if isinstance(func, ast.Name):
        if module.names.lookup(func.id, func) is not None:
            return None
        found = [f for f in _visible_functions(module, call) if f.name == func.id]
        return found[0] if len(found) == 1 else None
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in ("self", "cls"):
        cls = module.class_of(call)
        return module.method(cls, func.attr) if cls else None
    return None


def callers(module: Module, function: ast.AST) -> list[ast.Call]:
    """Calls of a function of this file, at most eight."""
    name = getattr(function, "name", "")
    if f"{name}(" not in module.text or name in ("forward", "__call__", "__init__"):
        return []
    out = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _leaf(node.func) == name and defined_function(module, node) is function:
            out.append(node)
    return out[:8]


def _visible_functions(module: Module, node: ast.AST) -> list[ast.FunctionDef]:
    """Functions of the file's top level, and those defined directly in the functions around `node`."""
    scopes = [a for a in module.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))]
    blocks = [module.tree.body, *(s.body for s in scopes)]
    return [s for block in blocks for s in block if isinstance(s, ast.FunctionDef)]


def _parameter(
    module: Module, function: ast.FunctionDef, call: ast.Call, keyword: str | None, index: int | None
) -> str | None:
    args = function.args
    if keyword is not None:
        return keyword if keyword in {a.arg for a in [*args.args, *args.kwonlyargs]} else None
    if index is None or any(isinstance(a, ast.Starred) for a in call.args[: index + 1]):
        return None
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
    bound = module.class_of(function) is not None and isinstance(call.func, ast.Attribute) and not static
    position = index + bound
    names = [a.arg for a in [*args.posonlyargs, *args.args]]
    return names[position] if position < len(names) else None


def _built_class(module: Module, call: ast.Call) -> str:
    """Dotted name of the class of `self.x` when the class of this call builds it once."""
    func = call.func
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self"):
        return ""
    cls = module.class_of(call)
    value = module.self_attribute(cls, func.attr) if cls else None
    return (module.qualified(value.func) or "") if isinstance(value, ast.Call) else ""


def _leaf(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_dimension(node: ast.expr) -> bool:
    return isinstance(node, (ast.Constant, ast.UnaryOp))


def _extreme(module: Module, node: ast.expr) -> bool:
    number = constant(module, node)
    return number is not None and abs(number) >= 1e4
