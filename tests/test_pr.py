"""`autofix pr` the whole way: a clone with work in progress, a remote over HTTP, fixes executed, tests run."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forges import TOKEN, Forge, serving
from test_pr_faults import run, snapshot

MODEL = """import torch
import torch.nn as nn


class Attention(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)

    def forward(self, x, mask):
        query = self.query(x)
        scores = query @ self.key(x).transpose(-2, -1)
        scores = scores.masked_fill(mask, float("-inf"))
        return torch.softmax(scores, dim=-1)


class Cross(Attention):
    def forward(self, x, memory, mask):
        if memory is not None:
            scores = self.query(x) @ self.key(memory).transpose(-2, -1)
            scores = scores.masked_fill(mask == 0, float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            return weights @ memory
        return x


def nll(logits, labels):
    return -torch.log(torch.softmax(logits, dim=-1)).gather(1, labels[:, None]).mean()
"""
SHIM = """#!/bin/sh
printf '%s\\n' "$*" >> "$AUTOFIX_TEST_LOG"
exec {git} "$@"
"""


class Whole:
    """A clone, its forge, and everything that the command printed and passed to git."""

    def __init__(self, folder: Path, forge: Forge) -> None:
        self.folder, self.forge = folder, forge
        self.work = folder / "work"
        self.log = folder / "git-arguments"
        self.output = ""

    def command(self, *arguments: str) -> int:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "GITHUB_"))},
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "AUTOFIX_CACHE_DIR": str(self.folder / "cache"),
            "AUTOFIX_STATE_DIR": str(self.folder / "state"),
            "AUTOFIX_TEST_LOG": str(self.log),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TRACE": str(self.folder / "trace"),
            "GIT_TRACE_CURL": str(self.folder / "trace"),
            "GIT_TRACE_REDACT": "0",
            "GITHUB_TOKEN": TOKEN,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        words = [sys.executable, "-m", "autofix", "pr", "--forge", "github", "--python", sys.executable, *arguments]
        done = subprocess.run(words, cwd=self.work, env=environment, capture_output=True, text=True, check=False)
        self.output += done.stdout + done.stderr
        return done.returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("whole")
    for name in ("home", "work", "bin", "tmp"):
        (folder / name).mkdir()
    (folder / "home" / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    shim = folder / "bin" / "git"
    shim.write_text(SHIM.format(git=shutil.which("git")))
    shim.chmod(0o755)
    work = folder / "work"
    with serving(folder / "forge") as forge, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        run("init", "-q", "-b", "main", cwd=work)
        (work / "model.py").write_text(MODEL)
        (work / "tests").mkdir()
        (work / "tests" / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        run("add", "-A", cwd=work)
        run("commit", "-qm", "start", cwd=work)
        run("push", "-q", str(forge.bare), "main", cwd=work)
        run("remote", "add", "origin", forge.remote, cwd=work)
        (work / "model.py").write_text(MODEL + "\n\n# work in progress\n")
        (work / "notes.txt").write_text("mine\n")
        made = Whole(folder, forge)
        before = snapshot(work)
        assert made.command() == 0, made.output
        assert snapshot(work) == before
        yield made
        assert snapshot(work) == before
        assert forge.complaints == []


def _branch(whole: Whole, rule: str) -> str:
    (name,) = [b for b in whole.forge.branches() if b.startswith(f"autofix/{rule}-")]
    return name


def test_one_pull_request_per_rule(whole: Whole) -> None:
    pulls = {p["head"]: p for p in whole.forge.pulls.values()}
    assert set(pulls) == {_branch(whole, "mask-neg-inf"), _branch(whole, "log-softmax")}
    body = pulls[_branch(whole, "mask-neg-inf")]["body"]
    for line in (14, 22):
        assert f"`model.py:{line}`" in body
    assert body.count("PROVED at expression level") == 2
    assert "| fails | passes |" in body
    assert "`model.py:29`" in pulls[_branch(whole, "log-softmax")]["body"]


def test_exactly_our_hunks(whole: Whole) -> None:
    branch = _branch(whole, "mask-neg-inf")
    changed = run("diff", "--name-status", "main", branch, cwd=whole.forge.bare).split()
    assert changed == ["M", "model.py", "A", "tests/test_autofix_mask_neg_inf.py"]
    diff = run("diff", "-U0", "main", branch, "--", "model.py", cwd=whole.forge.bare)
    lines = [line for line in diff.split("\n") if line[:1] in "+-" and line[:3] not in ("+++", "---") and line]
    assert lines == [
        '-        scores = scores.masked_fill(mask, float("-inf"))',
        "+        scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)",
        '-            scores = scores.masked_fill(mask == 0, float("-inf"))',
        "+            scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)",
    ]


def test_the_five_lines_of_the_body_show_it(whole: Whole, tmp_path: Path) -> None:
    """Its tests pass on the branch and fail on the base."""
    branch = _branch(whole, "mask-neg-inf")
    (pull,) = [p for p in whole.forge.pulls.values() if p["head"] == branch]
    lines = pull["body"].partition("```sh\n")[2].partition("\n```")[0].split("\n")
    assert len(lines) == 5
    clone, bin_ = tmp_path / "clone", tmp_path / "bin"
    run("clone", "-q", str(whole.forge.bare), str(clone), cwd=tmp_path)
    (clone / "model.py").write_text("work in progress\n")
    bin_.mkdir()
    (bin_ / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (bin_ / "python").chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", "\n".join(lines)], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    passed, _, failed = done.stdout.partition("2 passed")
    assert "failed" not in passed
    assert "2 failed" in failed
    assert "is not finite" in failed
    assert (clone / "model.py").read_text() == "work in progress\n"


def test_run_twice_there_is_one_pull_request(whole: Whole) -> None:
    branches, count = whole.forge.branches(), len(whole.forge.requests)
    assert whole.command() == 0
    assert whole.forge.branches() == branches
    assert {m for m, _, _ in whole.forge.requests[count:]} == {"GET"}


def test_the_token_is_nowhere(whole: Whole) -> None:
    """Not in what was printed, passed to git as an argument, traced, cached, committed, sent or left behind."""
    assert whole.command("--dry-run", "--no-tests") == 0
    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    secrets = [TOKEN, basic]
    texts = {"output": whole.output, "requests": repr([(p, b) for _, p, b in whole.forge.requests])}
    for path in whole.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            texts[str(path)] = path.read_bytes().decode("latin-1")
    assert "push --porcelain" in texts[str(whole.log)]
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []
