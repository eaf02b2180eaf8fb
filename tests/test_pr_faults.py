"""`autofix pr` against real git over HTTP and a forge that checks every request: what is sent, and what is survived.

Fixes are not executed here, which keeps these tests fast; `test_pr.py` goes the whole way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from forges import NAME, OWNER, TOKEN, Answer, Forge, serving

from autofix.config import Config, load
from autofix.deliver import git
from autofix.deliver.publish import Result, Wish, begin, publish
from autofix.deliver.pull_requests import Options, carry_out
from autofix.deliver.regression import RegressionTests, Trial
from autofix.deliver.suggest import Suggested, suggest
from autofix.model import Problem

LOSS = """import torch


def nll(logits, labels):
    return -torch.log(torch.softmax(logits, dim=-1)).gather(1, labels[:, None]).mean()
"""
ATTENTION = """import torch


def attend(q, mask):
    scores = q @ q.T
    scores = scores.masked_fill(mask, float("-inf"))
    return torch.softmax(scores, -1)
"""
FIXED = LOSS.replace("torch.log(torch.softmax(logits, dim=-1))", "torch.log_softmax(logits, dim=-1)")
PULLS = f"/repos/{OWNER}/{NAME}/pulls"


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout


def _configure(folder: Path) -> Config | Problem:
    loaded = load(folder)
    return loaded if isinstance(loaded, Problem) else replace(loaded, verify=False, jobs=1)


@dataclass
class Project:
    """A clone with a remote on the forge. waits: the seconds that were waited for the forge."""

    work: Path
    forge: Forge
    waits: list[float] = field(default_factory=list)

    def publish(self, *places: Path, **options: Any) -> Result | Problem:
        return publish(places or [self.work], self._wish(options), _configure)

    def suggested(self, number: int = 1, **options: Any) -> Suggested:
        made = suggest(number, [self.work], self._wish(options), _configure)
        assert isinstance(made, Suggested), made
        return made

    def _wish(self, options: dict[str, Any]) -> Wish:
        token = options.pop("token", TOKEN)
        own = {k: options.pop(k) for k in ("group", "dry_run", "forge", "interface") if k in options}
        return Wish(
            Options(**{"base": "", **options}),
            **{"forge": "github", **own},
            with_tests=False,
            environ={"GITHUB_TOKEN": token} if token else {},
            wait=self.waits.append,
        )

    def done(self, *places: Path, **options: Any) -> Result:
        result = self.publish(*places, **options)
        assert isinstance(result, Result), result
        return result

    def problem(self, **options: Any) -> str:
        """What kept the only pull request from being delivered."""
        result = self.publish(**options)
        if isinstance(result, Problem):
            return result.message
        (outcome,) = result.outcomes
        return outcome.problem

    def commit(self, files: dict[str, str | bytes], push: bool = True) -> str:
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        run("add", "-A", cwd=self.work)
        run("commit", "-qm", "work", cwd=self.work)
        if push:
            run("push", "-q", str(self.forge.bare), "HEAD:main", cwd=self.work)
        return run("rev-parse", "HEAD", cwd=self.work).strip()

    def branch(self) -> str:
        (name,) = [b for b in self.forge.branches() if b.startswith("autofix/")]
        return name

    def branch_key(self) -> str:
        message = run("log", "-1", "--format=%B", self.branch(), cwd=self.forge.bare)
        return message.partition("Autofix-Key: ")[2].split()[0]

    def shown(self, branch: str, path: str) -> bytes:
        done = subprocess.run(["git", "show", f"{branch}:{path}"], cwd=self.forge.bare, check=True, capture_output=True)
        return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in git.TOKENS:
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    run("init", "-q", cwd=work)
    with serving(tmp_path / "forge") as forge:
        made = Project(work, forge)
        made.commit({"loss.py": LOSS})
        run("remote", "add", "origin", forge.remote, cwd=work)
        yield made
        assert forge.complaints == []


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its mode, time of change and bytes; git's objects aside, which only ever grow, and what git
    notes of a remote's branches."""
    found = {}
    for place, folders, names in os.walk(folder):
        aside = {".git": "objects", "refs": "remotes"}.get(Path(place).name)
        folders[:] = [f for f in folders if f != aside]
        for name in names:
            path = Path(place) / name
            stat = path.lstat()
            data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = stat.st_mode, stat.st_mtime_ns, data
    return found


