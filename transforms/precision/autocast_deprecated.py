"""`torch.cuda.amp.autocast` and its kin are deprecated in favour of `torch.amp.autocast("cuda")`.

The defect
----------
Mixed precision is entered through the names that belong to one device, `torch.cuda.amp.autocast(...)` or
`torch.cpu.amp.autocast(...)`.

Why it hurts
------------
They are deprecated since PyTorch 2.4 and warn at every construction, in every worker. The names go away in a later
release, and a script that is pinned to them stops with an AttributeError. Their first positional argument is `enabled`,
that of the replacement is the device and its second the dtype, so a replacement by hand that keeps the position
changes the meaning.

Before
------

    with torch.cuda.amp.autocast(use_amp):
        loss = criterion(model(batch), target)

After
-----

    with torch.amp.autocast("cuda", enabled=use_amp):
        loss = criterion(model(batch), target)

Try it
------

    import warnings

    import torch

    use_amp = False
    with warnings.catch_warnings(record=True) as before:
        warnings.simplefilter("always")
        torch.cuda.amp.autocast(use_amp)
    with warnings.catch_warnings(record=True) as after:
        warnings.simplefilter("always")
        torch.amp.autocast("cuda", enabled=use_amp)
    assert any(warning.category is FutureWarning for warning in before)
    assert not any(warning.category is FutureWarning for warning in after)

When the fix is safe
--------------------
`torch.cuda.amp.autocast` is a subclass that passes these very arguments on. Positional arguments become keywords.
`torch.amp.autocast` takes the device since PyTorch 1.10. The verifier makes both calls with every choice of their
flags and compares what they make: device, dtype, whether they are enabled and cache.

Left alone
----------
`torch.cuda.amp.GradScaler`, whose successor exists since PyTorch 2.3 only; calls that unpack arguments; names that a
`try` or an `if` imports from one place or another; an own function of this name. Where the name itself is imported
(`from torch.cuda.amp import autocast`) and used more than once, the finding says what to change.

Sources
-------
PyTorch documentation: "Automatic Mixed Precision package", deprecation notes of `torch.cuda.amp` and `torch.cpu.amp`.
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
from autofix.tree import walk

_OLD = re.compile(r"^torch\.(cuda|cpu)\.amp\.(?:autocast_mode\.)?autocast$")
_PARAMETERS = ("enabled", "dtype", "cache_enabled")


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    match = _OLD.match(module.qualified(node.func) or "")
    if match is None:
        return
    device = match[1]
    message = (
        f"`torch.{device}.amp.autocast` is deprecated since PyTorch 2.4 and warns at every use; "
        "`torch.amp.autocast` takes the device as its first argument"
    )
    try:
        edits = _edits(module, node, device)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    yield context.finding(
        node,
        message,
        fix=Fix(
            title=f'write `torch.amp.autocast("{device}", ...)`, which means the same and does not warn',
            edits=edits,
            applicability=Applicability.SAFE,
            claim=Claim(Relation.EQUAL, region=module.span(node), hazard=("warning",), parameters={"call": "autocast"}),
        ),
    )


def _edits(module: Module, node: ast.Call, device: str) -> tuple[Edit, ...]:
    """The call with the device first and every argument by its name, and the import it needs.

    Raises:
        Unrewritable: the call unpacks its arguments, or the name is imported and used elsewhere too.
    """
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        raise Unrewritable("the call unpacks its arguments")
    moved = _moved_import(module, node) if isinstance(node.func, ast.Name) else ()
    if moved:
        return (*moved, *_arguments(module, node, device))
    reference = module.names.reference("torch.amp.autocast", node)
    if reference is None:
        raise Unrewritable("`torch` is another name here")
    called = rewrite.replace(module, node.func, reference.text)
    return (*reference.edits, *called, *_arguments(module, node, device))


def _arguments(module: Module, node: ast.Call, device: str) -> Iterator[Edit]:
    """The device goes first; what was positional gets its name, since its position is the dtype's now."""
    starts = sorted(module.chars(a)[0] for a in (*node.args, *node.keywords))
    first = starts[0] if starts else module.chars(node)[1] - 1
    for value, name in zip(node.args, _PARAMETERS, strict=False):
        start, _ = module.chars(value)
        lead = f'"{device}", ' if start == first else ""
        yield Edit(module.char_span(start, start), f"{lead}{name}=")
    if not node.args:
        yield Edit(module.char_span(first, first), f'"{device}", ' if starts else f'"{device}"')


def _moved_import(module: Module, node: ast.Call) -> tuple[Edit, ...]:
    """The edit of `from torch.cuda.amp import name`, where that import brings this name only, and for this call only.

    Raises:
        Unrewritable: the name has other uses, or the import brings other names.
    """
    assert isinstance(node.func, ast.Name)
    local = node.func.id
    advice = f"import it with `from torch.amp import {local}` and give each use the device"
    imports = [
        statement
        for statement in module.tree.body
        if isinstance(statement, ast.ImportFrom) and any((a.asname or a.name) == local for a in statement.names)
    ]
    uses = [n for n in walk(module.tree) if isinstance(n, ast.Name) and n.id == local]
    if len(imports) != 1 or len(imports[0].names) != 1 or len(uses) != 1 or imports[0].names[0].asname:
        raise Unrewritable(f"the name is imported and used in several places: {advice}")
    statement = imports[0]
    start, end = module.chars(statement)
    if any(start <= at < end for at, _ in module.comments):
        raise Unrewritable(f"the import carries a comment: {advice}")
    return (Edit(module.char_span(start, end), f"from torch.amp import {local}"),)


RULE = Rule(
    name="autocast-deprecated",
    summary='`torch.cuda.amp.autocast()` becomes `torch.amp.autocast("cuda")`',
    severity=Severity.INFO,
    triggers=((b"autocast(",), (b"cuda.amp", b"cpu.amp", b"cuda import amp", b"cpu import amp")),
    anchor=re.compile(r"autocast\("),
    nodes=(ast.Call,),
    check=check,
)
