"""The command line: arguments -> engine -> rendering -> exit status. Nothing else happens here.

Exit status: 0 nothing left to do, 1 findings remain or patches are pending, 2 usage or internal error.
"""

from __future__ import annotations

import enum
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from autofix import __version__, config, engine, undo
from autofix.cache import Cache
from autofix.cli_interactive import ask_about
from autofix.cli_output import (
    Format,
    Output,
    OutputFile,
    OutputFormat,
    deliver_findings,
    deliver_in_place,
    deliver_preview,
    deliver_stdin,
)
from autofix.deliver import explain as pages
from autofix.deliver import terminal
from autofix.model import Evidence, Fix, Problem, Source
from autofix.projects import evidence_of, run_smoke_commands
from autofix.registry import all_rules, rule_named
from autofix.report import Report, remaining

app = typer.Typer(
    help="Find the bugs that make PyTorch training diverge, rewrite the source, and prove every patch by running it.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS = ("fix", "check", "pr", "report", "smoke", "routing", "undo", "rules", "explain")
_GROUP_OPTIONS = ("--help", "-h", "--version", "--install-completion", "--show-completion")


class ListFormat(str, enum.Enum):
    TEXT = "text"
    JSON = "json"


class Level(str, enum.Enum):
    EXPRESSION = "expression"
    MODULE = "module"


class Routing(str, enum.Enum):
    STRAIGHT_THROUGH = "straight-through"
    SOFT = "soft"
    GUMBEL = "gumbel"


def _rule_names(incomplete: str) -> list[str]:
    return [r.name for r in all_rules() if r.name.startswith(incomplete)]


Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Files and directories; '-' reads standard input.", show_default="the current directory"),
]
Select = Annotated[
    list[str] | None, typer.Option(help="Only these rules (repeat, or separate by commas).", autocompletion=_rule_names)
]
ExtendSelect = Annotated[
    list[str] | None,
    typer.Option(help="These rules too: some run only when they are named.", autocompletion=_rule_names),
]
Ignore = Annotated[list[str] | None, typer.Option(help="Not these rules.", autocompletion=_rule_names)]
Exclude = Annotated[list[str] | None, typer.Option(help="Skip files that match this gitignore pattern.")]
Unsafe = Annotated[
    bool | None, typer.Option("--unsafe-fixes", help="Also apply fixes that go beyond a checked relation.")
]
RoutingOption = Annotated[Routing | None, typer.Option(help="How a hard routing mask is made differentiable.")]
LevelOption = Annotated[
    Level | None,
    typer.Option(
        help="How far executing a fix goes: its own statements, which imports nothing of your project, or also the "
        "nn.Module class around them.",
        show_default="module",
    ),
]
SandboxOption = Annotated[
    config.Sandbox | None,
    typer.Option(
        help="How code is isolated while it is executed: by the best that works here (auto), not executed at all when "
        "nothing isolates it (require), by limits on memory, time and files only (off).",
        show_default="auto",
    ),
]
NoVerify = Annotated[bool | None, typer.Option("--no-verify", help="Do not execute the fixes.")]
AllowUnverified = Annotated[
    bool | None, typer.Option("--allow-unverified", help="Also apply fixes that could not be executed.")
]
Python = Annotated[
    str | None,
    typer.Option(
        help="The interpreter of your project, with torch installed.", show_default="the active virtual environment"
    ),
]
Smoke = Annotated[str | None, typer.Option(help="A command of your project to run before and after the patches.")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes.", show_default="one per core")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")]
StdinFilename = Annotated[str | None, typer.Option(help="The name under which standard input is reported.")]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 even when findings remain.")]


@app.callback(invoke_without_command=True)
def _group(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"autofix {__version__}")
        raise typer.Exit


