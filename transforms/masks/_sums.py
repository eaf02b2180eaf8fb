"""Sums of scores and masks: turned into a fill, or clamped."""

from __future__ import annotations

import ast
import re

from autofix import rewrite
from autofix.model import Edit
from autofix.ops import constant
from autofix.rewrite import Unrewritable
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import dtype_of, is_plain
from autofix.transforms.masks._reach import Fate
from autofix.transforms.masks._rewriting import FRESH, Writer, closing_bracket, one_line, own_target, splittable
from autofix.transforms.masks._sites import (
    MASK_NAME,
    Site,
    attribute_value,
    inverted_operand,
    is_boolean,
    without_casts,
)


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
    name = own_target(module, statement, addition, scores_node) or writer.fresh(FRESH)
    value = writer.minimum_text(f"{name}.dtype")
    return (
        *writer.import_edits(),
        rewrite.insert_before(module, statement, f"{name} = {one_line(module, scores_node)}"),
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
    """A clamp on the last sum or enlarging factor in this function that the value goes through: two minima add up to
    -inf again, and so does a minimum that is divided by a temperature."""
    module = writer.module
    own = sum_around(module, site) if site.kind == "product" else None
    sums = [s for s in _here(module, site, fate.sums) if s is not own]
    if own is not None or not site.builds_mask:
        sums = [s for s in sums if _adds_mask(module, s)]
    elif not any(_adds_mask(module, s, both=True) for s in sums):
        sums = []  # half the minimum holds any score, and only a third mask could exceed it
    sums += [s for s in _here(module, site, fate.scalings) if s is not site.node and may_enlarge(module, s)]
    if not sums:
        return ()
    last = max(sums, key=lambda s: (s.lineno, module.chars(s)[1] - module.chars(s)[0]))
    if is_clamped(module, last):
        return ()
    if isinstance(last, ast.AugAssign):
        if not isinstance(last.target, ast.Name):
            raise Unrewritable("the sum with the mask has to be clamped, and it has no name here")
        return (_clamp_after(writer, last, last.target.id),)
    dtype = _dtype_of_sum(module, last) if isinstance(last, ast.BinOp) else None
    if dtype is not None and isinstance(last, ast.expr):
        value = writer.minimum_text(dtype)
        bracket = closing_bracket(module, last)
        if bracket is not None and isinstance(module.parent(last), ast.Attribute):
            return (module.insertion(bracket, f".clamp_min({value})"),)
        return rewrite.replace(module, last, "{s}.clamp_min({v})", s=last, v=value)
    statement = module.statement(last)
    if isinstance(statement, ast.Assign) and statement.value is last and isinstance(statement.targets[0], ast.Name):
        return (_clamp_after(writer, statement, statement.targets[0].id),)
    raise Unrewritable("the sum with the mask has to be clamped, and its dtype has no name here")


def _here(module: Module, site: Site, nodes: list[ast.expr | ast.stmt]) -> list[ast.expr | ast.stmt]:
    """Those in the site's own function; calls are left to their own arithmetic."""
    scope = module.function_scope(site.node)
    return [s for s in nodes if module.function_scope(s) is scope and not isinstance(s, ast.Call)]


def _dtype_of_sum(module: Module, node: ast.BinOp) -> str | None:
    """The dtype of the scores in a sum, by preference of the operand that is not called a mask."""
    for side in (node.left, node.right):
        if is_plain(side) and not MASK_NAME.search(module.source(side)) and not isinstance(node.op, ast.Div):
            return f"{module.source(side)}.dtype"
    return dtype_of(module, node.left) or dtype_of(module, node.right)


def may_enlarge(module: Module, node: ast.expr | ast.stmt) -> bool:
    """Whether a product or quotient may push the minimum beyond the dtype: anything but a scale of at most 1."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Div):
            return not _at_least_one(module, node.right)
        return not (_at_most_one(module, node.left) or _at_most_one(module, node.right))
    if isinstance(node, ast.AugAssign):
        check = _at_least_one if isinstance(node.op, ast.Div) else _at_most_one
        return not check(module, node.value)
    return False


def _at_most_one(module: Module, node: ast.expr) -> bool:
    number = constant(module, node)
    if number is not None:
        return abs(number) <= 1
    node = _defined(module, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        top = constant(module, node.left)
        return top is not None and abs(top) <= 1 and _at_least_one(module, node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = constant(module, node.right)
        return power is not None and power < 0
    return bool(re.search(r"scal|norm_fac|rsqrt|mask", module.source(node), re.I))


def _at_least_one(module: Module, node: ast.expr) -> bool:
    number = constant(module, node)
    if number is not None:
        return abs(number) >= 1
    node = _defined(module, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = constant(module, node.right)
        return power is not None and power > 0
    return bool(re.search(r"scal|sqrt|norm_fac|dim|d_k|size|len", module.source(node), re.I))


def _defined(module: Module, node: ast.expr) -> ast.expr:
    """What a name or an attribute of self was assigned, where that is certain."""
    if isinstance(node, ast.Name):
        return module.flow(node).value(node)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return attribute_value(module, node) or node
    return node


def _clamp_after(writer: Writer, statement: ast.stmt, name: str) -> Edit:
    value = writer.minimum_text(f"{name}.dtype")
    return rewrite.insert_after(writer.module, statement, f"{name} = {name}.clamp_min({value})")


def _adds_mask(module: Module, addition: ast.AST, both: bool = False) -> bool:
    """Whether a sum adds a mask or, `both`, two of them."""
    sides: list[ast.expr] = []
    if isinstance(addition, ast.BinOp):
        sides = [addition.left, addition.right]
    elif isinstance(addition, ast.AugAssign):
        sides = [addition.target, addition.value] if both else [addition.value]
    found = all if both else any
    return bool(sides) and found(MASK_NAME.search(module.source(without_casts(s))) for s in sides)


def is_clamped(module: Module, addition: ast.expr | ast.stmt) -> bool:
    """Whether the statement of a sum, or the next one, clamps it already."""
    statement = module.statement(addition)
    block = module.block(statement)
    index = block.index(statement)
    text = " ".join(module.source(s) for s in block[index : index + 2])
    return "clamp" in text or "torch.max(" in text or "maximum(" in text
