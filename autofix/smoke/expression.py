"""Plans the trial of a rewritten expression: what runs before and after, and what its leaves are."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autofix.edits import apply_edits
from autofix.model import Fix, Problem, Relation, Source
from autofix.smoke import affected, twins
from autofix.smoke.affected import Argument
from autofix.smoke.helpers import Unopenable
from autofix.smoke.job import Job
from autofix.smoke.leaves import Opener
from autofix.smoke.naming import Leaf, words
from autofix.smoke.places import by_function, is_constructor, locate
from autofix.smoke.roles import assign_roles
from autofix.smoke.shapes import chains
from autofix.smoke.slices import (
    Place,
    Slice,
    changed_in_place,
    consumers,
    cut,
    loads,
    readers,
    stores,
)
from autofix.syntax import Module, parse

_BACK = (4, 2, 1, 0)
_CONSUMERS = 3
_SOFTMAX, _SELECTS = re.compile("softmax", re.I), re.compile(r"top_?k|argmax|argsort|\bsort\b", re.I)
_READERS = 6
_NESTED = 4  # opaque calls within one another
_MADE = words("""
    zeros ones full empty new_zeros new_full new_ones zeros_like full_like ones_like triu tril
""")


def plan(module: Module, fix: Fix) -> Job | str:
    """An "expression" job for a fix, or why its statements cannot be executed by themselves.

    module: the original file. The fix's edits are applied alone.
    """
    try:
        return _plan(module, fix)
    except Unopenable as error:
        return str(error)
    except RecursionError:
        return "the statements are nested too deeply to be executed by themselves"


def _plan(module: Module, fix: Fix) -> Job | str:
    after = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    if isinstance(after, Problem):
        return f"the patched file does not parse: {after.message}"
    if fix.claim.relation is Relation.CLIP:
        return "a training loop is executed as a block"
    place = locate(module, after, fix)
    if isinstance(place, str):
        return place
    if _holds_functions(place) and fix.claim.region is not None:
        place = locate(module, after, fix, within_region=True)
        if isinstance(place, str):
            return place
    if not _holds_functions(place):
        spec = _spec(module, after, fix, place)
        return spec if isinstance(spec, str) else Job("expression", spec)
    parts = []
    for edits in by_function(module, fix.edits):
        if is_constructor(module, edits[0]) and len(fix.edits) > len(edits):
            continue  # what it makes is seen through where it is used
        place = locate(module, after, fix, chosen=edits)
        if isinstance(place, str) or _holds_functions(place):
            return place if isinstance(place, str) else "the fix touches more than one function"
        spec = _spec(module, after, fix, place)
        if isinstance(spec, str):
            return spec
        parts.append(spec)
    if not parts:
        return "the fix touches more than one function"
    return Job("expression", parts[0] if len(parts) == 1 else {"parts": parts})


def _spec(module: Module, after: Module, fix: Fix, place: Place) -> dict[str, Any] | str:
    """What the harness needs to run the statements at one place."""
    relation = fix.claim.relation
    place = _header_only(place)
    quantity = _quantity(fix)
    suffix: list[ast.stmt] = []
    if relation is Relation.CLAMPED and quantity is not None:
        place = _with_earlier_readers(place, quantity)
        suffix = _quantity_readers(place, quantity)
    elif relation is Relation.MASK:
        suffix = _to_softmax(place)
    elif "rounding" in fix.claim.hazard:
        suffix = _up_to(place, _SELECTS)
    imported = frozenset(a.asname or a.name.partition(".")[0] for a in ast.walk(after.tree) if isinstance(a, ast.alias))
    variants: list[dict[str, Any]] = []
    assumptions: list[str] = list(fix.claim.assumptions)
    reason = ""
    for back in _BACK:
        for tail in [suffix, []] if suffix and relation is Relation.MASK else [suffix]:
            part = cut(place, back, tail, imported=imported)
            variant = _variant(module, after, fix, place, part, quantity)
            if isinstance(variant, str):
                reason = reason or variant
            elif variant not in variants:
                assumptions += [a for a in variant.pop("assumptions") if a not in assumptions]
                variants.append(variant)
    if not variants:
        return reason
    return {
        "relation": relation.value,
        "hazards": list(fix.claim.hazard),
        "parameters": dict(fix.claim.parameters),
        "change": fix.claim.change,
        "extra": list(fix.claim.extra),
        "assumptions": assumptions,
        "variants": variants,
    }


def _holds_functions(place: Place) -> bool:
    return any(isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for s in place.before)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A slice with every opaque part as a leaf. added: leaves that only the patched code reads, by text; gone: texts
    of those that only the original's changed statements read."""

    leaves: dict[str, Leaf]
    helpers: dict[str, str]
    whole: frozenset[str]
    prefix: list[ast.stmt]
    before: list[ast.stmt]
    after: list[ast.stmt]
    suffix: list[ast.stmt]
    added: dict[str, Leaf]
    gone: frozenset[str]


