"""The tool's end of the harness: starts the warm parent, hands it jobs, reads results, never hangs.

The parent (`harness/__main__.py`) runs under the project's interpreter and forks a child per job.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from autofix.smoke import sandbox as sandboxes
from autofix.smoke.interpreter import Interpreter, clean_environment
from autofix.smoke.job import Job

HARNESS = Path(__file__).parent / "harness"
# Loads the folder as a package without putting any folder on `sys.path`; "" would be the user's directory.
_BOOTSTRAP = """
import sys
sys.path[:] = [p for p in sys.path if p]
import importlib.util
root, name = sys.argv[1], "autofix_harness"
spec = importlib.util.spec_from_file_location(name, root + "/__init__.py", submodule_search_locations=[root])
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
from autofix_harness.__main__ import main
main()
"""
_MEMORY_BYTES = 4 * 1024**3
_START_SECONDS = 180.0  # importing torch from a cold network disk takes minutes at worst
_SILENCE_SECONDS = 30.0  # beyond a job's own limit: the parent should have killed it long before
_STOP_SECONDS = 3.0
_WAKE_SECONDS = 2.0
_MAX_CRASHES = 3


class _Crash(Exception):
    """The warm parent is gone or silent; the text says why."""


class _NoStart(_Crash):
    """The warm parent cannot even start: trying again would not help."""


class Zygote:
    """Runs jobs under `interpreter`, `workers` at once, each for at most `seconds`.

    Use it as a context manager; the process starts with the first job. `memory` caps what one job may allocate,
    in bytes. `sandbox` is the isolation that was reached, once something has run; `refused` says why it was not enough
    to run anything. `levels` are the ways to isolate that may be used.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        *,
        workers: int = 2,
        seconds: float = 10.0,
        memory: int = _MEMORY_BYTES,
        levels: Sequence[str] = sandboxes.LEVELS,
    ) -> None:
        self.interpreter = interpreter
        self.workers = max(1, workers)
        self.seconds = seconds
        self.memory = memory
        self.levels = tuple(levels)
        self.sandbox = sandboxes.Sandbox()
        self.refused = ""
        self.torch = interpreter.torch
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._folder = ""
        self._buffer = b""
        self._next = 0

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Each job with its result, in the order in which they finish; the result's "seconds" is the time it ran.

        A job that cannot be run has the verdict INCONCLUSIVE and a reason; where another run may go better (too slow,
        killed), "lasting" is false. Nothing is raised for what the code of a
        job does, nor when the process that runs them dies.
        """
        pending = iter(jobs)
        flying: dict[int, Job] = {}
        crashes = 0
        while True:
            try:
                self._fill(pending, flying)
                if not flying:
                    return
                answer = self._receive(self.seconds + _SILENCE_SECONDS)
            except _Crash as crash:
                self._kill()
                crashes += 1
                yield from ((job, _conclude(str(crash))) for job in flying.values())
                flying.clear()
                if crashes >= _MAX_CRASHES or isinstance(crash, _NoStart):
                    yield from ((job, _conclude(str(crash))) for job in pending)
                    return
                continue
            except BaseException:  # KeyboardInterrupt above all: what is running must end now
                self._kill()
                raise
            job = flying.pop(answer["id"], None)
            if job is None:
                continue  # asked for by a run that its caller gave up
            result = answer["result"]
            result["seconds"] = answer["seconds"]
            result["sandbox"] = self.sandbox.words
            yield job, result

    def _fill(self, pending: Iterator[Job], flying: dict[int, Job]) -> None:
        """Keep the parent supplied: what runs and as much again in wait."""
        while len(flying) < 2 * self.workers:
            job = next(pending, None)
            if job is None:
                return
            self._next += 1
            flying[self._next] = job
            limits = {"seconds": self.seconds, "memory": self.memory, "seed": 0}
            self._send({"id": self._next, "kind": job.kind, "spec": job.spec, **limits})

    # -- the process -----------------------------------------------------------------------------------

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        if not self.interpreter.fork:
            raise _NoStart("running code needs a system with fork: Linux, macOS or WSL")
        self._buffer = b""
        self._folder = tempfile.mkdtemp(prefix="autofix-trials-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        arguments = ["-c", _BOOTSTRAP, str(HARNESS)]
        with sandboxes.launched(
            self.interpreter.path, arguments, self.interpreter.sandbox, self._folder, self.levels
        ) as launch:
            options = {"workers": self.workers, "folder": self._folder, "isolation": launch.isolation}
            greeting = self._greeted([*launch.command, json.dumps(options)])
        self.sandbox = sandboxes.reached(greeting)
        if not greeting.get("ready"):
            self.refused = sandboxes.refusal(self.sandbox)
            raise _NoStart(self.refused)
        self.torch = str(greeting.get("torch", self.torch))
        assert self._process is not None
        return self._process

    def _greeted(self, command: list[str]) -> dict[str, Any]:
        """Start the process; what it says when it is ready."""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**clean_environment(), "TMPDIR": self._folder, "XDG_CACHE_HOME": self._folder},
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C reaches the tool only, which then ends this
                bufsize=0,
            )
        except OSError as error:
            raise _NoStart(f"{self.interpreter.path} cannot be started: {error.strerror}") from error
        try:
            return self._receive(_START_SECONDS)
        except _Crash as crash:
            raise _NoStart(str(crash)) from crash

    def _send(self, message: dict[str, Any]) -> None:
        stream = self._started().stdin
        assert stream is not None
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[stream.write(data) or 0 :]
        except OSError as error:
            raise _Crash(self._why("stopped")) from error

    def _receive(self, seconds: float) -> dict[str, Any]:
        """The parent's next line, within `seconds`."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = until - time.monotonic()
                if left <= 0:
                    raise _Crash(f"the process that runs the code was silent for {seconds:g} s")
                if not selector.select(min(left, _WAKE_SECONDS)):
                    process.send_signal(signal.SIGCONT)  # a job may have stopped its parent
                    continue
                data = os.read(process.stdout.fileno(), 1 << 20)
                if not data:
                    raise _Crash(self._why("ended"))
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise _Crash("the process that runs the code sent something that is no result") from error
        return answer

    def _why(self, what: str) -> str:
        """What the parent last wrote to its standard error."""
        text = ""
        if self._errors is not None:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - 4000))
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            text = f": {lines[-1][:300]}" if lines else ""
        return f"the process that runs the code {what}{text}"

    def close(self) -> None:
        """End the parent and everything it started. Calling it twice is fine."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # the parent sees the end, kills its children and tidies up
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        self._kill()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if self._errors is not None:
            self._errors.close()
            self._errors = None
        if process is None:
            self._tidy()
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self._tidy()

    def _tidy(self) -> None:
        if self._folder:
            try:
                shutil.rmtree(self._folder, ignore_errors=True)
            except RecursionError:
                subprocess.run(["rm", "-rf", "--", self._folder], stderr=subprocess.DEVNULL, check=False)
            self._folder = ""


def _conclude(reason: str) -> dict[str, Any]:
    return {"verdict": "INCONCLUSIVE", "reason": reason, "seconds": 0.0, "lasting": False}