# -- what is sent ----------------------------------------------------------------------------------------------


def test_the_branch_holds_our_hunks_and_nothing_else(project: Project) -> None:
    (project.work / "loss.py").write_text("work in progress\n")
    (project.work / "new.py").write_text("untracked\n")
    (project.work / "staged.py").write_text("staged\n")
    run("add", "staged.py", cwd=project.work)
    before = snapshot(project.work)
    (outcome,) = project.done(labels=("bug",), reviewers=("grace",)).outcomes
    assert outcome.problem == ""
    assert snapshot(project.work) == before
    branch = project.branch()
    assert run("diff", "--stat", "main", branch, cwd=project.forge.bare).split()[:1] == ["loss.py"]
    assert project.shown(branch, "loss.py").decode() == FIXED
    (pull,) = project.forge.pulls.values()
    assert (pull["head"], pull["base"], pull["labels"], pull["reviewers"]) == (branch, "main", ["bug"], ["grace"])
    assert "`loss.py:5`" in pull["body"]
    assert project.forge.posted("/labels") == [{"labels": ["bug"]}]


def test_a_second_run_sends_nothing_new(project: Project) -> None:
    options = {"labels": ("bug",), "reviewers": ("grace",)}
    project.done(**options)
    branches, count = project.forge.branches(), len(project.forge.requests)
    (outcome,) = project.done(**options).outcomes
    assert outcome.done[0].endswith("is up to date")
    assert outcome.done[1] == "pull request #1 is up to date"
    assert project.forge.branches() == branches
    assert {method for method, _, _ in project.forge.requests[count:]} == {"GET"}


def test_who_has_reviewed_is_not_asked_again(project: Project) -> None:
    project.done(reviewers=("grace",))
    project.forge.pulls[1].update(reviewers=[], reviews=["grace"])
    project.done(reviewers=("grace", "edsger"))
    assert project.forge.posted("requested_reviewers") == [{"reviewers": ["grace"]}, {"reviewers": ["edsger"]}]


def test_another_witness_alone_is_no_news(project: Project) -> None:
    """The search for a small one ends when its time is over: a busy machine finds another."""
    begun = begin([project.work], project._wish({}))
    assert not isinstance(begun, Problem)
    (made,) = project.done().plans
    tips = []
    for text in (b"x = 1\n", b"x = 2\n"):
        tests = RegressionTests("tests/test_x.py", text, (Trial("test_x", "loss.py:5", "fails", "passes"),))
        one = replace(made, tests=tests, files={**made.files, tests.path: text})
        state = git.look(begun.repo, begun.remote)
        assert not isinstance(state, Problem)
        carry_out(one, begun.repo, begun.remote, state, begun.forge, begun.options)
        tips.append(project.forge.branches()[made.branch])
    assert tips[0] == tips[1]
    assert project.shown(made.branch, "tests/test_x.py") == b"x = 1\n"


def test_a_moved_base_is_followed(project: Project) -> None:
    project.done()
    moved = project.commit({"README": "new\n", "loss.py": "# loss\n" + LOSS})
    project.done()
    branch = project.branch()
    assert run("rev-parse", f"{branch}^", cwd=project.forge.bare).strip() == moved
    assert project.shown(branch, "loss.py").decode() == "# loss\n" + FIXED
    assert len(project.forge.pulls) == 1
    assert "`loss.py:6`" in project.forge.pulls[1]["body"]


def test_a_file_renamed_on_the_base_is_found_under_its_new_name(project: Project) -> None:
    start = run("rev-parse", "HEAD", cwd=project.work).strip()
    run("mv", "loss.py", "losses.py", cwd=project.work)
    project.commit({})
    run("checkout", "-q", "--detach", start, cwd=project.work)
    project.done()
    assert project.shown(project.branch(), "losses.py").decode() == FIXED
    result = project.done(project.work / "loss.py")
    assert "not in the base commit" in result.problems[0].message


