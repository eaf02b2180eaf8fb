"""Divisions however they are spelled, and what protects their denominators."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autofix.guards import conditions
from autofix.ops import tensor_op
from autofix.relations import words
from autofix.syntax import Module
from autofix.tree import walk

_INFERENCE = re.compile(r"(Pipeline|Processor(Fast|Pil)?|FeatureExtractor|Scheduler|Tokenizer(Fast)?|Guider|Guidance)$")

_CHECKS = re.compile(r"(^|_)(check|assert|require|ensure|validate|torch_assert)(_|$)", re.I)

# A division in the text, for `Rule.beside`. Not those by a number, by an attribute of `self` as it is, or by the root
# of a head's size, as in every attention; not the `/` of an address or a path in a string.
_DENOMINATOR = (
    r"/=?\s*(?!self\.\w+(?![\w.\[(]))(?!math\.sqrt\((?:self\.)?\w*(?:dim|size|d_k)\w*\))"
    r"(?:[^\W\d]|[(\[{\\~+-]|\d[\w.]*\s*\*\*)"
)
_DIVIDED = _DENOMINATOR.replace("/", r"/(?<=[\s)\]]/)", 1)  # begins with a literal, which `re` skips to
DIVIDES = (
    rf"{_DIVIDED}|(?:[=(\[{{,+*<>:-]|\b(?:return|if|else|and|or|not|in))\s*[\w.]+{_DENOMINATOR}"
    r"|\.(?:div_?|divide|true_divide)\("
)


@dataclass(frozen=True, slots=True)
class Division:
    """A division of torch tensors or Python numbers; `numerator` is what is divided."""

    node: ast.AST
    numerator: ast.expr
    denominator: ast.expr


def division(module: Module, node: ast.AST) -> Division | None:
    if isinstance(node, ast.BinOp):
        return Division(node, node.left, node.right) if isinstance(node.op, ast.Div) else None
    if isinstance(node, ast.AugAssign):
        return Division(node, node.target, node.value) if isinstance(node.op, ast.Div) else None
    name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
    if name not in ("div", "div_", "divide", "true_divide"):
        return None
    op = tensor_op(module, node, "div", "div_", "true_divide")
    other = op.args.get("other") if op is not None and len(op.args) == 1 else None
    return Division(node, op.input, other) if op is not None and other is not None else None


def is_torch(module: Module) -> bool:
    """Whether the file imports torch: arrays of other libraries have sums and norms too."""
    known = vars(module).get("_is_torch")
    if known is None:
        known = any(_imports_torch(s) for s in _imports(module.tree.body))
        vars(module)["_is_torch"] = known
    return bool(known)


def _imports(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a file outside functions and classes."""
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _imports([*statement.body, *statement.orelse])


def _imports_torch(statement: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and (statement.module or "").partition(".")[0] == "torch"
    return any(a.name.partition(".")[0] == "torch" for a in statement.names)


def is_numpy(module: Module, node: ast.AST) -> bool:
    """Whether the function around `node` computes with numpy or jax, whose arrays have no `clamp_min`."""
    scope = module.flow(node).scope
    known: dict[ast.AST, bool] = vars(module).setdefault("_is_numpy", {})
    if scope not in known:
        known[scope] = any(
            isinstance(n, ast.Attribute)
            and isinstance(n.value, ast.Name)
            and (module.qualified(n.value) or n.value.id) in ("numpy", "np", "jax.numpy", "jnp", "cupy")
            and n.attr not in ("inf", "pi", "Inf", "float32", "prod", "sqrt", "log", "exp")
            for n in walk(scope)
        )
    return known[scope]


def is_inference(module: Module, node: ast.AST) -> bool:
    """Whether a class around `node` prepares inputs, runs a trained model or is an optimizer: no gradient flows."""
    classes = [a for a in module.ancestors(node) if isinstance(a, ast.ClassDef)]
    names = [getattr(b, "attr", getattr(b, "id", "")) for c in classes for b in c.bases]
    return any(_INFERENCE.search(c.name) for c in classes) or "Optimizer" in names


def is_guarded(module: Module, node: ast.AST, about: Iterable[ast.expr]) -> bool:
    """Whether a test on the way to `node` looks at one of these values (other than for None, type or shape)."""
    texts = {words(module, a) for a in about}
    tests = [test for test, _ in conditions(module, node)] + list(_checked(module, node))
    return any(_looks_at(module, t, texts) for test in tests for t in _meanings(module, test))


def _checked(module: Module, node: ast.AST) -> Iterator[ast.expr]:
    """What calls such as `check(bool((count > 6).all()), "...")` above `node`, in its block, were given to judge."""
    statement = module.statement(node)
    block = module.block(statement)
    for earlier in block[: block.index(statement)]:
        call = earlier.value if isinstance(earlier, ast.Expr) else None
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if _CHECKS.search(name) and any(isinstance(n, ast.Compare) for n in walk(call.args[0])):
            yield call.args[0]


def _meanings(module: Module, test: ast.expr) -> list[ast.expr]:
    """A test, and what the names in it stand for."""
    names = [n for n in walk(test) if isinstance(n, ast.Name)]
    values = [(n, module.flow(n).value(n)) for n in names]
    return [test, *(v for n, v in values if v is not n)]


def _looks_at(module: Module, test: ast.expr, texts: set[str]) -> bool:
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
        return False
    for part in walk(test):
        if not isinstance(part, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) or words(module, part) not in texts:
            continue
        parent = module.parent(part)
        if isinstance(parent, ast.Call) and part in parent.args and getattr(parent.func, "id", "") in ("isinstance",):
            continue
        if isinstance(parent, ast.Attribute) and parent.attr in (
            "dtype",
            "device",
            "ndim",
            "dim",
            "shape",
            "size",
            "numel",
        ):
            continue
        if isinstance(parent, ast.Compare) and isinstance(parent.ops[0], (ast.Is, ast.IsNot)):
            continue
        return True
    return False


def is_chosen_away(module: Module, node: ast.AST) -> bool:
    """Whether the quotient is one side of a `where`, or is filled over afterwards: another rule's business."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.stmt):
            return _is_patched(module, ancestor)
        name = getattr(ancestor.func, "attr", "") if isinstance(ancestor, ast.Call) else ""
        if name in ("where", "masked_fill", "masked_fill_", "minimum", "clamp", "clamp_max", "clip"):
            return True
    return False


def _is_patched(module: Module, statement: ast.stmt) -> bool:
    """Whether the name that a statement binds is repaired, or looked at for NaN, further down."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    names = {t.id for t in targets if isinstance(t, ast.Name)}
    if not names:
        return False
    for node in walk(module.flow(statement).scope):
        if getattr(node, "lineno", 0) < statement.lineno:
            continue
        if isinstance(node, ast.Subscript):
            is_store = not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name)
            if is_store and getattr(node.value, "id", "") in names:
                return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in ("where", "masked_fill", "masked_fill_", "isnan", "isfinite", "isinf"):
                continue
            operands = [*node.args, getattr(node.func, "value", None)]
            if any(isinstance(n, ast.Name) and n.id in names for o in operands if o is not None for n in walk(o)):
                return True
    return False
