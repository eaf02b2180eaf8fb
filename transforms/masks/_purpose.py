"""Whether a fill belongs to attention that is trained: the questions on which both rules of the family stand."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.masks._reach import End, Fate
from autofix.transforms.masks._sites import MASK_NAME, Site, attribute_value, without_casts
from autofix.tree import walk

_ATTENTION = re.compile(
    r"att(?:n|en|ention)?s?_?(?:\w*_)?(?:mask|bias|weight|score|logit|prob)"
    r"|(?:causal|padding|extended|src|tgt|expanded|inverted|window|sliding|local|self|cross)_?(?:\w+_)?mask",
    re.I,
)
_MASK_MAKER = re.compile(r"mask", re.I)
_SAMPLING = re.compile(
    r"sampl|generat|decod(?:e|ing)(?:_|$)|beam|top_?[kp](?:_|$)|nucleus|viterbi|crf|warp|logits?_?process|greedy"
    r"|(?:^|_)(?:filter|infer|inference|predict|search|translate|evaluate|play|act)(?:_|$)",
    re.I,
)
_SAMPLING_CLASS = re.compile(r"Logits?(Processor|Warper)|Sampler|Beam|Viterbi|CRF|(Generation|Sampling)Mixin", re.I)
_HALF = re.compile(r"dtype|float16|bfloat16|fp16|half", re.I)
_RANKS = ("topk", "kthvalue", "sort", "argsort", "cumsum", "max", "amax", "argmax", "quantile", "median")


_OTHER_LIBRARIES = re.compile(r"^\s*(?:import|from)\s+(?:tensorflow|jax|flax|numpy|mxnet|paddle)\b", re.M)
_TORCH = re.compile(r"^\s*(?:import|from)\s+torch\b", re.M)


def uses_torch(module: Module) -> bool:
    """Whether tensors here are PyTorch's: the file imports torch, or at least no library that spells alike."""
    return bool(_TORCH.search(module.text)) or not _OTHER_LIBRARIES.search(module.text)


def in_sampler(module: Module, node: ast.AST) -> bool:
    """Inside code that draws or searches, where nothing is trained."""
    for scope in module.ancestors(node):
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if _SAMPLING.search(scope.name):
                return True
            decorators = " ".join(ast.unparse(d) for d in scope.decorator_list)
            if re.search(r"no_grad|inference_mode|triton|njit|script_if_tracing", decorators):
                return True
        elif isinstance(scope, ast.ClassDef):
            if _SAMPLING_CLASS.search(" ".join([scope.name, *(ast.unparse(b) for b in scope.bases)])):
                return True
        elif isinstance(scope, (ast.With, ast.AsyncWith)) and any(
            "no_grad" in ast.unparse(i.context_expr) for i in scope.items
        ):
            return True
    return False


def is_scripted(module: Module, node: ast.AST) -> bool:
    """Inside a function that TorchScript compiles."""
    return any(
        isinstance(a, ast.FunctionDef) and any("jit.script" in ast.unparse(d) for d in a.decorator_list)
        for a in module.ancestors(node)
    )


def dtype_guarded(module: Module, site: Site) -> bool:
    """Whether a branch around the constant already asks for the dtype."""
    inner: ast.AST = site.node
    for scope in module.ancestors(site.node):
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        if isinstance(scope, (ast.If, ast.IfExp)) and inner is not scope.test and _HALF.search(ast.unparse(scope.test)):
            return True
        inner = scope
    return False


def reaches_attention(module: Module, site: Site, fate: Fate) -> bool:
    """Whether the filled value certainly ends in an attention's softmax."""
    ends = fate.ends
    if ends & {End.TESTED, End.SAMPLED}:
        return False
    if End.SOFTMAX in ends or End.ATTENTION in ends:
        return True
    if ends & {End.SELECTED, End.EXPONENTIATED, End.SUMMED}:
        return False
    named = _ATTENTION.search(" ".join(_names(module, site, fate)))
    if ends & {End.LOG_SOFTMAX, End.LOSS}:
        return bool(site.kind == "product" and site.mask is not None and _ATTENTION.search(module.source(site.mask)))
    if End.FUSED in ends:
        return site.number != float("-inf")
    if not ends & {End.RETURNED, End.PASSED, End.STORED} or _joins_features(module, fate):
        return False
    if named:
        return True
    function = module.function_scope(site.node)
    maker = isinstance(function, ast.FunctionDef) and bool(_MASK_MAKER.search(function.name))
    return maker and site.builds_mask and End.RETURNED in ends


