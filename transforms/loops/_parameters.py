"""The parameters that an optimizer steps, spelled where it steps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import bindings, enclosing_scopes, last_name, parameter, stores_in, wraps
from autofix.transforms.loops._clipping import parameters_argument
from autofix.transforms.loops._loops import is_optimizer_call
from autofix.tree import walk

_EMBEDDINGS = ("Embedding", "EmbeddingBag", "from_pretrained")
_WIDTH = 100  # a longer line is broken inside its brackets
_WRAPPED_NAME = re.compile(r"^(model|net|network|module|policy)$")


@dataclass(frozen=True, slots=True)
class Parameters:
    """text: the source of an iterable of parameters. owner: the module in `<owner>.parameters()`, when it is that."""

    text: str
    owner: ast.expr | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """width: columns before a line; unit: the white space of one more level."""

    width: int
    unit: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Why the parameters cannot be named."""

    reason: str


def parameters_of(module: Module, optimizer: ast.expr, at: ast.AST) -> Parameters | Unclear:
    """What to pass to `clip_grad_norm_` for `optimizer` at the node `at`."""
    if _averages_in_step(module, optimizer):
        return Unclear("gradients are averaged over the workers inside its step; synchronise them first, then clip")
    found = bindings(module, optimizer)
    named = [_named(module, s, v, at) for s, v in found if v is not None]
    if found and len(named) == len(found) and all(n is not None for n in named):
        first = named[0]
        if first is not None and all(n is not None and n.text == first.text for n in named):
            return first
    odd = next((v for _, v in found if v is not None and _is_wrapper(module, v)), None)
    if isinstance(odd, ast.Call):
        return Unclear(f"{module.source(odd.func)} may not expose the parameters it steps; clip inside it")
    reason = _odd_annotation(module, optimizer)
    if reason:
        return Unclear(reason)
    return Parameters(from_groups(module, optimizer))


def _averages_in_step(module: Module, optimizer: ast.expr) -> bool:
    """Whether the optimizer was wrapped in one that communicates when it steps (Horovod's and its like)."""
    values = [v for _, v in bindings(module, optimizer)]
    if isinstance(optimizer, ast.Name):
        for scope in enclosing_scopes(module, optimizer):
            values += [s.value for s in stores_in(module, scope, optimizer.id) if isinstance(s, ast.Assign)]
    return any(isinstance(v, ast.Call) and last_name(v.func).startswith("Distributed") for v in values)


def from_groups(module: Module, optimizer: ast.expr) -> str:
    """Every parameter of an optimizer, whatever it was built from."""
    quote = "'" if module.text.count("'") > module.text.count('"') else '"'
    return f"[p for group in {module.source(optimizer)}.param_groups for p in group[{quote}params{quote}]]"


def laid_out(function: str, first: str, rest: str, layout: Layout) -> tuple[str, ...]:
    """A call as one line, or as three where one would be too long at its indentation."""
    line = f"{function}({first}, {rest})"
    fits = layout.width + len(line) <= _WIDTH
    return (line,) if fits else (f"{function}(", f"{layout.unit}{first}, {rest}", ")")


def _is_wrapper(module: Module, value: ast.expr) -> bool:
    """A class of unknown make around an optimizer: it may lack `param_groups`."""
    if not isinstance(value, ast.Call):
        return False
    name = last_name(value.func)
    dotted = module.qualified(value.func) or ""
    if dotted.startswith("torch.") or not name[:1].isupper():
        return False
    local = any(isinstance(n, ast.ClassDef) and n.name == name for n in module.tree.body)
    if local:
        cls = next(n for n in module.tree.body if isinstance(n, ast.ClassDef) and n.name == name)
        return not any(re.search(r"Optimi[sz]er$|Adam|SGD", last_name(b)) for b in cls.bases)
    return not is_optimizer_call(module, value) or bool(re.search(r"Optim(izer)?$", name)) or "hvd" in dotted


