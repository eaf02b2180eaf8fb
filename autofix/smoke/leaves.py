"""Copies statements with every opaque part replaced by a named leaf: what is left runs with torch alone."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autofix.calls import autograd_function, callee
from autofix.ops import constant
from autofix.smoke.affected import Argument, argument
from autofix.smoke.constants import constant_source, is_self, resolve
from autofix.smoke.helpers import (
    Unopenable,
    autograd_source,
    carrier_source,
    helper_source,
    is_local,
    is_stored,
    method_source,
)
from autofix.smoke.naming import Leaf, words
from autofix.smoke.roles import CAST_METHODS, SHAPE_METHODS, TENSOR_ATTRIBUTES
from autofix.smoke.shapes import is_size
from autofix.smoke.slices import stores
from autofix.syntax import Module

RETURNED = "returned"
_LIBRARIES = ("torch", "math", "numpy")
_RANDOM = re.compile(
    r"^torch\.(rand|randn|randint|randperm|normal|bernoulli|poisson|multinomial|empty|rand_like|randn_like|empty_like|"
    r"randint_like|load|distributions\..*|cuda\..*|distributed\..*)$"
)
_PAIRS = frozenset("max min topk sort median kthvalue mode cummax cummin".split())
_TENSOR_METHODS = (
    SHAPE_METHODS
    | CAST_METHODS
    | words("""
    abs acos add add_ addcmul addcdiv addmm all amax amin any argmax argmin argsort asin atan baddbmm bmm ceil
    chunk clamp clamp_ clamp_min clamp_min_ clamp_max clamp_max_ clip clip_ clone copy_ cos cosh cross cummax
    cumprod cumsum det diag diagonal diff dim div div_ dot eq equal erf erfc exp exp_ exp2 expm1 fill_
    fill_diagonal_ flip floor fmod frac gather ge gt index_add index_copy index_fill index_select inverse
    isfinite isinf isnan item kron le lerp lgamma log log_ log10 log1p log2 log_softmax logaddexp logcumsumexp
    logdet logical_and logical_not logical_or logical_xor logit logsumexp lt masked_fill masked_fill_
    masked_scatter masked_select matmul max maximum mean median min minimum mm mul mul_ multiply mv nan_to_num
    nansum ne neg new_empty new_full new_ones new_tensor new_zeros nonzero norm numel outer pow pow_ prod
    quantile reciprocal relu remainder renorm roll round rsqrt rsub scatter scatter_ scatter_add scatter_add_
    select sigmoid sign sin size slogdet softmax sort split sqrt sqrt_ square std stride sub sub_ subtract sum
    tan tanh take take_along_dim tolist topk trace tril triu true_divide trunc var var_mean where xlogy zero_
    eq_ ne_ cpu cuda requires_grad_ clone detach detach_ bitwise_not bitwise_and bitwise_or float_power
    softplus logsigmoid special_expit is_floating_point new stft
""")
)
_IDENTITY_METHODS = frozenset(("cuda", "cpu"))
_BUILTINS = words("""
    len range int float bool max min sum abs round isinstance tuple list dict set zip enumerate slice sorted
    reversed any all map pow divmod type hasattr True False None str print
