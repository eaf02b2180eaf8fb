"""Jobs of kind "ray": a witness's own code at a share of its input, from almost nothing to the whole of it.

What is run is the script that `witness.script` wrote; its final loop is not, only what it names: the inputs and the
results. spec: "script", "scales".
"""

from __future__ import annotations

import ast
import time
from typing import Any

import torch


def run(spec: dict[str, Any], deadline: float) -> dict[str, Any]:
    """{"verdict": "DONE", "scales", "before": points, "after": points}; a point is [largest absolute value of the
    last result, gradient norm], None where it is not finite, and [] where the code raises."""
    tree = ast.parse(spec["script"])
    loop = next((n for n in tree.body if isinstance(n, ast.For)), None)
    results = _assigned(loop, "results")
    inputs = _assigned(loop, "inputs")
    if loop is None or results is None or not isinstance(inputs, ast.DictComp):
        return {"verdict": "INCONCLUSIVE", "reason": "its witness is no input that can be scaled"}
    names = ast.literal_eval(inputs.generators[0].iter)
    setting: dict[str, Any] = {}
    head = ast.Module([n for n in tree.body if n is not loop], [])
    exec(compile(head, "<witness>", "exec"), setting)
    shown = compile(ast.Expression(results), "<results>", "eval")
    found: dict[str, Any] = {"verdict": "DONE", "scales": [], "before": [], "after": []}
    for scale in spec["scales"]:
        if time.monotonic() > deadline:
            break
        found["scales"].append(scale)
        for side in ("before", "after"):
            found[side].append(_point(setting, setting[side], names, shown, scale))
    return found


def _assigned(loop: ast.For | None, name: str) -> ast.expr | None:
    for node in ast.walk(loop) if loop is not None else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return node.value
    return None


def _point(setting: dict[str, Any], code: str, names: list[str], shown: Any, scale: float) -> list[float | None]:
    env = {**setting, **setting["leaves"]()}
    leaves = {n: (env[n] * scale).requires_grad_() for n in names}
    env.update({n: v.clone() for n, v in leaves.items()})
    torch.manual_seed(0)
    try:
        exec(code, env)
        env["env"] = env
        results = [r for r in eval(shown, env) if isinstance(r, torch.Tensor) and not r.is_complex()]
        ends = [r for r in results if r.requires_grad]
        if ends:
            torch.stack([r.double().sum() for r in ends]).sum().backward()
    except Exception:
        return []
    gradients = [v.grad.double().norm() for v in leaves.values() if v.grad is not None]
    last = results[-1].detach().double().abs() if results else torch.zeros(1)
    largest = last.max() if last.numel() else torch.tensor(0.0)
    norm = torch.stack(gradients).norm() if gradients else torch.tensor(0.0)
    return [float(v) if bool(torch.isfinite(v)) else None for v in (largest, norm)]