@app.command("fix")
def fix_command(
    paths: Paths = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Write nothing; print a unified diff.")] = False,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Also write files with uncommitted changes.")
    ] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Show each fix with its evidence, and ask.")
    ] = False,
    select: Select = None,
    extend_select: ExtendSelect = None,
    ignore: Ignore = None,
    exclude: Exclude = None,
    unsafe_fixes: Unsafe = None,
    routing: RoutingOption = None,
    level: LevelOption = None,
    no_verify: NoVerify = None,
    allow_unverified: AllowUnverified = None,
    python: Python = None,
    sandbox: SandboxOption = None,
    smoke: Smoke = None,
    jobs: Jobs = None,
    no_cache: NoCache = False,
    output_format: Format = OutputFormat.TEXT,
    output_file: OutputFile = None,
    stdin_filename: StdinFilename = None,
    exit_zero: ExitZero = False,
) -> None:
    """Patch in place what is safe and not refuted (the default command: its name may be left out)."""
    places = _places(paths)
    if interactive and _from_stdin(places):
        _fail("--interactive reads answers from standard input: give files")
    settings = _settings(
        places,
        select,
        extend_select,
        ignore,
        exclude,
        unsafe_fixes,
        routing,
        no_verify,
        allow_unverified,
        python,
        smoke,
        jobs,
        level,
        sandbox,
    )
    err = terminal.console(stderr=True)
    with terminal.ProgressBar(err) as bar:
        report = _fixed(places, settings, smoke, no_cache, stdin_filename, bar, err)
    if interactive:
        as_module = settings.level == Level.MODULE.value
        cache = None if no_cache else Cache.default()
        report = ask_about(report, _verifier(settings, as_module, cache, bar, err) if settings.verify else None)
    output = Output(output_format, output_file)
    if _from_stdin(places):
        deliver_stdin(report, dry_run, output)
    elif dry_run:
        deliver_preview(report, output)
    else:
        report = deliver_in_place(report, settings, allow_dirty, output, asked=interactive)
    terminal.show_problems(err, report.problems)
    terminal.show_summary(err, report)
    _exit(remaining(report, patched_counts=dry_run), report, places, exit_zero, output)


@app.command("check")
def check_command(
    paths: Paths = None,
    select: Select = None,
    extend_select: ExtendSelect = None,
    ignore: Ignore = None,
    exclude: Exclude = None,
    unsafe_fixes: Unsafe = None,
    routing: RoutingOption = None,
    no_verify: NoVerify = None,
    jobs: Jobs = None,
    no_cache: NoCache = False,
    output_format: Format = OutputFormat.TEXT,
    output_file: OutputFile = None,
    stdin_filename: StdinFilename = None,
    exit_zero: ExitZero = False,
) -> None:
    """List findings only; nothing is executed and nothing is written."""
    places = _places(paths)
    settings = _settings(places, select, extend_select, ignore, exclude, unsafe_fixes, routing, no_verify, jobs=jobs)
    err = terminal.console(stderr=True)
    request = _request(settings, no_cache)
    if _from_stdin(places):
        report = engine.check_source(_stdin(stdin_filename), request)
    else:
        with terminal.ProgressBar(err) as bar:
            report = engine.check(places, request, settings.exclude, bar)
    output = Output(output_format, output_file)
    deliver_findings(report, output)
    terminal.show_problems(err, report.problems)
    terminal.show_summary(err, report)
    _exit(remaining(report, patched_counts=True), report, places, exit_zero, output)


@app.command("undo")
def undo_command(
    path: Annotated[
        Path, typer.Argument(help="The project (or any directory in it) whose last run is undone.")
    ] = Path(),
) -> None:
    """Restore the files that the last run wrote here."""
    out, err = terminal.console(), terminal.console(stderr=True)
    report = undo.undo(path)
    for restored in report.restored:
        out.print(f"restored {restored}")
    terminal.show_problems(err, report.problems)
    if not report.restored and not report.problems:
        err.print("autofix: nothing to undo here")
    raise typer.Exit(1 if report.problems else 0)


@app.command("rules")
def rules_command(
    output_format: Annotated[ListFormat, typer.Option(help="How rules are printed.")] = ListFormat.TEXT,
) -> None:
    """List the rules."""
    if output_format is ListFormat.JSON:
        sys.stdout.write(pages.rules_json())
        return
    pages.show_rules(terminal.console())


@app.command("explain")
def explain_command(rule: Annotated[str, typer.Argument(autocompletion=_rule_names)]) -> None:
    """Show a rule's page: the defect, why it hurts, before and after, when it is safe, what is left alone."""
    found = rule_named(rule)
    if found is None:
        _fail(
            f"no rule is called {rule!r}{config.suggestion(rule, [r.name for r in all_rules()])}; see `autofix rules`"
        )
    pages.show_page(terminal.console(), found)


# -- from arguments to values ----------------------------------------------------------------------------------


def _places(paths: list[Path] | None) -> list[Path]:
    return paths or [Path()]


def _from_stdin(places: Sequence[Path]) -> bool:
    return [str(p) for p in places] == ["-"]


def _split(names: list[str] | None) -> tuple[str, ...] | None:
    if not names:
        return None
    return tuple(part.strip() for name in names for part in name.split(",") if part.strip())


