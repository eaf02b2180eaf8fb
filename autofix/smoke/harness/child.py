"""What a forked child does: put itself under limits, run one job, leave the result in a file."""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import random
import signal
import sys
import time
import traceback
from typing import Any

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FILE_BYTES = 64 * 1024 * 1024
_SECRET_FREE = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "CONDA_PREFIX",
    "VIRTUAL_ENV", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_libc: Any = None


def load_libc() -> None:
    """Find `prctl` before the fork: loading a library in the child is slower and may lock."""
    global _libc
    if sys.platform.startswith("linux"):
        _libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> bool:
    """Become the parent of every process that a killed child leaves behind (Linux)."""
    return _libc is not None and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def conclude(reason: str) -> dict[str, Any]:
    """The result of a job that could not be executed."""
    return {"verdict": "INCONCLUSIVE", "reason": reason}


def become(job: dict[str, Any], directory: str, parent: int) -> None:
    """Run `job` in this freshly forked process and end it. Never returns."""
    code = 1
    try:
        os.setsid()
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        work = os.path.join(directory, "work")
        _detach(directory, work)
        _limit(float(job["seconds"]), int(job["memory"]))
        result = _execute(job)
        text = json.dumps(result, allow_nan=True, default=str)
        temporary = os.path.join(directory, "result.tmp")
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, os.path.join(directory, "result"))
        code = 0
    except BaseException:
        # Nothing may propagate into the parent's loop, which this process is a copy of.
        traceback.print_exc()
    finally:
        os._exit(code)


def _execute(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job's module; whatever it raises becomes a reason."""
    deadline = time.monotonic() + float(job["seconds"])
    _seed(int(job.get("seed", 0)))
    try:
        module = importlib.import_module("." + job["kind"], __package__)
        result = module.run(job["spec"], deadline)
    except MemoryError:
        return conclude("it asked for more memory than a trial may use")
    except RecursionError:
        return conclude("it recursed too deeply")
    except SystemExit as stop:
        return conclude(f"the code ended the process (exit status {stop.code})")
    except KeyboardInterrupt:
        return conclude("the code raised KeyboardInterrupt")
    except BaseException as error:
        if "allocate memory" in str(error):
            return conclude("it asked for more memory than a trial may use")
        return conclude(f"{type(error).__name__}: {first_line(error)}{_place(error)}")
    if not isinstance(result, dict) or "verdict" not in result:
        return conclude(f"the harness module {job['kind']!r} returned no verdict")
    return result


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, shortened for a terminal."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else "no message")[:200]


def _place(error: BaseException) -> str:
    """Where an exception was raised, when that was in the harness itself: it helps to report it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if os.path.dirname(f.filename) == os.path.dirname(__file__)]
    return f" (harness/{os.path.basename(own[-1].filename)}:{own[-1].lineno})" if own else ""


def _seed(seed: int) -> None:
    random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)


def _detach(directory: str, work: str) -> None:
    """Default signals, no inherited descriptors, a clean environment, output to a file, a directory of its own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(os.path.join(directory, "output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, 256)
    os.mkdir(work)
    os.chdir(work)
    kept = {name: os.environ[name] for name in _SECRET_FREE if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, HOME=work, TMPDIR=work)


def _limit(seconds: float, memory: int) -> None:
    if resource is None:
        return
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _lower(resource.RLIMIT_CPU, math.ceil(seconds) + 2)
    if sys.platform.startswith("linux"):
        # torch alone maps gigabytes, so the cap counts from what is mapped already.
        _lower(resource.RLIMIT_AS, _mapped_bytes() + memory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit raises instead


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
