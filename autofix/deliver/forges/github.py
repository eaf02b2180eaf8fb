"""GitHub, and GitHub Enterprise with the same paths below `/api/v3`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from autofix.deliver.forges.http import Client
from autofix.deliver.forges.protocol import CLOSED, MERGED, OPEN, PullRequest, Refusal, Request, Suggestion, Wanted

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


def headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


@dataclass(frozen=True, slots=True)
class GitHub:
    """owner and name: of the repository that holds the branch and the pull request."""

    client: Client
    owner: str
    name: str
    kind: str = "github"

    def find(self, head: str) -> PullRequest | Refusal | None:
        query = {"head": f"{self.owner}:{head}", "state": "all", "sort": "created", "direction": "desc"}
        answer = self.client.pages(Request("GET", self._path("pulls"), query=query))
        if isinstance(answer, Refusal):
            return answer
        found = [_pull_request(one) for one in answer]
        return chosen([one for one in found if one.head == head])

    def creation(self, wanted: Wanted) -> Request:
        body = {"title": wanted.title, "head": wanted.head, "base": wanted.base, "body": wanted.body}
        return Request("POST", self._path("pulls"), {**body, "draft": wanted.draft}, repeat=False)

    def create(self, wanted: Wanted) -> PullRequest | Refusal:
        return self._as_pull_request(self.creation(wanted))

    def update(self, number: int, wanted: Wanted, reopen: bool = False) -> PullRequest | Refusal:
        body = {"title": wanted.title, "body": wanted.body, "base": wanted.base}
        if reopen:
            body["state"] = "open"
        return self._as_pull_request(Request("PATCH", self._path(f"pulls/{number}"), body))

    def label(self, number: int, labels: Sequence[str]) -> Refusal | None:
        return self._done(Request("POST", self._path(f"issues/{number}/labels"), {"labels": list(labels)}))

    def request_review(self, number: int, reviewers: Sequence[str]) -> Refusal | None:
        path = self._path(f"pulls/{number}/requested_reviewers")
        asked = self.client.ask(Request("GET", path))
        if isinstance(asked, Refusal):
            return asked
        reviews = self.client.pages(Request("GET", self._path(f"pulls/{number}/reviews")))
        if isinstance(reviews, Refusal):
            return reviews
        people = {one["login"] for one in asked.get("users", ())}
        people |= {one["user"]["login"] for one in reviews if one.get("user")}
        teams = {one["slug"] for one in asked.get("teams", ())}
        wanted_teams = [r.partition("/")[2] for r in reviewers if "/" in r]
        body = {
            "reviewers": [r for r in reviewers if "/" not in r and r not in people],
            "team_reviewers": [t for t in wanted_teams if t not in teams],
        }
        body = {key: names for key, names in body.items() if names}
        return self._done(Request("POST", path, body)) if body else None

    def comment(self, number: int, commit: str, summary: str, suggestions: Sequence[Suggestion]) -> Refusal | None:
        comments = [_comment(one) for one in suggestions]
        body = {"commit_id": commit, "body": summary, "event": "COMMENT", "comments": comments}
        return self._done(Request("POST", self._path(f"pulls/{number}/reviews"), body, repeat=False))

    def get(self, number: int) -> PullRequest | Refusal:
        return self._as_pull_request(Request("GET", self._path(f"pulls/{number}")))

    def changed(self, number: int) -> Mapping[str, frozenset[int]] | Refusal:
        answer = self.client.pages(Request("GET", self._path(f"pulls/{number}/files")))
        if isinstance(answer, Refusal):
            return answer
        return {one["filename"]: touched_lines(one.get("patch") or "") for one in answer if one["status"] != "removed"}

    def comments(self, number: int) -> Sequence[str] | Refusal:
        answer = self.client.pages(Request("GET", self._path(f"pulls/{number}/comments")))
        return answer if isinstance(answer, Refusal) else [str(one.get("body") or "") for one in answer]

    def _path(self, rest: str) -> str:
        return f"/repos/{quote(self.owner, safe='')}/{quote(self.name, safe='')}/{rest}"

    def _as_pull_request(self, request: Request) -> PullRequest | Refusal:
        answer = self.client.ask(request)
        return answer if isinstance(answer, Refusal) else _pull_request(answer)

    def _done(self, request: Request) -> Refusal | None:
        answer = self.client.ask(request)
        return answer if isinstance(answer, Refusal) else None


def chosen(found: Sequence[PullRequest]) -> PullRequest | None:
    """The open one, else the newest."""
    ordered = sorted(found, key=lambda one: (one.state == OPEN, one.number))
    return ordered[-1] if ordered else None


def touched_lines(patch: str) -> frozenset[int]:
    """The lines of the new version that a unified diff adds."""
    lines: set[int] = set()
    at = 0
    for text in patch.split("\n"):
        hunk = _HUNK.match(text)
        if hunk:
            at = int(hunk.group(1))
        elif text[:1] in ("+", " ") and at:
            if text[0] == "+":
                lines.add(at)
            at += 1
    return frozenset(lines)


def _comment(one: Suggestion) -> dict[str, Any]:
    place: dict[str, Any] = {"path": one.path, "body": one.body, "line": one.last, "side": "RIGHT"}
    if one.first < one.last:
        place |= {"start_line": one.first, "start_side": "RIGHT"}
    return place


def _pull_request(answer: Mapping[str, Any]) -> PullRequest:
    state = MERGED if answer.get("merged_at") else OPEN if answer["state"] == "open" else CLOSED
    return PullRequest(
        number=int(answer["number"]),
        url=str(answer["html_url"]),
        state=state,
        head=str(answer["head"]["ref"]),
        base=str(answer["base"]["ref"]),
        title=str(answer["title"]),
        body=str(answer.get("body") or ""),
        head_commit=str(answer["head"].get("sha") or ""),
        labels=tuple(str(one["name"]) for one in answer.get("labels", ())),
        draft=bool(answer.get("draft")),
    )
