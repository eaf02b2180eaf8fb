"""What the attributes of a module are: normalisations, attention, feed-forward layers; and what passes through them."""

from __future__ import annotations

import ast
import re

from autofix.syntax import Module
from autofix.tree import last_part, walk

_LAYER_NORM = re.compile(r"\w*(Layer_?Norm|RMS_?Norm)(\d[dD])?|T5LayerNorm\w*", re.I)
_ATTENTION = re.compile(r"attention|attn|^MHA$|^SelfAtt", re.I)
_FEED_FORWARD = re.compile(r"mlp|feed_?forward|ffn|^FF$|position_?wise|^MoE|SparseMoe", re.I)
_SAME = re.compile(r"dropout|drop_?path|identity|stochastic_?depth", re.I)
_SAME_CALLS = frozenset(
    ("dropout", "dropout_", "to", "type_as", "contiguous", "float", "half", "bfloat16", "view", "reshape", "permute",
     "transpose", "drop_path")
)  # fmt: skip
_SUBLAYER_METHOD = re.compile(r"(^|_)(sa|mha|ca|ff|attn|attention|mlp|ffn|feed_forward)(_|$)", re.I)
_DEPTH = 12


def own(node: ast.AST) -> str:
    """The attribute that `self.<name>` names; empty for anything else."""
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own else ""  # type: ignore[attr-defined]


def makers(module: Module, cls: ast.ClassDef, name: str) -> list[ast.expr]:
    """The calls that may have made `self.<name>`: both sides of a choice; none where the class does not show it."""
    value = module.self_attribute(cls, name)
    sides = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
    return [s.func for s in sides if isinstance(s, ast.Call)]


def is_layer_norm(module: Module, cls: ast.ClassDef, name: str) -> bool:
    """Whether `self.<name>` is certainly a normalisation over features: LayerNorm, RMSNorm and their kin."""
    made = makers(module, cls, name)
    return bool(made) and all(_LAYER_NORM.fullmatch(last_part(m)) for m in made)


def kind_of(module: Module, cls: ast.ClassDef, name: str) -> str:
    """ "attention", "feed-forward", "linear" or "same" (dropout and its kin) of `self.<name>`; empty when unknown."""
    made = [last_part(m) for m in makers(module, cls, name)]
    if not made:
        return _kind(name) if module.self_attribute(cls, name) is not None else ""
    if all(_SAME.search(m) for m in made):
        return "same"
    if all(m in ("Linear", "Conv1D", "Conv1d") for m in made):
        return "linear"
    if made == ["Sequential"]:
        value = module.self_attribute(cls, name)
        layers = [n for n in walk(value) if isinstance(n, ast.Call) and last_part(n.func) == "Linear"] if value else []
        return "feed-forward" if len(layers) > 1 else ""
    kinds = {_kind(m) for m in made}
    return next(iter(kinds)) if len(kinds) == 1 else ""


def _kind(word: str) -> str:
    if _ATTENTION.search(word):
        return "attention"
    return "feed-forward" if _FEED_FORWARD.search(word) else ""


def passed_through(module: Module, node: ast.expr) -> ast.expr:
    """What a value is before dropout, casts and reshapes, through names with one definition and unpacked results."""
    cls = module.class_of(node)
    for _ in range(_DEPTH):
        if isinstance(node, ast.Name):
            found = module.flow(node).definition(node)
            if found is None:
                return node
            value = found.value
            if value is None and found.kind == "unpack" and isinstance(found.statement, ast.Assign):
                value = _first(found.statement, node.id)
            if value is None:
                return node
            node = value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == 0:
            node = node.value
        elif isinstance(node, ast.Call) and node.args and cls is not None:
            name = own(node.func)
            if not (kind_of(module, cls, name) == "same" if name else last_part(node.func) in _SAME_CALLS):
                return node
            is_method = isinstance(node.func, ast.Attribute) and not name and module.qualified(node.func) is None
            node = node.func.value if is_method else node.args[0]  # type: ignore[attr-defined]
        else:
            return node
    return node


def _first(statement: ast.Assign, name: str) -> ast.expr | None:
    """The value of `name, ... = value`."""
    target = statement.targets[0]
    if not isinstance(target, (ast.Tuple, ast.List)) or not target.elts:
        return None
    return statement.value if isinstance(target.elts[0], ast.Name) and target.elts[0].id == name else None


def sublayer(module: Module, node: ast.expr) -> str:
    """The kind of the sublayer whose result a value is, dropout and names apart; empty when it is none's."""
    found = passed_through(module, node)
    cls = module.class_of(node)
    if not isinstance(found, ast.Call) or cls is None:
        return ""
    name = own(found.func)
    if not name:
        return ""
    kind = kind_of(module, cls, name)
    if kind == "linear":  # `self.linear2(self.dropout(F.relu(self.linear1(x))))`
        return "feed-forward" if _is_second(module, cls, found) else "linear"
    if not kind and module.method(cls, name) is not None and _SUBLAYER_METHOD.search(name):
        return _kind(name) or "feed-forward"
    return "" if kind == "same" else kind


def _is_second(module: Module, cls: ast.ClassDef, call: ast.Call) -> bool:
    """Whether another linear layer is applied, and something to its result, before this one."""
    node: ast.expr = call
    for _ in range(_DEPTH):
        if not isinstance(node, ast.Call) or not node.args:
            return False
        node = passed_through(module, node.args[0])
        if isinstance(node, ast.Call) and own(node.func) and kind_of(module, cls, own(node.func)) == "linear":
            return True
    return False


def calls_in(function: ast.AST) -> list[ast.Call]:
    """Every call of a function, in source order."""
    found = [n for n in walk(function) if isinstance(n, ast.Call)]
    return sorted(found, key=lambda n: (n.lineno, n.col_offset))


def has_no_branches(function: ast.AST) -> bool:
    """Whether a function decides nothing by the model's settings (`if self.pre_norm:`)."""
    return not any(
        isinstance(n, (ast.If, ast.IfExp)) and any(own(part) for part in walk(n.test)) for n in walk(function)
    )


def is_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
