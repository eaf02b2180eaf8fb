"""The examples diverge as they stand and train after autofix, through the command line a user types."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# The loss that the patched project must fall below: half of what its first step prints, or less.
GOAL = {"latent_flow": 0.0, "trajectory_attention": 0.7}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=300, check=False)


def losses(project: Path) -> list[float]:
    done = run(sys.executable, "train.py", cwd=project)
    assert done.returncode == 0, done.stderr
    return [float(value) for value in re.findall(r"loss (\S+)", done.stdout)]


@pytest.mark.parametrize("name", GOAL)
def test_diverges_before_and_trains_after(name: str, tmp_path: Path) -> None:
    project = tmp_path / name
    shutil.copytree(EXAMPLES / name, project, ignore=shutil.ignore_patterns("__pycache__"))
    before = losses(project)
    assert math.isfinite(before[0])
    assert not math.isfinite(before[-1])

    done = run(sys.executable, "-m", "autofix", ".", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "INCONCLUSIVE" not in done.stdout
    assert "evidence: PROVED at command level" in done.stderr

    after = losses(project)
    assert all(map(math.isfinite, after))
    assert after[-1] < GOAL[name]
