"""Runs a rewritten expression beside the original on synthesised leaves, and judges its claims."""

from __future__ import annotations

import ast
import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

import torch

from . import gates, jacobian, witness
from .claims import Tally, uncovered
from .compare import FULL, HALF, dtype_name
from .point import Point
from .program import Program, leaves_for
from .program import run as execute
from .search import Found, other_shapes, search
from .trial import Sides, point_at
from .values import PATTERNS, Choice, Pattern, Setting

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_TRIES, _MOST_TRIES = 300, 1500  # bindings to try before a shorter slice is taken, and on the last one
_INFINITY = re.compile(r"\binf(inity)?\b", re.IGNORECASE)
_EPS = 1e-2  # the largest constant that is taken for a protection
_ALWAYS = (torch.float32, torch.float16)
_CLOSE = [Pattern(f"draws x {scale:g}", "draw", scale) for scale in (5.0, 0.1, 0.05, 0.02, 0.01)]
_EVERYWHERE = ("masks all true", "masks all false", "rows of +-100", "all zero", "all 100", "all -100", "all -30000")


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Execute a planned trial.

    Returns a dict with "verdict", "claims", "witness", "witness_summary", "reason", "assumptions", "exact" and
    "change". `deadline` is a `time.monotonic()` value; what is not decided by then is left undecided.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    if "parts" in spec:
        return _run_parts(spec["parts"], started, deadline)
    budget = max(0.5, deadline - started)
    reasons: list[str] = []
    variants = spec["variants"]
    for index, variant in enumerate(variants):
        share = started + budget * (0.25 + 0.35 * (index + 1) / len(variants))
        sides, reason = _bound(spec, variant)
        if sides is not None:
            found, reason = search(
                sides.before, sides.leaves, sides.results, sides.mode, min(share, deadline), variant.get("reach", 0)
            )
            if found is not None and (found.finite or spec["relation"] == "mask" or index + 1 == len(variants)):
                return _judge(spec, variant, sides, found, deadline - 0.02 * budget)
        if reason and reason not in reasons:
            reasons.append(reason)
    return _answer(
        spec,
        "INCONCLUSIVE",
        [],
        reason="the original statements could not be run: " + (reasons[0] if reasons else "time is up"),
    )


def _run_parts(parts: list[dict[str, Any]], started: float, deadline: float) -> dict[str, Any]:
    """Statements of several functions, each by itself: the worst verdict, for a fix is all or nothing."""
    found: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        found.append(run(part, started + (deadline - started) * (index + 1) / len(parts)))
        if found[-1]["verdict"] in ("REFUTED", "INCONCLUSIVE"):
            break
    order = ("REFUTED", "INCONCLUSIVE", "PROVED", "CONSISTENT")
    shown = min(found, key=lambda f: order.index(f["verdict"]))
    assumptions = list(dict.fromkeys(a for f in found for a in f["assumptions"]))
    exact = all(f["exact"] for f in found) if shown["exact"] is not None else None
    return {**shown, "assumptions": assumptions, "exact": exact, "claims": [c for f in found for c in f["claims"]]}


def _bound(spec: dict[str, Any], variant: dict[str, Any]) -> tuple[Sides | None, str]:
    try:
        before = Program(variant["prelude"], variant["prefix"], variant["before"], variant["suffix"])
        after = Program(variant["prelude"], variant["prefix"], variant["after"], variant["suffix"])
        reference = before
        if variant.get("reference"):
            parts = variant["reference"]
            reference = Program(variant["prelude"], parts["prefix"], parts["body"], parts["suffix"])
    except (SyntaxError, ValueError) as error:
        return None, f"the slice does not compile: {error}"
    return Sides(before, after, reference, list(variant["leaves"]), variant["results"], variant["mode"]), ""


