"""What the two rules of the family share: which sites they report, and how a site is rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import DEFAULT, dtype_of, float_dtype_of, is_plain
from autofix.transforms.masks._purpose import (
    dtype_guarded,
    in_sampler,
    is_scripted,
    keeps_one,
    reaches_attention,
    uses_torch,
)
from autofix.transforms.masks._reach import End, Fate, follow
from autofix.transforms.masks._rewriting import Writer, hoisted
from autofix.transforms.masks._sites import Site, inverted_operand, site_at
from autofix.transforms.masks._sums import clamped_sums, masked_sum, sum_around

_HALF_LIMIT = -65504.0
_PROVEN_WIDE = ("torch.float32", "torch.float64", "torch.float")


def findings(node: ast.AST, context: Context, infinite: bool) -> Iterator[Finding]:
    """Findings of one of the two rules at `node`: the one on -inf, or the one on finite constants."""
    module = context.module
    site = site_at(module, node)
    if site is None or (site.number == float("-inf")) != infinite:
        return
    if site.minimum and sum_around(module, site) is None:
        return
    if not uses_torch(module) or in_sampler(module, node) or (not infinite and _handled(module, site)):
        return
    fate = follow(module, site.node, site.in_place)
    if not reaches_attention(module, site, fate) or (infinite and keeps_one(module, site, fate)):
        return
    message = _infinite_message(site) if infinite else _constant_message(site)
    # Every dtype holds such a constant, and it leaks only where scores are thousands apart.
    severity = Severity.INFO if not infinite and not site.minimum and site.number >= _HALF_LIMIT else None
    if infinite and End.REPAIRED in fate.ends:
        why = (
            "the NaN of fully masked rows is replaced after the softmax, and equal weights would take its place; fill "
            "with the dtype's minimum and multiply the weights by the mask instead"
        )
        yield context.finding(site.node, message, why=why, severity=severity)
        return
    if is_scripted(module, node):
        yield context.finding(
            site.node,
            message,
            why="TorchScript does not know torch.finfo; fill outside this function",
            severity=severity,
        )
        return
    if infinite and site.kind == "product":
        why = "no run of this code can tell what it was meant to give; fill with the dtype's minimum by a boolean mask"
        yield context.finding(site.node, message, why=why, severity=severity)
        return
    try:
        fix = _fix(module, site, fate)
    except Unrewritable as error:
        yield context.finding(site.node, message, why=str(error), severity=severity)
        return
    yield context.finding(site.node, message, fix, severity=severity)


def _handled(module: Module, site: Site) -> bool:
    """Whether the constant is right where it stands: chosen by dtype, or huge in proven full precision."""
    if dtype_guarded(module, site):
        return True
    if site.number > -1e8:
        return False
    if site.kind == "product" and site.mask is not None and isinstance(sum_around(module, site), ast.BinOp):
        return float_dtype_of(module, site.mask) in _PROVEN_WIDE
    return site.tensor is not None and dtype_of(module, site.tensor) in _PROVEN_WIDE


# -- words ---------------------------------------------------------------------------------------------------------


def _infinite_message(site: Site) -> str:
    if site.kind == "product":
        return "0 * inf is NaN: this product makes every position NaN that is not masked"
    if site.builds_mask:
        return "a row of this mask with every position masked makes softmax NaN, in the output and in every gradient"
    return "a row with every position masked is all -inf, and softmax makes it NaN, forward and in every gradient"


def _constant_message(site: Site) -> str:
    if site.minimum:
        return (
            "in float16 the minimum plus a score of -16 or below is -inf, so a fully masked row becomes NaN under half "
            "precision"
        )
    shown = f"{site.number:g}"
    if site.number < _HALF_LIMIT:
        if site.kind in ("fill", "index"):
            return f"{shown} does not fit into float16: this fill raises RuntimeError under half precision"
        return f"{shown} overflows to -inf in float16, so a fully masked row becomes NaN under half precision"
    return f"a score that lies {-site.number:g} above the others outweighs this mask: masked positions leak"


def _claim(site: Site, assumptions: tuple[str, ...]) -> Claim:
    if site.number == float("-inf"):
        return Claim(Relation.MASK, hazard=("value", "gradient"), assumptions=assumptions)
    if site.minimum:
        return Claim(Relation.MASK, hazard=("value", "gradient"), assumptions=assumptions)
    hazard: tuple[str, ...] = ("leak",)
    if site.number < _HALF_LIMIT:
        hazard = ("exception", "value", "leak")
    change = "a fully masked row gets equal weights, and a masked position none however large its score is"
    if site.builds_mask:
        change += "; in float16 the sum of the mask and a score of -16 or below is -inf unless it is clamped"
    return Claim(Relation.MASK, hazard=hazard, change=change, assumptions=assumptions)


# -- fixes ---------------------------------------------------------------------------------------------------------


def _fix(module: Module, site: Site, fate: Fate) -> Fix:
    writer = Writer(module, site.node)
    assumptions: tuple[str, ...] = ()
    title = "mask with the minimum of the dtype, which every dtype holds and softmax turns into zero"
    if site.kind == "product":
        around = sum_around(module, site)
        if around is not None:
            edits = masked_sum(writer, site, around)
            assumptions = (f"{module.source(_mask_name(module, site))} holds zeros and ones",)
            title = "fill by a boolean mask with the minimum of the dtype, so that no sum can overflow"
        else:
            edits = _built_by_product(writer, site, fate)
    elif site.tensor is not None and site.kind != "full":
        edits = _filled(writer, site, site.tensor)
    else:
        edits = _built(writer, site, fate)
    edits = (*edits, *clamped_sums(writer, site, fate))
    return Fix(title, edits, Applicability.SAFE, _claim(site, assumptions))


def _mask_name(module: Module, site: Site) -> ast.expr:
    mask = site.mask
    if mask is None:
        raise Unrewritable("the mask is not in view")
    return inverted_operand(module, mask) or mask


def _filled(writer: Writer, site: Site, tensor: ast.expr) -> tuple[Edit, ...]:
    """Scores that are filled: the minimum of their own dtype, in a statement of its own where they have no name."""
    dtype = dtype_of(writer.module, tensor)
    if dtype is not None:
        return writer.minimum(site.value, dtype)
    if site.kind == "index":
        raise Unrewritable("the tensor being filled has no name here; bind it to one first")
    return hoisted(writer, site, tensor)


def _built(writer: Writer, site: Site, fate: Fate) -> tuple[Edit, ...]:
    """A mask under construction: the dtype it is cast to later, or the one it is created with."""
    module = writer.module
    own = DEFAULT
    call = site.node
    if isinstance(call, ast.Call):
        given = next((k.value for k in call.keywords if k.arg == "dtype"), None)
        if given is not None:
            if not is_plain(given):
                raise Unrewritable("the dtype that the mask is created with is an expression; name it first")
            return writer.minimum(site.value, module.source(given))
        if site.tensor is not None:
            found = dtype_of(module, site.tensor)
            if found is None:
                raise Unrewritable("the tensor that gives the mask its dtype has no name here")
            own = found
    later = writer.visible_cast(fate)
    if later is None:
        if own == DEFAULT and site.number > _HALF_LIMIT:
            raise Unrewritable("the dtype of the scores that this mask is added to is not in view")
        return writer.minimum(site.value, own)
    if isinstance(call, ast.Call) and module.qualified(call.func) == "torch.full":
        return writer.minimum_with_dtype(site.value, call, later)
    return writer.minimum(site.value, later)


def _built_by_product(writer: Writer, site: Site, fate: Fate) -> tuple[Edit, ...]:
    """`(1 - m) * v` that is added to scores elsewhere."""
    module = writer.module
    factor = site.mask
    if factor is None:
        raise Unrewritable("the mask is not in view")
    own = float_dtype_of(module, factor)
    later = writer.visible_cast(fate)
    if own is not None and (later is None or later == own):
        return writer.factor_minimum(site, own)
    if later is not None:
        return writer.cast_factor(site, factor, later)
    return writer.named_factor(site, factor)
