"""An activation function is applied directly to the output of a LayerNorm.

The defect
----------
`F.relu(self.norm(x))`: the normalised features have mean 0, so that a ReLU or one of its kin removes half of each of
them, whatever the layer before has learned, and what goes on has neither the mean nor the size that the normalisation
gave it. (Behind a BatchNorm, whose statistics are those of one unit over many samples, the order is customary.)

Why it hurts
------------
LayerNorm is there to hand the next layer an input of mean 0 and size 1. In the snippet the features behind it have mean
0 and root mean square 1; behind the ReLU mean 0.4 and 0.7, and half of them are 0. With the activation first, the next
layer gets all of them.

Before
------

    class Head(nn.Module):
        def __init__(self, dim, classes):
            super().__init__()
            self.dense = nn.Linear(dim, dim)
            self.norm = nn.LayerNorm(dim)
            self.out = nn.Linear(dim, classes)

        def forward(self, x):
            return self.out(F.relu(self.norm(self.dense(x))))

After
-----

    class Head(nn.Module):
        def __init__(self, dim, classes):
            super().__init__()
            self.dense = nn.Linear(dim, dim)
            self.norm = nn.LayerNorm(dim)
            self.out = nn.Linear(dim, classes)

        def forward(self, x):
            return self.out(self.norm(F.relu(self.dense(x))))

Try it
------

    import torch
    from torch.nn.functional import layer_norm, relu

    torch.manual_seed(0)
    x = torch.randn(64, 512)
    after, before = relu(layer_norm(x, (512,))), layer_norm(relu(x), (512,))
    assert 0.35 < after.mean() < 0.45
    assert 0.65 < after.square().mean().sqrt() < 0.75
    assert before.mean().abs() < 1e-3
    assert 0.45 < (after == 0).float().mean() < 0.55

When the fix is safe
--------------------
There is none: the two orders are two models, both are trained in practice, and checkpoints of one do not fit the other.
This rule only tells where it is done, once for each class. It runs when it is selected.

Left alone
----------
BatchNorm, GroupNorm and InstanceNorm, in front of which nothing is wrong with an activation behind them; sigmoid, tanh
and softmax, which make a gate or a result; anything that stands between the two.

Sources
-------
Ba, Kiros, Hinton: Layer Normalization (2016), which normalises summed inputs in front of the activation of recurrent
cells. Xiong et al.: On Layer Normalization in the Transformer Architecture (2020).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.structure._parts import is_layer_norm, makers, own
from autofix.tree import last_part, walk

_ACTIVATIONS = frozenset(
    ("relu", "relu_", "gelu", "silu", "leaky_relu", "leaky_relu_", "elu", "selu", "mish", "relu6", "hardswish", "celu")
)
_MODULES = frozenset(
    ("ReLU", "GELU", "SiLU", "LeakyReLU", "ELU", "SELU", "Mish", "ReLU6", "Hardswish", "PReLU", "CELU")
)
_KNOWN = re.compile(r"torch\.(nn\.functional\.|nn\.(modules\.(activation|normalization)\.)?)?\w+")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.FunctionDef)
    module = context.module
    cls = module.class_of(node)
    if cls is None or node not in cls.body or not _is_first(module, cls, node):
        return
    found = sorted(_places(module, cls), key=lambda place: (place.lineno, place.col_offset))
    if not found:
        return
    more = len(found) - 1
    again = "" if not more else " (once more below)" if more == 1 else f" ({more} more times below)"
    message = f"{cls.name} applies an activation directly to a LayerNorm's output, half of which it removes{again}"
    yield context.finding(found[0], message, why="the two orders are two models, and both are in use")


def _is_first(module: Module, cls: ast.ClassDef, function: ast.FunctionDef) -> bool:
    """One function of each class answers for it: the first that has what the anchor looks for."""
    methods = [s for s in cls.body if isinstance(s, ast.FunctionDef) and _ANCHOR.search(module.source(s))]
    return bool(methods) and methods[0] is function


def _places(module: Module, cls: ast.ClassDef) -> Iterator[ast.expr]:
    for node in walk(cls):
        if not isinstance(node, ast.Call) or module.class_of(node) is not cls:
            continue
        if last_part(node.func) == "Sequential":
            yield from _in_sequence(module, node)
            continue
        inner = _activated(module, cls, node)
        if inner is not None and _is_normalised(module, cls, inner):
            yield node


def _in_sequence(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    """The activations of `nn.Sequential(..., nn.LayerNorm(d), nn.ReLU())`."""
    for before, after in zip(call.args, call.args[1:], strict=False):
        if not isinstance(before, ast.Call) or not isinstance(after, ast.Call):
            continue
        names = (module.qualified(before.func) or "", module.qualified(after.func) or "")
        if not all(_KNOWN.fullmatch(name) for name in names):
            continue
        if names[0].endswith(".LayerNorm") and last_part(after.func) in _MODULES:
            yield after


def _activated(module: Module, cls: ast.ClassDef, call: ast.Call) -> ast.expr | None:
    """What an activation is applied to, in every spelling; None when the call is none."""
    name = last_part(call.func)
    attribute = own(call.func)
    if attribute:
        made = makers(module, cls, attribute)
        is_one = bool(made) and all(
            last_part(m) in _MODULES and _KNOWN.fullmatch(module.qualified(m) or "") for m in made
        )
        return call.args[0] if is_one and len(call.args) == 1 else None
    if name not in _ACTIVATIONS:
        return None
    dotted = module.qualified(call.func)
    if dotted is not None:
        return call.args[0] if call.args and _KNOWN.fullmatch(dotted) else None
    return call.func.value if isinstance(call.func, ast.Attribute) and not call.args else None


def _is_normalised(module: Module, cls: ast.ClassDef, node: ast.expr) -> bool:
    """Whether a value is a LayerNorm's output and nothing else reads it."""
    if isinstance(node, ast.Name):
        found = module.flow(node).definition(node)
        if found is None or found.value is None or module.flow(node).readers(found) != [node]:
            return False
        node = found.value
    if not isinstance(node, ast.Call):
        return False
    if module.qualified(node.func) == "torch.nn.functional.layer_norm":
        return True
    return is_layer_norm(module, cls, own(node.func))


_ANCHOR = re.compile(r"[nN]orm\w*\(|self\.ln\w*\(")

RULE = Rule(
    name="activation-after-norm",
    summary="an activation function applied directly to a LayerNorm's output",
    severity=Severity.INFO,
    triggers=((b"LayerNorm", b"layer_norm", b"RMSNorm"), (b"elu", b"ELU", b"ilu", b"iLU", b"ish")),
    anchor=_ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
    by_default=False,
)
