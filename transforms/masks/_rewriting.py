"""The edits of the family: a value replaced, a receiver named."""

from __future__ import annotations

import ast
import keyword
import re
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import cast_dtype, moves_only, names_dtype
from autofix.transforms.masks._reach import Fate
from autofix.transforms.masks._sites import (
    Site,
    inverted_operand,
)
from autofix.tree import walk

FRESH = ("scores", "logits", "attn_scores", "masked_scores", "unmasked_scores")
NOT_IN_VIEW = "the dtype of the scores that this mask is added to is not in view"
FRESH_MASKS = ("inverted_mask", "mask_to_drop", "positions_to_drop")


@dataclass(frozen=True, slots=True)
class Writer:
    """Builds edits around one node of a module.

    additive: the value is added to scores later, and takes half the minimum: float16's minimum plus a score of -16 is
    -inf, half of it plus any score is not, nor is the sum of two halves.
    """

    module: Module
    node: ast.AST
    additive: bool = False

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

    def value_text(self, dtype: str, end: str = "min") -> str:
        return self.minimum_text(dtype, end) + (" / 2" if self.additive else "")

    def minimum(self, value: ast.expr, dtype: str, end: str = "min") -> tuple[Edit, ...]:
        return (*self.import_edits(), *rewrite.replace(self.module, value, self.value_text(dtype, end)))

    def minimum_with_dtype(self, value: ast.expr, call: ast.Call, dtype: str) -> tuple[Edit, ...]:
        """The value, and `dtype=` for a call that has none: a mask of the default dtype could not hold it."""
        text = self.value_text(dtype)
        arguments = [*call.args, *(k.value for k in call.keywords)]
        last = max(arguments, key=lambda a: self.module.chars(a)[1])
        argument = f", dtype={self.spelled(dtype)}"
        if last is value:
            return (*self.import_edits(), Edit(self.module.span(value), text + argument))
        _, end = self.module.chars(last)
        return (*self.minimum(value, dtype), self.module.insertion(end, argument))

    def minimum_as_tensor(self, value: ast.expr, dtype: str, mask: ast.expr) -> tuple[Edit, ...]:
        """The value with its dtype: `where` of two numbers makes the default dtype, which may not hold it.

        Raises:
            Unrewritable: the device has no name here, or torch has not.
        """
        tensor = mask.left if isinstance(mask, ast.Compare) else mask
        made = self.module.names.reference("torch.tensor", value)
        if not isinstance(tensor, (ast.Name, ast.Attribute)) or made is None:
            raise Unrewritable(NOT_IN_VIEW)
        device = f"{self.module.source(tensor)}.device"
        text = f"{made.text}({self.value_text(dtype)}, dtype={self.spelled(dtype)}, device={device})"
        return (*self.import_edits(), *rewrite.replace(self.module, value, text))

    def visible_cast(self, fate: Fate) -> str | None:
        """The dtype that the value is cast to later in this function.

        Raises:
            Unrewritable: it is cast to one that cannot be named where the value is.
        """
        scope = self.module.function_scope(self.node)
        for node in fate.casts:
            if self.module.function_scope(node) is not scope or moves_only(node):
                continue
            call = self.module.parent(node) if not (isinstance(node, ast.Call) and not node.args) else node
            call = self.module.parent(call) if isinstance(call, ast.keyword) else call
            named = self.module.source(node) if names_dtype(self.module, node) else None
            if named is None and isinstance(call, ast.Call):
                named = cast_dtype(self.module, call)
            if named is None or not self._bound_before(named):
                raise Unrewritable("the mask is cast to a dtype that has no name where it is built")
            return named
        return None

    def _bound_before(self, text: str) -> bool:
        """Whether the name that `text` begins with has its final value before this node."""
        root = text.partition(".")[0]
        flow = self.module.flow(self.node)
        line = getattr(self.node, "lineno", 0)
        return all(s.lineno < line for s in flow.stores(root))

    def bound_before(self, target: ast.expr) -> str:
        """The dtype of a tensor that is bound before this node and in its function.

        Raises:
            Unrewritable: it is not.
        """
        text = self.module.source(target)
        root = text.partition(".")[0]
        line = getattr(self.node, "lineno", 0)
        same = self.module.function_scope(target) is self.module.function_scope(self.node)
        stores = [s for s in self.module.flow(target).stores(root) if not isinstance(s, ast.AugAssign)]
        if not same or any(s.lineno >= line for s in stores):
            raise Unrewritable(NOT_IN_VIEW)
        return f"{text}.dtype"

    # -- products --------------------------------------------------------------------------------------

    def factor_minimum(self, site: Site, dtype: str) -> tuple[Edit, ...]:
        return self.minimum(site.value, dtype, self._end(site))

    def cast_factor(self, site: Site, factor: ast.expr, dtype: str) -> tuple[Edit, ...]:
        """Cast before multiplying: the factor's own dtype might not hold the minimum of the other."""
        spelled = self.spelled(dtype)
        bracket = closing_bracket(self.module, factor)
        if bracket is not None and inverted_operand(self.module, factor) is not None:
            return (self.module.insertion(bracket, f".to({spelled})"), *self.factor_minimum(site, dtype))
        cast = rewrite.expression(self.module, "({k}).to({d})", k=_floating(self.module, factor), d=spelled)
        return self._product(site, cast, dtype)

    def named_factor(self, site: Site, factor: ast.expr) -> tuple[Edit, ...]:
        """The factor in a statement of its own: `1.0 - mask` is floating, and its dtype has a name then."""
        if inverted_operand(self.module, factor) is None:
            raise Unrewritable(NOT_IN_VIEW)
        statement = splittable(self.module, site.node)
        name = self.fresh(FRESH_MASKS)
        line = f"{name} = {_floating(self.module, factor)}"
        return (
            rewrite.insert_before(self.module, statement, line),
            *self._product(site, name, f"{name}.dtype"),
        )

    def _product(self, site: Site, factor: str, dtype: str) -> tuple[Edit, ...]:
        template = "{k} * {v}" if isinstance(site.node, ast.BinOp) and site.node.right is site.value else "{v} * {k}"
        value = self.value_text(dtype, self._end(site))
        if not isinstance(site.node, ast.BinOp):
            raise Unrewritable("the mask is no product")
        return (*self.import_edits(), *rewrite.replace(self.module, site.node, template, k=factor, v=value))

    def _end(self, site: Site) -> str:
        return "max" if (constant(self.module, site.value) or 0) > 0 else "min"

    def fresh(self, candidates: tuple[str, ...]) -> str:
        """A name that nothing in the function uses."""
        scope = self.module.function_scope(self.node)
        used = {n.id for n in walk(scope) if isinstance(n, ast.Name)}
        used |= {a.arg for a in walk(scope) if isinstance(a, ast.arg)}
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
    if any(isinstance(n, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) for n in walk(statement)):
        raise Unrewritable("the scores have no name, and the statement around them has effects of its own")
    return statement


