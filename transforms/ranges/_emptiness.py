"""How likely it is that a mask selects nothing: never by construction, only of degenerate data, or in any batch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.calls import callee, returned
from autofix.flow import Definition
from autofix.ops import constant, tensor_op
from autofix.ranges import analysis
from autofix.relations import in_place_changes, reaches, words
from autofix.syntax import Module
from autofix.tree import last_part, spaced, walk

# What keeps every element, or at least one of each row that had one.
_KEEPING = frozenset(
    "view reshape unsqueeze squeeze transpose permute expand expand_as repeat repeat_interleave contiguous clone "
    "detach flatten to type "
    "type_as float double half bfloat16 cpu cuda flip cumsum bool int long byte rearrange broadcast_to "
    "as_tensor".split()
)
_SELECTED = re.compile(
    r"label|loss|target|completion|response|action|answer|supervis|valid|(^|_)(pos|neg|fg|tgt|gt|obj\w*)(_|$)"
)
_PADDING = re.compile(
    r"(^|_)(attention|attn|pad\w*|non_?pad\w*|caption|text|src|seq\w*|tokens?|len\w*|inputs?|frames?|key|query|prompt|"
    r"duration|spec\w*|atom|residue|node|mel|audio|speech|wave\w*|features?|out|[xyz])_masks?(_|$|\d)|(^|_)(non_?pad\w*|not_?pad\w*)(_|$)|^pad(ding)?$"
)
_BUILDERS = re.compile(r"(len|pad|seq|attention|attn)\w*mask|mask\w*(len|pad)", re.I)
_OF_IDS = re.compile(r"(^|_)(ids?|tokens?|inputs?|src|source|seq\w*|text|words?|x|xs|sentences?)(_|$|\d)")
_OWN_CHOICE = re.compile(r"masked_pos|mask_?ratio|(^|_)mim_|masked_patch")
_PADDED_WITH = re.compile(r"(^|_)pad(ding)?(_|$)")
_MEMBERS = re.compile(r"^(batch|graph)(_?(idx|index|indices|ids?))?$")
_POOLS = re.compile(r"pool|embed|encod", re.I)


def never_empty(module: Module, mask: ast.expr, per_row: bool) -> bool:
    """Whether `mask` selects something by construction. per_row: in every row, and not only somewhere."""
    return _never(module, mask, per_row, 0)


def skips_nan_of(module: Module, mask: ast.expr, summand: ast.expr) -> bool:
    """Whether `mask` leaves out what is NaN in `summand` itself: the mean of nothing is then NaN by intention."""
    value = _stripped(module, mask)
    if isinstance(value, ast.Name):  # a parameter with that default
        made = [getattr(s, "value", None) for s in module.flow(value).stores(value.id)]
        value = made[0] if len(made) == 1 and isinstance(made[0], ast.expr) else value
    while isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Invert):
        value = _stripped(module, value.operand)
    op = tensor_op(module, value, "isnan", "isfinite") if isinstance(value, ast.Call) else None
    if op is None:
        return False
    text = words(module, op.input)
    return any(words(module, n) == text for n in _averaged(module, summand, 0))


def degenerate(module: Module, mask: ast.expr, node: ast.AST, per_row: bool) -> str:
    """Of which data alone `mask` selects nothing, in words; "" where ordinary batches may do it."""
    if _MEMBERS.match(words(module, mask).rpartition(".")[2]):
        return "members"  # which graph a node belongs to, counted per graph
    kinds = {_kind(module, leaf) for leaf in _leaves(module, mask, 0)}
    if "selected" in kinds or not kinds:
        return ""
    if kinds == {""}:
        return "padding" if _is_said_to_pad(module, mask, node, per_row) else ""
    return "padding" if "padding" in kinds else "own"


def _is_said_to_pad(module: Module, mask: ast.expr, node: ast.AST, per_row: bool) -> bool:
    """What the function says of a mask that came from elsewhere: its documentation, or that it pools examples."""
    function, cls = module.function(node), module.class_of(node)
    said = ast.get_docstring(function) if isinstance(function, ast.FunctionDef) else None
    if re.search(r"\b(length|padding|attention)[ _-]masks?\b", said or "", re.I):
        return True
    if not per_row:
        return False
    divided = getattr(node, "left", None)
    if isinstance(divided, ast.expr) and words(module, _stripped(module, divided)) == words(
        module, _stripped(module, mask)
    ):
        return True  # weights that add up to 1 in each row
    return any(_POOLS.search(getattr(f, "name", "")) for f in (function, cls))


# -- never -----------------------------------------------------------------------------------------------------


def _never(module: Module, node: ast.expr, per_row: bool, depth: int) -> bool:
    if depth > 12:
        return False
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        if found is None:
            return False
        if _writes_one(module, node, found, per_row):
            return True
        return found.value is not None and _never(module, found.value, per_row, depth + 1)
    if isinstance(node, ast.Subscript):
        return _keeps_rows(node) and _never(module, node.value, per_row, depth + 1)
    if isinstance(node, ast.IfExp):
        return all(_never(module, v, per_row, depth + 1) for v in (node.body, node.orelse))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return any(_never(module, v, per_row, depth + 1) for v in (node.left, node.right))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _comparison_holds(module, node)
    if not isinstance(node, ast.Call):
        return False
    compared = _equated(module, node)
    if compared is not None:
        return _meets_itself(module, *compared)
    inner = _kept(module, node)
    if inner is not None:
        return _never(module, inner, per_row, depth + 1)
    results = returned(module, node)
    return bool(results) and all(_never(module, r, per_row, depth + 1) for r in results)


def _kept(module: Module, node: ast.Call) -> ast.expr | None:
    """What a call rearranges or converts without leaving out an element."""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name not in _KEEPING:
        return None
    if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None:
        return node.func.value
    return node.args[0] if node.args else None


def _keeps_rows(node: ast.Subscript) -> bool:
    """`[:, None]`, `[..., None]`."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return all(
        (isinstance(p, ast.Slice) and p.lower is None and p.upper is None and p.step is None)
        or (isinstance(p, ast.Constant) and p.value in (None, ...))
        for p in parts
    )


