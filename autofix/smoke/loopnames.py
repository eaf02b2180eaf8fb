"""Reading a training loop: calls, names, what a name is known to hold, and which names mean the same model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeGuard

from autofix.syntax import Module

Side = tuple[Module, tuple[ast.stmt, ...]]
BACKWARD = ("backward", "manual_backward", "backward_pass")
STEP = ("step", "optimizer_step")
_TRAINING = {*BACKWARD, *STEP, "unscale_", "clip_grad_norm_", "clip_grad_value_", "zero_grad"}
_CLIPS = re.compile(r"clip_?grad|grad(ient)?s?_?clip", re.I)
_NOISE_WORDS = re.compile(r"optimi[sz]ers?|optim|opt|models?|nets?|network|parameters|params|self|module", re.I)
_SUFFIXES = (".module", "._orig_mod")


def training_calls(node: ast.AST) -> bool:
    return called(node, *_TRAINING)


def called(node: ast.AST, *methods: str) -> bool:
    """Whether a method of one of these names is called in the node's own function (or module)."""
    return any(isinstance(c.func, ast.Attribute) and c.func.attr in methods for c in calls([node]))


def clips_by_name(call: ast.Call) -> bool:
    """Whether an attribute that is named as a clip is called with a model's parameters alone: a clip whose bound is set
    elsewhere."""
    if not isinstance(call.func, ast.Attribute) or not _CLIPS.search(call.func.attr) or len(call.args) != 1:
        return False
    return not call.keywords and nameable(call.func) and bool(models_in(call.args[0]))


def calls(body: Iterable[ast.AST]) -> Iterator[ast.Call]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                yield node


def unwrapped(path: str) -> str:
    """A model's path without the wrappers around it."""
    for suffix in _SUFFIXES:
        path = path.removesuffix(suffix)
    return path


def nameable(node: ast.AST) -> bool:
    """A name, or attributes and constant subscripts of one."""
    while True:
        if isinstance(node, ast.Name):
            return True
        if isinstance(node, ast.Attribute) or (
            isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        ):
            node = node.value
            continue
        return False


def models_in(node: ast.AST) -> list[str]:
    """Models whose `parameters()` the expression reads."""
    out = []
    for call in calls([node]):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("parameters", "named_parameters"):
            owner: ast.AST = call.func.value
            if isinstance(owner, ast.Call) and len(owner.args) == 1:  # accelerator.unwrap_model(model)
                owner = owner.args[0]
            if nameable(owner):
                out.append(unwrapped(ast.unparse(owner)))
    return list(dict.fromkeys(out))


def imported(module: Module, body: Iterable[ast.stmt]) -> dict[str, str]:
    """What names of the statements mean that the file imports."""
    out = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                dotted = module.names.lookup(node.id, node)
                if dotted:
                    out[node.id] = dotted
    return out


def constants(sides: Sequence[Side]) -> dict[str, Any]:
    """Numbers that names of the loop are known to hold: constants of the function or module, parameter
    defaults, attributes that the class sets once."""
    module, body = sides[0]
    bound = {n.id for _, b in sides for s in b for n in ast.walk(s) if is_store(n)}
    out: dict[str, Any] = {}
    for statement in body:
        flow = module.flow(statement)
        cls = module.class_of(statement)
        for node in ast.walk(statement):
            value: ast.expr | None = None
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
                value = flow.value(node)
                if value is node:
                    value = _default(module, node) or _global(module, node.id)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self" and cls is not None:
                value = module.self_attribute(cls, node.attr)
            if isinstance(value, ast.Constant) and type(value.value) in (int, float):
                out[ast.unparse(node)] = value.value
    return out


def divisors(sides: Sequence[Side]) -> set[str]:
    """Names and attributes that a counter is divided by: every so many turns (`step % self.every == 0`)."""
    nodes = [n for _, body in sides for s in body for n in ast.walk(s) if isinstance(n, ast.BinOp)]
    found = [n.right for n in nodes if isinstance(n.op, ast.Mod) and not isinstance(n.left, ast.Constant)]
    return {ast.unparse(n) for n in found if nameable(n) and not isinstance(n, ast.Subscript)}


def counters(sides: Sequence[Side]) -> list[str]:
    """Names and attributes that the loop only adds to: they start at 0."""
    added: set[str] = set()
    bound: set[str] = set()
    for _, body in sides:
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and nameable(node.target):
                    added.add(ast.unparse(node.target))
                elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.For)):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    bound.update(ast.unparse(n) for t in targets for n in ast.walk(t) if nameable(n))
    return sorted(path for path in added - bound if "[" not in path)


