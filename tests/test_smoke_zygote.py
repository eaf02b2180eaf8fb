"""The harness under hostile code: every job ends, nothing survives it, and the others are not disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running import interpreter, zygote

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.job import Job
from autofix.smoke.zygote import Zygote

__all__ = ["zygote"]

SPEC: dict[str, Any] = {
    "helpers": [], "aliases": {}, "scaled_elsewhere": False,
    "before_changed": [], "after_changed": [], "index": "i", "models": ["model"],
    "optimizers": {"optimizer": {"kind": "SGD", "models": ["model"]}}, "scalers": [], "accelerators": [],
    "fabrics": [], "lightning": [], "losses": ["loss"], "parameter_lists": {}, "accumulate": 1, "backward": True,
    "engines": [], "clips": [], "before_imports": {}, "after_imports": {}, "constants": {}, "counters": [],
    "max_norm": 1.0, "by_value": False, "assumptions": [],
}  # fmt: skip


def job(code: str) -> Job:
    """A training step with `code` in front of it, executed as a user's loop would be."""
    text = textwrap.dedent(code) + "loss.backward()\noptimizer.step()\noptimizer.zero_grad()\n"
    return Job("block", {**SPEC, "before": text, "after": text})


FORK = """
import os, time
if os.fork() == 0:
    {leave}
    if os.fork() == 0:
        {leave}
        open({path!r} + ".new", "w").write(str(os.getpid()))
        os.rename({path!r} + ".new", {path!r})
        while True:
            time.sleep(0.05)
    os._exit(0)
while not os.path.exists({path!r}):
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def bare() -> Iterator[Zygote]:
    """A warm parent without a sandbox: its jobs can write where the test reads, and see the test's process numbers."""
    with Zygote(replace(interpreter(), sandbox="off"), seconds=20.0) as running:
        yield running


def one(zygote: Zygote, code: str) -> dict[str, Any]:
    [(_, result)] = zygote.run([job(code)])
    return result


def gone(pid: int) -> bool:
    """Whether a process has ended, within five seconds."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if not state.stdout.strip() or state.stdout.strip().startswith("Z"):
            return True
    return False


def test_ordinary_code_runs(zygote: Zygote) -> None:
    assert one(zygote, "x = 1\n")["verdict"] == "REFUTED"  # nothing was clipped, and that is what is said
    assert zygote.sandbox.words


def test_an_endless_loop_that_ignores_signals_is_killed_and_the_others_go_on(
    zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "import signal\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nany(False for _ in iter(int, 1))\n"
    monkeypatch.setattr(zygote, "seconds", 1.5)
    started = time.monotonic()
    results = list(zygote.run([job(endless), job("a = 1\n"), job("b = 1\n")]))
    ran = time.monotonic() - started
    assert len(results) == 3
    last, result = results[-1]  # results arrive as they are ready: the killed one comes last
    assert "iter(int, 1)" in last.spec["before"]
    assert result["verdict"] == "INCONCLUSIVE"
    assert "within 1.5 s" in result["reason"]
    assert ran < 60.0


def test_memory_is_capped(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygote, "memory", 256 * 1024**2)
    hog = one(zygote, "loss.backward(bytearray(2 ** 31))\n")
    tensor = one(zygote, "import torch\nloss.backward(torch.ones(2 ** 30))\n")
    assert one(zygote, "x = 1\n")["verdict"] == "REFUTED"
    assert hog["verdict"] == "INCONCLUSIVE"
    assert "memory" in hog["reason"]
    assert tensor["verdict"] == "INCONCLUSIVE"
    assert "memory" in tensor["reason"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\nos._exit(7)\n", "exit status 7"),
        ("import sys\nsys.exit(4)\n", "exit status 4"),
        ("import os\nos.kill(os.getpid(), 11)\n", "signal 11"),
        ("optimizer.step(1, 2, 3)\n", "TypeError"),
        ("optimizer.step([][0])\n", "IndexError"),
        ("def f(): optimizer.step(f())\noptimizer.step(f())\n", "Recursion"),
    ],
    ids=["os._exit", "sys.exit", "segmentation fault", "TypeError", "IndexError", "recursion"],
)
def test_code_that_ends_badly_is_inconclusive_with_the_reason(zygote: Zygote, code: str, words: str) -> None:
    result = one(zygote, code)
    assert result["verdict"] == "INCONCLUSIVE"
    assert words in result["reason"]


def test_a_daemon_does_not_outlive_its_job(bare: Zygote, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    leave = "os.setsid()" if sys.platform.startswith("linux") else "pass"  # elsewhere nobody inherits who left
    one(bare, FORK.format(path=str(path), leave=leave))
    assert gone(int(path.read_text()))


def test_much_output_neither_blocks_nor_disturbs(zygote: Zygote) -> None:
    code = (
        "import sys, os\nfor _ in range(30): os.write(1, b'{\"id\": 1}\\n' * 50000)\nsys.stderr.write('x' * 100000)\n"
    )
    assert one(zygote, code)["verdict"] == "REFUTED"


def test_a_job_sees_no_secret_and_a_directory_of_its_own(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
    import os
    seen = sorted(k for k in os.environ if "SECRET" in k or k == "PYTHONPATH")
    made = os.listdir(".")
    assert_ = [1 / 0 for _ in [*seen, *made]] or optimizer.zero_grad()
    """
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    zygote.close()  # it starts again with the next job, and with this environment
    assert one(zygote, code)["verdict"] == "REFUTED"


