"""What the harness does to its own process before it imports torch, so that code under trial cannot reach outside.

Each level is tried in a throw-away process first, and then asked what it still lets through: a level counts only when
the tool's own loopback port refuses to answer and no file can be made where the tool can make one. Nothing here can be
taken back by the code that runs later: capabilities are gone and `no_new_privs` is set.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BUBBLEWRAP = "bubblewrap"
NAMESPACES = "user namespaces"
LANDLOCK = "Landlock"
LIMITS = "limits"

_WORK_BYTES = 1024**3  # memory that the files of all trials at work may take together
_WORK_FILES = 100_000
_MOST_PROCESSES = 1024
_WATCH_SECONDS = 1.0
_PROBE_SECONDS = 20.0
_DEVICES = ("null", "zero", "full", "random", "urandom")

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 4096, 8192, 16384, 1 << 18
_NEW_NS, _NEW_UTS, _NEW_IPC, _NEW_USER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
_NEW_PID, _NEW_NET = 0x20000000, 0x40000000
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446  # on every architecture
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47


class Reached(NamedTuple):
    """What isolates the code. network: it cannot reach any. files: it cannot write outside the work folder.
    processes: it sees no process but the harness's own. why: what keeps the better levels from working here."""

    level: str
    network: bool = False
    files: bool = False
    processes: bool = False
    why: str = ""

    @property
    def isolated(self) -> bool:
        return self.network and self.files


class _Refused(Exception):
    """The system does not let this level happen; the text says what it refused."""


def enter(wish: dict[str, Any], folder: str) -> Reached:
    """Isolate this process as well as the system allows; the caller goes on, maybe as another process.

    wish: "levels" to try in this order, "hidden" (sockets to cover), "devices" to keep below /dev, "outside" (folders
    that the tool can write to), "port" (on which the tool listens, on the loopback). folder: the only place that
    stays writable.
    """
    notes: list[str] = []
    for level in wish["levels"]:
        if level == BUBBLEWRAP:  # the tool has started this process in it
            left = _within_reach(wish)
            if not left:
                return Reached(level, True, True, os.getpid() == 1, "; ".join(notes))
            notes.append(f"{level}: {left} still within reach")
            continue
        for processes in (True, False) if level == NAMESPACES else (False,):
            why = _tried(level, wish, folder, processes)
            if not why:
                _take(level, wish, folder, processes)
                return Reached(level, True, True, processes, "; ".join(notes))
        notes.append(f"{level}: {why}")
    if wish["levels"]:
        with contextlib.suppress(_Refused):
            _drop()
    return Reached(LIMITS, why="; ".join(notes))


def shield() -> None:
    """Keep the children of this process from reading and changing its memory, and that of each other."""
    if sys.platform.startswith("linux"):
        _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def part(folder: str, devices: Sequence[str]) -> None:
    """In a child, where the kernel can: no writes but in its own `folder`, which keeps the trials beside it apart, and
    no signal to any process but its own children (Linux 6.12)."""
    if not sys.platform.startswith("linux") or _landlock_abi() < 3:
        return
    with contextlib.suppress(_Refused, OSError):
        rules = [(folder, _WRITES), ("/dev/shm", _WRITES), *_device_rules(devices)]
        _restrict(_handled(_landlock_abi()), rules)


def _take(level: str, wish: dict[str, Any], folder: str, processes: bool) -> None:
    """Enter a level for good. With processes of its own, the caller becomes the first of them, and the process that
    called is left behind to watch it."""
    if level == LANDLOCK:
        _landlock(wish, folder)
        return
    watched = os.getppid()
    _unshare(processes)
    if processes:
        _split(watched)
    _mount(wish, folder, processes)
    _drop()


