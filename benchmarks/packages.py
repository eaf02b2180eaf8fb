"""Does every patch hold on published code? `python benchmarks/packages.py FOLDER [--verify] [--python PYTHON]`.

For each package: the files scanned, the findings, the fixes and their verdicts, and four promises that are checked:
the patch applies with `git apply` to exactly the bytes that autofix would write, every patched file parses, bytes
outside the edits are identical, and a second run over the result has nothing to fix. Exit status 1 when one is broken.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from fetch import sources

from autofix import engine
from autofix.cache import Cache
from autofix.config import Config
from autofix.diff import render
from autofix.edits import to_changes
from autofix.model import Evidence, Fix, Patch, Problem, Source
from autofix.report import FileReport, Report, Status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--verify", action="store_true", help="execute every fix")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rules", nargs="*", default=[])
    parser.add_argument("--json", type=Path, help="write every fix with its evidence here")
    args = parser.parse_args()
    verify = verifier(args.python) if args.verify else None
    broken, verdicts, rows = 0, collections.Counter[str](), []
    for package in sorted(p for p in sources(args.folder).iterdir() if p.is_dir()):
        request = engine.Request(engine.select_rules(args.rules, ()), Config(Path()).options, allow_unverified=True)
        report = engine.fix([package], request, verify)
        failures = [f for file in report.files if file.patch for f in check(file.patch, request, verify)]
        failures += applies(report, package)
        failures += [p.message for p in report.problems if "internal error" in p.message]
        broken += len(failures)
        statuses = collections.Counter(i.status.value for i in report.items)
        own = collections.Counter(i.evidence.verdict.value for i in report.items if i.evidence)
        verdicts.update(own)
        rows += [described(f, i) for f in report.files for i in f.items]
        print(
            f"{package.name:44s} files {report.scanned:5d}  problems {len(report.problems):2d}  "
            f"findings {sum(statuses.values()):4d}  patched {statuses[Status.PATCHED.value]:4d}  "
            f"{dict(own) if own else ''}  {report.seconds:.1f} s"
        )
        for failure in failures:
            print(f"    BROKEN {failure}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    executed = sum(verdicts.values()) - verdicts["INCONCLUSIVE"]
    if verdicts:
        print(f"verdicts {dict(verdicts)}; executed {executed}/{sum(verdicts.values())}")
    print(f"broken promises: {broken}")
    return 1 if broken else 0


def described(file: FileReport, item: object) -> dict[str, object]:
    from autofix.deliver.records import record

    return record(file, item)  # type: ignore[arg-type]


def verifier(python: str) -> engine.Verify:
    from autofix.smoke.interpreter import find_python
    from autofix.smoke.verify import verify

    interpreter = find_python(python, Path.cwd())
    if isinstance(interpreter, Problem):
        sys.exit(interpreter.message)

    cache = Cache(Path(tempfile.mkdtemp()) / "evidence.sqlite")

    def run(items: Sequence[tuple[Source, Fix]]) -> Sequence[Evidence]:
        return verify(items, interpreter, cache=cache)

    return run


def check(result: Patch, request: engine.Request, verify: engine.Verify | None) -> list[str]:
    """What is wrong with one file's patch."""
    path, before, after = result.source.path, result.source.data, result.after
    failures = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(after)
        except SyntaxError as error:
            failures.append(f"{path}: does not parse after: {error}")
    kept_before, kept_after = outside(before, after, result)
    if kept_before != kept_after:
        failures.append(f"{path}: bytes outside the edits differ")
    second = engine.fix_source(Source(path, after), request, verify)  # a refuted fix stays refuted
    if second.patches:
        failures.append(f"{path}: a second run would fix {[i.finding.rule for i in second.items][:3]}")
    return failures


def outside(before: bytes, after: bytes, result: Patch) -> tuple[list[bytes], list[bytes]]:
    """The stretches between the edits, in the original and at the places they must have in the result."""
    ours, theirs, at, shift = [], [], 0, 0
    for span, replacement in to_changes(result.source, result.edits):
        ours.append(before[at : span.start])
        theirs.append(after[at + shift : span.start + shift])
        at, shift = span.end, shift + len(replacement) - (span.end - span.start)
    return [*ours, before[at:]], [*theirs, after[at + shift :]]


def applies(report: Report, package: Path) -> list[str]:
    """Whether `git apply` makes of the rendered patch exactly what autofix would write."""
    results = report.patches
    if not results:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for result in results:
            copy = folder / Path(result.source.path).relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(result.source.path, copy)
        renamed = [renamed_to(r, Path(r.source.path).relative_to(package)) for r in results]
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        done = subprocess.run(["git", "apply", "-"], cwd=folder, input=render(renamed), capture_output=True)
        if done.returncode:
            return [f"git apply: {done.stderr.decode()[:300]}"]
        return [
            f"{r.source.path}: git apply gives other bytes"
            for r in renamed
            if (folder / r.source.path).read_bytes() != r.after
        ]


def renamed_to(result: Patch, path: Path) -> Patch:
    from dataclasses import replace

    return replace(result, source=Source(path.as_posix(), result.source.data))


if __name__ == "__main__":
    sys.exit(main())