def _settings(
    places: Sequence[Path],
    select: list[str] | None = None,
    extend_select: list[str] | None = None,
    ignore: list[str] | None = None,
    exclude: list[str] | None = None,
    unsafe_fixes: bool | None = None,
    routing: Routing | None = None,
    no_verify: bool | None = None,
    allow_unverified: bool | None = None,
    python: str | None = None,
    smoke: str | None = None,
    jobs: int | None = None,
    level: Level | None = None,
    sandbox: config.Sandbox | None = None,
) -> config.Config:
    loaded = config.load(Path() if _from_stdin(places) else config.common_parent(places))
    if isinstance(loaded, Problem):
        _fail(f"{loaded.path}: {loaded.message}")
    merged = config.merge(
        loaded,
        select=_split(select),
        extend_select=_split(extend_select),
        ignore=_split(ignore),
        exclude=tuple(exclude) if exclude else None,
        unsafe_fixes=unsafe_fixes,
        routing=routing.value if routing else None,
        verify=False if no_verify else None,
        allow_unverified=allow_unverified,
        python=python,
        smoke=smoke,
        jobs=jobs,
        level=level.value if level else None,
        sandbox=sandbox.value if sandbox else None,
    )
    if isinstance(merged, Problem):
        _fail(merged.message)
    return merged


def _request(settings: config.Config, no_cache: bool) -> engine.Request:
    return engine.Request(
        rules=engine.select_rules(settings.select, settings.ignore, settings.extend_select),
        options=settings.options,
        unsafe=settings.unsafe_fixes,
        allow_unverified=settings.allow_unverified,
        jobs=settings.jobs,
        cache=None if no_cache else Cache.default(),
    )


def _stdin(name: str | None) -> Source:
    return Source(name or "<stdin>", sys.stdin.buffer.read())


# -- running ---------------------------------------------------------------------------------------------------


def _fixed(
    places: Sequence[Path],
    settings: config.Config,
    smoke: str | None,
    no_cache: bool,
    stdin_filename: str | None,
    bar: terminal.ProgressBar,
    err: Console,
) -> Report:
    """Findings, evidence and patches, the project's own smoke command included."""
    request = _request(settings, no_cache)
    as_module = settings.level == Level.MODULE.value and not _from_stdin(places)
    verify = _verifier(settings, as_module, request.cache, bar, err) if settings.verify else None
    if _from_stdin(places):
        return engine.fix_source(_stdin(stdin_filename), request, verify)
    report = engine.fix(places, request, verify, settings.exclude, bar)
    if not settings.verify or not report.patches:
        return report
    return run_smoke_commands(report, settings, smoke, settings.python)


def _verifier(
    settings: config.Config, as_module: bool, cache: Cache | None, bar: terminal.ProgressBar, err: Console
) -> engine.Verify:
    """Executes fixes under the project's interpreter; without torch there, says so once and leaves them unverified."""
    from autofix.smoke.interpreter import Interpreter, find_python

    found: list[Interpreter | Problem] = []

    def run(items: Sequence[tuple[Source, Fix]]) -> Sequence[Evidence]:
        if not found:
            found.append(find_python(settings.python, settings.root, sandbox=settings.sandbox))
            if isinstance(found[0], Problem):
                terminal.show_problems(err, [found[0]])
        return evidence_of(items, found[0], settings, as_module, cache, bar)

    return run


# -- exit status -----------------------------------------------------------------------------------------------


def _exit(left: int, report: Report, places: Sequence[Path], exit_zero: bool, output: Output) -> NoReturn:
    """2 for a path that does not exist, an output file that cannot be written and our own errors; 1 for what is left,
    unreadable files included."""
    if output.problem:
        _fail(f"{output.problem.path}: {output.problem.message}")
    internal = any("internal error" in p.message for p in report.problems)
    missing = not _from_stdin(places) and any(not p.exists() and not p.is_symlink() for p in places)
    if internal or missing:
        raise typer.Exit(2)
    raise typer.Exit(1 if (left or report.problems) and not exit_zero else 0)


def _fail(message: str) -> NoReturn:
    terminal.console(stderr=True).print(f"autofix: {message}")
    raise typer.Exit(2)


def _add_the_others() -> None:
    """The commands of their own files. They import what checking and fixing do without: a third of the start."""
    for name in ("pr", "smoke", "routing", "report"):
        module = importlib.import_module(f"autofix.cli_{name}")
        app.command(name)(getattr(module, f"{name}_command"))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. `autofix PATH` means `autofix fix PATH`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    first = arguments[0] if arguments else ""
    if first not in _COMMANDS and first not in _GROUP_OPTIONS:
        arguments.insert(0, "fix")
    if arguments[0] not in ("fix", "check") or "_AUTOFIX_COMPLETE" in os.environ:
        _add_the_others()
    app(args=arguments, prog_name="autofix")
