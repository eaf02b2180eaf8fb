"""What the names of a training loop stand for: which optimizer steps which models, which helper scales or clips.

Read from the file where it says so; what only a name or a usage suggests becomes a stated assumption.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeGuard

from autofix.model import Fix
from autofix.syntax import Module

Side = tuple[Module, tuple[ast.stmt, ...]]
_TRAINING = {"backward", "manual_backward", "step", "unscale_", "clip_grad_norm_", "clip_grad_value_", "zero_grad"}
_CLIPS = {"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_gradients", "clip_grads_with_norm_"}
_KINDS = {"SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop"}
_OPTIMIZER_NAME = re.compile(r"optim|(^|[._])opt(s|er)?(\d|_|$|[A-Z])|adam|sgd|[a-z]Opt$", re.I)
_OTHER_STEP = re.compile(r"sched|lr_|warmup|profil|env(_|$)|ema|timer|engine|pbar|progress", re.I)
_NOISE_WORDS = re.compile(r"optimi[sz]ers?|optim|opt|models?|nets?|network|parameters|params|self|module", re.I)
_SUFFIXES = (".module", "._orig_mod")


def training_calls(node: ast.AST) -> bool:
    return any(called(node, name) for name in _TRAINING)


def called(node: ast.AST, method: str) -> bool:
    """Whether a method of that name is called in the node's own function (or module)."""
    return any(isinstance(c.func, ast.Attribute) and c.func.attr == method for c in _calls([node]))


def _calls(body: Iterable[ast.AST]) -> Iterator[ast.Call]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                yield node


def _root(path: str) -> str:
    """A model's path without the wrappers around it."""
    for suffix in _SUFFIXES:
        path = path.removesuffix(suffix)
    return path


def _nameable(node: ast.AST) -> bool:
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


def _models_in(node: ast.AST) -> list[str]:
    """Models whose `parameters()` the expression reads."""
    out = []
    for call in _calls([node]):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("parameters", "named_parameters"):
            owner: ast.AST = call.func.value
            if isinstance(owner, ast.Call) and len(owner.args) == 1:  # accelerator.unwrap_model(model)
                owner = owner.args[0]
            if _nameable(owner):
                out.append(_root(ast.unparse(owner)))
    return list(dict.fromkeys(out))


