from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from autofix.edits import apply_edits
from autofix.files import Written, git_dirty, read, replace_file, write_all
from autofix.model import Edit, Patch, Problem, Source, Span
from autofix.undo import Journal, UndoReport, undo


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOFIX_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    monkeypatch.chdir(folder)
    return folder


def patch(path: str | Path, text: str = "new ") -> Patch:
    """The file with `text` put before what it holds."""
    source = read(Path(path))
    assert isinstance(source, Source)
    edits = (Edit(Span(0, 0), text),)
    return Patch(source, apply_edits(source, edits), edits)


def run(project: Path, *patches: Patch) -> Written:
    return write_all(patches, Journal.open(project))


def said(report: Written | UndoReport) -> dict[str, str]:
    return {p.path: p.message for p in report.problems}


# -- reading ---------------------------------------------------------------------------------------------------


def test_reading_keeps_every_byte(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfa\r\nb\r\x0c\xff")
    assert read(tmp_path / "a.py") == Source(str(tmp_path / "a.py"), b"\xef\xbb\xbfa\r\nb\r\x0c\xff")


def test_what_is_no_regular_file_is_a_problem_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        messages = {n: read(Path(n)) for n in ("pipe", "socket", "/dev/null", ".", "gone.py")}
    assert {n: p.message for n, p in messages.items() if isinstance(p, Problem)} == {
        "pipe": "skipped: it is a named pipe; give regular files or directories",
        "socket": "skipped: it is a socket; give regular files or directories",
        "/dev/null": "skipped: it is a device; give regular files or directories",
        ".": "skipped: it is a directory; give regular files or directories",
        "gone.py": "skipped: it no longer exists; run again",
    }


def test_an_unreadable_file_is_a_problem_with_a_remedy(unprivileged: Path) -> None:
    path = unprivileged / "a.py"
    path.touch(mode=0o000)
    assert read(path) == Problem(str(path), "skipped: permission denied; make it readable or exclude it")


# -- writing ---------------------------------------------------------------------------------------------------


def test_writing_keeps_the_mode_and_leaves_nothing_else(project: Path) -> None:
    path = project / "a.py"
    path.write_bytes(b"a\r\n")
    path.chmod(0o751)
    assert run(project, patch("a.py")) == Written((Path("a.py"),))
    assert path.read_bytes() == b"new a\r\n"
    assert path.stat().st_mode & 0o7777 == 0o751
    assert sorted(os.listdir(project)) == ["a.py", "pyproject.toml"]


def test_a_link_is_written_through(project: Path) -> None:
    (project / "real").mkdir()
    (project / "real/a.py").write_bytes(b"a\n")
    (project / "a.py").symlink_to("real/a.py")
    assert run(project, patch("a.py")).written == (Path("a.py"),)
    assert (project / "a.py").is_symlink()
    assert (project / "real/a.py").read_bytes() == b"new a\n"
    assert undo(project) == UndoReport((Path("real/a.py"),))


def test_a_file_that_changed_meanwhile_is_not_overwritten(project: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (project / name).write_bytes(b"x\n")
    patches = [patch("a.py"), patch("b.py"), patch("c.py")]
    (project / "a.py").write_bytes(b"mine\n")
    (project / "c.py").unlink()
    report = run(project, *patches)
    assert report.written == (Path("b.py"),)
    assert said(report) == {
        "a.py": "not written: it changed while autofix was running; run again",
        "c.py": "not written: it no longer exists; run again",
    }
    assert (project / "a.py").read_bytes() == b"mine\n"
    assert (project / "b.py").read_bytes() == b"new x\n"
    assert not (project / "c.py").exists()


def test_replace_file_looks_again_before_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"mine\n")
    assert replace_file(path, b"new\n", expected=b"old\n") is False
    assert path.read_bytes() == b"mine\n"
    assert os.listdir(tmp_path) == ["a.py"]


def test_files_and_folders_that_may_not_be_written(unprivileged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOFIX_STATE_DIR", str(unprivileged / "state"))
    monkeypatch.chdir(unprivileged)
    for name in ("readonly.py", "locked/a.py", "fine.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x\n")
    Path("readonly.py").chmod(0o444)
    Path("locked").chmod(0o555)
    report = run(unprivileged, patch("readonly.py"), patch("locked/a.py"), patch("fine.py"))
    assert report.written == (Path("fine.py"),)
    assert said(report) == {
        "readonly.py": "not written: it is read-only; make it writable",
        "locked/a.py": "not written: permission denied; make it and its folder writable",
    }
    assert Path("locked/a.py").read_bytes() == Path("readonly.py").read_bytes() == b"x\n"
    assert undo(unprivileged) == UndoReport((Path("fine.py"),))
    assert undo(unprivileged) == UndoReport()


def test_nothing_is_written_when_the_journal_cannot_be(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "a.py").write_bytes(b"x\n")
    monkeypatch.setenv("AUTOFIX_STATE_DIR", str(project / "a.py"))
    report = run(project, patch("a.py"))
    assert report.written == ()
    assert "the undo journal" in said(report)["a.py"]
    assert "AUTOFIX_STATE_DIR" in said(report)["a.py"]
    assert (project / "a.py").read_bytes() == b"x\n"


# -- undo ------------------------------------------------------------------------------------------------------


def test_runs_are_undone_one_after_the_other(project: Path) -> None:
    original = b"\xef\xbb\xbfa\r\n\xff"
    (project / "a.py").write_bytes(original)
    (project / "b.py").write_bytes(b"b")
    run(project, patch("a.py", "1 "), patch("b.py", "1 "))
    run(project, patch("a.py", "2 "))
    assert undo(project) == UndoReport((Path("a.py"),))
    assert (project / "a.py").read_bytes() == b"1 " + original
    assert undo(project / "not/there") == UndoReport((Path("a.py"), Path("b.py")))
    assert (project / "a.py").read_bytes() == original
    assert (project / "b.py").read_bytes() == b"b"
    assert undo(project) == UndoReport()


def test_undo_leaves_what_was_edited_since(project: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (project / name).write_bytes(b"x\n")
    run(project, patch("a.py"), patch("b.py"), patch("c.py"))
    (project / "a.py").write_bytes(b"edited\n")
    (project / "c.py").unlink()
    report = undo(project)
    assert report.restored == (Path("b.py"),)
    assert said(report) == {
        "a.py": "left as it is: it changed after autofix wrote it",
        "c.py": "left as it is: it no longer exists",
    }
    assert (project / "a.py").read_bytes() == b"edited\n"
    assert undo(project) == UndoReport()


def test_a_run_that_died_half_way_can_be_undone(project: Path) -> None:
    for name in ("a.py", "b.py"):
        (project / name).write_bytes(b"x\n")
    Journal.open(project).record([(project / n, b"x\n", b"new x\n") for n in ("a.py", "b.py")])
    replace_file(project / "a.py", b"new x\n", expected=b"x\n")
    assert undo(project) == UndoReport((Path("a.py"),))
    assert (project / "a.py").read_bytes() == (project / "b.py").read_bytes() == b"x\n"


def test_what_cannot_be_restored_now_can_be_later(unprivileged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOFIX_STATE_DIR", str(unprivileged / "state"))
    monkeypatch.chdir(unprivileged)
    for name in ("sub/a.py", "b.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x\n")
    run(unprivileged, patch("sub/a.py"), patch("b.py"))
    Path("sub").chmod(0o555)
    report = undo(unprivileged)
    assert report.restored == (Path("b.py"),)
    assert said(report) == {"sub/a.py": "not restored: permission denied; make it writable and undo again"}
    Path("sub").chmod(0o755)
    assert undo(unprivileged) == UndoReport((Path("sub/a.py"),))
    assert Path("sub/a.py").read_bytes() == b"x\n"


def test_a_damaged_journal_is_named(project: Path) -> None:
    (project / "a.py").write_bytes(b"x\n")
    run(project, patch("a.py"))
    (entry,) = Journal.open(project).runs()
    entry.write_bytes(b"{")
    (problem,) = undo(project).problems
    assert problem.path == str(entry)
    assert "delete this file" in problem.message


def test_a_run_that_wrote_nothing_is_not_kept_and_old_runs_are_dropped(project: Path) -> None:
    journal = Journal.open(project)
    (project / "a.py").write_bytes(b"x\n")
    stale = patch("a.py")
    (project / "a.py").write_bytes(b"y\n")
    run(project, stale)
    assert journal.runs() == []
    for _ in range(23):
        run(project, patch("a.py"))
    assert len(journal.runs()) == 20


def test_projects_have_journals_of_their_own(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    (other / "a.py").write_bytes(b"x\n")
    run(other, patch(other / "a.py"))
    assert undo(project) == UndoReport()
    assert undo(other) == UndoReport((other / "a.py",))


# -- git -------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def committed(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    git(folder, "init", "-q")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"x\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "all")
    return folder


def test_uncommitted_work_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["clean.py", "changed.py", "staged.py", "ü b/new\nline.py", "-n.py", "*.py", "old.py", "linked.py"]
    top = committed(tmp_path / "r", *names)
    for name in names[1:4]:
        (top / name).write_bytes(b"y\n")
    git(top, "add", "staged.py")
    git(top, "mv", "old.py", "renamed.py")
    (top / "untracked/deep").mkdir(parents=True)
    (top / "untracked/deep/u.py").touch()
    (top / ".gitignore").write_text("ignored.py\n")
    (top / "ignored.py").touch()
    (top / "link.py").symlink_to("changed.py")
    (tmp_path / "elsewhere.py").touch()
    monkeypatch.chdir(top / "ü b")
    dirty = [top / "changed.py", Path("../staged.py"), Path("new\nline.py"), top / "renamed.py"]
    dirty += [top / "untracked/deep/u.py", top / "link.py"]
    clean = [Path("../clean.py"), top / "-n.py", top / "*.py", top / "ignored.py", tmp_path / "elsewhere.py"]
    assert git_dirty([*clean, *dirty]) == set(dirty)
    assert git_dirty(clean) == set()
    assert git_dirty([]) == set()


def test_many_paths_are_asked_about_at_once(tmp_path: Path) -> None:
    top = committed(tmp_path, *(f"f{i}.py" for i in range(600)))
    (top / "f7.py").write_bytes(b"y\n")
    assert git_dirty([top / f"f{i}.py" for i in range(600)]) == {top / "f7.py"}


def test_a_repository_inside_another_is_asked_itself(tmp_path: Path) -> None:
    top = committed(tmp_path / "top", "a.py")
    inner = committed(top / "inner", "a.py", "b.py")
    library = committed(tmp_path / "library", "a.py")
    git(top, "submodule", "add", "-q", str(library), "sub")
    (inner / "b.py").write_bytes(b"y\n")
    (top / "sub/a.py").write_bytes(b"y\n")
    paths = [top / "a.py", inner / "a.py", inner / "b.py", top / "sub/a.py"]
    assert git_dirty(paths) == {inner / "b.py", top / "sub/a.py"}


def test_a_hook_s_environment_does_not_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top, other = committed(tmp_path / "top", "a.py"), committed(tmp_path / "other", "a.py")
    (top / "a.py").write_bytes(b"y\n")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert git_dirty([top / "a.py"]) == {top / "a.py"}


def test_without_git_or_with_a_broken_repository_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = committed(tmp_path / "top", "a.py")
    (top / "a.py").write_bytes(b"y\n")
    (tmp_path / "broken/.git").mkdir(parents=True)
    (tmp_path / "broken/a.py").touch()
    assert git_dirty([tmp_path / "broken/a.py"]) == set()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_dirty([top / "a.py"]) == set()
