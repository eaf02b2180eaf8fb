"""Where the first non-finite value or gradient of a class came from: the operation, and the line of the user's file.

Forward, every operation is noted with the line that called it, and a non-finite loss is followed back through
non-finite inputs to the operation that made one out of finite values. Backward, every node of the graph knows the line
of its forward operation, and the first one to turn a finite gradient into a non-finite one is named.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from . import synth_search, synth_step
from .synth_plan import Plan

NAN, POSITIVE, NEGATIVE = 1, 2, 4
_HARNESS = os.path.dirname(__file__)
_TORCH = os.path.dirname(torch.__file__)
_MOST_NODES = 20_000


class _Input:
    """A tensor that an operation was given: what it held then, and the call that made it, where it was not finite."""

    def __init__(self, tensor: torch.Tensor, kinds: int, maker: _Call | None) -> None:
        self.tensor = tensor
        self.kinds = kinds
        self.maker = maker

    @property
    def accidental(self) -> bool:
        """Whether it is not finite, and not because it was masked."""
        return bool(self.kinds) and not (self.maker is not None and self.maker.deliberate)


class _Call:
    """One operation. kinds: what its output holds (NAN | POSITIVE | NEGATIVE); scalar_kinds: the same of `numbers`,
    the Python numbers among its arguments."""

    def __init__(self, name: str, place: tuple[str, int, str], inputs: list[_Input]) -> None:
        self.name = name
        self.place = place
        self.inputs = inputs
        self.numbers: list[float] = []
        self.dtype = ""
        self.scalar_kinds = 0
        self.kinds = 0

    @property
    def deliberate(self) -> bool:
        """Whether it only holds infinities that were written there on purpose, a mask, or that came from one."""
        if not self.kinds or self.kinds & NAN:
            return False
        allowed = self.scalar_kinds
        for one in self.inputs:
            if one.accidental:
                return False
            allowed |= one.kinds
        return not self.kinds & ~allowed


class Tracer(TorchFunctionMode):  # type: ignore[misc]
    """Use as a context around training steps; `origin` then says where it broke.

    folder: of the user's package; lines in it are preferred to those of libraries that it calls.
    """

    def __init__(self, module: nn.Module, folder: str) -> None:
        super().__init__()
        self._folder = folder
        self._names = {id(t): n for n, t in (*module.named_parameters(), *module.named_buffers())}
        self._producers: dict[int, _Call] = {}
        self._kinds: dict[int, int] = {}
        self._kept: list[torch.Tensor] = []  # an id is a name only while its tensor is alive
        self._nodes: list[Any] = []
        self._known: set[int] = set()
        self._last: _Call | None = None
        self._backward: _Call | None = None
        self._handle = module.register_forward_pre_hook(self._forget)

    def _forget(self, *_: Any) -> None:
        """A new step: what the one before did was finite."""
        self._producers.clear()
        self._kinds.clear()
        self._kept.clear()
        self._nodes.clear()
        self._known.clear()
        self._last = None

    def __exit__(self, *error: Any) -> None:
        self._handle.remove()
        super().__exit__(*error)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = _flat([args, list(kwargs.values())])
        inputs = [_Input(t, self._held(t), self._producers.get(id(t))) for t in given if isinstance(t, torch.Tensor)]
        result = function(*args, **kwargs)
        name = _name(function)
        if name in _SILENT:
            return result
        in_place = name.endswith("_") or name == "setitem"
        changed = [args[0]] if in_place else [t for t in _flat([result]) if all(t is not i.tensor for i in inputs)]
        outputs = [t for t in changed if isinstance(t, torch.Tensor) and t.is_floating_point()]
        if not outputs:
            return result
        call = _Call(name.rstrip("_"), self.place(), inputs)
        call.dtype = str(outputs[0].dtype).replace("torch.", "")
        call.numbers = [n for n in given if isinstance(n, float)]
        for number in call.numbers:
            call.scalar_kinds |= _number_kinds(number)
        for output in outputs:
            self._note(call, output)
        return result

    def _held(self, tensor: torch.Tensor) -> int:
        known = self._kinds.get(id(tensor))
        return _kinds(tensor) if known is None else known

    def _note(self, call: _Call, output: torch.Tensor) -> None:
        kinds = _kinds(output)
        self._kept.append(output)
        self._kinds[id(output)] = kinds
        call.kinds |= kinds
        if kinds:
            self._producers[id(output)] = call
            self._last = call
        self._watch(output.grad_fn, call)

    def _watch(self, node: Any, call: _Call) -> None:
        """Every node of the graph that is new belongs to this call."""
        pending = [node]
        while pending and len(self._nodes) < _MOST_NODES:
            one = pending.pop()
            if one is None or id(one) in self._known:
                continue
            self._known.add(id(one))
            self._nodes.append(one)
            one.register_hook(self._hook(call))
            pending.extend(following for following, _ in one.next_functions)

    def _hook(self, call: _Call) -> Any:
        def look(to_inputs: Any, from_outputs: Any) -> None:
            if self._backward is None and _any(to_inputs) and not _any(from_outputs):
                self._backward = call

        return look

    def place(self) -> tuple[str, int, str]:
        """The innermost line of the user's package, else of any code that is neither torch's nor ours."""
        other = ("", 0, "")
        frame: Any = sys._getframe(2)
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(self._folder):
                return path, frame.f_lineno, frame.f_code.co_name
            foreign = path.startswith(("<", _HARNESS, _TORCH)) or "importlib" in path
            if not other[0] and not foreign and os.path.isabs(path):
                other = path, frame.f_lineno, frame.f_code.co_name
            if path.startswith(_HARNESS):
                break
            frame = frame.f_back
        return other

    def origin(self) -> dict[str, Any]:
        """{"operation", "pass", "path", "line", "function", "detail", "chain"}; {} where nothing was seen.

        detail: what its arguments were. chain: the operations from there to the loss, as far as they were non-finite.
        """
        if self._backward is not None:
            return _told(self._backward, "backward", _arguments(self._backward), [])
        if self._last is None:
            return {}
        call: _Call = self._last
        chain = [call.name]
        detail = ""
        while True:
            source = next((i for i in call.inputs if i.kinds & NAN), None)
            source = source or next((i for i in call.inputs if i.accidental), None)
            if source is None:
                break
            if source.maker is None:
                name = self._names.get(id(source.tensor), "")
                detail = f"{name} is not finite" if name else "what it is given is not finite"
                break
            call = source.maker
            chain.append(call.name)
        return _told(call, "forward", detail or _arguments(call), chain)


# What is read of a tensor, not computed; and what the harness itself asks.
_SILENT = frozenset("isfinite isnan isinf size dim numel item backward register_hook is_floating_point".split())


def _told(call: _Call, when: str, detail: str, chain: list[str]) -> dict[str, Any]:
    path, line, function = call.place
    return {
        "operation": call.name, "pass": when, "path": path, "line": line, "function": function, "detail": detail,
        "dtype": call.dtype, "chain": chain,
    }  # fmt: skip


def _name(function: Any) -> str:
    """`exp`, `masked_fill_`, `div` for `__truediv__`; an operator in place ends with an underscore."""
    name = getattr(function, "__name__", str(function))
    if not name.startswith("__"):
        return str(name).lstrip("_")
    name = name.strip("_")
    if name == "setitem" or name == "get":
        return str(name)
    in_place = name.startswith("i") and name[1:] in _OPERATORS
    reflected = name.startswith("r") and name[1:] in _OPERATORS
    word = name[1:] if in_place or reflected else name
    return f"{'div' if word == 'truediv' else word}{'_' if in_place else ''}"


_OPERATORS = frozenset("add sub mul truediv floordiv matmul pow mod div".split())


def _flat(value: Any, deep: int = 0) -> list[Any]:
    """Tensors and numbers in nested arguments."""
    if isinstance(value, (torch.Tensor, float, int)):
        return [value] if isinstance(value, torch.Tensor) else [float(value)]
    if deep < 4 and isinstance(value, (list, tuple)):
        return [item for part in value for item in _flat(part, deep + 1)]
    return []


def _kinds(tensor: torch.Tensor) -> int:
    if not tensor.is_floating_point() or tensor.layout is not torch.strided or tensor.numel() == 0:
        return 0
    tensor = tensor.detach()
    if bool(torch.isfinite(tensor).all()):
        return 0
    return (
        NAN * bool(torch.isnan(tensor).any())
        | POSITIVE * bool(torch.isposinf(tensor).any())
        | NEGATIVE * bool(torch.isneginf(tensor).any())
    )


def _number_kinds(value: float) -> int:
    return NAN if value != value else POSITIVE if value == float("inf") else NEGATIVE if value == float("-inf") else 0


def _any(gradients: Any) -> bool:
    return any(isinstance(t, torch.Tensor) and _kinds(t) for t in gradients or ())


def _arguments(call: _Call) -> str:
    """What went in, where that explains what came out."""
    if call.name in _ATTENTION and _fully_masked(call):
        return "every position of a row is masked"
    divided = call.name in _DIVISIONS
    what = "the divisor" if divided else "its argument"
    tensors = [i.tensor for i in call.inputs if i.tensor.is_floating_point() and i.tensor.numel()]
    if divided and call.numbers:
        return f"the divisor is {call.numbers[-1]:g}"
    if not tensors:
        return ""
    held = (tensors[-1] if divided else tensors[0]).detach()
    held = held[torch.isfinite(held)].double()
    if held.numel() == 0:
        return ""
    low, high, zeros = float(held.min()), float(held.max()), int((held == 0).sum())
    if zeros and call.name in _ZERO:
        return f"{what} is 0 in {zeros} of {held.numel()} places"
    return f"{what} lies between {low:.4g} and {high:.4g}, the result is {call.dtype}"


def _fully_masked(call: _Call) -> bool:
    masks = [i.tensor for i in call.inputs if i.tensor.dtype is torch.bool]
    return any(i.kinds for i in call.inputs) or any(bool((m.all(-1) | ~m.any(-1)).any()) for m in masks if m.ndim)


_ATTENTION = frozenset("softmax log_softmax scaled_dot_product_attention multi_head_attention_forward".split())
_DIVISIONS = frozenset(("div", "true_divide", "divide"))
_ZERO = frozenset(
    "log log2 log10 sqrt rsqrt div true_divide divide reciprocal pow norm vector_norm linalg_vector_norm std var cdist"
    " atan2 normalize xlogy".split()
)


def folder_of(kind: type) -> str:
    """The folder of the class's package, or the file itself where it is a module without one."""
    top = sys.modules.get(kind.__module__.partition(".")[0])
    file = getattr(top, "__file__", None) or getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    return os.path.dirname(file) + os.sep if os.path.basename(file) == "__init__.py" else file


