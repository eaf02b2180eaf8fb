from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autofix.discover import discover
from autofix.model import Problem


def tree(folder: Path, *names: str, **contents: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents.get(name, ""))
    return folder


def found(folder: Path, *exclude: str, under: str = "") -> list[str]:
    out = list(discover([folder / under], exclude))
    assert not [p for p in out if isinstance(p, Problem)]
    return [os.path.relpath(p, folder) for p in out if isinstance(p, Path)]


def ignore(folder: Path, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("\n".join(lines) + "\n")


# -- what is taken ---------------------------------------------------------------------------------------------


def test_python_files_in_order_of_name(tmp_path: Path) -> None:
    tree(tmp_path, "b.py", "a/z.py", "a/b/c.py", "a.py", "a/stub.pyi", "a/notes.txt", "c.ipynb", "a/.hidden.py")
    assert found(tmp_path) == ["a/.hidden.py", "a/b/c.py", "a/z.py", "a.py", "b.py"]


def test_no_path_means_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "top/b/c.py", "top/a.py")
    monkeypatch.chdir(tmp_path / "top")
    assert [str(p) for p in discover([])] == ["a.py", "b/c.py"]
    assert [str(p) for p in discover([Path()])] == ["a.py", "b/c.py"]
    assert [str(p) for p in discover([Path("b/")])] == ["b/c.py"]
    assert [str(p) for p in discover([Path("../"), Path("b")])] == ["../top/a.py", "../top/b/c.py"]


def test_a_file_given_by_name_is_always_taken(tmp_path: Path) -> None:
    tree(tmp_path, "script", "venv/x.py", "ignored.py")
    ignore(tmp_path, "ignored.py")
    given = [tmp_path / n for n in ("script", "venv/x.py", "ignored.py")]
    assert list(discover(given, ["ignored.py", "script"])) == given


def test_each_file_once(tmp_path: Path) -> None:
    tree(tmp_path, "a/x.py", "b.py")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    given = ["a/x.py", "a", "link", "link/x.py", "b.py", ".", "b.py"]
    assert list(discover([tmp_path / g for g in given])) == [tmp_path / "a/x.py", tmp_path / "b.py"]


def test_links_inside_a_directory_are_left_and_loops_are_harmless(tmp_path: Path) -> None:
    tree(tmp_path, "p/a.py", "outside/o.py")
    (tmp_path / "p/loop").symlink_to(tmp_path / "p")
    (tmp_path / "p/self").symlink_to("self")
    (tmp_path / "p/dangling.py").symlink_to("nowhere.py")
    (tmp_path / "p/out").symlink_to(tmp_path / "outside")
    (tmp_path / "p/out.py").symlink_to(tmp_path / "outside/o.py")
    assert found(tmp_path / "p") == ["a.py"]
    assert found(tmp_path, under="p/out") == ["p/out/o.py"]
    assert found(tmp_path, under="p/out.py") == ["p/out.py"]


def test_pipes_and_directories_with_python_names(tmp_path: Path) -> None:
    tree(tmp_path, "dir.py/a.py")
    os.mkfifo(tmp_path / "pipe.py")
    assert found(tmp_path) == ["dir.py/a.py"]


def test_a_missing_path_is_a_problem_and_the_rest_goes_on(tmp_path: Path) -> None:
    tree(tmp_path, "a.py")
    (tmp_path / "loop").symlink_to("loop")
    missing, path, loop = discover([tmp_path / "missing", tmp_path / "a.py", tmp_path / "loop"])
    assert missing == Problem(str(tmp_path / "missing"), "skipped: no such file or directory; check the path")
    assert path == tmp_path / "a.py"
    assert isinstance(loop, Problem)


def test_an_unreadable_directory_is_a_problem_and_the_rest_goes_on(unprivileged: Path) -> None:
    tree(unprivileged, "a/x.py", "b.py")
    (unprivileged / "a").chmod(0)
    problem, path = discover([unprivileged])
    assert isinstance(problem, Problem)
    assert problem.path == str(unprivileged / "a")
    assert "permission denied; make the directory readable" in problem.message
    assert path == unprivileged / "b.py"


@pytest.mark.parametrize("name", [".venv", "venv", ".git", ".hg", "node_modules", "__pycache__", ".tox", ".nox",
                                  ".mypy_cache", ".ruff_cache", "build", "dist", "site-packages"])  # fmt: skip
def test_what_is_not_the_project_s_own_is_skipped_unless_given(tmp_path: Path, name: str) -> None:
    tree(tmp_path, f"{name}/x.py", "a/a.py")
    assert found(tmp_path) == ["a/a.py"]
    assert found(tmp_path, under=name) == [f"{name}/x.py"]


def test_environments_are_recognised_by_their_marks_and_packages_called_build_are_not_build_output(
    tmp_path: Path,
) -> None:
    tree(tmp_path, "e/pyvenv.cfg", "e/lib/x.py", "c/conda-meta/history", "c/x.py", "src/build/__init__.py")
    assert found(tmp_path) == ["src/build/__init__.py"]
    assert found(tmp_path, under="e") == ["e/lib/x.py"]


# -- exclude ---------------------------------------------------------------------------------------------------


