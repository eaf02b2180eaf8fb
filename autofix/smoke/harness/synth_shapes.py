"""Input tensors of another shape or dtype, as the messages of torch and einops ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .synth_names import BATCH
from .synth_plan import Failure, Plan
from .synth_sizes import Sizes, shape_of_rank
from .synth_values import Spec

_MOST_DIMENSION = 4096


def reshaped(plan: Plan, failure: Failure, names: list[str], sizes: Sizes) -> Iterator[Plan]:
    """Plans with other tensors; names: the inputs, the most suspect first."""
    message = failure.message
    for old, new in _exchanges(message):
        yield from _resized(plan, names, old, new)
    yield from _with_tail(plan, names, message)
    yield from _at_dimension(plan, names, message)
    for rank in _ranks(message):
        for name in names:
            yield from _of_rank(plan, name, rank, sizes)
    yield from _of_type(plan, names, message, sizes)
    if "Kernel size can't be greater" in message or "Output size is too small" in message or "too small" in message:
        yield from _grown(plan, names)
    if re.search(r"[Dd]omain|negative|positive|between 0|\[0, ?1\]|probabilit|support|interval", message):
        yield from _in_domain(plan, names)
    if "index out of range" in message or "out of bounds" in message:
        yield from _as_ids(plan, names, sizes)
        yield from _smaller_ids(plan, names)
    if "is invalid for input of size" in message:
        for name in names:
            for rank in (2, 3, 4):
                yield from _of_rank(plan, name, rank, sizes)
    if re.search(r"is invalid for input of size|divide axis|Shape mismatch|broadcast|must match", message):
        yield from _same_shapes(plan, names)
        for old in (16, 32, 2):
            for new in (16, 64, 4, 1):
                if old != new:
                    yield from _resized(plan, names, old, new)


def _with_tail(plan: Plan, names: list[str], message: str) -> Iterator[Plan]:
    """ "expected [8, 8], got [16, 32]": the trailing sizes that were asked for."""
    found = re.search(r"[Ee]xpected.*?\[([\d, ]+)\].*?got.*?\[([\d, ]+)\]", message)
    if not found:
        return
    wanted, had = ([int(n) for n in re.findall(r"\d+", found.group(i))] for i in (1, 2))
    for name in names:
        spec = plan.inputs[name]
        for place in tensor_places(spec):
            _, shape, content = at(spec, place)
            if had and list(shape[-len(had) :]) == had:
                other = [*shape[: len(shape) - len(had)], *wanted]
                yield plan.with_input(name, changed(spec, place, ["tensor", other, content]))
            yield plan.with_input(name, changed(spec, place, ["tensor", [*shape[:1], *wanted], content]))


def _at_dimension(plan: Plan, names: list[str], message: str) -> Iterator[Plan]:
    """ "Dimension 1 must be of size 8"."""
    found = re.search(r"[Dd]im(?:ension)? (\d+)\b.*?(?:of size|size of|equal to|to be|be) (\d+)", message)
    if not found:
        return
    axis, size = int(found.group(1)), int(found.group(2))
    for name in names:
        for place in tensor_places(plan.inputs[name]):
            _, shape, content = at(plan.inputs[name], place)
            if axis < len(shape) and 0 < size <= _MOST_DIMENSION:
                other = [*shape[:axis], size, *shape[axis + 1 :]]
                yield plan.with_input(name, changed(plan.inputs[name], place, ["tensor", other, content]))


def multiplied(plan: Plan, names: list[str], old: int, divisor: int) -> Iterator[Plan]:
    """Sizes that `divisor` divides: the dimension of size `old`, then every spatial one."""
    yield from _resized(plan, names, old, -(-old // divisor) * divisor)
    for factor in (1, 2, 8, 32):  # of an image as it comes in: strides before the division count too
        for name in names:
            spec = plan.inputs[name]
            for place in tensor_places(spec):
                _, shape, content = at(spec, place)
                if len(shape) > 3:
                    front = shape[: 2 if shape[1] != shape[2] else 1]
                    back = shape[-1:] if shape[1] == shape[2] else []
                    middle = [divisor * factor] * (len(shape) - len(front) - len(back))
                    yield plan.with_input(name, changed(spec, place, ["tensor", [*front, *middle, *back], content]))
                elif len(shape) == 3:
                    other = [shape[0], divisor * factor, shape[2]]
                    yield plan.with_input(name, changed(spec, place, ["tensor", other, content]))


def _exchanges(message: str) -> Iterator[tuple[int, int]]:
    """Pairs of a size that an input has and the size that it should have."""
    found = re.search(r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)", message)
    if found:
        yield int(found.group(2)), int(found.group(3))
    found = re.search(r"normalized_shape=\[([\d, ]+)\].*size\s*\[([\d, ]+)\]", message)
    if found:
        yield int(found.group(2).split(",")[-1]), int(found.group(1).split(",")[-1])
    found = re.search(r"expected input\[([\d, ]+)\] to have (\d+) channels, but got (\d+)", message)
    if found:
        yield int(found.group(3)), int(found.group(2))
    found = re.search(r"to have (\d+) channels, but got (\d+)", message)
    if found:
        yield int(found.group(2)), int(found.group(1))
    for pattern, swap in (
        (r"running_mean should contain (\d+) elements not (\d+)", False),
        (r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", False),
        (r"expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\)", False),
        (r"Expected size (\d+) but got size (\d+)", True),
        (r"batch_size \((\d+)\) to match target batch_size \((\d+)\)", False),
        (r"input\.size\(-1\) must be equal to input_size\. Expected (\d+), got (\d+)", True),
        (r"was expecting embedding dimension of (\d+), but got (\d+)", True),
        (r"[Ee]xpected (?:\w+ ){0,4}(?:to be |of |= ?)?(\d+),? (?:but )?(?:got|found) (\d+)", True),
        (r"size \w+ has size (\d+) .* previously seen size (\d+)", False),
        (r"has size (\d+) for operand \d+ which does not broadcast with previously seen size (\d+)", False),
        (r"\((\d+)\) (?:doesn't|does not|must) match .*\((\d+)\)", False),
        (r"inconsistent tensor size, expected tensor \[(\d+)\] and src \[(\d+)\]", True),
    ):
        found = re.search(pattern, message)
        if found:
            one, other = int(found.group(1)), int(found.group(2))
            yield (other, one) if swap else (one, other)
            yield (one, other) if swap else (other, one)
    found = re.search(r"batch2 tensor to be: \[(\d+), (\d+)\] but got: \[(\d+), (\d+)\]", message)
    if found:
        a, b, c, d = map(int, found.groups())
        yield from ((d, b), (c, a)) if b != d else ((c, a),)
        yield from ((b, d), (a, c)) if b != d else ((a, c),)
    if "Sizes of tensors must match" in message or "Shape mismatch" in message:
        numbers = [int(n) for n in re.findall(r"\d+", message)]
        for one in numbers:
            for other in numbers:
                if one != other and one > 1 and other > 1:
                    yield one, other


def _ranks(message: str) -> list[int]:
    """Numbers of dimensions that the message asks for."""
    found = re.findall(r"[Ee]xpected (?:an? )?(\d)[- ]?[dD](?:im)?", message)
    found += re.findall(r"\(?(?:un)?batched\)? or (\d)D", message)
    found += re.findall(r"expected (\d) dims", message)
    found += re.findall(r"[Ww]rong shape: expected (\d)", message)
    found += re.findall(r"not enough values to unpack \(expected (\d)", message)
    found += re.findall(r"too many values to unpack \(expected (\d)", message)
    found += re.findall(r"number of dims don't match in permute|(\d)-?[dD] (?:tensor|input)", message)
    found += re.findall(r"subscripts in the equation \((\d)\)", message)
    found += re.findall(r"only supports? (\d)-?[dD]", message)
    if "permute(sparse_coo)" in message or "number of dimensions in the tensor input does not match" in message:
        found += re.findall(r"dims=?\D*(\d)|(\d)$", message) and re.findall(r"is equal to (\d)", message)
        found += ["4", "3", "5"]
    if re.search(r"Dimension out of range|too many indices|IndexError: tuple index", message):
        found += ["3", "4", "5", "2"]
    if "must be at least 2" in message:
        found += ["2", "3"]
    return list(dict.fromkeys(int(n) for n in found if n and 0 < int(n) < 6))


def tensor_places(spec: Spec) -> Iterator[tuple[Any, ...]]:
    """Where tensors stand in a spec: the path of indices and names to each."""
    if not isinstance(spec, (list, tuple)) or not spec:
        return
    if spec[0] == "tensor":
        yield ()
    elif spec[0] in ("list", "tuple"):
        for number, item in enumerate(spec[1]):
            for place in tensor_places(item):
                yield (number, *place)
    elif spec[0] == "dict":
        for name, item in spec[1].items():
            for place in tensor_places(item):
                yield (name, *place)


def changed(spec: Spec, place: tuple[Any, ...], tensor: Spec) -> Spec:
    if not place:
        return tensor
    items = dict(spec[1]) if spec[0] == "dict" else list(spec[1])
    items[place[0]] = changed(items[place[0]], place[1:], tensor)
    return [spec[0], items]


def at(spec: Spec, place: tuple[Any, ...]) -> Spec:
    for number in place:
        spec = spec[1][number]
    return spec


def _resized(plan: Plan, names: list[str], old: int, new: int) -> Iterator[Plan]:
    """A dimension of size `old` becomes `new`: the last ones first, in one input, then in all."""
    if not 0 < new <= _MOST_DIMENSION or old <= 0 or old == new:
        return
    together = dict(plan.inputs)
    holders = 0
    for name in names:
        spec = plan.inputs[name]
        for place in tensor_places(spec):
            shape = at(spec, place)[1]
            for axis in range(len(shape) - 1, -1, -1):
                if shape[axis] != old:
                    continue
                other = [*shape[:axis], new, *shape[axis + 1 :]]
                yield plan.with_input(name, changed(spec, place, ["tensor", other, at(spec, place)[2]]))
                if name in together and axis == max(i for i, n in enumerate(shape) if n == old):
                    together[name] = changed(together[name], place, ["tensor", other, at(spec, place)[2]])
                    holders += 1
    if holders > 1:
        yield plan.with_inputs(together)
    yield from _leading(plan, names, old, new)
    for name in names:  # a patch of another number of channels: 2048 = 32 x 64 where 192 = 3 x 64 is wanted
        spec = plan.inputs[name]
        for place in tensor_places(spec):
            shape = at(spec, place)[1]
            for axis in dict.fromkeys((1, len(shape) - 1)):
                size = shape[axis] if 1 <= axis < len(shape) else 0
                if size > 1 and old % size == 0 and new % (old // size) == 0 and size != old:
                    other = [*shape[:axis], new // (old // size), *shape[axis + 1 :]]
                    yield plan.with_input(name, changed(spec, place, ["tensor", other, at(spec, place)[2]]))
    for name in names:  # flattened: 2 x 16 x 32 seen as 32 x 32, or spatial sizes that multiply
        spec = plan.inputs[name]
        for place in tensor_places(spec):
            shape = at(spec, place)[1]
            if (
                shape
                and shape[-1]
                and old % shape[-1] == 0
                and shape[-1] != new
                and old != shape[-1]
                and len(shape) <= 3
            ):
                other = [*shape[:-1], new]
                yield plan.with_input(name, changed(spec, place, ["tensor", other, at(spec, place)[2]]))


def _leading(plan: Plan, names: list[str], old: int, new: int) -> Iterator[Plan]:
    """The first two dimensions flattened are `old`: 2 x 16 becomes 2 x 2 for 4; in all floating ones, then in one."""
    together = dict(plan.inputs)
    alone: list[Plan] = []
    for name in names:
        for place in tensor_places(plan.inputs[name]):
            _, shape, content = at(plan.inputs[name], place)
            if len(shape) < 2 or shape[0] * shape[1] != old or new % shape[0] or old == new:
                continue
            tensor = ["tensor", [shape[0], new // shape[0], *shape[2:]], content]
            if content == "normal":
                together[name] = changed(together[name], place, tensor)
            alone.append(plan.with_input(name, changed(plan.inputs[name], place, tensor)))
    if alone:
        yield plan.with_inputs(together)
    yield from alone


def _of_rank(plan: Plan, name: str, rank: int, sizes: Sizes) -> Iterator[Plan]:
    spec = plan.inputs[name]
    for place in tensor_places(spec):
        _, shape, content = at(spec, place)
        if len(shape) == rank:
            continue
        for other in _shapes(list(shape), rank, sizes):
            yield plan.with_input(name, changed(spec, place, ["tensor", other, content]))


def _shapes(shape: list[int], rank: int, sizes: Sizes) -> Iterator[list[int]]:
    width = sizes.width
    side = sizes.image or 16
    if rank == 4:
        yield shape_of_rank(4, sizes)
        yield [BATCH, sizes.heads, sizes.length, sizes.head_width]
        yield [BATCH, 3, side, side]
        yield [BATCH, 8, 8, width]
    if rank == 3:
        yield [BATCH, sizes.length, width]
        yield [BATCH, width, sizes.length]
    yield shape_of_rank(rank, sizes)
    if len(shape) > rank:
        yield shape[:1] + shape[len(shape) - rank + 1 :]
        yield shape[:rank]
    else:
        yield shape[:1] + [1] * (rank - len(shape)) + shape[1:]


def _of_type(plan: Plan, names: list[str], message: str, sizes: Sizes) -> Iterator[Plan]:
    ids = f"ids:{sizes.vocabulary}"
    wanted: list[str] = []
    if re.search(
        r"Long, Int|expected.*(Long|Int)\b|must be .*(long|int|IntTensor)|tensors used as indices|integral", message
    ):
        wanted.append(ids)
    if re.search(r"(Bool|bool|boolean|bitwise_not|ByteTensor)", message):
        wanted.append("true")
    if re.search(
        r"found Long|Float|floating|Long'|\"\w+\" not implemented for '(Long|Int|Bool)'|should be the same|Long and",
        message,
    ):
        wanted.append("normal")
    for content in wanted:
        for name in names:
            spec = plan.inputs[name]
            for place in tensor_places(spec):
                _, shape, old = at(spec, place)
                if old.partition(":")[0] == content.partition(":")[0]:
                    continue
                yield plan.with_input(name, changed(spec, place, ["tensor", shape, content]))
                if content == ids and len(shape) > 1:
                    yield plan.with_input(name, changed(spec, place, ["tensor", shape[:-1], content]))


def refilled(plan: Plan, names: list[str], content: str) -> Iterator[Plan]:
    """The same shapes with other content, one input at a time."""
    for name in names:
        for place in tensor_places(plan.inputs[name]):
            _, shape, old = at(plan.inputs[name], place)
            if old != content:
                yield plan.with_input(name, changed(plan.inputs[name], place, ["tensor", shape, content]))


def _grown(plan: Plan, names: list[str]) -> Iterator[Plan]:
    for factor in (2, 4):
        for name in names:
            spec = plan.inputs[name]
            for place in tensor_places(spec):
                _, shape, content = at(spec, place)
                if len(shape) > 2:
                    other = [*shape[:2], *(min(n * factor, 512) for n in shape[2:])]
                    yield plan.with_input(name, changed(spec, place, ["tensor", other, content]))


def shrunk(plan: Plan) -> Iterator[Plan]:
    """Images and volumes with sides of a half and a quarter, all inputs at once."""
    for divisor in (2, 4):
        inputs = dict(plan.inputs)
        for name, spec in plan.inputs.items():
            for place in tensor_places(spec):
                _, shape, content = at(spec, place)
                if len(shape) > 3:
                    other = [*shape[:2], *(max(2, n // divisor) for n in shape[2:])]
                    inputs[name] = changed(inputs[name], place, ["tensor", other, content])
        yield plan.with_inputs(inputs)


def _as_ids(plan: Plan, names: list[str], sizes: Sizes) -> Iterator[Plan]:
    """A table was indexed with what is no index: integers in place of floating values."""
    for name in names:
        for place in tensor_places(plan.inputs[name]):
            _, shape, content = at(plan.inputs[name], place)
            if content == "normal" and len(shape) > 1:
                tensor = ["tensor", [shape[0], sizes.length], f"ids:{sizes.vocabulary}"]
                yield plan.with_input(name, changed(plan.inputs[name], place, tensor))


def _smaller_ids(plan: Plan, names: list[str]) -> Iterator[Plan]:
    """Smaller indices, shorter sequences, then both at their smallest."""
    for top, length in ((8, 0), (0, 4), (8, 4), (1, 0)):
        for name in names:
            spec = plan.inputs[name]
            for place in tensor_places(spec):
                _, shape, content = at(spec, place)
                ids = content.startswith("ids:") and int(content[4:]) > top > 0
                short = len(shape) > 1 and shape[1] > length > 0
                other = [shape[0], length, *shape[2:]] if short else shape
                if ids or short:
                    tensor = ["tensor", other, f"ids:{top}" if ids else content]
                    yield plan.with_input(name, changed(spec, place, tensor))


def _in_domain(plan: Plan, names: list[str]) -> Iterator[Plan]:
    for content in ("unit", "positive"):
        for name in names:
            spec = plan.inputs[name]
            for place in tensor_places(spec):
                _, shape, old = at(spec, place)
                if old == "normal":
                    yield plan.with_input(name, changed(spec, place, ["tensor", shape, content]))


def _same_shapes(plan: Plan, names: list[str]) -> Iterator[Plan]:
    """Inputs that should be alike: the shape of each for the others."""
    places: list[tuple[str, tuple[Any, ...], Any]] = [
        (name, place, at(plan.inputs[name], place)) for name in names for place in tensor_places(plan.inputs[name])
    ]
    for name, place, tensor in places:
        for other_name, _, other in places:
            if other_name != name and other[1] != tensor[1]:
                spec = changed(plan.inputs[name], place, ["tensor", other[1], tensor[2]])
                yield plan.with_input(name, spec)
