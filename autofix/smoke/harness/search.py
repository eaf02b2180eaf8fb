"""Finds shapes and roles for the leaves on which the original statements run. The patch is never asked."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from .program import Outcome, Program, leaves_for, run
from .values import PATTERNS, Choice, Setting

_SHAPES: list[tuple[int, ...]] = [
    (3, 7), (7,), (2, 3, 7), (2, 3, 5, 7), (), (3, 1), (1, 7), (7, 7), (2, 3, 5, 5), (3, 3), (2, 7, 7), (7, 3), (3,),
    (2, 1, 1, 7), (1, 1, 7, 7), (2, 1, 7, 7), (2,), (1,), (2, 3), (2, 3, 1), (2, 1, 7), (2, 3, 4, 5, 7), (2, 4), (4,),
]  # fmt: skip
_BY_RANK: dict[int, tuple[int, ...]] = {0: (), 1: (7,), 2: (3, 7), 3: (2, 3, 7), 4: (2, 3, 5, 7), 5: (2, 3, 4, 5, 7)}
_NUMBERS = [2, 1, 3, 7, 5, 0, 4, 21]
_DOMAINS = ["positive", "probability", "simplex", "spd"]
_REORDERING = ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "flip", "sum", "mean")
_REACHED = 1000  # operations: more than any slice has
_SOONER = 6  # by how much a leaf that decides about branches is preferred, or put behind, when that is the question


class Found(NamedTuple):
    setting: Setting
    tries: int
    finite: bool
    reason: str


def first_choice(leaf: dict[str, Any], role: str | None = None) -> Choice:
    role = role or leaf["roles"][0]
    domain = leaf.get("domain") or ""
    if role in ("float", "binary", "bool", "index"):
        rank = leaf.get("rank")
        shape = tuple(leaf["shape"]) if leaf.get("shape") is not None else _BY_RANK.get(rank if rank is not None else 2)
        if domain == "spd" and rank is None and leaf.get("shape") is None:
            shape = (5, 5)
        shape = shape if shape is not None else (3, 7)
        return Choice(role, tuple(1 if i in (leaf.get("ones") or ()) else d for i, d in enumerate(shape)), domain)
    if role == "fixed":
        return Choice(role, leaf["value"])
    value = leaf.get("value")
    number = value if isinstance(value, (int, float)) else 0
    if role == "scalar":
        return Choice(role, float(number or 0.5))
    if role == "int":
        return Choice(role, int(number or 2))
    if role == "dim":
        return Choice(role, -1)
    if role == "flag":
        return Choice(role, True)
    if role == "buffer":
        return Choice(role, leaf["value"])
    if role == "none":
        return Choice(role, None)
    if role == "shape":
        return Choice(role, (3, 7))
    if role == "parameters":
        return Choice(role, ((4, 3), (3,), (2, 2)))
    return Choice(role, None)


class _Node(NamedTuple):
    """A binding still to be tried: one that was, and what to change in it."""

    setting: Setting
    changes: dict[str, Choice]
    depth: int


def search(
    program: Program,
    leaves: list[dict[str, Any]],
    results: list[str],
    mode: str,
    deadline: float,
    reach: int = 0,
    limit: int = 500,
) -> tuple[Found | None, str]:
    """Best first over bindings, ranked by how far the statements ran; and why the last of them failed.

    reach: a line of the body that must be executed, 0 for none. deadline: a `time.monotonic()` value.
    """
    by_name = {leaf["name"]: leaf for leaf in leaves}
    order = itertools.count()
    start = _Node({leaf["name"]: first_choice(leaf) for leaf in leaves}, {}, 0)
    queue: list[tuple[int, int, _Node]] = [(0, next(order), start)]
    seen: set[tuple[Any, ...]] = set()
    best_reason, best_progress, tries = "", -1, 0
    fallback: Found | None = None
    while queue and tries < limit and time.monotonic() < deadline:
        _, _, node = heapq.heappop(queue)
        setting = {**node.setting, **node.changes} if node.changes else node.setting
        key = _key(setting)
        if key in seen:
            continue
        seen.add(key)
        outcome = _try(program, setting, results, mode, reach)
        tries += 1
        usable = outcome.ran and any(v.numel() for v in outcome.values.values())
        if usable and not outcome.reached:
            outcome.error, usable = "the branch that the patch changes was not reached", False
        if usable:
            finite = outcome.bad_value() is None
            found = Found(setting, tries, finite, "")
            if finite:
                return found, ""
            fallback = fallback or found
            redrawn = _redraw(program, setting, results, mode, deadline)
            if redrawn is not None:
                return Found(redrawn, tries, True, ""), ""
        # Operations on tensors without elements always run: they show no progress.
        progress = 0 if outcome.ran and not usable else outcome.watch.count
        if progress > best_progress:
            best_progress, best_reason = progress, outcome.error or "no value came out"
        # A binding that takes the patched branch goes before one that avoids it, however far that one runs.
        rank = 4 * progress + (_REACHED if reach and outcome.reached else 0)
        for weight, changes in _proposals(setting, by_name, outcome, program):
            heapq.heappush(queue, (weight + node.depth - rank, next(order), _Node(setting, changes, node.depth + 1)))
        if fallback is not None and tries > 120:
            break
    return fallback, best_reason


def other_shapes(program: Program, setting: Setting, results: list[str], mode: str) -> list[Setting]:
    """Further bindings on which the original runs: other sizes, one row, one more dimension in front."""
    sizes = sorted({d for c in setting.values() if c.is_tensor for d in c.size if d > 1})
    maps = [{s: s + 1 for s in sizes}]
    if len(sizes) > 1:
        maps.append(dict(zip(sizes, [6, 4, 3, 8, 5][: len(sizes)])))  # noqa: B905
    maps.append(dict.fromkeys(sizes, 1))
    candidates = [_resized(setting, m) for m in maps]
    candidates.append(
        {n: c._replace(size=(2, *c.size)) if c.is_tensor and len(c.size) > 1 else c for n, c in setting.items()}
    )
    out = []
    for candidate in candidates:
        outcome = _try(program, candidate, results, mode)
        sized = all(v.numel() for v in outcome.values.values())
        if outcome.ran and outcome.values and sized and outcome.bad_value() is None:
            out.append(candidate)
    return out


def _resized(setting: Setting, sizes: dict[int, int]) -> Setting:
    out = {}
    for name, choice in setting.items():
        if choice.is_tensor or choice.role == "shape":
            out[name] = choice._replace(size=tuple(sizes.get(d, d) for d in choice.size))
        elif choice.role == "int":
            out[name] = choice._replace(size=sizes.get(choice.size, choice.size))
        else:
            out[name] = choice
    return out


def _try(program: Program, setting: Setting, results: list[str], mode: str, reach: int = 0) -> Outcome:
    return run(
        program, setting, leaves_for(setting, PATTERNS[0]), torch.float32, results, mode, gradients=False, reach=reach
    )


def _redraw(program: Program, setting: Setting, results: list[str], mode: str, deadline: float) -> Setting | None:
    floats = [n for n, c in setting.items() if c.role == "float"]
    groups = [floats, *([n] for n in floats)] if len(floats) > 1 else [floats]
    for domain in _DOMAINS:
        for group in groups:
            if time.monotonic() > deadline:
                return None
            proposal = {n: c._replace(domain=domain) if n in group else c for n, c in setting.items()}
            outcome = _try(program, proposal, results, mode)
            if outcome.ran and outcome.bad_value() is None:
                return proposal
    return None


def _key(setting: Setting) -> tuple[Any, ...]:
    return tuple((c.role, c.size) for c in setting.values())


Change = tuple[int, dict[str, Choice]]  # how late it is tried, and the leaves that it binds anew


def _proposals(
    setting: Setting, by_name: dict[str, dict[str, Any]], outcome: Outcome, program: Program
) -> Iterator[Change]:
    """What to try next after a binding failed, the likeliest with the least weight."""
    called, args = outcome.watch.failed or ("", ())
    shapes = [tuple(t.shape) for t in _tensors(args)]
    wanted = _wanted(called, shapes, args)
    numbers = sorted({d for s in shapes for d in s})
    feeding = program.feeding(outcome.failed_at) if outcome.failed_at is not None else frozenset()
    direct = program.read_at(outcome.failed_at) if outcome.failed_at is not None else frozenset()
    for position, (name, choice) in enumerate(setting.items()):
        leaf = by_name[name]
        late = 0 if name in direct else position // 3
        if not outcome.reached and name in program.deciding:
            late = -_SOONER
        elif feeding and name not in feeding:
            if name not in program.deciding:
                continue  # nothing that it is bound to changes what the failing statement reads
            late += _SOONER
        if choice.is_tensor:
            yield from _reshaped(name, choice, leaf, shapes, wanted, late)
        elif choice.role == "int":
            for number in dict.fromkeys([*numbers, *_NUMBERS]):
                if number != choice.size:
                    yield 2 + late, {name: choice._replace(size=number)}
        elif choice.role == "dim":
            for number in (1, 0, 2, -2):
                if number != choice.size:
                    yield 3 + late, {name: choice._replace(size=number)}
        elif choice.role == "flag":
            yield 2 + late, {name: choice._replace(size=not choice.size)}
        elif choice.role == "shape":
            for shape in wanted:
                yield 2 + late, {name: choice._replace(size=shape)}
        for index, role in enumerate(leaf["roles"]):
            if role != choice.role:
                absent = role == "none" and not outcome.reached  # `if x is None:` stands around what is to be reached
                yield 2 + (-1 if absent else index) + late, {name: first_choice(leaf, role)}
    yield from _together(setting, by_name)


def _reshaped(
    name: str,
    choice: Choice,
    leaf: dict[str, Any],
    shapes: list[tuple[int, ...]],
    wanted: list[tuple[int, ...]],
    late: int,
) -> Iterator[Change]:
    """Other shapes for one tensor: first those of the tensors in the failing call and of their relatives."""
    rank = leaf.get("rank")
    ones = leaf.get("ones") or ()
    late += 0 if choice.size in shapes else 2
    for index, shape in enumerate(dict.fromkeys([*wanted, *_SHAPES])):
        if rank is not None and len(shape) == rank:
            shape = tuple(1 if i in ones else d for i, d in enumerate(shape))
        if shape == choice.size or len(shape) > 5:
            continue
        weight = late + (1 if index < len(wanted) else 3 + (index - len(wanted)) // 6)
        yield weight + (4 if rank is not None and len(shape) != rank else 0), {name: choice._replace(size=shape)}


def _wanted(called: str, shapes: list[tuple[int, ...]], args: Any) -> list[tuple[int, ...]]:
    """Shapes that may suit a call of `called` that failed on tensors of `shapes`."""
    wanted: list[tuple[int, ...]] = []
    sizes = tuple(_sizes(args[1:]))
    if called in _REORDERING:  # its numbers are dimensions
        rank = len(sizes) if called == "permute" else 1 + max((d if d >= 0 else -d - 1 for d in sizes), default=0)
        wanted += [_BY_RANK[rank]] if rank in _BY_RANK else []
    elif 1 <= len(sizes) <= 5 and shapes and all(d == -1 or d > 0 for d in sizes):
        if called == "expand" and len(shapes[0]) == len(sizes):  # `x.unsqueeze(1).expand(b, n, t)`: x is b by t
            wanted.append(tuple(d for d, own in zip(sizes, shapes[0], strict=True) if own != 1))
        wanted.append(tuple(3 if d == -1 else d for d in sizes))  # `view(b, t, -1)`: as if it had that shape already
    for shape in shapes:
        wanted += [shape, shape[-1:], (*shape[:-1], 1), shape[:-1], (1,) * (len(shape) - 1) + shape[-1:], shape[1:]]
        if len(shape) >= 2:
            wanted += [(*shape[:-2], shape[-1], shape[-2]), (shape[-1], 5), (5, shape[-1]), shape[-2:]]
            wanted += [(shape[0], *(1,) * (len(shape) - 1)), (*shape[:-1], 5)]
    return list(dict.fromkeys(wanted))


def _together(setting: Setting, by_name: dict[str, dict[str, Any]]) -> Iterator[Change]:
    """Changes of all leaves of a kind at once."""
    for old, new in (("bool", "binary"), ("binary", "bool")):
        changed = {n: c._replace(role=new) for n, c in setting.items() if c.role == old and new in by_name[n]["roles"]}
        if changed:
            yield 2, changed
    ranks = {len(c.size) for c in setting.values() if c.is_tensor}
    for rank in (1, 2, 3, 4):  # everything of one rank
        if ranks != {rank}:
            yield 3 + rank, {n: c._replace(size=_BY_RANK[rank]) for n, c in setting.items() if c.is_tensor}


def _sizes(values: Any) -> Iterator[int]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _sizes(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield value


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
