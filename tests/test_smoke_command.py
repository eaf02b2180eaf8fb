"""A project's own command before and after a patch, in copies: real processes, no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autofix.model import Level, Verdict
from autofix.smoke.command import project_files, smoke
from autofix.smoke.interpreter import Interpreter

PYTHON = Interpreter(sys.executable, "3", "none", "the tests")
FINE = b"print('step 1 loss 0.5')\nprint('step 2 loss 0.4')\n"
NAN = b"print('step 1 loss 0.5')\nprint('step 2 loss nan')\n"
FAILS = b"import sys\nprint('about to fail')\nsys.exit(3)\n"


def verdict(root: Path, before: bytes, after: bytes, seconds: float = 60.0) -> tuple[Verdict, str]:
    (root / "train.py").write_bytes(before)
    evidence = smoke(root, "python train.py", {Path("train.py"): after}, PYTHON, seconds=seconds)
    assert evidence.level is Level.COMMAND
    return evidence.verdict, evidence.reason or evidence.witness_summary


@pytest.mark.parametrize(
    ("before", "after", "expected", "words"),
    [
        (NAN, FINE, Verdict.PROVED, "step 2 loss nan"),
        (FAILS, FINE, Verdict.PROVED, "exit status 3"),
        (FINE, FINE, Verdict.CONSISTENT, "finite"),
        (FINE, FAILS, Verdict.REFUTED, "about to fail"),
        (NAN, FAILS, Verdict.REFUTED, "about to fail"),
        (FINE, NAN, Verdict.REFUTED, "non-finite"),
        (NAN, NAN, Verdict.INCONCLUSIVE, "loss nan"),
        (FAILS, FAILS, Verdict.INCONCLUSIVE, "exit status 3"),
    ],
    ids=lambda value: value.name if isinstance(value, Verdict) else None,
)
def test_verdicts(tmp_path: Path, before: bytes, after: bytes, expected: Verdict, words: str) -> None:
    found, text = verdict(tmp_path, before, after)
    assert found is expected
    assert words in text


def test_the_time_of_both_runs_is_told(tmp_path: Path) -> None:
    slow = FINE + b"import time\nuntil = time.monotonic() + 2.0\nwhile time.monotonic() < until:\n    pass\n"
    (tmp_path / "train.py").write_bytes(FINE)
    evidence = smoke(tmp_path, "python train.py", {Path("train.py"): slow}, PYTHON, seconds=60.0)
    [told] = [c.detail for c in evidence.claims if c.name == "time"]
    ratio = float(told.split()[-2])
    assert ratio > 1.5  # an empty Python takes well below 2 s, on a loaded machine too
    assert f"{ratio:.2f} times the time" in evidence.witness_summary
    assert evidence.verdict is Verdict.CONSISTENT


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("loss: nan", True), ("loss=NaN, acc=0.1", True), ("{'loss': inf}", True), ("tensor(-inf)", True),
        ("epoch 3 | grad_norm -inf", True), ("Infinity is a word in this sentence", False),
        ("INFO: training finance model", False), ("[INF] loading banana", False), ("info=nano", False),
    ],
)  # fmt: skip
def test_what_counts_as_non_finite(tmp_path: Path, line: str, bad: bool) -> None:
    found, _ = verdict(tmp_path, f"print({line!r})".encode(), FINE)
    assert found is (Verdict.PROVED if bad else Verdict.CONSISTENT)


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path.parent / "child.pid"
    code = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(pid_file)!r}, "w").write(str(child.pid))
while True:
    time.sleep(0.1)
"""
    started = time.monotonic()
    found, text = verdict(tmp_path, FINE, code.encode(), seconds=2.0)
    assert found is Verdict.REFUTED
    assert "did not end within 2 s" in text
    assert time.monotonic() - started < 30.0
    assert not alive(int(pid_file.read_text()))


def alive(pid: int) -> bool:
    """Whether a process runs (one that was killed and not yet waited for does not)."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if not state.stdout.strip() or state.stdout.strip().startswith("Z"):
            return False
    return True


def test_the_project_itself_is_not_touched(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "helper.py").write_text("VALUE = 1\n")
    (root / "link.py").symlink_to("pkg/helper.py")
    code = b"import link, os\nopen('made.txt', 'w').write('x')\nassert os.path.islink('link.py')\nprint('loss', 1.0)\n"
    found, text = verdict(root, code, code + b"print('loss 0.5')\n")
    assert found is Verdict.CONSISTENT, text
    assert not (root / "made.txt").exists()
    assert (root / "train.py").read_bytes() == code


def test_a_link_out_of_the_project_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_bytes(FINE)
    root = tmp_path / "project"
    root.mkdir()
    (root / "shared.py").symlink_to(outside)
    (root / "train.py").write_bytes(FINE)
    smoke(root, "python train.py", {Path("shared.py"): FAILS}, PYTHON, seconds=60.0)
    assert outside.read_bytes() == FINE


def test_large_files_are_linked_and_that_is_said(tmp_path: Path) -> None:
    with (tmp_path / "data.bin").open("wb") as stream:
        stream.truncate(201 * 1024 * 1024)  # a hole: it takes no space
    (tmp_path / "train.py").write_bytes(FINE)
    evidence = smoke(tmp_path, "python train.py", {}, PYTHON, seconds=60.0)
    assert evidence.verdict is Verdict.CONSISTENT
    assert "data.bin" in evidence.assumptions[0]


def test_secrets_and_home_do_not_reach_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    home = os.environ.get("HOME", "")
    code = f"import os, sys\nsys.exit(1 if 'SECRET_TOKEN' in os.environ or os.environ['HOME'] == {home!r} else 0)\n"
    assert verdict(tmp_path, code.encode(), code.encode())[0] is Verdict.CONSISTENT


@pytest.mark.parametrize("command", ["", "python 'train.py", "no-such-program-anywhere --now"])
def test_a_command_that_cannot_run_is_inconclusive(tmp_path: Path, command: str) -> None:
    evidence = smoke(tmp_path, command, {}, PYTHON)
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.reason


def test_files_of_a_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("tracked.py", "new file.py", "ignored.log", ".venv/lib/x.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / ".gitignore").write_text("*.log\n.venv/\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "tracked.py"], check=True)
    assert {str(p) for p in project_files(tmp_path)} == {".gitignore", "tracked.py", "new file.py"}


def test_files_without_a_repository(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", ".venv/c.py", "__pycache__/d.pyc", "other/pyvenv.cfg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert {str(p) for p in project_files(tmp_path)} == {"a.py", "sub/b.py", "loop"}
