"""The edits of the family: a value replaced, a receiver named, a sum turned into a fill or clamped."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import cast_dtype, dtype_of, is_plain, names_dtype
from autofix.transforms.masks._reach import Fate
from autofix.transforms.masks._sites import (
    MASK_NAME,
    Site,
    inverted_operand,
    is_boolean,
    without_casts,
)

_FRESH = ("scores", "logits", "attn_scores", "masked_scores", "unmasked_scores")
_FRESH_MASKS = ("inverted_mask", "mask_to_drop", "positions_to_drop")


@dataclass(frozen=True, slots=True)
class Writer:
    """Builds edits around one node of a module."""

    module: Module
    node: ast.AST

    @property
    def finfo(self) -> str:
        reference = self.module.names.reference("torch.finfo", self.node)
        if reference is None:
            raise Unrewritable("the name torch is bound to something else here")
        return reference.text

    def import_edits(self) -> tuple[Edit, ...]:
        reference = self.module.names.reference("torch.finfo", self.node)
        return reference.edits if reference is not None else ()

    def spelled(self, dtype: str) -> str:
        """The dtype's text with this file's name for torch."""
        if not dtype.startswith("torch."):
            return dtype
        dotted = dtype.removesuffix("()")
        reference = self.module.names.reference(dotted, self.node)
        if reference is None:
            raise Unrewritable("the name torch is bound to something else here")
        return reference.text + dtype[len(dotted) :]

    def minimum_text(self, dtype: str, end: str = "min") -> str:
        return f"{self.finfo}({self.spelled(dtype)}).{end}"

    def minimum(self, value: ast.expr, dtype: str, end: str = "min") -> tuple[Edit, ...]:
        return (*self.import_edits(), *rewrite.replace(self.module, value, self.minimum_text(dtype, end)))

    def minimum_with_dtype(self, value: ast.expr, call: ast.Call, dtype: str) -> tuple[Edit, ...]:
        """The value, and `dtype=` for a call that has none: a mask of the default dtype could not hold it."""
        text = self.minimum_text(dtype)
        arguments = [*call.args, *(k.value for k in call.keywords)]
        last = max(arguments, key=lambda a: self.module.chars(a)[1])
        keyword = f", dtype={self.spelled(dtype)}"
        if last is value:
            return (*self.import_edits(), Edit(self.module.span(value), text + keyword))
        _, end = self.module.chars(last)
        return (*self.minimum(value, dtype), self.module.insertion(end, keyword))

    def visible_cast(self, fate: Fate) -> str | None:
        """The dtype that the value is cast to later in this function, when it can be named where the value is."""
        scope = self.module.function_scope(self.node)
        for node in fate.casts:
            if self.module.function_scope(node) is not scope:
                continue
            if isinstance(node, ast.Call):
                named = cast_dtype(self.module, node) if not node.args else None
            elif names_dtype(self.module, node):
                named = self.module.source(node)
            else:
                parent = self.module.parent(node)
                by_like = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute)
                named = cast_dtype(self.module, parent) if by_like and parent.func.attr == "type_as" else None  # type: ignore[union-attr,arg-type]
            if named is not None and self._bound_before(named):
                return named
        return None

    def _bound_before(self, text: str) -> bool:
        """Whether the name that `text` begins with has its final value before this node."""
        root = text.partition(".")[0]
        flow = self.module.flow(self.node)
        line = getattr(self.node, "lineno", 0)
        return all(s.lineno < line for s in flow.stores(root))

    # -- products --------------------------------------------------------------------------------------

    def factor_minimum(self, site: Site, dtype: str) -> tuple[Edit, ...]:
        return self.minimum(site.value, dtype, self._end(site))

    def cast_factor(self, site: Site, factor: ast.expr, dtype: str) -> tuple[Edit, ...]:
        """Cast before multiplying: the factor's own dtype might not hold the minimum of the other."""
        cast = rewrite.expression(self.module, "({k}).to({d})", k=_floating(self.module, factor), d=self.spelled(dtype))
        return self._product(site, cast, dtype)

    def named_factor(self, site: Site, factor: ast.expr) -> tuple[Edit, ...]:
        """The factor in a statement of its own: `1.0 - mask` is floating, and its dtype has a name then."""
        if inverted_operand(self.module, factor) is None:
            raise Unrewritable("the dtype of the scores that this mask is added to is not in view")
        statement = splittable(self.module, site.node)
        name = self.fresh(_FRESH_MASKS)
        line = f"{name} = {_floating(self.module, factor)}"
        return (
            rewrite.insert_before(self.module, statement, line),
            *self._product(site, name, f"{name}.dtype"),
        )

    def _product(self, site: Site, factor: str, dtype: str) -> tuple[Edit, ...]:
        template = "{k} * {v}" if isinstance(site.node, ast.BinOp) and site.node.right is site.value else "{v} * {k}"
        value = self.minimum_text(dtype, self._end(site))
        return (*self.import_edits(), *rewrite.replace(self.module, site.node, template, k=factor, v=value))

    def _end(self, site: Site) -> str:
        return "max" if (constant(self.module, site.value) or 0) > 0 else "min"

    def fresh(self, candidates: tuple[str, ...]) -> str:
        """A name that nothing in the function uses."""
        scope = self.module.function_scope(self.node)
        used = {n.id for n in ast.walk(scope) if isinstance(n, ast.Name)}
        used |= {a.arg for a in ast.walk(scope) if isinstance(a, ast.arg)}
        free = [c for c in candidates if c not in used]
        if not free:
            raise Unrewritable("every usual name for the scores is taken here; bind them to one first")
        return free[0]


