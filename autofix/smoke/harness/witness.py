"""A failing input made small, and written as Python that a person can paste."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

from .claims import Tally
from .compare import dtype_name
from .hazards import first_number, hazard_at, remains
from .point import Point
from .program import Outcome, leaves_for
from .trial import point_at
from .values import FLOAT_ROLES, Choice, Pattern, Setting, size_text

_PARAMETERS = [
    "",
    "def parameters(*gradients):",
    "    made = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]",
    "    for parameter, gradient in zip(made, gradients):",
    "        parameter.grad = gradient",
    "    return made",
    "",
]
_SHRINK_TRIALS = 18
_SHOWN = 24


def show(sides: Any, tally: Tally, deadline: float) -> tuple[str, str]:
    """The witness as a script, and in one line."""
    point = tally.witness
    if point is None:
        return "", ""
    tries = 0
    improved = True
    while improved and tries < _SHRINK_TRIALS:
        improved = False
        for setting, leaves in _smaller(point):
            tries += 1
            if tries > _SHRINK_TRIALS or time.monotonic() > deadline:
                break
            trial = point_at(sides, setting, point.pattern, point.dtype, point.only, tally.relation, leaves)
            if hazard_at(trial, [tally.witness_hazard], tally.dim) and _cured(trial, tally):
                point, improved = trial, True
                break
    return script(sides, point.setting, point.leaves, point.dtype), summary(point, tally.witness_hazard)


def _cured(point: Point, tally: Tally) -> bool:
    return point.after.healthy and not remains(point, tally.witness_hazard, tally.dim)


def _smaller(point: Point) -> Iterator[tuple[Setting, dict[str, Any] | None]]:
    """Simpler inputs: each size down to 1 or 2 everywhere at once, then a leaf of zeros, then whole numbers."""
    sizes = sorted({d for c in point.setting.values() if c.is_tensor for d in c.size if d > 1}, reverse=True)
    for size in sizes:
        for target in (1, 2, 3):
            if target < size:
                yield _resize(point.setting, size, target), None
    for name, value in point.leaves.items():
        if point.setting[name].role != "float" or not isinstance(value, torch.Tensor):
            continue
        rounded = value.round()
        if not torch.equal(rounded, value):
            yield point.setting, {**point.leaves, name: rounded}


def _resize(setting: Setting, size: int, target: int) -> Setting:
    out = {}
    for name, choice in setting.items():
        if choice.is_tensor or choice.role == "shape":
            out[name] = choice._replace(size=tuple(target if d == size else d for d in choice.size))
        elif choice.role == "int" and choice.size == size:
            out[name] = choice._replace(size=target)
        else:
            out[name] = choice
    return out


def summary(point: Point, hazard: str) -> str:
    """One line: the main input, what came out before and after."""
    floats = [n for n, c in point.setting.items() if c.role in FLOAT_ROLES]
    name = point.only or (floats[0] if floats else next(iter(point.setting), "input"))
    choice = point.setting.get(name)
    shape = f"{size_text(choice.size)} " if choice is not None and choice.is_tensor else ""
    before, after = _told(point.before, point.after, hazard)
    return f"{name} = {shape}{dtype_name(point.dtype)}, {point.pattern.name}: before {before}, after {after}"


def _told(before: Outcome, after: Outcome, hazard: str) -> tuple[str, str]:
    if not before.ran:
        name = next(iter(after.values), "")
        return before.error, _number(_first(after.values.get(name), None))
    if hazard in ("gradient", "zero-gradient"):
        for name, grad in before.grads.items():
            other = after.grads.get(name)
            mask = _bad(grad) if grad is not None else None
            if hazard == "zero-gradient" and other is not None:
                mask = other != 0 if grad is None else (grad == 0) & (other != 0)
            if mask is None or not bool(mask.any()):
                continue
            came = "no gradient" if grad is None else f"gradient {_number(_first(grad, mask))}"
            return came, f"gradient {_number(_first(other, mask))}"
    if hazard == "rounding":
        return _rounded_off(before, after)
    if hazard in ("shares", "whole shares", "flattened"):
        return _shares(before), _shares(after)
    for name, value in before.values.items():
        mask = _bad(value)
        other = after.values.get(name)
        if bool(mask.any()):
            same = other is not None and other.shape == value.shape
            return _number(_first(value, mask)), _number(_first(other, mask if same else None))
    name = next(iter(before.values), "")
    if hazard == "leak":
        return "a masked position keeps weight", "none does"
    return _number(_first(before.values.get(name), None)), _number(_first(after.values.get(name), None))


def _rounded_off(before: Outcome, after: Outcome) -> tuple[str, str]:
    """What rounding changed: the selection, or a gradient of exactly zero."""
    for name, value in before.values.items():
        other = after.values.get(name)
        if value.is_floating_point() or other is None or other.shape != value.shape or torch.equal(value, other):
            continue
        mask = value != other
        return f"{name} {_number(_first(value, mask))}", f"{name} {_number(_first(other, mask))}"
    for name, grad in before.grads.items():
        now = after.grads.get(name)
        if grad is None or now is None or now.shape != grad.shape:
            continue
        mask = (grad == 0) & (now != 0)
        if bool(mask.any()):
            return "gradient 0", f"gradient {_number(_first(now, mask))}"
    return "rounded", "exact"


def _shares(outcome: Outcome) -> str:
    """The weights with their sum: those of the row whose sum is furthest from one."""
    weights = first_number(outcome)
    assert weights is not None, "the hazard is about them"
    rows = weights.reshape(-1, weights.shape[-1])
    row = rows[int((rows.sum(-1) - 1).abs().argmax())]
    shown = ", ".join(f"{w:.3g}" for w in row[:4].tolist())
    return f"weights {shown}{', ...' if len(row) > 4 else ''} with the sum {_number(float(row.sum()))}"


def _bad(value: torch.Tensor) -> torch.Tensor:
    return ~torch.isfinite(value)


def _first(value: torch.Tensor | None, mask: torch.Tensor | None) -> float | None:
    if value is None or not value.numel():
        return None
    picked = value[mask] if mask is not None and mask.shape == value.shape else value
    return float(picked.reshape(-1)[0]) if picked.numel() else None


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def show_gate(
    sides: Any, setting: Setting, name: str, told: tuple[str, str] = ("no gradient", "a gradient")
) -> tuple[str, str]:
    """The witness of a gate: the gradient that arrives only after the patch. told: what arrives before, and after."""
    leaves = leaves_for(setting, Pattern("ordinary draws", "draw", 1.0))
    shape = size_text(setting[name].size)
    return (
        script(sides, setting, leaves, torch.float32),
        f"{name} = {shape} float32, ordinary draws: before {told[0]}, after {told[1]}",
    )


def script(sides: Any, setting: Setting, leaves: dict[str, Any], dtype: torch.dtype) -> str:
    """Self-contained Python: binds the leaves, runs both sides, prints what came out."""
    lines = ["import torch", *[x for x in sides.before.prelude.splitlines() if x != "import torch"], ""]
    if dtype is not torch.float32:
        lines.append(f"torch.set_default_dtype({dtype})")
    names = list(setting)
    if any(choice.role == "parameters" for choice in setting.values()):
        lines += _PARAMETERS
    lines += ["", "def leaves():"]
    for name in names:
        lines += [f"    {name} = {_literal(leaves[name], setting[name], dtype)}"]
    lines += [f"    return {{{', '.join(f'{n!r}: {n}' for n in names)}}}", ""]
    for title, program in (("before", sides.before), ("after", sides.after)):
        lines += [f"{title} = '''", program.text.replace("\\", "\\\\").replace("'''", '"""'), "'''", ""]
    shown = _result_expression(sides)
    floats = [n for n in names if setting[n].role == "float"]
    methods = "def self_" in sides.before.prelude
    lines += [
        "for title, code in (('before', before), ('after', after)):",
        "    env = {**globals(), **leaves()}",
        f"    inputs = {{n: env[n].requires_grad_() for n in {floats!r}}}",
        "    env.update({n: v.clone() for n, v in inputs.items()})",
        *(["    globals().update((n, env[n]) for n in leaves())  # read by methods"] if methods else []),
        "    try:",
        "        exec(code, env)",
        f"        results = {shown}",
        "    except RuntimeError as error:",
        "        print(title, 'raises', error)",
        "        continue",
        "    print(title, results)",
        "    ends = [r for r in results if isinstance(r, torch.Tensor) and r.requires_grad]",
        "    if ends:",
        "        sum(r.float().sum() for r in ends).backward()",
        "    print(title, 'gradients', {n: v.grad for n, v in inputs.items()})",
    ]
    return "\n".join(lines) + "\n"


