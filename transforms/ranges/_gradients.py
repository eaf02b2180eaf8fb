"""What becomes of a result: whether a gradient can return from there, and whether anything learns where it stands."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from autofix.ops import tensor_op
from autofix.syntax import Module
from autofix.transforms.loops._clipping import inside_optimizer
from autofix.transforms.ranges._call_sites import call_sites
from autofix.transforms.ranges._context import out_of_training
from autofix.transforms.ranges._upstream import CUT
from autofix.transforms.ranges._upstream import carries_gradient as carries_gradient
from autofix.tree import last_part, parameter_names, walk

# A folder says something of its files when it is theirs, or a part of their package: what lies above a project is no
# business of its code.
_ASIDE_FOLDER = re.compile(
    r"\w*metrics|metric|pipelines?|modular_pipelines|schedulers?|datasets?|preprocessing|testing|optim|optimizers?|"
    r"quantizers?|infer(ence|ers?)?|augment(ation)?s?|sampl(ing|ers?)|guiders|eval(uation|uators?|_\w+)?|envs?|"
    r"process_data|assigners?"
)
# Divided into folders.
_ASIDE_FAMILY = re.compile(r"\w*metrics|pipelines?|modular_pipelines|schedulers?|quantizers|preprocessing")
_ASIDE_FILE = re.compile(
    r"(processing|image_processing|feature_extraction|tokenization|generation|scheduling|export|logits_process)_\w+\.py|"
    r"\w*(plot(s|ting)?|colou?rmaps?|post_?process(ing)?|logits_process(ors?)?)\.py"
)
_METRICS_FILE = re.compile(r"\w*metrics?\.py")
_ASIDE_CLASS = re.compile(
    r"(FeatureExtractor|Processor(Fast|Pil)?|Scheduler|Pipeline|Metrics?|Dataset|Tokenizer(Fast)?|Guider|Guidance|Sampler|"
    r"Inferer|PostProcess|^Quantizer)$"
)
_ASIDE_BASE = re.compile(r"(^Optimizer|BaseTransform|Dataset|Metrics?|Sampler)$")
_ASIDE_FUNCTION = re.compile(r"_(test|init|check)$|(^|_)accuracy($|_)")
# What these compute is chosen by, rewarded by or shown, and never differentiated.
_UNDIFFERENTIATED = re.compile(
    r"(Assigner|Tracker|Inferencer|Evaluator|Visualizer|Env|EnvBase|MapTransform|RandomizableTransform)$"
)
_HOOK_PARAMETERS = {"grad_input", "grad_output", "grad_outputs", "grad_inputs"}
_VERBOSE = re.compile(r"(^|_)(verbose|debug|log_(?!s(cales?|tds?|igmas?)|vars?|prob|temp|p_?|det)\w+|logging)$")
_SELECTING = (
    "argmin argmax argsort eq ne lt le gt ge isnan isinf isfinite bucketize searchsorted histc allclose "
    "isclose equal one_hot"
).split()
_RANKING = ("topk", "sort")  # they give values, which carry a gradient, and indices
_ENDING = ("int", "float", "bool", "len", "range", "print", "str", "round", "isinstance", "warn_if_nan", "format")
_MOST_STEPS = 60


def learns_nothing(module: Module, node: ast.expr) -> bool:
    """Whether no gradient passes where `node` stands, whatever it is computed from: tests, evaluation, logging, the
    preparation of data, sampling, optimizers, and functions that only such code of this file calls."""
    if out_of_training(module, node) or inside_optimizer(module, node) or out_of_model(module, node):
        return True
    if _is_undifferentiated(module, node):
        return True
    function = module.function(node)
    for _ in range(3):
        calls = call_sites(module, function) if function is not None else []
        if not calls:
            return False
        if all(out_of_training(module, c) or out_of_model(module, c) or _is_undifferentiated(module, c) for c in calls):
            return True
        function = module.function(calls[0]) if len(calls) == 1 else None
    return False


def _is_undifferentiated(module: Module, node: ast.AST) -> bool:
    """Whether a label is assigned, an object tracked, an environment stepped or a gradient rewritten in a backward
    hook: no first derivative is taken there."""
    for ancestor in module.ancestors(node):
        if _HOOK_PARAMETERS.intersection(parameter_names(ancestor)):
            return True
        if isinstance(ancestor, ast.ClassDef):
            return any(_UNDIFFERENTIATED.search(n) for n in (ancestor.name, *(last_part(b) for b in ancestor.bases)))
    return False


def out_of_model(module: Module, node: ast.AST) -> bool:
    """Whether the code prepares data, samples, measures, initialises or rounds the result: no gradient flows."""
    if _is_aside_file(module.path) or _is_metric(module, node):
        return True
    inner = node
    for ancestor in module.ancestors(node):
        op = tensor_op(module, ancestor)
        if op is not None and op.name in CUT:
            return True
        if isinstance(ancestor, ast.Call) and ancestor.func is not inner and last_part(ancestor.func) == "Parameter":
            return True
        if isinstance(ancestor, ast.If) and inner in ancestor.body and _is_logging(ancestor.test):
            return True
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)) and _ASIDE_FUNCTION.search(ancestor.name):
            return True
        if isinstance(ancestor, ast.ClassDef) and _is_aside(ancestor, inner):
            return True
        inner = ancestor
    return False


def _is_aside_file(path: str) -> bool:
    *_, above, folder, name = ("", "", *PurePath(path).parts)
    return bool(_ASIDE_FILE.fullmatch(name) or _ASIDE_FOLDER.fullmatch(folder) or _ASIDE_FAMILY.fullmatch(above))


def _is_metric(module: Module, node: ast.AST) -> bool:
    """Whether a function of a file of metrics measures: not where it, or its class, is called a loss."""
    if not _METRICS_FILE.fullmatch(PurePath(module.path).name):
        return False
    around = (module.function(node), module.class_of(node))
    return not any("loss" in getattr(a, "name", "").lower() for a in around)


def _is_aside(cls: ast.ClassDef, member: ast.AST) -> bool:
    """Whether a class prepares inputs, measures, samples or is an optimizer; or transforms data when it is called."""
    bases = [getattr(b, "attr", getattr(b, "id", "")) for b in cls.bases]
    if _ASIDE_CLASS.search(cls.name) or any(_ASIDE_BASE.search(b) for b in bases):
        return True
    return cls.name.endswith("Transform") and not bases and getattr(member, "name", "") == "__call__"


def _is_logging(test: ast.expr) -> bool:
    names = [n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in walk(test)]
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    return not negated and any(_VERBOSE.search(n) for n in names)


def only_compared(module: Module, node: ast.AST) -> bool:
    """Whether all that becomes of `node`, and of what is computed from it, is a comparison, an index or a number: no
    gradient returns from there."""
    return _Ends(module).ends(node)


class _Ends:
    """One question, with the results that it has already followed."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.seen: set[tuple[ast.AST, str]] = set()
        self.steps = 0

    def ends(self, node: ast.AST) -> bool:
        self.steps += 1
        parent = self.module.parent(node)
        if self.steps > _MOST_STEPS or parent is None:
            return False
        if isinstance(parent, (ast.Compare, ast.Assert, ast.FormattedValue)):
            return True
        if isinstance(parent, (ast.If, ast.While)):
            return parent.test is node
        if isinstance(parent, ast.Subscript):
            return parent.slice is node or (isinstance(parent.ctx, ast.Load) and self.ends(parent))
        if isinstance(parent, (ast.BinOp, ast.UnaryOp)):
            return self.ends(parent)
        if isinstance(parent, ast.Attribute):
            return self._attribute(parent)
        if isinstance(parent, ast.keyword):
            parent = self.module.parent(parent)
        if isinstance(parent, ast.Call):
            return self._argument(parent)
        if isinstance(parent, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            return all(self._bound(parent, t) for t in targets)
        return False

    def _attribute(self, parent: ast.Attribute) -> bool:
        called = self.module.parent(parent)
        if not isinstance(called, ast.Call) or called.func is not parent:
            return parent.attr in ("shape", "ndim", "dtype", "device") or (
                parent.attr in ("values", "real", "imag", "T") and self.ends(parent)
            )
        if parent.attr in _RANKING:
            return self._ranked(called)
        return parent.attr in _SELECTING or parent.attr in CUT or self.ends(called)

    def _argument(self, call: ast.Call) -> bool:
        name = last_part(call.func)
        if name in _SELECTING or name in CUT or name in _ENDING:
            return True
        if name in _RANKING:
            return self._ranked(call)
        known = tensor_op(self.module, call) is not None or (self.module.qualified(call.func) or "").startswith(
            "torch."
        )
        return known and self.ends(call)

    def _ranked(self, call: ast.Call) -> bool:
        """Whether the values of a ranking come to nothing, whatever its indices are for."""
        parent = self.module.parent(call)
        if isinstance(parent, ast.Attribute) and parent.attr == "indices":
            return True
        if isinstance(parent, ast.Subscript) and isinstance(parent.slice, ast.Constant) and parent.slice.value == 1:
            return True
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple):
            values = parent.targets[0].elts[0]
            return self._is_unread(parent, values) or self._bound(parent, values)
        return self.ends(call)

    def _is_unread(self, statement: ast.stmt, target: ast.expr) -> bool:
        if not isinstance(target, ast.Name):
            return False
        start = self.module.chars(statement)[1]
        reads = self.module.flow(statement).loads.get(target.id, [])
        return not any(self.module.chars(r)[0] > start for r in reads)

    def _bound(self, statement: ast.stmt, target: ast.expr) -> bool:
        """Whether all reads of what an assignment binds end in comparisons; there must be some."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return all(self._bound(statement, t) for t in target.elts)
        while isinstance(target, ast.Subscript):
            target = target.value
        if not isinstance(target, ast.Name):
            return False
        if (statement, target.id) in self.seen:
            return True
        self.seen.add((statement, target.id))
        flow = self.module.flow(statement)
        start = self.module.chars(statement)[1]
        reads = [r for r in flow.loads.get(target.id, []) if self.module.chars(r)[0] > start]
        if isinstance(statement, ast.Assign):  # what a later assignment binds is another value
            made = [flow.definition(r) for r in reads]
            reads = [r for r, d in zip(reads, made, strict=True) if d is None or d.statement is statement]
        return (bool(reads) or isinstance(statement, ast.AugAssign)) and all(self.ends(r) for r in reads)
