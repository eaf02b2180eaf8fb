"""`autofix pr`: fixes of the base commit as pull requests, with their evidence."""

from __future__ import annotations

import enum
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from autofix import config, diff
from autofix.cache import Cache
from autofix.config import Config
from autofix.deliver import git, terminal, words
from autofix.deliver import suggest as suggestions
from autofix.deliver.forges.protocol import Request
from autofix.deliver.markdown import visible
from autofix.deliver.publish import Result, Wish, publish
from autofix.deliver.pull_requests import Options, Outcome, Plan
from autofix.model import Problem

_LOCAL = ("--python", "--templates", "--jobs", "-j")


class Group(str, enum.Enum):
    RULE = "rule"
    FILE = "file"
    PACKAGE = "package"
    ALL = "all"


class ForgeKind(str, enum.Enum):
    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"


def pr_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files and directories of the repository.", show_default="the whole repository"),
    ] = None,
    group: Annotated[Group, typer.Option(help="What one pull request holds.")] = Group.RULE,
    base: Annotated[
        str, typer.Option(help="The branch to be merged into.", show_default="the remote's default branch")
    ] = "",
    remote: Annotated[str, typer.Option(help="Where the branch is pushed to.")] = "origin",
    draft: Annotated[bool, typer.Option("--draft", help="Open drafts.")] = False,
    label: Annotated[list[str] | None, typer.Option(help="A label for the pull requests (repeat for more).")] = None,
    reviewer: Annotated[
        list[str] | None, typer.Option(help="Who is asked for a review: a name, or org/team (repeat for more).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print branches, commits, texts and requests; send nothing.")
    ] = False,
    suggest: Annotated[
        int | None,
        typer.Option(min=1, help="Comment on this pull request instead, with suggestions for the lines it touches."),
    ] = None,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Open pull requests again that a person has closed.")
    ] = False,
    with_tests: Annotated[
        bool, typer.Option("--with-tests/--no-tests", help="Add a regression test for each proved fix.")
    ] = True,
    sign_off: Annotated[bool, typer.Option("--signoff", "-s", help="Add a Signed-off-by line to commits.")] = False,
    author: Annotated[
        str, typer.Option(help='The author of commits, "Name <mail>".', show_default="as git is configured")
    ] = "",
    templates: Annotated[
        Path | None, typer.Option(help="A folder of templates that are used instead of those of autofix.")
    ] = None,
    forge: Annotated[
        ForgeKind | None,
        typer.Option(help="What kind of forge the remote is on.", show_default="told by its address"),
    ] = None,
    api_url: Annotated[
        str, typer.Option(help="The root of the forge's HTTP interface.", show_default="told by the remote's address")
    ] = "",
    select: Annotated[list[str] | None, typer.Option(help="Only these rules (repeat, or separate by commas).")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Skip files that match this gitignore pattern.")] = None,
    unsafe_fixes: Annotated[
        bool | None, typer.Option("--unsafe-fixes", help="Also propose fixes that go beyond a checked relation.")
    ] = None,
    allow_unverified: Annotated[
        bool | None, typer.Option("--allow-unverified", help="Also propose fixes that could not be executed.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            help="The interpreter of your project, with torch installed.", show_default="the active virtual environment"
        ),
    ] = None,
    sandbox: Annotated[
        config.Sandbox | None,
        typer.Option(help="How code is isolated while it is executed.", show_default="auto"),
    ] = None,
    smoke: Annotated[
        str | None, typer.Option(help="A command of your project to run before and after the patches.")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")] = False,
) -> None:
    """Open pull requests with the fixes, or bring those of an earlier run up to date.

    The files of the base branch are fixed, as its remote has them. Your working tree, index and branches stay as they
    are. Tokens are read from GITHUB_TOKEN, GH_TOKEN, GITLAB_TOKEN or GITEA_TOKEN.

    Exit status: 0 all is delivered, 1 something is not, 2 usage or internal error.
    """
    options = Options(
        base=base,
        remote=remote,
        command=_told(sys.argv[1:]),
        draft=draft,
        labels=_split(label),
        reviewers=_split(reviewer),
        identity=_identity(author, sign_off),
        reopen=reopen,
        templates=templates,
    )
    wish = Wish(
        options,
        group=group.value,
        forge=forge.value if forge else "",
        interface=api_url,
        dry_run=dry_run,
        with_tests=with_tests,
        smoke=smoke,
        cache=None if no_cache else Cache.default(),
    )

    def configure(folder: Path) -> Config | Problem:
        loaded = config.load(folder)
        if isinstance(loaded, Problem):
            return loaded
        return config.merge(
            loaded,
            select=_split(select) or None,
            ignore=_split(ignore) or None,
            exclude=tuple(exclude) if exclude else None,
            unsafe_fixes=unsafe_fixes,
            allow_unverified=allow_unverified,
            python=python,
            smoke=smoke,
            jobs=jobs,
            sandbox=sandbox.value if sandbox else None,
        )

    err = terminal.console(stderr=True)
    if suggest is not None:
        with terminal.ProgressBar(err) as bar:
            suggested = suggestions.suggest(suggest, paths or [_top()], wish, configure, bar)
        if isinstance(suggested, Problem):
            _fail(f"{suggested.path}: {suggested.message}")
        _show_suggested(suggested, terminal.console(), err)
        raise typer.Exit(0)
    with terminal.ProgressBar(err) as bar:
        result = publish(paths or [_top()], wish, configure, bar)
    if isinstance(result, Problem):
        _fail(f"{result.path}: {result.message}")
    _show(result, terminal.console(), err)
    failed = any(o.problem for o in result.outcomes) or bool(result.problems)
    raise typer.Exit(1 if failed else 0)


def _top() -> Path:
    """The whole repository, wherever in it the command is started."""
    repo = git.repository(Path.cwd())
    return Path.cwd() if isinstance(repo, Problem) else repo.top


def _told(arguments: list[str]) -> str:
    """The command for others to read, without the places on this machine that only this machine has."""
    kept: list[str] = []
    skipped = False
    for word in arguments:
        if not skipped and not word.startswith(tuple(f"{name}=" for name in _LOCAL)) and word not in _LOCAL:
            kept.append(word)
        skipped = word in _LOCAL
    return shlex.join(["autofix", *kept])


def _split(names: list[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for name in names or () for part in name.split(",") if part.strip())


def _identity(author: str, sign_off: bool) -> git.Identity:
    if not author:
        return git.Identity(sign_off=sign_off)
    match = re.fullmatch(r"\s*([^<>\n]+?)\s*<([^<>\s]+)>\s*", author)
    if match is None:
        _fail('--author must be like "Name <mail>"')
    return git.Identity(match.group(1), match.group(2), sign_off)


# -- showing ---------------------------------------------------------------------------------------------------


def _show(result: Result, out: Console, err: Console) -> None:
    if result.requests:
        for one, (_, request) in zip(result.plans, result.requests, strict=True):
            _show_plan(one, out)
            out.print(f"request: {request.method} {request.path}\n{_without_text(request)}\n")
    for outcome in result.outcomes:
        _show_outcome(outcome, out, err)
    terminal.show_problems(err, result.problems)
    for proposal in result.unpatched:
        count = sum(1 for _ in proposal.report.items)
        err.print(f"autofix: {visible(proposal.name)}: {count} found, none to be fixed; `autofix check` shows them")
    if not result.plans and not result.problems:
        err.print(f"autofix: nothing to propose against {result.base.branch} at {result.base.commit[:10]}")


def _without_text(request: Request) -> str:
    """A request's fields; the text itself stands above."""
    texts = ("body", "description")
    return json.dumps({k: "(as above)" if k in texts else v for k, v in (request.body or {}).items()}, indent=2)


def _show_plan(one: Plan, out: Console) -> None:
    out.print(f"branch {one.branch}, to be merged into {one.base} (on {one.base_commit[:10]})")
    out.print(f"\ncommit:\n{_indented(one.message)}")
    hunks = "".join(str(diff.diff(patch, patch.source.path)) for patch in one.proposal.report.patches)
    out.print(visible(hunks))
    for path in sorted(set(one.files) - set(one.proposal.files)):
        out.print(f"new file {visible(path)}:\n{_indented(one.files[path].decode('utf-8', 'replace'))}")
    out.print(f"title: {one.title}\n\nbody:\n{_indented(one.body)}")


def _show_suggested(suggested: suggestions.Suggested, out: Console, err: Console) -> None:
    for one in suggested.suggestions:
        out.print(f"{visible(one.path)}:{one.first}-{one.last}:\n{_indented(one.body)}")
    count = words.plural(len(suggested.suggestions), "suggestion")
    what = "written to" if suggested.sent else "for"
    known = f", {suggested.known} there already" if suggested.known else ""
    outside = f", {suggested.outside} more found where it changes nothing" if suggested.outside else ""
    err.print(f"autofix: {count} {what} pull request #{suggested.number} ({visible(suggested.url)}){known}{outside}")


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in visible(text).split("\n"))


def _show_outcome(outcome: Outcome, out: Console, err: Console) -> None:
    name = visible(outcome.plan.proposal.name)
    for step in outcome.done:
        out.print(f"{name}: {visible(step)}")
    if outcome.url:
        out.print(f"{name}: {visible(outcome.url)}")
    if outcome.problem:
        err.print(f"autofix: {name}: {visible(outcome.problem)}")


def _fail(message: str) -> NoReturn:
    terminal.console(stderr=True).print(f"autofix: {message}")
    raise typer.Exit(2)