def test_exclude_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a/x.py", "a/test_x.py", "b/a/y.py", "docs/c.py", "x.py")
    monkeypatch.chdir(tmp_path)
    for patterns, left in [
        (["test_*"], ["a/x.py", "b/a/y.py", "docs/c.py", "x.py"]),
        (["a"], ["docs/c.py", "x.py"]),
        (["a/x.py", "docs/"], ["a/test_x.py", "b/a/y.py", "x.py"]),
        (["**/a/y.py"], ["a/test_x.py", "a/x.py", "docs/c.py", "x.py"]),
        ([f"{tmp_path}/b/**"], ["a/test_x.py", "a/x.py", "docs/c.py", "x.py"]),
    ]:
        assert found(tmp_path, *patterns) == left, patterns
        assert [str(p) for p in discover([Path()], patterns)] == left, patterns


def test_a_pattern_that_is_none_excludes_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "a.py")
    assert found(tmp_path, "!", "[", "\\") == ["a.py"]


# -- .gitignore ------------------------------------------------------------------------------------------------


def repository(folder: Path) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def git_sees(folder: Path) -> list[str]:
    command = [
        "git",
        "-c",
        "core.excludesFile=",
        "ls-files",
        "-z",
        "--others",
        "--cached",
        "--exclude-standard",
        "*.py",
    ]
    out = subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout
    return sorted(os.fsdecode(n) for n in out.split(b"\0") if n)


def test_ignore_files_above_and_below_and_the_repository_s_own(tmp_path: Path) -> None:
    top = repository(tmp_path)
    tree(top, "gen/x.py", "src/gen/y.py", "src/keep/gen_z.py", "src/local.py", "src/a.py", "private.py")
    ignore(top, "/gen", "*_z.py", "# comment", "")
    ignore(top / "src", "local.py", "!gen_z.py")
    (top / ".git/info/exclude").write_text("private.py\n")
    assert sorted(found(top)) == git_sees(top) == ["src/a.py", "src/gen/y.py", "src/keep/gen_z.py"]
    assert found(top, under="src") == ["src/a.py", "src/gen/y.py", "src/keep/gen_z.py"]
    assert found(top, under="src/keep") == ["src/keep/gen_z.py"]


def test_an_ignored_directory_that_is_given_by_name_is_walked_with_its_own_rules(tmp_path: Path) -> None:
    top = repository(tmp_path)
    tree(top, "gen/x.py", "gen/deep/y.py", "gen/deep/z.py")
    ignore(top, "gen/")
    ignore(top / "gen", "z.py")
    assert found(top) == []
    assert found(top, under="gen") == ["gen/deep/y.py", "gen/x.py"]
    assert found(top, under="gen/deep") == ["gen/deep/y.py", "gen/deep/z.py"]


def test_a_repository_inside_another_starts_afresh(tmp_path: Path) -> None:
    top = repository(tmp_path)
    repository(top / "inner")
    tree(top, "x.py", "inner/x.py", "inner/sub/x.py")
    ignore(top, "x.py")
    assert found(top) == ["inner/sub/x.py", "inner/x.py"]
    assert found(top, under="inner/sub") == ["inner/sub/x.py"]


def test_without_a_repository_ignore_files_count_from_the_given_directory_down(tmp_path: Path) -> None:
    tree(tmp_path, "a/x.py", "a/y.py", "a/b/x.py")
    ignore(tmp_path, "y.py")
    ignore(tmp_path / "a", "x.py")
    assert found(tmp_path, under="a") == ["a/y.py"]
    assert found(tmp_path) == []


parts = st.sampled_from(["a", "b", "c.py", "d.py", "*", "**", "?.py", "[ab]", "a*", "*.py", "[!c].py", "\\a"])
patterns = st.builds(
    lambda negated, rooted, names, folder: negated + rooted + "/".join(names) + folder,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "\\ "]),
)
LEAVES = [
    f"{folder}{name}" for folder in ("", "a/", "b/", "a/a/", "a/b/", "b/a/b/") for name in ("c.py", "d.py", "a.py")
]


@pytest.fixture(scope="module")
def wood(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(repository(tmp_path_factory.mktemp("wood")), *LEAVES)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(patterns, max_size=4), st.lists(patterns, max_size=3))
@example(["a/*", "!a/b"], [])
@example(["*", "!*/", "!c.py"], [])
@example(["*.py"], ["!c.py"])
@example(["a/", "!a/c.py"], [])
@example([], ["/**", "!a"])
@example(["/*", "!/a", "/a/*", "!/a/b"], ["!d.py"])
def test_the_same_files_as_git(wood: Path, top: list[str], inner: list[str]) -> None:
    ignore(wood, *top)
    ignore(wood / "a", *inner)
    assert sorted(found(wood)) == git_sees(wood)


def test_six_thousand_files_take_less_than_half_a_second(tmp_path: Path) -> None:
    repository(tmp_path)
    for package in range(60):
        folder = tmp_path / f"package_{package}" / "sub"
        folder.mkdir(parents=True)
        for number in range(100):
            (folder / f"module_{number}.py").touch()
    ignore(tmp_path, *(f"*.e{n}" for n in range(60)), *(f"out_{n}/" for n in range(40)))
    ignore(tmp_path / "package_3", "*.log", "!keep.log", "tmp/")
    # CPU time, the best of three: a busy machine must not decide.
    spent = []
    for _ in range(3):
        started = time.process_time()
        assert len(found(tmp_path)) == 6000
        spent.append(time.process_time() - started)
    assert min(spent) < 0.5