def _result_expression(sides: Any) -> str:
    results: list[str] = list(sides.results)
    if sides.mode == "append" and results:
        return f"[torch.softmax(eval({results[-1]!r}, env), dim=-1)]"
    if sides.mode == "append-added" and results:
        return f"[torch.softmax(eval({results[-1]!r}, env) + env['added_scores'], dim=-1)]"
    return f"[eval(n, env) for n in {results!r}]"


def _literal(value: Any, choice: Choice, dtype: torch.dtype) -> str:
    if choice.role == "dtype":
        return str(dtype)
    if choice.role == "device":
        return "torch.device('cpu')"
    if choice.role == "parameters":
        return f"parameters({', '.join(f'torch.tensor({_rounded(g)}, dtype={dtype})' for g in value)})"
    if choice.role == "buffer":
        return f"torch.tensor({choice.size!r}, dtype={dtype})"
    if not isinstance(value, torch.Tensor):
        return repr(value)
    kind = f", dtype={dtype}" if choice.role in FLOAT_ROLES else f", dtype={value.dtype}"
    if value.numel() <= _SHOWN:
        shape = "" if value.numel() else f".view({tuple(value.shape)})"
        return f"torch.tensor({_rounded(value)}{kind}){shape}"
    flat = value.reshape(-1)
    if bool((flat == flat[0]).all()):
        return f"torch.full({tuple(value.shape)}, {flat[0].item()!r}{kind})"
    return f"torch.tensor({_rounded(flat)}{kind}).view({tuple(value.shape)})"


def _rounded(value: torch.Tensor) -> str:
    if value.is_floating_point():
        return repr(_map(value.tolist()))
    return repr(value.tolist())


def _map(value: Any) -> Any:
    if isinstance(value, list):
        return [_map(v) for v in value]
    return float(f"{value:.6g}")
