"""Other forward inputs: what the message, the failing statement and its variables say about them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from . import synth_classes, synth_config, synth_inputs, synth_shapes, synth_signature, synth_usage
from .synth_guess import Maker
from .synth_plan import Failure, Plan
from .synth_rebuild import divisible, in_bounds, smaller, with_attribute
from .synth_sizes import Sizes
from .synth_suspects import in_configs, is_config_spec, missing, pairs_that_divide, suspected
from .synth_usage import TENSOR_ATTRIBUTES
from .synth_values import Spec

_INTEGER_WANTED = re.compile(
    r"invalid combination of arguments - got \(Tensor|cannot be interpreted as an integer|must be tuple of ints"
    r"|only integer tensors of a single element|must be int, not Tensor|Boolean value of Tensor with more than one"
)


def plans(kind: type, plan: Plan, failure: Failure, sizes: Sizes, maker: Maker) -> Iterator[Plan]:
    if failure.message.startswith("TooSlow"):
        yield smaller(kind, plan)
        yield from synth_shapes.shrunk(plan)
        return
    function = getattr(kind, synth_usage.entry(kind))
    known = {n: e for n, e in synth_inputs.entries(kind).items() if e.parameter.kind is not e.parameter.VAR_KEYWORD}

    def options(name: str) -> list[Spec]:
        entry = known.get(name) or synth_inputs.unknown(kind, name)
        return synth_inputs.value(entry, sizes, maker)

    for name in missing(failure.message):
        accepts = name in known or any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
        if accepts:
            for spec in options(name)[:3]:
                yield plan.with_input(name, spec)
    for name in re.findall(r"unexpected keyword argument '(\w+)'", failure.message):
        yield plan.without_input(name)
    suspects = suspected(failure, dict.fromkeys(known))
    for name in suspects:
        if name not in plan.inputs and name in known and _wants_value(failure):
            for spec in options(name)[:3]:
                yield plan.with_input(name, spec)
    tensors = [n for n in suspects if n in plan.inputs] + [n for n in plan.inputs if n not in suspects]
    yield from with_attribute(kind, plan, failure, maker)
    yield from _records(kind, plan, failure, tensors, maker)
    if "only integer tensors" in failure.message:
        for content in ("count:1", f"ids:{sizes.vocabulary}"):
            yield from synth_shapes.refilled(plan, [n for n in tensors if n in suspects] or tensors, content)
    if _INTEGER_WANTED.search(failure.message):
        asked = [n for n in tensors if n in suspects] or tensors
        number: Spec = ["value", sizes.length]
        yield plan.with_inputs({**plan.inputs, **dict.fromkeys(asked, number)})
        for name in asked:
            yield plan.with_input(name, number)
    for one, other in pairs_that_divide(failure):
        yield from synth_shapes.multiplied(plan, tensors, one, other)
    yield from synth_shapes.reshaped(plan, failure, tensors, sizes)
    yield from in_configs(plan, failure)
    for name in tensors:
        for spec in options(name):
            yield plan.with_input(name, spec)
    for name in suspects:
        if name not in plan.inputs and name in known:
            for spec in options(name)[:2]:
                yield plan.with_input(name, spec)
    for name in [n for n in plan.inputs if n in known and known[n].parameter.default is None]:
        yield plan.without_input(name)
    yield from _rebuilt(kind, plan, failure, maker)


def _records(kind: type, plan: Plan, failure: Failure, names: list[str], maker: Maker) -> Iterator[Plan]:
    """ "'Tensor' object has no attribute 'logits'": a dataclass of the package that has it."""
    if "'Tensor' object has no attribute" not in failure.message:
        return
    usage = synth_usage.of_class(kind, synth_usage.entry(kind))
    for name in names:
        facts = usage.get(name)
        read = {a for a in facts.attributes if a not in TENSOR_ATTRIBUTES} if facts is not None else set()
        for like in synth_classes.with_attributes(kind, read, records=True) if read else ():
            spec = maker.instance(kind, like)
            if spec is not None:
                yield plan.with_input(name, spec)


def _rebuilt(kind: type, plan: Plan, failure: Failure, maker: Maker) -> Iterator[Plan]:
    """Other constructor arguments: stand-ins of another kind, and the plain defaults of a configuration."""
    for name, spec in plan.init.items():
        if spec[0] in ("linear", "function", "identity"):
            real: Spec = ["new", "torch.nn.modules.linear:Linear", {}, [["value", 32], ["value", 32]]]
            for other in (["linear", 32], real, ["function"], ["import", "torch.nn.modules.activation:GELU"]):
                yield plan.with_init(name, other).fresh()
        if spec[0] == "new" and is_config_spec(spec):
            yield plan.with_init(name, synth_config.default_of(spec)).fresh()
    yield from (p.fresh() for p in in_bounds(plan, failure.message))
    parameters = {p.name: p for p in synth_signature.constructor_parameters(kind)}
    yield from (p.fresh() for p in divisible(plan, failure, parameters))
    numbers = [int(n) for n in re.findall(r"(?<![\w.])\d+", failure.message)]
    for number in dict.fromkeys(numbers):
        for name, spec in plan.init.items():
            if spec[0] == "value" and type(spec[1]) is int and 1 < number <= 512 and number != spec[1]:
                yield plan.with_init(name, ["value", number]).fresh()
    for name, spec in plan.init.items():
        if spec[0] == "value" and isinstance(spec[1], bool):
            yield plan.with_init(name, ["value", not spec[1]]).fresh()


def _wants_value(failure: Failure) -> bool:
    return bool(
        re.search(r"NoneType|None|specify|provide|required|must be|either|missing|expected", failure.message)
    ) or isinstance(failure.error, AssertionError)
