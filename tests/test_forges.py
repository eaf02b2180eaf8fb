"""Forges: told by a remote's address, given a token only where it belongs, and spoken to in their own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from autofix.deliver.forges import gitea, gitlab
from autofix.deliver.forges.gitea import Gitea
from autofix.deliver.forges.github import touched_lines
from autofix.deliver.forges.gitlab import GitLab
from autofix.deliver.forges.http import Client
from autofix.deliver.forges.protocol import CLOSED, OPEN, PullRequest, Refusal, Request, Wanted
from autofix.deliver.forges.recognise import Place, forge, recognise

TOKENS = {"GITHUB_TOKEN": "gh-secret", "GITLAB_TOKEN": "gl-secret", "GITEA_TOKEN": "gt-secret"}
WANTED = Wanted("autofix/x-1", "main", "Fix x", "text\n\n<!-- autofix key=1 -->", draft=True)


@pytest.mark.parametrize(
    ("url", "kind", "interface", "path"),
    [
        ("https://github.com/ada/engine.git", "github", "https://api.github.com", "ada/engine"),
        ("git@github.com:ada/engine.git", "github", "https://api.github.com", "ada/engine"),
        ("ssh://git@github.com:22/ada/engine", "github", "https://api.github.com", "ada/engine"),
        ("https://ada:pw@github.com/ada/engine/", "github", "https://api.github.com", "ada/engine"),
        ("https://acme.ghe.com/ada/engine", "github", "https://api.acme.ghe.com", "ada/engine"),
        ("https://github.acme.org:8443/a/b.git", "github", "https://github.acme.org:8443/api/v3", "a/b"),
        ("git@github.acme.org:a/b.git", "github", "https://github.acme.org/api/v3", "a/b"),
        ("https://gitlab.com/g/sub/name.git", "gitlab", "https://gitlab.com/api/v4", "g/sub/name"),
        ("git@gitlab.acme.org:g/n.git", "gitlab", "https://gitlab.acme.org/api/v4", "g/n"),
        ("https://codeberg.org/ada/engine", "gitea", "https://codeberg.org/api/v1", "ada/engine"),
        ("ssh://git@forgejo.acme.org:2222/a/b.git", "gitea", "https://forgejo.acme.org/api/v1", "a/b"),
    ],
)
def test_forges_are_told_by_the_address(url: str, kind: str, interface: str, path: str) -> None:
    hosts = {
        "GH_HOST": "github.acme.org",
        "GITLAB_HOST": "gitlab.acme.org",
        "GITEA_SERVER_URL": "https://forgejo.acme.org",
    }
    hosts["GITHUB_SERVER_URL"] = "https://acme.ghe.com"
    found = recognise(url, TOKENS | hosts)
    assert isinstance(found, Place), found
    assert (found.kind, found.interface, found.path) == (kind, interface, path)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/srv/git/engine.git", "is no address on a forge"),
        ("file:///srv/git/engine.git", "is no address on a forge"),
        ("C:\\git\\engine", "is no address on a forge"),
        ("https://git.acme.org/a/b", "cannot tell what kind of forge git.acme.org is"),
        ("https://github.evil.example/a/b", "GITHUB_TOKEN may be meant for another host than github.evil.example"),
        ("https://notgithub.com/a/b", "cannot tell what kind of forge"),
        ("http://github.com/a/b", None),
        ("http://gitlab.com/a/b", "is not encrypted"),
    ],
)
def test_a_token_goes_nowhere_by_mistake(url: str, said: str | None) -> None:
    found = recognise(url, TOKENS)
    if said is None:  # the interface of github.com is always asked over https
        assert isinstance(found, Place)
        return
    assert isinstance(found, Refusal)
    assert said in found.message
    assert "secret" not in found.message


def test_the_user_says_what_a_host_is() -> None:
    found = recognise("https://git.acme.org/a/b", TOKENS, "gitea")
    assert isinstance(found, Place)
    assert (found.token, found.interface) == ("gt-secret", "https://git.acme.org/api/v1")
    found = recognise("git@git.acme.org:a/b", TOKENS, "github", "https://api.acme.org/v3/")
    assert isinstance(found, Place)
    assert found.interface == "https://api.acme.org/v3"


def test_an_enterprise_token_goes_to_the_enterprise() -> None:
    own = TOKENS | {"GH_ENTERPRISE_TOKEN": "ghe-secret"}
    found = recognise("https://github.acme.org/a/b", own)
    assert isinstance(found, Place)
    assert found.token == "ghe-secret"
    found = recognise("https://github.com/a/b", own)
    assert isinstance(found, Place)
    assert found.token == "gh-secret"


def test_no_token_is_said_before_anything_is_asked() -> None:
    found = recognise("https://gitlab.com/a/b", {})
    assert isinstance(found, Place)
    assert forge(found) == Refusal("no token: set GITLAB_TOKEN in the environment")


def test_touched_lines() -> None:
    patch = "@@ -1,3 +1,4 @@ def f():\n a\n-b\n+c\n+d\n e\n@@ -10 +11,2 @@\n x\n+y\n\\ No newline at end of file"
    assert touched_lines(patch) == {2, 3, 12}


# -- limits ----------------------------------------------------------------------------------------------------


def _client(answers: list[httpx.Response], waits: list[float]) -> Client:
    def handle(request: httpx.Request) -> httpx.Response:
        return answers.pop(0)

    made = httpx.Client(transport=httpx.MockTransport(handle))
    return Client("https://forge.example", {}, "s3cret", waits.append, made)


def test_a_spent_limit_is_waited_for_until_it_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autofix.deliver.forges.http.time.time", lambda: 1000.0)
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}
    waits: list[float] = []
    client = _client([httpx.Response(403, headers=spent), httpx.Response(200, json=[])], waits)
    assert client.ask(Request("POST", "/x", {}, repeat=False)) == []
    assert waits == [31.0]


def test_a_date_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autofix.deliver.forges.http.time.time", lambda: 784111770.0)
    date = {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}
    waits: list[float] = []
    client = _client([httpx.Response(429, headers=date), httpx.Response(200, json=[])], waits)
    assert client.ask(Request("GET", "/x")) == []
    assert waits == [7.0]


def test_what_an_error_says_holds_no_token() -> None:
    client = _client([httpx.Response(422, json={"message": "bad s3cret\x1b[31m\nnext"})], [])
    answer = client.ask(Request("POST", "/x", {}, repeat=False))
    assert isinstance(answer, Refusal)
    assert answer.message == "POST https://forge.example/x: 422 bad *** [31m next"
    assert "s3cret" not in repr(client)


def test_a_moved_repository_is_not_followed() -> None:
    client = _client([httpx.Response(301, headers={"Location": "https://elsewhere.example"})], [])
    answer = client.ask(Request("GET", "/x"))
    assert isinstance(answer, Refusal)
    assert "git remote set-url" in answer.message


def test_pages_are_read_to_the_end() -> None:
    client = _client([httpx.Response(200, json=[1, 2]), httpx.Response(200, json=[3])], [])
    found = client.pages(Request("GET", "/x"), most=2)
    assert not isinstance(found, Refusal)
    assert list(found) == [1, 2, 3]


# -- models of GitLab and Gitea --------------------------------------------------------------------------------


class _Model:
    """A forge in this process: routes are tried in order, and names that it does not know are an error."""

    routes: tuple[tuple[str, str, str], ...] = ()

    def __init__(self) -> None:
        self.pulls: dict[int, dict[str, Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        body = json.loads(request.content) if request.content else {}
        for method, pattern, name in self.routes:
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                handler: Callable[..., Any] = getattr(self, name)
                return httpx.Response(200, json=handler(dict(request.url.params), body, *match.groups()))
        return httpx.Response(404, json={"message": f"no {request.method} {path}"})


def _known(body: dict[str, Any], *names: str) -> None:
    assert set(body) <= set(names), set(body) - set(names)


class _GitLab(_Model):
    routes = (
        ("GET", "/projects/g/sub/n/merge_requests", "listed"),
        ("POST", "/projects/g/sub/n/merge_requests", "created"),
        ("GET", r"/projects/g/sub/n/merge_requests/(\d+)", "got"),
        ("PUT", r"/projects/g/sub/n/merge_requests/(\d+)", "updated"),
        ("GET", "/users", "users"),
    )

    def listed(self, query: dict[str, str], _: Any) -> Any:
        _known(query, "source_branch", "state", "per_page", "page")
        return [p for p in self.pulls.values() if p["source_branch"] == query["source_branch"]]

    def created(self, _: Any, body: dict[str, Any]) -> Any:
        assert set(body) == {"source_branch", "target_branch", "title", "description"}
        number = len(self.pulls) + 1
        self.pulls[number] = {
            **body, "iid": number, "web_url": f"https://gl/{number}", "state": "opened", "labels": [], "reviewers": [],
            "draft": body["title"].startswith("Draft: "), "source_project_id": 7, "target_project_id": 7,
        }  # fmt: skip
        return self.pulls[number]

    def got(self, _: Any, __: Any, number: str) -> Any:
        return self.pulls[int(number)]

    def updated(self, _: Any, body: dict[str, Any], number: str) -> Any:
        _known(body, "title", "description", "target_branch", "state_event", "add_labels", "reviewer_ids")
        pull = self.pulls[int(number)]
        pull["labels"] += [n for n in body.pop("add_labels", "").split(",") if n]
        pull["reviewers"] = [{"id": i, "username": f"user{i}"} for i in body.pop("reviewer_ids", [])] or pull[
            "reviewers"
        ]
        if body.pop("state_event", "") == "reopen":
            pull["state"] = "opened"
        pull.update(body)
        return pull

    def users(self, query: dict[str, str], _: Any) -> Any:
        number = query["username"].removeprefix("user")
        return [{"id": int(number), "username": query["username"]}] if number.isdigit() else []


class _Gitea(_Model):
    routes = (
        ("GET", "/repos/o/n/pulls", "listed"),
        ("POST", "/repos/o/n/pulls", "created"),
        ("GET", r"/repos/o/n/pulls/(\d+)", "got"),
        ("PATCH", r"/repos/o/n/pulls/(\d+)", "updated"),
        ("GET", "/repos/o/n/labels", "labels"),
        ("POST", r"/repos/o/n/issues/(\d+)/labels", "labelled"),
        ("GET", r"/repos/o/n/pulls/(\d+)/reviews", "reviews"),
        ("POST", r"/repos/o/n/pulls/(\d+)/requested_reviewers", "asked"),
    )

    def listed(self, query: dict[str, str], _: Any) -> Any:
        _known(query, "state", "limit", "page")
        return list(self.pulls.values())

    def created(self, _: Any, body: dict[str, Any]) -> Any:
        assert set(body) == {"title", "head", "base", "body"}
        number = len(self.pulls) + 1
        self.pulls[number] = {
            "number": number, "html_url": f"https://gt/{number}", "state": "open", "merged": False, "labels": [],
            "title": body["title"], "body": body["body"], "base": {"ref": body["base"]}, "requested_reviewers": [],
            "head": {"ref": body["head"], "sha": "1", "repo": {"full_name": "o/n"}},
        }  # fmt: skip
        return self.pulls[number]

    def got(self, _: Any, __: Any, number: str) -> Any:
        return self.pulls[int(number)]

    def updated(self, _: Any, body: dict[str, Any], number: str) -> Any:
        _known(body, "title", "body", "base", "state")
        pull = self.pulls[int(number)]
        pull.update({**body, "base": {"ref": body["base"]}})
        return pull

    def labels(self, _: Any, __: Any) -> Any:
        return [{"id": 5, "name": "bug"}]

    def labelled(self, _: Any, body: dict[str, Any], number: str) -> Any:
        assert body == {"labels": [5]}
        self.pulls[int(number)]["labels"].append({"id": 5, "name": "bug"})
        return self.pulls[int(number)]["labels"]

    def reviews(self, _: Any, __: Any, ___: str) -> Any:
        return []

    def asked(self, _: Any, body: dict[str, Any], number: str) -> Any:
        _known(body, "reviewers", "team_reviewers")
        self.pulls[int(number)]["requested_reviewers"] += [{"login": n} for n in body["reviewers"]]
        return []


def _made(model: _Model) -> GitLab | Gitea:
    http = httpx.Client(transport=httpx.MockTransport(model))
    if isinstance(model, _GitLab):
        return GitLab(Client("https://f.example", gitlab.headers("t"), "t", http=http), "g/sub/n")
    return Gitea(Client("https://f.example", gitea.headers("t"), "t", http=http), "o", "n")


@pytest.mark.parametrize("kind", [_GitLab, _Gitea])
def test_a_pull_request_from_birth_to_reopening(kind: type[_Model]) -> None:
    model = kind()
    one = _made(model)
    assert one.find(WANTED.head) is None
    made = one.create(WANTED)
    assert isinstance(made, PullRequest)
    assert (made.state, made.head, made.base, made.title, made.draft) == (OPEN, WANTED.head, "main", "Fix x", True)
    assert one.find(WANTED.head) == made
    assert one.find("another") is None
    updated = one.update(made.number, Wanted(WANTED.head, "main", "Fix y", "new"))
    assert isinstance(updated, PullRequest)
    assert (updated.title, updated.body, updated.draft) == ("Fix y", "new", True)
    assert one.label(made.number, ["bug"]) is None
    assert one.request_review(made.number, ["user3"]) is None
    again = one.find(WANTED.head)
    assert isinstance(again, PullRequest)
    assert again.labels == ("bug",)
    model.pulls[1]["state"] = "closed"
    closed = one.find(WANTED.head)
    assert isinstance(closed, PullRequest)
    assert closed.state == CLOSED
    reopened = one.update(made.number, WANTED, reopen=True)
    assert isinstance(reopened, PullRequest)
    assert reopened.state == OPEN


def test_gitlab_asks_each_reviewer_once() -> None:
    model = _GitLab()
    one = _made(model)
    one.create(WANTED)
    one.request_review(1, ["user3"])
    one.request_review(1, ["user3", "user4"])
    assert [r["id"] for r in model.pulls[1]["reviewers"]] == [3, 4]
    refusal = one.request_review(1, ["nobody"])
    assert refusal is not None
    assert "GitLab knows no user nobody" in refusal.message


def test_gitea_labels_must_exist() -> None:
    one = _made(_Gitea())
    one.create(WANTED)
    refusal = one.label(1, ["bug", "numerics"])
    assert refusal is not None
    assert refusal.message == "o/n has no label numerics; create it, and run again"


@pytest.mark.parametrize("kind", [_GitLab, _Gitea])
def test_suggestions_need_github(kind: type[_Model]) -> None:
    one = _made(kind())
    for answer in (one.changed(1), one.comments(1), one.comment(1, "c", "", [])):
        assert isinstance(answer, Refusal)
        assert "needs GitHub" in answer.message
