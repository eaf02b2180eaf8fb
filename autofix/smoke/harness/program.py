"""Executes the statements before and after a patch on given leaves, and says what came out."""

from __future__ import annotations

import ast
import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .values import FLOAT_ROLES, Choice, Pattern, Setting, build

_UNSUPPORTED = ("not implemented for", "not supported on", "expected scalar type", "must have the same dtype",
                "expected m1 and m2 to have the same dtype", "not support", "unsupported")  # fmt: skip
_SOFTMAX = ("softmax", "_softmax", "log_softmax")


class Softmax:
    """One softmax as it was called: its input, its weights, and along which dimension."""

    def __init__(self, scores: torch.Tensor, weights: torch.Tensor, dim: int) -> None:
        self.scores = scores
        self.weights = weights
        self.dim = dim


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """Counts tensor operations, keeps every softmax, and remembers the call that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.softmaxes: list[Softmax] = []
        self.failed: tuple[str, tuple[Any, ...]] | None = None
        self.largest = 0.0  # on the way forward, and back
        self.largest_back = 0.0
        self.measure = False
        self.noise: torch.Generator | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        try:
            out = func(*args, **kwargs)
        except Exception:
            if self.failed is None:
                self.failed = (getattr(func, "__name__", ""), tuple(args) + tuple(kwargs.values()))
            raise
        self.count += 1
        name = getattr(func, "__name__", "")
        if name in _SOFTMAX and isinstance(out, torch.Tensor) and args:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
            if isinstance(dim, int):
                weights = out.exp() if name == "log_softmax" else out
                self.softmaxes.append(Softmax(args[0], weights, dim))
        if self.noise is not None:
            out = _rounded_otherwise(out, args, self.noise)
        if self.measure and isinstance(out, torch.Tensor):
            self.largest = max(self.largest, magnitude(out))
        return out


def magnitude(value: torch.Tensor) -> float:
    """The largest magnitude in a tensor: infinity where something is not finite, 0 for whole numbers."""
    if not value.is_floating_point() or not value.numel():
        return 0.0
    largest = float(value.detach().abs().max())
    return largest if largest == largest else float("inf")


class Backward(TorchDispatchMode):  # type: ignore[misc]
    """Notes the largest number on the way back."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor):
                self.watch.largest_back = max(self.watch.largest_back, magnitude(value))
        return out


def _rounded_otherwise(out: Any, args: tuple[Any, ...], generator: torch.Generator) -> Any:
    """The result of an operation off by one unit in the last place, as another order of rounding might leave it; its
    backward, which may read the result, sees that too. Views, what was changed in place, and whole numbers (masks,
    counts) stay as they are."""
    if not isinstance(out, torch.Tensor) or not out.is_floating_point() or not out.numel():
        return out
    if any(isinstance(a, torch.Tensor) and _storage(a) == _storage(out) for a in args):
        return out
    values = out.detach()
    if bool((values == values.round()).all()):
        return out
    sign = torch.randint(0, 2, tuple(out.shape), generator=generator).to(out.dtype) * 2 - 1
    out.data.mul_(1 + torch.finfo(out.dtype).eps * sign)
    return out


def _storage(value: torch.Tensor) -> int:
    return int(value.untyped_storage().data_ptr())


class Outcome:
    """What one execution gave.

    values: named outputs, detached. grads: by leaf; None where no gradient arrived. error: in words, "" when it
    ran. kind of error: "arithmetic" (an overflow, a division by zero), "in place" (autograd needed what was changed),
    "unsupported" (this PyTorch lacks the operation in this dtype), "other". entering: whether all that entered the
    patched statements was finite, or -inf as masks are; entering_finite: and no -inf either. reached: whether the line
    that was asked for ran.
    failed_at: the part of the program and the line that raised.
    """

    def __init__(self) -> None:
        self.values: dict[str, torch.Tensor] = {}
        self.grads: dict[str, torch.Tensor | None] = {}
        self.error = ""
        self.error_kind = ""
        self.entering = True
        self.entering_finite = True
        self.reached = True
        self.failed_at: tuple[str, int] | None = None
        self.watch = Watch()
        self.scores: list[torch.Tensor] = []
        self.attached: frozenset[str] = frozenset()  # outputs that a gradient can start from

    @property
    def ran(self) -> bool:
        return not self.error

    def bad_value(self) -> str | None:
        return next((n for n, v in self.values.items() if _not_finite(v)), None)

    def bad_gradient(self) -> str | None:
        return next((n for n, g in self.grads.items() if g is not None and _not_finite(g)), None)

    @property
    def healthy(self) -> bool:
        return self.ran and self.bad_value() is None and self.bad_gradient() is None