def test_a_closed_pull_request_stays_closed(project: Project) -> None:
    project.done()
    project.forge.pulls[1]["state"] = "closed"
    tip = project.forge.branches()[project.branch()]
    (outcome,) = project.done().outcomes
    assert "closed by a person" in outcome.done[0]
    assert outcome.problem == ""
    assert (len(project.forge.pulls), project.forge.branches()[project.branch()]) == (1, tip)
    (outcome,) = project.done(reopen=True).outcomes
    assert project.forge.pulls[1]["state"] == "open"
    assert len(project.forge.pulls) == 1


def test_a_merged_one_does_not_stand_in_the_way(project: Project) -> None:
    project.done()
    project.forge.pulls[1].update(state="closed", merged_at="2026-01-01T00:00:00Z")
    project.done()
    assert project.forge.pulls[2]["state"] == "open"


def test_commits_of_somebody_else_are_not_overwritten(project: Project) -> None:
    project.done()
    branch = project.branch()
    run("fetch", "-q", str(project.forge.bare), branch, cwd=project.work)
    run("checkout", "-q", "--detach", "FETCH_HEAD", cwd=project.work)
    run("commit", "-q", "--allow-empty", "-m", "by a person", cwd=project.work)
    run("push", "-q", str(project.forge.bare), f"HEAD:refs/heads/{branch}", cwd=project.work)
    tip = project.forge.branches()[branch]
    assert "commits by somebody else" in project.problem()
    assert project.forge.branches()[branch] == tip


def test_a_pull_request_without_our_mark_is_left_alone(project: Project) -> None:
    project.done()
    project.forge.pulls[1]["body"] = "rewritten"
    assert "no mark of autofix" in project.problem()
    assert project.forge.pulls[1]["body"] == "rewritten"


def test_authors_and_signatures(project: Project) -> None:
    project.done(identity=git.Identity("Grace Hopper", "grace@example.org", sign_off=True))
    shown = run("log", "-1", "--format=%an <%ae>|%cn|%B", project.branch(), cwd=project.forge.bare)
    assert shown.startswith("Grace Hopper <grace@example.org>|Ada|Fix log-softmax in 1 place in 1 file\n")
    assert "Signed-off-by: Ada <ada@example.org>" in shown


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("rule", {"log-softmax", "mask-neg-inf"}),
        ("file", {"file-loss-py", "file-net-layers-attention-py"}),
        ("package", {"package-top", "package-net"}),
        ("all", {"all"}),
    ],
)
def test_groups(project: Project, group: str, names: set[str]) -> None:
    project.commit({"net/__init__.py": "", "net/layers/__init__.py": "", "net/layers/attention.py": ATTENTION})
    result = project.done(group=group, draft=True)
    assert {p.branch.removeprefix("autofix/").rpartition("-")[0] for p in result.plans} == names
    assert len(project.forge.pulls) == len(names)
    assert all(p["draft"] for p in project.forge.pulls.values())


def test_a_dry_run_sends_nothing(project: Project) -> None:
    before = snapshot(project.work)
    result = project.done(dry_run=True, token="")
    assert project.forge.requests == []
    assert set(project.forge.branches()) == {"main"}
    assert snapshot(project.work) == before
    ((branch, request),) = result.requests
    assert (request.method, request.path, (request.body or {})["head"]) == ("POST", PULLS, branch)


def test_suggestions_on_the_lines_of_a_pull_request(project: Project) -> None:
    """A pull request that brings the defect gets suggestions for its own lines; what stood there before gets none."""
    run("checkout", "-q", "-b", "feature", cwd=project.work)
    added = "\n\ndef other(scores, labels):\n    return -torch.log(torch.softmax(scores, -1))[:, labels].mean()\n"
    (project.work / "loss.py").write_text(LOSS + added)
    run("commit", "-qam", "feature", cwd=project.work)
    run("push", "-q", str(project.forge.bare), "feature", cwd=project.work)
    opened = {"title": "feature", "head": "feature", "base": "main"}
    project.forge.pulls_create(0, {}, opened)
    before = snapshot(project.work)
    assert project.suggested(dry_run=True).sent is False
    assert project.forge.review_comments == []
    first, second = project.suggested(), project.suggested()
    assert snapshot(project.work) == before
    assert (len(first.suggestions), first.known, first.outside) == (1, 0, 1)
    assert (len(second.suggestions), second.known) == (0, 1)
    (comment,) = project.forge.review_comments
    assert (comment["path"], comment["line"], comment["side"]) == ("loss.py", 9, "RIGHT")
    assert "```suggestion\n    return -torch.log_softmax(scores, dim=-1)[:, labels].mean()\n```" in comment["body"]


