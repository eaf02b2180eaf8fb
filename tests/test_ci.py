"""What projects put into their own CI: the pre-commit hooks and the GitHub Action, checked and run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOSS = """\
import torch
import torch.nn.functional as F


def loss(logits, target):
    return -torch.log(F.softmax(logits, dim=-1)).gather(1, target[:, None]).mean()
"""


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {f"GIT_{who}_{what}": "t@e" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, **identity, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, timeout=120, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "loss.py").write_text(LOSS)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        assert run("git", *command, cwd=tmp_path).returncode == 0
    return tmp_path


# -- pre-commit ------------------------------------------------------------------------------------------------


def test_pre_commit_takes_the_manifest() -> None:
    done = run(sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml", cwd=ROOT)
    assert done.returncode == 0, done.stdout


def hooks(project: Path, name: str) -> Path:
    """A configuration that runs a hook as published, under this interpreter: its own needs a network to install."""
    (hook,) = [h for h in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()) if h["id"] == name]
    entry = hook["entry"].replace("autofix", f"{sys.executable} -m autofix", 1)
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "entry": entry, "language": "system"}]}]}
    path = project / ".pre-commit-config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def pre_commit(project: Path, name: str) -> subprocess.CompletedProcess[str]:
    config = str(hooks(project, name))
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color", "never", "--config", config]
    return run(*command, cwd=project, PRE_COMMIT_HOME=str(project / ".git" / "pre-commit"))


def test_the_check_hook_fails_on_a_finding_and_writes_nothing(project: Path) -> None:
    done = pre_commit(project, "autofix-check")
    assert done.returncode == 1
    assert "loss.py:6:13: error [log-softmax]" in done.stdout
    assert (project / "loss.py").read_text() == LOSS


def test_the_fix_hook_patches_what_is_staged(project: Path) -> None:
    (project / "loss.py").write_text(LOSS + "\n\nEPOCHS = 3\n")
    assert run("git", "add", ".", cwd=project).returncode == 0
    done = pre_commit(project, "autofix")
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    assert "PROVED" in done.stdout
    assert "log_softmax" in (project / "loss.py").read_text()
    assert run("git", "add", ".", cwd=project).returncode == 0
    again = pre_commit(project, "autofix")
    assert again.returncode == 0, again.stdout


CHOICE = """\
import os, sys
from pathlib import Path
from autofix.smoke.interpreter import _choose
print(*_choose(Path(), None, {"VIRTUAL_ENV": sys.prefix, "PATH": os.environ["PATH"]}), sep="|")
"""


def test_an_environment_of_a_hook_is_passed_over(tmp_path: Path) -> None:
    """pre-commit activates one that holds autofix and no torch; `-S` takes torch from this one."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with_torch = run(sys.executable, "-c", CHOICE, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert with_torch.stdout.strip().endswith("|the active environment (VIRTUAL_ENV)")
    without = run(sys.executable, "-S", "-c", CHOICE, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert without.stdout.strip() == f"{python}|.venv of the project"


# -- the action ------------------------------------------------------------------------------------------------


def steps() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return {step["name"]: step for step in found}


def test_the_action_is_valid() -> None:
    done = run(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml", cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


def test_no_input_of_the_action_is_pasted_into_a_script() -> None:
    assert not [name for name, step in steps().items() if "${{" in step.get("run", "")]


def action(project: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The step that runs autofix, as the runner starts it, and what it sets as output."""
    step = steps()["Find, patch and execute"]
    bin_folder = project / ".git" / "runner" / "autofix" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "autofix").write_text(f'#!/bin/sh\nexec {sys.executable} -m autofix "$@"\n')
    (bin_folder / "autofix").chmod(0o755)
    output = project / ".git" / "output"
    given = {"PATHS": ".", "PROJECT_PYTHON": "python", "ARGS": "", "SARIF": "autofix.sarif", "ANNOTATIONS": "true"}
    assert set(given) == set(step["env"])
    done = run(
        "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"], cwd=project,
        RUNNER_TEMP=str(bin_folder.parent.parent), GITHUB_OUTPUT=str(output), **{**given, **inputs},
    )  # fmt: skip
    return done, output.read_text() if output.exists() else ""


def test_the_action_writes_sarif_and_marks_lines(project: Path) -> None:
    done, output = action(project, ARGS="--select 'log-softmax' --level expression")
    assert done.returncode == 0, done.stderr
    assert output == "status=1\n"
    assert done.stdout.startswith("::error file=loss.py,line=6,")
    log = json.loads((project / "autofix.sarif").read_text())
    assert [r["properties"]["evidence"]["verdict"] for r in log["runs"][0]["results"]] == ["PROVED"]


def test_words_of_an_input_are_not_run(project: Path) -> None:
    done, output = action(project, ARGS="--exclude '$(touch made).py' --no-such-option")
    assert done.returncode == 2
    assert output == "status=2\n"
    assert "--no-such-option" in done.stderr
    assert not (project / "made").exists()