def _floating(module: Module, factor: ast.expr) -> str:
    """The factor's text, with `1 - m` as `1.0 - m`: floating whatever the mask's dtype is."""
    operand = inverted_operand(module, factor)
    if operand is None:
        return module.source(factor)
    return rewrite.expression(module, "1.0 - {m}", m=operand)


# -- receivers without a name --------------------------------------------------------------------------------------


def splittable(module: Module, node: ast.AST) -> ast.stmt:
    """The statement of `node`, when what stands in it may be evaluated in a statement of its own before it.

    Raises:
        Unrewritable: evaluation there is conditional or repeated, or has effects of its own.
    """
    statement = module.statement(node)
    if not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)):
        raise Unrewritable("the scores have no name, and the statement around them cannot be split")
    for ancestor in module.ancestors(node):
        if ancestor is statement:
            break
        if isinstance(ancestor, (ast.Lambda, ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp,
                                 ast.GeneratorExp)):  # fmt: skip
            raise Unrewritable("the scores have no name and are evaluated conditionally or repeatedly here")
    if any(isinstance(n, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) for n in ast.walk(statement)):
        raise Unrewritable("the scores have no name, and the statement around them has effects of its own")
    return statement


def hoisted(writer: Writer, site: Site, tensor: ast.expr) -> tuple[Edit, ...]:
    """`s = expression.masked_fill(m, v)` in two statements, so that `s.dtype` names a value that exists."""
    module = writer.module
    statement = splittable(module, site.node)
    name = _own_target(module, statement, site.node, tensor) or writer.fresh(_FRESH)
    line = _one_line(module, tensor)
    return (
        rewrite.insert_before(module, statement, f"{name} = {line}"),
        *rewrite.replace(module, tensor, name),
        *writer.minimum(site.value, f"{name}.dtype"),
    )


