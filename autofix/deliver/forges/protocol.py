"""What every forge can do, as values: a pull request, what it should become, and what was refused.

Names follow GitHub; on GitLab a pull request is a merge request. No method raises for what a forge or a network says:
the answer is a `Refusal`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

OPEN, CLOSED, MERGED = "open", "closed", "merged"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a forge did not do, in words with the remedy. status: of HTTP, 0 when no answer came. sent: the request may
    have had its effect all the same (the answer was lost, or an error of the server)."""

    message: str
    status: int = 0
    sent: bool = False


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as a forge has it. state: one of OPEN, CLOSED, MERGED."""

    number: int
    url: str
    state: str
    head: str
    base: str
    title: str
    body: str
    head_commit: str = ""
    labels: tuple[str, ...] = ()
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pull request should be."""

    head: str
    base: str
    title: str
    body: str
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Lines `first` to `last` (1-based, of the pull request's own version of `path`) and what a reviewer would click on
    to replace them by. body: the comment, its suggestion block included."""

    path: str
    first: int
    last: int
    body: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. repeat: whether it does the same when it is done twice."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    repeat: bool = True


class Forge(Protocol):
    """One repository on one forge."""

    @property
    def kind(self) -> str: ...

    def find(self, head: str) -> PullRequest | Refusal | None:
        """The open pull request from this branch of the repository, else the newest one that was closed or merged."""
        ...

    def creation(self, wanted: Wanted) -> Request:
        """The request that opens it, which is what a dry run prints."""
        ...

    def create(self, wanted: Wanted) -> PullRequest | Refusal: ...

    def update(self, number: int, wanted: Wanted, reopen: bool = False) -> PullRequest | Refusal:
        """Title, body and base; `draft` is left as people have set it."""
        ...

    def label(self, number: int, labels: Sequence[str]) -> Refusal | None: ...

    def request_review(self, number: int, reviewers: Sequence[str]) -> Refusal | None:
        """Ask those who have neither been asked nor reviewed yet."""
        ...

    def comment(self, number: int, commit: str, summary: str, suggestions: Sequence[Suggestion]) -> Refusal | None:
        """One review that holds a comment for each suggestion."""
        ...

    def get(self, number: int) -> PullRequest | Refusal: ...

    def changed(self, number: int) -> Mapping[str, frozenset[int]] | Refusal:
        """By path, the lines of the pull request's version that it adds or changes."""
        ...

    def comments(self, number: int) -> Sequence[str] | Refusal:
        """The bodies of the comments on its lines."""
        ...
