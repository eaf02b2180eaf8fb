"""What an opaque leaf is: tensor, mask, index, dimension, number, and over which domain.

In order: how it is used, what constants say, the mathematics around it, and its name last (then the domain is an
assumption that is stated with the evidence).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence

from autofix.smoke.naming import Leaf, assume_domain, is_eps, is_target, roles_by_name, words

# Methods and attributes that only rearrange a tensor, or say something about it.
SHAPE_METHODS = words("""
    unsqueeze squeeze view reshape permute transpose contiguous expand expand_as repeat flatten unflatten
    swapaxes swapdims movedim narrow t mT view_as reshape_as broadcast_to repeat_interleave tile unbind detach
    clone
""")
CAST_METHODS = words("to float double half bfloat16 bool int long type type_as byte")
TENSOR_ATTRIBUTES = words("shape dtype device T mT H ndim data requires_grad grad is_cuda real imag")

_NAMELESS = re.compile(r"\(|\[-?\d+\]$")  # what is said of it, its new name says: an opaque call, the second of a list
_ITEM = re.compile(r"\[-?\d+\]$")  # one of several: what `nonzero(as_tuple=True)` gives
_MASK_OPERATIONS = words("masked_fill masked_fill_ masked_select masked_scatter masked_scatter_")
_INDEX_OPERATIONS = {
    "gather": 1, "index_select": 1, "scatter": 1, "scatter_": 1, "scatter_add": 1, "scatter_add_": 1, "index_add": 1,
    "index_add_": 1, "index_fill": 1, "index_copy": 1, "scatter_reduce": 1, "take_along_dim": 0, "take": 0,
}  # fmt: skip
_COMPARISONS: dict[str, type[ast.cmpop]] = {
    "ne": ast.NotEq, "gt": ast.Gt, "ge": ast.GtE, "lt": ast.Lt, "le": ast.LtE,
}  # fmt: skip
_TARGET_FUNCTIONS = words("cross_entropy nll_loss")
_SIZE_METHODS = words("size dim numel stride ndimension element_size")
_COUNTING = words("sum any all nonzero")
_SIZES = words("""
    view reshape expand repeat zeros ones full empty arange range new_zeros new_ones new_full tile
    repeat_interleave split chunk topk eye linspace narrow