def _own_target(module: Module, statement: ast.stmt, whole: ast.AST, moved: ast.expr) -> str | None:
    """The name that the statement assigns `whole` to, when nothing but `moved` in it reads that name."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or statement.value is not whole:
        return None
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        return None
    inside = set(ast.walk(moved))
    others = [n for n in ast.walk(statement.value) if n not in inside]
    return None if any(isinstance(n, ast.Name) and n.id == target.id for n in others) else target.id


def _one_line(module: Module, node: ast.expr) -> str:
    text = rewrite.expression(module, "{e}", e=node)
    if "\n" not in text:
        return text
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return f"({text})"
    return text


# -- sums ----------------------------------------------------------------------------------------------------------


def sum_around(module: Module, site: Site) -> ast.BinOp | ast.AugAssign | None:
    """The addition of scores that a product stands in directly."""
    parent = module.parent(site.node)
    if isinstance(parent, ast.AugAssign) and isinstance(parent.op, (ast.Add, ast.Sub)):
        return parent if parent.value is site.node else None
    if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, (ast.Add, ast.Sub)):
        return None
    if isinstance(parent.op, ast.Sub) and parent.right is not site.node:
        return None
    other = parent.left if parent.right is site.node else parent.right
    return None if constant(module, other) is not None else parent


def masked_sum(writer: Writer, site: Site, addition: ast.BinOp | ast.AugAssign) -> tuple[Edit, ...]:
    """`scores + (1 - m) * v` as `scores.masked_fill(m == 0, minimum)`."""
    module = writer.module
    condition = _condition(module, site)
    if isinstance(addition, ast.AugAssign):
        if not is_plain(addition.target):
            raise Unrewritable("the scores that the mask is added to have no name here")
        scores = module.source(addition.target)
        text = rewrite.expression(
            module, "{s}.masked_fill_({c}, {v})", s=scores, c=condition, v=writer.minimum_text(f"{scores}.dtype")
        )
        return (*writer.import_edits(), Edit(module.span(addition), text))
    other = addition.left if addition.right is site.node else addition.right
    scores_node = _unblended(module, site, other)
    dtype = dtype_of(module, scores_node)
    if dtype is not None:
        value = writer.minimum_text(dtype)
        edits = rewrite.replace(module, addition, "{s}.masked_fill({c}, {v})", s=scores_node, c=condition, v=value)
        return (*writer.import_edits(), *edits)
    statement = splittable(module, site.node)
    name = _own_target(module, statement, addition, scores_node) or writer.fresh(_FRESH)
    value = writer.minimum_text(f"{name}.dtype")
    return (
        *writer.import_edits(),
        rewrite.insert_before(module, statement, f"{name} = {_one_line(module, scores_node)}"),
        *rewrite.replace(module, addition, "{s}.masked_fill({c}, {v})", s=name, c=condition, v=value),
    )


def _condition(module: Module, site: Site) -> str:
    """The boolean under which the product is not zero."""
    factor = site.mask
    if factor is None:
        raise Unrewritable("the mask is not in view")
    operand = inverted_operand(module, factor)
    if operand is None and isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Sub):
        operand = factor.left  # `(m - 1) * v`
    if operand is not None:
        bare = without_casts(operand)
        template = "~{m}" if is_boolean(bare) else "{m} == 0"
        return rewrite.expression(module, template, m=bare)
    bare = without_casts(factor)
    return rewrite.expression(module, "{m}" if is_boolean(bare) else "{m}.bool()", m=bare)


def _unblended(module: Module, site: Site, other: ast.expr) -> ast.expr:
    """`s` of `s * m + (1 - m) * v`: the product with the mask has done its work already."""
    operand = inverted_operand(module, site.mask) if site.mask is not None else None
    if operand is None:
        return other
    keep = ast.dump(without_casts(operand))
    pairs: list[tuple[ast.expr, ast.expr]] = []
    if isinstance(other, ast.BinOp) and isinstance(other.op, ast.Mult):
        pairs = [(other.left, other.right), (other.right, other.left)]
    elif isinstance(other, ast.Call) and module.qualified(other.func) == "torch.mul" and len(other.args) == 2:
        pairs = [(other.args[0], other.args[1]), (other.args[1], other.args[0])]
    return next((s for s, m in pairs if ast.dump(without_casts(m)) == keep), other)


def clamped_sums(writer: Writer, site: Site, fate: Fate) -> tuple[Edit, ...]:
    """A clamp on the last sum in this function that the value goes through: two minima add up to -inf."""
    module = writer.module
    scope = module.function_scope(site.node)
    filled_sum = sum_around(module, site) if site.kind == "product" else None
    sums = [
        s
        for s in fate.sums
        if module.function_scope(s) is scope and not isinstance(s, ast.Call) and s is not filled_sum
    ]
    if filled_sum is not None or not site.builds_mask:
        sums = [s for s in sums if _adds_mask(module, s)]
    if not sums:
        return ()
    last = max(sums, key=lambda s: (s.lineno, module.chars(s)[1] - module.chars(s)[0]))
    if _is_clamped(module, last):
        return ()
    if isinstance(last, ast.AugAssign):
        if not isinstance(last.target, ast.Name):
            raise Unrewritable("the sum with the mask has to be clamped, and it has no name here")
        return (_clamp_after(writer, last, last.target.id),)
    statement = module.statement(last)
    if isinstance(last, ast.BinOp):
        dtype = dtype_of(module, last.left) or dtype_of(module, last.right)
        for side in (last.left, last.right):
            if is_plain(side) and not MASK_NAME.search(module.source(side)):
                dtype = f"{module.source(side)}.dtype"
        if dtype is not None:
            value = writer.minimum_text(dtype)
            return rewrite.replace(module, last, "{s}.clamp_min({v})", s=last, v=value)
    if isinstance(statement, ast.Assign) and statement.value is last and isinstance(statement.targets[0], ast.Name):
        return (_clamp_after(writer, statement, statement.targets[0].id),)
    raise Unrewritable("the sum with the mask has to be clamped, and its dtype has no name here")


def _clamp_after(writer: Writer, statement: ast.stmt, name: str) -> Edit:
    value = writer.minimum_text(f"{name}.dtype")
    return rewrite.insert_after(writer.module, statement, f"{name} = {name}.clamp_min({value})")


def _adds_mask(module: Module, addition: ast.AST) -> bool:
    sides: list[ast.expr] = []
    if isinstance(addition, ast.BinOp):
        sides = [addition.left, addition.right]
    elif isinstance(addition, ast.AugAssign):
        sides = [addition.value]
    return any(MASK_NAME.search(module.source(without_casts(s))) for s in sides)


def _is_clamped(module: Module, addition: ast.expr | ast.stmt) -> bool:
    """Whether the statement of a sum, or the next one, clamps it already."""
    statement = module.statement(addition)
    block = module.block(statement)
    index = next((i for i, s in enumerate(block) if s is statement), 0)
    text = " ".join(module.source(s) for s in block[index : index + 2])
    return "clamp" in text or "torch.max(" in text or "maximum(" in text
