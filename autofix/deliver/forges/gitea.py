"""Gitea and Forgejo: GitHub's words with other habits, below `/api/v1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from autofix.deliver.forges.github import chosen
from autofix.deliver.forges.http import Client
from autofix.deliver.forges.protocol import CLOSED, MERGED, OPEN, PullRequest, Refusal, Request, Suggestion, Wanted

_DRAFT = "WIP: "  # a draft is one whose title says so
_PAGE = 50


def headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", **({"Authorization": f"token {token}"} if token else {})}


@dataclass(frozen=True, slots=True)
class Gitea:
    client: Client
    owner: str
    name: str
    kind: str = "gitea"

    def find(self, head: str) -> PullRequest | Refusal | None:
        """Every page is read: this interface does not look pull requests up by their branch when one is closed."""
        answer = self.client.pages(Request("GET", self._path("pulls"), query={"state": "all"}), "limit", _PAGE)
        if isinstance(answer, Refusal):
            return answer
        own = f"{self.owner}/{self.name}".lower()
        ours = [
            one
            for one in answer
            if str(((one.get("head") or {}).get("repo") or {}).get("full_name", own)).lower() == own
        ]
        return chosen([pr for pr in map(_pull_request, ours) if pr.head == head])

    def creation(self, wanted: Wanted) -> Request:
        body = {"title": _title(wanted), "head": wanted.head, "base": wanted.base, "body": wanted.body}
        return Request("POST", self._path("pulls"), body, repeat=False)

    def create(self, wanted: Wanted) -> PullRequest | Refusal:
        return self._as_pull_request(self.creation(wanted))

    def update(self, number: int, wanted: Wanted, reopen: bool = False) -> PullRequest | Refusal:
        now = self.get(number)
        if isinstance(now, Refusal):
            return now
        title = f"{_DRAFT}{wanted.title}" if now.draft else wanted.title
        body = {"title": title, "body": wanted.body, "base": wanted.base}
        if reopen:
            body["state"] = "open"
        return self._as_pull_request(Request("PATCH", self._path(f"pulls/{number}"), body))

    def label(self, number: int, labels: Sequence[str]) -> Refusal | None:
        """Labels go by number here, and must exist."""
        known = self.client.pages(Request("GET", self._path("labels")), "limit", _PAGE)
        if isinstance(known, Refusal):
            return known
        numbers = {str(one["name"]): int(one["id"]) for one in known}
        missing = [name for name in labels if name not in numbers]
        if missing:
            return Refusal(f"{self.owner}/{self.name} has no label {', '.join(missing)}; create it, and run again")
        body = {"labels": [numbers[name] for name in labels]}
        return self._done(Request("POST", self._path(f"issues/{number}/labels"), body))

    def request_review(self, number: int, reviewers: Sequence[str]) -> Refusal | None:
        answer = self.client.ask(Request("GET", self._path(f"pulls/{number}")))
        if isinstance(answer, Refusal):
            return answer
        reviews = self.client.pages(Request("GET", self._path(f"pulls/{number}/reviews")), "limit", _PAGE)
        if isinstance(reviews, Refusal):
            return reviews
        known = {str(one["login"]) for one in answer.get("requested_reviewers") or ()}
        known |= {str(one["user"]["login"]) for one in reviews if one.get("user")}
        body = {
            "reviewers": [r for r in reviewers if "/" not in r and r not in known],
            "team_reviewers": [r.partition("/")[2] for r in reviewers if "/" in r],
        }
        body = {key: names for key, names in body.items() if names}
        return self._done(Request("POST", self._path(f"pulls/{number}/requested_reviewers"), body)) if body else None

    def comment(self, number: int, commit: str, summary: str, suggestions: Sequence[Suggestion]) -> Refusal | None:
        return Refusal("this forge has no suggestions to click on; `--suggest` needs GitHub")

    def get(self, number: int) -> PullRequest | Refusal:
        return self._as_pull_request(Request("GET", self._path(f"pulls/{number}")))

    def changed(self, number: int) -> Mapping[str, frozenset[int]] | Refusal:
        return Refusal("this forge has no suggestions to click on; `--suggest` needs GitHub")

    def comments(self, number: int) -> Sequence[str] | Refusal:
        return Refusal("this forge has no suggestions to click on; `--suggest` needs GitHub")

    def _path(self, rest: str) -> str:
        return f"/repos/{quote(self.owner, safe='')}/{quote(self.name, safe='')}/{rest}"

    def _as_pull_request(self, request: Request) -> PullRequest | Refusal:
        answer = self.client.ask(request)
        return answer if isinstance(answer, Refusal) else _pull_request(answer)

    def _done(self, request: Request) -> Refusal | None:
        answer = self.client.ask(request)
        return answer if isinstance(answer, Refusal) else None


def _title(wanted: Wanted) -> str:
    return f"{_DRAFT}{wanted.title}" if wanted.draft else wanted.title


def _pull_request(answer: Mapping[str, Any]) -> PullRequest:
    title = str(answer["title"])
    return PullRequest(
        number=int(answer["number"]),
        url=str(answer["html_url"]),
        state=MERGED if answer.get("merged") else OPEN if answer["state"] == "open" else CLOSED,
        head=str(answer["head"]["ref"]),
        base=str(answer["base"]["ref"]),
        title=title.removeprefix(_DRAFT),
        body=str(answer.get("body") or ""),
        head_commit=str(answer["head"].get("sha") or ""),
        labels=tuple(str(one["name"]) for one in answer.get("labels") or ()),
        draft=title.startswith(_DRAFT),
    )
