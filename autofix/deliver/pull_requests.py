"""Pull requests: planned as values, then carried out step by step, each of which may be done already.

Nothing is remembered between runs but what the remote and the forge hold: a branch whose name follows from what it is
for, a trailer in its commit, a marker in the pull request's text. So a run that was cut off is completed by the next.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from autofix import __version__
from autofix.deliver import git, words
from autofix.deliver.forges.protocol import CLOSED, OPEN, Forge, PullRequest, Refusal, Wanted
from autofix.deliver.markdown import environment
from autofix.deliver.proposals import Proposal
from autofix.deliver.regression import RegressionTests
from autofix.model import Applicability, Problem
from autofix.registry import rule_named
from autofix.report import Item, Status

_TRAILER = "Autofix-Key"
_LONGEST_BODY = 60_000  # characters; GitHub takes 65,536
_MOST_LEFT = 40
_TIMING = re.compile(r" in [\d.]+ times the time")  # differs from run to run, and would make each an update
_LOOKS = {Applicability.SAFE: "cursory", Applicability.UNSAFE: "careful"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. base: the branch that is merged into. command: what was typed, for the text. templates:
    a folder whose templates go before ours. places: the paths that were given, () for the whole repository."""

    base: str
    remote: str = "origin"
    command: str = "autofix pr"
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    identity: git.Identity = field(default_factory=git.Identity)
    reopen: bool = False
    templates: Path | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One pull request, before anything is sent. files: what changes against the base commit, by path."""

    key: str
    branch: str
    base: str
    base_commit: str
    files: Mapping[str, bytes]
    message: str
    title: str
    body: str
    proposal: Proposal
    tests: RegressionTests | None

    def wanted(self, draft: bool = False) -> Wanted:
        return Wanted(self.branch, self.base, self.title, self.body, draft)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan. done: the steps that were taken, in words. problem: what kept the rest from happening,
    what exists so far, and how to go on; empty when all is done."""

    plan: Plan
    commit: str = ""
    number: int = 0
    url: str = ""
    done: tuple[str, ...] = ()
    problem: str = ""


# -- planning --------------------------------------------------------------------------------------------------


def plan(proposal: Proposal, tests: RegressionTests | None, base_commit: str, options: Options) -> Plan | Problem:
    """The branch, the commit and the words of a proposal."""
    key = _key(proposal, options)
    branch = f"autofix/{_slug(proposal)}-{key[:8]}"
    files = dict(proposal.files)
    if tests and tests.count:
        files[tests.path] = tests.text
    shown = _shown(proposal, tests, base_commit, branch, key, options)
    made = environment(options.templates)
    try:
        title = made.get_template("pull_request_title.txt.j2").render(shown).strip()
        message = _with(_tidy(made.get_template("commit_message.txt.j2").render(shown)), shown["trailer"])
        body = _with(_body(made, shown), shown["marker"])
    except TemplateError as error:
        return Problem(str(options.templates or "templates"), f"the template cannot be used: {error}")
    title = re.sub(r"\s+", " ", title)[:200]
    return Plan(key, branch, options.base, base_commit, files, message, title, body, proposal, tests)


