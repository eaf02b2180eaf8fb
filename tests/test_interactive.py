"""`autofix fix --interactive`: real runs that read their answers from a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autofix import engine
from autofix.choose import Answer, Choice, choose, lines_of, with_lines
from autofix.model import Source
from autofix.report import Item, Report, Status
from autofix.rule import Options

LOSSES = """\
import torch
import torch.nn.functional as F


def first(logits, target):
    return -torch.log(F.softmax(logits, dim=-1)).gather(1, target[:, None]).mean()


def second(logits):
    return torch.log(torch.sigmoid(logits)).mean()


def third(logits):
    return torch.log(F.softmax(logits, dim=1))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "losses.py").write_text(LOSSES)
    return tmp_path


def answered(project: Path, answers: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix, "COLUMNS": "200", **environment}
    command = [sys.executable, "-m", "autofix", "fix", "--interactive", "--level", "expression", *options, "losses.py"]
    return subprocess.run(
        command, cwd=project, input=answers, capture_output=True, text=True, env=env, timeout=120, check=False
    )


def accepted(project: Path) -> list[str]:
    text = (project / "losses.py").read_text()
    return [name for name, old in (("first", "F.softmax(logits, dim=-1)"), ("second", "torch.sigmoid("),
                                   ("third", "F.softmax(logits, dim=1)")) if old not in text]  # fmt: skip


def test_each_fix_is_shown_with_its_evidence(project: Path) -> None:
    done = answered(project, "?\ny\nn\ny\n")
    assert accepted(project) == ["first", "third"]
    assert done.returncode == 1  # one is left
    assert done.stderr.count("evidence: PROVED") == 3
    assert "(1/3) Apply this fix [y,n,a,q,e,?]? y - apply this fix" in done.stderr
    assert "-    return torch.log(torch.sigmoid(logits)).mean()\n" in done.stderr
    assert "2 patched (2 PROVED), 1 declined" in done.stderr
    assert done.stdout == "patched losses.py\n`autofix undo` restores the files\n"


@pytest.mark.parametrize(
    ("answers", "names"),
    [("n\na\n", ["second", "third"]), ("y\nq\n", ["first"]), ("", []), ("y\n", ["first"])],
    ids=["all that follow", "quit", "no answer", "the end quits"],
)
def test_all_and_quit(project: Path, answers: str, names: list[str]) -> None:
    answered(project, answers)
    assert accepted(project) == names


def test_a_dry_run_prints_what_was_accepted(project: Path) -> None:
    done = answered(project, "n\ny\nn\n", "--dry-run")
    assert (project / "losses.py").read_text() == LOSSES
    subprocess.run(["git", "apply"], cwd=project, input=done.stdout, text=True, check=True)
    assert accepted(project) == ["second"]


def editor(project: Path, replacement: str) -> str:
    """An editor that writes this in place of what it is given."""
    script = project / "editor.py"
    script.write_text(f"import sys\nfrom pathlib import Path\nPath(sys.argv[1]).write_text({replacement!r})\n")
    return f"{sys.executable} {script}"


def test_an_edited_fix_is_executed_before_it_is_asked_about_again(project: Path) -> None:
    line = "    return F.logsigmoid(input=logits).mean()\n"
    done = answered(project, "n\ne\ny\nn\n", EDITOR=editor(project, line), VISUAL="")
    assert line in (project / "losses.py").read_text()
    assert "(edited)" in done.stderr
    assert done.stderr.count("evidence: PROVED") == 4


def test_an_edited_fix_that_running_refutes_is_not_applied(project: Path) -> None:
    done = answered(
        project, "n\ne\ny\nn\nn\n", EDITOR=editor(project, "    return 2 * F.logsigmoid(logits).mean()\n"), VISUAL=""
    )
    assert accepted(project) == []
    assert "evidence: REFUTED" in done.stderr
    assert "running it refuted it" in done.stderr


def test_an_edit_that_does_not_compile_or_an_editor_that_fails_changes_nothing(project: Path) -> None:
    done = answered(project, "n\ne\ny\nn\n", EDITOR=editor(project, "    return (\n"), VISUAL="")
    assert "would not compile" in done.stderr
    assert accepted(project) == ["second"]
    (project / "losses.py").write_text(LOSSES)
    done = answered(project, "e\nn\nn\nn\n", EDITOR="false", VISUAL="")
    assert "the editor false failed" in done.stderr
    assert (project / "losses.py").read_text() == LOSSES


# -- values ----------------------------------------------------------------------------------------------------


def report() -> Report:
    request = engine.Request(engine.select_rules((), ()), Options())
    return engine.fix_source(Source("losses.py", LOSSES.encode()), request, None)


def test_accepting_everything_is_the_report_itself() -> None:
    whole = report()
    assert choose(whole, lambda source, item: Choice(Answer.YES, item)) == whole


def test_declining_everything_leaves_no_patch() -> None:
    (file,) = choose(report(), lambda source, item: Choice(Answer.NO, item)).files
    assert file.patch is None
    assert {i.status for i in file.items} == {Status.DECLINED}


def test_the_lines_of_a_fix_put_back_are_the_fix() -> None:
    whole = report()
    (file,) = whole.files

    def same(source: Source, item: Item) -> Choice:
        return Choice(Answer.YES, with_lines(source, item, lines_of(source, item)))

    (chosen,) = choose(whole, same).files
    assert chosen.patch is not None
    assert file.patch is not None
    assert chosen.patch.after == file.patch.after