def test_a_dead_parent_is_reported_and_replaced(bare: Zygote) -> None:
    killer = "import os\nos.kill(os.getppid(), 9)\n"
    jobs = [job(killer), *(job(f"x = {n}\n") for n in range(5))]
    results = [r for _, r in bare.run(jobs)]
    assert len(results) == 6
    assert any("ended" in r.get("reason", "") and r["verdict"] == "INCONCLUSIVE" for r in results)
    assert results[-1]["verdict"] == "REFUTED"


def test_an_interpreter_that_does_not_start_is_reported_for_every_job(tmp_path: Path) -> None:
    broken = Interpreter(str(tmp_path / "python"), "3", "2", "a test")
    with Zygote(broken) as running:
        results = [r for _, r in running.run([job("x = 1\n"), job("y = 1\n"), job("z = 1\n")])]
    assert [r["verdict"] for r in results] == ["INCONCLUSIVE"] * 3
    assert "cannot be started" in results[0]["reason"]


def test_an_unknown_kind_is_reported(zygote: Zygote) -> None:
    [(_, result)] = zygote.run([Job("telepathy", {})])
    assert "telepathy" in result["reason"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_nothing_is_left_when_the_tool_ends(tmp_path: Path, number: int) -> None:
    script = tmp_path / "tool.py"
    path = tmp_path / "pid"
    script.write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from running import interpreter\n"
        "from test_smoke_zygote import Zygote, job\n"
        "code = 'import os, time\\nopen(%r, \"w\").write(str(os.getpid()))\\nany(False for _ in iter(int, 1))\\n'\n"
        "from dataclasses import replace\n"
        f"list(Zygote(replace(interpreter(), sandbox='off'), seconds=60.0).run([job(code % {str(path)!r})]))\n"
    )
    tool = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60.0
        while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
            assert tool.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(tool.pid, number)
        tool.wait(30.0)
    assert gone(int(path.read_text()))


def test_the_interpreter_is_chosen_in_order(tmp_path: Path) -> None:
    chosen = find_python(sys.executable, tmp_path, {})
    assert isinstance(chosen, Interpreter)
    assert chosen.path == sys.executable
    active = find_python(None, tmp_path, {"VIRTUAL_ENV": sys.prefix})
    assert isinstance(active, Interpreter)
    assert "VIRTUAL_ENV" in active.why
    missing = find_python("no-such-python", tmp_path, {"PATH": ""})
    assert isinstance(missing, Problem)
    assert "--python" in missing.message


def test_an_interpreter_without_torch_says_how_to_get_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    found = find_python(None, tmp_path, {})
    assert isinstance(found, Problem)
    assert 'pip install "autofix-torch[torch]"' in found.message
    assert "--python PATH" in found.message
