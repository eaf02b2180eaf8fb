"""Denominators that count: sums of masks, numbers of tokens, sizes of groups."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from autofix import intervals as iv
from autofix.calls import Call, call_of, returned
from autofix.flow import Definition
from autofix.ops import constant
from autofix.ranges import analysis, plain_value
from autofix.syntax import Module
from autofix.transfer import MOVES

_MASK = re.compile(
    r"^_?((\w*_)?(masks?|valid|is_valid|non_?pad(ding)?|not_?pad(ding)?)|m)"
    r"(_?(expanded|float|f|flat|flattened|bool|long|3d|2d|t|b|broadcast|unsqueezed|sum))?_?\d?$",
    re.I,
)
_SOFT = re.compile(r"pred|prob|soft|logit|score|weight|gate|attn_mask|attention_bias|causal|token_mask_emb", re.I)
_TOKENS = re.compile(
    r"^((num|n|total|local|global)_)+(\w+_)?(tokens|items_in_batch|label_tokens|valid(_\w+)?|non_?pad(_\w+)?)$|"
    r"^ntokens$|^(token|valid|mask)_(count|sum|num)$"
)
_ADDS = ("scatter_add", "scatter_add_", "index_add", "index_add_")
_NUMBERS = ("item", "tolist")


@dataclass(frozen=True, slots=True)
class Count:
    """What a denominator counts.

    summed: the call that counts, None for a number that came from elsewhere. of: the mask. at: the expression of
    this function to clamp. whole: it is a number of things, so that 1 is its least value but for 0.
    number: it is, or may be, a Python number. less: it is a count less one.
    """

    summed: ast.expr | None
    of: ast.expr | None
    at: ast.expr
    whole: bool = True
    number: bool = False
    less: bool = False
    definition: Definition | None = None


def count(module: Module, node: ast.expr) -> Count | None:
    """What `node` counts, when it counts something that there may be none of."""
    return _count(module, node, 0)


def _count(module: Module, node: ast.expr, depth: int) -> Count | None:
    if depth > 12:
        return None
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _named(module, node, depth)
    if isinstance(node, ast.IfExp):
        return _count(module, node.body, depth + 1) or _count(module, node.orelse, depth + 1)
    if isinstance(node, ast.BinOp):
        return _combined(module, node, depth)
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        plain = all(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value is None) for p in parts)
        return _count(module, node.value, depth + 1) if plain else None
    return _called(module, node, depth) if isinstance(node, ast.Call) else None


def _combined(module: Module, node: ast.BinOp, depth: int) -> Count | None:
    if isinstance(node.op, ast.Mult):
        for part, other in ((node.left, node.right), (node.right, node.left)):
            found = _count(module, part, depth + 1)
            if found is not None:
                return found if analysis(module).of(other).positive or found.whole else None
    if isinstance(node.op, ast.Sub) and analysis(module).of(node.right) == iv.constant(1.0):
        found = _count(module, node.left, depth + 1)
        if found is not None and found.whole and not found.less:
            return Count(found.summed, found.of, node, True, found.number, True, found.definition)
    return None


def _called(module: Module, node: ast.Call, depth: int) -> Count | None:
    if isinstance(node.func, ast.Name) and node.func.id in ("int", "float") and len(node.args) == 1:
        found = _count(module, node.args[0], depth + 1)
        return found and _as_number(found)
    call = call_of(module, node)
    if call is None:
        return None
    if call.name in _NUMBERS:
        found = _count(module, call.input, depth + 1)
        return found and _as_number(found)
    if call.name in MOVES or call.name in ("int", "long"):
        return _count(module, call.input, depth + 1)
    if call.name in ("sum", "nansum") and not _sums_one_hot(module, call):
        return _summed(module, node, call.input)
    if call.name == "count_nonzero":
        return Count(node, call.input, node)
    if call.name == "bincount" and "weights" not in call.args and "minlength" in call.args:
        return Count(node, call.input, node)
    if call.name in _ADDS or (isinstance(node.func, ast.Attribute) and node.func.attr in _ADDS):
        source = node.args[-1] if node.args else None
        if source is not None and analysis(module).of(source) == iv.constant(1.0):
            return Count(node, source, node)
    return None


def _as_number(found: Count) -> Count:
    return Count(found.summed, found.of, found.at, found.whole, True, found.less, found.definition)


def _summed(module: Module, node: ast.expr, summand: ast.expr) -> Count | None:
    kind = mask_kind(module, summand)
    return Count(node, summand, node, kind == "mask") if kind else None


def _sums_one_hot(module: Module, call: Call) -> bool:
    """A row of one-hot vectors sums to one; a triangle keeps its diagonal."""
    value = module.flow(call.input).value(call.input)
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if value.func.attr == "one_hot":
            dim = call.args.get("dim")
            return dim is None or constant(module, dim) != 0
        if value.func.attr in ("tril", "triu", "eye", "ones", "ones_like", "new_ones"):
            return True
        value = module.flow(value).value(value.func.value)
    return False


# -- masks -----------------------------------------------------------------------------------------------------


def mask_kind(module: Module, node: ast.expr, depth: int = 0) -> str:
    """ "mask" for what holds zeros and ones, "weight" for a mask times weights, "" for anything else."""
    if depth > 10:
        return ""
    if isinstance(node, ast.Name):
        value = module.flow(node).value(node)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and _is_own(value.func.value):
            return ""
        if value is not node:
            if _is_own(value):
                return ""
            found = mask_kind(module, value, depth + 1)
            known = analysis(module).of(node)
            if found or not known.zero or known.low < 0 < known.high < float("inf"):
                return found if known.zero else ""
        return _by_interval(module, node) or _by_name(node.id)
    if isinstance(node, ast.Attribute):
        return "" if _is_own(node) else _by_interval(module, node) or _by_name(node.attr)
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return _by_name(key) if isinstance(key, str) else mask_kind(module, node.value, depth + 1)
    if isinstance(node, ast.UnaryOp):
        return mask_kind(module, node.operand, depth + 1) if isinstance(node.op, ast.Invert) else ""
    if isinstance(node, ast.BinOp):
        return _kind_of_operation(module, node, depth)
    if isinstance(node, ast.Call):
        return _kind_of_call(module, node, depth)
    return _by_interval(module, node)


def _is_own(node: ast.expr) -> bool:
    """Whether a module keeps it: what it keeps is no data, and somebody made sure of it once."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _kind_of_operation(module: Module, node: ast.BinOp, depth: int) -> str:
    left, right = mask_kind(module, node.left, depth + 1), mask_kind(module, node.right, depth + 1)
    if isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        return "mask" if "mask" in (left, right) else ""
    if isinstance(node.op, ast.Mult):
        if left == right == "mask":
            return "mask"
        other = node.right if left else node.left
        return "weight" if (left or right) and analysis(module).of(other).low >= 0 else ""
    if isinstance(node.op, ast.Sub) and analysis(module).of(node.left) == iv.constant(1.0):
        return right
    return ""