class Deferred(Outcome):
    """An execution that happens when something of it is first asked for, and is watched only when the watch is."""

    def __init__(self, execute: Callable[[bool], Outcome]) -> None:
        self._execute = execute

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = dict(vars(self._execute(name == "watch")))
        if name != "watch":
            del found["watch"]
        vars(self).update(found)
        return found[name]


_FILES = ("<imports>", "<definitions>", "<statements>", "<consumers>")
_PARTS = _FILES[1:]


class _Codes(NamedTuple):
    prelude: Any
    prefix: Any
    body: Any
    suffix: Any


_SINGLE, _HALF = ("float", "float32"), ("half", "float16", "bfloat16")


class _Widened(ast.NodeTransformer):
    """Casts to the precisions `narrow` as casts to double: a reference in double precision is that throughout."""

    def __init__(self, narrow: tuple[str, ...]) -> None:
        self.narrow = narrow

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        is_torch = isinstance(node.value, ast.Name) and node.value.id == "torch"
        if is_torch and node.attr in self.narrow:
            node.attr = "float64"
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        bare = isinstance(node.func, ast.Attribute) and node.func.attr in self.narrow and not node.args
        self.generic_visit(node)
        if bare:
            node.func.attr = "double"  # type: ignore[attr-defined]
        return node


class Program:
    """One side of the comparison: shared definitions, the statements in question, and their consumers."""

    def __init__(self, prelude: str, prefix: str, body: str, suffix: str) -> None:
        self.prelude, self.prefix, self.body, self.suffix = prelude, prefix, body, suffix
        texts = (prelude, prefix, body, suffix)
        self._codes = _Codes(*(compile(t or "pass", n, "exec") for t, n in zip(texts, _FILES)))  # noqa: B905
        self._wide = self._codes
        if any(word in text for text in texts for word in ("float", "single")):
            wide = (_Widened(_SINGLE).visit(ast.parse(t or "pass")) for t in texts)
            self._wide = _Codes(*(compile(t, n, "exec") for t, n in zip(wide, _FILES)))  # noqa: B905
        self._flat: list[tuple[str, ast.stmt]] | None = None
        self._feeding: dict[tuple[str, int], frozenset[str]] = {}
        self._read: dict[tuple[str, int], frozenset[str]] = {}
        self._deciding: frozenset[str] | None = None

    @property
    def text(self) -> str:
        return "\n".join(part for part in (self.prefix, self.body, self.suffix) if part.strip())

    @functools.cached_property
    def unrounded(self) -> Program:
        """The same without its own casts to half precision."""
        texts = (self.prelude, self.prefix, self.body, self.suffix)
        wide = [ast.unparse(_Widened(_HALF).visit(ast.parse(t))) for t in texts]
        if wide == [ast.unparse(ast.parse(t)) for t in texts]:
            return self
        return Program(*wide)

    @property
    def deciding(self) -> frozenset[str]:
        """Names that the conditions of the body read, with all that they come from."""
        if self._deciding is None:
            tests = [n.test for n in ast.walk(ast.parse(self.body)) if isinstance(n, (ast.If, ast.While, ast.IfExp))]
            self._deciding = self._sources(_loads(tests), len(self._parsed()))
        return self._deciding

    def feeding(self, place: tuple[str, int]) -> frozenset[str]:
        """Names that a statement reads, with all that they come from; `place` is a part of the program and a line."""
        if place not in self._feeding:
            last, names = self._at(place)
            self._feeding[place] = self._sources(names, last)
        return self._feeding[place]

    def read_at(self, place: tuple[str, int]) -> frozenset[str]:
        """Names that a statement itself reads."""
        if place not in self._read:
            self._read[place] = frozenset(self._at(place)[1])
        return self._read[place]

    def _at(self, place: tuple[str, int]) -> tuple[int, set[str]]:
        """The statement at a line of a part of the program, by its number, and the names that it (or its condition)
        reads."""
        flat = self._parsed()
        at = [i for i, (part, s) in enumerate(flat) if part == place[0] and s.lineno <= place[1]]
        last = at[-1] if at else 0
        statement = flat[last][1] if flat else None
        test = getattr(statement, "test", statement)
        return last, _loads([test] if test is not None else [])

    def _sources(self, names: set[str], before: int) -> frozenset[str]:
        for _, statement in reversed(self._parsed()[:before]):
            stored = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            if stored & names:
                names |= _loads([statement])
        return frozenset(names)

    def _parsed(self) -> list[tuple[str, ast.stmt]]:
        """Every statement in the order of the text, with the part that it stands in."""
        if self._flat is None:
            parts = (("<definitions>", self.prefix), ("<statements>", self.body), ("<consumers>", self.suffix))
            self._flat = [
                (part, s)
                for part, text in parts
                for s in sorted((n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)), key=_line)
            ]
        return self._flat

    def execute(
        self, env: dict[str, Any], outcome: Outcome, fixed: dict[str, Any] | None = None, reach: int = 0
    ) -> None:
        """Run all parts in `env`. reach: a line of the body; `outcome.reached` then says whether it was executed,
        for a patch under a branch that is not taken has not been tried."""
        codes = self._wide if torch.get_default_dtype() is torch.float64 else self._codes
        exec(codes.prelude, env)
        if fixed:
            env.update(fixed)
        outcome.reached = not reach
        exec(codes.prefix, env)
        count = outcome.watch.count
        entering = [v.detach() for v in env.values() if isinstance(v, torch.Tensor) and v.is_floating_point()]
        outcome.entering = not any(_is_broken(v) for v in entering)
        outcome.entering_finite = outcome.entering and not any(bool((v == float("-inf")).any()) for v in entering)
        outcome.watch.count = count  # of the operations of the code alone
        if reach:
            _traced(codes.body, env, outcome, reach)
        else:
            exec(codes.body, env)
        exec(codes.suffix, env)