def _judge(
    spec: dict[str, Any], variant: dict[str, Any], sides: Sides, found: Found, deadline: float
) -> dict[str, Any]:
    relation = spec["relation"]
    setting = found.setting
    if relation == "mask":
        sides, setting = _with_softmax(sides, setting, variant.get("without_softmax", "append"))
    settings = [setting, *other_shapes(sides.before, setting, sides.results, sides.mode)]
    settings += _asked_for(setting, spec.get("extra", ()))
    if "graph" in spec["hazards"]:
        return _judge_graph(spec, sides, settings)
    if relation in ("straight-through", "soft"):
        return _judge_gate(spec, sides, settings, deadline)
    extra = frozenset(spec.get("extra", ()))
    regularised = bool(spec["change"]) and relation == "equal"
    dim = int(spec["parameters"].get("dim", -1))
    tally = Tally(relation, list(spec["hazards"]), regularised, sides.mode, extra, dim)
    tally.infinity_left = _INFINITY.search(sides.after.text) is not None
    total = 0
    for point in _points(sides, settings, relation, deadline, close="rounding" in spec["hazards"]):
        tally.take(point)
        total += 1
        if len(tally.contradictions) >= 3:
            break
    claims = _claims(tally, total)
    if "jacobian" in extra:
        claims.append(jacobian.judge(sides, settings, deadline))
    reason = next((c["detail"] for c in claims if c["held"] is False), "")
    shown = ("", "")
    if tally.witness is not None and not reason:
        shown = witness.show(sides, tally, deadline)
    if reason and not (tally.compared == 0 and all(c["name"] == "coverage" for c in claims if c["held"] is False)):
        verdict = "REFUTED"
    elif tally.compared == 0:
        verdict, reason = "INCONCLUSIVE", "no input was found on which the original and the patch can be compared"
    elif tally.witness is not None:
        verdict = "PROVED"
    else:
        verdict = "CONSISTENT"
        reason = "no input was found on which the original fails"
    return _answer({**spec, "change": spec["change"] or tally.changed}, verdict, claims, shown, reason)


def _with_softmax(sides: Sides, setting: Setting, otherwise: str) -> tuple[Sides, Setting]:
    """Compare the weights of the softmax in view, or of one that is put on the result."""
    leaves = leaves_for(setting, PATTERNS[0])
    outcome = execute(sides.before, setting, leaves, torch.float32, sides.results, "results", False)
    if outcome.watch.softmaxes:
        return sides, setting
    floats = [v for v in outcome.values.values() if v.is_floating_point() and v.dim()]
    if otherwise == "append-added" and floats:
        setting = {**setting, "added_scores": Choice("float", tuple(floats[-1].shape))}
        return sides._replace(mode=otherwise), setting
    return sides._replace(mode="append"), setting


def _points(
    sides: Sides, settings: list[Setting], relation: str, deadline: float, close: bool = False
) -> Iterator[Point]:
    """The grid, the ordinary draws first. close: also numbers so close together that half precision rounds them to
    one another, as the scores of a router are in its first steps."""
    main, *others = settings
    plan: list[tuple[Setting, Pattern, str | None, torch.dtype]] = []
    near_eps = _near_eps(sides)
    plan += [(main, PATTERNS[0], None, d) for d in _DTYPES]
    for setting in [*others, *_flags(main)]:
        plan += [(setting, p, None, torch.float32) for p in PATTERNS if p.ordinary or p.mask != "some"]
    plan += [(main, p, None, d) for p in PATTERNS[1:] for d in _DTYPES if d in _ALWAYS or p.name in _EVERYWHERE]
    floats = [n for n, c in main.items() if c.role == "float"]
    if len(floats) > 1:
        special = [p for p in PATTERNS if p.kind != "draw"]
        plan += [(main, p, n, torch.float32) for p in special for n in floats]
        plan += [(main, p, n, torch.float16) for p in special for n in floats if p.name in _EVERYWHERE]
    plan += [(main, p, None, d) for p in _CLOSE for d in HALF if close]
    plan += [(main, p, None, torch.float32) for p in near_eps]
    plan += [(main, p, n, torch.float32) for p in near_eps for n in floats if len(floats) > 1]
    if others:
        plan += [(others[0], p, None, torch.float32) for p in PATTERNS if p.kind in ("rows", "alternate", "gap")]
    has_masks = any(c.role in ("bool", "binary", "index") or c.domain.startswith("marked ") for c in main.values())
    done = set()
    for setting, pattern, only, dtype in plan:
        if time.monotonic() > deadline:
            return
        if pattern.mask != "some" and not has_masks and pattern.kind == "draw":
            continue
        key = (id(setting), pattern, only, dtype)
        if key in done:
            continue
        done.add(key)
        yield point_at(sides, setting, pattern, dtype, only, relation)


