"""What the names of a training loop stand for: which optimizer steps which models, which helper scales or clips.

Read from the file where it says so; what only a name or a usage suggests becomes a stated assumption.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from typing import Any

from autofix.model import Fix, Relation
from autofix.smoke.loopnames import (
    Side,
    aliases,
    arithmetic_names,
    called,
    calls,
    clips_by_name,
    constants,
    counters,
    divisors,
    imported,
    is_store,
    is_zero_grad,
    models_in,
    nameable,
    of_tensors,
    pairs,
    unwrapped,
)
from autofix.syntax import Module

_CLIPS = {"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_gradients", "clip_grads_with_norm_"}
_KINDS = {"SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop"}
_OPTIMIZER_NAME = re.compile(r"optim|(^|[._])opt(s|er)?(\d|_|$|[A-Z])|adam|sgd|[a-z]Opt$", re.I)
_OTHER_STEP = re.compile(r"sched|lr_|warmup|profil|env(_|$)|ema|timer|engine|pbar|progress", re.I)


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
        self.shared: set[str] = set()
        self.engines: set[str] = set()
        self.clips: set[str] = set()
        self.losses: set[str] = set()
        self.parameter_lists: dict[str, list[str]] = {}
        self.assumptions: list[str] = []
        self.by_value = False
        self._clip_arguments: list[ast.expr] = []
        self._norm_types: dict[str, float] = {}
        self._clipped: list[str] = []
        self._bound_literal: float | None = None
        self._backward = False
        self.helpers: set[str] = set()
        self._scaled = False
        self._same = aliases(module)
        self._written: list[str] = []

    # -- reading the calls ------------------------------------------------------------------------------

    def resolve(self) -> str:
        """Work everything out; why not, when that is impossible."""
        for _, body in self.sides:
            for call in calls(body):
                if isinstance(call.func, ast.Attribute):
                    self._read(call.func.attr, call.func.value, call)
            for statement in body:
                self.models.extend(models_in(statement))
        for _, body in self.sides:
            owners = [c.func.value for c in calls(body) if is_zero_grad(c)]  # type: ignore[attr-defined]
            zeroed = [unwrapped(ast.unparse(o)) for o in owners if nameable(o) and ast.unparse(o) not in self.engines]
            self.models.extend(p for p in zeroed if p not in self.optimizers)
        if self.fix.claim.hazard == ("graph",):
            self.losses |= self._terms()
        self._find_helpers()
        if not self._backward and not self.helpers and self._zeroes_first():
            return "the backward pass stands elsewhere, after gradients are zeroed here"
        if not self.optimizers:
            return "no optimizer that a trial could stand in for steps here"
        if any(o["kind"] == "LBFGS" for o in self._kinds().values()):
            return "LBFGS evaluates the loss several times a step: clipping does not apply"
        self._written = list(dict.fromkeys([*self._clipped, *self.models]))
        self.models = self._representatives(m for m in self._written if m not in self.optimizers)
        self._assign_models()
        self._find_parameter_lists()
        return ""

    def _terms(self) -> set[str]:
        """Names that the losses are the sum of: what is kept of them has a graph too."""
        statements = [n for _, b in self.sides for s in b for n in ast.walk(s) if isinstance(n, ast.Assign)]
        named = [s for s in statements if any(isinstance(t, ast.Name) and t.id in self.losses for t in s.targets)]
        reads = [n for s in named if isinstance(s.value, ast.BinOp) for n in ast.walk(s.value)]
        kept = {n.id for n in reads if isinstance(n, ast.Name)}
        called_ = {n.func.id for n in reads if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        made = {t.id for s in statements for t in s.targets if isinstance(t, ast.Name)}
        return (kept & made) - called_

    def _read(self, attribute: str, owner: ast.expr, call: ast.Call) -> None:
        path = ast.unparse(owner)
        first = call.args[0] if call.args else None
        if attribute in ("backward", "manual_backward"):
            self._read_backward(attribute, owner, path, first)
        elif attribute == "step":
            self._read_step(owner, path, first)
        elif attribute in ("optimizer_step", "backward_pass") and path != "self" and nameable(owner):
            self._read_engine(attribute, path, first)
        elif attribute == "unscale_":
            self.scalers.add(path)
        elif attribute == "accumulate" and nameable(owner):
            self.accelerators.add(path)
        elif attribute == "optimizers" and path == "self":
            self.lightning.add(path)
        elif attribute in _CLIPS:
            self._read_clip(attribute, path, call)
        elif clips_by_name(call):
            self.clips.add(ast.unparse(call.func))
            self._clipped.extend(models_in(call.args[0]))
            self.assumptions.append(f"`{ast.unparse(call.func)}` clips the norm of the gradients to 1")

    def _read_backward(self, attribute: str, owner: ast.expr, path: str, first: ast.expr | None) -> None:
        self._backward = True
        loss: ast.expr = owner
        if attribute == "manual_backward":
            self.lightning.add(path)
            loss = first or owner
        elif first is not None and nameable(owner):
            known = "accel" in path.lower()
            (self.accelerators if known else self.fabrics).add(path)
            if not known and "fabric" not in path.lower():
                self.assumptions.append(f"`{path}.backward(x)` runs `x.backward()`")
            loss = first
        elif isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "scale":
            self.scalers.add(ast.unparse(owner.func.value))
            self._scaled = True
            loss = owner.args[0] if owner.args else owner
        self.losses.update(arithmetic_names(loss))

    def _read_engine(self, attribute: str, path: str, first: ast.expr | None) -> None:
        """An object that is handed the loss to propagate and the optimizer to step."""
        if first is None or not nameable(first):
            return
        self.engines.add(path)
        if attribute == "backward_pass":
            self._backward = True
            self.losses.update(arithmetic_names(first))
            self.assumptions.append(f"`{path}.backward_pass(x)` runs `x.backward()`")
        else:
            self._add_optimizer(first)
            self.assumptions.append(f"`{path}.optimizer_step(x)` runs `x.step()`")

    def _read_step(self, owner: ast.expr, path: str, first: ast.expr | None) -> None:
        if first is not None and nameable(first) and ("scaler" in path.lower() or self._is_optimizer(first)):
            self.scalers.add(path)
            self._add_optimizer(first)
        elif self._is_optimizer(owner) and (first is None or isinstance(first, (ast.Name, ast.Lambda))):
            self._add_optimizer(owner)

    def _is_optimizer(self, node: ast.expr) -> bool:
        if not nameable(node):
            return False
        path = ast.unparse(node)
        last = path.rpartition(".")[2]
        if _OTHER_STEP.search(last):
            return False
        if _OPTIMIZER_NAME.search(last):
            return True
        if any(path == ast.unparse(c.func.value) for _, b in self.sides for c in calls(b) if is_zero_grad(c)):  # type: ignore[attr-defined]
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
        if attribute != "clip_gradients" and own and len(call.args) == 1 and nameable(call.func):
            self._clipped.append(unwrapped(path))  # a wrapper's own method: `model.clip_grad_norm_(1.0)`
            values.extend(call.args)
        elif attribute != "clip_gradients" and call.args:
            self._clip_arguments.append(call.args[0])
            self._clipped.extend(models_in(call.args[0]))
        values.extend(call.args[1:2])
        kind = keywords.get("norm_type")
        if kind is not None and nameable(kind):
            self._norm_types[ast.unparse(kind)] = 2.0
            self.assumptions.append(f"`{ast.unparse(kind)}` is 2, the Euclidean norm")
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
            for call in calls(body):
                if nameable(call.func) and ast.unparse(call.func).rpartition(".")[2] in running - here:
                    self.helpers.add(ast.unparse(call.func))
        if self.helpers:
            named = ", ".join(f"`{h}`" for h in sorted(self.helpers))
            self.assumptions.append(f"{named} runs the backward pass of every model")

    def _zeroes_first(self) -> bool:
        """Whether gradients are zeroed before the first step here."""
        here = sorted(calls(self.sides[0][1]), key=lambda c: (c.lineno, c.col_offset))
        names = [c.func.attr for c in here if isinstance(c.func, ast.Attribute)]
        order = [n for n in names if n in ("zero_grad", "step")]
        return order[:1] == ["zero_grad"]

    # -- models and optimizers --------------------------------------------------------------------------

    def _definitions(self, path: str) -> list[tuple[ast.Call, ast.Assign]]:
        """Assignments anywhere in the file of a call to what `path` names."""
        found = []
        for node in ast.walk(self.module.tree):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            if any(self._same.get(t, t) == self._same.get(path, path) for t in map(ast.unparse, node.targets)):
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
        whole = [path for path, e in self.optimizers.items() if e.get("models") == self.models]
        if len(self.models) == 1 and len(whole) > 1:
            self._step_parts_of(self.models[0], whole)
        taken = {m for e in self.optimizers.values() for m in e.get("models", [])}
        free = [m for m in self.models if m not in taken]
        unknown = [p for p in open_ if not any(of_tensors(c) for c, _ in self._definitions(p))]
        alike = {} if len(self.optimizers) == 1 else pairs(unknown, free)
        for path in open_:
            if len(self.optimizers) == 1 and free:
                clipped = self._representatives(self._clipped)
                models = [m for m in free if m in clipped] or list(free)
            elif path in alike:
                models = [alike[path]]
            elif len(self.models) == 1:
                self._step_parts_of(self.models[0], list(self.optimizers))
                return
            else:
                self.optimizers[path]["models"] = [re.sub(r"\W", "_", path) + "__model"]
                self.models.extend(self.optimizers[path]["models"])
                continue
            self.optimizers[path]["models"] = models
            named = ", ".join(f"`{m}`" for m in models)
            self.assumptions.append(f"`{path}` steps the parameters of {named}")

    def _step_parts_of(self, model: str, optimizers: Sequence[str]) -> None:
        """Several optimizers of one model, which share it out between them."""
        self.shared.add(model)
        for path in optimizers:
            self.optimizers[path]["models"] = [f"{model}.{re.sub(r'[^a-zA-Z0-9]', '_', path)}_part"]
            self.models.extend(self.optimizers[path]["models"])
        named = " and ".join(f"`{path}`" for path in optimizers)
        self.assumptions.append(f"{named} step parts of `{model}`, each its own")

    def _representatives(self, models: Iterable[str]) -> list[str]:
        """Models by one name each, whatever wraps or renames them."""
        return list(dict.fromkeys(self._same.get(m, m) for m in models))

    def _constructed_for(self, path: str) -> list[str]:
        """The models in the optimizer's constructor, when it stands in this function or class or at module level,
        or when the loop uses the same names."""
        here = self.module.function_scope(self.sides[0][1][0])
        for call, assignment in self._definitions(path):
            scope = self.module.function_scope(assignment)
            models = self._representatives(models_in(call))
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
        models = models_in(node)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        paths = {ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        scope = self.module.function_scope(at)
        for other in ast.walk(scope):
            if isinstance(other, ast.Assign) and any(ast.unparse(t) in names | paths for t in other.targets):
                models.extend(models_in(other.value))
        return self._representatives(models)

    def _find_parameter_lists(self) -> None:
        """Names that are clipped as they are (`params`): the parameters that their assignment says, else all."""
        bound = {n.id for _, b in self.sides for s in b for n in ast.walk(s) if is_store(n)}
        for node in self._clip_arguments:
            path = ast.unparse(node)
            if not nameable(node) or path in bound or path in self.models or path in self.optimizers:
                continue
            models = self._models_behind(node, self.sides[0][1][0])
            if not models:
                models = [m for e in self.optimizers.values() for m in e["models"]]
                self.assumptions.append(f"`{path}` holds the parameters that the optimizer steps")
            self.models.extend(m for m in models if m not in self.models)
            self.parameter_lists[path] = models

    # -- the result -------------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        parameters = self.fix.claim.parameters
        claimed = parameters.get("max_norm", parameters.get("clip_value"))
        bound = claimed if isinstance(claimed, (int, float)) and claimed > 0 else self._bound_literal
        if bound is None and self.fix.claim.relation is Relation.CLIP:
            self.assumptions.append("the clip bound is 1.0 in the trial")
        if self.accelerators:
            self.assumptions.append(
                "the accelerator is a stand-in that accumulates and clips as Accelerate does on one process"
            )
        if not self._backward and not self.helpers:
            self.assumptions.append("the backward pass, which stands elsewhere, comes first")
        accumulates = any(called(s, "accumulate") for _, b in self.sides for s in b)
        known = {**self._norm_types, **constants(self.sides)}
        if "micro-batches" in self.fix.claim.extra:
            for path in sorted(divisors(self.sides)):
                if known.get(path, 1) == 1:
                    known[path] = 2
                    self.assumptions.append(f"`{path}` is 2")
        return {
            "optimizers": self.optimizers,
            "models": self.models,
            "scalers": sorted(self.scalers),
            "accelerators": sorted(self.accelerators),
            "helpers": sorted(self.helpers),
            "aliases": {
                m: self._same[m] for m in self._written if m not in self.models and self._same.get(m) in self.models
            },
            "scaled_elsewhere": bool(self.scalers) and not self._scaled,
            "fabrics": sorted(self.fabrics - self.accelerators),
            "lightning": sorted(self.lightning),
            "shared": sorted(self.shared),
            "engines": sorted(self.engines),
            "clips": sorted(self.clips),
            "losses": sorted(self.losses),
            "parameter_lists": self.parameter_lists,
            "accumulate": 2 if accumulates else 1,
            "backward": self._backward or bool(self.helpers),
            **{f"{name}_imports": imported(*side) for name, side in zip(("before", "after"), self.sides, strict=True)},
            "constants": known,
            "counters": counters(self.sides),
            "max_norm": 1.0 if bound is None else float(bound),
            "moved": "moved" in self.fix.claim.extra,
            "varied": "micro-batches" in self.fix.claim.extra,
            "by_value": self.by_value and "max_norm" not in self.fix.claim.parameters,
            "assumptions": [*self.fix.claim.assumptions, *dict.fromkeys(self.assumptions)],
        }
