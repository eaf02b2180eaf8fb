"""Arguments as data: a spec says how a value is made, so that a class can be built again elsewhere, value for value.

A spec is a JSON list whose first item is its kind: ["value", 3], ["tensor", [2, 16, 32], "normal"],
["new", "package.module:Class", {"dim": spec}, [spec]], ["import", "package.module:name"], ["tuple", [spec]],
["code", "torch.randn(2, 3), mask=None"] (the arguments of a call, as the user wrote them), ...
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from . import synth_names

Spec = Any  # a JSON list; see above
STAND_INS = ("permissive", "linear", "identity", "function", "factory")


class Permissive:
    """A configuration object without a class: each attribute is guessed from its name when it is first read."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = synth_names.attribute(name)
        self.__dict__[name] = value
        return value

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __getitem__(self, name: str) -> Any:
        return getattr(self, str(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self.__dict__.get(name, default)


class AnyLinear(nn.Module):  # type: ignore[misc]
    """Stands in for a network of unknown kind: a learned scale of its first tensor."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return x * self.scale if isinstance(x, torch.Tensor) and x.is_floating_point() else x


class AnyIdentity(nn.Identity):  # type: ignore[misc]
    """Stands in for a layer without parameters: its first argument comes back, whatever else it is given."""

    def forward(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        return x


class AnyNet(nn.Module):  # type: ignore[misc]
    """Stands in for a network from `width` to `out` features: in the last dimension, or in the second of images."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, out)

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.proj(x.movedim(1, -1)).movedim(-1, 1) if x.ndim > 3 else self.proj(x)


def make_network(*args: Any, **kwargs: Any) -> nn.Module:
    """A factory: the first two integers are the sizes of what it makes."""
    sizes = [a for a in (*args, *kwargs.values()) if type(a) is int]
    return AnyNet(*sizes[:2]) if len(sizes) > 1 else AnyLinear(sizes[0] if sizes else 1)


def first_argument(x: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A function that leaves its first argument as it is."""
    return x


def locate(reference: str) -> Any:
    """What "package.module:Outer.name" names."""
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def reference(kind: type | Callable[..., Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def build(spec: Spec) -> Any:
    """The value. Random parts come from torch's generator, so seed it first. Raises whatever user code raises."""
    kind = spec[0]
    if kind == "value":
        return spec[1]
    if kind in ("list", "tuple"):
        items = [build(item) for item in spec[1]]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {name: build(item) for name, item in spec[1].items()}
    if kind == "tensor":
        return tensor(spec[1], spec[2])
    if kind == "new":
        made = locate(spec[1])(*[build(i) for i in spec[3]], **{n: build(i) for n, i in spec[2].items()})
        for name, item in (spec[4] if len(spec) > 4 else {}).items():
            setattr(made, name, build(item))
        return made
    if kind == "modules":
        return nn.ModuleList(build(item) for item in spec[1])
    if kind == "import":
        return locate(spec[1])
    if kind == "permissive":
        return Permissive({name: build(item) for name, item in spec[1].items()})
    if kind == "linear":
        return AnyLinear(spec[1])
    if kind == "identity":
        return AnyIdentity()
    if kind == "function":
        return first_argument
    if kind == "factory":
        return make_network
    if kind == "code":
        return eval(f"(lambda *args, **kwargs: (args, kwargs))({spec[1]})", {"torch": torch, "nn": nn})
    if kind == "dtype":
        return getattr(torch, spec[1])
    if kind == "device":
        return torch.device(spec[1])
    if kind == "size":
        return torch.Size(spec[1])
    raise ValueError(f"not a spec: {spec!r}")


def tensor(shape: list[int], content: str) -> torch.Tensor:
    """A tensor of `shape`. content: normal, unit (0 to 1), positive, large (1e4), tiny (1e-6), zeros, ones, true,
    false, ids:N (integers below N), index (0, 1, 2, ... along the last dimension), count:N (the constant N), spd
    (positive definite)."""
    if content == "normal":
        return torch.randn(shape)
    if content == "unit":
        return torch.rand(shape) * 0.98 + 0.01
    if content == "positive":
        return torch.rand(shape) + 0.5
    if content in ("large", "tiny"):
        return torch.randn(shape) * (1e4 if content == "large" else 1e-6)
    if content in ("zeros", "ones"):
        return torch.full(shape, float(content == "ones"))
    if content in ("true", "false"):
        return torch.full(shape, content == "true")
    if content == "alternating":
        return torch.arange(max(1, int(torch.Size(shape).numel()))).remainder(2).float().reshape(shape)
    if content == "index":
        return torch.arange(shape[-1] if shape else 1).expand(shape).clone()
    if content == "spd":
        root = torch.randn(shape)
        return root @ root.mT + torch.eye(shape[-1])
    word, _, number = content.partition(":")
    if word == "ids":
        return torch.randint(0, max(1, int(number)), shape)
    if word == "count":
        return torch.full(shape, int(number))
    raise ValueError(f"not a tensor content: {content!r}")


def stand_ins(spec: Spec) -> Iterator[str]:
    """The kinds of stand-in that a spec contains."""
    if isinstance(spec, dict):
        for item in spec.values():
            yield from stand_ins(item)
    elif isinstance(spec, (list, tuple)):
        if spec and spec[0] in STAND_INS and (len(spec) == 1 or not isinstance(spec[1], str)):
            yield str(spec[0])
        for item in spec:
            yield from stand_ins(item)


def integers(spec: Spec) -> Iterator[int]:
    """The integers that a spec contains, in order: sizes that an input may have to match."""
    if not isinstance(spec, (list, tuple)) or not spec:
        return
    if spec[0] == "value":
        if type(spec[1]) is int:
            yield spec[1]
    elif spec[0] in ("list", "tuple", "modules"):
        for item in spec[1]:
            yield from integers(item)
    elif spec[0] == "new":
        for item in (*spec[3], *spec[2].values()):
            yield from integers(item)


def shown(spec: Spec) -> str:
    """A spec as short Python-like text, for people."""
    kind = spec[0]
    if kind == "value":
        return repr(spec[1])
    if kind in ("list", "tuple", "modules"):
        inside = ", ".join(shown(item) for item in spec[1])
        return f"({inside}{',' if len(spec[1]) == 1 else ''})" if kind == "tuple" else f"[{inside}]"
    if kind == "dict":
        return "{" + ", ".join(f"{name!r}: {shown(item)}" for name, item in spec[1].items()) + "}"
    if kind == "tensor":
        return f"{spec[2].partition(':')[0]} {'x'.join(map(str, spec[1])) or 'scalar'}"
    if kind == "new":
        inside = ", ".join([*(shown(i) for i in spec[3]), *(f"{n}={shown(i)}" for n, i in spec[2].items())])
        return f"{spec[1].partition(':')[2]}({inside})"
    if kind == "import":
        return str(spec[1]).partition(":")[2]
    if kind == "permissive":
        return "a permissive object"
    return {
        "linear": "a stand-in layer",
        "identity": "an identity layer",
        "function": "an identity function",
        "factory": "a factory of stand-ins",
    }.get(kind, str(spec[1]) if len(spec) > 1 else kind)


def own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A method's parameters without `self`; empty when there is no signature."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    return found[1:] if found and found[0].name in ("self", "cls") else found