def trace(
    module: nn.Module, inputs: tuple[list[Any], dict[str, Any]], folder: str, seed: int, steps: int
) -> dict[str, Any]:
    """`Tracer.origin` of these training steps; what they raise ends them, and what was seen until then counts."""
    tracer = Tracer(module, folder)
    try:
        with tracer:
            synth_step.train(module, inputs, seed, steps)
    except Exception:
        return tracer.origin()
    return tracer.origin()


class _Fresh(TorchFunctionMode):  # type: ignore[misc]
    """Notes which line took memory without writing to it."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._tracer = Tracer(nn.Module(), folder)
        self.places: dict[int, tuple[str, int, str]] = {}
        self.kept: list[torch.Tensor] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if "empty" in _name(function) and isinstance(result, torch.Tensor):
            self.kept.append(result)
            self.places[result.data_ptr()] = self._tracer.place()
        return result


def uninitialised(kind: type, plan: Plan, seed: int, names: list[str]) -> dict[str, Any]:
    """As `Tracer.origin`, for parameters that are memory as it was found."""
    fresh = _Fresh(folder_of(kind))
    with fresh:
        module = synth_search.construct(kind, plan, seed)
    place = next((fresh.places[p] for n in names if (p := module.get_parameter(n).data_ptr()) in fresh.places), None)
    path, line, function = place or ("", 0, "")
    return {
        "operation": "empty", "pass": "initialisation", "path": path, "line": line, "function": function,
        "detail": f"nothing writes to {', '.join(names[:4])} after its memory is taken", "chain": [],
    }  # fmt: skip
