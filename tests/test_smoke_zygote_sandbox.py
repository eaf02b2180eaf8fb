"""What `--sandbox` promises: `require` fails closed, user code never runs in the tool's own process, results do not
depend on the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running import interpreter
from test_smoke_hostile import NET, ORDINARY, answer

from autofix.model import Problem
from autofix.smoke.modules.smoke import smoke
from autofix.smoke.zygote import Zygote

ROOT = Path(__file__).parents[1]
# Becomes Python under a filter that answers EPERM to unshare (272, 97), clone3 with namespaces is not used, mount
# (165, 40) and Landlock (444): what a strict container does.
STRICT = """#!{python}
import ctypes, os, struct, sys
library = ctypes.CDLL(None, use_errno=True)
numbers = (272, 165, 444) if os.uname().machine == "x86_64" else (97, 40, 444)
lines = [(0x20, 0, 0, 0), *((0x15, len(numbers) - i, 0, n) for i, n in enumerate(numbers)), (6, 0, 0, 0x7FFF0000),
         (6, 0, 0, 0x00050001)]
program = b"".join(struct.pack("HBBI", *line) for line in lines)
buffer = ctypes.create_string_buffer(program, len(program))
assert library.prctl(38, 1, 0, 0, 0) == 0
assert library.prctl(22, 2, struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(buffer)), 0, 0) == 0
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


@pytest.fixture
def strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An interpreter under which nothing can isolate; bubblewrap is not to be found either."""
    path = tmp_path / "python"
    path.write_text(STRICT.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return str(path)


def marking(folder: Path) -> Path:
    """A file whose import leaves a trace: which process, and whether that is the tool's."""
    path = folder / "marking.py"
    trace = f"import os, sys\nwith open({str(folder / 'trace')!r}, 'a') as f:\n    "
    path.write_text(f"{trace}print(os.getpid(), 'autofix' in sys.modules, file=f)\n{NET}")
    return path


def test_require_runs_nothing_where_nothing_isolates(strict: str, tmp_path: Path) -> None:
    demanding = replace(interpreter(), path=strict, sandbox="require")
    with Zygote(demanding, seconds=20.0) as running:
        result = answer(running, ORDINARY)
    assert result["verdict"] == "INCONCLUSIVE"
    assert "no code was run: --sandbox=require" in result["reason"]
    found = smoke(str(marking(tmp_path)), demanding, checks=False)
    assert isinstance(found, Problem)
    assert "no code was run" in found.message
    assert not (tmp_path / "trace").exists()


def test_auto_says_what_it_fell_back_to(strict: str) -> None:
    with Zygote(replace(interpreter(), path=strict), seconds=20.0) as running:
        result = answer(running, ORDINARY)
        assert result["verdict"] == "REFUTED"
        assert result["sandbox"].startswith("limits")
        assert "namespaces" in running.sandbox.why or not sys.platform.startswith("linux")


def test_the_command_line_fails_closed(strict: str, tmp_path: Path) -> None:
    path = marking(tmp_path)
    command = [sys.executable, "-m", "autofix", "smoke", str(path), "--sandbox=require", f"--python={strict}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "no code was run" in done.stderr
    assert not (tmp_path / "trace").exists()


def test_the_tool_never_imports_user_code(tmp_path: Path) -> None:
    path = marking(tmp_path)
    source = (
        path.read_text()
        + "class Bad(Net):\n    def forward(self, x):\n        return torch.log(torch.softmax(x, -1))\n"
    )
    path.write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (["smoke", str(path), "--no-checks"], ["fix", "--dry-run", "--no-cache", str(path)]):
        command = [sys.executable, "-m", "autofix", *words, "--sandbox=off", f"--python={sys.executable}"]
        tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        tool.wait(300)
        trace = [line.split() for line in (tmp_path / "trace").read_text().splitlines()]
        assert trace
        assert all(pid != str(tool.pid) and inside == "False" for pid, inside in trace)


def test_the_same_job_gives_the_same_bytes() -> None:
    specs = [{**ORDINARY.spec, "max_norm": 1.0 + n} for n in range(10)]

    def once() -> list[str]:
        with Zygote(interpreter(), workers=2, seconds=20.0) as running:
            found: dict[str, Any] = {}
            for job, result in running.run(replace(ORDINARY, spec=spec) for spec in specs):
                found[str(job.spec["max_norm"])] = {k: v for k, v in result.items() if k != "seconds"}
        return [json.dumps(found[str(spec["max_norm"])], sort_keys=True) for spec in specs]

    assert once() == once()
