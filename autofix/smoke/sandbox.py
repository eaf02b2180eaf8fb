"""How code under trial is kept from the rest of the machine: what is tried, and what was reached.

Four levels, the best that works is taken: bubblewrap, user namespaces, Landlock, and limits on memory, time and files,
which always apply. Each is tried by running it (`harness/isolation.py` does the last three in its own process).
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AUTO, REQUIRE, OFF = "auto", "require", "off"
MODES = (AUTO, REQUIRE, OFF)
BUBBLEWRAP, NAMESPACES, LANDLOCK, LIMITS = "bubblewrap", "user namespaces", "Landlock", "limits"
LEVELS = (BUBBLEWRAP, NAMESPACES, LANDLOCK)

_WORK_BYTES = 1024**3
_PROBE_SECONDS = 20.0
# What drivers of accelerators need below /dev.
_ACCELERATORS = ("nvidia*", "dri", "kfd", "dxg")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What isolates code under trial. network: none can be reached. files: none outside the work folder can be
    written. processes: none but the harness's own can be seen. why: what keeps better levels from working here."""

    level: str = LIMITS
    network: bool = False
    files: bool = False
    processes: bool = False
    why: str = ""

    @property
    def isolated(self) -> bool:
        return self.network and self.files

    @property
    def words(self) -> str:
        """ "user namespaces (no network, read-only outside the work folder)" """
        if self.isolated:
            return f"{self.level} (no network, read-only outside the work folder)"
        return "limits on memory, time and files only (the network and your files are within reach)"


@dataclass(frozen=True, slots=True)
class Launch:
    """How the harness is started: the command, and what its process is told to do about its isolation."""

    command: tuple[str, ...]
    isolation: Mapping[str, Any]


def reached(greeting: Mapping[str, Any]) -> Sandbox:
    """What the harness says about itself once it has started."""
    return Sandbox(
        str(greeting.get("level", LIMITS)), bool(greeting.get("network")), bool(greeting.get("files")),
        bool(greeting.get("processes")), str(greeting.get("why", "")),
    )  # fmt: skip


@contextlib.contextmanager
def launched(
    python: str, arguments: Sequence[str], mode: str, folder: str, levels: Sequence[str] = LEVELS
) -> Iterator[Launch]:
    """How to start `python` with `arguments`; leave it once the harness has greeted.

    A port on the loopback stays open meanwhile: the harness shows that it cannot reach it. mode: "auto" takes the
    best level that works, "require" also wants it to be better than limits, "off" asks for limits only. folder: what
    stays writable. levels: which may be used, best first.
    """
    devices = _devices()
    wish: dict[str, Any] = {
        "levels": [], "hidden": [], "devices": devices, "outside": [], "port": 0, "required": mode == REQUIRE,
        "courtesy": mode != OFF,
    }  # fmt: skip
    command = (python, *arguments)
    if mode == OFF or not sys.platform.startswith("linux"):
        yield Launch(command, wish)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen(8)
        except OSError:
            yield Launch(command, wish)  # without it, nothing could be shown to be out of reach
            return
        hidden = list(_sockets())
        program = shutil.which("bwrap") if BUBBLEWRAP in levels else None
        prefix = _bubblewrap(program or "", python, tuple(devices))
        if prefix:
            covers = [word for path in hidden for word in ("--ro-bind-try", "/dev/null", path)]
            command = (*prefix, *covers, *_work(prefix, folder), "--", *command)
        wish["levels"] = [level for level in levels if level != BUBBLEWRAP or prefix]
        wish["hidden"] = hidden
        wish["outside"] = _outside(folder)
        wish["port"] = listener.getsockname()[1]
        yield Launch(command, wish)


def refusal(sandbox: Sandbox) -> str:
    """Why nothing was run when isolation is required and there is none."""
    tried = sandbox.why or "this system has no way that autofix knows of"
    if BUBBLEWRAP not in tried:
        tried = f"{BUBBLEWRAP}: not installed or not working; {tried}"
    return f"no code was run: --sandbox=require, and nothing isolates it here ({tried})"


def _outside(folder: str) -> list[str]:
    """Folders in which this process can make files, to see that the harness cannot."""
    places = dict.fromkeys(os.path.realpath(p) for p in (os.path.dirname(folder), os.path.expanduser("~"), os.getcwd()))
    return [p for p in places if os.path.isdir(p) and os.access(p, os.W_OK)]


def _sockets() -> Iterator[str]:
    """Sockets in the file system that this user can connect to: a read-only mount does not close them."""
    with contextlib.suppress(OSError), open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as stream:
        for path in dict.fromkeys(line.rstrip("\n").split(maxsplit=7)[-1] for line in stream):
            with contextlib.suppress(OSError, ValueError):
                if path.startswith("/") and stat.S_ISSOCK(os.stat(path).st_mode) and os.access(path, os.W_OK):
                    yield path


def _devices() -> list[str]:
    return [os.path.relpath(path, "/dev") for pattern in _ACCELERATORS for path in sorted(glob.glob(f"/dev/{pattern}"))]


@functools.cache
def _bubblewrap(program: str, python: str, devices: tuple[str, ...]) -> tuple[str, ...]:
    """bubblewrap with its arguments, as far as they do not depend on the folder; empty where it does not work."""
    if not program:
        return ()
    kept = [word for name in devices for word in ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")]
    common = (
        program, "--unshare-all", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", "--ro-bind", "/", "/",
        "--dev", "/dev", *kept, "--proc", "/proc", "--remount-ro", "/proc",
    )  # fmt: skip
    for sized in (("--size", str(_WORK_BYTES)), ()):  # older ones do not know it
        prefix = (*common, *sized, "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
        with tempfile.TemporaryDirectory(prefix="autofix-probe-") as folder:
            if _runs((*prefix, *_work(prefix, folder), "--", python, "-I", "-S", "-c", "pass")):
                return prefix
    return ()


def _work(prefix: tuple[str, ...], folder: str) -> tuple[str, ...]:
    sized = ("--size", str(_WORK_BYTES)) if "--size" in prefix else ()
    return (*sized, "--tmpfs", folder, "--chdir", folder)


def _runs(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