def _near_eps(sides: Sides) -> list[Pattern]:
    """Inputs that an eps of the patch cancels: `d + 1e-6` is zero at -1e-6."""
    found = {
        node.value
        for node in ast.walk(ast.parse(sides.after.body))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value <= _EPS
    }
    return [Pattern(f"all -{eps:g}", "constant", -eps) for eps in sorted(found)[:2]]


def _flags(setting: Setting) -> list[Setting]:
    """The same leaves with the flags set otherwise."""
    names = [n for n, c in setting.items() if c.role == "flag"][:2]
    out = []
    for values in itertools.product((True, False), repeat=len(names)):
        changed = {n: setting[n]._replace(size=v) for n, v in zip(names, values)}  # noqa: B905
        if any(changed[n].size != setting[n].size for n in names):
            out.append({**setting, **changed})
    return out


def _asked_for(setting: Setting, extra: list[str]) -> list[Setting]:
    """Bindings that the claim itself asks for: whatever the original does there is its doing."""
    out = []
    if "zero counts" in extra:
        numbers = [n for n, c in setting.items() if c.role in ("int", "scalar")]
        out += [{**setting, n: setting[n]._replace(role="int", size=0)} for n in numbers]
    if "unit sizes" in extra:
        numbers = [n for n, c in setting.items() if c.role in ("int", "scalar")]
        out += [{**setting, n: setting[n]._replace(role="int", size=1)} for n in numbers]
    if "one element" in extra:
        sized = {n: c._replace(size=(1,) * len(c.size)) if c.is_tensor else c for n, c in setting.items()}
        out.append(sized)
        short = {n: c._replace(size=(1, *c.size[1:])) if c.is_tensor and c.size else c for n, c in setting.items()}
        out.append(short)
    return out


def _claims(tally: Tally, total: int) -> list[dict[str, Any]]:
    claims = []
    broken = {c["claim"]: c["detail"] for c in tally.contradictions}
    survived = sum(tally.survived.values())
    failing = sum(tally.failing.values())
    if tally.witness is not None:
        claims.append(_claim("witness", True, f"{tally.witness_hazard} at {tally.witness.where()}"))
    else:
        claims.append(_claim("witness", None, f"the original showed no claimed failure on {total} inputs"))
    for name in ("runs", "differentiable", "equal", "accuracy", "mask weight", "no new non-finite point"):
        if name in broken:
            claims.append(_claim(name, False, broken[name]))
        elif name == "equal":
            held = True if tally.compared and tally.relation != "intended" else None
            said = "compared" if tally.relation != "intended" else "meant to differ, and not compared,"
            claims.append(_claim(name, held, f"values and gradients {said} on {tally.compared} inputs"))
    if failing:
        left = uncovered(tally)
        full = sum(tally.failing.get(d, 0) for d in FULL)
        cured = sum(tally.survived.get(d, 0) for d in FULL)
        counts = ", ".join(f"{dtype_name(d)} {tally.survived.get(d, 0)} of {n}" for d, n in tally.failing.items())
        if left is not None:
            claims.append(_claim("coverage", False, f"still failing at {left.where()} (cured: {counts})"))
        elif full and not cured and not survived:
            claims.append(_claim("coverage", False, f"none of the failing inputs is cured ({counts})"))
        else:
            claims.append(_claim("coverage", True, f"failing inputs cured: {counts}"))
        if "half-precision" in tally.extra:
            claims.append(_half_precision(tally))
    return claims