def _open(
    module: Module, after: Module, part: Slice, through: Mapping[str, Argument], methods: bool, carrier: str
) -> _Opened:
    leaves: dict[str, Leaf] = {}
    helpers: dict[str, str] = {}
    every = [*part.prefix, *part.before, *part.suffix]
    whole = chains([*every, *part.after], stores([*every, *part.after]), module)
    old = Opener(module, leaves, helpers, whole=whole, through=through, methods=methods, carrier=carrier)
    prefix = old.open(part.prefix, result=False)
    bound, shared = set(old.bound), set(old.used)
    old.used.clear()
    before = old.open(part.before)
    own = set(old.used)
    old.used.clear()
    suffix = old.open(part.suffix, result=False)
    shared |= old.used
    known = set(leaves)
    new = Opener(after, leaves, helpers, whole=whole, through=through, methods=methods, carrier=carrier)
    new.bound = bound
    patched = new.open(part.after)
    for statement in [*prefix, *before, *patched, *suffix]:
        ast.fix_missing_locations(statement)
    added = {text: leaf for text, leaf in leaves.items() if text not in known}
    gone = frozenset(text for text, leaf in leaves.items() if leaf.name in own - shared - new.used)
    return _Opened(leaves, helpers, whole, prefix, before, patched, suffix, added, gone)


def _callee(text: str) -> str:
    call = ast.parse(text, mode="eval").body
    return ast.unparse(call.func) if isinstance(call, ast.Call) else text


def _variant(
    module: Module,
    after: Module,
    fix: Fix,
    place: Place,
    part: Slice,
    quantity: str | None,
    methods: bool = False,
) -> dict[str, Any] | str:
    """What the harness runs for one slice. methods: short methods of the class run too, where the patched code would
    read what a call of one returns and the original does not."""
    through: dict[str, Argument] = {}
    carrier = str(fix.claim.parameters.get("carrier", ""))
    for _ in range(_NESTED):
        opened = _open(module, after, part, through, methods, carrier)
        new_calls = affected.passed_on(opened.gone, opened.added)
        if not new_calls.keys() - through.keys():
            break
        through |= new_calls
    leaves, helpers, added = opened.leaves, opened.helpers, opened.added
    prefix, before, patched, suffix = opened.prefix, opened.before, opened.after, opened.suffix
    every = dict(leaves)
    by_name = {leaf.name: leaf for leaf in leaves.values()}
    of_tensors = twins.bind_attributes(leaves)
    for leaf in leaves.values():
        if leaf.text.endswith("parameters()") and "last alone" in fix.claim.hazard:
            leaf.roles = ["parameters"]
    assign_roles(by_name, [[*of_tensors, *prefix, *side, *suffix] for side in (before, patched)])
    told, stated = twins.bind(leaves, added)
    shares = leaves.get(str(fix.claim.parameters.get("simplex", "")))
    if shares is not None:
        shares.domain, shares.assumption = "simplex", f"{shares.text} holds probabilities that sum up to 1"
    told = [*told, *of_tensors]
    prefix = [*told, *prefix]
    foreign = [text for text, leaf in added.items() if leaf.roles[0] in ("float", "bool", "binary", "index")]
    if foreign and not methods:
        return _variant(module, after, fix, place, part, quantity, methods=True)
    if foreign:
        return f"the patched code reads {', '.join(foreign)}, which the original statements do not"
    results = _results(fix, [*before, *suffix], [*patched, *suffix], quantity, loads(place.following))
    if not results:
        return "the statements leave no result to compare"
    if fix.claim.relation in (Relation.EQUAL, Relation.MASK) and not fix.claim.results and not fix.claim.extra:
        results = affected.focused(results, [*before, *suffix], [*patched, *suffix])
    stated += dict.fromkeys(f"what `{_callee(text)}` makes of its argument is left out" for text in through)
    reference = None
    if quantity is not None and fix.claim.relation is Relation.CLAMPED:
        reference = _reference(module, fix, part, every, helpers, opened.whole, quantity, through)
        reference["prefix"] = "\n".join(t for t in (_text(told), reference["prefix"]) if t)
    spec: dict[str, Any] = {
        "prelude": "\n".join(
            ["import torch", "import math", *_numpy([*prefix, *before, *suffix, *patched]), *helpers.values()]
        ),
        "prefix": _text(prefix),
        "before": _text(before),
        "after": _text(patched),
        "suffix": _text(suffix),
        "reach": _first_change(_text(before), _text(patched)),
        "results": results,
        "mode": "softmax" if fix.claim.relation is Relation.MASK else "results",
        "without_softmax": "append-added" if _is_additive(place.before) else "append",
        "leaves": [leaf.as_json() for leaf in leaves.values()],
        "assumptions": [*stated, *(leaf.assumption for leaf in leaves.values() if leaf.assumption)],
    }
    if reference is not None:
        spec["reference"] = reference
    return spec


