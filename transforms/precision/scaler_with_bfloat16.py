"""A `GradScaler` where the only autocast is bfloat16.

The defect
----------
Gradients are scaled against underflow while the forward pass runs in bfloat16.

Why it hurts
------------
Scaling exists for float16, whose smallest number is 6e-8. bfloat16 has the range of float32 (its smallest normal number
is 1.2e-38): nothing underflows that scaling would save, and nothing overflows that would be skipped. What is left is a
check of every gradient for inf and a synchronisation with the host at every step, and a scale that grows without ever
being needed, until a large enough loss overflows only because of it.

Before
------

    scaler = torch.amp.GradScaler("cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(x)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

After
-----

    scaler = torch.amp.GradScaler("cuda", enabled=False)  # or no scaler at all
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(x)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

Try it
------

    import torch

    assert torch.tensor(1e-20).half() == 0 and torch.tensor(1e-20).bfloat16() > 0  # nothing to save from underflow
    moved = {}
    for enabled in (True, False):
        model = torch.nn.Linear(1, 1, bias=False)
        start = model.weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-34)
        scaler = torch.amp.GradScaler("cpu", enabled=enabled)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.ones(1, 1)).float().sum() * 1e34
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        moved[enabled] = not torch.equal(start, model.weight)
    assert moved == {True: False, False: True}  # a finite gradient overflowed because it was scaled

When the fix is safe
--------------------
There is no fix: a scaler also skips steps with a non-finite gradient, and whoever relies on that has to say so in
another way.

Left alone
----------
Files in which any autocast may be float16, or that mention float16 at all; scalers that are told whether they are
enabled.

Sources
-------
PyTorch documentation: "Automatic Mixed Precision examples", "Gradient Scaling".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.transforms.precision._half import is_autocast, is_grad_scaler

_FLOAT16 = re.compile(r"(?<!b)float16|\bhalf\b|fp16|16-mixed", re.I)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    if not is_grad_scaler(module, node):
        return
    if any(k.arg in ("enabled", None) for k in node.keywords) or _FLOAT16.search(module.text):
        return
    casts = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and is_autocast(module, n.func)]
    bare = [n for n in ast.walk(module.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    if not casts or any(is_autocast(module, d) for f in bare for d in f.decorator_list):
        return
    if not all(any("bfloat16" in (module.qualified(v) or "") for v in _values(c)) for c in casts):
        return
    yield context.finding(
        node,
        "bfloat16 has the range of float32: the scaler saves no gradient, and checks every one of them at each step",
        why="it also skips steps with a non-finite gradient: drop it, or pass enabled=False, if nobody counts on that",
    )


def _values(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(k.value for k in call.keywords)]


RULE = Rule(
    name="scaler-with-bfloat16",
    summary="a GradScaler beside bfloat16 autocast does nothing useful",
    severity=Severity.INFO,
    triggers=((b"GradScaler(",), (b"bfloat16",), (b"autocast",)),
    anchor=re.compile(r"GradScaler\("),
    nodes=(ast.Call,),
    check=check,
)