""")
_MODULES = re.compile(
    r"^torch\.nn\.(Softmax|LogSoftmax|Sigmoid|LogSigmoid|Tanh|ReLU|ReLU6|GELU|ELU|SELU|SiLU|Softplus|LeakyReLU|"
    r"Softmax2d|Hardtanh|Softmin|Identity|\w*Loss\w*)$"
)
_DROPOUTS = re.compile(r"^torch\.nn\.(Dropout\w*|AlphaDropout|FeatureAlphaDropout|Identity)$")
_DROPPING = re.compile(r"^torch(\.nn\.functional)?\.(\w*_)?dropout\w*$")
_DROPOUT_NAMES = re.compile(r"(^|_)(drop|dropout)(_|$)|dropout\d*$")
_ALONE = re.compile(r"^torch\.distributed\.(is_initialized|is_available|is_torchelastic_launched)$")


class Opener:
    """Opens the statements of one file. Leaves are shared between the original and the patched file by their text."""

    def __init__(
        self,
        module: Module,
        leaves: dict[str, Leaf],
        helpers: dict[str, str],
        wrap: tuple[str, Callable[[ast.expr], ast.expr]] | None = None,
        whole: frozenset[str] = frozenset(),
        through: Mapping[str, Argument] | None = None,
        methods: bool = False,
        carrier: str = "",
    ) -> None:
        self.module = module
        self.leaves = leaves  # by text
        self.helpers = helpers  # source of constants and small functions of the module, by name
        self.bound: set[str] = set()
        self.used: set[str] = set()  # names of the leaves that the statements opened so far read
        self.wrap = wrap
        self.through = through or {}  # texts of opaque calls that stand for one of their arguments
        self.methods = methods  # whether short methods of the class are run, not leaves
        self.carrier = carrier  # what attaches a loss to what it hands on: a class of another file, a method
        self.whole = whole  # texts of chains of shape operations that are leaves as they stand

    def inside(self, names: set[str], share: bool = False) -> Opener:
        """For the body of a function of the same file that binds `names`; it has leaves of its own, unless they are
        shared (a method's attributes of `self` are those of its caller)."""
        inner = Opener(self.module, self.leaves if share else {}, self.helpers, carrier=self.carrier)
        inner.bound = names
        return inner

    def read(self) -> set[str]:
        """The texts of the leaves that the statements opened so far read."""
        return {text for text, leaf in self.leaves.items() if leaf.name in self.used}

    # -- statements --------------------------------------------------------------------------------------------

    def open(self, statements: Sequence[ast.stmt], result: bool = True) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for statement in statements:
            out.extend(self._statement(statement, result))
        return out

    def _statement(self, node: ast.stmt, result: bool) -> list[ast.stmt]:
        if isinstance(node, (ast.Return, ast.Expr)):
            value = node.value
            if isinstance(value, (ast.Yield, ast.YieldFrom, ast.Await)):
                value = value.value
            if value is None or (isinstance(value, ast.Constant) and isinstance(node, ast.Expr)):
                return []
            if isinstance(node, ast.Return):
                return [self._bind(RETURNED, self.expression(value))]
            appended = _appended(value)
            if appended is not None and not (isinstance(appended[0], ast.Name) and appended[0].id in self.bound):
                return [self._bind(RETURNED, self.expression(appended[1]))]
            opened = self.expression(value)
            if _changes_in_place(value) or appended is not None:
                return [ast.Expr(opened)]
            return [self._bind(RETURNED, opened)] if result else []
        if isinstance(node, (ast.If, ast.While)):
            return [self._branch(node, result)]
        if isinstance(node, (ast.Assert, ast.Raise, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.Delete)):
            return [ast.Pass()] if isinstance(node, ast.Raise) else []
        if isinstance(node, (ast.Break, ast.Continue, ast.Pass)):
            return [node]
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self.open(node.body, result)
        if isinstance(node, ast.Try):
            return self.open([*node.body, *node.orelse, *node.finalbody], result)
        if isinstance(node, ast.For):
            return [self._loop(node, result)]
        if isinstance(node, ast.Assign):
            known = set(self.leaves)
            value = self.expression(node.value)
            if self._is_result(node, value):
                return self._results(node.targets[0], ast.unparse(node.value), known)  # type: ignore[arg-type]
            return [ast.Assign([self._target(t) for t in node.targets], value)]
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            value = self.expression(node.value)
            return [ast.Assign([self._target(node.target)], value)]
        if isinstance(node, ast.AugAssign):
            value = self.expression(node.value)
            self.expression(node.target)
            return [ast.AugAssign(self._target(node.target), node.op, value)]  # type: ignore[arg-type]
        raise Unopenable(f"{type(node).__name__} statements are not executed out of their place")

    def _is_result(self, node: ast.Assign, value: ast.expr) -> bool:
        """Whether several names are bound to the results of one opaque call."""
        text = ast.unparse(node.value)
        opaque = isinstance(node.value, ast.Call) and isinstance(value, ast.Name) and text in self.leaves
        return opaque and len(node.targets) == 1 and _only_names(node.targets[0])

    def _results(self, target: ast.Tuple, text: str, known: set[str]) -> list[ast.stmt]:
        """Each result as a leaf of its own, named as what it is bound to: `loss, num_tokens = f(x)`."""
        if text not in known:
            self.used.discard(self.leaves.pop(text).name)
        out: list[ast.stmt] = []
        for place, part in enumerate(target.elts):
            one = f"{text}[{place}]"
            if isinstance(part, ast.Tuple):
                out += self._results(part, one, {one})
            elif isinstance(part, ast.Name) and part.id != "_":
                leaf = self.leaves.get(one) or Leaf(self._identifier(f"{part.id}_result"), one, known_as=part.id)
                self.leaves[one] = leaf
                self.used.add(leaf.name)
                out.append(self._bind(part.id, ast.Name(leaf.name, ast.Load())))
        return out

    def _branch(self, node: ast.If | ast.While, result: bool) -> ast.stmt:
        test = self.expression(node.test)
        body = self.open(node.body, result) or [ast.Pass()]
        orelse = self.open(node.orelse, result)
        return type(node)(test, body, orelse)

    def _loop(self, node: ast.For, result: bool) -> ast.stmt:
        iterable = self.expression(node.iter)
        target = self._target(node.target)
        body = self.open(node.body, result) or [ast.Pass()]
        return ast.For(target, iterable, body, self.open(node.orelse, result))

    def _bind(self, name: str, value: ast.expr) -> ast.stmt:
        self.bound.add(name)
        return ast.Assign([ast.Name(name, ast.Store())], value)

    def _target(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            self.bound.add(node.id)
            return ast.Name(node.id, ast.Store())
        if isinstance(node, (ast.Tuple, ast.List)):
            return type(node)([self._target(e) for e in node.elts], ast.Store())
        if isinstance(node, ast.Starred):
            return ast.Starred(self._target(node.value), ast.Store())
        if isinstance(node, ast.Subscript):
            return ast.Subscript(self.expression(node.value), self.expression(node.slice), ast.Store())
        if isinstance(node, ast.Attribute) and node.attr in ("requires_grad", "grad"):
            return ast.Name("_", ast.Store())
        if isinstance(node, ast.Attribute):
            leaf = self._leaf(node)
            self.bound.add(leaf.id)
            return ast.Name(leaf.id, ast.Store())
        raise Unopenable(f"cannot bind {ast.unparse(node)}")

    # -- expressions -------------------------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> ast.expr:
        opened = self._expression(node)
        if self.wrap is not None and isinstance(node, ast.expr) and not isinstance(node, ast.Slice):
            text, wrap = self.wrap
            if ast.unparse(node) == text:
                return wrap(opened)
        return opened

    def _expression(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.NamedExpr):
            value = self.expression(node.value)
            self.bound.add(node.target.id)
            return ast.NamedExpr(ast.Name(node.target.id, ast.Store()), value)
        if isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom)):
            return self._leaf(node)
        if isinstance(node, ast.Lambda):
            return self._lambda(node)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            return self._comprehension(node)
        return self._copy(node)

    def _copy(self, node: ast.expr) -> ast.expr:
        fields: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                fields[name] = self.expression(value)
            elif isinstance(value, list):
                fields[name] = [self.expression(v) if isinstance(v, ast.expr) else v for v in value]
            else:
                fields[name] = value
        return type(node)(**fields)

    def _lambda(self, node: ast.Lambda) -> ast.expr:
        own = {a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]}
        added = own - self.bound
        self.bound |= added
        body = self.expression(node.body)
        self.bound -= added
        return ast.Lambda(node.args, body)

    def _comprehension(self, node: ast.expr) -> ast.expr:
        generators = []
        before = set(self.bound)
        for generator in node.generators:  # type: ignore[attr-defined]
            iterable = self.expression(generator.iter)
            target = self._target(generator.target)
            tests = [self.expression(t) for t in generator.ifs]
            generators.append(ast.comprehension(target, iterable, tests, 0))
        if isinstance(node, ast.DictComp):
            out: ast.expr = ast.DictComp(self.expression(node.key), self.expression(node.value), generators)
        else:
            out = type(node)(self.expression(node.elt), generators)  # type: ignore[attr-defined,call-arg,arg-type]
        self.bound = before
        return out

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id in self.bound:
            return ast.Name(node.id, ast.Load())
        library = self._library(node)
        if library is not None:
            return library
        if node.id in _BUILTINS and not is_stored(self.module, node):
            return ast.Name(node.id, ast.Load())
        if self._helper(node):
            return ast.Name(node.id, ast.Load())
        return self._leaf(node)

    def _library(self, node: ast.expr) -> ast.expr | None:
        """A name of torch, math or numpy in full, so that the imports of the file do not matter."""
        parts: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            parts.append(root.attr)
            root = root.value
        if not isinstance(root, ast.Name) or root.id in self.bound:
            return None
        path = self.module.names.lookup(root.id, root)
        if path is None or path.partition(".")[0] not in _LIBRARIES:
            return None
        dotted = ".".join([path, *reversed(parts)])
        return ast.parse(dotted, mode="eval").body

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        library = self._library(node)
        if library is not None:
            return library
        root = _root(node)
        known = isinstance(root, ast.Name) and root.id in self.bound
        if node.attr in ("dtype", "device") and not known:
            leaf = self._leaf(node)
            self.leaves[ast.unparse(node)].roles = [node.attr]
            return leaf
        if node.attr in TENSOR_ATTRIBUTES or isinstance(node.value, (ast.Call, ast.Subscript)):
            return ast.Attribute(self.expression(node.value), node.attr, ast.Load())
        text = ast.unparse(node)
        if isinstance(node.value, ast.Name) and known and text not in self.leaves and node.value.id != "self":
            return ast.Attribute(self.expression(node.value), node.attr, ast.Load())
        return self._leaf(node)

    def _call(self, node: ast.Call) -> ast.expr:
        text = ast.unparse(node)
        if text in self.through:
            return self.expression(argument(node, self.through[text]))
        if text in self.whole:
            return self._leaf(node)
        func = node.func
        if any(isinstance(a, ast.Starred) for a in node.args) and not isinstance(func, ast.Attribute):
            return self._leaf(node)
        library = self._library(func)
        if library is not None:
            dotted = ast.unparse(library)
            if _ALONE.match(dotted):
                return ast.Constant(False)
            if _DROPPING.match(dotted) and node.args:
                return self.expression(node.args[0])  # as in evaluation: what it drops is chance
            if _RANDOM.match(dotted):
                return self._leaf(node)
            return self._arguments(node, library)
        if self._is_dropout(func) and len(node.args) == 1:
            return self.expression(node.args[0])
        if isinstance(func, ast.Name):
            if func.id in self.bound:
                return self._arguments(node, ast.Name(func.id, ast.Load()))
            if (func.id in _BUILTINS and not is_stored(self.module, func)) or self._helper(func):
                return self._arguments(node, ast.Name(func.id, ast.Load()))
            return self._leaf(node)
        if isinstance(func, ast.Attribute):
            if func.attr == "apply" and isinstance(func.value, ast.Name) and self._autograd(func.value):
                return self._arguments(node, ast.Attribute(ast.Name(func.value.id, ast.Load()), "apply", ast.Load()))
            if is_self(func.value) and (self.methods or ast.unparse(func) == self.carrier):
                name = self._method(node)
                if name is not None:
                    return self._arguments(node, ast.Name(name, ast.Load()))
            maker = self._submodule(func)
            if maker is not None:
                return self._arguments(node, maker) if isinstance(maker, ast.Call) else self.expression(node.args[0])
            if func.attr == "append" and isinstance(func.value, ast.Name) and func.value.id in self.bound:
                return self._arguments(node, ast.Attribute(ast.Name(func.value.id, ast.Load()), "append", ast.Load()))
            if func.attr in _TENSOR_METHODS and not is_self(func.value):
                receiver = self.expression(func.value)
                if func.attr in _IDENTITY_METHODS:
                    return receiver
                return self._arguments(node, ast.Attribute(receiver, func.attr, ast.Load()))
            return self._leaf(node)
        if isinstance(func, ast.Call):
            inner = self._library(func.func)
            if inner is not None and ast.unparse(inner).startswith("torch.nn."):
                return self._arguments(node, self._arguments(func, inner))
        return self._leaf(node)

    def _is_dropout(self, func: ast.expr) -> bool:
        """Whether a callable that the file does not define is named as a dropout."""
        if isinstance(func, ast.Attribute):
            return is_self(func.value) and bool(_DROPOUT_NAMES.search(func.attr))
        return isinstance(func, ast.Name) and func.id not in self.bound and bool(_DROPOUT_NAMES.search(func.id))

    def _arguments(self, node: ast.Call, func: ast.expr) -> ast.Call:
        args = [self.expression(a) for a in node.args]
        keywords = [ast.keyword(k.arg, self.expression(k.value)) for k in node.keywords]
        return ast.Call(func, args, keywords)

    def _submodule(self, func: ast.Attribute) -> ast.expr | None:
        """`nn.Softmax(dim=-1)` for `self.softmax`; the name `x` itself for one that changes nothing."""
        if not is_self(func.value):
            return None
        cls = self.module.class_of(func)
        made = self.module.self_attribute(cls, func.attr) if cls is not None else None
        if not isinstance(made, ast.Call):
            return None
        library = self._library(made.func)
        dotted = ast.unparse(library) if library is not None else ""
        if _DROPOUTS.match(dotted):
            return ast.Name(RETURNED, ast.Load())
        simple = all(constant(self.module, a) is not None or isinstance(a, ast.Constant) for a in
                     [*made.args, *(k.value for k in made.keywords)])  # fmt: skip
        if library is not None and _MODULES.match(dotted) and simple:
            return self._arguments(made, library)
        return None

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node) in self.whole:
            return self._leaf(node)
        root = _root(node.value)
        known = isinstance(root, ast.Name) and root.id in self.bound
        index = node.slice
        if not known and isinstance(index, ast.Constant) and isinstance(index.value, (str, int)):
            if is_size(node.value):
                return ast.Subscript(self.expression(node.value), self.expression(index), ast.Load())
            if not (isinstance(node.value, ast.Call) and self._is_of_torch(node.value.func)):
                return self._leaf(node)
        return ast.Subscript(self.expression(node.value), self.expression(index), ast.Load())

    def _is_of_torch(self, func: ast.expr) -> bool:
        """Whether a call that is subscripted gives values and indices, or is of torch or another library."""
        pair = isinstance(func, ast.Attribute) and func.attr in _PAIRS and not is_self(func.value)
        return pair or self._library(func) is not None

    # -- leaves ------------------------------------------------------------------------------------------------

    def _leaf(self, node: ast.expr) -> ast.Name:
        text = ast.unparse(node)
        leaf = self.leaves.get(text)
        if leaf is None:
            leaf = Leaf(self._identifier(text), text)
            resolve(self.module, node, leaf)
            self.leaves[text] = leaf
        self.used.add(leaf.name)
        return ast.Name(leaf.name, ast.Load())

    def _identifier(self, text: str) -> str:
        taken = {leaf.name for leaf in self.leaves.values()}
        if text.isidentifier() and text not in taken:
            return text
        base = re.sub(r"\W+", "_", text).strip("_")[:40].rstrip("_") or "leaf"
        if not base.isidentifier():
            base = "leaf_" + base
        name, count = base, 2
        while name in taken or name in self.bound or name in dir(builtins):
            name, count = f"{base}_{count}", count + 1
        return name

    def _autograd(self, node: ast.Name) -> bool:
        """Whether the name is an autograd function of this file that runs with torch alone; its source is then kept."""
        if node.id in self.helpers:
            return True
        if node.id == self.carrier:
            self.helpers[node.id] = carrier_source(node.id)
            return True
        cls = autograd_function(self.module, node)
        if cls is None:
            return False
        self.helpers[node.id] = autograd_source(cls)
        return True

    def _method(self, node: ast.Call) -> str | None:
        """The name under which a short method of this class is kept, where it needs torch and attributes alone."""
        method = callee(self.module, node)
        if method is None or not isinstance(node.func, ast.Attribute) or method.name != node.func.attr:
            return None
        name = f"self_{method.name}"
        if name not in self.helpers:
            known = set(self.leaves)
            source = method_source(method, name, self)
            if source is None:
                for text in self.leaves.keys() - known:
                    del self.leaves[text]
                return None
            self.helpers[name] = source
        return name

    def _helper(self, node: ast.Name) -> bool:
        """Whether the name is a constant or a small pure function of this file; its source is then kept."""
        if node.id in self.helpers:
            return True
        found = [
            s
            for s in self.module.tree.body
            if (isinstance(s, ast.FunctionDef) and s.name == node.id)
            or (isinstance(s, (ast.Assign, ast.AnnAssign)) and node.id in stores([s]))
        ]
        if len(found) != 1 or is_local(self.module, node):
            return False
        statement = found[0]
        if isinstance(statement, ast.FunctionDef):
            source = helper_source(statement, self)
        else:
            source = constant_source(self.module, statement, node.id)
        if source is None:
            return False
        self.helpers[node.id] = source
        return True


def _only_names(target: ast.expr) -> bool:
    if not isinstance(target, ast.Tuple):
        return False
    return all(isinstance(e, ast.Name) or _only_names(e) for e in target.elts)


def _root(node: ast.expr) -> ast.expr:
    while True:
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return node


def _appended(value: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The list and the value of `losses.append(value)`."""
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and len(value.args) == 1):
        return None
    return (value.func.value, value.args[0]) if value.func.attr == "append" else None


def _changes_in_place(value: ast.expr) -> bool:
    attribute = value.func.attr if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else ""
    return attribute.endswith("_") and not attribute.endswith("__")
