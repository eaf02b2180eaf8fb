"""Runs a load-balancing loss beside the choice that it balances, and judges it.

The statements are given scores of the router's own shape: even ones, on which every expert is chosen equally often,
and lopsided ones, of which a common bias is then trained on the auxiliary loss alone.
"""

from __future__ import annotations

import time
import types
import warnings
from typing import Any

import torch

_SIZES = ((4, 1), (6, 2), (8, 2))  # experts, and how many each token is sent to
_ROUNDS = 12  # tokens per expert
_MARGIN = 4.0
_QUIET = -10.0  # what another module gives: as the logarithm or softplus of a width it makes noise negligible
_STEPS, _RATE = 80, 0.1
_ONE = 0.02  # how far from 1 the loss at an even load may lie: noise in the router moves it a little


class _Self(types.SimpleNamespace):
    """Stands for the module: `training` is on, the numbers of experts are what they are, and every other number is
    how many of them a token is sent to."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__["_default"]


class _Side:
    """One version of the statements."""

    def __init__(self, spec: dict[str, Any], text: str) -> None:
        self.spec = spec
        self.imports = compile(spec["imports"] or "pass", "<imports>", "exec")
        self.code = compile(text, "<statements>", "exec")

    def run(self, scores: torch.Tensor, experts: int, chosen: int) -> dict[str, Any]:
        """The names that the statements leave, with "self"."""
        counts = dict.fromkeys(self.spec["counts"], experts)
        leaves = {self.spec["scores"]: scores, self.spec["others"]: torch.full_like(scores.detach(), _QUIET)}
        space: dict[str, Any] = _Names({**leaves, **counts}, chosen)
        exec(self.imports, space)
        space["self"] = _Self(_default=chosen, training=True, **counts)
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(self.code, space)
        return space


class _Names(dict):  # type: ignore[type-arg]
    """What the statements do not make and the file imports from elsewhere: how many experts a token is sent to."""

    def __init__(self, known: dict[str, Any], default: int) -> None:
        super().__init__(known)
        self.default = default
        builtin = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
        self["__builtins__"] = builtin
        self.builtin = builtin

    def __missing__(self, name: str) -> Any:
        if name in self.builtin:
            raise KeyError(name)
        return self.default


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Execute a planned trial; the result is that of every kind of job."""
    torch.set_num_threads(1)
    before, after = _Side(spec, spec["before"]), _Side(spec, spec["after"])
    claims: list[dict[str, Any]] = []
    ran, first_error = [], ""
    for size in _SIZES:
        try:
            before.run(_even(*size), *size)
            ran.append(size)
        except Exception as error:
            first_error = first_error or f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not ran:
        return _answer(spec, "INCONCLUSIVE", [], f"the original statements do not run on scores alone: {first_error}")
    for judge in (_runs, _same, _even_load, _gradient, _descent, _added):
        found = judge(spec, before, after, ran)
        if found is not None:
            claims.append(found)
            if found["held"] is False:
                return _answer(spec, "REFUTED", claims, found["detail"])
        if time.monotonic() > deadline:
            return _answer(spec, "INCONCLUSIVE", claims, "it takes longer than a trial may")
    summary = next(c["detail"] for c in claims if c["name"] == "descent")
    balanced_before = _loss(spec, before.run(_even(*ran[0]), *ran[0])) is not None
    claims.append(
        _claim("witness", None if balanced_before else True, "no loss of the original acts on the experts' load")
    )
    if balanced_before:
        return _answer(spec, "CONSISTENT", claims, "the original has a loss of this name already")
    return _answer(spec, "PROVED", claims, "", (_script(spec, *ran[-1]), summary))


# -- scores --------------------------------------------------------------------------------------------------------


def _even(experts: int, chosen: int) -> torch.Tensor:
    """Scores by which every expert is chosen by equally many tokens, and equally likely on average."""
    scores = torch.zeros(experts * _ROUNDS, experts)
    for token in range(scores.size(0)):
        for rank in range(chosen):
            scores[token, (token + rank) % experts] = _MARGIN * (chosen - rank)
    return scores