def _writes_one(module: Module, read: ast.Name, found: Definition, per_row: bool) -> bool:
    """`mask[torch.arange(n), last] = 1`, `mask[:, 0] = True`: a one at a place, whatever stood there before."""
    for change in in_place_changes(module, read, found):
        statement = module.parent(change)
        if not isinstance(change, ast.Subscript) or not isinstance(statement, ast.Assign):
            continue
        if not reaches(module, change, read) or not constant(module, statement.value):
            continue
        places = change.slice.elts if isinstance(change.slice, ast.Tuple) else [change.slice]
        if all(_is_place(module, p, per_row) for p in places) and (len(places) > 1 or not per_row):
            return True
    return False


def _is_place(module: Module, node: ast.expr, per_row: bool) -> bool:
    """An index that exists: a number, all of a dimension, positions."""
    if isinstance(node, ast.Slice):
        return node.lower is None and node.upper is None
    if isinstance(node, ast.Constant):
        return node.value is ... or (isinstance(node.value, int) and not isinstance(node.value, bool))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_place(module, node.operand, per_row)
    value = module.flow(node).value(node)
    if any(isinstance(n, (ast.Compare, ast.Invert)) for n in walk(value)):
        return False
    if isinstance(node, ast.BinOp):
        return _is_place(module, node.left, False) and _is_place(module, node.right, False)
    called = getattr(value.func, "attr", "") if isinstance(value, ast.Call) else ""
    if called in ("arange", "argmax", "argmin", "long"):
        return True
    return isinstance(node, ast.Name) and (not per_row or "len" in node.id or "last" in node.id)


