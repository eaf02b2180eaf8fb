from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from unidiff import PatchSet

from autofix.diff import diff, quoted, render
from autofix.edits import apply_edits
from autofix.model import Edit, Patch, Source, Span
from autofix.patch import merge

LINES = [
    "a\n",
    "b\n",
    "c\r\n",
    "d\r",
    "\x0c\n",
    "e\u2028f\n",
    "\n",
    " \n",
    "-- x\n",
    "+y\n",
    "\\ No\n",
    "@@ -1 +1 @@\n",
    "é\n",
]
texts = st.lists(st.sampled_from([*LINES, "x", ""]), max_size=4).map("".join)


def patch_of(data: bytes, *edits: Edit, path: str = "m.py") -> Patch:
    source = Source(path, data)
    return merge(Patch(source, data, ()), Patch(source, apply_edits(source, edits), edits))


@st.composite
def patches(draw: st.DrawFn, path: str) -> Patch:
    body = "".join(draw(st.lists(st.sampled_from(LINES), max_size=30))).encode()
    data = draw(st.sampled_from([body, body.rstrip(b"\n"), body.replace("é".encode(), b"\xe9\xff\x00")]))
    borders = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pairs = zip(borders[::2], borders[1::2], strict=False)
    return patch_of(data, *(Edit(Span(s, e), draw(texts)) for s, e in pairs), path=path)


def applied_with(tool: list[str], rendered: bytes, before: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    for name, data in before.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    done = subprocess.run(tool, input=rendered, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace") + rendered.decode(
        errors="replace"
    )
    return {name: (folder / name).read_bytes() for name in before}


GIT = ["git", "apply", "--whitespace=nowarn"]
PATCH = ["patch", "-p1", "--no-backup-if-mismatch", "--fuzz=0"]
tools = pytest.mark.parametrize("tool", [GIT, PATCH], ids=["git", "patch"])


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


@tools
@pytest.mark.parametrize("below", [False, True], ids=["top", "subfolder"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=patches("one.py"), two=patches("sub/two.py"))
@example(
    one=patch_of(b"", Edit(Span(0, 0), "a\n"), path="one.py"),
    two=patch_of(b"a", Edit(Span(1, 1), "\nb"), path="sub/two.py"),
)
def test_git_and_patch_give_exactly_the_bytes(
    repository: Path, tool: list[str], below: bool, one: Patch, two: Patch
) -> None:
    # git and patch remove a file that a patch empties; a fix never does.
    files = [p for p in (one, two) if p.edits and p.after]
    if not files:
        return
    folder = repository / "deeper" if below else repository
    folder.mkdir(exist_ok=True)
    rendered = render(files, [["text", "--- a/x", "@@ -1 +1 @@", "", "a\rb\u2028diff --git a/x b/x"]] * 2, folder)
    assert (b"\ndiff --git a/" in rendered) is not below
    after = applied_with(tool, rendered, {p.source.path: p.source.data for p in files}, folder)
    assert after == {p.source.path: p.after for p in files}


@given(patches("m.py"))
def test_hunks_are_valid_in_order_and_apart(patch: Patch) -> None:
    patched = diff(patch, "m.py")
    assert all(h.is_valid() for h in patched)
    for one, other in itertools.pairwise(patched):
        assert one.source_start + one.source_length < other.source_start
    assert bool(patched) == (patch.after != patch.source.data)


@given(patches("m.py"))
def test_unidiff_reads_back_what_it_wrote(patch: Patch) -> None:
    text = render([patch], folder=Path("/")).decode("utf-8", "surrogateescape")
    again = PatchSet(text.split("\n") and [line + "\n" for line in text.split("\n")[:-1]])
    assert "".join(map(str, again)) == text


def test_the_diff_of_two_separate_edits() -> None:
    data = b"".join(b"line %d\n" % i for i in range(1, 31))
    edits = [
        Edit(Span(at := data.index(b"line 4\n"), at + 4), "LINE"),
        Edit(Span(at := data.index(b"line 20\n"), at), "new\n"),
    ]
    assert render([patch_of(data, *edits)], [["# found"]], Path("/")).decode() == (
        "# found\ndiff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n"
        "@@ -1,7 +1,7 @@\n line 1\n line 2\n line 3\n-line 4\n+LINE 4\n line 5\n line 6\n line 7\n"
        "@@ -17,6 +17,7 @@\n line 17\n line 18\n line 19\n+new\n line 20\n line 21\n line 22\n"
    )


@pytest.mark.parametrize(("gap", "hunks"), [(6, 1), (7, 2)])
def test_hunks_whose_context_meets_are_one(gap: int, hunks: int) -> None:
    data = b"a\n" + b"x\n" * gap + b"b\n"
    edits = [Edit(Span(0, 1), "A"), Edit(Span(len(data) - 2, len(data) - 1), "B")]
    assert len(diff(patch_of(data, *edits), "m.py")) == hunks


def test_no_final_newline_is_said_on_both_sides() -> None:
    rendered = render([patch_of(b"a\nb", Edit(Span(2, 3), "c"))], folder=Path("/"))
    assert rendered.endswith(b" a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n")


def test_a_patch_without_edits_renders_its_preamble_only() -> None:
    assert render([patch_of(b"a\n")], [["found", ""]], Path("/")) == b"# found\n#\n"


NAMES = [
    "plain.py",
    "with space.py",
    "sub dir/with space.py",
    "ünï.py",
    'quo"te.py',
    "back\\slash.py",
    "tab\there.py",
    "-dash.py",
]


@tools
@pytest.mark.parametrize("below", [False, True], ids=["top", "subfolder"])
@pytest.mark.parametrize("name", [*NAMES, "new\nline.py", "b/a/b.py", "ü and space.py", "\udce9.py"])
def test_file_names(tmp_path: Path, tool: list[str], below: bool, name: str) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    folder = tmp_path / "below" if below else tmp_path
    folder.mkdir(exist_ok=True)
    patch = patch_of(b"a\nb\n", Edit(Span(0, 1), "c"), path=name)
    rendered = render([patch], folder=folder)
    assert applied_with(tool, rendered, {name: b"a\nb\n"}, folder) == {name: b"c\nb\n"}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_quoted_as_git_quotes_them(tmp_path: Path, name: str) -> None:
    run = lambda *a: subprocess.run(["git", *a], cwd=tmp_path, check=True, capture_output=True).stdout.decode()  # noqa: E731
    run("init", "-q")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"a\n")
    run("add", "-A")
    (tmp_path / name).write_bytes(b"b\n")
    said = run("diff").split("\n")
    ours = render([patch_of(b"a\n", Edit(Span(0, 1), "b"), path=name)], folder=tmp_path).decode().split("\n")
    assert ours[0] == said[0]
    assert ours[1].rstrip("\t") == said[2].rstrip("\t")


def test_quoted_leaves_plain_names_alone() -> None:
    assert quoted("a/b c.py") == "a/b c.py"


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/p/q/m.py", "q/m.py"), ("./q/../m.py", "m.py"), ("../other/m.py", "other/m.py"), ("/z/m.py", "z/m.py")],
)
def test_paths_are_shown_from_the_folder_or_from_the_root(path: str, shown: str) -> None:
    rendered = render([patch_of(b"a\n", Edit(Span(0, 1), "b"), path=path)], folder=Path("/p"))
    assert f"--- a/{shown}\n".encode() in rendered
