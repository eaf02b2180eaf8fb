"""How fast, and in how much memory, does `autofix routing` read a log that is larger than memory should be?

`python benchmarks/routing.py [--size MB] [--experts N] [--layers N] [--mixed]`

Writes a log of printed tensors to a temporary folder (with a loss between them, if mixed), reads it with the command
line in a process of its own, and prints MB/s of processor time and of wall time, and the peak of its memory.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="MB")
    parser.add_argument("--experts", type=int, default=6)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--mixed", action="store_true", help="a line with the loss after each record")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "routing.log"
        size = write(log, options.size * 1_000_000, options.layers, options.experts, options.mixed)
        started = time.perf_counter()
        command = [sys.executable, "-m", "autofix", "routing", str(log), "--output-format", "json"]
        done = subprocess.run(command, capture_output=True, check=False)
        wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(done.stderr.decode())
    cpu = used.ru_utime + used.ru_stime
    megabytes = size / 1e6
    print(f"{megabytes:,.0f} MB of {options.layers} layers of {options.experts} experts{', mixed' * options.mixed}")
    print(f"{megabytes / cpu:.0f} MB/s of processor time, {megabytes / wall:.0f} MB/s of wall time")
    print(f"{used.ru_maxrss / 1024:.0f} MiB at most")


def write(path: Path, size: int, layers: int, experts: int, mixed: bool) -> int:
    """A thousand different rows, again and again; returns the bytes written."""
    chooser = random.Random(0)
    rows = []
    for step in range(1000):
        pairs = [
            f"({layer + 1}, tensor({[chooser.randint(4000, 6000) for _ in range(experts)]}))" for layer in range(layers)
        ]
        rows.append(f"[{', '.join(pairs)}]\n" + (f"step {step}: loss {chooser.random():.4f}\n" if mixed else ""))
    block = "".join(rows).encode()
    with path.open("wb") as out:
        for _ in range(-(-size // len(block))):
            out.write(block)
    return os.path.getsize(path)


if __name__ == "__main__":
    main()
