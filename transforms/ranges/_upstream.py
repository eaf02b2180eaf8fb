"""Whether a gradient flows through an expression: what it is computed from."""

from __future__ import annotations

import ast
import re

from autofix.calls import callee, returned
from autofix.flow import parameter_default
from autofix.ops import constant, tensor_op
from autofix.relations import changes_in_place
from autofix.syntax import Module
from autofix.transforms.ranges._call_sites import call_sites, given
from autofix.tree import last_part, mentions, parameter_names, walk

_NO_GRADIENT = re.compile(
    r"running_|(^|_)grid|mesh|sigma_data|moving_|ema_|exp_avg|second_moment|sq_avg|alphas?_|betas?_|^alphas?$|^betas?$|sigmas?$"
    r"|(^|_)(window|counts?|timesteps?|indices|idxs?|freqs|freqs_cis|inv_freq)$"
)
_SIZE = re.compile(r"^(n|h|w|t|size|num\w*|height|width|length|steps?)$")  # of parameters
_SETTINGS = re.compile(r"(^|[._])(config|cfg|hparams|settings|opts?|args)$")
_NUMBER = re.compile(r"^(n|h|w|t|num\w*|height|width|steps?)$|(^|_)(size|lengths?|len|dims?|eps)$")  # of attributes
# What data sets and processors give to a model: nothing learns upstream of it.
_RAW_INPUT = re.compile(
    r"^(input_(values|features|ids)|pixel_(values|mask|attention_mask)\w*|(past|future)_(values|time_features)|attention_mask"
    r"|decoder_input_ids|input_features_mask|bbox)$"
)
_NO_TENSOR = re.compile(
    r"^(int|float|bool|str|np\.\w+|numpy\.\w+|\w*\.?(Long|Bool|Int)Tensor)( \| None)?$|^(Optional\[)?(Bool|Int)\["
)
CUT = (
    "detach item long int bool floor ceil round sign sgn argmax argmin argsort numel unique unique_consecutive tolist "
    "numpy eq ne lt le gt ge isnan isinf isfinite size dim sample bucketize searchsorted nonzero one_hot bincount "
    "histc logical_and logical_or logical_not logical_xor isin"
).split()
_MADE = re.compile(
    r"(^|[._])(tensor|Tensor|FloatTensor|LongTensor|DoubleTensor|zeros|ones|empty|full|eye|arange|linspace|logspace|"
    r"meshgrid|from_numpy|rand\w*|normal|bernoulli|multinomial|poisson|fftfreq|rfftfreq|tril_indices|triu_indices|"
    r"(hann|hamming|blackman|bartlett|kaiser)_window|size|zeros_like|ones_like|empty_like|full_like|new_\w+)$"
)
_LIKE = ("type_as", "expand_as", "view_as", "reshape_as")  # their argument gives a dtype or a shape
_PASSING = ("abs", "min", "max", "sum", "tuple", "list", "zip", "enumerate", "reversed", "sorted", "next", "iter")
_PLAIN_PARTS = ("shape", "ndim", "dtype", "device", "data", "is_cuda", "requires_grad")
_DRAWS = re.compile(r"^randn?(_like)?$|normal_samples$")
_CONTINUOUS = ("Normal", "MultivariateNormal", "Uniform", "Laplace", "Cauchy", "StudentT")
_MOST_STEPS = 400


def carries_gradient(module: Module, node: ast.expr) -> bool:
    """Whether a gradient may flow through `node`: not when all that it is computed from is detached, a running
    statistic, a noise schedule, an index, a number, a random draw or what a data set gives.

    Names that several assignments can reach stand for all of them, and parameters of functions that only this file
    calls for all that they are given.
    """
    return _Search(module).carries(node)


def is_drawn(module: Module, node: ast.expr) -> bool:
    """Whether a value is a draw from a continuous distribution, which is exactly zero with probability zero."""
    value = module.flow(node).value(node)
    while isinstance(value, ast.Call) and (op := tensor_op(module, value, "view", "reshape", "squeeze", "to")):
        value = module.flow(op.input).value(op.input)
    if isinstance(value, ast.Name) and value is node:
        given = [
            getattr(s, "value", None) for s in module.flow(node).stores(value.id) if s is not module.statement(node)
        ]
        return bool(given) and all(isinstance(v, ast.Call) and _DRAWS.search(last_part(v.func)) for v in given)
    if not isinstance(value, ast.Call):
        return False
    if last_part(value.func) in ("sample", "rsample") and isinstance(value.func, ast.Attribute):
        made = module.flow(value.func.value).value(value.func.value)
        return isinstance(made, ast.Call) and last_part(made.func) in _CONTINUOUS
    return _DRAWS.search(last_part(value.func)) is not None


