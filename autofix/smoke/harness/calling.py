"""Makes a call before and after a patch with the same arguments: what it warns of, and what it makes."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

_FLAGS = 4  # of which every combination is tried


class _Made(NamedTuple):
    """What one call did: the deprecations it was told of, what it made, the error that it raised."""

    warned: list[str]
    state: dict[str, Any]
    error: str = ""


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The verdict on such a patch; `spec` is made by `autofix.smoke.calling.plan`."""
    flags = [n for n, kind in spec["leaves"].items() if kind == "flag"]
    warned, told = 0, ""
    settings = list(itertools.product((True, False), repeat=min(len(flags), _FLAGS)))
    for values in settings:
        space = dict.fromkeys(spec["leaves"], torch.float16)
        space.update(itertools.zip_longest(flags, values, fillvalue=True))
        before, after = _make(spec["before"], space), _make(spec["after"], space)
        if before.error:
            return {"verdict": "INCONCLUSIVE", "reason": f"the original call could not be made: {before.error}"}
        if after.error:
            return _refuted(spec, "runs", f"the patched call fails: {after.error}")
        if after.warned:
            return _refuted(spec, "quiet", f"the patched call warns too: {after.warned[0]}")
        if before.state != after.state:
            name = next(n for n in before.state if before.state[n] != after.state.get(n))
            detail = f"{name} is {before.state[name]} before and {after.state.get(name)} after, for {_said(space)}"
            return _refuted(spec, "equal", detail)
        warned += bool(before.warned)
        told = told or next(iter(before.warned), "")
    detail = f"before the patch: {told}; after it none" if told else "nothing is deprecated in this PyTorch"
    claims = [
        {"name": "witness", "held": True if warned else None, "detail": detail},
        {"name": "quiet", "held": True, "detail": "the patched call warns of nothing"},
        {"name": "equal", "held": True, "detail": f"both make the same for {len(settings)} choices of the arguments"},
    ]
    answer = {"claims": claims, "assumptions": spec["assumptions"], "exact": True, "change": ""}
    if not warned:
        return {**answer, "verdict": "CONSISTENT", "reason": detail}
    return {**answer, "verdict": "PROVED", "witness_summary": detail, "witness": _script(spec)}


def _make(code: str, space: dict[str, Any]) -> _Made:
    with warnings.catch_warnings(record=True) as caught, _as_with_a_gpu():
        warnings.simplefilter("always")
        try:
            made = eval(code, {"torch": torch, **space})
        except Exception as error:
            return _Made([], {}, f"{type(error).__name__}: {error}"[:200])
    deprecations = [w for w in caught if issubclass(w.category, (FutureWarning, DeprecationWarning))]
    state = {n: v for n, v in vars(made).items() if isinstance(v, (bool, int, float, str, torch.dtype, type(None)))}
    return _Made([str(w.message).splitlines()[0] for w in deprecations], state)


@contextlib.contextmanager
def _as_with_a_gpu() -> Iterator[None]:
    """Without a GPU, PyTorch switches off what it was asked for, and every call makes the same."""
    answers: list[tuple[Any, str, Any]] = [
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
    ]
    kept = [(room, name, getattr(room, name)) for room, name, _ in answers if hasattr(room, name)]
    for room, name, answer in answers:
        setattr(room, name, answer)
    try:
        yield
    finally:
        for room, name, original in kept:
            setattr(room, name, original)


def _said(space: dict[str, Any]) -> str:
    return ", ".join(f"{n} = {v}" for n, v in space.items()) or "no arguments"


def _refuted(spec: dict[str, Any], name: str, detail: str) -> dict[str, Any]:
    claims = [{"name": name, "held": False, "detail": detail}]
    return {"verdict": "REFUTED", "claims": claims, "reason": detail, "assumptions": spec["assumptions"]}


def _script(spec: dict[str, Any]) -> str:
    """Python that shows the warning before and none after."""
    bound = [f"{n} = {'torch.float16' if kind == 'dtype' else 'True'}" for n, kind in spec["leaves"].items()]
    return "\n".join(
        [
            "import warnings",
            "",
            "import torch",
            "",
            *bound,
            f"for name, code in (('before', {spec['before']!r}), ('after', {spec['after']!r})):",
            "    with warnings.catch_warnings(record=True) as caught:",
            "        warnings.simplefilter('always')",
            "        eval(code)",
            "    print(name, [w.category.__name__ for w in caught if issubclass(w.category, FutureWarning)])",
            "",
        ]
    )
