"""Plans the trial of a patch to what a class's parameters hold: the class, before and after, to be constructed."""

from __future__ import annotations

import ast

from autofix.model import Fix, Problem, Relation, Source
from autofix.patch import apply_edits
from autofix.smoke.job import Job
from autofix.syntax import Module, parse


def is_about_construction(fix: Fix) -> bool:
    """Whether a fix is tried by constructing the class that it changes."""
    return fix.claim.relation is Relation.INITIALISED


def plan(module: Module, fix: Fix) -> Job | str:
    """A job for a fix of relation INITIALISED, or why it cannot be executed."""
    after = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    if isinstance(after, Problem):
        return f"the patched file does not parse: {after.message}"
    names = [result.removeprefix("self.") for result in fix.claim.results]
    if not names or not all(name.isidentifier() for name in names):
        return "the fix names no parameter"
    cls = _class(module, fix)
    if cls is None:
        return "the patch stands in no class at the top level of the file"
    return Job(
        "construction",
        {
            "before": module.text,
            "after": after.text,
            "class": cls,
            "names": names,
            "role": str(fix.claim.parameters.get("role", "weight")),
            "fading": "fading" in fix.claim.hazard,
            "rectified": fix.claim.parameters.get("behind") == "relu",
            "assumptions": list(fix.claim.assumptions),
            "change": fix.claim.change,
        },
    )


def _class(module: Module, fix: Fix) -> str | None:
    """The class at the top level that holds every edit, imports aside; what stands below its last statement and above
    the next one counts as inside."""
    spans = [e.span for e in fix.edits if not e.text.strip().startswith(("import ", "from "))]
    body = module.tree.body
    ends = [*(module.span(n).start for n in body[1:]), len(module.data)]
    for node, end in zip(body, ends, strict=True):
        if isinstance(node, ast.ClassDef) and spans:
            start = module.span(node).start
            if all(start <= s.start and s.end <= end for s in spans):
                return node.name
    return None