def _tried(level: str, wish: dict[str, Any], folder: str, processes: bool) -> str:
    """Why a level does not work, found out in a process that ends afterwards; empty when it does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.close(reading)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.write(writing, (_attempt(level, wish, folder, processes) or "works").encode()[:1000])
        os._exit(0)
    os.close(writing)
    said = b""
    if select.select([reading], [], [], _PROBE_SECONDS)[0]:
        said = os.read(reading, 1000)
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    os.waitpid(pid, 0)
    return "" if said == b"works" else said.decode("utf-8", "replace") or "it was killed on the way"


def _attempt(level: str, wish: dict[str, Any], folder: str, processes: bool) -> str:
    try:
        if level == LANDLOCK:
            _landlock(wish, folder)
            return _reached(wish)
        _unshare(processes)
        if not processes:
            _mount(wish, folder, processes)
            _drop()
            return _reached(wish)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.write(writing, (_in_namespaces(wish, folder) or "works").encode()[:1000])
            os._exit(0)
        os.close(writing)
        said = os.read(reading, 1000).decode("utf-8", "replace")
        os.waitpid(pid, 0)
    except (_Refused, OSError) as error:
        return str(error)
    return "" if said == "works" else said or "it was killed on the way"


def _in_namespaces(wish: dict[str, Any], folder: str) -> str:
    try:
        _mount(wish, folder, True)
        _drop()
    except (_Refused, OSError) as error:
        return str(error)
    return _reached(wish)


def _reached(wish: dict[str, Any]) -> str:
    left = _within_reach(wish)
    return f"{left} still within reach" if left else ""


def _within_reach(wish: dict[str, Any]) -> str:
    """What this process can still reach that it must not: "the network", "files in /home/me", or nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        probe.connect(("127.0.0.1", int(wish["port"])))
        return "the network"
    for place in wish["outside"]:
        path = os.path.join(place, f".autofix-probe-{os.getpid()}")
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(path)
            return f"files in {place}"
    return ""


# -- namespaces ------------------------------------------------------------------------------------------------


