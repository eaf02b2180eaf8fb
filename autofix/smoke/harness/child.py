"""What a forked child does: put itself under limits, run one job, leave the result in a file without a name."""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from typing import Any, NamedTuple

from . import isolation

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
_MOST_PROCESSES = 512
_WRITING_EVENTS = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "shutil.rmtree",
}  # fmt: skip
_NETWORK_EVENTS = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
_libc: Any = None


class Post(NamedTuple):
    """Where a child works and writes. result, output: descriptors of files that no path leads to, so that no other
    child can write to them. courtesy: whether Python-level writes and connections are refused, for want of better.
    devices: below /dev, which stay writable."""

    directory: str
    parent: int
    result: int
    output: int
    reached: isolation.Reached
    courtesy: bool = False
    devices: tuple[str, ...] = ()


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


def become(job: dict[str, Any], post: Post) -> None:
    """Run `job` in this freshly forked process and end it. Never returns."""
    code = 1
    try:
        os.setsid()
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != post.parent:
                os._exit(1)
        work = os.path.join(post.directory, "work")
        _detach(post, work)
        _limit(float(job["seconds"]), int(job["memory"]), post)
        if post.reached.isolated:
            isolation.part(post.directory, post.devices)
        place = os.fstat(post.result)
        if post.courtesy:
            sys.addaudithook(_refuse_outside(work))
        result = _execute(job)
        text = json.dumps(result, allow_nan=True, default=str)
        code = _leave(post.result, (place.st_dev, place.st_ino), text.encode())
    except BaseException:
        # Nothing may propagate into the parent's loop, which this process is a copy of.
        traceback.print_exc()
    finally:
        os._exit(code)


CLOSED = 79  # exit status of a child that has a result and nowhere to write it


def _leave(result: int, place: tuple[int, int], text: bytes) -> int:
    """Write the result, unless the code closed its file: the number may belong to a file of the code's own by now."""
    try:
        now = os.fstat(result)
        if (now.st_dev, now.st_ino) != place:
            return CLOSED
        os.ftruncate(result, 0)
        os.lseek(result, 0, os.SEEK_SET)
        while text:
            text = text[os.write(result, text) :]
    except OSError:
        return CLOSED
    return 0


def _refuse_outside(work: str) -> Any:
    """An audit hook against accidents: it is no isolation, for other languages' code never asks it."""
    inside = os.path.join(os.path.realpath(work), "")

    def outside(path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        full = os.path.realpath(os.fsdecode(path))
        return not (full + os.sep).startswith(inside) and not full.startswith("/dev/")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NETWORK_EVENTS:
            if event not in ("socket.connect", "socket.bind", "socket.sendto") or isinstance(arguments[1], tuple):
                raise PermissionError(errno.EPERM, "the network is off while code is under trial")
        elif event == "open":
            path, _mode, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and outside(path):
                raise PermissionError(errno.EPERM, "only the work folder is writable while code is under trial", path)
        elif event in _WRITING_EVENTS and any(outside(path) for path in arguments[:2]):
            raise PermissionError(errno.EPERM, "only the work folder is writable while code is under trial")

    return hook


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
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return conclude(f"it wrote more than {_FILE_BYTES // 1024**2} MB to one file")
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return conclude("its files take more space than a trial may use")
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


def _detach(post: Post, work: str) -> None:
    """Default signals, no inherited descriptors, a clean environment, output to a file, a directory of its own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(post.output, 1)
    os.dup2(post.output, 2)
    os.closerange(3, post.result)
    os.closerange(post.result + 1, max(256, post.result + 64))
    os.mkdir(work)
    os.chdir(work)
    kept = {name: os.environ[name] for name in _SECRET_FREE if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, HOME=work, TMPDIR=work, MPLCONFIGDIR=work, XDG_CACHE_HOME=work)
    tempfile.tempdir = None  # the parent's


def _limit(seconds: float, memory: int, post: Post) -> None:
    if resource is None:
        return
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _lower(resource.RLIMIT_CPU, math.ceil(seconds) + 2)
    if post.reached.processes and _counts_apart():
        _lower(resource.RLIMIT_NPROC, _MOST_PROCESSES)
    if sys.platform.startswith("linux"):
        # torch alone maps gigabytes, so the cap counts from what is mapped already.
        _lower(resource.RLIMIT_AS, _mapped_bytes() + memory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit raises instead


def _counts_apart() -> bool:
    """Whether the kernel counts the processes of a user namespace on their own (5.14): before, the user's other
    programs would count against a trial."""
    major, minor = (int("".join(c for c in part if c.isdigit()) or 0) for part in os.uname().release.split(".")[:2])
    return (major, minor) >= (5, 14)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