def _lopsided(experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that differ by token, and a bias towards the first experts that all tokens share."""
    generator = torch.Generator().manual_seed(11)
    scores = torch.randn(experts * 40, experts, generator=generator)
    return scores, torch.linspace(2.0, -1.0, experts).requires_grad_()


# -- the claims ----------------------------------------------------------------------------------------------------


def _runs(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    for size in sizes:
        try:
            space = after.run(_even(*size), *size)
        except Exception as error:
            return _claim("runs", False, f"the patched code raises {type(error).__name__}: {error}")
        loss = _loss(spec, space)
        if loss is None or loss.numel() != 1 or not bool(torch.isfinite(loss).all()):
            return _claim("runs", False, f"{spec['loss']} is no finite number after the patched statements")
    return _claim("runs", True, f"{spec['loss']} is a finite number for {_sizes(sizes)}")


def _same(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """Everything that the statements made before is made still, with the same gradients."""
    compared = 0
    for size in sizes:
        generator = torch.Generator().manual_seed(5)
        scores = torch.randn(size[0] * 5, size[0], generator=generator)
        outcomes = []
        for side in (before, after):
            leaf = scores.clone().requires_grad_()
            space = side.run(leaf * 1.0, *size)
            values = {
                n: v
                for n, v in space.items()
                if isinstance(v, torch.Tensor) and n not in (spec["scores"], spec["others"])
            }
            outcomes.append((leaf, values))
        (leaf, old), (other, new) = outcomes
        for name, value in old.items():
            now = new.get(name)
            compared += 1
            if now is None or now.shape != value.shape or not torch.equal(now, value):
                return _claim("equal", False, f"{name} is not what it was before the patch")
            one, two = (_slope(v, of) for v, of in ((value, leaf), (now, other)))
            if (one is None) != (two is None) or (one is not None and two is not None and not torch.equal(one, two)):
                return _claim("equal", False, f"the gradient of {name} is not what it was before the patch")
    return _claim("equal", True, f"{compared} values and their gradients are identical, bit for bit")


def _slope(value: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor | None:
    if not value.requires_grad:
        return None
    weights = torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape)
    return torch.autograd.grad((value * weights).sum(), leaf, allow_unused=True, retain_graph=True)[0]


def _even_load(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """The loss is 1 at an even load, whatever the number of experts, and larger when a few get everything."""
    for experts, chosen in sizes:
        even = _value(spec, after.run(_even(experts, chosen), experts, chosen))
        if not abs(even - 1.0) <= _ONE:
            detail = f"with {experts} experts, {chosen} per token and an even load the loss is {even:.4g}, not 1"
            return _claim("one at an even load", False, detail)
        scores = torch.zeros(40, experts)
        scores[:, :chosen] = _MARGIN
        worst = _value(spec, after.run(scores, experts, chosen))
        if not worst > even * 1.2:
            detail = f"where {chosen} of {experts} experts receive every token the loss is {worst:.4g}, no more than 1"
            return _claim("one at an even load", False, detail)
    return _claim("one at an even load", True, f"1.00 for {_sizes(sizes)}, and larger when the same experts get all")


def _gradient(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    for size in sizes:
        scores, bias = _lopsided(size[0])
        loss = _loss(spec, after.run(scores + bias, *size))
        slope = None
        if loss is not None and loss.requires_grad:
            slope = torch.autograd.grad(loss.sum(), bias, allow_unused=True)[0]
        if slope is None or not bool((slope != 0).any()):
            return _claim("gradient", False, f"no gradient of {spec['loss']} reaches the router's scores")
        if not bool(torch.isfinite(slope).all()):
            return _claim("gradient", False, f"the gradient of {spec['loss']} is not finite")
    return _claim("gradient", True, "it reaches the router's scores and is finite")


def _descent(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """Steps down the loss alone even out the load."""
    said = []
    for size in sizes:
        scores, bias = _lopsided(size[0])
        optimizer = torch.optim.Adam([bias], lr=_RATE)
        first = _variation(spec, after.run(scores + bias, *size), size[0])
        for _ in range(_STEPS):
            loss = _loss(spec, after.run(scores + bias, *size))
            if loss is None or not loss.requires_grad:
                break
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
        last = _variation(spec, after.run(scores + bias, *size), size[0])
        said.append(f"{first:.2f} -> {last:.2f} ({size[0]} experts, {size[1]} per token)")
        if not last < 0.5 * first:
            detail = f"{_STEPS} steps down the loss leave the coefficient of variation of the load at {said[-1]}"
            return _claim("descent", False, detail)
    detail = f"coefficient of variation of the load over {_STEPS} steps down the loss alone: {'; '.join(said)}"
    return _claim("descent", True, detail)


def _added(spec: dict[str, Any], before: _Side, after: _Side, sizes: list[tuple[int, int]]) -> dict[str, Any] | None:
    """Where the file adds the loss to the one that it trains on: its gradient arrives at every layer."""
    if "joined" not in spec:
        return None

    class Layer(torch.nn.Module):  # type: ignore[misc]
        pass

    layers = [Layer(), Layer()]
    values = [torch.tensor(1.5, requires_grad=True), torch.tensor(1.0, requires_grad=True)]
    for layer, value in zip(layers, values):  # noqa: B905
        setattr(layer, spec["attribute"], value * 1.0)
    task = torch.tensor(2.0, requires_grad=True)
    space: dict[str, Any] = {
        "torch": torch, spec["layer"]: Layer, spec["model"]: torch.nn.Sequential(*layers, torch.nn.Linear(2, 2)),
        spec["total"]: task * 1.0,
    }  # fmt: skip
    try:
        exec(compile(spec["joined"], "<loop>", "exec"), space)
        total = space[spec["total"]]
        slopes = torch.autograd.grad(total, [task, *values], allow_unused=True)
    except Exception as error:
        return _claim("added", None, f"the statement that adds it does not run by itself: {type(error).__name__}")
    own, others = slopes[0], slopes[1:]
    if own is None or float(own) != 1.0:
        return _claim("added", False, "the loss of the task itself is changed where the other is added")
    if any(s is None or not float(s) > 0 for s in others):
        return _claim("added", False, "the loss that is trained on does not grow with that of every layer")
    return _claim("added", True, f"the loss that is trained on holds that of each layer times {float(others[0]):g}")


# -- what a run left -----------------------------------------------------------------------------------------------


def _loss(spec: dict[str, Any], space: dict[str, Any]) -> torch.Tensor | None:
    owner, _, name = spec["loss"].rpartition(".")
    value = vars(space["self"]).get(name) if owner == "self" else dict.get(space, name)
    return value if isinstance(value, torch.Tensor) else None


def _value(spec: dict[str, Any], space: dict[str, Any]) -> float:
    loss = _loss(spec, space)
    return float("nan") if loss is None else float(loss.detach())


def _variation(spec: dict[str, Any], space: dict[str, Any], experts: int) -> float:
    """Coefficient of variation of the number of tokens per expert."""
    load = torch.bincount(space[spec["choice"]].reshape(-1), minlength=experts).double()
    return float(load.std(correction=0) / load.mean())


def _script(spec: dict[str, Any], experts: int, chosen: int) -> str:
    """The descent as a program of its own."""
    numbers = {n: "experts" if n in spec["counts"] else "per_token" for n in spec["read"] if n != "training"}
    numbers["training"] = "True"
    own = ", ".join(f"{name}={value}" for name, value in numbers.items())
    others = [f"    {spec['others']} = torch.full_like(scores_by_token, {_QUIET})"]
    others = others if spec["others"] in spec["after"] else []
    imports = dict.fromkeys(["import torch", *spec["imports"].splitlines()])
    lines = [
        "from types import SimpleNamespace", "", *imports, "", f"experts, per_token = {experts}, {chosen}",
        "torch.manual_seed(0)", "scores_by_token = torch.randn(40 * experts, experts)",
        "common_bias = torch.linspace(2.0, -1.0, experts).requires_grad_()  # towards the first experts",
        f"optimizer = torch.optim.Adam([common_bias], lr={_RATE})", f"for step in range({_STEPS} + 1):",
        f"    self = SimpleNamespace({own})", f"    {spec['scores']} = scores_by_token + common_bias",
        *others,
        *(f"    {line}" for line in spec["after"].splitlines()), "    if step % 20 == 0:",
        f"        load = torch.bincount({spec['choice']}.reshape(-1), minlength=experts).double()",
        f"        print('step', step, 'loss', {spec['loss']}.item(), 'load', load.tolist())",
        "    optimizer.zero_grad()", f"    {spec['loss']}.backward()", "    optimizer.step()",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _sizes(sizes: list[tuple[int, int]]) -> str:
    return ", ".join(f"{e} experts ({k} per token)" for e, k in sizes)


def _claim(name: str, held: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "held": held, "detail": detail}


def _answer(
    spec: dict[str, Any],
    verdict: str,
    claims: list[dict[str, Any]],
    reason: str,
    shown: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    return {
        "verdict": verdict, "claims": claims, "reason": reason, "witness": shown[0], "witness_summary": shown[1],
        "assumptions": list(spec["assumptions"]), "exact": None, "change": "",
    }  # fmt: skip
