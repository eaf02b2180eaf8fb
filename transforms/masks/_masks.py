"""What the two rules of the family share: which sites they report, and how a site is rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context
from autofix.syntax import Module
from autofix.transforms.masks._dtypes import DEFAULT, dtype_of, float_dtype_of, is_plain
from autofix.transforms.masks._promotion import added_in_place, overflows
from autofix.transforms.masks._purpose import (
    converts_for_makers,
    dtype_guarded,
    in_sampler,
    is_graded,
    is_scripted,
    is_the_weaker,
    reaches_attention,
    stands_in_for_fused,
    uses_torch,
)
from autofix.transforms.masks._reach import End, Fate, follow
from autofix.transforms.masks._rewriting import NOT_IN_VIEW, Writer, hoisted
from autofix.transforms.masks._rows import keeps_one, resolved, shows_closed_rows
from autofix.transforms.masks._sites import Site, inverted_operand, site_at
from autofix.transforms.masks._sums import clamped_sums, masked_sum, sum_around
from autofix.tree import walk

_HALF_LIMIT = -65504.0
_RARE_GAP = 5000.0  # between scores of a model that trains at all
# An anchor for constants under a name: where a mask fills or chooses something other than a small number.
FILLED = r"masked_fill_?\((?![^\n]*,\s*(?:value=)?(?:[01](?:\.0?)?|False|True)\))|where\([^,\n]*,.*self\."


def findings(node: ast.AST, context: Context, infinite: bool) -> Iterator[Finding]:
    """Findings of one of the two rules at `node`: the one on -inf, or the one on finite constants."""
    module = context.module
    site = site_at(module, node)
    if site is None or (site.number == float("-inf")) != infinite:
        return
    judged = _judged(module, site)
    if judged is None:
        return
    fate, severity = judged
    pieces = [site]
    if fate.softmaxes and (fate.joined or isinstance(site.tensor, ast.Name)):
        pieces = _pieces(module, site, fate)
        if pieces[0] is not site:
            return  # the first piece of a softmax's scores speaks for all of them
        severity = _joint_severity(module, pieces)
    message = _message(module, site, fate, severity)
    if len(pieces) > 1:
        message += f" (so do {len(pieces) - 1} more pieces of the same softmax)" if len(pieces) > 2 else (
            " (so does another piece of the same softmax)")  # fmt: skip
    why = _unfixable(module, site, fate)
    if why is not None:
        yield context.finding(site.node, message, why=why, severity=severity)
        return
    try:
        fix = _joint_fix(module, pieces)
    except Unrewritable as error:
        yield context.finding(site.node, message, why=str(error), severity=severity)
        return
    yield context.finding(site.node, message, fix, severity=severity)


_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_Judged = tuple[Fate, Severity]


def _judged(module: Module, site: Site) -> _Judged | None:
    """Where the value of a site goes and how grave that is; None where nothing is wrong."""
    known: dict[ast.AST, _Judged | None] = vars(module).setdefault("_mask_judgements", {})
    if site.node not in known:
        known[site.node] = _judge(module, site)
    return known[site.node]


def _joint_severity(module: Module, pieces: list[Site]) -> Severity:
    """The gravest of several pieces; information where -inf fills some of a softmax's scores and others stay open."""
    judged = [j for p in pieces if (j := _judged(module, p)) is not None]
    filled = {node for fate, _ in judged for node in fate.joined}
    lists = {module.parent(node) for node in filled}
    beside = (e for a in lists if isinstance(a, (ast.List, ast.Tuple)) for e in a.elts if e not in filled)
    if pieces[0].number == float("-inf") and any(beside):
        return Severity.INFO
    return min((severity for _, severity in judged), key=_ORDER.index)


def _judge(module: Module, site: Site) -> _Judged | None:
    infinite = site.number == float("-inf")
    if site.minimum and sum_around(module, site) is None:
        return None
    if not uses_torch(module) or in_sampler(module, site.node) or (not infinite and dtype_guarded(module, site)):
        return None
    fate = follow(module, site.node, site.in_place)
    if not reaches_attention(module, site, fate):
        return None
    severity = _infinite_severity(module, site, fate) if infinite else _constant_severity(module, site, fate)
    return (fate, severity) if severity is not None else None


def _infinite_severity(module: Module, site: Site, fate: Fate) -> Severity | None:
    """An error where the file shows that rows are closed; information where nothing does; None where none is, or where
    the weights' NaN is replaced and the fill keeps its gradient from the scores."""
    if site.kind == "product":
        return Severity.ERROR
    if keeps_one(module, site, fate):
        return None
    repaired = End.REPAIRED in fate.ends or any(_same_mask(module, site, z) for z in fate.zeroed)
    if repaired and End.OUTPUT_REPAIRED not in fate.ends and not site.builds_mask and not _fills_data(site):
        return None
    if stands_in_for_fused(module, site.node):
        return Severity.INFO
    seen = fate.ends & {End.SOFTMAX, End.ATTENTION}
    if site.builds_mask and not seen and "scaled_dot_product_attention" in module.text:
        return Severity.INFO  # which may receive the mask, and gives a closed row zeros
    if _is_handed_as_mask(module, site):
        return Severity.INFO  # most backends give a closed row zeros
    if shows_closed_rows(module, site, fate):
        return Severity.ERROR
    return None if converts_for_makers(module, site) else Severity.INFO


