"""How many fixes does the harness verify in a second? `python benchmarks/verify.py [FOLDER] [--workers 2] [--runs 3]`.

Takes the fixes of the golden cases, and of FOLDER when it is given, and executes each in a warm harness. Prints fixes
a second (`workers` over the median time of one fix), the time of one fix (median, 90th percentile, longest), where the
time goes, and the start of a warm parent against `import torch` and one optimizer step timed in the same run.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fetch import sources

from autofix import engine, files
from autofix.config import Config
from autofix.model import Fix, Problem, Source
from autofix.registry import rule_named
from autofix.report import Report
from autofix.smoke import block, expression
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.job import Job
from autofix.smoke.zygote import Zygote
from autofix.syntax import parse

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
STEP = """
import torch
torch.set_num_threads(1)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(2, 3)).sum().backward()
optimizer.step()
"""
STAGES = (
    ("search for shapes", "search.py", "search"),
    ("other shapes", "search.py", "other_shapes"),
    ("both sides and the reference", "trial.py", "point_at"),
    ("claims", "claims.py", "take"),
    ("witness made small", "witness.py", "show"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="Python files whose fixes are verified as well")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="how often the start of a parent is timed")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--limit", type=int, default=0, help="fixes taken of each group, evenly spread; 0: all")
    parser.add_argument("--sample", type=int, default=12, help="jobs that are profiled for the shares of the stages")
    args = parser.parse_args()
    interpreter = find_python(args.python, Path.cwd())
    if isinstance(interpreter, Problem):
        sys.exit(interpreter.message)
    print(f"{os.cpu_count()} cores, torch {interpreter.torch}, {args.workers} workers")
    started, reference = start_up(interpreter, args.runs)
    print(f"warm parent {started:.2f} s, torch and one step {reference:.2f} s: {started / reference:.2f} times as long")
    groups = [("golden cases", golden_fixes())]
    if args.folder is not None:
        groups.append((args.folder.name, folder_fixes(sources(args.folder))))
    for name, items in groups:
        items = items[:: max(1, len(items) // args.limit)] if args.limit else items
        table(name, items, interpreter, args.workers, args.sample)


def golden_fixes() -> list[tuple[Source, Fix]]:
    """Each rule's fixes on its own cases."""
    items: list[tuple[Source, Fix]] = []
    for path in sorted(GOLDEN.glob("*/*/before.py")):
        rule = rule_named(path.parent.parent.name)
        if rule is not None:
            request = engine.Request((rule,), Config(Path()).options, unsafe=True)
            items += fixes(engine.check_source(Source(str(path), path.read_bytes()), request))
    return items


def folder_fixes(root: Path) -> list[tuple[Source, Fix]]:
    return fixes(engine.check([root], engine.Request(engine.select_rules((), ()), Config(Path()).options, unsafe=True)))


def fixes(report: Report) -> list[tuple[Source, Fix]]:
    items = []
    for file in report.files:
        chosen = [i.finding for i in file.items if i.finding.fix is not None]
        source = files.read(Path(chosen[0].path)) if chosen else None
        if isinstance(source, Source):
            items += [(source, finding.fix) for finding in chosen if finding.fix is not None]
    return items


def start_up(interpreter: Interpreter, runs: int) -> tuple[float, float]:
    """Seconds until a fresh parent has answered its first (empty) job; and of the plain program, least of `runs`."""
    ours, plain = [], []
    for _ in range(max(1, runs)):
        begun = time.perf_counter()
        subprocess.run([interpreter.path, "-c", STEP], check=True, capture_output=True)
        plain.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with Zygote(interpreter, workers=1) as zygote:
            for _ in zygote.run([Job("expression", {"parts": [], "variants": []})]):
                ours.append(time.perf_counter() - begun)
    return min(ours), min(plain)


def table(name: str, items: Sequence[tuple[Source, Fix]], interpreter: Interpreter, workers: int, sample: int) -> None:
    begun = time.perf_counter()
    plans = list(planned(items))
    planning = time.perf_counter() - begun
    jobs = [p for p in plans if isinstance(p, Job) and p.kind == "expression"]
    seconds: list[float] = []
    verdicts: Counter[str] = Counter()
    with Zygote(interpreter, workers=workers, seconds=20.0) as zygote:
        warm_up = jobs[:workers]
        for _ in zygote.run(warm_up):
            pass
        begun = time.perf_counter()
        for _, result in zygote.run(jobs):
            seconds.append(result["seconds"])
            verdicts[result["verdict"]] += 1
        wall = time.perf_counter() - begun
    if not seconds:
        print(f"{name}: no fix to execute")
        return
    ordered = sorted(seconds)
    median = statistics.median(ordered)
    print(f"\n{name}: {len(items)} fixes, {len(jobs)} executed as expressions: {dict(verdicts)}")
    print(f"    fixes a second   {workers / median:6.1f} in the median, {len(jobs) / wall:.1f} over all")
    print(
        f"    seconds a fix    {median:6.3f} median  {ordered[int(0.9 * (len(ordered) - 1))]:.3f} p90  "
        f"{ordered[-1]:.3f} longest; planning {planning / max(1, len(items)):.4f} each"
    )
    for stage, share in shares(jobs[:: max(1, len(jobs) // max(1, sample))]):
        print(f"    {stage:30s} {share:6.1%}")


def planned(items: Iterable[tuple[Source, Fix]]) -> Iterable[Job | str]:
    known: dict[Source, object] = {}
    for source, fix in items:
        if source not in known:
            known = {source: parse(source)}
        module = known[source]
        if isinstance(module, Problem):
            yield module.message
            continue
        job = expression.plan(module, fix)  # type: ignore[arg-type]
        yield job if isinstance(job, Job) else block.plan(module, fix)  # type: ignore[arg-type]


def shares(jobs: Sequence[Job]) -> list[tuple[str, float]]:
    """Where the time of some jobs goes, profiled in this process: give folders that you trust."""
    from autofix.smoke.harness import expression as harness

    profile = cProfile.Profile()
    for job in jobs:
        spec = json.loads(json.dumps(job.spec))
        profile.enable()
        harness.run(spec, time.monotonic() + 20.0)
        profile.disable()
    entries = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    cumulative = {(Path(file).name, function): row[3] for (file, _, function), row in entries.items()}
    total = cumulative.get(("expression.py", "run"), 0.0) or 1.0
    found = [(title, cumulative.get((file, function), 0.0) / total) for title, file, function in STAGES]
    return [*found, ("everything else", max(0.0, 1.0 - sum(share for _, share in found)))]


if __name__ == "__main__":
    main()
