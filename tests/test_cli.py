"""The command line as a user types it: real subprocesses, real files, real git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOG_SOFTMAX = """\
import torch
import torch.nn.functional as F


def loss(logits, target):
    p = F.softmax(logits, dim=-1)
    return -torch.log(p).gather(1, target[:, None]).mean()
"""
CLEAN = "import torch\n\n\ndef f(x):\n    return torch.tanh(x)\n"


def autofix(
    *arguments: str, cwd: Path, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix, "COLUMNS": "200", **environment}
    command = [sys.executable, "-m", "autofix", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, env=env, timeout=120, check=False)


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "loss.py").write_text(LOG_SOFTMAX)
    (tmp_path / "clean.py").write_text(CLEAN)
    git("init", "-q", cwd=tmp_path)
    git("add", ".", cwd=tmp_path)
    git("commit", "-qm", "start", cwd=tmp_path)
    return tmp_path


def test_check_lists_findings_and_exits_with_one(project: Path) -> None:
    done = autofix("check", cwd=project)
    assert done.returncode == 1
    assert b"loss.py:7:" in done.stdout
    assert b"[log-softmax]" in done.stdout
    assert b"\x1b[" not in done.stdout  # piped: plain
    assert (project / "loss.py").read_text() == LOG_SOFTMAX


def test_nothing_to_do_exits_with_zero(project: Path) -> None:
    assert autofix("check", "clean.py", cwd=project).returncode == 0
    assert autofix("clean.py", cwd=project).returncode == 0
    assert autofix("--dry-run", "clean.py", cwd=project).stdout == b""


def test_exit_zero(project: Path) -> None:
    assert autofix("check", "--exit-zero", cwd=project).returncode == 0


def test_check_as_json(project: Path) -> None:
    (found,) = json.loads(autofix("check", "--output-format", "json", cwd=project).stdout)
    assert found["rule"] == "log-softmax"
    assert found["path"] == "loss.py"
    assert (found["line"], found["end_line"]) == (7, 7)
    assert found["applicability"] == "safe"
    assert found["severity"] in ("error", "warning", "info")
    assert found["fix"]["edits"]
    assert found["evidence"] is None
    assert found["unfixed_reason"] is None


def test_dry_run_writes_nothing_and_git_and_patch_take_its_output(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = autofix("--dry-run", cwd=project)
    assert done.returncode == 1
    assert (project / "loss.py").read_text() == LOG_SOFTMAX
    head, _, _ = done.stdout.partition(b"diff --git")
    assert b"log-softmax" in head
    assert b"PROVED" in head
    assert b"witness" in head
    other = tmp_path_factory.mktemp("copy")
    (other / "loss.py").write_text(LOG_SOFTMAX)
    subprocess.run(["patch", "-p1", "-s"], cwd=other, input=done.stdout, check=True)
    subprocess.run(["git", "apply"], cwd=project, input=done.stdout, check=True)
    assert (project / "loss.py").read_bytes() == (other / "loss.py").read_bytes()
    assert b"log_softmax" in (project / "loss.py").read_bytes()


def test_dry_run_as_json_carries_evidence(project: Path) -> None:
    (found,) = json.loads(autofix("--dry-run", "--output-format", "json", cwd=project).stdout)
    assert found["evidence"]["verdict"] == "PROVED"
    assert found["evidence"]["level"] == "expression"
    assert found["evidence"]["witness"]
    assert found["evidence"]["seconds"] > 0


def test_the_witness_can_be_pasted(project: Path) -> None:
    (found,) = json.loads(autofix("--dry-run", "--output-format", "json", cwd=project).stdout)
    done = subprocess.run([sys.executable, "-c", found["evidence"]["witness"]], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"inf" in done.stdout or b"nan" in done.stdout


def test_patching_in_place_and_undo(project: Path) -> None:
    done = autofix(cwd=project)
    assert done.returncode == 0, done.stderr.decode()
    assert b"patched loss.py" in done.stdout
    assert b"log_softmax" in (project / "loss.py").read_bytes()
    assert autofix("--allow-dirty", cwd=project).returncode == 0  # nothing left to fix
    undone = autofix("undo", cwd=project)
    assert undone.returncode == 0
    assert (project / "loss.py").read_text() == LOG_SOFTMAX


def test_a_file_with_uncommitted_changes_is_left_alone(project: Path) -> None:
    changed = LOG_SOFTMAX + "# mine\n"
    (project / "loss.py").write_text(changed)
    done = autofix(cwd=project)
    assert done.returncode == 1
    assert b"uncommitted changes" in done.stderr
    assert (project / "loss.py").read_text() == changed
    assert autofix("--allow-dirty", cwd=project).returncode == 0
    assert "# mine" in (project / "loss.py").read_text()
    assert "log_softmax" in (project / "loss.py").read_text()


def test_standard_input(tmp_path: Path) -> None:
    source = LOG_SOFTMAX.encode()
    fixed = autofix("-", "--stdin-filename", "loss.py", cwd=tmp_path, stdin=source)
    assert b"log_softmax" in fixed.stdout
    shown = autofix("--dry-run", "-", "--stdin-filename", "loss.py", cwd=tmp_path, stdin=source)
    assert b"+++ b/loss.py" in shown.stdout
    listed = autofix("check", "-", "--stdin-filename", "loss.py", cwd=tmp_path, stdin=source)
    assert b"loss.py:7:" in listed.stdout
    silent = autofix("-", cwd=tmp_path, stdin=CLEAN.encode())
    assert silent.stdout == CLEAN.encode()
    assert silent.returncode == 0


@pytest.mark.parametrize(
    "comment",
    [
        "# autofix: ignore[log-softmax]",
        "# autofix: ignore",
        "# noqa  # autofix: ignore[log-softmax, exp-unbounded]",
    ],
)
def test_inline_ignores(tmp_path: Path, comment: str) -> None:
    (tmp_path / "a.py").write_text(LOG_SOFTMAX.replace(".mean()\n", f".mean()  {comment}\n"))
    assert autofix("check", cwd=tmp_path).returncode == 0


def test_skip_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# autofix: skip-file\n" + LOG_SOFTMAX)
    assert autofix("check", cwd=tmp_path).returncode == 0


def test_select_and_ignore(project: Path) -> None:
    assert autofix("check", "--select", "mask-neg-inf", cwd=project).returncode == 0
    assert autofix("check", "--ignore", "log-softmax", cwd=project).returncode == 0
    assert autofix("check", "--select", "log-softmax,mask-neg-inf", cwd=project).returncode == 1
    wrong = autofix("check", "--select", "log-sofmax", cwd=project)
    assert wrong.returncode == 2
    assert b"log-softmax" in wrong.stderr  # the name that was meant


def test_configuration_and_command_line_over_it(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.autofix]\nignore = ["log-softmax"]\n')
    assert autofix("check", cwd=project).returncode == 0
    (project / "pyproject.toml").write_text("[tool.autofix]\nselct = []\n")
    wrong = autofix("check", cwd=project)
    assert wrong.returncode == 2
    assert b"selct" in wrong.stderr


def test_without_torch_nothing_is_applied_and_the_remedy_is_named(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = autofix("--python", str(bare / "bin" / "python"), cwd=project)
    assert done.returncode == 1
    assert b"torch" in done.stderr
    assert b"pip install" in done.stderr
    assert (project / "loss.py").read_text() == LOG_SOFTMAX
    applied = autofix("--python", str(bare / "bin" / "python"), "--no-verify", cwd=project)
    assert applied.returncode == 0
    assert "log_softmax" in (project / "loss.py").read_text()


@pytest.mark.parametrize(
    "arguments", [["rules"], ["explain", "log-softmax"], ["--version"], ["--help"], ["check", "--help"]]
)
def test_words(tmp_path: Path, arguments: list[str]) -> None:
    done = autofix(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip()


def test_rules_that_are_off_by_default_say_so(tmp_path: Path) -> None:
    listed = {r["rule"]: r for r in json.loads(autofix("rules", "--output-format", "json", cwd=tmp_path).stdout)}
    assert listed["log-softmax"]["by_default"]
    assert not listed["post-norm"]["by_default"]
    assert b"--extend-select post-norm" in autofix("explain", "post-norm", cwd=tmp_path).stdout
    (tmp_path / "block.py").write_bytes(
        (Path(__file__).parent.parent / "golden/post-norm/sublayers-in-the-sum/before.py").read_bytes()
    )
    assert b"post-norm" not in autofix("check", "block.py", cwd=tmp_path).stdout
    assert b"post-norm" in autofix("check", "--extend-select", "post-norm", "block.py", cwd=tmp_path).stdout


def test_unknown_names_are_usage_errors(tmp_path: Path) -> None:
    assert autofix("explain", "no-such-rule", cwd=tmp_path).returncode == 2
    assert autofix("--no-such-option", cwd=tmp_path).returncode == 2
    missing = autofix("check", "no-such-file.py", cwd=tmp_path)
    assert missing.returncode == 2
    assert b"no-such-file.py" in missing.stderr


def test_colours_are_for_terminals_only(project: Path) -> None:
    forced = autofix("check", cwd=project, FORCE_COLOR="1")
    assert b"\x1b[" in forced.stdout
    assert b"\x1b[3" not in autofix("check", cwd=project, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_smoke_names_the_parameters_that_receive_no_gradient() -> None:
    root = Path(__file__).resolve().parent.parent
    done = autofix("smoke", "examples/adaptive_heads/model.py", "--output-format", "json", cwd=root)
    found = next(c for c in json.loads(done.stdout) if c["class"] == "AdaptiveHeads")
    assert found["verdict"] == "partial-gradient"
    assert {name.partition(".")[0] for name in found["missing_gradient"]} == {"router", "threshold"}
    assert autofix("smoke", "no_such_file.py", cwd=root).returncode == 2
