"""Finds shapes and roles for the leaves on which the original statements run. The patch is never asked."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from .program import Outcome, Program, as_dtype, leaves_for, run
from .values import PATTERNS, Choice, Setting

_SHAPES: list[tuple[int, ...]] = [
    (3, 7), (7,), (2, 3, 7), (2, 3, 5, 7), (), (3, 1), (1, 7), (7, 7), (2, 3, 5, 5), (3, 3), (2, 7, 7), (7, 3), (3,),
    (2, 1, 1, 7), (1, 1, 7, 7), (2, 1, 7, 7), (2,), (1,), (2, 3), (2, 3, 1), (2, 1, 7), (2, 3, 4, 5, 7), (2, 4), (4,),
]  # fmt: skip
_BY_RANK: dict[int, tuple[int, ...]] = {0: (), 1: (7,), 2: (3, 7), 3: (2, 3, 7), 4: (2, 3, 5, 7), 5: (2, 3, 4, 5, 7)}
_NUMBERS = [2, 1, 3, 7, 5, 0, 4, 21]
_DOMAINS = ["positive", "probability", "simplex", "spd"]


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
        return Choice(role, shape if shape is not None else (3, 7), domain)
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
    return Choice(role, None)


def search(
    program: Program,
    leaves: list[dict[str, Any]],
    results: list[str],
    mode: str,
    deadline: float,
    reach: int = 0,
    limit: int = 1500,
) -> tuple[Found | None, str]:
    """Best first over bindings, ranked by how far the statements ran; and why the last of them failed."""
    start = {leaf["name"]: first_choice(leaf) for leaf in leaves}
    by_name = {leaf["name"]: leaf for leaf in leaves}
    order = itertools.count()
    queue: list[tuple[int, int, int, Setting]] = [(0, 0, next(order), start)]
    seen = {_key(start)}
    best_reason, best_progress, tries = "", -1, 0
    fallback: Found | None = None
    while queue and tries < limit and time.monotonic() < deadline:
        _, depth, _, setting = heapq.heappop(queue)
        outcome = _try(program, setting, results, mode)
        tries += 1
        usable = outcome.ran and any(v.numel() for v in outcome.values.values())
        if usable and reach and not _reaches(program, setting, reach):
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
        progress = outcome.watch.count
        if progress > best_progress:
            best_progress, best_reason = progress, outcome.error or "no value came out"
        for weight, proposal in _proposals(setting, by_name, outcome):
            key = _key(proposal)
            if key not in seen:
                seen.add(key)
                heapq.heappush(queue, (-4 * progress + weight + depth, depth + 1, next(order), proposal))
        if fallback is not None and tries > 120:
            break
    return fallback, best_reason


def other_shapes(program: Program, setting: Setting, results: list[str], mode: str) -> list[Setting]:
    """Further bindings on which the original runs: other sizes, one row, one more dimension in front."""
    sizes = sorted({d for c in setting.values() if c.is_tensor for d in c.size if d > 1})
    maps = [{s: s + 1 for s in sizes}]
    if len(sizes) > 1:
        maps.append(dict(zip(sizes, [6, 4, 3, 8, 5][: len(sizes)])))  # noqa: B905
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


def _try(program: Program, setting: Setting, results: list[str], mode: str) -> Outcome:
    leaves = leaves_for(setting, PATTERNS[0])
    outcome = run(program, setting, leaves, torch.float32, results, mode, gradients=False)
    outcome.grads = {}
    return outcome


def _reaches(program: Program, setting: Setting, line: int) -> bool:
    leaves = leaves_for(setting, PATTERNS[0])
    env = {n: as_dtype(v, setting[n], torch.float32) for n, v in leaves.items()}
    try:
        return program.reaches(env, line)
    except Exception:
        return False


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
    return tuple((n, c.role, repr(c.size)) for n, c in setting.items())


def _proposals(setting: Setting, by_name: dict[str, dict[str, Any]], outcome: Outcome) -> Iterator[tuple[int, Setting]]:
    _, args = outcome.watch.failed or ("", ())
    tensors = list(_tensors(args))
    shapes = [tuple(t.shape) for t in tensors]
    wanted: list[tuple[int, ...]] = []
    for shape in shapes:
        wanted += [shape, shape[-1:], (*shape[:-1], 1), shape[:-1], (1,) * (len(shape) - 1) + shape[-1:], shape[1:]]
        if len(shape) >= 2:
            wanted += [(*shape[:-2], shape[-1], shape[-2]), (shape[-1], 5), (5, shape[-1]), shape[-2:]]
    numbers = sorted({d for s in shapes for d in s})
    position = {n: i for i, n in enumerate(setting)}
    for leaf_name, choice in setting.items():
        leaf = by_name[leaf_name]
        rank = 0 if any(shape == choice.size for shape in shapes) else 2
        if choice.is_tensor:
            pool = list(dict.fromkeys([*wanted, *_SHAPES]))
            for index, shape in enumerate(pool):
                if shape != choice.size and len(shape) <= 5:
                    weight = rank + (1 if index < len(wanted) else 3 + index // 6) + position[leaf_name] // 3
                    yield weight, _with(setting, leaf_name, choice._replace(size=shape))
        elif choice.role == "int":
            for number in dict.fromkeys([*numbers, *_NUMBERS]):
                if number != choice.size:
                    yield 2 + position[leaf_name] // 3, _with(setting, leaf_name, choice._replace(size=number))
        elif choice.role == "dim":
            for number in (1, 0, 2, -2):
                if number != choice.size:
                    yield 3, _with(setting, leaf_name, choice._replace(size=number))
        elif choice.role == "flag":
            yield 2, _with(setting, leaf_name, choice._replace(size=not choice.size))
        elif choice.role == "shape":
            for shape in wanted:
                yield 2, _with(setting, leaf_name, choice._replace(size=shape))
        for index, role in enumerate(leaf["roles"]):
            if role != choice.role:
                yield 2 + index, _with(setting, leaf_name, first_choice(leaf, role))
    for old, new in (("bool", "binary"), ("binary", "bool")):
        changed = {
            n: c._replace(role=new) if c.role == old and new in by_name[n]["roles"] else c for n, c in setting.items()
        }
        if changed != setting:
            yield 2, changed
    ranks = {len(c.size) for c in setting.values() if c.is_tensor}
    for rank in (1, 2, 3, 4):  # everything of one rank
        if ranks != {rank}:
            yield 3 + rank, {n: c._replace(size=_BY_RANK[rank]) if c.is_tensor else c for n, c in setting.items()}


def _with(setting: Setting, name: str, choice: Choice) -> Setting:
    return {**setting, name: choice}


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
