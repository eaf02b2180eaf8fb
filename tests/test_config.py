from __future__ import annotations

from pathlib import Path

import pytest

from autofix import engine
from autofix.config import Config, common_parent, load, merge, project_root, suggestion
from autofix.discover import discover
from autofix.model import Problem
from autofix.registry import all_rules, default_rules
from autofix.rule import Options

RULE = all_rules()[0].name


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def problem(folder: Path, text: str) -> str:
    found = load(written(folder, text))
    assert isinstance(found, Problem), found
    assert found.path == str(folder / "pyproject.toml")
    assert "\n" not in found.message
    return found.message


def config(folder: Path, text: str) -> Config:
    found = load(written(folder, text))
    assert isinstance(found, Config), found
    return found


def test_every_key(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        f"""
        [tool.autofix]
        select = ["{RULE}"]
        extend-select = ["{RULE}"]
        ignore = ["{RULE}"]
        exclude = ["*_pb2.py", "data/generated", "/top.py"]
        unsafe-fixes = true
        routing = "soft"
        max-norm = 5
        smoke = "python train.py --max-steps 2"
        smoke-timeout = 90.5
        python = ".venv/bin/python"
        allow-unverified = true
        verify = false
        jobs = 3
        level = "expression"
        module-seconds = 2.5
        [tool.autofix.example."pkg.net:Net"]
        init = {{ dim = 8, sizes = [1, 2] }}
        forward = "torch.randn(2, 8), mask=None"
        [tool.autofix.rule.{RULE}]
        min = -10.0
        name = "x"
        """,
    )
    assert found == Config(
        root=tmp_path,
        select=(RULE,),
        extend_select=(RULE,),
        ignore=(RULE,),
        exclude=("*_pb2.py", f"{tmp_path}/data/generated", f"{tmp_path}/top.py"),
        unsafe_fixes=True,
        routing="soft",
        max_norm=5,
        smoke="python train.py --max-steps 2",
        smoke_timeout=90.5,
        python=".venv/bin/python",
        allow_unverified=True,
        verify=False,
        jobs=3,
        level="expression",
        module_seconds=2.5,
        example={"pkg.net:Net": {"init": {"dim": 8, "sizes": [1, 2]}, "forward": "torch.randn(2, 8), mask=None"}},
        rule={RULE: {"min": -10.0, "name": "x"}},
    )
    assert found.options == Options("soft", 5, {RULE: {"min": -10.0, "name": "x"}})
    assert found.options.setting(RULE, "min", 0.0) == -10.0


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\nx = 1\n", "tool = 1\n"])
def test_without_a_table_the_defaults_hold(tmp_path: Path, text: str) -> None:
    assert config(tmp_path, text) == Config(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("slect = []", "unknown key [tool.autofix] slect; did you mean 'select'?"),
        ("unsafe_fixs = true", "unknown key [tool.autofix] unsafe-fixs; did you mean 'unsafe-fixes'?"),
        ("colour = 1", "unknown key [tool.autofix] colour"),
        ("root = '/'", "unknown key [tool.autofix] root"),
        ("select = 'a'", "[tool.autofix] select must be a list of strings, not 'a'"),
        ("ignore = [1]", "[tool.autofix] ignore must be a list of strings, not a list"),
        ("exclude = true", "[tool.autofix] exclude must be a list of strings, not true"),
        ("unsafe-fixes = 1", "[tool.autofix] unsafe-fixes must be true or false, not 1"),
        ("verify = 'no'", "[tool.autofix] verify must be true or false, not 'no'"),
        (
            "routing = 'sofd'",
            "[tool.autofix] routing must be one of straight-through, soft, gumbel, not 'sofd'; did you mean 'soft'?",
        ),
        ("routing = []", "[tool.autofix] routing must be one of straight-through, soft, gumbel, not a list"),
        ("max-norm = true", "[tool.autofix] max-norm must be a number, not true"),
        ("max-norm = 0", "[tool.autofix] max-norm must be a positive number, not 0"),
        ("max-norm = nan", "[tool.autofix] max-norm must be a positive number, not nan"),
        ("smoke-timeout = inf", "[tool.autofix] smoke-timeout must be a positive number, not inf"),
        ("smoke = ['a']", "[tool.autofix] smoke must be a string, not a list"),
        ("python = 3.11", "[tool.autofix] python must be a string, not 3.11"),
        ("jobs = 1.5", "[tool.autofix] jobs must be a whole number, not 1.5"),
        ("jobs = -1", "[tool.autofix] jobs must be 0 (one per core) or more, not -1"),
        ("rule = 1", "[tool.autofix] rule must hold one table per rule, not 1"),
        (f"rule.{RULE} = 1", f"[tool.autofix] rule {RULE} must be a table, not 1"),
        (
            "rule.hard-top-p-mask.routing = 'sofd'",
            "[tool.autofix] rule hard-top-p-mask.routing must be one of straight-through, soft, gumbel, not 'sofd'; "
            "did you mean 'soft'?",
        ),
        (
            "rule.hard-top-k-mask.temperature = 0",
            "[tool.autofix] rule hard-top-k-mask.temperature must be a positive number, not 0",
        ),
        (f"rule.{RULE}.x = [1]", f"[tool.autofix] rule {RULE}.x must be a single value, not a list"),
        (
            "level = 'modul'",
            "[tool.autofix] level must be one of expression, module, not 'modul'; did you mean 'module'?",
        ),
        ("module-seconds = 0", "[tool.autofix] module-seconds must be a positive number, not 0"),
        ("example = 1", "[tool.autofix] example must hold one table per class, not 1"),
        ('example."a b" = {}', '[tool.autofix] example "a b" must be called like "package.module:Class"'),
        ('example."a:B" = 1', '[tool.autofix] example "a:B" must be a table, not 1'),
        ('example."a:B" = {}', '[tool.autofix] example "a:B" must give init or forward'),
        (
            'example."a:B".forwrd = ""',
            "[tool.autofix] example \"a:B\" has an unknown key forwrd; did you mean 'forward'?",
        ),
        (
            'example."a:B".init = [1]',
            '[tool.autofix] example "a:B" init must be a table of the constructor\'s arguments, not a list',
        ),
        (
            'example."a:B".init.day = 2026-01-01',
            '[tool.autofix] example "a:B" init argument day must be a number, a string, true, false, a list or a table',
        ),
        ('example."a:B".forward = 1', '[tool.autofix] example "a:B" forward must be a string, not 1'),
        (
            'example."a:B".forward = "x) + ("',
            '[tool.autofix] example "a:B" forward must be the arguments of a call, such as '
            "\"torch.randn(2, 8), mask=None\", not 'x) + ('",
        ),
        ("jobs = 1\njobs-x = 2", "unknown key [tool.autofix] jobs-x; did you mean 'jobs'?"),
        (
            "max-norm = 1\nmax_norm = 2",
            "[tool.autofix] gives a key twice, with a hyphen and with an underscore",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    assert problem(tmp_path, f"[tool.autofix]\n{line}\n") == message


@pytest.mark.parametrize("key", ["select = ['{}']", "ignore = ['{}']", "rule.{} = {{}}"])
def test_an_unknown_rule_is_named_with_a_close_one(tmp_path: Path, key: str) -> None:
    message = problem(tmp_path, f"[tool.autofix]\n{key.format(RULE + 'x')}\n")
    assert f"names no rule '{RULE}x'; did you mean '{RULE}'?; see `autofix rules`" in message


def test_files_that_are_no_toml_or_no_table(tmp_path: Path) -> None:
    assert problem(tmp_path, "[tool\n").startswith("is not valid TOML (")
    assert problem(tmp_path, "[tool]\nautofix = 1\n") == "[tool.autofix] must be a table"
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    assert isinstance(load(tmp_path), Problem)


def test_an_unreadable_file_is_a_problem(unprivileged: Path) -> None:
    (unprivileged / "pyproject.toml").touch(mode=0o000)
    found = load(unprivileged)
    assert isinstance(found, Problem)
    assert found.message == "cannot be read (Permission denied); make it readable or run elsewhere"


def test_the_nearest_file_upwards_counts_and_makes_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[tool.autofix]\njobs = 1\n")
    inner = written(tmp_path / "a/b", "[project]\nname = 'x'\n")
    (inner / "c").mkdir()
    (inner / "c/m.py").touch()
    for start in (inner, inner / "c", inner / "c/m.py", inner / "c/missing.py"):
        assert load(start) == Config(inner)
    assert load(tmp_path / "a") == Config(tmp_path, jobs=1)
    monkeypatch.chdir(inner / "c")
    assert load(Path()) == Config(inner)
    assert load(Path("../..")) == Config(tmp_path, jobs=1)


def test_the_root_without_a_project_file(tmp_path: Path) -> None:
    (tmp_path / "r/.git").mkdir(parents=True)
    (tmp_path / "r/a").mkdir()
    (tmp_path / "s").mkdir()
    (tmp_path / "s/m.py").touch()
    assert project_root(tmp_path / "r/a") == tmp_path / "r"
    assert project_root(tmp_path / "s") == project_root(tmp_path / "s/m.py") == tmp_path / "s"


def test_common_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert common_parent([]) == tmp_path
    assert common_parent([Path("a/m.py")]) == tmp_path / "a/m.py"
    assert common_parent([Path("a/b/m.py"), Path("a/c"), tmp_path / "a"]) == tmp_path / "a"


def test_the_command_line_counts_over_the_file_where_it_is_given() -> None:
    base = Config(Path("/p"), exclude=("a",), routing="soft", jobs=4)
    assert merge(base) == base
    assert merge(base, routing=None, jobs=None, exclude=None) == base
    assert merge(base, routing="gumbel", exclude=("b/c",), verify=False, max_norm=0.5) == Config(
        Path("/p"), exclude=("b/c",), routing="gumbel", jobs=4, verify=False, max_norm=0.5
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"routing": "hard"}, "--routing must be one of straight-through, soft, gumbel, not 'hard'"),
        ({"jobs": -2}, "--jobs must be 0 (one per core) or more, not -2"),
        ({"select": (RULE + "x",)}, f"--select names no rule '{RULE}x'; did you mean '{RULE}'?; see `autofix rules`"),
        ({"max_norm": -1.0}, "--max-norm must be a positive number, not -1.0"),
    ],
)
def test_the_command_line_is_checked_in_its_own_words(given: dict[str, object], message: str) -> None:
    assert merge(Config(Path()), **given) == Problem("command line", message)


