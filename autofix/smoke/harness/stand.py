"""Stand-ins: objects that take the place of what a training loop needs but the trial has not.

A `Stand` accepts every operation. It counts as a number whose value comes from its name where the name says enough
(`accumulation_steps` is 2); then it is *known*, and conditions on it are believed. Everything else is opaque.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch

ACCUMULATION = 2
_ACCUMULATE = re.compile(r"accum|micro_?batches|iter_size", re.I)
_BOUND = re.compile(r"(max|clip|grad).*(norm|clip|val)|^clip$|max_grad|grad_clip|clip_grad", re.I)
_COUNTER = re.compile(
    r"^(i|j|k|it|idx|n|iter|iteration|iter_num|batch_?idx|batch_?id|batch_?i|i_batch|n_iter|num_iter|cur_iter|"
    r"step|global_?step|train_?step|current_?step|batch_?index|i_?step|micro_?step|_n_updates)$"
)


class Clock:
    """Which turn of the loop runs, and the clip bound in force: what names such as `step` stand for."""

    turn = 0
    bound = 1.0


def is_counter(name: str) -> bool:
    return bool(_COUNTER.match(name))


class Stand:
    """Anything. `_path` is its source text, for messages."""

    def __init__(self, path: str, value: Any = None, known: bool = False) -> None:
        self.__dict__.update(_path=path, _value=value, _known=known, _items={})

    # -- what it is worth ------------------------------------------------------------------------------

    def worth(self) -> tuple[Any, bool]:
        """Its value as a number, and whether that value is known."""
        if self._value is not None:
            return self._value, self._known
        name = self._path.rpartition(".")[2]
        if is_counter(name):
            return Clock.turn, True
        if _ACCUMULATE.search(name):
            return ACCUMULATION, True
        if _BOUND.search(name):
            return Clock.bound, True
        return 1, False

    def __repr__(self) -> str:
        return f"<stand-in for {self._path}>"

    def __bool__(self) -> bool:
        return bool(self.worth()[0])

    def __int__(self) -> int:
        return int(self.worth()[0])

    __index__ = __trunc__ = __int__

    def __float__(self) -> float:
        return float(self.worth()[0])

    def __round__(self, digits: int = 0) -> Stand:
        return self

    def __hash__(self) -> int:
        return hash(self._path)

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __len__(self) -> int:
        return 2

    def __contains__(self, item: object) -> bool:
        return False

    # -- what can be done to it ------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # protocols (numpy, copy, pickle) must not take it for their own
        child = Stand(f"{self._path}.{name}")
        self.__dict__[name] = child
        return child

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Stand(f"{self._path}()")

    def __getitem__(self, key: Any) -> Any:
        name = repr(key)
        if name not in self._items:
            self._items[name] = Stand(f"{self._path}[{name[:30]}]")
        return self._items[name]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._items[repr(key)] = value

    def __delitem__(self, key: Any) -> None:
        self._items.pop(repr(key), None)

    def __iter__(self) -> Iterator[Any]:
        return iter([Stand(f"{self._path}[{n}]") for n in range(2)])

    def __next__(self) -> Any:
        return Stand(f"next({self._path})")

    def __enter__(self) -> Any:
        return Stand(f"{self._path}.__enter__()")

    def __exit__(self, *error: object) -> None:
        return None

    def __neg__(self) -> Any:
        value, known = self.worth()
        return Stand(f"-{self._path}", -value, known)

    def __invert__(self) -> Any:
        return Stand(f"~{self._path}")

    def __abs__(self) -> Any:
        return self


def _binary(name: str, operation: Callable[[Any, Any], Any]) -> None:
    def forward(self: Stand, other: Any) -> Any:
        return _combine(self, other, operation, name, reflected=False)

    def reflected(self: Stand, other: Any) -> Any:
        return _combine(self, other, operation, name, reflected=True)

    setattr(Stand, f"__{name}__", forward)
    setattr(Stand, f"__r{name}__", reflected)


def _combine(stand: Stand, other: Any, operation: Callable[[Any, Any], Any], name: str, reflected: bool) -> Any:
    """A number with its knowledge for numbers; a real tensor where the other side is one."""
    value, known = stand.worth()
    if isinstance(other, torch.Tensor):
        if name in ("add", "sub") or (name == "truediv" and not reflected):
            return other  # an opaque term beside a real loss changes nothing that matters here
        return operation(other, value) if reflected else operation(value, other)
    path = f"{stand._path} {name} {other!r}"[:80]
    if isinstance(other, Stand):
        value2, known2 = other.worth()
    elif isinstance(other, (int, float)):
        value2, known2 = other, True
    else:
        return Stand(path)
    try:
        result = operation(value2, value) if reflected else operation(value, value2)
    except (ArithmeticError, TypeError, ValueError):
        return Stand(path)
    return Stand(path, result, known and known2)


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
    "matmul",
]:
    _plain = {"and": "and_", "or": "or_"}.get(_name, _name)
    _binary(_name, getattr(operator, _plain))


def _compare(name: str) -> None:
    operation = getattr(operator, name)

    def method(self: Stand, other: Any) -> Any:
        if isinstance(other, (int, float, Stand)):
            return _combine(self, other, operation, name, reflected=False)
        return Stand(f"{self._path} {name} {type(other).__name__}")

    setattr(Stand, f"__{name}__", method)


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _compare(_name)


class ModelStand(Stand):
    """Takes a model's place: real parameters and modes, opaque outputs."""

    def __init__(self, path: str, module: torch.nn.Module) -> None:
        super().__init__(path)
        self.__dict__.update(_module=module, module=self, training=True)
        for name in (
            "parameters", "named_parameters", "modules", "named_modules", "children", "zero_grad", "state_dict",
            "load_state_dict", "requires_grad_", "buffers", "named_buffers",
        ):  # fmt: skip
            self.__dict__[name] = getattr(module, name)
        self.__dict__["clip_grad_norm_"] = self._clip_grad_norm  # as wrappers that shard parameters have it
        for name in ("train", "eval", "to", "cuda", "half", "float", "bfloat16"):
            self.__dict__[name] = lambda *_, **__: self

    def _clip_grad_norm(self, max_norm: Any, norm_type: float = 2.0) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(self._module.parameters(), float(max_norm), norm_type)