class Bindings:
    """Gathers what both sides of a patch need; `resolve` first, then `spec`."""

    def __init__(self, module: Module, container: ast.AST, sides: Sequence[Side], fix: Fix) -> None:
        self.module = module
        self.container = container
        self.sides = sides
        self.fix = fix
        self.optimizers: dict[str, dict[str, Any]] = {}
        self.models: list[str] = []
        self.scalers: set[str] = set()
        self.accelerators: set[str] = set()
        self.fabrics: set[str] = set()
        self.lightning: set[str] = set()
        self.losses: set[str] = set()
        self.parameter_lists: dict[str, list[str]] = {}
        self.assumptions: list[str] = []
        self.by_value = False
        self._clip_arguments: list[ast.expr] = []
        self._clipped: list[str] = []
        self._bound_literal: float | None = None
        self._backward = False
        self.helpers: set[str] = set()
        self._scaled = False
        self._same: dict[str, str] = {}
        self._written: list[str] = []

    # -- reading the calls ------------------------------------------------------------------------------

    def resolve(self) -> str:
        """Work everything out; why not, when that is impossible."""
        for _, body in self.sides:
            for call in _calls(body):
                if isinstance(call.func, ast.Attribute):
                    self._read(call.func.attr, call.func.value, call)
            for statement in body:
                self.models.extend(_models_in(statement))
        for _, body in self.sides:
            owners = [c.func.value for c in _calls(body) if _is_zero_grad(c)]  # type: ignore[attr-defined]
            zeroed = [_root(ast.unparse(o)) for o in owners if _nameable(o)]
            self.models.extend(p for p in zeroed if p not in self.optimizers)
        self._find_helpers()
        if not self._backward and not self.helpers and self._zeroes_first():
            return "the backward pass stands elsewhere, after gradients are zeroed here"
        if not self.optimizers:
            return "no optimizer that a trial could stand in for steps here"
        if any(o["kind"] == "LBFGS" for o in self._kinds().values()):
            return "LBFGS evaluates the loss several times a step: clipping does not apply"
        self._same = _aliases(self.module)
        self._written = list(dict.fromkeys([*self._clipped, *self.models]))
        self.models = [m for m in self._representatives(self._written) if m not in self.optimizers]
        self._assign_models()
        self._find_parameter_lists()
        return ""

    def _read(self, attribute: str, owner: ast.expr, call: ast.Call) -> None:
        path = ast.unparse(owner)
        first = call.args[0] if call.args else None
        if attribute in ("backward", "manual_backward"):
            self._read_backward(attribute, owner, path, first)
        elif attribute == "step":
            self._read_step(owner, path, first)
        elif attribute == "unscale_":
            self.scalers.add(path)
        elif attribute == "accumulate" and _nameable(owner):
            self.accelerators.add(path)
        elif attribute == "optimizers" and path == "self":
            self.lightning.add(path)
        elif attribute in _CLIPS:
            self._read_clip(attribute, path, call)

    def _read_backward(self, attribute: str, owner: ast.expr, path: str, first: ast.expr | None) -> None:
        self._backward = True
        loss: ast.expr = owner
        if attribute == "manual_backward":
            self.lightning.add(path)
            loss = first or owner
        elif first is not None and _nameable(owner):
            known = "accel" in path.lower()
            (self.accelerators if known else self.fabrics).add(path)
            if not known and "fabric" not in path.lower():
                self.assumptions.append(f"`{path}.backward(x)` runs `x.backward()`")
            loss = first
        elif isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "scale":
            self.scalers.add(ast.unparse(owner.func.value))
            self._scaled = True
            loss = owner.args[0] if owner.args else owner
        self.losses.update(_arithmetic_names(loss))

    def _read_step(self, owner: ast.expr, path: str, first: ast.expr | None) -> None:
        if first is not None and _nameable(first) and ("scaler" in path.lower() or self._is_optimizer(first)):
            self.scalers.add(path)
            self._add_optimizer(first)
        elif self._is_optimizer(owner) and (first is None or isinstance(first, (ast.Name, ast.Lambda))):
            self._add_optimizer(owner)

    def _is_optimizer(self, node: ast.expr) -> bool:
        if not _nameable(node):
            return False
        path = ast.unparse(node)
        last = path.rpartition(".")[2]
        if _OTHER_STEP.search(last):
            return False
        if _OPTIMIZER_NAME.search(last):
            return True
        if any(path == ast.unparse(c.func.value) for _, b in self.sides for c in _calls(b) if _is_zero_grad(c)):  # type: ignore[attr-defined]
            return True
        return any(self._kind(call) for call, _ in self._definitions(path))

    def _add_optimizer(self, node: ast.expr) -> None:
        self.optimizers.setdefault(ast.unparse(node), {})

    def _read_clip(self, attribute: str, path: str, call: ast.Call) -> None:
        keywords = {k.arg: k.value for k in call.keywords}
        algorithm = keywords.get("gradient_clip_algorithm")
        values: list[ast.expr | None] = [
            keywords.get(n) for n in ("max_norm", "clip_value", "gradient_clip_val", "clip_val")
        ]
        if isinstance(algorithm, ast.Constant) and algorithm.value == "value":
            self.by_value = True
        if attribute == "clip_grad_value_" or "clip_val" in keywords:
            self.by_value = True
        if attribute == "clip_gradients":
            (self.lightning if path == "self" else self.fabrics).add(path)
        elif self.module.qualified(call.func) is None and "accel" in path.lower():
            self.accelerators.add(path)
        own = self.module.qualified(call.func) is None and path not in self.accelerators
        if attribute != "clip_gradients" and own and len(call.args) == 1 and _nameable(call.func):
            self._clipped.append(_root(path))  # a wrapper's own method: `model.clip_grad_norm_(1.0)`
            values.extend(call.args)
        elif attribute != "clip_gradients" and call.args:
            self._clip_arguments.append(call.args[0])
            self._clipped.extend(_models_in(call.args[0]))
        values.extend(call.args[1:2])
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)) and value.value > 0:
                self._bound_literal = float(value.value)

    def _find_helpers(self) -> None:
        """Functions of this file, called here, that run a backward pass and no optimizer step."""
        running: set[str] = set()
        for node in ast.walk(self.module.tree):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or called(node, "step"):
                continue
            if called(node, "backward") or called(node, "manual_backward"):
                running.add(node.name)
        for _, body in self.sides:
            here = {n.name for s in body for n in ast.walk(s) if isinstance(n, ast.FunctionDef)}
            for call in _calls(body):
                if _nameable(call.func) and ast.unparse(call.func).rpartition(".")[2] in running - here:
                    self.helpers.add(ast.unparse(call.func))
        if self.helpers:
            named = ", ".join(f"`{h}`" for h in sorted(self.helpers))
            self.assumptions.append(f"{named} runs the backward pass of every model")

    def _zeroes_first(self) -> bool:
        """Whether gradients are zeroed before the first step here."""
        calls = sorted(_calls(self.sides[0][1]), key=lambda c: (c.lineno, c.col_offset))
        names = [c.func.attr for c in calls if isinstance(c.func, ast.Attribute)]
        order = [n for n in names if n in ("zero_grad", "step")]
        return order[:1] == ["zero_grad"]

    # -- models and optimizers --------------------------------------------------------------------------

    def _definitions(self, path: str) -> list[tuple[ast.Call, ast.Assign]]:
        """Assignments anywhere in the file of a call to what `path` names."""
        found = []
        for node in ast.walk(self.module.tree):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            if any(ast.unparse(t) == path for t in node.targets):
                found.append((node.value, node))
        return found

    def _kind(self, call: ast.Call) -> str:
        """The class of torch.optim that a call builds ("LBFGS" too), else ""."""
        name = self.module.qualified(call.func) or ast.unparse(call.func)
        last = name.rpartition(".")[2]
        return last if last in _KINDS or last == "LBFGS" else ""

    def _kinds(self) -> dict[str, dict[str, Any]]:
        """Fill in each optimizer's class."""
        for path, entry in self.optimizers.items():
            kinds = {self._kind(c) for c, _ in self._definitions(path)} - {""}
            if len(kinds) == 1:
                entry["kind"] = kinds.pop()
                continue
            entry["kind"] = "AdamW"
            self.assumptions.append(f"`{path}` behaves like AdamW")
        return self.optimizers

    def _assign_models(self) -> None:
        """Which models each optimizer steps: as its construction says, else as names suggest."""
        open_: list[str] = []
        for path, entry in self.optimizers.items():
            models = self._constructed_for(path)
            if models:
                entry["models"] = models
                self.models.extend(m for m in models if m not in self.models)
            else:
                open_.append(path)
        taken = {m for e in self.optimizers.values() for m in e.get("models", [])}
        free = [m for m in self.models if m not in taken]
        unknown = [p for p in open_ if not any(_of_tensors(c) for c, _ in self._definitions(p))]
        alike = {} if len(self.optimizers) == 1 else _pairs(unknown, free)
        for path in open_:
            if len(self.optimizers) == 1 and free:
                clipped = self._representatives(self._clipped)
                models = [m for m in free if m in clipped] or list(free)
            elif path in alike:
                models = [alike[path]]
            else:
                self.optimizers[path]["models"] = [re.sub(r"\W", "_", path) + "__model"]
                self.models.extend(self.optimizers[path]["models"])
                continue
            self.optimizers[path]["models"] = models
            named = ", ".join(f"`{m}`" for m in models)
            self.assumptions.append(f"`{path}` steps the parameters of {named}")

    def _representatives(self, models: Iterable[str]) -> list[str]:
        """Models by one name each, whatever wraps or renames them."""
        return list(dict.fromkeys(self._same.get(m, m) for m in models))

    def _constructed_for(self, path: str) -> list[str]:
        """The models in the optimizer's constructor, when it stands in this function or class or at module level,
        or when the loop uses the same names."""
        here = self.module.function_scope(_first(self.sides[0][1]))
        for call, assignment in self._definitions(path):
            scope = self.module.function_scope(assignment)
            models = self._representatives(_models_in(call))
            if not models and call.args:
                models = self._models_behind(call.args[0], assignment)
            same = scope is here or scope is self.module.tree or path.startswith("self.")
            known = all(m in self.models for m in models)
            renamed = scope is not here and scope is not self.module.tree and self.models
            if models and (known or (same and not renamed)):
                return models
        return []

    def _models_behind(self, node: ast.expr, at: ast.AST) -> list[str]:
        """Models whose parameters a name holds, through the assignments of its function."""
        models = _models_in(node)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        paths = {ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        scope = self.module.function_scope(at)
        for other in ast.walk(scope):
            if isinstance(other, ast.Assign) and any(ast.unparse(t) in names | paths for t in other.targets):
                models.extend(_models_in(other.value))
        return self._representatives(models)

    def _find_parameter_lists(self) -> None:
        """Names that are clipped as they are (`params`): the parameters that their assignment says, else all."""
        bound = {n.id for _, b in self.sides for s in b for n in ast.walk(s) if _is_store(n)}
        for node in self._clip_arguments:
            path = ast.unparse(node)
            if not _nameable(node) or path in bound or path in self.models or path in self.optimizers:
                continue
            models = self._models_behind(node, _first(self.sides[0][1]))
            if not models:
                models = [m for e in self.optimizers.values() for m in e["models"]]
                self.assumptions.append(f"`{path}` holds the parameters that the optimizer steps")
            self.models.extend(m for m in models if m not in self.models)
            self.parameter_lists[path] = models

    # -- the result -------------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        constants = self._constants()
        claimed = self.fix.claim.parameters.get("max_norm")
        bound = claimed if isinstance(claimed, (int, float)) and claimed > 0 else self._bound_literal
        if bound is None:
            bound = 1.0
            self.assumptions.append("the clip bound is 1.0 in the trial")
        if self.accelerators:
            self.assumptions.append(
                "the accelerator is a stand-in that accumulates and clips as Accelerate does on one process"
            )
        if not self._backward and not self.helpers:
            self.assumptions.append("the backward pass, which stands elsewhere, comes first")
        accumulates = any(called(s, "accumulate") for _, b in self.sides for s in b)
        return {
            "optimizers": self.optimizers,
            "models": self.models,
            "scalers": sorted(self.scalers),
            "accelerators": sorted(self.accelerators),
            "helpers": sorted(self.helpers),
            "aliases": {m: self._same[m] for m in self._written if self._same.get(m, m) != m},
            "scaled_elsewhere": bool(self.scalers) and not self._scaled,
            "fabrics": sorted(self.fabrics - self.accelerators),
            "lightning": sorted(self.lightning),
            "losses": sorted(self.losses),
            "parameter_lists": self.parameter_lists,
            "accumulate": 2 if accumulates else 1,
            "backward": self._backward or bool(self.helpers),
            "imports": self._imports(),
            "constants": constants,
            "counters": self._counters(),
            "max_norm": float(bound),
            "by_value": self.by_value,
            "assumptions": [*self.fix.claim.assumptions, *dict.fromkeys(self.assumptions)],
        }

    def _imports(self) -> dict[str, str]:
        out = {}
        for module, body in self.sides:
            for statement in body:
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                        dotted = module.names.lookup(node.id, node)
                        if dotted:
                            out[node.id] = dotted
        return out

    def _constants(self) -> dict[str, Any]:
        """Numbers that names of the loop are known to hold: constants of the function or module, parameter
        defaults, attributes that the class sets once."""
        module, body = self.sides[0]
        bound = {n.id for _, b in self.sides for s in b for n in ast.walk(s) if _is_store(n)}
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

    def _counters(self) -> list[str]:
        """Names that the loop only adds to: they start at 0."""
        added: set[str] = set()
        bound: set[str] = set()
        for _, body in self.sides:
            for statement in body:
                for node in ast.walk(statement):
                    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                        added.add(node.target.id)
                    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.For)):
                        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                        bound.update(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
        return sorted(added - bound)


def _of_tensors(constructor: ast.Call) -> bool:
    """Whether an optimizer is built for single tensors: `Adam([log_alpha])`."""
    return bool(constructor.args) and isinstance(constructor.args[0], ast.List)


def _is_zero_grad(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "zero_grad"


def _is_store(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)


def _first(body: tuple[ast.stmt, ...]) -> ast.stmt:
    return body[0]


def _arithmetic_names(node: ast.expr) -> set[str]:
    """The names that an expression is computed from directly: `(a + b) / n` gives a, b and n."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.BinOp):
        names = _arithmetic_names(node.left)
        return names | _arithmetic_names(node.right) if isinstance(node.op, (ast.Add, ast.Sub)) else names
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("mean", "sum"):
        return _arithmetic_names(node.func.value)
    return set()


_WRAPPERS = {
    "DistributedDataParallel", "DDP", "DataParallel", "FSDP", "FullyShardedDataParallel", "prepare", "setup", "compile",
    "setup_module", "convert_sync_batchnorm", "initialize", "to", "cuda", "cpu", "half", "float", "train",
    "unwrap_model", "prepare_model",
}  # fmt: skip


def _aliases(module: Module) -> dict[str, str]:
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
            if source is not None and _nameable(one):
                groups[first(ast.unparse(one))] = first(source)
    return {path: first(path) for path in groups}


def _wrapped(node: ast.expr) -> str | None:
    """The name that an expression passes on, as it is, wrapped or moved."""
    for _ in range(6):
        if _nameable(node):
            return _root(ast.unparse(node))
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


def _pairs(optimizers: list[str], models: list[str]) -> dict[str, str]:
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
