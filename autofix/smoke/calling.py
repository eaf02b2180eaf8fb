"""Plans the trial of a call that a patch spells otherwise: the call itself, before and after, on the same arguments."""

from __future__ import annotations

import ast
import re

from autofix.edits import apply_edits
from autofix.model import Fix, Problem, Source
from autofix.smoke.helpers import Unopenable
from autofix.smoke.job import Job
from autofix.smoke.leaves import Opener
from autofix.smoke.naming import Leaf
from autofix.syntax import Module, parse

_DTYPE = re.compile(r"dtype|precision")


def is_about_a_call(fix: Fix) -> bool:
    """Whether a fix is tried by making its call alone: one that warns wherever it stands."""
    return fix.claim.hazard == ("warning",) and "call" in fix.claim.parameters


def plan(module: Module, fix: Fix) -> Job | str:
    """A "calling" job for a fix whose region is a call, or why it cannot be executed."""
    after = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    if isinstance(after, Problem):
        return f"the patched file does not parse: {after.message}"
    name, region = str(fix.claim.parameters["call"]), fix.claim.region
    one, two = _calls(module, name), _calls(after, name)
    number = sum(module.span(c).start < region.start for c in one) if region is not None else 0
    if len(one) != len(two) or number >= len(one):
        return "the call is not found in both files"
    leaves: dict[str, Leaf] = {}
    try:
        before_text, after_text = _opened(module, one[number], leaves), _opened(after, two[number], leaves)
    except Unopenable as error:
        return str(error)
    if before_text is None or after_text is None:
        return "what is called is not in view"
    kinds = {leaf.name: "dtype" if _DTYPE.search(leaf.text.lower()) else "flag" for leaf in leaves.values()}
    return Job(
        "calling",
        {"before": before_text, "after": after_text, "leaves": kinds, "assumptions": list(fix.claim.assumptions)},
    )


def _calls(module: Module, name: str) -> list[ast.Call]:
    """The calls of what has this last name, in the order of the file."""
    found = [
        n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and ast.unparse(n.func).rpartition(".")[2] == name
    ]
    return sorted(found, key=lambda n: module.span(n).start)


def _opened(module: Module, call: ast.Call, leaves: dict[str, Leaf]) -> str | None:
    """The call with the library's name in full and what its arguments read as leaves."""
    dotted = module.qualified(call.func)
    if dotted is None or not dotted.startswith("torch."):
        return None
    opener = Opener(module, leaves, {})
    args = [opener.expression(a) for a in call.args]
    keywords = [ast.keyword(k.arg, opener.expression(k.value)) for k in call.keywords]
    return ast.unparse(ast.Call(ast.parse(dotted, mode="eval").body, args, keywords))