def _joins_features(module: Module, fate: Fate) -> bool:
    """Whether the value is added to something that is neither scores nor a mask: keys, hidden states."""
    for addition in fate.sums:
        sides = [addition.left, addition.right] if isinstance(addition, ast.BinOp) else []
        if any(re.search(r"key|query|value|hidden|feat", module.source(s)) for s in sides):
            return True
    return False


def _names(module: Module, site: Site, fate: Fate) -> list[str]:
    names = [*fate.names, *fate.passed_as]
    function = module.function_scope(site.node)
    if isinstance(function, ast.FunctionDef):
        names.append(function.name)
    if site.kind == "product" and site.mask is not None:
        names.append(module.source(site.mask))
    tensor = site.tensor
    while isinstance(tensor, (ast.Subscript, ast.Attribute, ast.Call)):
        if isinstance(tensor, ast.Attribute):
            names.append(tensor.attr)
        tensor = tensor.func if isinstance(tensor, ast.Call) else tensor.value
    if isinstance(tensor, ast.Name):
        names.append(tensor.id)
    return names


# -- masks that leave something in every row -----------------------------------------------------------------------


def keeps_one(module: Module, site: Site, fate: Fate) -> bool:
    """Whether every row certainly keeps an unmasked position: a causal mask with its diagonal, a threshold taken
    from the row itself, the chosen entries scattered back, all but the own index."""
    if any(c.func.attr.startswith("scatter") for c in fate.through if isinstance(c.func, ast.Attribute)):
        return True
    if site.kind == "full" and _is_container(module, site):
        return True
    if site.mask is not None:
        return _leaves_one(module, site.mask, site.keeps)
    causal = any(_keeps_diagonal(module, call) for call in fate.through)
    return causal and not any(_adds_mask(module, s, site) for s in fate.sums)


def _is_container(module: Module, site: Site) -> bool:
    """Whether slices of the new tensor receive scores afterwards, so that -inf is what remains at the edge."""
    statement = module.statement(site.node)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    name = statement.targets[0].id
    scope = module.function_scope(statement)
    return any(
        isinstance(s, ast.Assign)
        and isinstance(s.targets[0], ast.Subscript)
        and isinstance(s.targets[0].value, ast.Name)
        and s.targets[0].value.id == name
        and constant(module, s.value) is None
        for s in walk(scope)
    )


def _leaves_one(module: Module, mask: ast.expr, keeps: bool) -> bool:
    if _only_slices(mask):
        return True
    parts = list(_resolved(module, mask))
    if _positions_only(module, parts):
        return True
    if any(_combines(module, p) for p in parts):
        return False
    for part in parts:
        if isinstance(part, ast.Call):
            op = tensor_op(module, part)
            name = op.name if op is not None else part.func.attr if isinstance(part.func, ast.Attribute) else ""
            dotted = module.qualified(part.func) or ""
            if name in _RANKS or dotted.rpartition(".")[2] in (*_RANKS, "eye"):
                return True
            if name in ("triu", "tril") or dotted in ("torch.triu", "torch.tril"):
                inverted = (sum(_inverts(module, p) for p in parts) + keeps) % 2 == 1
                return _covers_diagonal(module, part) == inverted
    return False


