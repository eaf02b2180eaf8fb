"""From an exception to better arguments: what the message, the failing statement and its variables say."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

from torch import nn

from . import synth_config, synth_guess, synth_inputs, synth_names, synth_shapes, synth_usage
from .synth_names import WIDTH
from .synth_plan import Failure, Plan
from .synth_values import Spec, own_parameters

_MOST = 24
_INTEGER_WANTED = re.compile(
    r"invalid combination of arguments - got \(Tensor|cannot be interpreted as an integer|must be tuple of ints"
    r"|only integer tensors of a single element|must be int, not Tensor|Boolean value of Tensor with more than one"
)


def repairs(kind: type, plan: Plan, failure: Failure, sizes: synth_inputs.Sizes | None) -> list[Plan]:
    """Plans that may get further than `plan` did, the most promising first."""
    found = _construct(kind, plan, failure) if failure.stage == "construct" else _forward(kind, plan, failure, sizes)
    unique: dict[str, Plan] = {}
    for one in found:
        if one.key != plan.key:
            unique.setdefault(one.key, one)
        if len(unique) >= _MOST:
            break
    return list(unique.values())


# -- construction --------------------------------------------------------------------------------------------


def _construct(kind: type, plan: Plan, failure: Failure) -> Iterator[Plan]:
    message = failure.message
    usage = synth_usage.of_class(kind, "__init__")
    hints = synth_guess.constructor_hints(kind)
    parameters = {p.name: p for p in synth_guess.constructor_parameters(kind)}
    for name in _missing(message):
        if name in parameters or failure.own:
            facts = usage.get(name, synth_usage.Usage())
            for spec in synth_guess.candidates(kind, name, hints.get(name), facts)[:3]:
                yield plan.with_init(name, spec)
    for name in re.findall(r"(?:unexpected keyword|multiple values for(?: keyword)?) argument '(\w+)'", message):
        yield plan.without_init(name)
    for name in re.findall(r"KeyError: '(\w+)'", message) if "kwargs" in parameters else ():
        yield plan.with_init(name, synth_guess.candidates(kind, name, None, synth_usage.Usage())[0])
    if "TooLarge" in message:
        yield from _smaller(plan, parameters)
        return
    yield from _divisible(plan, failure, parameters)
    suspects = suspected(failure, {**dict.fromkeys(parameters), **failure.values})
    left_out = [n for n in suspects if n in parameters and n not in plan.init and parameters[n].default is None]
    if left_out and (isinstance(failure.error, AssertionError) or "None" in message or "specif" in message):
        first = {
            n: synth_guess.candidates(kind, n, hints.get(n), usage.get(n, synth_usage.Usage()))[0] for n in left_out
        }
        yield Plan({**plan.init, **first})
    yield from _by_words(plan, failure, suspects, parameters)
    yield from _in_configs(plan, failure)
    for name in suspects:
        if name not in parameters or name in ("args", "kwargs", "self"):
            continue
        facts = usage.get(name, synth_usage.Usage())
        for spec in synth_guess.candidates(kind, name, hints.get(name), facts):
            yield plan.with_init(name, spec)
        yield from _other_types(plan, name, failure)
    for name, spec in plan.init.items():
        if spec[0] == "new" and synth_usage_is_config(spec):
            yield plan.with_init(name, synth_config.default_of(spec))
            for other in synth_config.candidates(kind, name, hints.get(name), 0):
                yield plan.with_init(name, other)
    yield plan.scaled(WIDTH, 64)
    yield plan.scaled(WIDTH, 128)
    for name in plan.init:
        facts = usage.get(name, synth_usage.Usage())
        for spec in synth_guess.candidates(kind, name, hints.get(name), facts)[1:4]:
            yield plan.with_init(name, spec)


def synth_usage_is_config(spec: Spec) -> bool:
    return str(spec[1]).lower().endswith(("config", "args", "cfg", "configuration"))


def _smaller(plan: Plan, parameters: dict[str, inspect.Parameter]) -> Iterator[Plan]:
    """Defaults made small, all at once and then by kind."""
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
    yield Plan({**plan.init, **small})
    for name, spec in small.items():
        yield plan.with_init(name, spec)
    for name, spec in plan.init.items():
        if spec[0] == "value" and type(spec[1]) is int and spec[1] > 16:
            yield Plan({**plan.init, **small, name: ["value", 16]})
    for name in plan.init:
        if plan.init[name][0] == "new" and synth_usage_is_config(plan.init[name]):
            yield plan.with_init(name, synth_config.default_of(plan.init[name]))


def _missing(message: str) -> list[str]:
    found = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)", message)
    return re.findall(r"'(\w+)'", found.group(1)) if found else []


def _divisible(plan: Plan, failure: Failure, parameters: dict[str, Any]) -> Iterator[Plan]:
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


def pairs_that_divide(failure: Failure) -> Iterator[tuple[int, int]]:
    """(a, b) where b should divide a: `a % b` in a failing statement, or numbers in the message."""
    pairs: list[tuple[int, int]] = []
    for frame, statement in failure.statements():
        for node in ast.walk(statement):
            if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mod, ast.FloorDiv)):
                values = [_evaluated(side, frame) for side in (node.left, node.right)]
                if all(type(v) is int and v for v in values):
                    pairs.append((values[0], values[1]))
    chunks = re.search(r"divide axis of length (\d+) in chunks of (\d+)", failure.message)
    if chunks:
        pairs.append((int(chunks.group(1)), int(chunks.group(2))))
    if "divisible" in failure.message or "multiple" in failure.message:
        numbers = [int(n) for n in re.findall(r"(?<![\w.])\d+", failure.message)]
        pairs += [(one, numbers[-1]) for one in numbers[:-1]]
        deepest = failure.frames[-1][0].f_locals if failure.frames else {}
        if "num_channels" in deepest and "num_groups" in deepest:
            pairs.append((deepest["num_channels"], deepest["num_groups"]))
    for one, other in dict.fromkeys(pairs):
        if type(one) is int and type(other) is int and other > 1 and one % other:
            yield one, other


def _evaluated(node: ast.expr, frame: types.FrameType) -> Any:
    """The value of a name, attribute or constant in a frame; None when it has none that is safe to look up."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = _evaluated(node.value, frame)
        return vars(owner).get(node.attr) if owner is not None and hasattr(owner, "__dict__") else None
    return None