""")  # fmt: skip


class Usage:
    """Reads how leaves are used in statements whose leaves are plain names."""

    def __init__(self, leaves: Mapping[str, Leaf], statements: Sequence[ast.stmt]) -> None:
        self.leaves = leaves
        self.definitions: dict[str, list[ast.expr]] = {}
        self.found: dict[str, list[str]] = {n: [] for n in leaves}
        self.domains: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.optional: set[str] = set()
        self.weighed: set[str] = set()  # leaves that probabilities are multiplied by
        self.marks: dict[str, int] = {}
        self.exponents: set[str] = set()
        self.bound_to: dict[str, str] = {}  # the names that hold leaves as they are
        for statement in statements:
            self._define(statement)
        for statement in statements:
            for node in ast.walk(statement):
                self._read(node)

    def _define(self, statement: ast.stmt) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self.definitions.setdefault(target.id, []).append(node.value)
                        self._bind(target.id, node.value)
                    elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                        for one, value in zip(target.elts, node.value.elts, strict=False):
                            if isinstance(one, ast.Name) and not isinstance(value, ast.Starred):
                                self._bind(one.id, value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                self.definitions.setdefault(node.target.id, []).append(node.value)

    def _bind(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Name) and value.id in self.found:
            self.bound_to.setdefault(value.id, name)

    # -- what a use asks for -----------------------------------------------------------------------------------

    def require(self, node: ast.AST | None, role: str, depth: int = 0) -> None:
        """`node` is used as `role`: pass that on to the leaves it comes from."""
        if node is None or depth > 8:
            return
        if isinstance(node, ast.Name):
            if node.id in self.found:
                if role not in self.found[node.id]:
                    self.found[node.id].append(role)
                return
            for value in self.definitions.get(node.id, []):
                self.require(value, role, depth + 1)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name in SHAPE_METHODS or (role in ("float", "index") and name in CAST_METHODS):
                self.require(node.func.value, role, depth + 1)
            elif name in CAST_METHODS and role == "bool":
                self.require(node.func.value, "binary", depth + 1)
        elif isinstance(node, ast.Subscript):
            self.require(node.value, role, depth + 1)
        elif isinstance(node, ast.UnaryOp):
            self.require(node.operand, role, depth + 1)
        elif isinstance(node, ast.BinOp) and role in ("bool", "binary"):
            for part in (node.left, node.right):
                if isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Mult)):
                    self.require(part, role, depth + 1)
                if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
                    self.require(part, "binary", depth + 1)
        elif isinstance(node, ast.BinOp) and role == "int":
            self.require(node.left, role, depth + 1)
            self.require(node.right, role, depth + 1)
        elif isinstance(node, ast.Compare) and role == "bool" and len(node.ops) == 1:
            number = _number(node.comparators[0])
            if number == 0 and isinstance(node.ops[0], (ast.GtE, ast.Lt, ast.LtE)):
                self.require(node.left, "float", depth + 1)  # which sign it has: `x >= 0` holds for all of a mask
            elif number is not None:
                self.require(node.left, "binary", depth + 1)
        elif isinstance(node, ast.IfExp):
            self.require(node.body, role, depth + 1)
            self.require(node.orelse, role, depth + 1)
        elif isinstance(node, ast.BoolOp) and role in ("dtype", "device"):
            for part in node.values:  # `dtype=self.precision or torch.float32`
                self.require(part, role, depth + 1)

    def _read(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._read_call(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            self.require(node.operand, "bool")
        elif isinstance(node, ast.BinOp):
            self._read_operation(node)
        elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
            self._read_test(node.test)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            if isinstance(node.left, ast.Name) and node.left.id in self.found:
                self.optional.add(node.left.id)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            self._mark(node.left, type(node.ops[0]), node.comparators[0])
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                self._read_test(value)
        elif isinstance(node, ast.Subscript):
            self._read_index(node)
        elif isinstance(node, ast.Assign):
            self._read_unpacking(node)
        elif isinstance(node, ast.Attribute) and node.attr in ("shape", "T", "mT", "ndim", "dtype"):
            self._shaped(node.value)

    def _mark(self, node: ast.AST, op: type[ast.cmpop], other: ast.AST) -> None:
        """`labels != -100`: the number that marks what is left out, should `labels` hold whole numbers."""
        number = _number(other)
        if number is None and isinstance(other, ast.Name) and other.id in self.found:
            value = self.leaves[other.id].value
            number = float(value) if isinstance(value, (int, float)) else None
        while isinstance(node, (ast.Subscript, ast.Call)):
            func = getattr(node, "func", None)
            if isinstance(node, ast.Call) and not (isinstance(func, ast.Attribute) and func.attr in SHAPE_METHODS):
                return
            node = node.value if isinstance(node, ast.Subscript) else func.value  # type: ignore[union-attr]
        if isinstance(node, ast.Name) and node.id not in self.found:
            values = self.definitions.get(node.id, [])
            if len(values) == 1 and not isinstance(values[0], ast.Compare):
                self._mark(values[0], op, other)
        elif isinstance(node, ast.Name) and number is not None and number.is_integer():
            left_out = {ast.NotEq: 0, ast.Gt: 0, ast.GtE: -1, ast.Lt: 0, ast.LtE: 1}.get(op)
            if left_out is not None:
                self.marks[node.id] = int(number) + left_out

    def _read_test(self, test: ast.expr) -> None:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test = test.operand
        if isinstance(test, ast.Name):
            self.require(test, "flag")

    def _read_call(self, node: ast.Call) -> None:
        func = node.func
        name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        method = isinstance(func, ast.Attribute) and not _is_library(func.value)
        args = node.args if method else node.args[1:]
        keywords = {k.arg: k.value for k in node.keywords if k.arg}
        first = func.value if isinstance(func, ast.Attribute) and method else (node.args[0] if node.args else None)
        if name in _MASK_OPERATIONS:
            self.require(args[0] if args else keywords.get("mask"), "bool")
            self.require(first, "float")
        elif name == "where" and len(node.args) >= 2:
            condition = node.args[0]
            self.require(condition, "bool")
        elif name in _INDEX_OPERATIONS:
            at = _INDEX_OPERATIONS[name]
            self.require(args[at] if len(args) > at else keywords.get("index"), "index")
        elif name in _TARGET_FUNCTIONS:
            self.require(node.args[1] if len(node.args) > 1 else keywords.get("target"), "index")
        elif (name == "one_hot" and node.args) or (name == "embedding" and node.args):
            self.require(node.args[0], "index")
        elif name in ("logical_not", "logical_and", "logical_or") and first is not None:
            self.require(first, "bool")
        if name in _COMPARISONS and args:
            self._mark(first, _COMPARISONS[name], args[0])  # type: ignore[arg-type]
        if name in _SIZES:
            for value in args if method else node.args:
                for part in value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]:
                    if isinstance(part, (ast.Name, ast.BinOp)):
                        self.require(part, "int")
        for key, value in keywords.items():
            if key in ("dim", "axis"):
                self.require(value, "dim")
            elif key == "ignore_index":
                self.require(value, "int")
            elif key in ("keepdim", "keepdims", "largest", "sorted", "descending"):
                self.require(value, "flag")
            elif key in ("dtype", "device"):
                self.require(value, key)
            elif key in ("min", "max", "eps", "alpha", "beta", "value") and name.startswith(("clamp", "clip", "norm")):
                self.require(value, "scalar")
        if name in ("softmax", "log_softmax", "sum", "mean", "cumsum", "logsumexp", "amax", "amin") and args:
            self.require(args[0], "dim")
        if name == "einsum" and node.args:
            self._read_einsum(node)
        if method and name == "expand" and len(args) > 1:
            self._expanded(first, len(args))
        if method and name in _SIZE_METHODS:
            self._shaped(first)  # type: ignore[arg-type]
        elif method and name not in SHAPE_METHODS and name not in CAST_METHODS and name not in _MASK_OPERATIONS:
            self._receiver(first, name)
        self._read_domain(name, first, node)

    def _receiver(self, node: ast.AST | None, method: str) -> None:
        """`x.clamp(0)`: x is a tensor of numbers, unless masks are counted in the same way."""
        leaf = self._leaf_of(node) if method not in _COUNTING and node is not None else None
        if leaf is not None and not self.found[leaf.name]:
            self.found[leaf.name].append("float")

    def _shaped(self, node: ast.AST) -> None:
        """`x.shape`: no number, whatever its name says."""
        known = isinstance(node, ast.Name) and node.id in self.found
        if known and roles_by_name(self.leaves[node.id])[0] in ("int", "scalar", "flag"):  # type: ignore[attr-defined]
            self._receiver(node, "shape")

    def _expanded(self, node: ast.AST | None, rank: int) -> None:
        """`mask.unsqueeze(1).expand(b, n, length)`: a mask of two dimensions."""
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "unsqueeze":
            node, rank = node.func.value, rank - 1
        if node is not None and rank > 0:
            self._rank(node, rank)

    def _read_einsum(self, node: ast.Call) -> None:
        """The subscripts say how many dimensions each operand has, and which sizes agree."""
        equation = node.args[0]
        if not (isinstance(equation, ast.Constant) and isinstance(equation.value, str)):
            return
        terms = equation.value.replace(" ", "").partition("->")[0].split(",")
        for letter in "".join(terms).replace("...", ""):
            self.sizes.setdefault(letter, (2, 3, 5, 7, 4, 6)[len(self.sizes) % 6])
        for term, operand in zip(terms, node.args[1:], strict=False):
            leaf = self._leaf_of(operand)
            if leaf is None:
                continue
            before, dots, behind = term.partition("...")
            leaf.shape = [self.sizes[x] for x in before] + [2] * bool(dots) + [self.sizes[x] for x in behind]
            leaf.rank = None if dots else len(leaf.shape)

    def _leaf_of(self, node: ast.AST, depth: int = 0) -> Leaf | None:
        """The leaf that a name stands for, through plain assignments (the last of several)."""
        if not isinstance(node, ast.Name):
            return None
        if node.id in self.found:
            return self.leaves[node.id]
        values = self.definitions.get(node.id, [])
        return self._leaf_of(values[-1], depth + 1) if values and depth < 4 else None

    def _read_domain(self, name: str, first: ast.AST | None, node: ast.Call) -> None:
        value = node.args[0] if node.args and _is_library(getattr(node.func, "value", None)) else first
        if name in ("log", "log2", "log10", "sqrt", "rsqrt") and _module_of(node) in ("math", "np", "numpy"):
            self.require(value, "scalar")
        elif name in ("log", "log2", "log10", "log1p"):
            if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub) and _number(value.left) == 1:
                self._domain(value.right, "probability")
            else:
                self._domain(value, "positive")
        elif name in ("exp", "expm1", "exp2") and isinstance(value, ast.Name):
            self.exponents.add(value.id)
        elif name in ("sqrt", "rsqrt", "lgamma", "digamma"):
            self._domain(value, "positive")
        elif name in ("binary_cross_entropy", "atanh_of_probability", "logit", "bernoulli"):
            self._domain(value, "probability")
            if name == "binary_cross_entropy" and len(node.args) > 1:
                self._domain(node.args[1], "probability")
        elif len(node.args) > 1 and self._is_binary_loss(node.func):
            self._domain(node.args[1], "probability")
        elif name in ("acos", "asin", "atanh", "arccos", "arcsin", "arctanh"):
            self._domain(value, "correlation")
        elif name in ("det", "logdet", "slogdet", "cholesky", "inverse", "inv"):
            self._domain(value, "spd")

    def _is_binary_loss(self, func: ast.expr) -> bool:
        """`nn.BCELoss()`, or a name bound to one."""
        if isinstance(func, ast.Name):
            values = self.definitions.get(func.id, [])
            return len(values) == 1 and isinstance(values[0], ast.Call) and self._is_binary_loss(values[0])
        return isinstance(func, ast.Call) and ast.unparse(func.func).endswith("BCELoss")

    def _domain(self, node: ast.AST | None, domain: str, depth: int = 0) -> None:
        if isinstance(node, ast.Name):
            if node.id in self.found:
                # A probability is positive: the narrower reading wins.
                if self.domains.get(node.id) != "probability":
                    self.domains[node.id] = domain
                return
            values = self.definitions.get(node.id, [])
            if len(values) == 1 and depth < 4 and isinstance(values[0], (ast.Name, ast.Subscript)):
                self._domain(values[0], domain, depth + 1)
        elif isinstance(node, ast.Subscript):
            self._domain(node.value, domain, depth + 1)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and depth < 4:
            if node.func.attr in SHAPE_METHODS or node.func.attr in CAST_METHODS:
                self._domain(node.func.value, domain, depth + 1)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and depth < 4:
            small = _number(node.right)
            if small is not None and 0 < small < 1e-2:
                self._domain(node.left, domain, depth + 1)

    def _read_operation(self, node: ast.BinOp) -> None:
        if isinstance(node.op, (ast.BitOr, ast.BitAnd)):
            self.require(node.left, "bool")
            self.require(node.right, "bool")
        if isinstance(node.op, ast.Mult):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                constant = _number(other)
                large = _is_minimum(other) or (constant is not None and constant <= -100)
                if large:
                    part = one
                    if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Sub):
                        part = one.right if _number(one.left) is not None else one.left
                    self.require(part, "binary")
        if isinstance(node.op, ast.Mult):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, ast.Name) and one.id in self.found and self._is_probability(other):
                    self.weighed.add(one.id)
        if isinstance(node.op, ast.Add):
            self._read_mixture(node)

    def _is_probability(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether it is the result of a sigmoid or softmax."""
        if isinstance(node, ast.Name):
            values = self.definitions.get(node.id, [])
            return depth < 4 and len(values) == 1 and self._is_probability(values[0], depth + 1)
        if not isinstance(node, ast.Call):
            return False
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SHAPE_METHODS and isinstance(node.func, ast.Attribute):
            return self._is_probability(node.func.value, depth + 1)
        return name in ("sigmoid", "softmax")

    def _read_mixture(self, node: ast.BinOp) -> None:
        """`x * a + (1 - x) * b`: x is 0 or 1, or a share."""
        for part in (node.left, node.right):
            if not (isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult)):
                continue
            for factor in (part.left, part.right):
                if isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Sub) and _number(factor.left) == 1:
                    name = factor.right
                    other = node.right if part is node.left else node.left
                    if isinstance(name, ast.Name) and name.id in loaded(other):
                        self.require(name, "binary")

    def _read_index(self, node: ast.Subscript) -> None:
        index = node.slice
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if isinstance(node.ctx, ast.Store) and len(parts) == 1:
            self.require(parts[0], "bool")
        if len(parts) > 1:
            for part in parts:
                if isinstance(part, ast.Name):
                    self.require(part, "index")
                    self._rank(part, 1)
        for part in parts:
            if isinstance(part, ast.Slice):
                for bound in (part.lower, part.upper):
                    self.require(bound, "int")
            elif isinstance(part, (ast.Compare, ast.UnaryOp)):
                self.require(part, "bool")
            elif isinstance(part, ast.Name) and isinstance(node.ctx, ast.Load):
                self.require(part, "index")
        if len([p for p in parts if not (isinstance(p, ast.Constant) and p.value is None)]) > 1 and any(
            isinstance(p, (ast.Slice, ast.Constant)) for p in parts
        ):
            rank = sum(1 for p in parts if not (isinstance(p, ast.Constant) and p.value in (None, ...)))
            self._rank(node.value, rank)

    def _read_unpacking(self, node: ast.Assign) -> None:
        value = node.value
        if isinstance(value, ast.Name) and value.id in self.found and isinstance(node.targets[0], ast.Tuple):
            self._unpacked(value.id, node.targets[0])
        if isinstance(value, ast.Call):
            value = value.func
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple) and isinstance(value, ast.Attribute):
            starred = any(isinstance(e, ast.Starred) for e in node.targets[0].elts)
            if value.attr in ("shape", "size") and not starred:
                self._rank(value.value, len(node.targets[0].elts))

    def _unpacked(self, name: str, target: ast.Tuple) -> None:
        """`z, (mu, logvar) = leaf`: a tensor whose first sizes are those of the tuples stands for the tuple."""
        sizes: list[int] = []
        level: list[ast.expr] = [target]
        while level and all(isinstance(e, (ast.Tuple, ast.List)) for e in level):
            lengths = {len(e.elts) for e in level}  # type: ignore[attr-defined]
            if len(lengths) != 1 or any(isinstance(x, ast.Starred) for e in level for x in e.elts):  # type: ignore[attr-defined]
                return
            sizes.append(lengths.pop())
            level = [x for e in level for x in e.elts if isinstance(x, (ast.Tuple, ast.List))]  # type: ignore[attr-defined]
        leaf = self.leaves[name]
        if leaf.shape is None and leaf.rank is None:
            leaf.shape, leaf.rank = [*sizes, 3, 7], len(sizes) + 2
            if "float" not in self.found[name]:
                self.found[name].append("float")

    def _rank(self, node: ast.AST, rank: int) -> None:
        if isinstance(node, ast.Name) and node.id in self.found and self.leaves[node.id].rank is None:
            self.leaves[node.id].rank = rank


