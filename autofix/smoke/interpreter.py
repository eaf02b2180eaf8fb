"""Which Python runs the user's code, and whether torch is there."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autofix.model import Problem

_PROBE = """
import json, os, sys
import importlib.metadata as metadata, importlib.util as util
sys.path[:] = [p for p in sys.path if p]
torch = ""
if util.find_spec("torch"):
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        import torch as module
        torch = str(module.__version__)
print(json.dumps({"version": sys.version.split()[0], "torch": torch, "fork": hasattr(os, "fork")}))
"""
_PROBE_SECONDS = 60.0
_GET_TORCH = 'install it with `pip install "autofix-torch[torch]"`, or name the right interpreter with `--python PATH`'
# What an interpreter needs to start and to find its libraries; everything else may be a secret.
_KEPT = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT",
    "CONDA_PREFIX", "VIRTUAL_ENV",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that has torch. version and torch: "3.11.9", "2.6.0+cpu". why: how it was chosen, for a person.
    sandbox: how much isolation code that it runs must have, one of `sandbox.MODES`."""

    path: str
    version: str
    torch: str
    why: str
    fork: bool = True
    sandbox: str = "auto"


def clean_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """A process environment without secrets, on one thread, without accelerators and without the network's hubs."""
    source = os.environ if environ is None else environ
    return {
        **{name: source[name] for name in _KEPT if name in source},
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "WANDB_DISABLED": "true",
        "TOKENIZERS_PARALLELISM": "false",
    }


def find_python(
    python: str | None, root: Path, environ: Mapping[str, str] | None = None, *, sandbox: str = "auto"
) -> Interpreter | Problem:
    """The interpreter of the project at `root`: `python` (a path or a name), else the active environment, else
    `.venv` or `venv` in `root` or above it, else the one that runs autofix. A `Problem` says what is missing there
    and what to do. sandbox: how much isolation what it runs must have."""
    env = os.environ if environ is None else environ
    path, why = _choose(root, python, env)
    if path is None:
        return Problem(str(python), f"{python} is not an interpreter that can be run; give `--python` a path to one")
    found = _probe(path, why, env)
    return found if isinstance(found, Problem) else replace(found, sandbox=sandbox)


def _choose(root: Path, python: str | None, env: Mapping[str, str]) -> tuple[str | None, str]:
    if python is not None:
        given = Path(python).expanduser()
        if given.is_dir():
            return _python_in(given), "given with --python"
        return shutil.which(str(given), path=env.get("PATH")), "given with --python"
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        found = _python_in(Path(env[name])) if env.get(name) else None
        if found and not _is_ours_alone(Path(env[name])):
            return found, f"the active environment ({name})"
    absolute = root.absolute()
    for folder in (absolute, *absolute.parents):
        for name in (".venv", "venv"):
            found = _python_in(folder / name)
            if found:
                return found, f"{name} of the project"
        if (folder / ".git").exists():
            break
    return sys.executable, "the interpreter that runs autofix"


def _is_ours_alone(environment: Path) -> bool:
    """Whether an active environment holds autofix and no torch: pre-commit makes and activates one for its hooks."""
    return os.path.realpath(environment) == os.path.realpath(sys.prefix) and not importlib.util.find_spec("torch")


def _python_in(environment: Path) -> str | None:
    """The interpreter of a virtual environment, by its own path: resolving the link would leave the environment."""
    for relative in ("bin/python", "Scripts/python.exe", "bin/python3", "python.exe"):
        path = environment / relative
        if path.is_file() and os.access(path, os.X_OK):
            return str(path.absolute())
    return None


def _probe(path: str, why: str, env: Mapping[str, str]) -> Interpreter | Problem:
    try:
        done = subprocess.run(
            [path, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            env=clean_environment(env),
            cwd=Path(path).parent,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Problem(path, f"{path} ({why}) did not answer within {_PROBE_SECONDS:g} s; give `--python PATH`")
    except OSError as error:
        return Problem(path, f"{path} ({why}) cannot be run: {error.strerror}; give `--python PATH`")
    try:
        answer = json.loads(done.stdout.decode("utf-8", "replace").strip().splitlines()[-1])
    except (ValueError, IndexError):
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"exit status {done.returncode}"
        return Problem(path, f"{path} ({why}) does not work as a Python interpreter: {said}; give `--python PATH`")
    if not answer["torch"]:
        return Problem(path, f"torch is not installed for {path} ({why}): {_GET_TORCH}")
    return Interpreter(path, answer["version"], answer["torch"], why, bool(answer["fork"]))
