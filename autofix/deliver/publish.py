"""From a repository to pull requests: the base commit is found, its files are fixed in a folder of their own, and what
comes of it is planned and carried out. Returns values; prints nothing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from autofix import config, engine
from autofix.cache import Cache
from autofix.config import Config
from autofix.deliver import git
from autofix.deliver.forges import recognise
from autofix.deliver.forges.protocol import Forge, Refusal, Request
from autofix.deliver.proposals import Proposal, propose, relative
from autofix.deliver.pull_requests import Options, Outcome, Plan, carry_out, plan
from autofix.deliver.regression import regression_tests
from autofix.model import Evidence, Fix, Problem, Source
from autofix.projects import evidence_of, run_smoke_commands
from autofix.report import Report
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.zygote import Zygote

_TEST_SECONDS = 60.0  # for one file of tests

Configure = Callable[[Path], Config | Problem]  # the settings of the project at a folder, the command line over them


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. forge, interface: "" to tell them by the remote's address."""

    options: Options
    group: str = "rule"
    forge: str = ""
    interface: str = ""
    dry_run: bool = False
    with_tests: bool = True
    smoke: str | None = None
    cache: Cache | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    wait: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Base:
    """The commit that pull requests start from, on the branch that they are to be merged into."""

    branch: str
    commit: str
    state: git.RemoteState


@dataclass(frozen=True, slots=True)
class Result:
    """plans, and for each of them (unless it was a dry run) what became of it. requests: what a dry run would send for
    each plan. unpatched: proposals that hold no patch. problems: what could not be read or planned."""

    base: Base
    plans: tuple[Plan, ...]
    outcomes: tuple[Outcome, ...] = ()
    requests: tuple[tuple[str, Request], ...] = ()
    unpatched: tuple[Proposal, ...] = ()
    problems: tuple[Problem, ...] = ()


def publish(
    places: Sequence[Path], wish: Wish, configure: Configure, progress: engine.Progress | None = None
) -> Result | Problem:
    """Pull requests for what is found below `places`; a Problem when nothing could be begun."""
    begun = begin(places, wish)
    if isinstance(begun, Problem):
        return begun
    with tempfile.TemporaryDirectory(prefix="autofix-base-") as folder:
        # The real path: what is imported from there is reported by it.
        unpacked = Path(os.path.realpath(folder))
        found = _proposals(begun, unpacked, wish, configure, progress)
        if isinstance(found, Problem):
            return found
        proposals, problems, interpreter = found
        plans: list[Plan] = []
        for made in _planned([p for p in proposals if p.files], begun, unpacked, wish, interpreter):
            if isinstance(made, Problem):
                problems.append(made)
            else:
                plans.append(made)
    result = Result(
        begun.base, tuple(plans), unpatched=tuple(p for p in proposals if not p.files), problems=tuple(problems)
    )
    if wish.dry_run:
        return replace(result, requests=_requests(plans, begun))
    return replace(result, outcomes=_carried_out(plans, begun))


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the work happens. places: relative to the top of the repository."""

    repo: git.Repository
    remote: git.Remote
    base: Base
    places: tuple[str, ...]
    forge: Forge
    options: Options
    project: Path


def begin(places: Sequence[Path], wish: Wish) -> Begun | Problem:
    """The repository, its remote, the forge behind it and the base commit: everything that can fail before any work."""
    start = config.common_parent(places)
    while not start.exists():
        start = start.parent
    repo = git.repository(start)
    if isinstance(repo, Problem):
        return repo
    relative = _relative(places, repo)
    if isinstance(relative, Problem):
        return relative
    options = replace(wish.options, places=relative if relative != (".",) else ())
    url = git.remote_url(repo, options.remote)
    if isinstance(url, Problem):
        return url
    place = recognise.recognise(url, wish.environ, wish.forge, wish.interface)
    if isinstance(place, Refusal):
        return Problem(options.remote, place.message)
    forge = recognise.forge(place, wish.wait, wish.dry_run)
    if isinstance(forge, Refusal):
        return Problem(options.remote, forge.message)
    remote = git.Remote(options.remote, git.without_credentials(url), place.user, place.token if _private(url) else "")
    base = _local_base(repo, options) if wish.dry_run else _remote_base(repo, remote, options)
    if isinstance(base, Problem):
        return base
    options = replace(options, base=base.branch)
    return Begun(repo, remote, base, relative, forge, options, config.project_root(start))


def _relative(places: Sequence[Path], repo: git.Repository) -> tuple[str, ...] | Problem:
    """The places from the top of the repository. A link is followed to the folder that holds it, not through it."""
    top = Path(os.path.realpath(repo.top))
    out = []
    for place in places:
        absolute = Path(os.path.abspath(place))
        real = Path(os.path.realpath(absolute.parent)) / absolute.name if absolute.name else absolute
        real = top if os.path.realpath(absolute) == str(top) else real
        if not real.is_relative_to(top):
            return Problem(str(place), f"it lies outside the repository {top}")
        out.append(real.relative_to(top).as_posix())
    return tuple(out)


def _private(url: str) -> bool:
    """Whether what git sends there cannot be read on its way."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.hostname or "") in ("127.0.0.1", "localhost", "::1")


