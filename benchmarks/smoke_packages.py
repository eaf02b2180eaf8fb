"""How many classes of published packages can be built and trained blind?
`python benchmarks/smoke_packages.py FOLDER [--python PYTHON] [--checks] [--json FILE] [TARGET ...]`.

FOLDER holds the packages' sources, each as `<name>-<version>/...`; PYTHON must be able to import what they import.
Prints a row for each package: concrete classes, the share that took a training step, verdicts, the median and the
longest time of a class, and what was left running. Times of classes are processor seconds, those of packages are wall
time. `--workers` targets are tried at once, each by one process, so that a package is imported once. Exit status 1
when a process was left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from autofix.deliver.smoke_report import record
from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.modules.smoke import CLASS_SECONDS, IMPORT_SECONDS, ClassReport, by_verdict, smoke
from autofix.smoke.zygote import Zygote

TARGETS = (
    "vit_pytorch-*/vit_pytorch",
    "x_transformers-*/x_transformers",
    "nflows-*/nflows",
    "normflows-*/normflows",
    "denoising_diffusion_pytorch-*/denoising_diffusion_pytorch",
    "st_moe_pytorch-*/st_moe_pytorch",
    "torchtune-*/torchtune/modules",
    "timm-*/timm/layers",
)
MODELS = (
    "albert", "bart", "bert", "clip", "convnext", "distilbert", "gemma", "gpt2", "gpt_neox", "llama", "mamba",
    "mistral", "mixtral", "opt", "phi", "qwen2", "roberta", "t5", "vit", "whisper",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("targets", nargs="*", help="below the folder; patterns may be used")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--checks", action="store_true", help="also unusual inputs and half precision")
    parser.add_argument("--workers", type=int, default=2, help="targets at once (default: 2)")
    parser.add_argument("--json", type=Path, help="write every report here")
    args = parser.parse_args()
    interpreter = find_python(args.python, Path.cwd())
    if isinstance(interpreter, Problem):
        parser.error(interpreter.message)
    models = [f"transformers-5*/transformers/models/{name}/modeling_{name}.py" for name in MODELS]
    patterns = args.targets or [*TARGETS, *models]
    places = [place for pattern in patterns for place in sorted(args.folder.glob(pattern))]
    everything: list[ClassReport] = []
    started = time.monotonic()
    for place, reports, seconds in tried(places, interpreter, args.checks, args.workers):
        if isinstance(reports, Problem):
            print(f"{place.name:32s} {reports.message}")
            continue
        everything += reports
        print(row(place.name, reports, seconds), flush=True)
    print(row("all", everything, time.monotonic() - started))
    for reason, count in Counter(kind_of(r) for r in everything if not r.stepped).most_common(8):
        print(f"    {count:4d}  {reason}")
    used = sum(r.processor_seconds for r in everything)
    peak = max((r.peak_bytes for r in everything), default=0) / 2**20
    print(f"processor time of all classes: {used:.0f} s; largest memory of one: {peak:.0f} MB")
    left = children()
    print(f"processes left behind: {len(left)}")
    if args.json:
        args.json.write_text(json.dumps([record(r) for r in everything], indent=1))
    return 1 if left else 0


def tried(
    places: list[Path], interpreter: Interpreter, checks: bool, workers: int
) -> Iterator[tuple[Path, list[ClassReport] | Problem, float]]:
    """Each target with its reports and seconds, as they finish; the largest targets start first."""

    idle: SimpleQueue[Zygote] = SimpleQueue()  # warm parents, which have imported torch

    def run(place: Path) -> tuple[Path, list[ClassReport] | Problem, float]:
        before = time.monotonic()
        zygote = idle.get()
        found = smoke(str(place), interpreter, workers=1, checks=checks, zygote=zygote)
        idle.put(zygote)
        return place, found, time.monotonic() - before

    def files(place: Path) -> int:
        return sum(1 for _ in place.rglob("*.py")) if place.is_dir() else 1

    with ExitStack() as stack, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            limit = IMPORT_SECONDS + 60 * CLASS_SECONDS
            idle.put(stack.enter_context(Zygote(interpreter, workers=1, seconds=limit)))
        waiting = [pool.submit(run, place) for place in sorted(places, key=files, reverse=True)]
        for one in as_completed(waiting):
            yield one.result()


def row(name: str, reports: list[ClassReport], seconds: float) -> str:
    if not reports:
        return f"{name:32s} no concrete class"
    times = sorted(r.processor_seconds for r in reports)
    stepped = sum(r.stepped for r in reports)
    return (
        f"{name:32s} classes {len(reports):4d}  stepped {100 * stepped / len(reports):5.1f} %  median "
        f"{statistics.median(times):.2f} s  longest {times[-1]:.1f} s  whole {seconds:.0f} s  {by_verdict(reports)}"
    )


def kind_of(one: ClassReport) -> str:
    """What kept a class from running, short enough to be counted."""
    for word in ("importing", "building it", "running forward", "was killed", "a training step raised"):
        if word in one.reason:
            return word
    return one.reason[:60]


def children() -> list[str]:
    """Processes that this one has started and that still run (Linux)."""
    try:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
