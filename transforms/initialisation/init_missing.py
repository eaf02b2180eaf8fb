"""A module whose layers begin as PyTorch's constructors leave them, because nothing initialises them.

The defect
----------
The class makes `nn.Linear` or convolution layers, and no initialiser is in view: not in its constructor, its bases, the
classes of the file that build it, or a function that is applied to it. PyTorch's own defaults are used, uniform in
±1 / sqrt(fan-in), for weights and biases.

Why it hurts
------------
Those defaults have a third of the variance that keeps a signal's size through a linear layer, a sixth of what a ReLU
needs. In the snippet, 20 layers of 256 units with ReLU: what the default biases make is all that is left, and the
outputs of different inputs differ by less than 1e-5. With Kaiming weights and zero biases they differ by 0.1 and more.
Shallow or normalised models do not mind, which is why this rule runs only
when it is selected.

Before
------

    class Network(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.fc1 = nn.Linear(dim, dim)
            self.fc2 = nn.Linear(dim, dim)

        def forward(self, x):
            return self.fc2(F.relu(self.fc1(x)))

After
-----

    class Network(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.fc1 = nn.Linear(dim, dim)
            self.fc2 = nn.Linear(dim, dim)
            for layer in (self.fc1, self.fc2):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

        def forward(self, x):
            return self.fc2(F.relu(self.fc1(x)))

Try it
------

    import torch
    from torch import nn

    def spread(initialised):
        torch.manual_seed(0)
        x = torch.randn(64, 256)
        for _ in range(20):
            layer = nn.Linear(256, 256)
            if initialised:
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            x = torch.relu(layer(x))
        return x.std(dim=0).mean()

    assert spread(initialised=False) < 1e-5
    assert spread(initialised=True) > 0.1

When the fix is safe
--------------------
It is not: another initialisation is another model, and a learning rate that was chosen for it may have to be chosen
again. With `--unsafe-fixes` the layers that the constructor makes are initialised at its end: by Kaiming's uniform
distribution where the class applies a ReLU or a convolution, by Xavier's where it does not; biases become zero. The
verifier builds the class before and after: a layer that passed on less than half of its input's mean square passes on
more, the layers hold values of a sane scale, and everything else is as it was.

Left alone
----------
Classes in whose reach anything initialises, resets, fills, copies or loads a parameter, or runs a function over
modules; bases out of view, which may do it; classes of files that are filled from checkpoints; tests. Another file of
the project that can reach the class (it names it, or what is built with it) and initialises layers by their kind, or
is a model of transformers, which does.

Sources
-------
Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010). He et al.: Delving
Deep into Rectifiers (2015). PyTorch documentation: `torch.nn.init`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autofix import rewrite
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.initialisation._elsewhere import layers_are_initialised_elsewhere
from autofix.transforms.initialisation._parameters import is_self
from autofix.transforms.initialisation._reached import FILLED_ELSEWHERE, family_of
from autofix.transforms.loops._clipping import is_test
from autofix.tree import walk

_LAYER = re.compile(r"torch\.nn\.(Linear|Conv[123]d|ConvTranspose[123]d)")
_RECTIFIED = re.compile(r"relu|gelu|silu|swish|\bConv", re.I)
_INITIALISES = re.compile(
    r"\binit\.|_init_|init_\w*weight|initiali[sz]|weight_init|weights_init|reset_|post_init|xavier|kaiming|orthogonal|"
    r"normal_\(|uniform_\(|constant_\(|zeros_\(|ones_\(|eye_\(|fill_\(|copy_\(|zero_\(|\.weight\b|\.bias\b|\.apply\(|"
    r"parameters\(|\.modules\(|children\(|load_|pretrained|spectral_norm|weight_norm|parametri",
    re.I,
)
_PLAIN = re.compile(r"\b__init__\b|__post_init__|super\([^)]*\)\.reset_")


@dataclass(frozen=True, slots=True)
class _Layers:
    """What a constructor makes. single: attributes that are a layer. nested: that hold several, made of torch.nn only.
    mixed: whether it makes modules of other kinds as well."""

    single: tuple[str, ...]
    nested: tuple[str, ...]
    mixed: bool


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.FunctionDef)
    if node.name != "__init__":
        return
    module = context.module
    cls = module.class_of(node)
    if cls is None or cls not in module.tree.body or node not in cls.body or is_test(module, node):
        return
    first = next((n for n in walk(node) if _is_layer(module, n)), None)
    if first is None or FILLED_ELSEWHERE.search(module.text) or _is_initialised(module, cls):
        return
    if layers_are_initialised_elsewhere(module, cls):
        return
    message = f"nothing in view initialises the layers of {cls.name}: they begin with a third of the usual variance"
    try:
        fix = _fix(module, cls, node, _layers(module, node))
    except Unrewritable as reason:
        yield context.finding(first, message, why=str(reason))
        return
    yield context.finding(first, message, fix=fix)


def _is_layer(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(_LAYER.fullmatch(module.qualified(node.func) or ""))


def _is_initialised(module: Module, cls: ast.ClassDef) -> bool:
    """Whether the class, its family, what builds it or a function of the file may initialise it."""
    family = family_of(module, cls)
    if family is None:
        return True
    reach, pending = list(family), list(family)
    classes = [n for n in module.tree.body if isinstance(n, ast.ClassDef)]
    while pending:
        name = pending.pop().name
        for other in classes:
            if other not in reach and re.search(rf"\b{re.escape(name)}\b", module.source(other)):
                reach.append(other)
                pending.append(other)
    outside = [
        module.source(n) for n in module.tree.body if not isinstance(n, (ast.ClassDef, ast.Import, ast.ImportFrom))
    ]
    return any(_INITIALISES.search(_PLAIN.sub("", text)) for text in [*map(module.source, reach), *outside])


def _layers(module: Module, function: ast.FunctionDef) -> _Layers:
    """The modules that a constructor assigns, in order; those made on a condition count as mixed."""
    single: list[str] = []
    nested: list[str] = []
    mixed = False
    for node in walk(function):
        if not isinstance(node, ast.Assign) or not _holds_layer(module, node.value):
            mixed |= _makes_other(module, node)
            continue
        target = node.targets[0]
        is_own = len(node.targets) == 1 and isinstance(target, ast.Attribute) and is_self(target.value)
        if not is_own or node not in function.body:
            mixed = True
        elif _is_layer(module, node.value):
            single.append(target.attr)  # type: ignore[attr-defined]
        elif all(_is_of_torch(module, n) for n in walk(node.value) if isinstance(n, ast.Call)):
            nested.append(target.attr)  # type: ignore[attr-defined]
        else:
            mixed = True
    return _Layers(tuple(dict.fromkeys(single)), tuple(dict.fromkeys(nested)), mixed)


def _holds_layer(module: Module, value: ast.expr) -> bool:
    return any(_is_layer(module, n) for n in walk(value))


def _makes_other(module: Module, node: ast.AST) -> bool:
    """Whether a layer is made where it becomes no attribute: in a list, an argument, a local name of a loop."""
    return isinstance(node, (ast.Expr, ast.Return, ast.AugAssign)) and any(_is_layer(module, n) for n in walk(node))


def _is_of_torch(module: Module, call: ast.Call) -> bool:
    dotted = module.qualified(call.func) or ""
    return dotted.startswith("torch.nn.") or (
        isinstance(call.func, ast.Name) and call.func.id in ("range", "int", "len")
    )


def _fix(module: Module, cls: ast.ClassDef, function: ast.FunctionDef, layers: _Layers) -> Fix:
    if layers.mixed or not (layers.single or layers.nested):
        raise Unrewritable("some of its layers are made where they cannot be named; initialise them in a function")
    spelled = {
        name: module.names.reference(f"torch.nn.{name}", function)
        for name in ("init.kaiming_uniform_", "init.xavier_uniform_", "init.zeros_")
    }
    names = _bound(function)
    if None in spelled.values() or "layer" in names or any(s and s.edits for s in spelled.values()):
        raise Unrewritable("torch.nn.init cannot be spelled here without another import")
    text = {name: one.text for name, one in spelled.items() if one is not None}
    rectified = bool(_RECTIFIED.search(module.source(cls)))
    own = [f"self.{name}" for name in (*layers.single, *(f"{n}.modules()" for n in layers.nested))]
    weight = f'{text["init.kaiming_uniform_"]}(layer.weight, nonlinearity="relu")'
    if not rectified:
        weight = f"{text['init.xavier_uniform_']}(layer.weight)"
    lines = _loop(module, function, layers, [weight, *_bias(module, function, text["init.zeros_"])])
    words = "Kaiming's" if rectified else "Xavier's"
    return Fix(
        title=f"initialise the layers of {cls.name}: weights by {words} uniform distribution, biases zero",
        edits=(rewrite.insert_after(module, function.body[-1], *lines),),
        applicability=Applicability.UNSAFE,
        claim=Claim(
            Relation.INITIALISED,
            results=tuple(f"self.{name}" for name in (*layers.single, *layers.nested)),
            hazard=("fading",),
            parameters={"role": "weight", "behind": "relu" if rectified else "anything"},
            change=f"{', '.join(own)} begin with other weights, and with zero biases",
        ),
    )


def _bias(module: Module, function: ast.FunctionDef, zeros: str) -> list[str]:
    """The lines that set `layer.bias` to zero, where all, some or none of the layers have one."""
    given = [
        k.value
        for n in walk(function)
        if isinstance(n, ast.Call) and _is_layer(module, n)
        for k in n.keywords
        if k.arg in ("bias", None)
    ]
    layers = sum(_is_layer(module, n) for n in walk(function))
    if len(given) == layers and all(isinstance(v, ast.Constant) and v.value is False for v in given):
        return []
    return ["if layer.bias is not None:", f"    {zeros}(layer.bias)"] if given else [f"{zeros}(layer.bias)"]


def _loop(module: Module, function: ast.FunctionDef, layers: _Layers, body: list[str]) -> list[str]:
    if not layers.nested:
        if len(layers.single) == 1:
            return [line.replace("layer.", f"self.{layers.single[0]}.") for line in body]
        names = ", ".join(f"self.{name}" for name in layers.single)
        return [f"for layer in ({names}):", *(f"    {line}" for line in body)]
    kinds = sorted({module.source(n.func) for n in walk(function) if isinstance(n, ast.Call) and _is_layer(module, n)})
    test = kinds[0] if len(kinds) == 1 else f"({', '.join(kinds)})"
    parts = [f"self.{name}" for name in layers.single] + [f"*self.{name}.modules()" for name in layers.nested]
    each = f"{parts[0][1:]}" if len(parts) == 1 else f"({', '.join(parts)})"
    return [
        f"for layer in {each}:",
        f"    if isinstance(layer, {test}):",
        *(f"        {line}" for line in body),
    ]


def _bound(function: ast.FunctionDef) -> set[str]:
    return {n.id for n in walk(function) if isinstance(n, ast.Name)} | {a.arg for a in function.args.args}


RULE = Rule(
    name="init-missing",
    summary="a module whose linear and convolution layers nothing initialises",
    severity=Severity.INFO,
    triggers=((b"Linear(", b"Conv1d(", b"Conv2d(", b"Conv3d(", b"ConvTranspose"), (b"__init__",)),
    anchor=re.compile(r"Linear\(|Conv[123]d\(|ConvTranspose[123]d\("),
    nodes=(ast.FunctionDef,),
    check=check,
    beside=re.compile(r"__init__"),
    by_default=False,
)