# -- what a repository may be like -----------------------------------------------------------------------------


def test_detached_head(project: Project) -> None:
    run("checkout", "-q", "--detach", cwd=project.work)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""


def test_a_shallow_clone(project: Project, tmp_path: Path) -> None:
    project.commit({"README": "1\n"})
    project.commit({"README": "2\n"})
    shallow = tmp_path / "shallow"
    run("clone", "-q", "--depth", "1", f"file://{project.forge.bare}", str(shallow), cwd=tmp_path)
    run("remote", "set-url", "origin", project.forge.remote, cwd=shallow)
    (outcome,) = Project(shallow, project.forge).done().outcomes
    assert outcome.problem == ""
    assert project.shown(project.branch(), "loss.py").decode() == FIXED


def test_a_submodule_stays_as_it_is(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run("init", "-q", cwd=other)
    (other / "x.py").write_text(LOSS)
    run("add", "-A", cwd=other)
    run("commit", "-qm", "x", cwd=other)
    run("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib", cwd=project.work)
    project.commit({})
    project.done()
    tree = run("ls-tree", project.branch(), "lib", cwd=project.forge.bare)
    assert tree.startswith("160000 commit")
    assert run("diff", "--name-only", "main", project.branch(), cwd=project.forge.bare).split() == ["loss.py"]


def test_paths_with_spaces_and_letters_from_elsewhere(project: Project) -> None:
    name = "größe und maß/verlust ü.py"
    run("rm", "-q", "loss.py", cwd=project.work)
    project.commit({name: LOSS})
    project.done()
    assert project.shown(project.branch(), name).decode() == FIXED
    assert name in project.forge.pulls[1]["body"]


def test_line_endings_and_modes_stay(project: Project) -> None:
    data = LOSS.replace("\n", "\r\n").encode()
    (project.work / "loss.py").chmod(0o755)
    run("config", "core.autocrlf", "false", cwd=project.work)
    project.commit({"loss.py": data})
    run("config", "core.autocrlf", "true", cwd=project.work)
    project.done()
    assert project.shown(project.branch(), "loss.py") == FIXED.replace("\n", "\r\n").encode()
    assert run("ls-tree", project.branch(), "loss.py", cwd=project.forge.bare).startswith("100755")


def test_hooks_do_not_run(project: Project) -> None:
    for name in ("pre-commit", "prepare-commit-msg", "post-commit", "pre-push", "reference-transaction"):
        hook = project.work / ".git" / "hooks" / name
        hook.write_text("#!/bin/sh\necho rewritten > loss.py\nexit 1\n")
        hook.chmod(0o755)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""
    assert (project.work / "loss.py").read_text() == LOSS


def test_a_header_that_a_ci_has_configured_is_replaced(project: Project) -> None:
    run("config", f"http.{project.forge.url}/.extraHeader", "Authorization: Basic of-the-ci", cwd=project.work)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""


def test_nobody_to_commit_as(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(os.environ["HOME"]) / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    message = project.problem()
    assert "the branch was not pushed: no commit was made: " in message
    assert "user.email" in message


def test_no_remote(project: Project) -> None:
    run("remote", "remove", "origin", cwd=project.work)
    assert "there is no remote 'origin'; add one with `git remote add`" in project.problem()


def test_not_a_repository(tmp_path: Path, project: Project) -> None:
    place = tmp_path / "nowhere"
    place.mkdir()
    result = project.publish(place)
    assert isinstance(result, Problem)
    assert "not a git repository" in result.message


@pytest.mark.parametrize(
    "name", ["--upload-pack=touch x", "-d", "a..b", "x\ny", "$(touch x)", "main; touch x", "refs/heads/main"]
)
def test_hostile_branch_names(project: Project, name: str) -> None:
    message = project.problem(base=name)
    assert "is no name for a branch" in message or "there is no branch" in message
    assert not list(project.work.glob("x*"))


def test_a_hostile_remote_name(project: Project) -> None:
    assert "there is no remote" in project.problem(remote="--upload-pack=touch x")


def test_hostile_values_stay_text(project: Project) -> None:
    name = "a`b|<img src=x>@grace #1 ${x} {{ 7*7 }}.py"
    run("rm", "-q", "loss.py", cwd=project.work)
    project.commit({name: LOSS})
    project.done()
    body = project.forge.pulls[1]["body"]
    (row,) = [line for line in body.split("\n") if line.startswith("| ") and "PROVED" not in line and "img" in line]
    assert row.startswith("| ``a`b\\|<img src=x>@grace #1 ${x} {{ 7*7 }}.py:5`` |")
    message = run("log", "-1", "--format=%B", project.branch(), cwd=project.forge.bare)
    assert "@grace" not in message
    assert "#1 " not in message


def test_templates_of_the_user(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "pull_request_title.txt.j2").write_text("[numerics] {{ name }}")
    (folder / "pull_request_body.md.j2").write_text("{{ counted }}")
    (folder / "commit_message.txt.j2").write_text("{{ subject }}")
    for _ in range(2):  # the second run knows its own, although the templates leave the marks out
        (outcome,) = project.done(templates=folder).outcomes
        assert outcome.problem == ""
    assert project.forge.pulls[1]["title"] == "[numerics] log-softmax"
    (folder / "pull_request_title.txt.j2").write_text("{{ nothing_of_the_kind }}")
    result = project.done(templates=folder)
    assert "the template cannot be used: 'nothing_of_the_kind' is undefined" in result.problems[0].message


def test_a_body_names_every_finding_however_many(project: Project) -> None:
    """A forge takes 65,536 characters: what is dropped first is what can be read elsewhere."""
    line = "    x = x - torch.log(torch.softmax(logits, dim=-1)).sum()\n"
    project.commit({"loss.py": f"import torch\n\n\ndef f(logits, x):\n{line * 900}    return x\n"})
    project.done()
    body = project.forge.pulls[1]["body"]
    assert len(body) < 65_536
    assert all(f"`loss.py:{number}`" in body for number in range(5, 905))
    assert body.rstrip().endswith(f"<!-- autofix key={project.branch_key()} -->")


# -- what forges and networks do -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500])
def test_a_refusal_says_what_exists_and_a_rerun_completes(project: Project, status: int) -> None:
    project.forge.fail("POST", PULLS, Answer(status, {"message": "no"}), times=2)
    message = project.problem()
    assert f"branch {project.branch()} is on the remote, but no pull request was opened" in message
    assert f"{status} no" in message
    assert message.endswith("run the same command again to go on")
    project.forge.faults.clear()
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""
    assert len(project.forge.pulls) == 1


def test_nothing_is_sent_when_pull_requests_cannot_be_looked_for(project: Project) -> None:
    project.forge.fail("GET", PULLS, Answer(404, {"message": "Not Found"}))
    message = project.problem()
    assert message.startswith("nothing was sent: ")
    assert "the token may not see it" in message
    assert set(project.forge.branches()) == {"main"}


def test_a_wrong_token_ends_at_once(project: Project) -> None:
    result = project.publish(token="ghs_Wrong")
    assert isinstance(result, Problem)
    assert "uthentication failed" in result.message or "could not read Username" in result.message
    assert "ghs_Wrong" not in result.message
    assert set(project.forge.branches()) == {"main"}


def test_no_token(project: Project) -> None:
    assert project.problem(token="") == "no token: set GITHUB_TOKEN in the environment"


def test_422_names_the_field(project: Project) -> None:
    answer = Answer(422, {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid"}]})
    project.forge.fail("POST", PULLS, answer)
    assert "422 Validation Failed: base invalid" in project.problem()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, {"message": "slow down"}, {"Retry-After": "7"}),
        Answer(403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "7"}),
        Answer(503, {"message": "busy"}, {"Retry-After": "7"}),
    ],
)
def test_limits_are_honoured(project: Project, answer: Answer) -> None:
    project.forge.fail("GET", PULLS, answer)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""
    assert project.waits == [7.0]


