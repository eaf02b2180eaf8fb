"""GitLab: merge requests, below `/api/v4`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from autofix.deliver.forges.github import chosen
from autofix.deliver.forges.http import Client
from autofix.deliver.forges.protocol import CLOSED, MERGED, OPEN, PullRequest, Refusal, Request, Suggestion, Wanted

_DRAFT = "Draft: "  # a draft is one whose title says so
_STATES = {"opened": OPEN, "merged": MERGED}


def headers(token: str) -> dict[str, str]:
    return {"PRIVATE-TOKEN": token} if token else {}


@dataclass(frozen=True, slots=True)
class GitLab:
    """project: its full path, groups included ("group/subgroup/name")."""

    client: Client
    project: str
    kind: str = "gitlab"

    def find(self, head: str) -> PullRequest | Refusal | None:
        query = {"source_branch": head, "state": "all"}
        answer = self.client.pages(Request("GET", self._path("merge_requests"), query=query))
        if isinstance(answer, Refusal):
            return answer
        ours = [one for one in answer if one.get("source_project_id") == one.get("target_project_id")]
        return chosen([pr for pr in map(_pull_request, ours) if pr.head == head])

    def creation(self, wanted: Wanted) -> Request:
        title = f"{_DRAFT}{wanted.title}" if wanted.draft else wanted.title
        body = {
            "source_branch": wanted.head, "target_branch": wanted.base, "title": title, "description": wanted.body,
        }  # fmt: skip
        return Request("POST", self._path("merge_requests"), body, repeat=False)

    def create(self, wanted: Wanted) -> PullRequest | Refusal:
        return self._as_pull_request(self.creation(wanted))

    def update(self, number: int, wanted: Wanted, reopen: bool = False) -> PullRequest | Refusal:
        now = self.get(number)
        if isinstance(now, Refusal):
            return now
        title = f"{_DRAFT}{wanted.title}" if now.draft else wanted.title
        body = {"title": title, "description": wanted.body, "target_branch": wanted.base}
        if reopen:
            body["state_event"] = "reopen"
        return self._as_pull_request(self._put(number, body))

    def label(self, number: int, labels: Sequence[str]) -> Refusal | None:
        answer = self.client.ask(self._put(number, {"add_labels": ",".join(labels)}))
        return answer if isinstance(answer, Refusal) else None

    def request_review(self, number: int, reviewers: Sequence[str]) -> Refusal | None:
        """Reviewers go by number here. Who is one stays one after the review."""
        answer = self.client.ask(Request("GET", self._path(f"merge_requests/{number}")))
        if isinstance(answer, Refusal):
            return answer
        current = {str(one["username"]): int(one["id"]) for one in answer.get("reviewers") or ()}
        wanted = dict(current)
        for name in reviewers:
            if name in wanted:
                continue
            found = self.client.ask(Request("GET", "/users", query={"username": name}))
            if isinstance(found, Refusal):
                return found
            if not found:
                return Refusal(f"GitLab knows no user {name}; correct --reviewer")
            wanted[name] = int(found[0]["id"])
        if wanted == current:
            return None
        answer = self.client.ask(self._put(number, {"reviewer_ids": list(wanted.values())}))
        return answer if isinstance(answer, Refusal) else None

    def comment(self, number: int, commit: str, summary: str, suggestions: Sequence[Suggestion]) -> Refusal | None:
        return Refusal("autofix writes no suggestions to GitLab; `--suggest` needs GitHub")

    def get(self, number: int) -> PullRequest | Refusal:
        return self._as_pull_request(Request("GET", self._path(f"merge_requests/{number}")))

    def changed(self, number: int) -> Mapping[str, frozenset[int]] | Refusal:
        return Refusal("autofix writes no suggestions to GitLab; `--suggest` needs GitHub")

    def comments(self, number: int) -> Sequence[str] | Refusal:
        return Refusal("autofix writes no suggestions to GitLab; `--suggest` needs GitHub")

    def _put(self, number: int, body: Mapping[str, Any]) -> Request:
        return Request("PUT", self._path(f"merge_requests/{number}"), body)

    def _path(self, rest: str) -> str:
        return f"/projects/{quote(self.project, safe='')}/{rest}"

    def _as_pull_request(self, request: Request) -> PullRequest | Refusal:
        answer = self.client.ask(request)
        return answer if isinstance(answer, Refusal) else _pull_request(answer)


def _pull_request(answer: Mapping[str, Any]) -> PullRequest:
    title = str(answer["title"])
    return PullRequest(
        number=int(answer["iid"]),
        url=str(answer["web_url"]),
        state=_STATES.get(str(answer["state"]), CLOSED),
        head=str(answer["source_branch"]),
        base=str(answer["target_branch"]),
        title=title.removeprefix(_DRAFT),
        body=str(answer.get("description") or ""),
        head_commit=str(answer.get("sha") or ""),
        labels=tuple(str(name) for name in answer.get("labels") or ()),
        draft=bool(answer.get("draft")),
    )
