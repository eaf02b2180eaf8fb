"""From a class before and after a fix to a verdict, and how it joins what the fix's own statements showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autofix.model import ClaimResult, Evidence, Fix, Level, Relation, Verdict

_BAD = ("failed", "non-finite")
_ORDINARY = ("fp32", "bf16", "fp16")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What module level says of one fix. verdict: None where it says nothing; the claims hold the reason."""

    verdict: Verdict | None
    claims: tuple[ClaimResult, ...]
    reason: str = ""
    witness: str = ""
    witness_summary: str = ""


def silent(reason: str) -> Finding:
    """No class could be run, or none that runs the changed lines: neither for nor against the fix."""
    return Finding(None, (ClaimResult("trains", None, f"not tried on a whole module: {reason}"),))


def judge(result: Mapping[str, Any], fix: Fix, module: str) -> Finding:
    """The verdict of one contrast. module: the dotted name of the file's module."""
    if "broken" in result:
        what = f"{_called(result)} runs as it is, and not after the fix: {result['broken']}"
        return Finding(Verdict.REFUTED, (ClaimResult("trains", False, what),), reason=what)
    if "conditions" not in result:
        return silent(str(result.get("reason") or "no class could be built and run"))
    if not result["ran"][0]:
        return silent(f"the changed lines did not run in {_called(result)}")
    claims = (*_trains(result), *_equal(result, fix))
    wrong = next((c for c in claims if c.held is False), None)
    if wrong is not None:
        return Finding(Verdict.REFUTED, claims, reason=wrong.detail, witness_summary=wrong.detail)
    found = _witness(result, fix, module)
    if found is not None:
        summary, code = found
        claims = (*claims, ClaimResult("module-witness", True, summary))
        return Finding(Verdict.PROVED, claims, witness=code, witness_summary=summary)
    [first, *_] = result["conditions"]
    if first[2]["verdict"] in _BAD:
        return silent(f"{_called(result)} does not train before or after: {first[2]['reason']}")
    return Finding(Verdict.CONSISTENT, claims)


def _called(result: Mapping[str, Any]) -> str:
    entry = result.get("entry") or ""
    return f"{result['class']}.{entry}" if entry else str(result["class"])


# -- claims ------------------------------------------------------------------------------------------------------


def _trains(result: Mapping[str, Any]) -> list[ClaimResult]:
    """What got worse anywhere, else how it trains."""
    name = _called(result)
    worse = [
        f"{name}, {where}: {_state(before)} before, {_state(after)} after the fix"
        for where, before, after in result["conditions"]
        if after["verdict"] and _rank(after) > _rank(before)
    ]
    if result["lost"]:
        worse.append(f"{name}: {_listed(result['lost'])} received a gradient before the fix and receives none after it")
    if worse:
        return [ClaimResult("trains", False, "; ".join(worse[:_SHOWN]))]
    good = [where for where, _, after in result["conditions"] if after["verdict"] and after["verdict"] not in _BAD]
    ordinary = [where for where in good if where in _ORDINARY]
    if "fp32" not in ordinary:
        return []
    [first, *_] = result["conditions"]
    losses = first[2]["losses"]
    parts = [f"{name}: {len(losses)} steps {', '.join(ordinary)}: finite"]
    if len(losses) > 1:
        parts.append(f"loss {losses[0]:.3g} -> {losses[-1]:.3g}")
    parts.append(_reached(result))
    neither = [where for where, _, after in result["conditions"] if where in _ORDINARY and after["verdict"] in _BAD]
    if neither:
        parts.append(f"{', '.join(neither)} fail before and after")
    ran, of = result["ran"]
    if ran < of:
        parts.append(f"{ran} of {of} changed statements ran")
    if result["stand_ins"]:
        parts.append(f"with stand-ins for {_listed([s.partition(' = ')[0] for s in result['stand_ins']])}")
    return [ClaimResult("trains", True, "; ".join(parts))]


def _rank(outcome: Mapping[str, Any]) -> int:
    """An exception is worse than a non-finite value, which is worse than training."""
    return {"failed": 2, "non-finite": 1}.get(outcome["verdict"], 0)


