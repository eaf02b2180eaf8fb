"""`clip_grad_norm`, the deprecated name of `clip_grad_norm_`.

The defect
----------
`torch.nn.utils.clip_grad_norm` without the underscore has been deprecated since PyTorch 0.4.

Why it hurts
------------
Today it warns and calls `clip_grad_norm_`. A `FutureWarning` is shown once for a place, and training scripts filter
warnings; when the name goes, the script stops at its first step. The underscore also says what the function does: it
changes the gradients in place.

Before
------

    loss.backward()
    torch.nn.utils.clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()

After
-----

    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

Try it
------

    import warnings

    import torch

    seen = {}
    for name in ("clip_grad_norm", "clip_grad_norm_"):
        clip = getattr(torch.nn.utils, name, None)
        if clip is None:  # removed by now
            continue
        weight = torch.nn.Parameter(torch.ones(3))
        (weight * 100).sum().backward()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clip([weight], 1.0)
        seen[name] = (weight.grad.tolist(), len(caught))
    assert seen["clip_grad_norm_"][1] == 0
    if "clip_grad_norm" in seen:
        assert seen["clip_grad_norm"] == (seen["clip_grad_norm_"][0], 1)

When the fix is safe
--------------------
Both names run the same function with the same arguments: every step is bit for bit what it was.

Left alone
----------
Functions of that name that are not torch's, and names imported from elsewhere.

Sources
-------
PyTorch documentation: `torch.nn.utils.clip_grad_norm` and `clip_grad_norm_`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity, Span
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.tree import walk

_OLD = "clip_grad_norm"
_ROOMS = ("torch.nn.utils", "torch.nn.utils.clip_grad")
_MESSAGE = "torch.nn.utils.clip_grad_norm is deprecated and may go; clip_grad_norm_ is the same function"


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    if isinstance(node, ast.Attribute):
        if node.attr == _OLD and (module.qualified(node) or "").rpartition(".")[0] in _ROOMS:
            yield context.finding(node, _MESSAGE, fix=_fix((_appended(module, node),)))
        return
    if not isinstance(node, ast.ImportFrom) or node.module not in _ROOMS or node.level:
        return
    for alias in node.names:
        if alias.name != _OLD:
            continue
        edits = _import_edits(module, node, alias)
        if edits is None:
            yield context.finding(node, _MESSAGE, why="the imported name means something else elsewhere in the file")
        else:
            yield context.finding(node, _MESSAGE, fix=_fix(edits, _first_use(module, alias)))


def _appended(module: Module, node: ast.AST) -> Edit:
    """The underscore behind the name that ends here."""
    return module.insertion(module.chars(node)[1], "_")


def _import_edits(module: Module, node: ast.ImportFrom, alias: ast.alias) -> tuple[Edit, ...] | None:
    """The import and, without `as`, every use of the name."""
    start, end = module.chars(node)
    at = module.chars(alias)[0] + len(_OLD)
    named = Edit(module.char_span(start, end), f"{module.text[start:at]}_{module.text[at:end]}")
    if alias.asname is not None:
        return (named,)
    uses = [n for n in walk(module.tree) if isinstance(n, ast.Name) and n.id == _OLD]
    if any((module.qualified(n) or "").rpartition(".")[0] not in _ROOMS for n in uses):
        return None
    if f'"{_OLD}"' in module.text or f"'{_OLD}'" in module.text:  # `__all__`, or a look-up by name
        return None
    also = any(a.name == f"{_OLD}_" for a in node.names)
    return None if also else (named, *(_appended(module, n) for n in uses))


def _first_use(module: Module, alias: ast.alias) -> Span | None:
    name = alias.asname or alias.name
    use = next((n for n in walk(module.tree) if isinstance(n, ast.Name) and n.id == name), None)
    return None if use is None else module.span(use)


def _fix(edits: tuple[Edit, ...], region: Span | None = None) -> Fix:
    return Fix(
        title="call clip_grad_norm_, the same function under the name that stays",
        edits=edits,
        applicability=Applicability.SAFE,
        claim=Claim(Relation.EQUAL, region=region, hazard=("warning",)),
    )


RULE = Rule(
    name="grad-clip-deprecated",
    summary="`clip_grad_norm` is the deprecated name of `clip_grad_norm_`.",
    severity=Severity.INFO,
    triggers=((re.compile(rb"clip_grad_norm(?![\w])"),), (b"torch",)),
    anchor=re.compile(r"clip_grad_norm(?!\w)"),
    nodes=(ast.Attribute, ast.ImportFrom),
    check=check,
)