def _comparison_holds(module: Module, node: ast.Compare) -> bool:
    """Whether a comparison of a tensor certainly holds somewhere in each row."""
    left, op, right = node.left, node.ops[0], node.comparators[0]
    if isinstance(op, (ast.Gt, ast.GtE)) and not isinstance(right, ast.Constant) and _counts_up(module, right):
        left, op, right = right, {ast.Gt: ast.Lt, ast.GtE: ast.LtE}[type(op)](), left
    if isinstance(left, ast.Attribute) and getattr(left.value, "id", "") == "self" and isinstance(right, ast.Constant):
        return True  # what a module keeps is no data, and somebody made sure of it once
    if isinstance(op, ast.Lt):
        return _counts_up(module, left) and analysis(module).of(_stripped(module, right)).low >= 1
    if isinstance(op, ast.Eq) and _meets_itself(module, left, right):
        return True
    if isinstance(op, (ast.GtE, ast.LtE, ast.Eq)):
        extremes: tuple[str, ...] = ("max", "amax") if not isinstance(op, ast.LtE) else ("min", "amin")
        extremes += ("min", "amin") if isinstance(op, ast.Eq) else ()
        return _is_extreme_of(module, right, left, extremes, isinstance(op, ast.GtE))
    probability = re.search(r"prob|softmax", words(module, left).lower())
    return isinstance(op, ast.Gt) and constant(module, right) == 0 and probability is not None


def _equated(module: Module, node: ast.Call) -> tuple[ast.expr, ast.expr] | None:
    """The sides of `torch.eq(a, b)` and `a.eq(b)`."""
    if getattr(node.func, "attr", "") != "eq":
        return None
    sides = node.args if module.qualified(node.func) == "torch.eq" else [node.func.value, *node.args]  # type: ignore[attr-defined]
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _meets_itself(module: Module, left: ast.expr, right: ast.expr) -> bool:
    """Whether a vector is compared with its own transpose, or with that and more: `labels == labels.T`,
    `eq(ids, cat([ids.t(), queue]))`. Each element equals itself."""
    text = words(module, _turned(module, left))
    value = module.flow(right).value(right)
    joined = value.args[0] if isinstance(value, ast.Call) and last_part(value.func) == "cat" and value.args else None
    parts = joined.elts if isinstance(joined, (ast.Tuple, ast.List)) else [right]
    return any(words(module, _turned(module, p)) == text for p in parts)


def _turned(module: Module, node: ast.expr) -> ast.expr:
    """`node` without transpositions, views and new dimensions."""
    for _ in range(8):
        node = _stripped(module, node)
        if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "t":
            node = node.func.value
        else:
            break
    return node


def _counts_up(module: Module, node: ast.expr) -> bool:
    """Whether a row of it holds 0: `arange(n)`, a permutation, ranks."""
    value = _stripped(module, node)
    called = getattr(value.func, "attr", getattr(value.func, "id", "")) if isinstance(value, ast.Call) else ""
    if called == "arange" and isinstance(value, ast.Call):
        return len(value.args) == 1 or constant(module, value.args[0]) == 0
    return called in ("argsort", "randperm")


def _is_extreme_of(module: Module, node: ast.expr, of: ast.expr, names: tuple[str, ...], scaled: bool) -> bool:
    """Whether `node` is the maximum (or minimum) of `of`, or, where `scaled`, a part of it."""
    value = _stripped(module, node)
    if scaled and isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Div, ast.Mult)):
        factor = constant(module, value.right)
        if factor is None or factor < (1 if isinstance(value.op, ast.Div) else 0):
            return False
        if isinstance(value.op, ast.Mult) and factor > 1:
            return False
        value = _stripped(module, value.left)
    if isinstance(value, (ast.Subscript, ast.Attribute)):
        value = value.value
    if isinstance(value, ast.Name):
        found = module.flow(value).definition(value)
        if found is not None and found.whole is not None:
            value = found.whole
    op = tensor_op(module, value, *names) if isinstance(value, ast.Call) else None
    return op is not None and words(module, op.input) == words(module, of)


def _stripped(module: Module, node: ast.expr) -> ast.expr:
    """`node` through names, conversions and views."""
    for _ in range(12):
        value = module.flow(node).value(node)
        if isinstance(value, ast.Subscript) and _keeps_rows(value):
            value = value.value
        inner = _kept(module, value) if isinstance(value, ast.Call) else None
        if inner is None and value is node:
            return node
        node = inner if inner is not None else value
    return node