def _traced(body: Any, env: dict[str, Any], outcome: Outcome, line: int) -> None:
    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not body:
            return None
        outcome.reached |= frame.f_lineno == line
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(body, env)
    finally:
        sys.settrace(previous)


def _place(error: BaseException) -> tuple[str, int] | None:
    """The part of the program and the line that raised."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in _PARTS:
            found = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _loads(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _line(statement: ast.stmt) -> tuple[int, int]:
    return statement.lineno, statement.col_offset


def leaves_for(setting: Setting, pattern: Pattern, seed: int = 0, only: str | None = None) -> dict[str, Any]:
    """Every leaf's value; with `only`, that leaf follows the pattern and the other float leaves are ordinary."""
    plain = Pattern("ordinary draws", "draw", 1.0, pattern.mask)
    return {n: build(n, c, pattern if only in (None, n) else plain, seed) for n, c in setting.items()}


def as_dtype(value: Any, choice: Choice, dtype: torch.dtype) -> Any:
    if choice.role in FLOAT_ROLES:
        return value.to(dtype)
    if choice.role == "dtype":
        return dtype
    if choice.role == "device":
        return torch.device("cpu")
    if choice.role == "parameters":
        return [_parameter(gradient.to(dtype)) for gradient in value]
    return value


def _parameter(gradient: torch.Tensor) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.zeros_like(gradient))
    made.grad = gradient.clone()
    return made


def run(
    program: Program,
    setting: Setting,
    leaves: dict[str, Any],
    dtype: torch.dtype,
    results: list[str],
    mode: str = "results",
    gradients: bool = True,
    fixed: dict[str, Any] | None = None,
    measure: bool = False,
    reach: int = 0,
    noise: int | None = None,
    trial: torch.dtype | None = None,
) -> Outcome:
    """Run one side on `leaves` cast to `dtype`. noise: a seed; every operation then rounds otherwise. trial: what
    `trial_dtype` means to the code: the dtype under trial, where this run is its float64 reference.

    mode: "results" compares the named results, "softmax" the weights of every softmax that is reached,
    "append" and "append-added" those of a softmax put on the first result (alone, or added to scores).
    """
    outcome = Outcome()
    env: dict[str, Any] = {"trial_dtype": trial or dtype}
    inputs: dict[str, torch.Tensor] = {}
    for name, value in leaves.items():
        cast = as_dtype(value, setting[name], dtype)
        if setting[name].role == "float" and isinstance(cast, torch.Tensor):
            base = cast.clone().requires_grad_(gradients)
            inputs[name] = base
            cast = base.clone()  # so that in-place operations are allowed
        elif isinstance(cast, torch.Tensor):
            cast = cast.clone()
        env[name] = cast
    previous = torch.get_default_dtype()
    outcome.watch.measure = measure
    if noise is not None:
        outcome.watch.noise = torch.Generator().manual_seed(4241 + noise)
    # Watching every operation takes as long as running it.
    watched = measure or not gradients or mode != "results" or noise is not None
    try:
        torch.set_default_dtype(dtype)
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.set_grad_enabled(gradients), outcome.watch if watched else contextlib.nullcontext():
                program.execute(env, outcome, fixed, reach)
                outputs = _outputs(env, outcome, results, mode, leaves)
            outcome.values = {n: v.detach() for n, v in outputs.items()}
            outcome.attached = frozenset(n for n, v in outputs.items() if v.requires_grad)
            if gradients:
                _differentiate(outcome, outputs, inputs)
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0][:160]}"
        outcome.error_kind = _kind_of(error)
        outcome.failed_at = _place(error)
    finally:
        torch.set_default_dtype(previous)
    return outcome