def _numpy(statements: Sequence[ast.stmt]) -> list[str]:
    return ["import numpy"] if any("numpy" in loads([s]) or "np" in loads([s]) for s in statements) else []


def _text(statements: Sequence[ast.stmt]) -> str:
    return "\n".join(ast.unparse(s) for s in statements)


def _first_change(before: str, after: str) -> int:
    """The 1-based line of the first changed statement when it stands under a branch or loop, else 0."""
    new = after.splitlines()
    for number, line in enumerate(before.splitlines()):
        if number >= len(new) or line != new[number]:
            return number + 1 if line.startswith(" ") else 0
    return 0


def _results(
    fix: Fix, before: Sequence[ast.stmt], after: Sequence[ast.stmt], quantity: str | None, later: set[str]
) -> list[str]:
    if fix.claim.results:
        return list(fix.claim.results)
    ordered: list[str] = []
    for statement in before:
        for name in sorted(stores([statement])):
            if name in ordered:
                ordered.remove(name)
            ordered.append(name)
    patched = stores(after)
    own = {quantity, re.sub(r"\W+", "_", quantity or "")}  # `self.logvar` is opened as `self_logvar`
    out = [n for n in ordered if (n in patched or n in later) and n not in own]
    if not out and quantity is not None and quantity in patched:
        return [quantity]
    changed = [n for n in changed_in_place(after) if n not in out and n != quantity]
    return out + changed


# -- masks -----------------------------------------------------------------------------------------------------


def _to_softmax(place: Place) -> list[ast.stmt]:
    """The consumers up to the first softmax; none when it is not in view."""
    if any("softmax" in ast.unparse(s) for s in place.changed_before):
        return []
    return _up_to(place, _SOFTMAX)


def _up_to(place: Place, wanted: re.Pattern[str]) -> list[ast.stmt]:
    """The consumers up to the first whose text holds `wanted`; none when none does."""
    found = consumers(place, stores(place.changed_before) | stores(place.changed_after), _CONSUMERS)
    for index, statement in enumerate(found):
        if wanted.search(ast.unparse(statement)):
            return found[: index + 1]
    return []


def _is_additive(statements: Sequence[ast.stmt]) -> bool:
    """Whether the statements make a mask to be added to scores, rather than mask scores."""
    for statement in statements:
        for node in ast.walk(statement):
            if (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Mult)
                and (_is_large(node.left) or _is_large(node.right))
            ):
                return True
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in _MADE:
                    return True
    return False


def _is_large(node: ast.expr) -> bool:
    text = ast.unparse(node)
    if "finfo" in text or "inf" in text:
        return True
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(value, (int, float)) and value <= -100


# -- clamped quantities ----------------------------------------------------------------------------------------


def _quantity(fix: Fix) -> str | None:
    text = fix.claim.parameters.get("quantity")
    if not isinstance(text, str):
        return None
    try:
        return ast.unparse(ast.parse(text.strip(), mode="eval"))
    except (SyntaxError, ValueError):
        return None


