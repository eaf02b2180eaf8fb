"""Constructs a class before and after a patch, with NaN in place of uninitialised memory, and reads its parameters."""

from __future__ import annotations

import ast
import math
from typing import Any, NamedTuple

import torch

from .construct import Built, build

_SAMPLE = 16  # fewer elements say nothing about their spread
_SPREAD = 0.5  # how far the spread of 16 and more random numbers may differ between two draws
_WIDE = 4.0  # times the standard deviation of a layer as wide as the parameter's dimensions are on average
_SETS = 3  # of made-up arguments
_FADING = 0.5  # of the mean square of a layer's input: with less, ten layers leave a thousandth


class _Summary(NamedTuple):
    """What a parameter holds: how many elements, and how many of them nothing wrote to; mean, spread and maximum."""

    shape: tuple[int, ...]
    unwritten: int
    mean: float
    spread: float
    largest: float


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The verdict on a patch that initialises parameters; `spec` is made by `autofix.smoke.construction.plan`."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # with it torch.empty returns NaN
    torch.utils.deterministic.fill_uninitialized_memory = True
    reason = ""
    for number in range(_SETS):
        before, after = (build(spec[side], spec["class"], number) for side in ("before", "after"))
        reason = _obstacle(before, after, spec["names"])
        if not reason:
            return _judged(spec, before, after)
    return {"verdict": "INCONCLUSIVE", "reason": reason}


def _obstacle(before: Built, after: Built, names: list[str]) -> str:
    """Why these two constructions cannot be compared; empty when they can."""
    for built in (before, after):
        if built.reason:
            return built.reason
    missing = [n for n in names if not isinstance(getattr(before.module, n, None), (torch.Tensor, torch.nn.Module))]
    if missing:
        skipped = f" ({before.skipped[0][1]})" if before.skipped else ""
        return f"self.{missing[0]} is not made with made-up arguments{skipped}"
    for statement, error in before.skipped:
        if _concerns(statement, names, before.methods):
            return f"a statement that may initialise it does not run in the trial: {error}"
    return ""


def _concerns(statement: ast.AST, names: list[str], methods: dict[str, ast.FunctionDef]) -> bool:
    """Whether a statement reads one of the parameters, itself or in a method that it calls, or hands the whole module
    to a function."""
    pending, seen = [statement], set()
    while pending:
        for node in ast.walk(pending.pop()):
            if isinstance(node, ast.Attribute) and node.attr in names:
                return True
            if not isinstance(node, ast.Call):
                continue
            if any(isinstance(a, ast.Name) and a.id == "self" for a in node.args):
                return True
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if called in methods and called != "__init__" and called not in seen:
                seen.add(called)
                pending.append(methods[called])
    return False


def _judged(spec: dict[str, Any], before: Built, after: Built) -> dict[str, Any]:
    answer: dict[str, Any] = {"assumptions": spec["assumptions"], "exact": False, "change": spec["change"]}
    new = [error for statement, error in after.skipped if error not in {e for _, e in before.skipped}]
    if new:
        claim = {"name": "runs", "held": False, "detail": new[0]}
        return {**answer, "verdict": "REFUTED", "claims": [claim], "reason": f"the patched constructor fails: {new[0]}"}
    old, now = _summaries(before.module), _summaries(after.module)
    names = _parameters(before.module, spec["names"])
    if not names:
        return {"verdict": "INCONCLUSIVE", "reason": "no layer is made with made-up arguments"}
    claims = [
        _fading(old, now, names, spec["rectified"]) if spec["fading"] else _witness(old, now, names, spec["role"]),
        _initialised(now, names),
        _scale(now, names, spec["role"]),
        _others(old, now, names),
    ]
    broken = next((c for c in claims if c["held"] is False), None)
    if broken is not None:
        return {**answer, "verdict": "REFUTED", "claims": claims, "reason": broken["detail"]}
    if claims[0]["held"] is None:
        return {**answer, "verdict": "CONSISTENT", "claims": claims, "reason": claims[0]["detail"]}
    summary = f"{spec['class']}({before.arguments}): {claims[0]['detail']}"
    if spec["fading"]:
        shown = _layer(next(old[n].shape for n in names if len(old[n].shape) > 1), spec["rectified"])
    else:
        shown = _program(spec, names, before.arguments) if before.alone and after.alone else _memory(names[0], now)
    return {**answer, "verdict": "PROVED", "claims": claims, "witness_summary": summary, "witness": shown}