def _only_slices(index: ast.expr) -> bool:
    """`x[:, n:]`: a block of fixed shape, beside which something stays."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(isinstance(p, ast.Slice) for p in parts) and all(
        isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and (p.value is None or p.value is ...)) for p in parts
    )


def _positions_only(module: Module, parts: list[ast.AST]) -> bool:
    """Whether a mask is made of positions alone (`arange` and sizes): a causal mask, a band, blocks."""
    if not any(isinstance(p, ast.Call) and ast.unparse(p.func).endswith("arange") for p in parts):
        return False
    for part in parts:
        if not isinstance(part, ast.Name) or not isinstance(part.ctx, ast.Load):
            continue
        if module.names.lookup(part.id, part) is not None or module.flow(part).value(part) is not part:
            continue
        parent = module.parent(part)
        if isinstance(parent, ast.Subscript) and parent.value is part:
            return False
        if isinstance(parent, ast.Attribute) and parent.attr not in ("shape", "device", "dtype", "size"):
            definition = module.flow(part).definition(part)
            if part.id != "self" and (definition is None or definition.kind != "unpack"):
                return False
    return True


def _combines(module: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, (ast.Add, ast.Mult)):
            return constant(module, node.left) is None and constant(module, node.right) is None
        return isinstance(node.op, (ast.BitOr, ast.BitAnd))
    return _leaf(node) in ("logical_or", "logical_and", "logical_xor")


def _leaf(node: ast.AST) -> str:
    """The last name of what a call calls."""
    if not isinstance(node, ast.Call):
        return ""
    func = node.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _resolved(module: Module, node: ast.expr, depth: int = 0) -> list[ast.AST]:
    """The nodes of an expression, with names and buffers replaced by what they were assigned."""
    out: list[ast.AST] = []
    for part in walk(node):
        out.append(part)
        if depth >= 4:
            continue
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = module.flow(part).value(part)
            if value is not part:
                out.extend(_resolved(module, value, depth + 1))
            else:
                found = module.flow(part).definition(part)
                if found is not None and found.kind == "unpack" and isinstance(found.statement, ast.Assign):
                    out.extend(_resolved(module, found.statement.value, depth + 1))
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            held = attribute_value(module, part)
            if held is not None:
                out.extend(_resolved(module, held, depth + 1))
    return out


def _covers_diagonal(module: Module, call: ast.Call) -> bool:
    """Whether triu or tril keeps the diagonal's own entries; an offset that is computed is one of a causal mask."""
    dotted = module.qualified(call.func)
    name = dotted or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    arguments = call.args[1:] if dotted is not None else call.args
    given = next((k.value for k in call.keywords if k.arg == "diagonal"), arguments[0] if arguments else None)
    upper = "triu" in name
    diagonal = 0 if given is None else constant(module, given)
    if diagonal is None:
        return not upper
    return diagonal <= 0 if upper else diagonal >= 0


def _inverts(module: Module, node: ast.AST) -> bool:
    """`x == 0`, `~x`, `x.logical_not()`, `1 - x`."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        against = constant(module, node.comparators[0])
        if isinstance(node.ops[0], (ast.Eq, ast.Is)):
            return against is not None and not against
        return isinstance(node.ops[0], (ast.NotEq, ast.Lt)) and against in (1, True, 0.5)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.Invert, ast.Not))
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Sub) and constant(module, node.left) == 1
    return _leaf(node) == "logical_not"


def _keeps_diagonal(module: Module, call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name.startswith(("triu", "tril")):
        return not _covers_diagonal(module, call)
    if name.startswith("masked_fill") and len(call.args) == 2 and constant(module, call.args[1]) == 0:
        return any(isinstance(p, ast.Call) and "arange" in ast.unparse(p.func) for p in _resolved(module, call.args[0]))
    return False


def _adds_mask(module: Module, addition: ast.expr | ast.stmt, site: Site) -> bool:
    """Whether an addition on the value's way adds another mask to it."""
    if isinstance(addition, ast.BinOp):
        sides = [addition.left, addition.right]
        return all(MASK_NAME.search(module.source(without_casts(s))) for s in sides)
    if isinstance(addition, ast.AugAssign):
        return all(MASK_NAME.search(module.source(s)) for s in (addition.target, addition.value))
    return False