def _kind_of(error: Exception) -> str:
    text = str(error)
    if "without overflow" in text or isinstance(error, ArithmeticError):
        return "arithmetic"
    if "modified by an inplace operation" in text:
        return "in place"
    if any(word in text for word in _UNSUPPORTED):
        return "unsupported"
    return "other"


def _outputs(
    env: dict[str, Any], outcome: Outcome, results: list[str], mode: str, leaves: dict[str, Any]
) -> dict[str, torch.Tensor]:
    if mode == "softmax" and outcome.watch.softmaxes:
        found = {}
        for index, softmax in enumerate(outcome.watch.softmaxes):
            found["weights" if not index else f"weights {index + 1}"] = softmax.weights
        return found
    found = outputs_of(env, results)
    if mode in ("softmax", "append", "append-added"):
        floats = [v for v in found.values() if v.is_floating_point() and v.dim()]
        if floats:
            scores = floats[-1]
            if mode == "append-added":
                scores = scores + env["added_scores"].expand(scores.shape)
            return {"weights": torch.softmax(scores, dim=-1)}
    return found


def outputs_of(env: dict[str, Any], results: list[str]) -> dict[str, torch.Tensor]:
    """The tensors that `results` (names, or the text of expressions) hold; numbers as tensors without a graph."""
    found: dict[str, torch.Tensor] = {}
    for name in results:
        if name in env:
            _flatten(name, env[name], found)
        elif not name.isidentifier():
            _flatten(name, eval(name, env), found)
    return found


def _flatten(name: str, value: Any, found: dict[str, torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, (bool, int, float)):
        found[name] = torch.tensor(float(value), dtype=torch.float64)
    elif isinstance(value, (tuple, list)) and len(value) <= 64:
        for index, item in enumerate(value):
            _flatten(f"{name}[{index}]", item, found)
    elif isinstance(value, dict) and len(value) <= 64:
        for key, item in value.items():
            _flatten(f"{name}[{key!r}]", item, found)


def cotangent(index: int, value: torch.Tensor) -> torch.Tensor:
    """Fixed, of mixed signs and away from zero; the same numbers in every dtype."""
    return _cotangent(index, tuple(value.shape)).to(value.dtype)


@functools.lru_cache(maxsize=256)
def _cotangent(index: int, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(101 + index)
    draw = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5
    sign = torch.where(torch.rand(shape, generator=generator, dtype=torch.float64) < 0.5, -1.0, 1.0)
    return (draw * sign).to(torch.float64)


def _differentiate(outcome: Outcome, outputs: dict[str, torch.Tensor], inputs: dict[str, torch.Tensor]) -> None:
    ends = [v for v in outputs.values() if v.requires_grad and v.is_floating_point()]
    outcome.grads = dict.fromkeys(inputs)
    if not ends or not inputs:
        return
    total = sum(((v * cotangent(i, v)).sum() for i, v in enumerate(ends)), torch.zeros(()))
    with Backward(outcome.watch) if outcome.watch.measure else contextlib.nullcontext():
        grads = torch.autograd.grad(total, list(inputs.values()), allow_unused=True)
    outcome.grads = dict(zip(inputs, grads))  # noqa: B905


def _not_finite(value: torch.Tensor) -> bool:
    if not (value.is_floating_point() or value.is_complex()):
        return False
    return not bool(torch.isfinite(value.detach()).all())


def _is_broken(value: torch.Tensor) -> bool:
    """NaN or +inf; -inf is how masks are written."""
    value = value.detach()
    return bool((torch.isnan(value) | (value == float("inf"))).any())