def _state(outcome: Mapping[str, Any]) -> str:
    if outcome["verdict"] == "failed":
        return f"it raises {outcome['reason']}"
    return str(outcome["reason"]) if outcome["verdict"] == "non-finite" else "finite"


def _reached(result: Mapping[str, Any]) -> str:
    count, missing = int(result["parameters"]), result["missing"]
    if not count:
        return "no parameters of its own"
    if not missing:
        return f"all {count} parameters receive a gradient"
    return f"no gradient for {_listed(missing)}, as before" if not result["gained"] else f"none for {_listed(missing)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _equal(result: Mapping[str, Any], fix: Fix) -> list[ClaimResult]:
    figures, relation = result["figures"], fix.claim.relation
    if relation is Relation.SOFT:
        return []
    if figures["equal"] is None:
        return [ClaimResult("module-equal", None, f"not compared: {figures['where']}")]
    size = f"{figures['difference']:.1e} of its size, rounding allows {figures['tolerance']:.1e} ({figures['dtype']})"
    if figures["equal"]:
        return [ClaimResult("module-equal", True, f"{_called(result)}: values and gradients agree to {size}")]
    if relation is Relation.STRAIGHT_THROUGH and figures["forward_equal"]:
        return [
            ClaimResult("module-equal", True, f"{_called(result)}: the same forward; gradients differ as they are to")
        ]
    what = f"{_called(result)}: {figures['where']} on the same arguments; {size}"
    if fix.claim.change and relation is not Relation.STRAIGHT_THROUGH:
        return [ClaimResult("module-equal", None, f"{what}; the fix states a change: {fix.claim.change}")]
    return [ClaimResult("module-equal", False, what)]


# -- a witness ---------------------------------------------------------------------------------------------------


def _witness(result: Mapping[str, Any], fix: Fix, module: str) -> tuple[str, str] | None:
    """In words and as Python: what fails before the fix and trains after it, on the same arguments."""
    for where, before, after in result["conditions"]:
        if not after["verdict"] or after["verdict"] in _BAD or before["verdict"] not in _BAD:
            continue
        if before["verdict"] == "failed" and not _is_hazard(before["reason"], fix):
            continue
        summary = f"{_called(result)}, {where}: {_state(before)} before, finite after"
        return summary, _python(result, module, where, before.get("inputs") or result["plan"]["inputs"])
    if result["gained"]:
        summary = f"{_called(result)}: {_listed(result['gained'])} received no gradient before and receives one after"
        return summary, _python(result, module, "fp32", result["plan"]["inputs"])
    return None


def _is_hazard(reason: str, fix: Fix) -> bool:
    """An operation that the CPU lacks is none; a number that the dtype cannot hold is."""
    return "without overflow" in reason or ("exception" in fix.claim.hazard and "not implemented" not in reason)