def _with_earlier_readers(place: Place, quantity: str) -> Place:
    """Take in the statements that read the quantity between its definition and the patched statements."""
    reads: list[int] = []
    for index, statement in enumerate(place.preceding):
        if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            if quantity in stores([statement]):
                break
            continue
        if quantity in stores([statement]):
            break
        if _reads(statement, quantity):
            reads.append(index)
    if not reads or len(reads) > _READERS:
        return place
    end = reads[-1] + 1
    taken = tuple(reversed(place.preceding[:end]))
    chosen = frozenset(place.preceding[i] for i in reads)
    return replace(
        place,
        preceding=place.preceding[end:],
        before=(*taken, *place.before),
        after=(*taken, *place.after),
        changed_before=place.changed_before | chosen,
        changed_after=place.changed_after | chosen,
    )


def _quantity_readers(place: Place, quantity: str) -> list[ast.stmt]:
    if quantity.isidentifier():
        return readers(place, quantity, _READERS)
    found: list[ast.stmt] = []
    found += (s for s in place.following if isinstance(s, (ast.Assign, ast.Return)) and _reads(s, quantity))
    return found[:_READERS]


def _reads(statement: ast.stmt, quantity: str) -> bool:
    if quantity.isidentifier():
        return quantity in loads([statement])
    return any(isinstance(n, ast.expr) and ast.unparse(n) == quantity for n in ast.walk(statement))


def _reference(
    module: Module,
    fix: Fix,
    part: Slice,
    leaves: Mapping[str, Leaf],
    helpers: dict[str, str],
    whole: frozenset[str],
    quantity: str,
    through: Mapping[str, Argument],
) -> dict[str, str]:
    """The original with the quantity clamped wherever it is read."""
    low, high = fix.claim.parameters.get("min"), fix.claim.parameters.get("max")

    def clamped(value: ast.expr) -> ast.expr:
        bounds = [ast.keyword(k, _bound(v)) for k, v in (("min", low), ("max", high)) if v is not None]
        if not bounds:
            return value
        return ast.Call(ast.parse("torch.clamp", mode="eval").body, [value], bounds)

    wrap = None if quantity.isidentifier() else (quantity, clamped)
    opener = Opener(module, dict(leaves), helpers, wrap=wrap, whole=whole, through=through)
    prefix = opener.open(part.prefix, result=False)
    before = opener.open(part.before)
    suffix = opener.open(part.suffix, result=False)
    if wrap is None:
        rebind = ast.Assign([ast.Name(quantity, ast.Store())], clamped(ast.Name(quantity, ast.Load())))
        before = _clamp_at_definition(before, rebind, quantity)
    for statement in [*prefix, *before, *suffix]:
        ast.fix_missing_locations(statement)
    return {"prefix": _text(prefix), "body": _text(before), "suffix": _text(suffix)}


def _clamp_at_definition(statements: list[ast.stmt], rebind: ast.stmt, name: str) -> list[ast.stmt]:
    """Clamp the name where the statements define it, or first of all where they only read it."""
    for index, statement in enumerate(statements):
        if name in loads([statement]):
            return [*statements[:index], rebind, *statements[index:]]
        if name in stores([statement]):
            return [*statements[: index + 1], rebind, *statements[index + 1 :]]
    return [rebind, *statements]


def _bound(value: str | int | float | bool | None) -> ast.expr:
    if isinstance(value, str):
        return ast.parse(value, mode="eval").body
    if isinstance(value, float) and math.isinf(value):
        return ast.parse(f"float({str(value)!r})", mode="eval").body
    return ast.parse(repr(value), mode="eval").body


# -- headers ---------------------------------------------------------------------------------------------------


def _header_only(place: Place) -> Place:
    """`if torch.exp(x) > 1: ...` whose test alone is changed: only the test is run."""
    if len(place.before) != 1 or len(place.after) != 1:
        return place
    old, new = place.before[0], place.after[0]
    if type(old) is not type(new) or not isinstance(old, (ast.If, ast.While, ast.For)):
        return place
    if [ast.dump(s) for s in old.body] != [ast.dump(s) for s in new.body]:  # type: ignore[attr-defined]
        return place
    one, two = (ast.Return(s.iter if isinstance(s, ast.For) else s.test) for s in (old, new))  # type: ignore[attr-defined]
    return replace(
        place,
        before=(one,),
        after=(two,),
        changed_before=frozenset((one,)),
        changed_after=frozenset((two,)),
    )