def _half_precision(tally: Tally) -> dict[str, Any]:
    """The hazard is gone in float16 too: from most of the failing inputs, for some exceed what it holds at all."""
    failing, cured = tally.failing.get(torch.float16, 0), tally.survived.get(torch.float16, 0)
    if not failing:
        return _claim("half precision", None, "the original fails nowhere in float16")
    detail = f"float16: {cured} of {failing} failing inputs cured"
    return _claim("half precision", 2 * cured > failing, detail)


def _judge_gate(spec: dict[str, Any], sides: Sides, settings: list[Setting], deadline: float) -> dict[str, Any]:
    claims, shown = gates.judge(spec, sides, settings, deadline)
    broken = next((c["detail"] for c in claims if c["held"] is False), "")
    if broken:
        return _answer(spec, "REFUTED", claims, reason=broken)
    by_name = {c["name"]: c["held"] for c in claims}
    if by_name.get("witness"):
        return _answer(spec, "PROVED", claims, shown)
    return _answer(spec, "CONSISTENT", claims, reason="the original's scores already receive a gradient")


def _judge_graph(spec: dict[str, Any], sides: Sides, settings: list[Setting]) -> dict[str, Any]:
    """The same values, with a graph before the patch and none after it."""
    values, kept, left, total = True, "", "", 0
    for setting in settings:
        for pattern in (p for p in PATTERNS if p.ordinary):
            leaves = leaves_for(setting, pattern)
            before, after = (
                execute(side, setting, leaves, torch.float64, sides.results, sides.mode)
                for side in (sides.before, sides.after)
            )
            if not before.ran:
                continue
            if not after.ran:
                claims = [_claim("runs", False, after.error)]
                return _answer(spec, "REFUTED", claims, reason=f"the patched code fails: {after.error}")
            total += 1
            kept = kept or next(iter(sorted(before.attached)), "")
            left = left or next(iter(sorted(after.attached)), "")
            same = before.values.keys() == after.values.keys()
            values &= same and all(torch.equal(before.values[n], after.values[n]) for n in before.values)
    if not total:
        return _answer(spec, "INCONCLUSIVE", [], reason="no input was found on which the original runs")
    detail = f"`{kept}` keeps the graph before the patch, and not after it" if kept else "nothing with a graph is kept"
    claims = [
        _claim("witness", True if kept else None, detail),
        _claim("graph", not left, f"`{left}` keeps a graph after the patch" if left else "no result keeps a graph"),
        _claim("values", values, f"compared bit for bit on {total} inputs"),
    ]
    broken = next((c["detail"] for c in claims if c["held"] is False), "")
    if broken:
        return _answer(spec, "REFUTED", claims, reason=broken)
    if not kept:
        return _answer(spec, "CONSISTENT", claims, reason=detail)
    return _answer(spec, "PROVED", claims, (_GRAPH_WITNESS, detail))


_GRAPH_WITNESS = """import torch

weight = torch.ones(3, requires_grad=True)
loss = (weight * 2).sum()
for name, record in (('before', {'loss': loss}), ('after', {'loss': loss.detach()})):
    print(name, record['loss'].item(), 'keeps its graph' if record['loss'].requires_grad else 'is a plain number')
"""


def _claim(name: str, held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail}


def _answer(
    spec: dict[str, Any],
    verdict: str,
    claims: list[dict[str, Any]],
    shown: tuple[str, str] = ("", ""),
    reason: str = "",
) -> dict[str, Any]:
    exact: bool | None = not spec["change"] and spec["relation"] not in ("clamped", "soft", "intended")
    return {
        "verdict": verdict,
        "claims": claims,
        "witness": shown[0],
        "witness_summary": shown[1],
        "reason": reason,
        "assumptions": list(spec["assumptions"]),
        "exact": exact if verdict in ("PROVED", "CONSISTENT") else None,
        "change": spec["change"],
    }