def test_a_limited_post_is_sent_again_when_it_may(project: Project) -> None:
    project.forge.fail("POST", PULLS, Answer(429, {"message": "slow down"}, {"Retry-After": "3"}))
    (outcome,) = project.done().outcomes
    assert (outcome.problem, project.waits, len(project.forge.pulls)) == ("", [3.0], 1)


def test_a_long_wait_is_left_to_the_person(project: Project) -> None:
    project.forge.fail("POST", PULLS, Answer(429, {"message": "slow down"}, {"Retry-After": "3600"}))
    message = project.problem()
    assert "it takes requests again in 3600 s" in message
    assert project.waits == []


@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("answer", [None, Answer(500, {"message": "oops"})])
def test_a_lost_answer_makes_no_second_pull_request(project: Project, effect: bool, answer: Answer | None) -> None:
    project.forge.fail("POST", PULLS, answer, effect=effect)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""
    assert list(project.forge.pulls) == [1]
    posts = [n for n, (m, p, _) in enumerate(project.forge.requests) if (m, p) == ("POST", PULLS)]
    if effect:
        assert len(posts) == 1
    else:  # it was looked for before it was sent again
        assert any(m == "GET" for m, _, _ in project.forge.requests[posts[0] + 1 : posts[1]])


def test_a_dropped_connection_is_tried_again(project: Project) -> None:
    project.forge.fail("GET", PULLS, None)
    (outcome,) = project.done().outcomes
    assert outcome.problem == ""