def _remote_base(repo: git.Repository, remote: git.Remote, options: Options) -> Base | Problem:
    if options.base and (wrong := git.branch_name_problem(options.base)):
        return Problem("--base", wrong)
    state = git.look(repo, remote)
    if isinstance(state, Problem):
        return state
    branch = options.base or state.default or git.head_branch(repo)
    if branch not in state.branches:
        what = f"there is no branch {branch!r}" if branch else "it does not say which branch is its default"
        return Problem(remote.url, f"{what}; `--base` takes a branch of {remote.name}")
    problem = git.fetch(repo, remote, f"refs/heads/{branch}", state.branches[branch])
    return problem or Base(branch, state.branches[branch], state)


def _local_base(repo: git.Repository, options: Options) -> Base | Problem:
    """Without asking the remote: its branch as it was fetched last, else HEAD."""
    if options.base and (wrong := git.branch_name_problem(options.base)):
        return Problem("--base", wrong)
    branch = options.base or git.default_branch(repo, options.remote) or git.head_branch(repo) or "HEAD"
    commit = git.commit_of(repo, f"refs/remotes/{options.remote}/{branch}") or git.commit_of(repo, "HEAD")
    if not commit:
        return Problem(str(repo.top), "there is no commit yet; commit your work first")
    return Base(branch, commit, git.RemoteState(branch, {}))


# -- fixing the base -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """How the files of a commit are looked at. verify: None leaves fixes unexecuted."""

    settings: Config
    request: engine.Request
    interpreter: Interpreter | Problem
    verify: engine.Verify | None


def _prepared(
    begun: Begun, folder: Path, wish: Wish, configure: Configure, progress: engine.Progress | None
) -> Prepared | Problem:
    common = folder / os.path.commonpath(begun.places)
    settings = configure(common if common.exists() else folder)
    if isinstance(settings, Problem):
        return replace(settings, path=settings.path.replace(f"{folder}/", ""))
    request = engine.Request(
        rules=engine.select_rules(settings.select, settings.ignore, settings.extend_select),
        options=settings.options,
        unsafe=settings.unsafe_fixes,
        allow_unverified=settings.allow_unverified,
        jobs=settings.jobs,
        cache=wish.cache,
    )
    interpreter = find_python(settings.python, begun.project, sandbox=settings.sandbox)
    run = _verifier(interpreter, settings, wish.cache, progress) if settings.verify else None
    return Prepared(settings, request, interpreter, run)


def fixed(
    begun: Begun,
    folder: Path,
    places: Sequence[str],
    wish: Wish,
    configure: Configure,
    progress: engine.Progress | None = None,
) -> Report | Problem:
    """What is found at some places of an unpacked commit, with the patches of all rules together."""
    prepared = _prepared(begun, folder, wish, configure, progress)
    if isinstance(prepared, Problem):
        return prepared
    paths = [folder / p for p in places if (folder / p).exists()]
    if not paths:
        return Report((), (), 0, 0.0)
    return relative(engine.fix(paths, prepared.request, prepared.verify, prepared.settings.exclude, progress), folder)


def _proposals(
    begun: Begun, folder: Path, wish: Wish, configure: Configure, progress: engine.Progress | None
) -> tuple[list[Proposal], list[Problem], Interpreter | Problem] | Problem:
    known = git.entries(begun.repo, begun.base.commit)
    if isinstance(known, Problem):
        return known
    problem = git.export(begun.repo, known, folder)
    if problem:
        return problem
    prepared = _prepared(begun, folder, wish, configure, progress)
    if isinstance(prepared, Problem):
        return prepared
    settings, interpreter = prepared.settings, prepared.interpreter
    proposals, problems = propose(
        folder,
        begun.places,
        prepared.request,
        prepared.verify,
        group=wish.group,
        exclude=settings.exclude,
        progress=progress,
        complete=lambda report: _completed(report, settings, wish, interpreter),
    )
    missing = [interpreter] if isinstance(interpreter, Problem) and proposals else []
    return proposals, [*problems, *missing], interpreter


def _verifier(
    interpreter: Interpreter | Problem, settings: Config, cache: Cache | None, progress: engine.Progress | None
) -> engine.Verify:
    def run(items: Sequence[tuple[Source, Fix]]) -> Sequence[Evidence]:
        return evidence_of(items, interpreter, settings, settings.level == "module", cache, progress)

    return run


def _completed(report: Report, settings: Config, wish: Wish, interpreter: Interpreter | Problem) -> Report:
    if not settings.verify or not report.patches or isinstance(interpreter, Problem):
        return report
    return run_smoke_commands(report, settings, wish.smoke, interpreter.path)


def _planned(
    proposals: Sequence[Proposal], begun: Begun, folder: Path, wish: Wish, interpreter: Interpreter | Problem
) -> Iterator[Plan | Problem]:
    """Each proposal with its tests, which one warm process runs."""
    if isinstance(interpreter, Problem) or not wish.with_tests or not proposals:
        yield from (plan(p, None, begun.base.commit, begun.options) for p in proposals)
        return
    with Zygote(interpreter, workers=2, seconds=_TEST_SECONDS) as zygote:
        for proposal in proposals:
            tests = regression_tests(proposal, folder, zygote, begun.options.templates)
            yield plan(proposal, tests, begun.base.commit, begun.options)


# -- sending ---------------------------------------------------------------------------------------------------


def _requests(plans: Sequence[Plan], begun: Begun) -> tuple[tuple[str, Request], ...]:
    return tuple((p.branch, begun.forge.creation(p.wanted(begun.options.draft))) for p in plans)


def _carried_out(plans: Sequence[Plan], begun: Begun) -> tuple[Outcome, ...]:
    return tuple(carry_out(p, begun.repo, begun.remote, begun.base.state, begun.forge, begun.options) for p in plans)