def _unshare(processes: bool) -> None:
    """New namespaces for users, mounts, network, System V objects, host name and, maybe, the children's processes."""
    if not sys.platform.startswith("linux"):
        raise _Refused("Linux only")
    user, group = os.geteuid(), os.getegid()
    flags = _NEW_USER | _NEW_NS | _NEW_NET | _NEW_IPC | _NEW_UTS | (_NEW_PID if processes else 0)
    _call("unshare", flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(text)


def _split(watched: int) -> None:
    """Fork: the new process is the first of its namespace and returns; this one waits for it and ends with it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid:
        _watch(pid, watched)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _watch(pid: int, watched: int) -> None:
    """End with `pid`, and end it when the tool is gone. Never returns."""
    if not sys.platform.startswith("linux"):
        return
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)  # the pipes to the tool belong to the other process alone
        os.dup2(null, 1)
        os.closerange(3, 256)
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
                break
            if os.getppid() != watched:
                os.kill(pid, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, _WATCH_SECONDS)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _mount(wish: dict[str, Any], folder: str, processes: bool) -> None:
    """Everything read-only; a folder in memory, a small /dev and a /proc of its own; sockets of the system covered."""
    _bind(None, "/", _MS_REC | _MS_PRIVATE)
    for path in wish["hidden"]:
        with contextlib.suppress(OSError):  # it may be gone by now
            _bind("/dev/null", path, _MS_BIND)
    _read_only("/", _AT_RECURSIVE)
    size = f"size={_WORK_BYTES},nr_inodes={_WORK_FILES},mode=700"
    _bind("tmpfs", folder, _MS_NOSUID | _MS_NODEV, "tmpfs", size)
    _devices(os.path.join(folder, "dev"), wish["devices"], size)
    if processes:
        _bind("proc", "/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "proc")
        with contextlib.suppress(OSError), open("/proc/sys/kernel/pid_max", "w", encoding="ascii") as stream:
            stream.write(str(_MOST_PROCESSES))  # of this namespace only, where the kernel knows such a limit (6.14)
        _bind("proc", "/proc", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(folder)


def _devices(staging: str, names: list[str], size: str) -> None:
    """A /dev with what every program needs and `names`; disks and terminals are not in it."""
    os.mkdir(staging)
    _bind("tmpfs", staging, _MS_NOSUID | _MS_NOEXEC, "tmpfs", "size=1m,mode=755")
    for name in (*_DEVICES, *names):
        source, target = f"/dev/{name}", os.path.join(staging, name)
        if not os.path.exists(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
        _bind(source, target, _MS_BIND | _MS_REC)
    for name, number in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{number}", os.path.join(staging, name))
    shared = os.path.join(staging, "shm")
    os.mkdir(shared)
    _bind("tmpfs", shared, _MS_NOSUID | _MS_NODEV, "tmpfs", size.replace("700", "1777"))
    _bind(staging, "/dev", _MS_MOVE)
    _read_only("/dev", 0)
    os.rmdir(staging)


def _bind(source: str | None, target: str, flags: int, kind: str | None = None, data: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _call("mount", words[0], words[1], words[2], ctypes.c_ulong(flags), words[3], what=f"mount {target}")


def _read_only(path: str, flags: int) -> None:
    attributes = struct.pack("QQQQ", 1, 0, 0, 0)  # set MOUNT_ATTR_RDONLY; needs Linux 5.12
    _system(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes), what="mount_setattr")


def _drop() -> None:
    """No capability, and none to be had any more, not even by programs that are executed."""
    if not sys.platform.startswith("linux"):
        return
    library = _libc()
    for capability in range(64):
        if library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    library.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)
    _call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


# -- Landlock --------------------------------------------------------------------------------------------------

_WRITES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14))  # every right that changes something
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14


def _landlock(wish: dict[str, Any], folder: str) -> None:
    """No writes outside `folder`, no sockets, no look into other processes."""
    abi = _landlock_abi()
    if abi < 3:  # before Linux 6.2 it could not forbid truncating
        raise _Refused("not in this kernel" if abi <= 0 else "too old in this kernel")
    program = _no_sockets()
    if program is None:
        raise _Refused(f"no filter for system calls is known for {os.uname().machine}")
    _drop()
    _restrict(_handled(abi), [(folder, _WRITES), *_device_rules(wish["devices"])])
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _call("prctl", _PR_SET_SECCOMP, 2, header, 0, 0, what="seccomp")


def _landlock_abi() -> int:
    return int(_libc().syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def _handled(abi: int) -> bytes:
    """What is forbidden where no rule allows it: writes, TCP, signals and abstract sockets of other processes."""
    if abi < 4:
        return struct.pack("Q", _WRITES)
    return struct.pack("QQ", _WRITES, 3) if abi < 6 else struct.pack("QQQ", _WRITES, 3, 3)


def _device_rules(devices: Sequence[str]) -> list[tuple[str, int]]:
    return [(f"/dev/{name}", _WRITE_FILE | _TRUNCATE) for name in (*_DEVICES, *devices)]


def _restrict(attributes: bytes, rules: list[tuple[str, int]]) -> None:
    if not sys.platform.startswith("linux"):
        raise _Refused("Linux only")
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    ruleset = _system(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0, what="landlock")
    try:
        for path, rights in rules:
            if not os.path.exists(path):
                continue
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                allowed = rights if os.path.isdir(path) else rights & (_WRITE_FILE | _TRUNCATE)
                _system(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0, what="landlock")
            finally:
                os.close(place)
        _system(_LANDLOCK_RESTRICT, ruleset, 0, what="landlock")
    finally:
        os.close(ruleset)


def _no_sockets() -> bytes | None:
    """A filter that refuses `socket` and `io_uring_setup` (which makes sockets, too); None on other machines."""
    known = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
    if os.uname().machine not in known or struct.calcsize("P") != 8:
        return None
    architecture, number = known[os.uname().machine]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    lines = [
        (load, 0, 0, 4),
        (equal, 0, 5, architecture),  # calls of another architecture are refused, whatever they are
        (load, 0, 0, 0),
        (at_least, 3, 0, 0x40000000),  # the x32 calls
        (equal, 2, 0, number),
        (equal, 1, 0, 425),
        (give, 0, 0, 0x7FFF0000),
        (give, 0, 0, 0x00050000 | errno.EPERM),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


# -- system calls ----------------------------------------------------------------------------------------------

_loaded: list[Any] = []


def _libc() -> Any:
    if not _loaded:
        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]


def _call(name: str, *arguments: Any, what: str = "") -> int:
    return _checked(getattr(_libc(), name), arguments, what or name)


def _system(number: int, *arguments: Any, what: str) -> int:
    return _checked(_libc().syscall, (ctypes.c_long(number), *arguments), what)


def _checked(function: Callable[..., int], arguments: tuple[Any, ...], what: str) -> int:
    """The call's answer; `_Refused` where it is an error."""
    ctypes.set_errno(0)
    answer = function(*arguments)
    if answer < 0:
        raise _Refused(f"{what}: {os.strerror(ctypes.get_errno())}")
    return answer