def suspected(failure: Failure, values: dict[str, Any]) -> list[str]:
    """Arguments that the failing statements mention, from the innermost frame out: by identity, then by name."""
    found: list[str] = []
    by_identity = {
        id(v): name for name, v in failure.values.items() if v is not None and not isinstance(v, (int, str, float))
    }
    for frame, statement in failure.statements():
        own = failure.is_own(frame)
        for node in ast.walk(statement):
            if not isinstance(node, ast.Name):
                continue
            held = frame.f_locals.get(node.id)
            name = by_identity.get(id(held)) if held is not None else None
            if name is None and node.id in values and (own or _alike(held, failure.values.get(node.id))):
                name = node.id
            if name is not None and name not in found:
                found.append(name)
    for word in re.findall(r"[A-Za-z_]\w+", failure.message):
        for name in (word, word.lower()):
            if name in values and name not in found:
                found.append(name)
    return found


def _alike(one: Any, other: Any) -> bool:
    return one is other  # both None too: an argument that was left out, seen where it is missed


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
    value = _evaluated(other, frame)
    if type(value) in (int, float, str, bool):
        yield plan.with_init(name, ["value", value])
        if type(value) is int:
            yield plan.with_init(name, ["value", value + 1])
            yield plan.with_init(name, ["value", max(1, value - 1)])


def _in_configs(plan: Plan, failure: Failure) -> Iterator[Plan]:
    """Attributes that the failing statements read from a configuration object that was passed."""
    for frame, statement in failure.statements():
        for node in ast.walk(statement):
            if not isinstance(node, ast.Attribute):
                continue
            held = _evaluated(node.value, frame)
            name = next((n for n, v in failure.values.items() if v is held and held is not None), None)
            if name is None or name not in plan.init:
                continue
            value = vars(held).get(node.attr) if hasattr(held, "__dict__") else None
            for spec in _alternatives(node.attr, value, failure.message):
                yield plan.with_attribute(name, node.attr, spec)


def _alternatives(name: str, value: Any, message: str) -> Iterator[Spec]:
    size = synth_names.integer(name)
    if re.search(r"not iterable|subscriptable|has no len|unpack|sequence|list", message):
        yield ["list", [["value", size], ["value", size]]]
        yield ["list", [["value", size]] * 4]
    if re.search(r"KeyError|not supported|Unknown|unknown|invalid|must be one of|has no attribute", message):
        yield ["value", "gelu"]
        yield ["value", "default"]
    for other in (size, 1.0, None, True, False, 2 * size):
        if type(other) is not type(value) or other != value:
            yield ["value", other]