def _odd_annotation(module: Module, optimizer: ast.expr) -> str:
    if not isinstance(optimizer, ast.Name):
        return ""
    for scope in enclosing_scopes(module, optimizer):
        found = parameter(scope, optimizer.id)
        if found is None or found.annotation is None:
            continue
        text = module.source(found.annotation)
        if re.search(r"(^|[.\W])(Optimizer|Any|Adam\w*|SGD|RMSprop)\b", text):
            return ""
        return f"{text} may not expose the parameters it steps; clip inside it"
    return ""


def _named(module: Module, statement: ast.stmt, value: ast.expr | None, at: ast.AST) -> Parameters | None:
    """The constructor's own expression, when it means the same parameters at `at`."""
    if not isinstance(value, ast.Call):
        return None
    expression = parameters_argument(value)
    if expression is None:
        return None
    if isinstance(expression, ast.Name):
        behind = module.flow(expression).definition(expression)
        if behind is None or behind.value is None or not isinstance(behind.statement, ast.stmt):
            return None
        if not _reusable(module, behind.value):
            return None
        statement = behind.statement
        if isinstance(behind.value, (ast.ListComp, ast.BinOp)) or last_name(behind.value) == "list":
            value_text = expression.id
            return Parameters(value_text) if holds(module, expression, statement, at) else None
        expression = behind.value
    if not _reusable(module, expression) or not holds(module, expression, statement, at):
        return None
    while isinstance(expression, ast.Call) and last_name(expression.func) in ("list", "tuple"):
        expression = expression.args[0]
    text = module.source(expression)
    if "\n" in text or "\r" in text or "#" in text:
        return None
    called = expression.func if isinstance(expression, ast.Call) else None
    return Parameters(text, called.value if isinstance(called, ast.Attribute) else None)