def _kind_of_call(module: Module, node: ast.Call, depth: int) -> str:
    call = call_of(module, node)
    if call is None:
        return ""
    if call.name in ("int", "long", "cuda", "byte") or call.name in MOVES:
        return mask_kind(module, call.input, depth + 1)
    if call.name in ("bool", "logical_not", "logical_and", "logical_or"):
        return "mask"
    return _by_interval(module, node)


def _by_interval(module: Module, node: ast.expr) -> str:
    found = analysis(module).of(node)
    return "mask" if found.integer and found.low == 0 and found.high == 1 and found.zero else ""


def _by_name(name: str) -> str:
    return "mask" if _MASK.match(name) and name not in ("m", "M") and not _SOFT.search(name) else ""


# -- names -----------------------------------------------------------------------------------------------------


def _named(module: Module, node: ast.Name | ast.Attribute, depth: int) -> Count | None:
    if isinstance(node, ast.Attribute):
        return None
    flow = module.flow(node)
    found = flow.definition(node)
    if found is None or found.kind == "augment":
        return _accumulated(module, node)
    if found.value is not None:
        inner = _count(module, found.value, depth + 1)
        if inner is None or not analysis(module).of(node).zero:
            return None
        return Count(inner.summed, inner.of, node, inner.whole, inner.number, inner.less, inner.definition or found)
    if found.kind == "unpack" and isinstance(found.statement, ast.Assign):
        return _returned(module, node, found.statement)
    if found.kind == "parameter" and _TOKENS.match(node.id):
        return Count(None, None, node, number=True)
    return None


def _accumulated(module: Module, node: ast.Name) -> Count | None:
    """`n = 0` and then `n += mask.sum()` in a loop."""
    counts: list[Count] = []
    for statement in module.flow(node).stores(node.id):
        if isinstance(statement, ast.AugAssign):
            found = count(module, statement.value) if isinstance(statement.op, ast.Add) else None
            if found is None or found.summed is None:
                return None
            counts.append(found)
            continue
        value = plain_value(statement, node.id)
        if value is None or analysis(module).of(value) != iv.constant(0.0):
            return None
    if not counts or not analysis(module).of(node).zero:
        return None
    return Count(counts[0].summed, counts[0].of, node, all(c.whole for c in counts), number=True)


def _returned(module: Module, node: ast.Name, statement: ast.Assign) -> Count | None:
    """A count among the results of a function of this file."""
    target = statement.targets[0]
    if not isinstance(target, ast.Tuple) or not isinstance(statement.value, ast.Call):
        return None
    place = next((i for i, e in enumerate(target.elts) if isinstance(e, ast.Name) and e.id == node.id), None)
    results = returned(module, statement.value)
    parts = [r.elts[place] for r in results if isinstance(r, ast.Tuple) and place is not None and place < len(r.elts)]
    found = [_count_result(module, p, node.id) for p in parts]
    known = [f for f in found if f is not None]
    if not known:
        return None
    return Count(known[0].summed, None, node, all(f.whole for f in known), any(f.number for f in known))


def _count_result(module: Module, node: ast.expr, name: str) -> Count | None:
    """What a function returns beside something else; a plain sum counts when it is received as a number of tokens."""
    found = count(module, node)
    call = call_of(module, node) if isinstance(node, ast.Call) else None
    if found is None and _TOKENS.match(name) and call is not None and call.name == "sum" and not call.args:
        return Count(node, call.input, node)
    return found