def test_labels_that_are_refused_are_set_by_the_next_run(project: Project) -> None:
    project.forge.fail("POST", f"/repos/{OWNER}/{NAME}/issues/1/labels", Answer(403, {"message": "no"}))
    message = project.problem(labels=("bug",), reviewers=("nobody",))
    assert "pull request #1 is open, but labels were not set" in message
    assert "reviewers were not asked: " in message
    assert "Reviews may only be requested from collaborators" in message
    (outcome,) = project.done(labels=("bug",), reviewers=("grace",)).outcomes
    assert (outcome.problem, project.forge.pulls[1]["labels"]) == ("", ["bug"])


def test_a_protected_branch(project: Project) -> None:
    hook = project.forge.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'branches named autofix/* are protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    message = project.problem()
    assert message.startswith("the branch was not pushed: ")
    assert "branches named autofix/* are protected" in message
    assert "pre-receive hook declined" in message
    assert project.forge.pulls == {}


def test_a_branch_that_moves_meanwhile_is_not_overwritten(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.done()
    branch = project.branch()
    project.commit({"loss.py": "# loss\n" + LOSS})
    push = git.push

    def late(*arguments: Any) -> Problem | None:
        run("update-ref", f"refs/heads/{branch}", "main", cwd=project.forge.bare)  # somebody was faster
        return push(*arguments)

    monkeypatch.setattr(git, "push", late)
    assert "stale info" in project.problem()
    assert project.forge.branches()[branch] == project.forge.branches()["main"]


def test_killed_after_the_push(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    push = git.push

    def killed(*arguments: Any) -> Problem | None:
        push(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(git, "push", killed)
        with pytest.raises(KeyboardInterrupt):
            project.publish()
    assert project.forge.pulls == {}
    (outcome,) = project.done().outcomes
    assert outcome.done[0].endswith("is up to date")
    assert list(project.forge.pulls) == [1]


@pytest.mark.parametrize("scheme", ["file", "nothing"])
def test_a_remote_that_is_on_no_forge(project: Project, scheme: str) -> None:
    url = f"file://{project.forge.bare}" if scheme == "file" else str(project.forge.bare)
    run("remote", "set-url", "origin", url, cwd=project.work)
    assert "is no address on a forge" in project.problem()