def _parameters(module: torch.nn.Module, names: list[str]) -> list[str]:
    """The names of the parameters: for a module, those of the linear and convolution layers in it."""
    found = []
    for name in names:
        part = getattr(module, name)
        if isinstance(part, torch.Tensor):
            found.append(name)
            continue
        for inner, layer in part.named_modules(prefix=name):
            if isinstance(layer, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)):
                found += [f"{inner}.{own}" for own, _ in layer.named_parameters(recurse=False)]
    return found


def _summaries(module: torch.nn.Module) -> dict[str, _Summary]:
    """The floating-point parameters and buffers of a module, whatever their dtype in float64."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        values = tensor.detach().to(torch.float64)
        written = values[~values.isnan()]
        some = written.numel() > 0
        found[name] = _Summary(
            tuple(tensor.shape),
            int(values.isnan().sum()),
            float(written.mean()) if some else math.nan,
            float(written.std(correction=0)) if some else math.nan,
            float(written.abs().max()) if some else math.nan,
        )
    return found


# -- claims --------------------------------------------------------------------------------------------------------


def _claim(name: str, held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail}


def _witness(old: dict[str, _Summary], now: dict[str, _Summary], names: list[str], role: str) -> dict[str, Any]:
    """Whether a parameter held memory that nothing had written to, or values far above a weight's scale."""
    for name in names:
        if name not in old:
            continue
        one, after = old[name], now.get(name)
        ends = f"values of standard deviation {after.spread:.2g} after" if after else "none after"
        if one.unwritten:
            return _claim(
                "witness", True,
                f"{one.unwritten} of {math.prod(one.shape)} elements of {name} are uninitialised memory before, {ends}",
            )  # fmt: skip
        if role == "weight" and not name.endswith(".bias") and one.spread > _bound(one.shape):
            return _claim("witness", True, f"{name} has standard deviation {one.spread:.2g} before, {ends}")
    return _claim("witness", None, "before the patch it holds no uninitialised memory, and nothing far too large")


def _fading(old: dict[str, _Summary], now: dict[str, _Summary], names: list[str], rectified: bool) -> dict[str, Any]:
    """Whether a layer passes on less than half of the mean square that enters it, and more of it after the patch."""
    faded = ""
    for name in (n for n in names if n in old and n in now and len(old[n].shape) > 1):
        was, became = (_passed_on(side[name], rectified) for side in (old, now))
        if was >= _FADING:
            continue
        faded = f"{name.removesuffix('.weight')} passes on {was:.2g} of its input's mean square"
        if became > 1.5 * was:
            return _claim("witness", True, f"{faded} before, {became:.2g} after")
    if faded:
        return _claim("witness", False, f"{faded}, before the patch and after it")
    return _claim("witness", None, "every layer passes on at least half of its input's mean square")


def _passed_on(weight: _Summary, rectified: bool) -> float:
    """The mean square of a layer's outputs over that of its inputs, which are independent of its weights; of which a
    ReLU has taken half, where the inputs are rectified."""
    fan_in = math.prod(weight.shape[1:])
    return fan_in * (weight.spread**2 + weight.mean**2) * (0.5 if rectified else 1.0)


def _initialised(now: dict[str, _Summary], names: list[str]) -> dict[str, Any]:
    for name in names:
        if name not in now:
            return _claim("initialised", False, f"{name} is no parameter any more")
        if now[name].unwritten or not math.isfinite(now[name].largest):
            left, count = now[name].unwritten, math.prod(now[name].shape)
            return _claim("initialised", False, f"{left} of {count} elements of {name} are still uninitialised memory")
    return _claim("initialised", True, f"every element of {', '.join(names)} is written to")