def of_tensors(constructor: ast.Call) -> bool:
    """Whether an optimizer is built for single tensors: `Adam([log_alpha])`."""
    return bool(constructor.args) and isinstance(constructor.args[0], ast.List)


def is_zero_grad(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "zero_grad"


def is_store(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)


def arithmetic_names(node: ast.expr) -> set[str]:
    """The names that an expression is computed from directly: `(a + b) / n` gives a, b and n."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.BinOp):
        names = arithmetic_names(node.left)
        return names | arithmetic_names(node.right) if isinstance(node.op, (ast.Add, ast.Sub)) else names
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("mean", "sum"):
        return arithmetic_names(node.func.value)
    return set()


_WRAPPERS = {
    "DistributedDataParallel", "DDP", "DataParallel", "FSDP", "FullyShardedDataParallel", "prepare", "setup", "compile",
    "setup_module", "convert_sync_batchnorm", "initialize", "to", "cuda", "cpu", "half", "float", "train",
    "unwrap_model", "prepare_model",
}  # fmt: skip


def aliases(module: Module) -> dict[str, str]:
    """Names of the file that hold the same model (`self.model = DDP(net)`), each with the first of them."""
    groups: dict[str, str] = {}

    def first(path: str) -> str:
        while groups.get(path, path) != path:
            path = groups[path]
        return path

    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Call) and len(value.args) == len(target.elts):
            wraps = isinstance(value.func, ast.Attribute) and value.func.attr in _WRAPPERS
            pairs = list(zip(target.elts, value.args, strict=True)) if wraps else []
        for one, two in pairs:
            source = _wrapped(two)
            if source is not None and nameable(one):
                groups[first(ast.unparse(one))] = first(source)
    return {path: first(path) for path in groups}


def _wrapped(node: ast.expr) -> str | None:
    """The name that an expression passes on, as it is, wrapped or moved."""
    for _ in range(6):
        if nameable(node):
            return unwrapped(ast.unparse(node))
        if not isinstance(node, ast.Call):
            return None
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _WRAPPERS:
            return None
        moved = isinstance(node.func, ast.Attribute) and name in ("to", "cuda", "cpu", "half", "float", "train")
        if moved and isinstance(node.func, ast.Attribute):
            node = node.func.value
        elif node.args:
            node = node.args[0]
        else:
            return None
    return None


def _default(module: Module, name: ast.Name) -> ast.expr | None:
    """The default of the parameter that `name` reads."""
    function = module.function(name)
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    positional = [*function.args.posonlyargs, *function.args.args]
    table = dict(zip([a.arg for a in reversed(positional)], reversed(function.args.defaults), strict=False))
    named = dict(zip([a.arg for a in function.args.kwonlyargs], function.args.kw_defaults, strict=True))
    return table.get(name.id) or named.get(name.id)


def _global(module: Module, name: str) -> ast.expr | None:
    """The value of a name that the module assigns exactly once, at its top level."""
    assignments = [s for s in module.tree.body if isinstance(s, ast.Assign)]
    values = [s.value for s in assignments if any(ast.unparse(t) == name for t in s.targets)]
    return values[0] if len(values) == 1 else None


def pairs(optimizers: list[str], models: list[str]) -> dict[str, str]:
    """The model that each optimizer's name suggests, the clearest first: `opt_g` and `netG`, `disc_optim` and `disc`;
    the last one left on either side go together."""
    scored = [(_likeness(o, m), -i, -j, o, m) for i, o in enumerate(optimizers) for j, m in enumerate(models)]
    out: dict[str, str] = {}
    for score, _, _, one, two in sorted(scored, reverse=True):
        if score and one not in out and two not in out.values():
            out[one] = two
    left = [o for o in optimizers if o not in out]
    rest = [m for m in models if m not in out.values()]
    if len(left) == len(rest) == 1:
        out[left[0]] = rest[0]
    return out


def _likeness(one: str, two: str) -> int:
    a, b = (_NOISE_WORDS.sub("", p).strip("_.").lower() for p in (one, two))
    if not a or not b:
        return 0
    if a in b or b in a:
        return min(len(a), len(b)) + 1
    return 1 if a[0] == b[0] else 0
