"""A trainer is set up to run the loop, and its setting for clipping is left at "none".

The defect
----------
Lightning's `Trainer(...)` is given no `gradient_clip_val`, the configuration for `deepspeed.initialize` has no
`gradient_clipping`, or the arguments of transformers' `Trainer` say `max_grad_norm=0`. These trainers run the loop
themselves and step on gradients whose norm nothing bounds.

Why it hurts
------------
The batch with the largest gradient, not the learning rate, decides how far the weights move. There is no loop in the
file where the missing clip would be seen: it is the default of Lightning (`None`) and of DeepSpeed (0), while the
Trainer of transformers clips at 1.0 unless it is told not to. Clipping bounds large steps; it does not cure NaN.

Before
------

    trainer = L.Trainer(max_epochs=10, precision="16-mixed")
    trainer.fit(model, loader)

After
-----

    trainer = L.Trainer(max_epochs=10, precision="16-mixed", gradient_clip_val=1.0)
    trainer.fit(model, loader)

Try it
------

    import torch

    moved = {}
    for bound in (None, 1.0):
        weight = torch.nn.Parameter(torch.zeros(3))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        (weight * torch.tensor([1e4, 0.0, 0.0])).sum().backward()
        if bound is not None:
            torch.nn.utils.clip_grad_norm_([weight], bound)
        optimizer.step()
        moved[bound] = weight.norm()
    assert moved[None] > 900 and moved[1.0] <= 0.1001

When the fix is safe
--------------------
There is none to apply: the bound is a setting, and the trainers log the norm by which to choose it. 1.0 is what
transformers uses; whoever trains recurrent nets or policies knows a value of their own.

Left alone
----------
A setting that is there, whatever it says (but for `max_grad_norm=0`, which switches a default off); arguments that are
unpacked from elsewhere; a file that speaks of clipping anywhere, in a callback or a hook; a Lightning file that names
no recurrent net, attention or experts; modules with manual optimisation; differentially private training; a trainer
that never calls `fit`; `fast_dev_run`; tests.

Sources
-------
Documentation of Lightning (`Trainer`, "Gradient clipping"), of DeepSpeed ("Configuration JSON") and of transformers
(`TrainingArguments.max_grad_norm`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.loops._clipping import is_private, is_test
from autofix.transforms.loops._risks import names_a_risky_model

_LIGHTNING = re.compile(r"(pytorch_lightning|lightning(\.pytorch)?)(\.trainer){0,2}\.Trainer")
_ARGUMENTS = re.compile(r"(transformers|trl)\.([\w.]*\.)?(\w*TrainingArguments|\w+Config)")
_CLIPS = re.compile(r"grad\w*clip|clip\w*grad|clipping|clip_(val|norm)|max_norm\b", re.I)
_BOUNDS = "so one outlier batch can throw the weights off; clipping bounds such steps (it does not cure NaN)"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    if not isinstance(node, ast.Call):
        return
    module = context.module
    name = module.qualified(node.func) or ""
    if not name or is_test(module, node):
        return
    bound = repr(float(context.options.max_norm))
    if _LIGHTNING.fullmatch(name):
        if _is_unbounded_lightning(module, node):
            why = f"how large the bound has to be is a setting: gradient_clip_val={bound} is a common one"
            yield context.finding(node, f"this Trainer clips no gradients, {_BOUNDS}", why=why)
    elif name == "deepspeed.initialize":
        if _is_unbounded_deepspeed(module, node):
            why = f'how large the bound has to be is a setting: "gradient_clipping": {bound} is a common one'
            yield context.finding(node, f"this configuration of DeepSpeed clips no gradients, {_BOUNDS}", why=why)
    elif _ARGUMENTS.fullmatch(name) and _is_zero(_keyword(node, "max_grad_norm")):
        why = "leave the argument out for the default of 1.0, if switching it off was not meant"
        yield context.finding(node, f"max_grad_norm=0 switches clipping off, {_BOUNDS}", why=why)


def _is_unbounded_lightning(module: Module, call: ast.Call) -> bool:
    names = {k.arg for k in call.keywords}
    if call.args or None in names or names & {"gradient_clip_val", "gradient_clip_algorithm", "fast_dev_run"}:
        return False
    if _CLIPS.search(module.text) or "automatic_optimization" in module.text or is_private(module):
        return False
    return _fits(module, call) and names_a_risky_model(module)


def _fits(module: Module, call: ast.Call) -> bool:
    """Whether the trainer runs a training: `Trainer(...).fit(...)`, or `fit` of what it is bound to."""
    parent = module.parent(call)
    if isinstance(parent, ast.Attribute):
        return parent.attr == "fit"
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1:
        return False
    target = module.source(parent.targets[0])
    return re.search(rf"(?<![\w.]){re.escape(target)}\.fit\(", module.text) is not None


def _is_unbounded_deepspeed(module: Module, call: ast.Call) -> bool:
    if _CLIPS.search(module.text):
        return False
    given = _keyword(call, "config") or _keyword(call, "config_params")
    if given is None:
        return False
    config = module.flow(given).value(given)
    if isinstance(config, ast.Name):
        config = _of_the_module(module, config.id) or config
    return isinstance(config, ast.Dict) and all(isinstance(k, ast.Constant) for k in config.keys)


def _of_the_module(module: Module, name: str) -> ast.expr | None:
    """The one value that the file gives to a name at its top."""
    values = [
        s.value
        for s in module.tree.body
        if isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in s.targets)
    ]
    return values[0] if len(values) == 1 else None


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def _is_zero(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value == 0


RULE = Rule(
    name="grad-clip-not-configured",
    summary="A trainer that runs the loop itself is set up without clipping.",
    severity=Severity.INFO,
    triggers=(
        (b"Trainer(", b"deepspeed.initialize(", b"max_grad_norm"),
        (b"lightning", b"deepspeed", b"max_grad_norm"),
    ),
    anchor=re.compile(r"Trainer\(|deepspeed\.initialize\("),
    further=((re.compile(r"max_grad_norm\s*=\s*0"), None),),
    nodes=(ast.Call,),
    check=check,
)
