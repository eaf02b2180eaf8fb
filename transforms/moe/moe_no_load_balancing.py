"""Tokens are sent to the top experts of a router, and nothing keeps the router from always choosing the same ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autofix.model import Finding, Severity
from autofix.ops import constant
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.transforms.moe._balancing import balancing_fix
from autofix.transforms.moe._experts import ANCHOR, TRIGGERS, Layer, Selection, layer_at, report
from autofix.transforms.moe._surroundings import balances, hands_out_routing, is_trainable


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    module = context.module
    layer = layer_at(module, node)
    if layer is None or not layer.selections or not is_trainable(module, layer):
        return
    if balances(module) or hands_out_routing(module, layer):
        return
    selection = _choice(layer)
    if selection is None or _chooses_tokens(context, selection):
        return
    message = (
        f"{layer.cls.name} sends each token to the experts that its router scores highest and nothing balances their "
        "load: experts that are chosen early learn more and are chosen more, until a few do all the work"
    )
    try:
        yield report(context, layer, message, fix=balancing_fix(module, layer, selection))
    except Unrewritable as reason:
        yield report(context, layer, message, why=str(reason))


def _choice(layer: Layer) -> Selection | None:
    """The choice of experts, where the layer makes one alone."""
    chosen = [s for s in layer.selections if s.op.name in ("topk", "argmax", "max")]
    return chosen[0] if len(chosen) == 1 else None


def _chooses_tokens(context: Context, selection: Selection) -> bool:
    """Whether experts choose tokens (the load is then even by construction): the choice is along the first dimension,
    or along one that the softmax is not."""
    dim = constant(context.module, selection.op.args.get("dim"))
    return dim is not None and dim not in (-1, 1, 2)


RULE = Rule(
    name="moe-no-load-balancing",
    summary="A sparse mixture of experts is trained without anything that balances the experts' load.",
    severity=Severity.WARNING,
    triggers=(*TRIGGERS, (b"topk", b"argmax", b".max(")),
    anchor=ANCHOR,
    nodes=(ast.FunctionDef,),
    check=check,
)
