"""Whether a fill belongs to attention that is trained: the questions on which both rules of the family stand."""

from __future__ import annotations

import ast
import re

from autofix.ops import constant, tensor_op
from autofix.syntax import Module
from autofix.transforms.masks._calls import callers
from autofix.transforms.masks._reach import End, Fate
from autofix.transforms.masks._sites import Site
from autofix.tree import last_part, walk

_ATTENTION = re.compile(
    r"att(?:n|en|ention)?s?_?(?:\w*_)?(?:mask|bias|weight|score|logit|prob)"
    r"|(?:causal|padding|extended|src|tgt|expanded|inverted|window|sliding|local|self|cross)_?(?:\w+_)?mask",
    re.I,
)
_MASK_MAKER = re.compile(r"mask", re.I)
_LIBRARY_MAKER = re.compile(r"\bcreate_(?:\w+_)?mask\(|\b_prepare_4d_\w*mask\w*\(|\bget_extended_attention_mask\(")
_SAMPLING = re.compile(
    r"sampl|generat|decod(?:e|ing)(?:_|$)|beam|top_?[kp](?:_|$)|nucleus|viterbi|crf|warp|logits?_?process|greedy"
    r"|(?:^|_)(?:filter|infer|inference|predict|search|translate|evaluate|play|act)(?:_|$)",
    re.I,
)
_SAMPLING_CLASS = re.compile(r"Logits?(Processor|Warper)|Sampler|Beam|Viterbi|CRF|(Generation|Sampling)Mixin", re.I)
_HALF = re.compile(r"dtype|float16|bfloat16|fp16|half", re.I)
_OTHER_LIBRARIES = re.compile(r"^\s*(?:import|from)\s+(?:tensorflow|jax|flax|numpy|mxnet|paddle)\b", re.M)
_TORCH = re.compile(r"^\s*(?:import|from)\s+torch\b", re.M)


def uses_torch(module: Module) -> bool:
    """Whether tensors here are PyTorch's: the file imports torch, or at least no library that spells alike."""
    return bool(_TORCH.search(module.text)) or not _OTHER_LIBRARIES.search(module.text)


def converts_for_makers(module: Module, site: Site) -> bool:
    """Whether the fill only converts a boolean mask, under `if mask.dtype == torch.bool`, in a file whose models have
    theirs made by a library (`create_causal_mask`): with floats, and with the minimum of their dtype, where they meet
    this softmax."""
    if site.mask is None or not _LIBRARY_MAKER.search(module.text):
        return False
    masked = ast.dump(site.mask)
    for ancestor in module.ancestors(site.node):
        test = ancestor.test if isinstance(ancestor, ast.If) else None
        if isinstance(test, ast.Compare) and isinstance(test.left, ast.Attribute) and test.left.attr == "dtype":
            is_bool = module.qualified(test.comparators[0]) == "torch.bool" and isinstance(test.ops[0], ast.Eq)
            return is_bool and ast.dump(test.left.value) == masked
    return False


def in_sampler(module: Module, node: ast.AST) -> bool:
    """Inside code that draws or searches, where nothing is trained, or in a function that only such code calls."""
    if _samples(module, node):
        return True
    function = module.function_scope(node)
    if not isinstance(function, ast.FunctionDef) or not function.name.startswith("_"):
        return False
    calls = callers(module, function)
    return bool(calls) and all(_samples(module, c) for c in calls)


def _samples(module: Module, node: ast.AST) -> bool:
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


def stands_in_for_fused(module: Module, node: ast.AST) -> bool:
    """Inside a function with the arguments of scaled_dot_product_attention, which gives a closed row zeros."""
    for scope in module.ancestors(node):
        if isinstance(scope, ast.FunctionDef):
            named = {a.arg for a in [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]}
            if {"attn_mask", "is_causal"} <= named:
                return True
    return False


_GRADED = re.compile(
    r"strength|soft(?:ly)?[ _-]?mask|graded|partial(?:ly)?[ _-](?:mask|attend)|continuous"
    r"|between 0(?:\.0)? and 1|(?<!selected )in `?\[0(?:\.0)?, ?1(?:\.0)?\]",
    re.I,
)
_GRADING = re.compile(r"\b(?:sigmoid|softmax|interpolate|tanh|exp)\(|\*\* ?\d")


def is_graded(module: Module, site: Site) -> bool:
    """Whether a float mask says how much of a position is seen, not whether: what its docstring, a comment beside it
    or the code that makes it says."""
    mask = site.mask
    if site.kind != "product" or mask is None:
        return False
    roots = {n.id for n in ast.walk(mask) if isinstance(n, ast.Name)}
    values = [module.flow(n).value(n) for n in ast.walk(mask) if isinstance(n, ast.Name)]
    if any(_GRADING.search(module.source(v)) for v in values if not isinstance(v, ast.Name)):
        return True
    lines = module.text.splitlines()
    scope = module.function_scope(site.node)
    first = getattr(scope, "lineno", 1) - 1
    line = site.node.lineno - 1
    above: list[str] = []
    while line - len(above) - 1 >= first and lines[line - len(above) - 1].lstrip().startswith("#"):
        above.append(lines[line - len(above) - 1])
    if _GRADED.search(" ".join(above)):
        return True
    documented = ast.get_docstring(scope) if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
    for name in roots if documented else ():
        found = re.search(rf"^([ \t]*){re.escape(name)}\b.*(?:\n\1[ \t]+.*)*", documented or "", re.M)
        if found and _GRADED.search(found.group()):
            return True
    return False


def reaches_attention(module: Module, site: Site, fate: Fate) -> bool:
    """Whether the filled value certainly ends in an attention's softmax."""
    ends = fate.ends
    if ends & {End.TESTED, End.SAMPLED}:
        return False
    product = site.kind == "product" and site.mask is not None
    attention = bool(product and site.mask is not None and _ATTENTION.search(module.source(site.mask)))
    if product and ends & {End.LOG_SOFTMAX, End.LOSS}:
        return attention  # else it is a loss that leaves classes out
    if End.SOFTMAX in ends or End.ATTENTION in ends:
        return True
    if ends & {End.SELECTED, End.EXPONENTIATED, End.SUMMED, End.LOG_SOFTMAX, End.LOSS}:
        return False
    named = _ATTENTION.search(" ".join(_names(module, site, fate)))
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


def is_the_weaker(module: Module, site: Site) -> bool:
    """Whether the same scores are filled with another, lower number too: a position that the weaker mask hides is seen
    where the stronger hides all others (a token looks at itself alone where there is nothing else), which one number
    for both would end."""
    tensor = site.tensor
    if site.kind not in ("fill", "index") or not isinstance(tensor, ast.Name):
        return False
    for node in walk(module.function_scope(site.node)):
        name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
        if node is site.node or name not in ("masked_fill", "masked_fill_"):
            continue
        op = tensor_op(module, node, "masked_fill", "masked_fill_")
        value = op.args.get("value") if op is not None else None
        if op is None or value is None or getattr(op.input, "id", "") != tensor.id:
            continue
        number = constant(module, value)
        if number is None and _says_lowest(module, value):
            return True
        if isinstance(number, (int, float)) and number < site.number and number != float("-inf"):
            return True
    return False


def _says_lowest(module: Module, value: ast.expr) -> bool:
    """Whether a fill value is the lowest number of the dtype: `torch.finfo(x.dtype).min`, `-torch.finfo(...).max`, or a
    function that says so."""
    made = module.flow(value).value(value)
    parts = [n for n in walk(made) if isinstance(n, ast.Call)]
    said = (last_part(c.func) for c in parts)
    return any(name == "finfo" or "neg" in name for name in said)