def _other_types(plan: Plan, name: str, failure: Failure) -> Iterator[Plan]:
    message = failure.message
    size = synth_names.integer(name, 8)
    if "not callable" in message:
        yield plan.with_init(name, ["import", "torch.nn.modules.activation:GELU"])
        yield plan.with_init(name, ["linear", WIDTH])
        yield plan.with_init(name, ["function"])
    if re.search(r"iterable|not subscriptable|has no len|unpack|a sequence|tuple|list", message):
        for count in (2, 3, 4, 1):
            yield plan.with_init(name, ["tuple", [["value", size]] * count])
        yield plan.with_init(name, ["modules", [["linear", WIDTH]] * 2])
        yield plan.with_init(name, ["dict", {}])
    if re.search(r"is not a Module subclass|nn\.Module|has no attribute '(parameters|forward|weight|named)", message):
        yield plan.with_init(name, ["new", "torch.nn.modules.linear:Linear", {}, [["value", 32], ["value", 32]]])
        yield plan.with_init(name, ["linear", WIDTH])
    if re.search(
        r"-dim tensor|must be (Tensor|a tensor)|'(size|shape|dim|ndim|device|dtype|clone|float|to)'|TensorBase|Tensor",
        message,
    ):
        for shape in ([size], [size, size], []):
            yield plan.with_init(name, ["tensor", shape, "normal" if "mask" in name else "positive"])
    if "NoneType" in message or isinstance(_literal(plan.init.get(name)), str):
        yield plan.with_init(name, ["value", size])
        yield plan.with_init(name, ["linear", WIDTH])
    current = plan.init.get(name)
    if current is not None and current[0] == "value" and type(current[1]) is int:
        for other in (64, 16, 8, 4, 2, 1, 3):
            yield plan.with_init(name, ["value", other])
    if current is not None and current[0] == "value" and current[1] is False:
        yield plan.with_init(name, ["value", True])


# -- forward -------------------------------------------------------------------------------------------------


def _forward(kind: type, plan: Plan, failure: Failure, sizes: synth_inputs.Sizes | None) -> Iterator[Plan]:
    if sizes is None:
        return
    usage = synth_usage.of_class(kind, synth_usage.entry(kind))
    function = getattr(kind, synth_usage.entry(kind))
    hints = synth_guess.hints_of(function)
    parameters = {p.name: p for p in own_parameters(function) if p.kind is not p.VAR_KEYWORD}

    def options(name: str) -> list[Spec]:
        return synth_inputs.value(name, hints.get(name), usage.get(name, synth_usage.Usage()), sizes)

    for name in _missing(failure.message):
        accepts = name in parameters or any(
            p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()
        )
        if accepts:
            for spec in options(name)[:3]:
                yield plan.with_input(name, spec)
    for name in re.findall(r"unexpected keyword argument '(\w+)'", failure.message):
        yield plan.without_input(name)
    suspects = suspected(failure, dict.fromkeys(parameters))
    for name in suspects:
        if name not in plan.inputs and name in parameters and _wants_value(failure):
            for spec in options(name)[:3]:
                yield plan.with_input(name, spec)
    tensors = [n for n in suspects if n in plan.inputs] + [n for n in plan.inputs if n not in suspects]
    if _INTEGER_WANTED.search(failure.message):
        asked = [n for n in tensors if n in suspects] or tensors
        number: Spec = ["value", sizes.length]
        yield plan.with_inputs({**plan.inputs, **dict.fromkeys(asked, number)})
        for name in asked:
            yield plan.with_input(name, number)
    for one, other in pairs_that_divide(failure):
        yield from synth_shapes.multiplied(plan, tensors, one, other)
    yield from synth_shapes.reshaped(plan, failure, tensors, sizes)
    yield from _in_configs(plan, failure)
    for name in tensors:
        for spec in options(name):
            yield plan.with_input(name, spec)
    for name in suspects:
        if name not in plan.inputs and name in parameters:
            for spec in options(name)[:2]:
                yield plan.with_input(name, spec)
    for name in [n for n in plan.inputs if parameters.get(n) is not None and parameters[n].default is None]:
        yield plan.without_input(name)
    yield from _rebuilt(kind, plan, failure)


def _rebuilt(kind: type, plan: Plan, failure: Failure) -> Iterator[Plan]:
    """Other constructor arguments: stand-ins of another kind, and the plain defaults of a configuration."""
    for name, spec in plan.init.items():
        if spec[0] in ("linear", "function", "identity"):
            real: Spec = ["new", "torch.nn.modules.linear:Linear", {}, [["value", 32], ["value", 32]]]
            for other in (["linear", 32], real, ["function"], ["import", "torch.nn.modules.activation:GELU"]):
                yield plan.with_init(name, other).fresh()
        if spec[0] == "new" and synth_usage_is_config(spec):
            yield plan.with_init(name, synth_config.default_of(spec)).fresh()
    parameters = {p.name: p for p in synth_guess.constructor_parameters(kind)}
    yield from (p.fresh() for p in _divisible(plan, failure, parameters))
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


def children_of(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_children()}
