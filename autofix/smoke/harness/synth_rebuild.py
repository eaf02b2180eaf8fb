"""Other constructor arguments: what the message, the failing statement and its variables say about them."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import torch

from . import synth_classes, synth_config, synth_guess, synth_names, synth_signature, synth_source
from .synth_guess import Argument, Maker
from .synth_names import WIDTH
from .synth_plan import Failure, Plan
from .synth_suspects import evaluated, in_configs, is_config_spec, missing, pairs_that_divide, suspected
from .synth_usage import Usage
from .synth_values import STAND_INS, Spec

_NO_ATTRIBUTE = re.compile(r"(?:'(\w+)' object|type object '(\w+)') has no attribute '(\w+)'")


def plans(kind: type, plan: Plan, failure: Failure, maker: Maker) -> Iterator[Plan]:
    message = failure.message
    known = synth_guess.arguments(kind)
    parameters = {p.name: p for p in synth_signature.constructor_parameters(kind)}

    def options(name: str) -> list[Spec]:
        return synth_guess.candidates(known.get(name) or Argument(kind, name, None, Usage()), maker)

    for name in missing(message):
        if name in parameters or failure.own:
            for spec in options(name)[:3]:
                yield plan.with_init(name, spec)
    for name in re.findall(r"(?:unexpected keyword|multiple values for(?: keyword)?) argument '(\w+)'", message):
        yield plan.without_init(name)
    for name in re.findall(r"KeyError: '(\w+)'", message) if _takes_more(kind) else ():
        yield plan.with_init(name, options(name)[0])
        yield from _prefixed(kind, plan, name, options(name)[0])
    if message.startswith(("TooLarge", "TooSlow")):
        yield from _smaller(plan, parameters)
        return
    yield from with_attribute(kind, plan, failure, maker)
    yield from divisible(plan, failure, parameters)
    suspects = suspected(failure, {**dict.fromkeys(parameters), **failure.values})
    left_out = [n for n in suspects if n in parameters and n not in plan.init and parameters[n].default is None]
    if left_out and (isinstance(failure.error, AssertionError) or "None" in message or "specif" in message):
        yield Plan({**plan.init, **{n: options(n)[0] for n in left_out}})
    yield from in_bounds(plan, message)
    yield from _by_words(plan, failure, suspects, parameters)
    yield from in_configs(plan, failure)
    for name in suspects:
        if name not in parameters or name in ("args", "kwargs", "self"):
            continue
        for spec in options(name):
            yield plan.with_init(name, spec)
        yield from _other_types(plan, known.get(name) or Argument(kind, name, None, Usage()), failure)
    for name, spec in plan.init.items():
        if spec[0] == "new" and is_config_spec(spec):
            yield plan.with_init(name, synth_config.default_of(spec))
            for other in options(name):
                if other[0] in ("new", "permissive"):
                    yield plan.with_init(name, other)
    yield plan.scaled(WIDTH, 64)
    yield plan.scaled(WIDTH, 128)
    for name in plan.init:
        for spec in options(name)[1:4]:
            yield plan.with_init(name, spec)


def in_bounds(plan: Plan, message: str) -> Iterator[Plan]:
    """ "index 8 is out of bounds": the arguments that are 8 become 0."""
    found = re.search(r"(?:index|layer|dim(?:ension)?) (\d+) is out of", message)
    if found:
        yield from plan.replaced(int(found.group(1)), 0)


def _takes_more(kind: type) -> bool:
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def _prefixed(kind: type, plan: Plan, name: str, spec: Spec) -> Iterator[Plan]:
    """`**kwargs` that are shared out by prefix: `enc_depth` where the constructor mentions "enc_"."""
    definition = synth_source.definition(kind.__init__)  # type: ignore[misc]
    texts = [n.value for n in ast.walk(definition) if isinstance(n, ast.Constant)] if definition is not None else []
    prefixes = [t for t in dict.fromkeys(texts) if isinstance(t, str) and re.fullmatch(r"[a-z]+_", t)]
    if prefixes:
        yield Plan({**plan.init, **{prefix + name: spec for prefix in prefixes}})


def with_attribute(kind: type, plan: Plan, failure: Failure, maker: Maker) -> Iterator[Plan]:
    """ "'AnyLinear' object has no attribute 'inverse'": an object of a class that has one, in its place."""
    found = _NO_ATTRIBUTE.search(failure.message)
    if found is None:
        return
    attribute = found.group(3)
    for like in synth_classes.with_attributes(kind, {attribute}):
        spec = maker.instance(kind, like)
        if spec is None:
            continue
        for name, old in plan.init.items():
            other = _instead(old, spec)
            if other != old:
                yield plan.with_init(name, other)


def _instead(spec: Spec, made: Spec) -> Spec:
    """The same with every stand-in replaced, in lists and among the arguments of objects too."""
    if spec[0] in STAND_INS and spec[0] != "permissive":
        return made
    if spec[0] in ("list", "tuple", "modules"):
        return [spec[0], [_instead(item, made) for item in spec[1]]]
    if spec[0] == "new" and spec[1] != made[1]:
        return [*spec[:2], {n: _instead(s, made) for n, s in spec[2].items()}, *spec[3:]]
    return spec


def smaller(kind: type, plan: Plan) -> Plan:
    """The same with every large default made small, inputs to be guessed anew; equal to `plan` where nothing is."""
    small = _small_defaults(plan, {p.name: p for p in synth_signature.constructor_parameters(kind)})
    return Plan({**plan.init, **small}) if small else plan


def _small_defaults(plan: Plan, parameters: dict[str, inspect.Parameter]) -> dict[str, Spec]:
    small: dict[str, Spec] = {}
    for name, parameter in parameters.items():
        default = parameter.default
        if name in plan.init or isinstance(default, bool):
            continue
        other = synth_names.shrunk(name, default)
        if isinstance(default, (tuple, list)) and other == default and all(type(n) is int for n in default):
            other = type(default)(min(n, WIDTH * 2**i) for i, n in enumerate(default))
        if other != default:
            small[name] = synth_config.literal(other)
    return small


def _smaller(plan: Plan, parameters: dict[str, inspect.Parameter]) -> Iterator[Plan]:
    """Defaults made small, all at once and then by kind; then what was passed."""
    small = _small_defaults(plan, parameters)
    yield Plan({**plan.init, **small})
    for name, spec in small.items():
        yield plan.with_init(name, spec)
    for name, spec in plan.init.items():
        if spec[0] == "value" and type(spec[1]) is int and spec[1] > 16:
            yield Plan({**plan.init, **small, name: ["value", 16]})
    for name in plan.init:
        if plan.init[name][0] == "new" and is_config_spec(plan.init[name]):
            yield plan.with_init(name, synth_config.default_of(plan.init[name]))
    for name, spec in plan.init.items():
        for size in (4, 2):
            if spec[0] == "value" and type(spec[1]) is int and spec[1] > size:
                yield Plan({**plan.init, **small, name: ["value", size]})


def divisible(plan: Plan, failure: Failure, parameters: dict[str, Any]) -> Iterator[Plan]:
    """Make the one a multiple of the other, for every pair that had to divide."""
    for one, other in pairs_that_divide(failure):
        yield from plan.replaced(one, -(-one // other) * other)
        yield from plan.replaced(other, 1)
        for name, parameter in parameters.items():
            if type(parameter.default) is int and name not in plan.init:
                if parameter.default == one:
                    yield plan.with_init(name, ["value", -(-one // other) * other])
                elif parameter.default == other:
                    for size in (8, 4, 2, 1):
                        if one % size == 0:
                            yield plan.with_init(name, ["value", size])


def _literal(spec: Spec) -> Any:
    return spec[1] if spec is not None and spec[0] == "value" else None


def _by_words(plan: Plan, failure: Failure, suspects: list[str], parameters: dict[str, Any]) -> Iterator[Plan]:
    """Choices that the message lists, and comparisons in a failed assertion."""
    quoted = re.findall(r"['\"]([\w\-./]+)['\"]", failure.message)
    texts = [n for n in (*suspects, *plan.init) if plan.init.get(n, ["value", None])[0] == "value"]
    for name in dict.fromkeys(texts):
        if isinstance(_literal(plan.init.get(name)), str) or "one of" in failure.message:
            for word in quoted:
                if name in parameters and word != _literal(plan.init.get(name)):
                    yield plan.with_init(name, ["value", word])
    for frame, statement in failure.statements():
        for node in ast.walk(statement):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id in parameters:
                yield from _by_comparison(plan, node.left.id, node.comparators[0], frame)


def _by_comparison(plan: Plan, name: str, other: ast.expr, frame: types.FrameType) -> Iterator[Plan]:
    if isinstance(other, (ast.Tuple, ast.List, ast.Set)):
        for item in other.elts:
            if isinstance(item, ast.Constant):
                yield plan.with_init(name, ["value", item.value])
        return
    value = evaluated(other, frame)
    if type(value) in (int, float, str, bool):
        yield plan.with_init(name, ["value", value])
        if type(value) is int:
            yield plan.with_init(name, ["value", value + 1])
            yield plan.with_init(name, ["value", max(1, value - 1)])


def _wants_tensor(message: str) -> bool:
    found = re.search(r"'(?:int|float|tuple|list|str|bool)' object has no attribute '(\w+)'", message)
    if found:
        return hasattr(torch.Tensor, found.group(1))
    return bool(re.search(r"-dim tensor|must be (Tensor|a tensor)|TensorBase|Tensor|not supported between", message))


def _other_types(plan: Plan, argument: Argument, failure: Failure) -> Iterator[Plan]:
    name = argument.name
    message = failure.message
    size = synth_names.integer(name, 8)
    if "not callable" in message:
        yield plan.with_init(name, ["import", "torch.nn.modules.activation:GELU"])
        yield plan.with_init(name, ["linear", WIDTH])
        yield plan.with_init(name, ["function"])
    listed = plan.init.get(name, [""])[0] in ("list", "tuple")
    if re.search(r"iterable|not subscriptable|has no len|unpack|a sequence|tuple|list", message) and (
        listed or "out of range" not in message
    ):
        for count in (2, 3, 4, 1):
            yield plan.with_init(name, ["tuple", [["value", size]] * count])
        yield plan.with_init(name, ["modules", [["linear", WIDTH]] * 2])
        yield plan.with_init(name, ["dict", {}])
    if re.search(r"is not a Module subclass|nn\.Module|has no attribute '(parameters|forward|weight|named)", message):
        yield plan.with_init(name, ["new", "torch.nn.modules.linear:Linear", {}, [["value", 32], ["value", 32]]])
        yield plan.with_init(name, ["linear", WIDTH])
    if _wants_tensor(message):
        yield from (plan.with_init(name, spec) for spec in synth_guess.tensors(argument))
    if "NoneType" in message or isinstance(_literal(plan.init.get(name)), str):
        yield plan.with_init(name, ["value", size])
        yield plan.with_init(name, ["linear", WIDTH])
    current = plan.init.get(name)
    if current is not None and current[0] == "value" and type(current[1]) is int:
        for other in (64, 16, 8, 4, 2, 1, 3):
            yield plan.with_init(name, ["value", other])
    if current is not None and current[0] == "value" and current[1] is False:
        yield plan.with_init(name, ["value", True])