def _key(proposal: Proposal, options: Options) -> str:
    """Stays the same from run to run: what the pull request is about, not what is in it."""
    about = "\0".join([proposal.kind, proposal.name, options.base, *sorted(options.places)])
    return hashlib.blake2b(about.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def _slug(proposal: Proposal) -> str:
    text = re.sub(r"[^a-z0-9]+", "-", proposal.name.lower()).strip("-")[-40:].strip("-") or "top"
    return text if proposal.kind in ("rule", "all") else f"{proposal.kind}-{text}"


def _shown(
    proposal: Proposal, tests: RegressionTests | None, base_commit: str, branch: str, key: str, options: Options
) -> dict[str, Any]:
    """What the templates see."""
    items = list(proposal.report.items)
    patched = [i for i in items if i.status is Status.PATCHED]
    left = [i for i in items if i.status is not Status.PATCHED]
    paths = {i.finding.path for i in patched}
    counted = f"{words.plural(len(patched), 'place')} in {words.plural(len(paths), 'file')}"
    looks = {_LOOKS[i.finding.applicability] for i in patched if i.finding.fix}
    subject = f"Fix {', '.join(proposal.rules) or proposal.name} in {counted}"
    if len(subject) > 72:
        subject = f"Numerical fixes of {words.plural(len(proposal.rules), 'rule')} in {counted}"
    witnessed = next((i for i in patched if i.evidence and i.evidence.witness), None)
    has_tests = tests is not None and bool(tests.count)
    return {
        "kind": proposal.kind,
        "name": proposal.name,
        "subject": subject,
        "counted": f"{counted}.",
        "rules": [_rule(name) for name in proposal.rules],
        "places": [_place(i) for i in patched],
        "look": _look(looks),
        "tests": tests if has_tests else None,
        "untested": [{"where": w, "reason": why} for w, why in tests.left_out] if tests else [],
        "reproduce": _reproduce(tests, branch, options) if tests and has_tests else [],
        "script": {"where": _where(witnessed), "text": witnessed.evidence.witness}
        if witnessed and witnessed.evidence
        else None,
        "commands": [
            {
                "command": c.command,
                "root": c.root,
                "verdict": words.verdict(c.evidence),
                "witness": _TIMING.sub("", c.evidence.witness_summary),
            }
            for c in proposal.report.commands
        ],
        "not_changed": [_left(i) for i in left[:_MOST_LEFT]],
        "more_left": max(0, len(left) - _MOST_LEFT),
        "check_command": "autofix check",
        "branch": branch,
        "base": options.base,
        "base_commit": base_commit,
        "command": options.command,
        "version": __version__,
        "marker": f"<!-- autofix key={key} -->",
        "trailer": f"{_TRAILER}: {key}",
    }


def _rule(name: str) -> dict[str, str]:
    rule = rule_named(name)
    sections = rule.sections if rule else {}
    return {
        "name": name,
        "summary": sections.get("summary", name),
        "defect": sections.get("The defect", ""),
        "why": sections.get("Why it hurts", ""),
    }


def _where(item: Item) -> str:
    return f"{item.finding.path}:{item.finding.start.line}"


def _place(item: Item) -> dict[str, Any]:
    finding, evidence = item.finding, item.evidence
    return {
        "path": finding.path,
        "line": finding.start.line,
        "where": _where(item),
        "rule": finding.rule,
        "message": finding.message,
        "title": finding.fix.title if finding.fix else finding.message,
        "severity": finding.severity.value,
        "verdict": words.verdict(evidence) if evidence else "not executed",
        "witness": (evidence.witness_summary or evidence.reason) if evidence else "",
        "look": _LOOKS[finding.applicability],
        "change": evidence.change if evidence else "",
        "assumptions": list(evidence.assumptions) if evidence else [],
    }


def _left(item: Item) -> dict[str, str]:
    return {"where": _where(item), "message": item.finding.message, "reason": words.why_not(item)}


def _look(looks: set[str]) -> str:
    if looks == {"cursory"}:
        return "A cursory look is enough: every fix is *safe*: a relation that was executed confines what changes."
    text = "Please look carefully: these fixes are *unsafe*, that is, they go beyond a relation that can be executed."
    return text if looks == {"careful"} else f"{text} Those marked *cursory* are safe."


def _reproduce(tests: RegressionTests, branch: str, options: Options) -> list[str]:
    """Five lines for a shell in a clone, which leave its working tree alone."""
    path, folder = shlex.quote(tests.path), f"../{branch.partition('/')[2]}"
    return [
        f"git fetch {shlex.quote(options.remote)} {branch}",
        f"git worktree add --detach {folder} FETCH_HEAD && cd {folder}",
        f"python -m pytest {path}  # passes",
        "git checkout HEAD~1 -- .  # the code as it was",
        f"python -m pytest {path}  # fails",
    ]


def _body(made: Any, shown: dict[str, Any]) -> str:
    """The text, without its script when a forge would not take it, and then with shorter rows."""
    template = made.get_template("pull_request_body.md.j2")
    body = _tidy(template.render(shown))
    if len(body) > _LONGEST_BODY:
        body = _tidy(template.render(shown | {"script": None}))
    if len(body) > _LONGEST_BODY:
        short = [p | {"message": p["rule"], "witness": "", "change": "", "assumptions": []} for p in shown["places"]]
        spare = {"script": None, "places": short, "not_changed": shown["not_changed"][:5], "untested": []}
        body = _tidy(template.render(shown | spare))
    if len(body) > _LONGEST_BODY:
        body = f"{body[: _LONGEST_BODY - 200].rpartition(chr(10))[0]}\n\n(the list was too long)\n\n{shown['marker']}\n"
    return body


def _with(text: str, mark: str) -> str:
    """The text with the mark by which the next run knows it, should the user's template have left it out."""
    return text if mark in text else f"{text}\n{mark}\n"


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


# -- carrying out ----------------------------------------------------------------------------------------------


def carry_out(
    one: Plan, repo: git.Repository, remote: git.Remote, state: git.RemoteState, forge: Forge, options: Options
) -> Outcome:
    """Push the branch and open, or bring up to date, its pull request. What is so already is left as it is."""
    existing = forge.find(one.branch)
    if isinstance(existing, Refusal):
        return Outcome(one, problem=f"nothing was sent: {existing.message}")
    refused = _foreign(existing, one)
    if refused:
        return replace(_known(one, existing), problem=refused)
    if existing and existing.state == CLOSED and not options.reopen:
        left = f"pull request #{existing.number} was closed by a person: left so (--reopen opens it again)"
        return replace(_known(one, existing), done=(left,))
    current = existing if existing and existing.state in (OPEN, CLOSED) else None
    pushed = _pushed(one, repo, remote, state, options)
    if isinstance(pushed, Problem):
        exists = f"; pull request #{current.number} ({current.url}) stays as it was" if current else ""
        return replace(_known(one, current), problem=f"the branch was not pushed: {pushed.message}{exists}")
    commit, done = pushed
    outcome = replace(_known(one, current), commit=commit, done=(done,))
    opened = _opened(one, forge, current, options)
    if isinstance(opened, Refusal):
        return replace(outcome, problem=_half_way(one, opened, current))
    pull_request, what = opened
    outcome = replace(outcome, number=pull_request.number, url=pull_request.url, done=(*outcome.done, what))
    return _dressed(outcome, forge, pull_request, options)


def _known(one: Plan, existing: PullRequest | None) -> Outcome:
    return Outcome(one, number=existing.number, url=existing.url) if existing else Outcome(one)


def _marked(existing: PullRequest, one: Plan) -> bool:
    return f"<!-- autofix key={one.key} -->" in existing.body


def _foreign(existing: PullRequest | None, one: Plan) -> str:
    """Why an open pull request of our branch is not ours to change."""
    if existing is None or existing.state != OPEN or _marked(existing, one):
        return ""
    return (
        f"pull request #{existing.number} ({existing.url}) is from {one.branch}, but its text has no mark of autofix: "
        f"left as it is; close it or put `<!-- autofix key={one.key} -->` back, and run again"
    )


def _pushed(
    one: Plan, repo: git.Repository, remote: git.Remote, state: git.RemoteState, options: Options
) -> tuple[str, str] | Problem:
    """The commit that the remote's branch now holds, and what was done for it."""
    tip = state.branches.get(one.branch, "")
    if tip:
        problem = git.fetch(repo, remote, f"refs/heads/{one.branch}", tip)
        if problem:
            return problem
        there = git.commit(repo, tip)
        if isinstance(there, Problem):
            return there
        if f"{_TRAILER}: {one.key}" not in there.message:
            words_ = (
                f"{one.branch} has commits by somebody else on {remote.name}: merge or delete the branch, and run again"
            )
            return Problem(remote.url, words_)
    made = git.commit_files(repo, one.base_commit, one.files, one.message, options.identity)
    if isinstance(made, Problem):
        return made
    if tip and _same(repo, tip, made, one):
        return tip, f"branch {one.branch} is up to date"
    problem = git.push(repo, remote, made, one.branch, tip)
    if problem:
        return problem
    return made, f"branch {one.branch} {'updated' if tip else 'pushed'} ({made[:10]})"


def _same(repo: git.Repository, tip: str, made: str, one: Plan) -> bool:
    """Whether the commit that is there says the same as the one that was made now. Its tests may hold another witness:
    the search for the smallest one depends on how busy the machine is."""
    first, second = git.commit(repo, tip), git.commit(repo, made)
    if isinstance(first, Problem) or isinstance(second, Problem):
        return False
    if (first.parents, first.message) != (second.parents, second.message):
        return False
    paths = git.differing(repo, tip, made)
    if isinstance(paths, Problem):
        return False
    return not paths or (one.tests is not None and paths == {one.tests.path: "M"})


def _opened(
    one: Plan, forge: Forge, current: PullRequest | None, options: Options
) -> tuple[PullRequest, str] | Refusal:
    """The pull request as it should be, and what was done for it."""
    if current is None:
        return _created(one, forge, options)
    if current.state == CLOSED:
        again = forge.update(current.number, one.wanted(), reopen=True)
        if isinstance(again, Refusal) and again.status == 422:  # its branch has moved on since it was closed
            return _created(one, forge, options)
        return again if isinstance(again, Refusal) else (again, f"pull request #{again.number} opened again")
    return _updated(one, forge, current)


def _updated(one: Plan, forge: Forge, current: PullRequest) -> tuple[PullRequest, str] | Refusal:
    wanted = one.wanted()
    same = (current.title, current.base, _unified(current.body)) == (wanted.title, wanted.base, _unified(wanted.body))
    if same:
        return current, f"pull request #{current.number} is up to date"
    updated = forge.update(current.number, wanted)
    return updated if isinstance(updated, Refusal) else (updated, f"pull request #{updated.number} updated")


def _unified(body: str) -> str:
    """Forges change line ends and what surrounds the text."""
    return body.replace("\r\n", "\n").strip()


def _created(one: Plan, forge: Forge, options: Options) -> tuple[PullRequest, str] | Refusal:
    """Open it. Where it may have been opened in spite of the answer, it is looked for before it is tried again."""
    refusal = Refusal("it was not tried")
    for _ in range(2):
        made = forge.create(one.wanted(options.draft))
        if not isinstance(made, Refusal):
            return made, f"pull request #{made.number} opened"
        refusal = made
        if not made.sent and made.status not in (409, 422):
            return refusal
        found = forge.find(one.branch)
        if isinstance(found, PullRequest) and found.state == OPEN:
            return _updated(one, forge, found) if _marked(found, one) else Refusal(_foreign(found, one))
        if not made.sent or isinstance(found, Refusal):
            return refusal
    return refusal


def _half_way(one: Plan, refusal: Refusal, current: PullRequest | None) -> str:
    what = f"pull request #{current.number} was not brought up to date" if current else "no pull request was opened"
    return f"branch {one.branch} is on the remote, but {what}: {refusal.message}; run the same command again to go on"


def _dressed(outcome: Outcome, forge: Forge, pull_request: PullRequest, options: Options) -> Outcome:
    """Labels and reviewers: those that are missing."""
    done, problems = list(outcome.done), []
    labels = [name for name in options.labels if name not in pull_request.labels]
    if labels:
        refusal = forge.label(pull_request.number, labels)
        if refusal:
            problems.append(f"labels were not set: {refusal.message}")
        else:
            done.append(f"labelled {', '.join(labels)}")
    if options.reviewers:
        refusal = forge.request_review(pull_request.number, options.reviewers)
        if refusal:
            problems.append(f"reviewers were not asked: {refusal.message}")
    text = ""
    if problems:
        what = f"pull request #{pull_request.number} is open, but {'; '.join(problems)}"
        text = f"{what}; run the same command again to go on"
    return replace(outcome, done=tuple(done), problem=text)