class _Search:
    """One question, with the names that it has already asked about."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.asked: set[tuple[ast.AST, str]] = set()
        self.steps = 0

    def carries(self, node: ast.AST | None) -> bool:
        self.steps += 1
        if node is None or isinstance(node, (ast.Constant, ast.Compare, ast.JoinedStr, ast.Slice)):
            return False
        if self.steps > _MOST_STEPS or not isinstance(node, ast.expr):
            return True
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, (ast.FloorDiv, ast.Mod)):
                return False
            return self.carries(node.left) or self.carries(node.right)
        if isinstance(node, ast.UnaryOp):
            return not isinstance(node.op, ast.Not) and self.carries(node.operand)
        if isinstance(node, ast.IfExp):
            return self.carries(node.body) or self.carries(node.orelse)
        if isinstance(node, (ast.Tuple, ast.List)):
            return any(self.carries(e) for e in node.elts)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return self.carries(node.elt)
        if isinstance(node, (ast.Subscript, ast.Starred)):
            return self.carries(node.value)
        if constant(self.module, node) is not None:
            return False
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        return self._call(node) if isinstance(node, ast.Call) else True

    # -- attributes and calls ----------------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> bool:
        if node.attr in _PLAIN_PARTS or _NO_GRADIENT.search(node.attr) or _NUMBER.search(node.attr):
            return False
        if self.module.qualified(node) is not None or _SETTINGS.search(ast.unparse(node.value)):
            return False
        if not isinstance(node.value, ast.Name) or node.value.id != "self":
            return node.attr not in ("real", "imag", "T", "mT", "H", "values") or self.carries(node.value)
        cls = self.module.class_of(node)
        if cls is None or (cls, node.attr) in self.asked:
            return cls is None
        self.asked.add((cls, node.attr))
        if _is_buffer(self.module, cls, node.attr):
            return False
        made = self.module.self_attribute(cls, node.attr)
        return not isinstance(made, (ast.Call, ast.BinOp)) or self.carries(made)

    def _call(self, node: ast.Call) -> bool:
        func = node.func
        dotted = self.module.qualified(func)
        name = dotted or getattr(func, "attr", "") or str(getattr(func, "id", ""))
        last = name.rpartition(".")[2]
        op = tensor_op(self.module, node)
        if (op is not None and op.name in CUT) or (op is None and last in CUT):
            return False
        if _MADE.search(name):
            return any(k.arg == "requires_grad" for k in node.keywords)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if op is not None and op.form == "module":
            return self.carries(op.input)
        if dotted is not None:
            known = dotted.startswith(("torch.", "einops."))
            return not dotted.startswith(("numpy.", "math.")) and (
                dotted == "torch.nn.Parameter" or not known or any(self.carries(a) for a in arguments)
            )
        if isinstance(func, ast.Name) and func.id in ("len", "int", "float", "bool", "range", "round", "str"):
            return False
        if isinstance(func, ast.Name) and func.id in _PASSING:
            return any(self.carries(a) for a in arguments)
        function = callee(self.module, node)
        if function is not None:
            return self._called(node, function, arguments)
        if not isinstance(func, ast.Attribute) or getattr(func.value, "id", "") in ("self", "cls"):
            return True
        return self.carries(func.value) or (func.attr not in _LIKE and any(self.carries(a) for a in arguments))

    def _called(self, node: ast.Call, function: ast.FunctionDef, arguments: list[ast.expr]) -> bool:
        """Whether the result of a function of this file carries a gradient."""
        if (function, "()") in self.asked:
            return False
        self.asked.add((function, "()"))
        if any(getattr(d.func if isinstance(d, ast.Call) else d, "attr", "") in ("no_grad", "inference_mode")
               for d in function.decorator_list):  # fmt: skip
            return False
        values = returned(self.module, node)
        return not values or any(self.carries(v) for v in values)

    # -- names -------------------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> bool:
        if _NO_GRADIENT.search(node.id):
            return False
        module = self.module
        flow = module.flow(node)
        if any(_counts_to(module, read) for read in flow.loads.get(node.id, ())):
            return False
        inner = _bound_inside(module, node)
        if inner is not None:
            return self.carries(inner)
        changes = changes_in_place(module, node)
        definition = flow.definition(node)
        if definition is not None and definition.kind in ("assign", "unpack") and not changes:
            return self._once(definition.statement, node.id, _given_by(definition.statement, node.id))
        stores = flow.stores(node.id)
        function = flow.scope
        if not stores and node.id not in parameter_names(function):
            outer = module.parent(function) if function is not module.tree else None
            return outer is None or self._global(node)
        values: list[ast.AST | None] = [v for s in stores for v in _given_by(s, node.id)]
        values += [v for c in changes for v in _given_in_place(module, c)]
        if node.id in parameter_names(function) and self._parameter(function, node.id):
            return True
        return self._once(function, node.id, values)

    def _once(self, place: ast.AST, name: str, values: list[ast.AST | None]) -> bool:
        if (place, name) in self.asked:
            return False
        self.asked.add((place, name))
        return any(self.carries(v) for v in values)

    def _global(self, node: ast.Name) -> bool:
        """A name of the module's top level, or one that is not bound in the file."""
        top = self.module.flow(self.module.tree)
        values = [v for s in top.stores(node.id) for v in _given_by(s, node.id)]
        return not values or self._once(self.module.tree, node.id, values)

    def _parameter(self, function: ast.AST, name: str) -> bool:
        if (function, f"={name}") in self.asked:
            return False
        self.asked.add((function, f"={name}"))
        if _RAW_INPUT.search(name) or _SIZE.search(name):
            return False
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return True
        default = parameter_default(function, name)
        if isinstance(default, ast.Constant) and type(default.value) in (int, float):
            return False
        every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        annotation = next((a.annotation for a in every if a.arg == name), None)
        if annotation is not None and _NO_TENSOR.search(ast.unparse(annotation)):
            return False
        if not call_sites(self.module, function):
            return True
        return any(self.carries(v) for v in given(self.module, function, name))


