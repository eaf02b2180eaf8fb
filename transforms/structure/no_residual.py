"""A block of attention and a feed-forward layer whose input reaches its output only through both of them.

The defect
----------
`x = self.mlp(self.norm2(self.attn(self.norm1(x))))`: attention and feed-forward layer follow one another, and the class
adds nothing to anything. In a transformer block each of them adds its output to its input.

Why it hurts
------------
Attention averages: without the residual connection every position comes out closer to the mean of all, and a stack of
such blocks makes them equal, at a rate that doubles its exponent with depth (Dong et al.). The gradient has no path
around the blocks. In the snippet twelve averages of ten positions leave 1e-3 of their spread; with residual
connections more than all of it.

Before
------

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1 = nn.LayerNorm(dim)
            self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.norm2 = nn.LayerNorm(dim)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x):
            h = self.norm1(x)
            x, _ = self.attn(h, h, h)
            return self.mlp(self.norm2(x))

After
-----

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1 = nn.LayerNorm(dim)
            self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.norm2 = nn.LayerNorm(dim)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x):
            h = self.norm1(x)
            x = x + self.attn(h, h, h)[0]
            return x + self.mlp(self.norm2(x))

Try it
------

    import torch

    torch.manual_seed(0)
    x = y = torch.randn(10, 64)
    for _ in range(12):
        x = torch.softmax(x @ x.T / 64, dim=-1) @ x
        y = y + torch.softmax(y @ y.T / 64, dim=-1) @ y / 12
    assert x.std(dim=0).mean() < 1e-3
    assert y.std(dim=0).mean() > 0.9

When the fix is safe
--------------------
There is none: where the stream goes, and whether it has the same size behind each layer, is the model's design. This
rule only tells which blocks have no residual connection. It runs when it is selected.

Left alone
----------
Classes that add, concatenate or interpolate anything outside their constructor; whose sublayers come from another file,
where they may add their input themselves, or from a class of this file that adds its own input; heads that attend once
and classify, which have no feed-forward layer of equal input and output.

Sources
-------
Dong, Cordonnier, Loukas: Attention is not all you need: pure attention loses rank doubly exponentially with depth
(2021).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.structure._parts import calls_in, is_layer_norm, kind_of, makers, own, passed_through
from autofix.tree import last_part, walk

_JOINS = re.compile(r"add_?|cat|concat(enate)?|lerp_?|addcmul_?|residual\w*|skip\w*|checkpoint\w*|gru\w*", re.I)
_OUT = re.compile(r"(^|_)(out|output|classes|labels)(_|$)")
_DEPTH = 12


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.FunctionDef)
    if node.name != "forward":
        return
    module = context.module
    cls = module.class_of(node)
    if cls is None or _joins(module, cls):
        return
    for call in calls_in(node):
        if kind_of(module, cls, own(call.func)) == "feed-forward" and call.args:
            attention = _attended(module, cls, call.args[0])
            if attention and _keeps_size(module, cls, own(call.func)) and _is_plain(module, cls, attention):
                message = (
                    f"{cls.name} has no residual connection: self.{own(call.func)} reads what self.{attention} "
                    "returns, and nothing is added to the input of either"
                )
                yield context.finding(call, message, why="where the stream goes is the model's design")
                return


def _joins(module: Module, cls: ast.ClassDef) -> bool:
    """Whether a method of the class, its constructor apart, adds or joins two values, or one is out of view."""
    if any(last_part(base) != "Module" for base in cls.bases):
        return True
    for method in cls.body:
        if not isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) or method.name == "__init__":
            continue
        for node in walk(method):
            if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, (ast.Add, ast.Sub)):
                return True
            if isinstance(node, ast.Call) and _JOINS.fullmatch(last_part(node.func)):
                return True
    return False


def _attended(module: Module, cls: ast.ClassDef, node: ast.expr) -> str:
    """The attention whose output a value is, normalised or passed through dropout at most; empty when it is another."""
    for _ in range(_DEPTH):
        node = passed_through(module, node)
        if not isinstance(node, ast.Call) or not node.args:
            return ""
        name = own(node.func)
        if kind_of(module, cls, name) == "attention":
            return name
        if not is_layer_norm(module, cls, name):
            return ""
        node = node.args[0]
    return ""


def _is_plain(module: Module, cls: ast.ClassDef, name: str) -> bool:
    """Whether an attention is certain not to add its own input: torch's, or a class of this file that adds no
    parameter of its forward to anything."""
    classes = {s.name: s for s in module.tree.body if isinstance(s, ast.ClassDef)}
    made = makers(module, cls, name)
    if not made:
        return False
    for maker in made:
        if module.qualified(maker) == "torch.nn.MultiheadAttention":
            continue
        found = classes.get(last_part(maker))
        if found is None or _adds_its_input(module, found):
            return False
    return True


def _adds_its_input(module: Module, cls: ast.ClassDef) -> bool:
    forward = module.method(cls, "forward")
    if forward is None and [last_part(base) for base in cls.bases] == ["Sequential"]:
        return False
    if forward is None or any(last_part(base) != "Module" for base in cls.bases):
        return True
    given = {a.arg for a in (*forward.args.posonlyargs, *forward.args.args, *forward.args.kwonlyargs)} - {"self"}
    for node in walk(cls):
        if isinstance(node, ast.Call) and _JOINS.fullmatch(last_part(node.func)):
            return True
        if not isinstance(node, (ast.BinOp, ast.AugAssign)) or not isinstance(node.op, ast.Add):
            continue
        sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.target, node.value]
        if any(isinstance(s, ast.Name) and (s.id in given or "residual" in s.id) for s in sides):
            return True
    return False


def _keeps_size(module: Module, cls: ast.ClassDef, name: str) -> bool:
    """Whether a feed-forward layer returns what it is given the size of, as far as it shows: `nn.Sequential` with the
    same first and last size, or a class of this file that adds nothing."""
    value = module.self_attribute(cls, name)
    if not isinstance(value, ast.Call):
        return False
    if last_part(value.func) != "Sequential":
        return _is_plain(module, cls, name) and not any(_OUT.search(last_part(a)) for a in value.args)
    layers = [n for n in value.args if isinstance(n, ast.Call) and last_part(n.func) == "Linear" and len(n.args) > 1]
    return len(layers) > 1 and ast.dump(layers[0].args[0]) == ast.dump(layers[-1].args[1])


RULE = Rule(
    name="no-residual",
    summary="a block of attention and a feed-forward layer without a residual connection",
    severity=Severity.INFO,
    triggers=((b"ttention", b"ttn"), (b"forward",)),
    anchor=re.compile(r"self\.\w*(?:mlp|ffn|ff|feed_forward|fc|mlps)\w*\("),
    nodes=(ast.FunctionDef,),
    check=check,
    by_default=False,
)