def _averaged(module: Module, node: ast.expr, depth: int) -> Iterator[ast.expr]:
    """The tensors whose own elements a sum adds up."""
    if depth > 8:
        return
    yield node
    if isinstance(node, ast.Name):
        for statement in module.flow(node).stores(node.id):
            value = getattr(statement, "value", None)
            if isinstance(value, ast.expr) and not isinstance(statement, ast.AugAssign):
                yield from _averaged(module, value, depth + 2)
    elif isinstance(node, ast.Subscript):
        yield from _averaged(module, node.value, depth + 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _averaged(module, node.left, depth + 1)
        yield from _averaged(module, node.right, depth + 1)
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        own = isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None
        if name in ("sum", "nansum", "masked_fill", "nan_to_num", "where", "mean") or name in _KEEPING:
            for part in [node.func.value] if own else node.args:  # type: ignore[attr-defined]
                yield from _averaged(module, part, depth + 1)
        elif name == "nanmean":
            yield from (n for n in walk(node) if isinstance(n, ast.Name))


# -- seldom ----------------------------------------------------------------------------------------------------


def _leaves(module: Module, node: ast.expr, depth: int) -> Iterator[ast.expr]:
    """What a mask is made of: parameters, comparisons, results of other functions."""
    if depth > 12:
        yield node
    elif isinstance(node, ast.Name):
        yield from _leaves_of_name(module, node, depth)
    elif isinstance(node, ast.Subscript) and not isinstance(getattr(node.slice, "value", None), str):
        yield from _leaves(module, node.value, depth + 1)
    elif isinstance(node, ast.UnaryOp):
        yield from _leaves(module, node.operand, depth + 1)
    elif isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            if constant(module, side) is None:
                yield from _leaves(module, side, depth + 1)
    elif isinstance(node, ast.IfExp):
        yield from _leaves(module, node.body, depth + 1)
        yield from _leaves(module, node.orelse, depth + 1)
    elif isinstance(node, ast.Call):
        yield from _leaves_of_call(module, node, depth)
    elif isinstance(node, ast.Constant):
        return
    else:
        yield node


def _leaves_of_name(module: Module, node: ast.Name, depth: int) -> Iterator[ast.expr]:
    if _kind_of_name(node.id) == "selected":
        yield node
        return
    found = module.flow(node).definition(node)
    if found is not None and found.value is not None:
        yield from _leaves(module, found.value, depth + 1)
        return
    passed = _passed(module, found) if found is not None and found.kind == "parameter" and depth < 6 else []
    if passed and not _kind_of_name(node.id):
        for argument in passed:
            yield from _leaves(module, argument, depth + 4)
        return
    yield node


def _leaves_of_call(module: Module, node: ast.Call, depth: int) -> Iterator[ast.expr]:
    inner = _kept(module, node)
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if inner is not None:
        yield from _leaves(module, inner, depth + 1)
    elif name in ("logical_and", "logical_or", "logical_not", "pad", "where") or (
        name in ("any", "all", "gather", "index_select", "squeeze", "chunk", "split", "masked_fill")
    ):
        parts = [*node.args]
        if isinstance(node.func, ast.Attribute) and module.qualified(node.func) is None:
            parts = [node.func.value, *(parts if name.startswith("logical") else [])]
        for part in parts if name.startswith(("logical", "where")) else parts[:1]:
            yield from _leaves(module, part, depth + 1)
    elif node.args and not _kind(module, node) and name.endswith(("patchify", "patches", "interpolate")):
        yield from _leaves(module, node.args[0], depth + 1)
    else:
        yield node


def _passed(module: Module, parameter: Definition) -> list[ast.expr]:
    """What the calls of this file pass for a parameter of a function; empty when some cannot be told."""
    function = parameter.statement
    if not isinstance(function, ast.FunctionDef) or module.text.count(function.name + "(") > 12:
        return []
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    out: list[ast.expr] = []
    for call in _calls_of(module, function):
        keyword = next((k.value for k in call.keywords if k.arg == parameter.name), None)
        place = names.index(parameter.name) if parameter.name in names else -1
        bound = isinstance(call.func, ast.Attribute) and bool(names) and names[0] in ("self", "cls")
        place -= bound
        if keyword is None and not 0 <= place < len(call.args):
            return []
        out.append(keyword if keyword is not None else call.args[place])
    return out


def _calls_of(module: Module, function: ast.FunctionDef) -> list[ast.Call]:
    known: dict[ast.AST, list[ast.Call]] = vars(module).setdefault("_calls_of", {})
    if function not in known:
        known[function] = [n for n in module.calls(function.name) if callee(module, n) is function]
    return known[function]


def _kind_of_name(name: str) -> str:
    plain = spaced(name).lower()
    if _OWN_CHOICE.search(plain):
        return "own"
    if _SELECTED.search(plain):
        return "selected"
    return "padding" if _PADDING.search(plain) else ""


def _kind(module: Module, leaf: ast.expr) -> str:
    """ "selected" for what labels or conditions on data choose, "padding", "own" for what the model chose itself."""
    if isinstance(leaf, ast.Compare):
        return _kind_of_comparison(module, leaf)
    if isinstance(leaf, ast.Subscript):
        return _kind_of_name(str(getattr(leaf.slice, "value", "")))
    if isinstance(leaf, ast.Attribute):
        own = _is_result_of_own(module, leaf.value) or getattr(leaf.value, "id", "") == "self"
        return _kind_of_name(leaf.attr) or ("own" if own else "")
    if isinstance(leaf, ast.Name):
        return _kind_of_name(leaf.id) or ("own" if _is_result_of_own(module, leaf) else "")
    if isinstance(leaf, ast.Call):
        name = getattr(leaf.func, "attr", getattr(leaf.func, "id", ""))
        if name in ("ne", "eq", "lt", "gt", "le", "ge"):
            compared = leaf.func.value if isinstance(leaf.func, ast.Attribute) else leaf
            if any(_PADDED_WITH.search(words(module, a).rpartition(".")[2].lower()) for a in leaf.args):
                return "padding"
            return "padding" if name == "ne" and _is_told_by_zeros(module, compared, leaf.args) else "selected"
        return "padding" if _BUILDERS.search(name) else _kind_of_name(name)
    return "selected"


def _kind_of_comparison(module: Module, node: ast.Compare) -> str:
    """`ids != pad_id` and `arange(n) < lengths` tell padding; `labels != -100` and `error > t` select."""
    sides = [node.left, *node.comparators]
    said = [words(module, s).rpartition(".")[2].lower() for s in sides]
    if any(_PADDED_WITH.search(s) for s in said):
        return "padding"
    if any(_counts_up(module, s) for s in sides):
        return "padding"
    if isinstance(node.ops[0], ast.NotEq) and constant(module, node.comparators[0]) == 0:
        if _is_told_by_zeros(module, node.left, node.comparators):
            return "padding"
        return "padding" if _OF_IDS.search(said[0]) and not _SELECTED.search(said[0]) else "selected"
    return "selected"


def _is_told_by_zeros(module: Module, node: ast.expr, other: list[ast.expr]) -> bool:
    """`x.abs().sum(-1).ne(0)`: frames that hold nothing but zeros are padding."""
    value = _stripped(module, node)
    op = tensor_op(module, value, "sum", "any", "norm", "amax") if isinstance(value, ast.Call) else None
    return op is not None and "dim" in op.args and len(other) == 1 and constant(module, other[0]) == 0


def _is_result_of_own(module: Module, node: ast.expr) -> bool:
    """Whether it comes out of a call of the model itself, `out = self.encoder(x)`, that this file does not show."""
    if not isinstance(node, ast.Name):
        return False
    found = module.flow(node).definition(node)
    statement = found.statement if found is not None else None
    call = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    func = call.func if isinstance(call, ast.Call) else None
    return isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self"