def loaded(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def assign_roles(leaves: Mapping[str, Leaf], sides: Iterable[Sequence[ast.stmt]]) -> None:
    """Give every leaf its candidates and domain."""
    usages = [Usage(leaves, list(statements)) for statements in sides]
    for name, leaf in leaves.items():
        if leaf.roles:
            continue
        used = list(dict.fromkeys(r for u in usages for r in u.found[name]))
        domain = next((u.domains[name] for u in usages if name in u.domains), "")
        leaf.domain = leaf.domain or domain
        leaf.roles = _ranked(leaf, used, next((u.bound_to[name] for u in usages if name in u.bound_to), ""))
        if leaf.roles[0] == "float" and is_target(leaf) and not leaf.domain and any(name in u.weighed for u in usages):
            leaf.roles.insert(0, "binary")
            leaf.assumption = f"{leaf.text} is taken as zeros and ones, from its name"
        if leaf.roles[0] == "scalar" and leaf.value is None and is_eps(leaf):
            leaf.value = 1e-5
        if leaf.roles[0] == "binary" and any(name in u.exponents for u in usages):
            leaf.roles.insert(0, "float")  # `where(x > 0, x, exp(x) - 1)`
        mark = next((u.marks[name] for u in usages if name in u.marks), None)
        if mark is not None and leaf.roles[0] == "index" and not leaf.domain:
            leaf.domain = f"marked {mark}"
        if any(name in u.optional for u in usages):
            leaf.roles.append("none")


def _ranked(leaf: Leaf, used: list[str], bound_to: str) -> list[str]:
    """By use first; by name last: its own, or that of a mask which an opaque call's result is bound to."""
    order = ["dtype", "device", "dim", "bool", "binary", "index", "int", "scalar", "flag"]
    roles = [r for r in order if r in used]
    if "flag" in roles and ("float" in used or "bool" in roles or "binary" in roles):
        roles.remove("flag")
    if "float" in used and "bool" in roles and leaf.text:
        roles.remove("bool")
        roles.insert(0, "float")
    if leaf.domain and roles[:1] == ["binary"]:
        roles.insert(0, "float")  # `where(x > 0, sqrt(x), 0)`: the comparison guards a number
    named = roles_by_name(leaf)
    if named == ["float"] and _NAMELESS.search(leaf.text) and roles_by_name(Leaf(bound_to, bound_to))[0] == "bool":
        named = ["bool", "binary"]
    if roles[:1] == ["index"] and named[0] == "bool" and not _ITEM.search(leaf.text):
        roles.insert(0, "bool")  # `x[valid]`
    if not roles and "float" in used:
        roles = ["float"]
        if leaf.domain == "":
            assume_domain(leaf)
    if not roles:
        roles = named
        if leaf.domain == "" and roles[0] == "float":
            assume_domain(leaf)
    if "binary" in roles and "bool" not in roles and "bool" in named:
        roles.append("bool")
    for extra in ("float", "scalar", "int", "bool"):
        if extra not in roles:
            roles.append(extra)
    return roles


def _number(node: ast.AST | None) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float" and node.args:
        value = node.args[0]
        if isinstance(value, ast.Constant) and str(value.value).lower().lstrip("+-") in ("inf", "infinity"):
            return float(str(value.value))
    return None


def _is_minimum(node: ast.AST) -> bool:
    """`torch.finfo(...).min`, or `-torch.finfo(...).max`."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("min", "max")
        and isinstance(node.value, ast.Call)
        and "finfo" in ast.dump(node.value.func)
    )


def _is_library(node: ast.AST | None) -> bool:
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    return isinstance(root, ast.Name) and root.id in ("torch", "F", "nn", "math", "np", "numpy", "functional", "th")


def _module_of(node: ast.Call) -> str:
    func = node.func
    return func.value.id if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) else ""
