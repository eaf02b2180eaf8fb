"""Bad input costs one clear line; everything else is still processed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BUG = "import torch\n\n\ndef f(x):\n    return torch.log(torch.softmax(x, dim=-1))\n"
FIXED = BUG.replace("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")


def autofix(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", "autofix", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, timeout=120, check=False)


# What is skipped, and the word that the line about it must hold.
SKIPPED = {
    "syntax-error": (b"import torch\ndef f(:\n    torch.log(torch.softmax(x, 1))\n", "syntax error"),
    "python-2": (b"import torch\nprint 'log', torch.softmax\nx.log(\n", "Python 2"),
    "invalid-utf-8": (BUG.replace("x)", "x)").encode() + b"# \xff\n", "UTF-8"),
    "unknown-cookie": (b"# coding: klingon\n" + BUG.encode(), "encoding"),
    "null-byte": (BUG.encode() + b"\x00\n", "null"),
}
# What is processed as it is: the bytes around the bug.
KEPT = {
    "bom": (b"\xef\xbb\xbf", b""),
    "latin-1": (b"# -*- coding: latin-1 -*-\n# \xe9\xff\n", b"# \xe9\n"),
    "form-feed": (b"\x0c\n", b"\x0c\n"),
    "no-final-newline": (b"", b"\n# end"),
    "u2028": ("# a\u2028b\n".encode(), b""),
}


@pytest.mark.parametrize(("data", "said"), SKIPPED.values(), ids=SKIPPED.keys())
def test_one_clear_line_and_the_rest_is_processed(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "bad.py").write_bytes(data)
    (tmp_path / "good.py").write_text(BUG)
    done = autofix("--no-verify", cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if "bad.py" in line]
    assert len(lines) == 1
    assert said in lines[0]
    assert (tmp_path / "bad.py").read_bytes() == data
    assert "log_softmax" in (tmp_path / "good.py").read_text()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize(("head", "tail"), KEPT.values(), ids=KEPT.keys())
def test_bytes_outside_the_edit_are_identical(tmp_path: Path, head: bytes, tail: bytes, newline: bytes) -> None:
    before = head + BUG.encode() + tail
    after = head + FIXED.encode() + tail
    before, after = before.replace(b"\n", newline), after.replace(b"\n", newline)
    (tmp_path / "a.py").write_bytes(before)
    done = autofix("--no-verify", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    changed = (tmp_path / "a.py").read_bytes()
    assert b"log_softmax" in changed
    assert changed.split(b"log_softmax")[0].removesuffix(b"F.").removesuffix(b"torch.").removesuffix(
        b"torch.nn.functional."
    ) == after.split(b"torch.log_softmax")[0].removesuffix(b"torch.")
    assert changed.split(b"log_softmax")[1] == after.split(b"log_softmax")[1]


def test_empty_file_and_directory(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_bytes(b"")
    done = autofix(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_deep_expressions(tmp_path: Path) -> None:
    chain = "y = x" + ".a" * 1500 + "\n"
    total = "z = torch.log(torch.softmax(x, 1))" + " + x * 0.5" * 3000 + "\n"
    (tmp_path / "deep.py").write_text(BUG + chain + total)
    done = autofix("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "RecursionError" not in done.stderr
    assert "deep.py:5:" in done.stdout
    assert "deep.py:7:" in done.stdout


def test_a_generated_file_of_five_megabytes_takes_seconds(tmp_path: Path) -> None:
    line = "WEIGHTS.append([0.125, -0.5, 'torch softmax log exp inf masked_fill step backward', 3])\n"
    (tmp_path / "big.py").write_text(BUG + "WEIGHTS = []\n" + line * (5_000_000 // len(line)))
    started = time.monotonic()
    done = autofix("--no-verify", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "log_softmax" in (tmp_path / "big.py").read_text()[:200]
    assert time.monotonic() - started < 60  # "seconds, not minutes", on a loaded machine


def test_a_symlink_loop_and_a_fifo(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "again").symlink_to(tmp_path / "pkg", target_is_directory=True)
    (tmp_path / "self.py").symlink_to(tmp_path / "self.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "pkg" / "a.py").write_text(BUG)
    done = autofix("check", cwd=tmp_path)
    assert done.stdout.count("[log-softmax]") == 1
    assert "Traceback" not in done.stderr


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text(BUG)
    (tmp_path / "secret.py").chmod(0)
    (tmp_path / "good.py").write_text(BUG)
    done = autofix("check", cwd=tmp_path)
    assert "good.py:5:" in done.stdout
    if os.geteuid() != 0:  # root reads everything
        assert "secret.py" in done.stderr


def test_a_hostile_name(tmp_path: Path) -> None:
    name = "b [red] \n--- a.py"
    (tmp_path / f"{name}.py").write_text(BUG)
    done = autofix("--dry-run", "--no-verify", cwd=tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    patch = done.stdout.encode()
    applied = subprocess.run(["git", "apply"], cwd=tmp_path, input=patch, capture_output=True, check=False)
    assert applied.returncode == 0, applied.stderr
    assert "log_softmax" in (tmp_path / f"{name}.py").read_text()
