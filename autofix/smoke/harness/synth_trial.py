"""One class, from its name to a verdict: find arguments, take training steps, try what else may break it."""

from __future__ import annotations

from typing import Any

from torch import nn

from . import synth_ablate, synth_checks, synth_search, synth_shapes, synth_step, synth_usage, synth_values
from .synth_plan import Plan
from .synth_step import BARE, FAILED, NON_FINITE, Outcome

NOT_SYNTHESISED = "could-not-synthesise"
NO_CLASS = "not-a-class"  # no nn.Module, or one that is meant to be subclassed: left out of the report
_MOST_PARENTS = 60


def trial(kind: Any, item: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The result for one class: "verdict", "reason", "missing_gradient", "stand_ins", "checks", "plan", "parts" and
    figures of the steps."""
    if not is_concrete(kind):
        return {"verdict": NO_CLASS}
    seed = int(options["seed"])
    if item.get("within"):
        return _within(kind, item["within"], options)
    try:
        found = _given(kind, item["example"], seed) if item.get("example") else synth_search.search(kind, seed)
    except _BadExample as error:
        return {"verdict": FAILED, "reason": str(error)}
    except synth_search.Abstract:
        return {"verdict": NO_CLASS}
    except synth_search.NotFound as error:
        return {"verdict": NOT_SYNTHESISED, "reason": str(error)}
    plan, note = found.plan, ""
    outcome = _stepped(kind, plan, options)
    if outcome.verdict == NON_FINITE:
        plan, outcome, note = _other_domain(kind, plan, outcome, options)
    result = _result(outcome, plan, found.trials)
    if note:
        result["stand_ins"].append(note)
    if outcome.verdict == NON_FINITE:
        result["origin"] = synth_checks.origin(kind, plan, options)
    if outcome.verdict in (FAILED, NON_FINITE):
        return result
    result["parts"] = _parts(kind, plan, seed)
    if options.get("ablate"):
        result["ablation"] = synth_ablate.compare(kind, plan, seed, max(8, int(options["steps"])))
    if options.get("checks", True):
        result["checks"] = synth_checks.all_checks(kind, plan, options, outcome.missing)
    return result


class _BadExample(Exception):
    """What the user says how to run a class with does not run it."""


def _given(kind: type, example: dict[str, Any], seed: int) -> synth_search.Found:
    """The user's own arguments; inputs are guessed where the example gives none."""
    init = {name: ["value", value] for name, value in example["init"].items()}
    inputs = {"()": ["code", example["forward"]]} if example["forward"] else None
    outcome = synth_search.attempt(kind, Plan(init, inputs), seed)
    if isinstance(outcome, Plan):
        return synth_search.Found(outcome, 1)
    raise _BadExample(f"the example given for it fails: {outcome[0].message.splitlines()[0][:240]}")


def is_concrete(kind: Any) -> bool:
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        return False
    if getattr(kind, "__abstractmethods__", None) or not hasattr(kind, "forward"):
        return False
    if getattr(kind.forward, "__name__", "") == "_forward_unimplemented":
        return False
    return not synth_usage.is_abstract(kind)


def _stepped(kind: type, plan: Plan, options: dict[str, Any]) -> Outcome:
    """The training steps; what they raise is the class's own failure, since forward has run before."""
    try:
        return synth_checks.stepped(kind, plan, options)
    except Exception as error:
        lines = str(error).strip().splitlines()
        outcome = Outcome(FAILED)
        outcome.reason = f"a training step raised {type(error).__name__}: {lines[0][:240] if lines else ''}"
        return outcome


def _other_domain(kind: type, plan: Plan, outcome: Outcome, options: dict[str, Any]) -> tuple[Plan, Outcome, str]:
    """Inputs between 0 and 1, then positive ones, where ordinary ones give nothing finite: they may be meant."""
    for content, words in (("unit", "inputs between 0 and 1"), ("positive", "positive inputs")):
        inputs = dict(plan.inputs)
        for name, spec in plan.inputs.items():
            for place in synth_shapes.tensor_places(spec):
                _, shape, old = synth_shapes.at(spec, place)
                if old == "normal":
                    inputs[name] = synth_shapes.changed(inputs[name], place, ["tensor", shape, content])
        other = plan.with_inputs(inputs)
        if other.key == plan.key:
            return plan, outcome, ""
        again = _stepped(kind, other, options)
        if again.verdict not in (NON_FINITE, FAILED):
            return other, again, words
    return plan, outcome, ""


def _result(outcome: Outcome, plan: Plan | None, trials: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "verdict": outcome.verdict, "reason": outcome.reason, "missing_gradient": outcome.missing, "rule": "",
        "losses": outcome.losses, "gradient_norms": outcome.norms, "digest": outcome.digest, "trials": trials,
        "checks": [], "parts": {}, "stand_ins": [],
    }  # fmt: skip
    if plan is not None:
        result["plan"] = plan.as_json()
        result["arguments"] = {n: synth_values.shown(s) for n, s in plan.init.items()}
        result["inputs"] = {n: synth_values.shown(s) for n, s in plan.inputs.items()}
        result["stand_ins"] = sorted(
            f"{name} = {synth_values.shown([word, 32] if word == 'linear' else [word])}"
            for name, spec in (*plan.init.items(), *plan.inputs.items())
            for word in dict.fromkeys(synth_values.stand_ins(spec))
        )
    return result


# -- parts of a parent ---------------------------------------------------------------------------------------


def _parts(kind: type, plan: Plan, seed: int) -> dict[str, str]:
    """Classes of the same package that a forward of this one runs: where an instance of each stands in it."""
    package = kind.__module__.partition(".")[0]
    seen: dict[str, str] = {}
    try:
        module = synth_search.construct(kind, plan, seed)
        for path, part in module.named_modules():
            name = synth_values.reference(type(part))
            if path and type(part).__module__.partition(".")[0] == package and len(seen) < _MOST_PARENTS:
                seen.setdefault(name, path)
    except Exception:
        return {}
    return seen


def _within(kind: type, within: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The class as a parent builds it, with the inputs that the parent gives it."""
    parent = synth_values.locate(within["parent"])
    plan, seed = Plan(within["plan"]["init"], within["plan"]["inputs"]), int(options["seed"])
    try:
        module, _ = synth_step.build_initialised(parent, plan, seed)
        part = module.get_submodule(within["path"])
        inputs = _seen_by(module, part, plan, seed)
    except Exception as error:
        return {"verdict": NOT_SYNTHESISED, "reason": f"{type(error).__name__}: {str(error)[:200]}"}
    if inputs is None or not isinstance(part, kind):
        return {"verdict": NOT_SYNTHESISED, "reason": f"{within['parent']} does not run it"}
    try:
        outcome = synth_step.train(part, inputs, seed, int(options["steps"]))
    except Exception as error:
        outcome = Outcome(FAILED)
        outcome.reason = f"a training step raised {type(error).__name__}: {str(error)[:240]}"
    result = _result(outcome, None, 1)
    result["arguments"] = {"": f"{within['path']} of {within['parent'].partition(':')[2]}"}
    return result


def _seen_by(module: nn.Module, part: nn.Module, plan: Plan, seed: int) -> tuple[list[Any], dict[str, Any]] | None:
    seen: list[tuple[list[Any], dict[str, Any]]] = []

    def hook(_: nn.Module, positional: Any, named: Any) -> None:
        seen.append((synth_step.detached(list(positional)), synth_step.detached(dict(named))))

    handle = part.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        synth_search.forward(module, plan, seed)
    except Exception:
        if not seen:
            raise
    finally:
        handle.remove()
    return seen[0] if seen else None


__all__ = ["BARE", "NOT_SYNTHESISED", "NO_CLASS", "is_concrete", "trial"]
