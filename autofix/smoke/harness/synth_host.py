"""The process that imports the user's modules and forks a trial for each class; nothing else may import them."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from . import child, synth_source

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

_OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "disabled",
    "WANDB_DISABLED": "true", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error",
    "MPLBACKEND": "agg",
}  # fmt: skip


_MOST_EXTENSIONS = 3
_STARVED = 0.5  # of the wall time


def serve(spec: dict[str, Any], items: list[dict[str, Any]], out: int, parent: int) -> None:
    """Import each module once, try its classes one after another, say before each step what is done. Never returns."""
    try:
        _die_with(parent)
        _prepare(spec)
        modules = list(dict.fromkeys(item["module"] for item in items))
        for name in modules:
            group = [item for item in items if item["module"] == name]
            _say(out, {"importing": name})
            try:
                module = _imported(name, group[0].get("path"))
            except BaseException as error:
                reason = f"importing {name} failed: {type(error).__name__}: {child.first_line(error)}"
                for item in group:
                    _say(out, {"id": item["id"], "result": {"verdict": "could-not-synthesise", "reason": reason}})
                continue
            synth_source.prepare(getattr(module, "__file__", None))
            gc.collect()
            gc.freeze()  # the collector of a fork would otherwise copy every page
            for item in group:
                _say(out, {"trying": item["id"]})
                _say(out, {"id": item["id"], "result": _trial(module, item, spec, out)})
        _say(out, {"end": True})
    finally:
        os._exit(0)


def _die_with(parent: int) -> None:
    if child._libc is not None:
        child._libc.prctl(child._PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _say(out: int, message: dict[str, Any]) -> None:
    data = json.dumps(message, default=str).encode() + b"\n"
    while data:
        data = data[os.write(out, data) :]


def _prepare(spec: dict[str, Any]) -> None:
    os.environ.update(_OFFLINE)
    sys.dont_write_bytecode = True
    sys.setrecursionlimit(3000)
    _block_network()
    if spec.get("overlay"):
        synth_source.OVERLAY.update(spec["overlay"])
        _install_overlay()
    for path in reversed(spec["paths"]):
        sys.path.insert(0, path)
    importlib.invalidate_caches()


def _block_network() -> None:
    """Imports that reach for the network fail at once instead of waiting for it."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("the network is off while code is under trial")

    socket.getaddrinfo = refuse
    socket.create_connection = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign]


class _OverlayLoader(importlib.machinery.SourceFileLoader):
    """Reads a patched file in place of the one on disk; everything around it is the user's own tree."""

    def get_data(self, path: str) -> bytes:
        text = synth_source.OVERLAY.get(os.path.realpath(path))
        return text.encode("latin-1") if text is not None else super().get_data(path)

    def path_stats(self, path: str) -> Any:
        if os.path.realpath(path) in synth_source.OVERLAY:
            raise OSError("no bytecode for patched files")
        return super().path_stats(path)


def _install_overlay() -> None:
    details = [
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (_OverlayLoader, importlib.machinery.SOURCE_SUFFIXES),
        (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
    ]
    sys.path_hooks.insert(0, importlib.machinery.FileFinder.path_hook(*details))
    sys.path_importer_cache.clear()


def _imported(name: str, path: str | None) -> Any:
    """The module, by name; by its file where the name belongs to something else already."""
    if path is None:
        return importlib.import_module(name)
    module = sys.modules.get(name)
    if module is None and not _is_taken(name, path):
        module = importlib.import_module(name)
    if module is not None and _same(getattr(module, "__file__", None), path):
        return module
    spec = importlib.util.spec_from_file_location(name, path, loader=_OverlayLoader(name, path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_taken(name: str, path: str) -> bool:
    """Whether a module without dots in its name would be found somewhere else."""
    if "." in name:
        return False
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    return found is None or not _same(found.origin, path)


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


def _trial(module: Any, item: dict[str, Any], spec: dict[str, Any], out: int) -> dict[str, Any]:
    """Fork, wait for the result at most so long, then kill what is left."""
    seconds = float(spec["class_seconds"])
    reading, writing = os.pipe()
    host = os.getpid()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        os.close(reading)
        _become_trial(module, item, spec, writing, host)
    os.close(writing)
    text = _read(reading, started + seconds)
    for _ in range(_MOST_EXTENSIONS):
        if text or not _starved(pid, time.monotonic() - started):
            break
        _say(out, {"trying": item["id"]})  # the watcher's time starts again too
        text = _read(reading, time.monotonic() + seconds)
    os.close(reading)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    took = time.monotonic() - started
    try:
        result: dict[str, Any] = json.loads(text)
    except ValueError:
        result = {"verdict": "could-not-synthesise", "reason": _why(status, took >= seconds, seconds)}
    result["seconds"] = round(took, 4)
    result["processor_seconds"] = round(used.ru_utime + used.ru_stime, 4)
    result["peak_bytes"] = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return result


def _starved(pid: int, wall: float) -> bool:
    """Whether a process wants to run and a busy machine has not let it (Linux): time alone must not decide then."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return False
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return fields[0] == "R" and used < _STARVED * wall


def _read(source: int, until: float) -> bytes:
    """What a trial wrote, up to the end of its line; a trial that is late or dead leaves less."""
    text = b""
    while not text.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return b""
        data = os.read(source, 1 << 16)
        if not data:
            return b""
        text += data
    return text


def _why(status: int, late: bool, seconds: float) -> str:
    if late:
        return f"it did not finish within {seconds:g} s and was killed"
    if os.WIFEXITED(status):
        return f"the code ended the process (exit status {os.WEXITSTATUS(status)})"
    return f"the process died of signal {os.WTERMSIG(status)}"


def _become_trial(module: Any, item: dict[str, Any], spec: dict[str, Any], out: int, host: int) -> None:
    code = 1
    try:
        os.setsid()
        _die_with(host)
        if resource is not None:
            child._lower(resource.RLIMIT_CPU, int(float(spec["class_seconds"])) + 2)
        child._seed(int(spec["seed"]))
        from . import synth_trial

        try:
            kind: Any = module
            for part in item["name"].split("."):
                kind = getattr(kind, part, None)  # a class statement that this run of the module skipped
            result = synth_trial.trial(kind, item, spec)
        except MemoryError:
            result = {"verdict": "could-not-synthesise", "reason": "it asked for more memory than a trial may use"}
        except BaseException as error:
            reason = f"{type(error).__name__}: {child.first_line(error)}{child._place(error)}"
            result = {"verdict": "could-not-synthesise", "reason": reason}
        _say(out, result)
        code = 0
    finally:
        os._exit(code)