def _scale(now: dict[str, _Summary], names: list[str], role: str) -> dict[str, Any]:
    """Whether the values suit the role: a weight differs from unit to unit and keeps the size of its input."""
    for name in names:
        if name not in now or math.isnan(now[name].largest):
            return _claim("scale", None, f"{name} holds no value")
        one = now[name]
        if name.endswith(".bias"):  # of a layer that is initialised as a whole
            continue
        if role in ("weight", "embedding"):
            if math.prod(one.shape) > 1 and one.spread == 0:
                why = "all units receive the same gradient" if one.mean else "nothing passes, forward or back"
                return _claim("scale", False, f"every element of {name} is {one.mean:.3g}: {why}")
            bound = _bound(one.shape) if role == "weight" else 1.5
            if one.spread > bound or one.largest > 10 * bound:
                shape = " x ".join(map(str, one.shape))
                return _claim(
                    "scale", False,
                    f"{name} ({shape}) has standard deviation {one.spread:.2g}: outputs grow with the layer's width",
                )  # fmt: skip
        elif one.largest > 10:
            return _claim("scale", False, f"{name} holds values up to {one.largest:.3g}")
        elif role == "scale" and one.largest == 0:
            return _claim("scale", False, f"{name} is 0 and lets nothing pass")
    return _claim("scale", True, ", ".join(f"{n}: standard deviation {now[n].spread:.2g}" for n in names))


def _bound(shape: tuple[int, ...]) -> float:
    """The standard deviation above which a weight blows up what it multiplies, whichever dimension is the input's."""
    wide = sorted(shape)[-2:] if len(shape) > 1 else shape
    return _WIDE / math.sqrt(math.prod(wide) ** (1 / max(1, len(wide))))


def _others(old: dict[str, _Summary], now: dict[str, _Summary], names: list[str]) -> dict[str, Any]:
    """Whether everything else that was written to holds what it held, random draws apart."""
    for name, one in old.items():
        if name in names or one.unwritten:
            continue
        after = now.get(name)
        if after is None or after.shape != one.shape or after.unwritten:
            return _claim("others", False, f"{name} is another than before")
        if not _alike(one, after):
            return _claim("others", False, f"{name} was initialised already, and holds something else after the patch")
    return _claim("others", True, f"{len(old) - len(names)} other parameters and buffers as before")


def _alike(one: _Summary, two: _Summary) -> bool:
    if one.spread == 0 or two.spread == 0:
        return one.spread == two.spread and one.mean == two.mean
    if math.prod(one.shape) < _SAMPLE:
        return True
    return abs(one.spread - two.spread) <= _SPREAD * one.spread


def _program(spec: dict[str, Any], names: list[str], arguments: str) -> str:
    """Python that shows the memory before and the values after, from the class of the file itself."""
    parts = ["import torch", "", "torch.use_deterministic_algorithms(True)  # uninitialised memory becomes NaN", ""]
    for side in ("before", "after"):
        parts += [f"{side} = {{'__name__': {side!r}}}", f"exec({spec[side]!r}, {side})"]
        parts += ["torch.manual_seed(0)", f"module = {side}[{spec['class']!r}]({arguments})"]
        parts += [f"print({side!r}, {name!r}, module.{name}.isnan().sum(), module.{name}.std())" for name in names]
    return "\n".join(parts) + "\n"


def _layer(shape: tuple[int, ...], rectified: bool) -> str:
    """Python that shows what a stack of layers as wide as this one leaves of a signal, before and after."""
    width = math.prod(shape[1:])
    entering = "torch.relu(x)" if rectified else "x"
    weights = 'kaiming_uniform_(layer.weight, nonlinearity="relu")' if rectified else "xavier_uniform_(layer.weight)"
    return (
        "import torch\n\nfor initialised in (False, True):\n"
        f"    torch.manual_seed(0)\n    x = torch.randn(64, {width})\n"
        f"    for _ in range(10):\n        layer = torch.nn.Linear({width}, {width})\n"
        f"        if initialised:\n            torch.nn.init.{weights}\n"
        f"            torch.nn.init.zeros_(layer.bias)\n        x = layer({entering})\n"
        "    spread = x.std(dim=0).mean().item()\n"
        "    print('after' if initialised else 'before', 'ten layers: inputs are told apart by', spread)\n"
    )


def _memory(name: str, now: dict[str, _Summary]) -> str:
    """Python that shows what a parameter of this shape holds, where the class needs other files."""
    shape = now[name].shape
    return (
        "import torch\n\ntorch.use_deterministic_algorithms(True)  # uninitialised memory becomes NaN\n"
        f"parameter = torch.nn.Parameter(torch.empty({shape}))\n"
        f"print({name!r}, 'before', parameter.isnan().sum(), 'of', parameter.numel())\n"
        f"# after: mean {now[name].mean:.3g}, standard deviation {now[name].spread:.3g}\n"
    )