def _is_handed_as_mask(module: Module, site: Site) -> bool:
    """Whether the filled scores become the mask of an attention that is implemented elsewhere."""
    statement = module.statement(site.node)
    named = statement.targets[0] if isinstance(statement, ast.Assign) else site.tensor
    if not isinstance(named, ast.Name):
        return False
    return any(
        isinstance(parent := module.parent(read), ast.keyword) and parent.arg in ("attention_mask", "attn_mask")
        for read in module.flow(named).loads.get(named.id, [])
    )


def _fills_itself(module: Module, site: Site) -> bool:
    """`m.masked_fill(m == 0, -9e15)`: a mask of zeros and ones, perhaps of integers, receives the constant."""
    if site.number == float("-inf") or site.tensor is None or not isinstance(site.mask, ast.Compare):
        return False
    same = ast.dump(site.mask.left) == ast.dump(site.tensor)
    return same and float_dtype_of(module, site.tensor) is None


def _same_mask(module: Module, site: Site, zeroed: ast.expr) -> bool:
    """Whether the weights are set to zero where the scores were filled, by the names in both masks."""
    names = [
        {n.id for n in resolved(module, m) if isinstance(n, ast.Name) and module.qualified(n) is None}
        for m in (site.mask, zeroed)
        if m is not None
    ]
    return len(names) == 2 and bool(names[0] & names[1] - {"self"})


def _fills_data(site: Site) -> bool:
    """`x.data.masked_fill_(...)`: hidden from autograd, so that nothing keeps NaN from the gradient."""
    return isinstance(site.tensor, ast.Attribute) and site.tensor.attr == "data"


def _constant_severity(module: Module, site: Site, fate: Fate) -> Severity | None:
    if is_graded(module, site) or is_the_weaker(module, site):
        return None
    if not site.minimum and site.number >= _HALF_LIMIT:
        return Severity.INFO  # every dtype holds it, and it leaks only where scores are thousands apart
    raises = site.kind in ("fill", "index")
    if End.FUSED in fate.ends and not fate.ends & {End.SOFTMAX, End.ATTENTION} and not raises:
        return None  # a closed row gives zeros there
    if _fills_itself(module, site):
        return Severity.INFO
    overflow = overflows(module, site, fate)
    if overflow and not raises and keeps_one(module, site, fate):
        return Severity.INFO  # -inf leaves such a row finite
    if overflow and not raises and End.PASSED in fate.ends and not fate.ends & {End.SOFTMAX, End.ATTENTION}:
        return Severity.INFO  # an attention elsewhere receives it, and most backends give a closed row zeros
    if overflow:
        return Severity.WARNING
    return Severity.INFO if overflow is None and not site.minimum else None


def _pieces(module: Module, site: Site, fate: Fate) -> list[Site]:
    """Every site whose value is a piece of the same softmax's scores, or that fills them once more, in source order."""
    scope = module.class_of(site.node) or module.function_scope(site.node)
    infinite = site.number == float("-inf")
    out = []
    for node in walk(scope):
        if not isinstance(node, (ast.Call, ast.Assign, ast.BinOp)):
            continue
        other = site_at(module, node)
        if other is None or (other.number == float("-inf")) != infinite:
            continue
        judged = _judged(module, other)
        if judged is None or not set(judged[0].softmaxes) & set(fate.softmaxes):
            continue
        one_after_another = other.node in fate.through or site.node in judged[0].through
        if (judged[0].joined and fate.joined) or other is site or one_after_another:
            out.append(other)
    return sorted(out, key=lambda s: (s.node.lineno, s.node.col_offset)) or [site]


def _unfixable(module: Module, site: Site, fate: Fate) -> str | None:
    """Why a site gets no rewrite, where that is known beforehand."""
    infinite = site.number == float("-inf")
    if infinite and fate.ends & {End.REPAIRED, End.OUTPUT_REPAIRED}:
        return (
            "the NaN of fully masked rows is replaced after the softmax, and equal weights would take its place; fill "
            "with the dtype's minimum and multiply the weights by the mask instead"
        )
    if infinite and stands_in_for_fused(module, site.node):
        return "equal weights would take the place of the zeros that scaled_dot_product_attention gives a closed row"
    if _fills_itself(module, site):
        return "the mask that is filled may hold integers, whose dtype torch.finfo refuses; make it floating first"
    if is_scripted(module, site.node):
        return "TorchScript does not know torch.finfo; fill outside this function"
    if infinite and site.kind == "product":
        return "no run of this code can tell what it was meant to give; fill with the dtype's minimum by a boolean mask"
    return None


