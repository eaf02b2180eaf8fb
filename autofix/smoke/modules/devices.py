"""Accelerators: whether the project's interpreter has the one that was asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter, clean_environment

_ASK = {
    "cuda": "import torch; print(torch.cuda.is_available())",
    "mps": "import torch; print(torch.backends.mps.is_available())",
}
_SECONDS = 120.0
VISIBLE = "CUDA_VISIBLE_DEVICES"


def missing(device: str, interpreter: Interpreter) -> Problem | None:
    """Asked in a process of its own: the harness must not touch the accelerator before it forks."""
    if device == "cpu":
        return None
    environment = clean_environment()
    environment.pop(VISIBLE, None)
    if VISIBLE in os.environ:
        environment[VISIBLE] = os.environ[VISIBLE]
    try:
        done = subprocess.run(
            [interpreter.path, "-c", f"import sys; sys.path[:] = [p for p in sys.path if p]; {_ASK[device]}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
            cwd=Path(interpreter.path).parent,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Problem(f"--device {device}", f"{interpreter.path} could not be asked for it: {error}")
    if done.stdout.strip().endswith("True"):
        return None
    torch = f"torch {interpreter.torch} of {interpreter.path}"
    return Problem(f"--device {device}", f"{torch} sees no {device} device; leave the option out to run on the CPU")