def _python(result: Mapping[str, Any], module: str, where: str, inputs: Mapping[str, Any]) -> str:
    """A program that shows it, run from the folder that the module is imported from; empty with stand-ins."""
    try:
        imports: set[str] = set()
        made = ", ".join(f"{name}={_written(spec, imports)}" for name, spec in result["plan"]["init"].items())
        given = _arguments(inputs, imports)
    except ValueError:
        return ""
    lines = [
        "import torch", "from torch import nn  # noqa: F401", "from torch.utils._pytree import tree_leaves",
        f"from {module} import {result['class'].partition('.')[0]}", *sorted(imports), "", "torch.manual_seed(0)",
        f"module = {result['class']}({made})", "torch.manual_seed(1)",
    ]  # fmt: skip
    entry = f".{result['entry']}" if result.get("entry") else ""
    call = f"output = module{entry}({given})"
    if where in ("bf16", "fp16"):
        dtype = "bfloat16" if where == "bf16" else "float16"
        lines += [f'with torch.autocast("cpu", dtype=torch.{dtype}):', f"    {call}"]
    else:
        lines.append(call)
    lines += [
        "values = [t for t in tree_leaves(output) if torch.is_tensor(t) and t.is_floating_point()]",
        "loss = sum((t.float() * torch.randn(t.shape)).mean() for t in values)", "print(loss)",
        "if loss.requires_grad:", "    loss.backward()",
        "    print({name: p.grad is not None and p.grad.norm() for name, p in module.named_parameters()})",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _arguments(inputs: Mapping[str, Any], imports: set[str]) -> str:
    parts = []
    for name, spec in inputs.items():
        if name == "()" and spec[0] == "code":
            parts.append(str(spec[1]))
        else:
            parts.append(_written(spec, imports) if name == "*" else f"{name}={_written(spec, imports)}")
    return ", ".join(parts)


_CONTENTS = {
    "normal": "torch.randn({shape})", "unit": "torch.rand({shape}) * 0.98 + 0.01",
    "positive": "torch.rand({shape}) + 0.5", "large": "torch.randn({shape}) * 1e4",
    "tiny": "torch.randn({shape}) * 1e-6", "zeros": "torch.zeros({shape})",
    "ones": "torch.ones({shape})", "true": "torch.ones({shape}, dtype=torch.bool)",
    "false": "torch.zeros({shape}, dtype=torch.bool)", "ids": "torch.randint(0, {number}, {shape})",
    "count": "torch.full({shape}, {number})", "index": "torch.arange({last}).expand({shape}).clone()",
}  # fmt: skip


def _written(spec: Any, imports: set[str]) -> str:
    """A spec as Python. Raises ValueError for a stand-in: there is nothing to import it from."""
    kind = spec[0]
    if kind == "value":
        return repr(spec[1])
    if kind in ("list", "tuple", "modules"):
        inside = ", ".join(_written(item, imports) for item in spec[1])
        if kind == "modules":
            return f"nn.ModuleList([{inside}])"
        return f"({inside}{',' if len(spec[1]) == 1 else ''})" if kind == "tuple" else f"[{inside}]"
    if kind == "dict":
        return "{" + ", ".join(f"{name!r}: {_written(item, imports)}" for name, item in spec[1].items()) + "}"
    if kind == "tensor":
        content, _, number = str(spec[2]).partition(":")
        if content not in _CONTENTS:
            raise ValueError(content)
        last = spec[1][-1] if spec[1] else 1
        return _CONTENTS[content].format(shape=tuple(spec[1]), number=number or 0, last=last)
    if kind in ("new", "import"):
        module, _, name = str(spec[1]).partition(":")
        if not name or "<locals>" in name or (kind == "new" and len(spec) > 4 and spec[4]):
            raise ValueError(name)
        imports.add(f"from {module} import {name.partition('.')[0]}")
        if kind == "import":
            return name
        given = [
            *(_written(i, imports) for i in spec[3]),
            *(f"{n}={_written(i, imports)}" for n, i in spec[2].items()),
        ]
        return f"{name}({', '.join(given)})"
    if kind == "dtype":
        return f"torch.{spec[1]}"
    if kind == "device":
        return f"torch.device({spec[1]!r})"
    if kind == "size":
        return f"torch.Size({spec[1]!r})"
    raise ValueError(kind)


# -- both levels together ------------------------------------------------------------------------------------------


def combine(evidence: Evidence, found: Finding, seconds: float) -> Evidence:
    """What both levels say. Module level refutes, and decides where the statements alone could not or found no
    witness; otherwise it adds its claims. A refutation by the statements stands."""
    both = replace(evidence, claims=(*evidence.claims, *found.claims), seconds=evidence.seconds + seconds)
    if evidence.verdict is Verdict.REFUTED or found.verdict is None:
        return both
    if found.verdict is Verdict.REFUTED:
        return replace(
            both, verdict=Verdict.REFUTED, level=Level.MODULE, reason=found.reason, witness="",
            witness_summary=found.witness_summary,
        )  # fmt: skip
    if evidence.verdict is Verdict.INCONCLUSIVE:
        why = ClaimResult(evidence.level.value if evidence.level else "expression", None, evidence.reason)
        return replace(
            both, verdict=found.verdict, level=Level.MODULE, reason="", claims=(why, *both.claims),
            witness=found.witness, witness_summary=found.witness_summary,
        )  # fmt: skip
    if evidence.verdict is Verdict.CONSISTENT and found.verdict is Verdict.PROVED:
        return replace(
            both, verdict=Verdict.PROVED, level=Level.MODULE, witness=found.witness,
            witness_summary=found.witness_summary,
        )  # fmt: skip
    return both