def _reusable(module: Module, node: ast.expr) -> bool:
    """Whether evaluating an expression again gives the same parameters."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parameters":
        return not node.args and not node.keywords and _is_path(node.func.value)
    if isinstance(node, ast.Call):
        name = last_name(node.func)
        if name in ("list", "tuple") and len(node.args) == 1 and not node.keywords:
            return _reusable(module, node.args[0])
        if module.qualified(node.func) == "itertools.chain" and not node.keywords:
            return all(_reusable(module, a) for a in node.args)
        if name == "filter" and len(node.args) == 2 and isinstance(node.args[0], ast.Lambda):
            return "requires_grad" in module.source(node.args[0]) and _reusable(module, node.args[1])
        return False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _reusable(module, node.left) and _reusable(module, node.right)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)) and len(node.generators) == 1:
        plain = isinstance(node.elt, ast.Name) and isinstance(node.generators[0].target, ast.Name)
        conditions = all("requires_grad" in module.source(c) for c in node.generators[0].ifs)
        return plain and conditions and _reusable(module, node.generators[0].iter)
    return False


def _is_path(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def holds(module: Module, expression: ast.expr, built: ast.stmt, at: ast.AST) -> bool:
    """Whether every name in an expression means at `at` what it meant in the statement `built`."""
    inner = {
        n.id
        for part in walk(expression)
        for n in walk(part)
        if isinstance(part, (ast.comprehension, ast.arguments))
        for n in walk(part)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    } | {a.arg for a in walk(expression) if isinstance(a, ast.arg)}
    names = [n for n in walk(expression) if isinstance(n, ast.Name) and n.id not in inner]
    return all(_same_meaning(module, n, built, at) for n in names)


def _same_meaning(module: Module, name: ast.Name, built: ast.stmt, at: ast.AST) -> bool:
    here, there = enclosing_scopes(module, at), module.function_scope(built)
    if name.id == "self":
        return module.class_of(at) is module.class_of(built)
    if module.names.lookup(name.id, name) or name.id in ("list", "tuple", "filter", "chain"):
        return True
    home = next((s for s in enclosing_scopes(module, built) if _binds(module, s, name.id)), None)
    seen = next((s for s in here if _binds(module, s, name.id)), None)
    if home is None or home is not seen or there not in (*here, home):
        return False
    until: int = at.lineno  # type: ignore[attr-defined]
    later = [s for s in stores_in(module, home, name.id) if built.lineno < s.lineno <= until]
    return all(wraps(s, name.id) for s in later)


def _binds(module: Module, scope: ast.AST, name: str) -> bool:
    return parameter(scope, name) is not None or bool(stores_in(module, scope, name))


def wrapped_module(module: Module, parameters: Parameters | Unclear, at: ast.AST) -> str | None:
    """The module whose parameters are stepped, for clipping calls that take the module itself."""
    if isinstance(parameters, Parameters) and parameters.owner is not None:
        return module.source(parameters.owner)
    accumulated = _accumulated_module(module, at)
    if accumulated:
        return accumulated
    function = module.function_scope(at)
    args = getattr(function, "args", None)
    if not isinstance(args, ast.arguments):
        return None
    names = [a.arg for a in [*args.posonlyargs, *args.args, *args.kwonlyargs] if _WRAPPED_NAME.match(a.arg)]
    return names[0] if len(names) == 1 else None


def _accumulated_module(module: Module, at: ast.AST) -> str | None:
    """`model` in `with accelerator.accumulate(model):` around the step."""
    for ancestor in module.ancestors(at):
        for item in ancestor.items if isinstance(ancestor, ast.With) else []:
            call = item.context_expr
            if isinstance(call, ast.Call) and last_name(call.func) == "accumulate" and len(call.args) == 1:
                return module.source(call.args[0]) if _is_path(call.args[0]) else None
    return None


def unsupported_sharding(module: Module) -> str:
    """Why `clip_grad_norm_` would be wrong or fail on parameters that are spread over workers; empty when it works.

    Every rank of the original FullyShardedDataParallel sees the norm of its own shards only; parameters on several
    device meshes (tensor parallelism) have no common norm; neither have experts of which each worker holds others.
    `fully_shard` (FSDP2) is fine.
    """
    if re.search(r"\bparallelize_module\b", module.text):
        return "the norm of tensor-parallel parameters has to be gathered over their device meshes first"
    if re.search(r"skip_allreduce|\bexpert_parallel|\bep_(size|group)\b", module.text):
        return "experts are spread over the workers, and each would clip by a norm of its own: gather the norm first"
    if re.search(r"\bFullyShardedDataParallel\b|\bFSDP\(", module.text) or (
        re.search(r"fsdp", module.text)
        and not re.search(r"fsdp2|fully_shard|shard_model|\bDTensor\b", module.text, re.I)
    ):
        return "with FullyShardedDataParallel the wrapped module's own clip_grad_norm_ has to be called"
    return ""


def has_sparse_gradients(module: Module, optimizer: ast.expr, made_of: Iterable[ast.AST]) -> bool:
    """Whether the gradients are, or may be, sparse tensors, which have no vector norm (PyTorch raises).

    made_of: the nodes of the stepped model, of whichever file.
    """
    values = [v for _, v in bindings(module, optimizer)]
    if any(isinstance(v, ast.Call) and last_name(v.func) == "SparseAdam" for v in values):
        return True
    if re.search(r"\bEmbedding(Bag)?\(", module.text) and re.search(r"\bsparse\s*=\s*True\b", module.text):
        return True
    embeddings = (n for n in made_of if isinstance(n, ast.Call) and last_name(n.func) in _EMBEDDINGS)
    return any(_is_sparse(k) for e in embeddings for k in e.keywords)


def _is_sparse(keyword: ast.keyword) -> bool:
    """`sparse=True`, or a setting that decides it."""
    return keyword.arg == "sparse" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)


def is_sharded(module: Module, owner: ast.expr) -> bool:
    """Whether a module was wrapped in FullyShardedDataParallel, whose shards only its own method can measure."""
    if not isinstance(owner, (ast.Name, ast.Attribute)):
        return False
    for node in walk(module.tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if last_name(node.value.func) in ("FSDP", "FullyShardedDataParallel") and any(
            module.source(t) == module.source(owner) for t in node.targets
        ):
            return True
    return False
