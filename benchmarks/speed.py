"""How fast is a cold scan, against ruff and TorchFix in the same run?

`python benchmarks/speed.py FOLDER --torchfix EXE`

Prints files/s, the ratio to `ruff check` and to TorchFix, peak memory, a second (cached) run, and the share of each
stage. TorchFix needs an older libcst: install it in an environment of its own and give its executable. It is timed on
a sample of the files, because it would need the better part of an hour for all of them.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fetch import sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torchfix", help="the torchfix executable")
    parser.add_argument("--sample", type=int, default=200, help="files that TorchFix is timed on")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    root = sources(args.folder)
    paths = sorted(p for p in root.rglob("*.py"))
    print(f"{len(paths)} files, {os.cpu_count()} cores, Python {sys.version.split()[0]}")

    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "AUTOFIX_CACHE_DIR": state, "AUTOFIX_STATE_DIR": state}
        # As pip leaves an installed package: with its bytecode.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = state
        timed([shutil.which("autofix") or "autofix", "rules"], environment)
        command = [shutil.which("autofix") or "autofix", "check", "--exit-zero", str(root)]
        cold = [timed([*command, "--no-cache"], environment) for _ in range(args.runs)]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        timed(command, environment)
        warm = [timed(command, environment) for _ in range(args.runs)]
    ruff = [
        timed(["ruff", "check", "--no-cache", "--exit-zero", "-q", str(root)], dict(os.environ))
        for _ in range(args.runs)
    ]
    ours = min(cold)
    print(f"autofix check, cold     {ours:7.2f} s  {len(paths) / ours:8.0f} files/s  peak {peak:.0f} MB a process")
    print(f"autofix check, cached   {min(warm):7.2f} s  {len(paths) / min(warm):8.0f} files/s")
    print(f"ruff check, no cache    {min(ruff):7.2f} s  {len(paths) / min(ruff):8.0f} files/s")
    print(f"    autofix takes {ours / min(ruff):.2f} times as long as ruff")
    if args.torchfix:
        chosen = random.Random(0).sample(paths, min(args.sample, len(paths)))
        seconds = timed([args.torchfix, *map(str, chosen)], dict(os.environ))
        theirs = len(chosen) / seconds
        print(f"TorchFix, {len(chosen)} files     {seconds:7.2f} s  {theirs:8.1f} files/s")
        print(f"    autofix is {len(paths) / ours / theirs:.0f} times as fast as TorchFix")
    for stage, share in stages(paths):
        print(f"    {stage:28s} {share:6.2f} s on one core")


def timed(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
    return time.perf_counter() - started


def stages(paths: list[Path]) -> list[tuple[str, float]]:
    """Seconds of each stage over all files, in this process."""
    from autofix import files
    from autofix.config import Config
    from autofix.detect import scan_module
    from autofix.model import Problem
    from autofix.registry import default_rules
    from autofix.syntax import parse
    from autofix.triage import candidates

    rules, options = default_rules(), Config(Path()).options
    spent = {"read": 0.0, "triage": 0.0, "parse": 0.0, "rules": 0.0}
    parsed = 0
    for path in paths:
        a = time.perf_counter()
        source = files.read(path)
        b = time.perf_counter()
        spent["read"] += b - a
        if isinstance(source, Problem):
            continue
        active = candidates(source.data, rules)
        c = time.perf_counter()
        spent["triage"] += c - b
        if not active:
            continue
        module = parse(source, [line for candidate in active for line in candidate.lines])
        d = time.perf_counter()
        spent["parse"] += d - c
        parsed += 1
        if not isinstance(module, Problem):
            scan_module(module, active, options)
            spent["rules"] += time.perf_counter() - d
    return [*spent.items(), (f"({parsed} files parsed)", sum(spent.values()))]


if __name__ == "__main__":
    main()