def _counts_to(module: Module, read: ast.expr) -> bool:
    """Whether `range` or `arange` counts up to it, which makes it a whole number."""
    parent = module.parent(read)
    return isinstance(parent, ast.Call) and parent.func is not read and last_part(parent.func) in ("range", "arange")


def _is_buffer(module: Module, cls: ast.ClassDef, name: str) -> bool:
    """Whether the class registers `self.<name>` as a buffer."""
    if "register_buffer" not in module.text:
        return False
    calls = [n for n in walk(cls) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "register_buffer"]
    return any(c.args and isinstance(c.args[0], ast.Constant) and c.args[0].value == name for c in calls)


def _bound_inside(module: Module, node: ast.Name) -> ast.expr | None:
    """What a comprehension around `node` takes its name from."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            for generator in ancestor.generators:
                if any(isinstance(n, ast.Name) and n.id == node.id for n in walk(generator.target)):
                    return generator.iter
        if isinstance(ancestor, ast.stmt):
            return None
    return None


def _given_by(statement: ast.AST, name: str) -> list[ast.AST | None]:
    """What a statement binds to a name: itself, where that is no expression."""
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return [statement.iter]
    if isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        return [statement.value]
    if not isinstance(statement, ast.Assign):
        return [statement]
    for target in statement.targets:
        parallel = isinstance(target, (ast.Tuple, ast.List)) and isinstance(statement.value, (ast.Tuple, ast.List))
        if parallel and len(target.elts) == len(statement.value.elts):  # type: ignore[attr-defined]
            pairs = zip(target.elts, statement.value.elts, strict=True)  # type: ignore[attr-defined]
            return [v for t, v in pairs if mentions(t, name)]
    return [statement.value]


def _given_in_place(module: Module, change: ast.AST) -> list[ast.AST | None]:
    """What an operation in place writes into its tensor."""
    if isinstance(change, ast.Call):
        return [*change.args, *(k.value for k in change.keywords)]
    statement = module.statement(change)
    return [getattr(statement, "value", statement)]