def hoisted(writer: Writer, site: Site, tensor: ast.expr) -> tuple[Edit, ...]:
    """`s = expression.masked_fill(m, v)` in two statements, so that `s.dtype` names a value that exists."""
    module = writer.module
    statement = splittable(module, site.node)
    name = own_target(module, statement, site.node, tensor) or writer.fresh(FRESH)
    line = one_line(module, tensor)
    return (
        rewrite.insert_before(module, statement, f"{name} = {line}"),
        *_named(module, tensor, name),
        *writer.minimum(site.value, f"{name}.dtype"),
    )


def _named(module: Module, node: ast.expr, name: str) -> tuple[Edit, ...]:
    """A name in place of an expression and of the brackets that stood around it alone."""
    start, end = module.chars(node)
    bracket = closing_bracket(module, node)
    if bracket is None:
        return rewrite.replace(module, node, name)
    opening = module.text.rindex("(", 0, start)
    if module.text[opening + 1 : start].strip() or module.text[end : bracket - 1].strip():
        return rewrite.replace(module, node, name)
    return (Edit(module.char_span(opening, bracket), name),)


def own_target(module: Module, statement: ast.stmt, whole: ast.AST, moved: ast.expr) -> str | None:
    """The name that the statement assigns `whole` to, when nothing but `moved` in it reads that name."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or statement.value is not whole:
        return None
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        return None
    inside = set(walk(moved))
    others = [n for n in walk(statement.value) if n not in inside]
    return None if any(isinstance(n, ast.Name) and n.id == target.id for n in others) else target.id


def one_line(module: Module, node: ast.expr) -> str:
    text = rewrite.expression(module, "{e}", e=node)
    if "\n" not in text:
        return text
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return f"({text})"
    return text


def closing_bracket(module: Module, node: ast.expr) -> int | None:
    """The place just behind the bracket that closes around an expression of its own."""
    start, end = module.chars(node)
    before, after = module.text[:start].rstrip(), module.text[end:]
    if not before.endswith("(") or not after.lstrip().startswith(")"):
        return None
    word = re.search(r"[\w)\]]+$", before[:-1].rstrip())
    if word is not None and not keyword.iskeyword(word.group()):
        return None
    return end + len(after) - len(after.lstrip()) + 1
