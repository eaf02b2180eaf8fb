"""A parameter of uninitialised memory that nothing initialises.

The defect
----------
`nn.Parameter(torch.empty(a, b))`, `torch.Tensor(a, b)`, `torch.FloatTensor(a, b)` and `new_empty` allocate memory and
write nothing to it. No constructor, `reset_parameters`, initialiser or loop over the parameters does it later. The same
goes for `register_buffer("table", torch.empty(a, b))` of a table that the class computes with and nothing fills.

Why it hurts
------------
The parameter holds whatever the memory held before: zeros in a fresh process as a rule, so that tests pass, and the
rest of freed tensors in one that has run for a while. On a CPU, after a tensor of 512 x 512 elements full of 1e30 was
freed, all but 8 elements of a new parameter of that size held 1e30. Such values overflow in the first product, NaN
stays NaN, and a run with the same seed is another run.

Before
------

    class Projection(nn.Module):
        def __init__(self, in_features, out_features):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(out_features, in_features))
            self.bias = nn.Parameter(torch.empty(out_features))

        def forward(self, x):
            return F.linear(x, self.weight, self.bias)

After
-----

    class Projection(nn.Module):
        def __init__(self, in_features, out_features):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(out_features, in_features))
            nn.init.kaiming_uniform_(self.weight, a=5**0.5)
            self.bias = nn.Parameter(torch.empty(out_features))
            nn.init.zeros_(self.bias)

        def forward(self, x):
            return F.linear(x, self.weight, self.bias)

Try it
------

    import torch

    torch.use_deterministic_algorithms(True)  # torch.empty is filled with NaN, which makes reading it visible
    weight = torch.nn.Parameter(torch.empty(64, 64))
    x = torch.randn(8, 64)
    assert torch.nn.functional.linear(x, weight).isnan().all()
    torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
    assert torch.nn.functional.linear(x, weight).std() < 1
    torch.use_deterministic_algorithms(False)

When the fix is safe
--------------------
Only memory that held no value of anybody's choice is written to. The initialiser goes directly below the parameter, in
its own branch, by its role: a weight of `F.linear` or a convolution as `torch.nn.Linear` has it, a weight of a product
by Xavier or by its fan-in, a bias zeros, a scale ones, an embedding a truncated normal distribution of std 0.02. Where
the class makes the values with `torch.full` of the parameter's size and drops them, that line fills the parameter. A
checkpoint that is loaded afterwards overwrites it as it overwrote the memory. The verifier builds the class with
uninitialised memory filled with NaN: the parameter holds NaN before, none after and values of a sane scale, and every
other parameter is as it was. Random numbers that are drawn later with the same seed are others.

Left alone
----------
Parameters that anything in the file may write to: an initialiser of any name, an assignment to `.data`, an operation
in place, a loop over the parameters, `apply`, an initialiser that names the class; or anything of that kind in another
file of the project that reaches the class, unless it is off by default. Classes with a base out of view,
which may do it; files that load checkpoints or are filled by a serving engine; parameters without a gradient, of
integers, on the meta device, or of size 0; tests. Buffers that anything but arithmetic and functions of torch is given,
that no method reads, or in files about quantised weights or checkpoints. Where the role of a parameter does not show,
the finding says so.

Sources
-------
PyTorch documentation: `torch.empty`; `torch.utils.deterministic.fill_uninitialized_memory`; `torch.nn.init`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.initialisation._dropped import Dropped, values_dropped
from autofix.transforms.initialisation._elsewhere import may_be_initialised_elsewhere
from autofix.transforms.initialisation._parameters import Made, buffer_by, made_by, uninitialised
from autofix.transforms.initialisation._reached import may_be_initialised, reads_only
from autofix.transforms.initialisation._roles import Role, role_of
from autofix.transforms.loops._clipping import is_test

_QUANTISED = re.compile(r"quant|int8|int4|fp8|float8|qweight|checkpoint|state_dict|scales?\b", re.I)


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    if getattr(node.func, "attr", "") == "register_buffer":
        yield from _of_buffer(node, context)
        return
    made = made_by(module, node)
    if made is None or not uninitialised(module, made.value) or is_test(module, node):
        return
    if may_be_initialised(module, made) or may_be_initialised_elsewhere(module, made):
        return
    message = (
        f"self.{made.name} is uninitialised memory, and nothing in view writes to it: it may hold anything, NaN "
        "included"
    )
    dropped = values_dropped(module, made)
    if dropped is not None:
        message = f"{message}; line {dropped.statement.lineno} makes values for it and drops them"
        yield context.finding(node, message, fix=_kept(module, made, dropped))
        return
    role = role_of(module, made)
    if role is None:
        why = "its role does not show here; initialise it below, with torch.nn.init"
        yield context.finding(node, message, why=why)
        return
    try:
        fix = _fix(module, made, role)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(node, message, fix=fix)


def _of_buffer(node: ast.Call, context: Context) -> Iterator[Finding]:
    """A buffer is filled by a checkpoint more often than a parameter is, and read without being trained: it counts only
    where the class computes with it, and nothing of the file is about checkpoints or quantised weights."""
    module = context.module
    made = buffer_by(module, node)
    if made is None or not uninitialised(module, made.value) or is_test(module, node) or _QUANTISED.search(module.text):
        return
    if not reads_only(module, made) or may_be_initialised(module, made) or may_be_initialised_elsewhere(module, made):
        return
    message = f"the buffer {made.name} is uninitialised memory, and nothing in view writes to it before it is read"
    yield context.finding(node, message, why="what it should hold is not in view; build it with its values")


def _fix(module: Module, made: Made, role: Role) -> Fix:
    parameter = f"self.{made.name}"
    function = module.names.reference(f"torch.nn.init.{role.function}", made.call)
    if function is None:
        raise Unrewritable("torch.nn.init cannot be spelled here: its name is taken")
    arguments = role.arguments.replace("{p}", parameter).replace("{sqrt5}", _root_of_five(module, made.call))
    text = f"{function.text}({parameter}{', ' if arguments else ''}{arguments})"
    edits = (*function.edits, rewrite.insert_after(module, made.statement, text))
    return _holding(made, f"initialise {parameter}: {role.words}", edits, role.kind, role.words)


def _kept(module: Module, made: Made, dropped: Dropped) -> Fix:
    """The values that are there go where they were meant to go."""
    parameter, value = f"self.{made.name}", module.source(dropped.value)
    edits = rewrite.replace(
        module, dropped.statement.value, "{p}.data.fill_({v})", p=dropped.parameter, v=dropped.value
    )
    title = f"fill {parameter} with {value}, which line {dropped.statement.lineno} computes and drops"
    return _holding(made, title, edits, "scale", value)


def _holding(made: Made, title: str, edits: tuple[Edit, ...], kind: str, words: str) -> Fix:
    parameter = f"self.{made.name}"
    return Fix(
        title=title,
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(
            Relation.INITIALISED,
            results=(parameter,),
            hazard=("value",),
            parameters={"role": kind},
            change=f"{parameter} holds {words}, in place of what the memory held",
        ),
    )


def _root_of_five(module: Module, at: ast.AST) -> str:
    spelled = module.names.reference("math.sqrt", at)
    return f"{spelled.text}(5)" if spelled is not None and not spelled.edits else "5**0.5"


RULE = Rule(
    name="param-uninitialised",
    summary="a parameter of uninitialised memory (`torch.empty`, `torch.Tensor(a, b)`) that nothing initialises",
    severity=Severity.ERROR,
    triggers=((b"Parameter(", b"register_buffer("), (b"empty(", b"Tensor(", b"empty_like(")),
    anchor=re.compile(r"Parameter\(|register_buffer\("),
    nodes=(ast.Call,),
    check=check,
    at_anchor=True,
    beside=re.compile(r"empty\(|Tensor\(|empty_like\("),
)
