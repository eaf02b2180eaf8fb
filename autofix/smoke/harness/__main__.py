"""The warm parent: reads jobs, one JSON object a line, forks a child for each, writes results the same way.

It never runs a job itself. A job is {"id", "kind", "spec", "seconds", "memory", "seed"}; an answer {"id", "result",
"seconds"}; the first line written is {"ready", "torch", "python", "level", "why"}. The end of standard input ends
everything: no child outlives this process, and this process does not outlive the tool.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from . import child, isolation

_GRACE_SECONDS = 0.5  # between the deadline that a job knows and the kill
_RESULT_BYTES = 8 * 1024 * 1024
_TIDY_SECONDS = 2.0  # for one trial's files: the other trials wait meanwhile
_WATCH_SECONDS = 1.0  # how often the parent looks whether the tool is still there


class _Trial:
    """A child at work."""

    def __init__(self, job: dict[str, Any], pid: int, post: child.Post) -> None:
        self.job = job
        self.pid = pid
        self.post = post
        self.started = time.monotonic()
        self.deadline = self.started + float(job["seconds"]) + _GRACE_SECONDS
        self.killed = False


def warm() -> str:
    """Import torch and take one optimizer step, so that no child pays for either; torch's version.

    Gradients are set by hand: a backward pass may start device threads, which do not survive a fork.
    """
    import torch

    torch.set_num_threads(1)
    try:
        torch.set_num_interop_threads(1)
    except RuntimeError:
        sys.stderr.write("torch started its threads before the harness could ask for one\n")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        optimizer = kind(model.parameters(), lr=0.01)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return str(torch.__version__)


class _Parent:
    def __init__(self, options: dict[str, Any], reached: isolation.Reached, out: int) -> None:
        self.workers = int(options["workers"])
        self.root = str(options["folder"])
        self.reached = reached
        self.devices = tuple(options["isolation"]["devices"])
        self.courtesy = bool(options["isolation"].get("courtesy")) and not reached.isolated
        self.out = out
        self.tool = os.getppid()
        self.waiting: list[dict[str, Any]] = []
        self.running: dict[int, _Trial] = {}
        self.count = 0
        self.buffer = b""
        self.adopts = child.adopt_orphans()

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.out, data) :]

    def serve(self, wake: int) -> None:
        """Until the tool closes its end."""
        while True:
            pause = _WATCH_SECONDS
            if self.running:
                nearest = min(t.deadline for t in self.running.values())
                pause = max(0.0, min(pause, nearest - time.monotonic()))
            ready, _, _ = select.select([0, wake], [], [], pause)
            if wake in ready:
                os.read(wake, 4096)
            if 0 in ready and not self._read():
                return
            if os.getppid() != self.tool:
                return
            self._reap()
            self._kill_overdue()
            while self.waiting and len(self.running) < self.workers:
                self._start(self.waiting.pop(0))

    def _read(self) -> bool:
        data = os.read(0, 1 << 20)
        if not data:
            return False
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        self.waiting.extend(json.loads(line) for line in lines if line.strip())
        return True

    def _start(self, job: dict[str, Any]) -> None:
        try:
            importlib.import_module("." + job["kind"], __package__)
        except Exception as error:
            reason = f"the harness cannot run {job['kind']!r} jobs: {type(error).__name__}: {child.first_line(error)}"
            self.send({"id": job["id"], "result": child.conclude(reason), "seconds": 0.0})
            return
        self.count += 1
        directory = os.path.join(self.root, str(self.count))
        os.makedirs(directory, 0o700)  # a job may have removed everything
        result, output = _nameless(self.root), _nameless(self.root)
        post = child.Post(directory, os.getpid(), result, output, self.reached, self.courtesy, self.devices)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            child.become(job, post)
        self.running[pid] = _Trial(job, pid, post)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for trial in self.running.values():
            if now >= trial.deadline:
                trial.killed = True
                trial.deadline = now + _WATCH_SECONDS  # asked again should the system need that long
                _kill(trial.pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            trial = self.running.pop(pid, None)
            if trial is not None:
                self._finish(trial, status)
            else:
                self._kill_orphans()  # the death of one may have made its own children ours

    def _finish(self, trial: _Trial, status: int) -> None:
        seconds = time.monotonic() - trial.started
        _signal(os.killpg, trial.pid)  # what is left of its session
        self._kill_orphans()
        result = _result(trial, status)
        os.close(trial.post.result)
        os.close(trial.post.output)
        _remove(trial.post.directory)
        self.send({"id": trial.job["id"], "result": result, "seconds": round(seconds, 4)})

    def _kill_orphans(self) -> None:
        """Processes that left their session and lost their parent have become ours (Linux)."""
        if not self.adopts:
            return
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as stream:
                pids = [int(word) for word in stream.read().split()]
        except OSError:
            return
        for pid in pids:
            if pid not in self.running:
                _kill(pid)

    def close(self) -> None:
        for pid in self.running:
            _kill(pid)
        # A killed process may leave others behind, which then become ours: a few rounds empty the tree.
        for _ in range(20):
            self._kill_orphans()
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                select.select([], [], [], 0.01)
            self.running.pop(pid, None)
        _remove(self.root)  # the tool may be dead


def _kill(pid: int) -> None:
    """SIGKILL to a whole session and, in case it has not made one yet, to the process."""
    _signal(os.killpg, pid)
    _signal(os.kill, pid)


def _signal(kill: Callable[[int, int], None], pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(pid, signal.SIGKILL)


def _nameless(folder: str) -> int:
    """A new file that no path leads to; the descriptor is the only way to it."""
    descriptor, path = tempfile.mkstemp(dir=folder)
    os.unlink(path)
    return descriptor


def _remove(folder: str) -> None:
    """A folder with all that code left in it: folders that it closed, and more of them inside each other than a
    recursion can enter or a path can name. What takes too long is left to the tool, for the end."""
    waiting, count = [folder], 0
    until = time.monotonic() + _TIDY_SECONDS
    while waiting and time.monotonic() < until:
        here = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(here, 0o700)
            with os.scandir(here) as entries:
                listed = list(entries)
            for entry in listed:
                count += 1
                moved = os.path.join(folder, f".removed-{os.getpid()}-{count}")  # never deeper than one below the top
                waiting.extend(_taken_out(entry, moved))
            if here != folder:
                os.rmdir(here)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _taken_out(entry: os.DirEntry[str], target: str) -> list[str]:
    """Remove a file; move a folder to `target`, to be emptied there."""
    try:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
            return []
        os.chmod(entry.path, 0o700)
        os.rename(entry.path, target)
    except OSError:
        return []
    return [target]


def _result(trial: _Trial, status: int) -> dict[str, Any]:
    size = os.fstat(trial.post.result).st_size
    if size > _RESULT_BYTES:
        return child.conclude("the result is larger than 8 MB")
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status) or trial.killed:
        return {**child.conclude(_why(trial, status)), "lasting": False}
    try:
        loaded: dict[str, Any] = json.loads(os.pread(trial.post.result, size, 0))
        return loaded
    except (OSError, ValueError):
        return {**child.conclude(_why(trial, status)), "lasting": False}


def _why(trial: _Trial, status: int) -> str:
    """Why a child left no result, in words."""
    if trial.killed:
        return f"it did not finish within {float(trial.job['seconds']):g} s and was killed"
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == child.CLOSED:
        return "the code closed the files of the harness"
    if os.WIFEXITED(status):
        return f"the code ended the process (exit status {os.WEXITSTATUS(status)}){_last_line(trial)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return "it used more processor time than a trial may"
    if number == signal.SIGKILL:
        return "the system killed it (signal 9), most likely for want of memory"
    return f"the process died of signal {number}"


def _last_line(trial: _Trial) -> str:
    size = os.fstat(trial.post.output).st_size
    text = os.pread(trial.post.output, 2000, max(0, size - 2000))
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""


def main() -> None:
    """Serve jobs. The second argument of the process is JSON: {"workers", "folder", "isolation"}: how many trials at
    once, the folder for them, and what `isolation.enter` is to try."""
    options = json.loads(sys.argv[2])
    reached = isolation.enter(options["isolation"], options["folder"])
    out = os.dup(1)
    os.dup2(2, 1)  # whatever is printed from here on must not get between the answers
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tool decides; it closes our standard input
    child.load_libc()
    isolation.shield()
    parent = _Parent(options, reached, out)
    greeting = {"ready": True, "python": sys.version.split()[0], **reached._asdict()}
    try:
        if options["isolation"]["required"] and not reached.isolated:
            parent.send({**greeting, "ready": False})
            return
        version = warm()
        gc.collect()
        gc.freeze()
        parent.send({**greeting, "torch": version})
        parent.serve(read_end)
    except BrokenPipeError:
        sys.stderr.write("the tool stopped listening\n")
    finally:
        parent.close()
