"""`scaler.step(optimizer)` in a loop, and `scaler.update()` nowhere.

The defect
----------
A `GradScaler` steps the optimizer, and nothing calls its `update()`.

Why it hurts
------------
`update()` closes an iteration: it lets the next `step` through, lowers the scale after gradients that overflowed and
raises it after a while without. Without it the second `scaler.step(optimizer)` raises "step() has already been called
since the last update()"; the loop survives one iteration.

Before
------

    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)

After
-----

    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

Try it
------

    import torch

    steps = {False: 0, True: 0}
    for update in (False, True):
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu")
        try:
            for _ in range(3):
                scaler.scale(model(torch.ones(1, 1)).sum()).backward()
                scaler.step(optimizer)
                steps[update] += 1
                if update:
                    scaler.update()
        except RuntimeError as error:
            assert "since the last update()" in str(error)
    assert steps == {False: 1, True: 3}

When the fix is safe
--------------------
What ran before, the first iteration, is as it was. `update()` goes after the last `step` of its block, once an
iteration whatever the number of optimizers, as the documentation asks.

Left alone
----------
A scaler that is updated anywhere in the file, that comes from elsewhere or is handed to code out of view, which may
update it; scalers that are disabled; steps outside a loop. Where the steps stand in different blocks the finding says
what to write.

Sources
-------
PyTorch documentation: "Automatic Mixed Precision package", `torch.amp.GradScaler.step` and `.update`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._bindings import last_name, same
from autofix.transforms.loops._loops import LOOPS, local_function
from autofix.transforms.precision._half import is_grad_scaler

_UPDATED = re.compile(
    r"\b\w*scaler\w*(\[[^\]\n]*\])?\.(_?update\w*|load_state_dict)\b|\bupdate_scaler|scaler_update", re.I
)
_OWN = ("scale", "step", "unscale_", "get_scale", "is_enabled", "state_dict", "set_growth_interval")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    scaler = _stepped(node)
    if scaler is None or _is_updated(module, scaler):
        return
    steps = _steps(module, scaler)
    if steps[-1] is not node or not any(isinstance(a, LOOPS) for a in _around(module, node)):
        return
    if not _is_built_here(module, scaler) or _leaves_the_file(module, scaler):
        return
    text = module.source(scaler)
    message = f"{text}.update() is never called: the second {text}.step raises, and the scale never adapts"
    try:
        fix = _fix(module, scaler, steps)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(node, message, fix=fix)


def _stepped(node: ast.Call) -> ast.expr | None:
    """The scaler of `scaler.step(optimizer)`."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "step" or not node.args:
        return None
    scaler = node.func.value
    return scaler if isinstance(scaler, (ast.Name, ast.Attribute)) else None


def _is_updated(module: Module, scaler: ast.expr) -> bool:
    if _UPDATED.search(module.text):
        return True
    name = last_name(scaler)
    return any(
        isinstance(n, ast.Attribute) and n.attr == "update" and last_name(n.value) == name
        for n in ast.walk(module.tree)
    )


def _around(module: Module, node: ast.AST) -> list[ast.AST]:
    """What stands around a step inside its function."""
    out: list[ast.AST] = []
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            break
        out.append(ancestor)
    return out


def _steps(module: Module, scaler: ast.expr) -> list[ast.Call]:
    """Every step of the scaler in this function, in source order."""
    found = [
        n
        for n in ast.walk(module.function_scope(scaler))
        if isinstance(n, ast.Call) and (s := _stepped(n)) is not None and same(s, scaler)
    ]
    return sorted(found, key=lambda n: (n.lineno, n.col_offset))


def _is_built_here(module: Module, scaler: ast.expr) -> bool:
    """Whether every value of this name, wherever the file assigns it, is a `GradScaler` that is not switched off."""
    name = last_name(scaler)
    values = [
        s.value
        for s in ast.walk(module.tree)
        if isinstance(s, (ast.Assign, ast.AnnAssign)) and s.value is not None
        for target in (s.targets if isinstance(s, ast.Assign) else [s.target])
        if last_name(target) == name
    ]
    return bool(values) and all(_is_scaler(module, v) for v in values)


def _is_scaler(module: Module, value: ast.expr) -> bool:
    if not is_grad_scaler(module, value) or not isinstance(value, ast.Call):
        return False
    if any(k.arg is None for k in value.keywords):
        return False
    given = next((k.value for k in value.keywords if k.arg == "enabled"), None)
    return not (isinstance(given, ast.Constant) and given.value is False)


def _leaves_the_file(module: Module, scaler: ast.expr) -> bool:
    """Whether the scaler is handed to code out of view, stored or returned."""
    name = last_name(scaler)
    for node in ast.walk(module.tree):
        if not isinstance(node, (ast.Name, ast.Attribute)) or last_name(node) != name:
            continue
        if not isinstance(node.ctx, ast.Load):
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.Attribute) and parent.attr in _OWN:
            continue
        call = module.parent(parent) if isinstance(parent, ast.keyword) else parent
        if isinstance(call, ast.Call) and local_function(module, call) is not None:
            continue
        if isinstance(parent, (ast.Compare, ast.If, ast.IfExp, ast.BoolOp, ast.UnaryOp)):
            continue
        return True
    return False


def _fix(module: Module, scaler: ast.expr, steps: list[ast.Call]) -> Fix:
    statement = module.statement(steps[-1])
    blocks = {id(module.block(module.statement(s))) for s in steps}
    if len(blocks) > 1 or not isinstance(statement, (ast.Expr, ast.Assign)):
        raise Unrewritable("its steps stand in different blocks: call update() once, after the last of an iteration")
    return Fix(
        title="call update() after the last step of the iteration, which lets the next step through",
        edits=(rewrite.insert_after(module, statement, f"{module.source(scaler)}.update()"),),
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, hazard=("exception",)),
    )


RULE = Rule(
    name="scaler-without-update",
    summary="`scaler.step(optimizer)` in a loop without `scaler.update()`: the second step raises",
    severity=Severity.ERROR,
    triggers=((b"GradScaler(",), (b".step(",)),
    anchor=re.compile(r"\.step\(\s*\S"),
    nodes=(ast.Call,),
    check=check,
)