# -- words ---------------------------------------------------------------------------------------------------------


def _message(module: Module, site: Site, fate: Fate, severity: Severity) -> str:
    if site.number == float("-inf"):
        return _infinite_message(site, fate, severity)
    return _constant_message(site, severity)


def _infinite_message(site: Site, fate: Fate, severity: Severity) -> str:
    if site.kind == "product":
        return "0 * inf is NaN: this product makes every position NaN that is not masked"
    if End.OUTPUT_REPAIRED in fate.ends:
        return (
            "a row with every position masked gives NaN weights; they are replaced in the output, but the gradient of "
            "the values is NaN wherever such a row looks"
        )
    if End.REPAIRED in fate.ends:
        return (
            "a row with every position masked gives NaN weights; they are replaced in the forward pass, but the "
            "gradient of the scores is NaN"
        )
    if severity is Severity.INFO:
        return (
            "if every position of a row is masked, softmax makes it NaN, forward and backward; nothing here rules such "
            "a row out"
        )
    if site.builds_mask:
        return "a row of this mask with every position masked makes softmax NaN, forward and backward"
    return "a row with every position masked is all -inf, and softmax makes it NaN, forward and backward"


def _constant_message(site: Site, severity: Severity) -> str:
    if site.minimum:
        return (
            "in float16 the minimum plus a score of -16 or below is -inf, so a fully masked row becomes NaN under half "
            "precision"
        )
    shown = f"{site.number:g}"
    if site.number < _HALF_LIMIT:
        if site.kind in ("fill", "index"):
            return f"{shown} does not fit into float16: this fill raises RuntimeError under half precision"
        if severity is Severity.INFO:
            return f"{shown} becomes -inf where it meets float16, and a row that is masked everywhere NaN"
        return f"{shown} overflows to -inf in float16, so a fully masked row becomes NaN under half precision"
    gap = f"{-site.number:g}"
    if -site.number < _RARE_GAP:
        return f"a score that lies {gap} above the others outweighs this mask: masked positions leak"
    return (
        f"this mask hides positions as long as no score lies {gap} above the others, which few do; the minimum of the "
        "dtype hides them from any score"
    )


def _claim(site: Site, assumptions: tuple[str, ...]) -> Claim:
    if site.number == float("-inf"):
        return Claim(Relation.MASK, hazard=("value", "gradient"), assumptions=assumptions)
    if site.minimum:
        return Claim(Relation.MASK, hazard=("value", "gradient"), assumptions=assumptions)
    hazard: tuple[str, ...] = ("leak",)
    if site.number < _HALF_LIMIT:
        hazard = ("exception", "value", "leak")
    change = "a fully masked row gets equal weights, and a masked position none however large its score is"
    return Claim(Relation.MASK, hazard=hazard, change=change, assumptions=assumptions)


# -- fixes ---------------------------------------------------------------------------------------------------------


def _joint_fix(module: Module, pieces: list[Site]) -> Fix:
    """One fix for all pieces of a softmax's scores: none of them helps alone."""
    fixes = [_fix(module, piece) for piece in pieces]
    if len(fixes) == 1:
        return fixes[0]
    edits = tuple(dict.fromkeys(e for fix in fixes for e in fix.edits))
    assumptions = tuple(dict.fromkeys(a for fix in fixes for a in fix.claim.assumptions))
    return Fix(fixes[0].title, edits, Applicability.SAFE, replace(fixes[0].claim, assumptions=assumptions))


def _fix(module: Module, site: Site) -> Fix:
    judged = _judged(module, site)
    if judged is None:
        raise Unrewritable("nothing is wrong here")
    fate = judged[0]
    additive = site.builds_mask and (site.kind != "product" or sum_around(module, site) is None)
    writer = Writer(module, site.node, additive)
    assumptions: tuple[str, ...] = ()
    title = "mask with the minimum of the dtype, which every dtype holds and softmax turns into zero"
    if additive:
        title = "mask with half the minimum of the dtype, so that no score that is added to it can overflow"
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
    """A mask under construction: the dtype it is cast to later, that of the scores that it is added to in place, or the
    one it is created with."""
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
        target = added_in_place(module, site, fate)
        if target is not None:
            return writer.minimum(site.value, writer.bound_before(target))
        if own == DEFAULT and site.number > _HALF_LIMIT:
            raise Unrewritable(NOT_IN_VIEW)
        return writer.minimum(site.value, own)
    if isinstance(call, ast.Call) and module.qualified(call.func) == "torch.full":
        return writer.minimum_with_dtype(site.value, call, later)
    if site.kind == "where" and site.tensor is None and site.mask is not None:
        return writer.minimum_as_tensor(site.value, later, site.mask)
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
