"""A patched file at module level: each class before and after, from the same arguments, seed and inputs.

The patched text is laid over the file while it is imported; the user's tree is not touched, and relative imports and
data files beside it are found as ever.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter
from autofix.smoke.job import Job
from autofix.smoke.modules.index import ClassPlace, index
from autofix.smoke.modules.smoke import IMPORT_SECONDS, ClassReport, report, smoke
from autofix.smoke.modules.targets import Target, resolve
from autofix.smoke.zygote import Zygote

# Float32 sums in another order differ by some 1e-6 a term; three optimizer steps enlarge that, AdamW's division by
# the gradient's own size most of all. Deliberately wrong patches (a doubled loss, a lost term) differ by over 1e-2.
_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Comparison:
    """One class before and after. equal: the same losses and gradient norms on the same seed; None where one of them
    gave no finite figures. detail: in words."""

    before: ClassReport
    after: ClassReport
    equal: bool | None
    detail: str

    @property
    def worse(self) -> bool:
        """Whether the patch broke what ran: it is non-finite or fails now, or a parameter lost its gradient."""
        if not self.before.stepped or self.before.verdict == "non-finite":
            return False
        if self.after.verdict in ("failed", "non-finite", "could-not-synthesise"):
            return True
        return bool(set(self.after.missing_gradient) - set(self.before.missing_gradient))

    @property
    def repaired(self) -> bool:
        """Whether non-finite values are gone."""
        return self.before.verdict == "non-finite" and self.after.stepped and self.after.verdict != "non-finite"


def compare(
    path: Path,
    after: bytes,
    interpreter: Interpreter,
    *,
    names: Collection[str] = (),
    steps: int = 3,
    seed: int = 0,
    seconds: float = 8.0,
    zygote: Zygote | None = None,
) -> list[Comparison] | Problem:
    """The classes of one file, as it is and with the bytes `after` in its place.

    names: only these classes; empty means all. Classes that cannot be run as they are, are left out: they say
    nothing about the patch.
    """
    target = resolve(str(path), interpreter)
    if isinstance(target, Problem):
        return target
    reports = smoke(str(path), interpreter, steps=steps, seed=seed, seconds=seconds, checks=False, zygote=zygote)
    if isinstance(reports, Problem):
        return reports
    known = {p.name: p for p in index(target.files)}
    wanted = [r for r in reports if r.plan and r.stepped and (not names or r.name in names)]
    if not wanted:
        return []
    job = _job(target, [known[r.name] for r in wanted], wanted, after, steps, seed, seconds)
    limit = IMPORT_SECONDS + len(wanted) * seconds
    warm = zygote or Zygote(interpreter, workers=1, seconds=limit)
    try:
        [(_, answer)] = warm.run([job])
    finally:
        if zygote is None:
            warm.close()
    results = answer.get("results", {})
    missing = {"verdict": "could-not-synthesise", "reason": str(answer.get("reason") or "it was not reached")}
    pairs = [(r, report(known[r.name], results.get(str(n), missing))) for n, r in enumerate(wanted)]
    return [Comparison(before, now, *_same(before, now)) for before, now in pairs]


def _job(
    target: Target,
    places: list[ClassPlace],
    reports: list[ClassReport],
    after: bytes,
    steps: int,
    seed: int,
    seconds: float,
) -> Job:
    items = [
        {"id": n, "module": p.module, "path": str(p.path), "name": p.name, "replay": dict(reports[n].plan)}
        for n, p in enumerate(places)
    ]
    overlay = {str(path.resolve()): after.decode("latin-1") for path, _ in target.files}
    return Job(
        "module",
        {
            "items": items, "steps": steps, "seed": seed, "paths": [str(target.root)], "overlay": overlay,
            "device": "cpu", "dtype": "float32", "ablate": "", "checks": False, "class_seconds": seconds,
            "import_seconds": IMPORT_SECONDS,
        },
    )  # fmt: skip


def _same(before: ClassReport, after: ClassReport) -> tuple[bool | None, str]:
    for what, one, other in (
        ("loss", before.losses, after.losses),
        ("gradient norm", before.gradient_norms, after.gradient_norms),
    ):
        if not all(map(math.isfinite, (*one, *other))) or "non-finite" in (before.verdict, after.verdict):
            return None, f"before: {before.reason or before.verdict}; after: {after.reason or after.verdict}"
        if len(one) != len(other):
            return None, f"{len(one)} steps before, {len(other)} after: {after.reason}"
        for number, (a, b) in enumerate(zip(one, other, strict=True), start=1):
            if abs(a - b) > _TOLERANCE * max(abs(a), abs(b), 1e-3):
                return False, f"the {what} of step {number} is {b:.6g}, it was {a:.6g}"
    return True, f"{len(before.losses)} steps with the same losses and gradient norms"