def test_the_file_s_exclude_counts_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "we[i]rd *"
    found = config(root, "[tool.autofix]\nexclude = ['gen/a.py', 'b.py', '/c.py', '**/d.py']\n")
    for name in ("gen/a.py", "b.py", "c.py", "sub/c.py", "sub/gen/a.py", "sub/d.py", "sub/b.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    monkeypatch.chdir(root / "sub")
    assert [str(p) for p in discover([Path("..")], found.exclude)] == ["../sub/c.py", "../sub/gen/a.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("log-softmx", "; did you mean 'log-softmax'?"),
        ("Log-Softmax", "; did you mean 'log-softmax'?"),
        ("exp", "; did you mean 'exp1'?"),
        ("something-else-entirely", ""),
        ("", ""),
    ],
)
def test_suggestion(name: str, said: str) -> None:
    assert suggestion(name, ["log-softmax", "exp1", "mask-neg-inf"]) == said
    assert suggestion(name, []) == ""


def test_a_rule_that_is_off_by_default_runs_when_it_is_named() -> None:
    usual = set(engine.select_rules((), ()))
    quiet = {r for r in all_rules() if not r.by_default}
    names = {r.name for r in quiet}
    assert "post-norm" in names
    assert usual == set(default_rules()) == set(all_rules()) - quiet
    assert {r.name for r in engine.select_rules(("post-norm",), ())} == {"post-norm"}
    assert {r.name for r in set(engine.select_rules((), (), ("post-norm",))) - usual} == {"post-norm"}
    assert {r.name for r in engine.select_rules((RULE,), (), ("post-norm",))} == {RULE, "post-norm"}
    assert not names & {r.name for r in engine.select_rules((), ("post-norm",), ("post-norm",))}
