"""`autofix report`: what a project's models are made of, what threatens their training, and what to do first."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from autofix import config, discover, engine, files
from autofix.audit import Audit, audit
from autofix.cache import Cache
from autofix.deliver import audit_page, terminal
from autofix.model import Evidence, Fix, Problem, Source
from autofix.projects import evidence_of, examples_of, run_smoke_commands
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.modules.evidence import ModuleLevel
from autofix.smoke.modules.smoke import ClassReport, smoke
from autofix.smoke.traces import Trace, traces
from autofix.smoke.zygote import Zygote

_MOST_SMOKED = 40  # files, in the order of their paths


class ReportFormat(str, enum.Enum):
    HTML = "html"
    MD = "md"
    JSON = "json"


_RENDERINGS: dict[ReportFormat, Callable[..., str]] = {
    ReportFormat.HTML: audit_page.as_html,
    ReportFormat.MD: audit_page.as_markdown,
    ReportFormat.JSON: audit_page.as_json,
}


def report_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and directories.", show_default="the current directory")
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="A page for a browser, Markdown, or everything as JSON.")
    ] = ReportFormat.HTML,
    output_file: Annotated[
        Path | None,
        typer.Option("--output-file", "-o", dir_okay=False, help="Write there what would be printed."),
    ] = None,
    select: Annotated[list[str] | None, typer.Option(help="Only these rules (repeat, or separate by commas).")] = None,
    extend_select: Annotated[
        list[str] | None, typer.Option(help="These rules too: some run only when they are named.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Skip files that match this gitignore pattern.")] = None,
    unsafe_fixes: Annotated[
        bool | None, typer.Option("--unsafe-fixes", help="Also try fixes that go beyond a checked relation.")
    ] = None,
    run_models: Annotated[
        bool, typer.Option("--smoke/--no-smoke", help="Also train every class for a few steps on made-up input.")
    ] = True,
    no_verify: Annotated[bool | None, typer.Option("--no-verify", help="Execute nothing.")] = None,
    python: Annotated[
        str | None,
        typer.Option(
            help="The interpreter of your project, with torch installed.", show_default="the active virtual environment"
        ),
    ] = None,
    sandbox: Annotated[
        config.Sandbox | None, typer.Option(help="How code is isolated while it is executed.", show_default="auto")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")] = False,
) -> None:
    """Report on models and what threatens their training; nothing is written to your code.

    Exit status: 0 the report is written, 2 usage or internal error.
    """
    places = paths or [Path()]
    missing = [p for p in places if not p.exists()]
    if missing:
        _fail(f"{missing[0]}: no such file or directory")
    loaded = config.load(config.common_parent(places))
    if isinstance(loaded, Problem):
        _fail(f"{loaded.path}: {loaded.message}")
    settings = config.merge(
        loaded,
        select=_split(select),
        extend_select=_split(extend_select),
        ignore=_split(ignore),
        exclude=tuple(exclude) if exclude else None,
        unsafe_fixes=unsafe_fixes,
        verify=False if no_verify else None,
        python=python,
        jobs=jobs,
        sandbox=sandbox.value if sandbox else None,
    )
    if isinstance(settings, Problem):
        _fail(settings.message)
    target = " ".join(str(p) for p in places) if places != [Path()] else Path().resolve().name
    text = _RENDERINGS[report_format](_audited(places, settings, run_models, no_cache), target)
    data = text.encode("utf-8", "backslashreplace")
    if output_file is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        output_file.write_bytes(data)
    except OSError as error:
        _fail(f"{output_file}: not written: {(error.strerror or str(error)).lower()}")


def _split(names: list[str] | None) -> tuple[str, ...] | None:
    found = tuple(part.strip() for name in names or () for part in name.split(",") if part.strip())
    return found or None


def _audited(places: Sequence[Path], settings: config.Config, run_models: bool, no_cache: bool) -> Audit:
    """Findings with their evidence, then what is drawn of them and of the classes around."""
    cache = None if no_cache else Cache.default()
    request = engine.Request(
        rules=engine.select_rules(settings.select, settings.ignore, settings.extend_select),
        options=settings.options,
        unsafe=settings.unsafe_fixes,
        jobs=settings.jobs,
        cache=cache,
    )
    err = terminal.console(stderr=True)
    interpreter = find_python(settings.python, settings.root, sandbox=settings.sandbox) if settings.verify else None
    if isinstance(interpreter, Problem):
        terminal.show_problems(err, [interpreter])
    with terminal.ProgressBar(err) as bar:

        def evidence(items: Sequence[tuple[Source, Fix]]) -> Sequence[Evidence]:
            assert interpreter is not None
            return evidence_of(items, interpreter, settings, True, cache, bar)

        def drawn(items: Sequence[tuple[Source, Fix, Evidence]]) -> Sequence[Trace]:
            assert isinstance(interpreter, Interpreter)
            level = ModuleLevel(settings.module_seconds, examples_of([(s, f) for s, f, _ in items], settings))
            return traces(items, interpreter, workers=settings.jobs or 2, level=level, cache=cache)

        def trained(paths: Sequence[Path]) -> Sequence[ClassReport]:
            assert isinstance(interpreter, Interpreter)
            return _trained(paths, interpreter, settings, bar)

        report = engine.fix(places, request, evidence if settings.verify else None, settings.exclude, bar)
        if settings.verify and report.patches:
            report = run_smoke_commands(report, settings, None, settings.python)
        runs = isinstance(interpreter, Interpreter)
        found = audit(
            report,
            _sources(places, settings.exclude),
            " ".join(str(p) for p in places),
            drawn if runs else None,
            trained if runs and run_models else None,
        )
    terminal.show_problems(err, report.problems)
    return found


def _sources(places: Sequence[Path], exclude: Sequence[str]) -> list[Source]:
    """The files with torch in them; what cannot be read is named by the run itself."""
    read = (files.read(p) for p in discover.discover(places, exclude) if isinstance(p, Path))
    return [s for s in read if isinstance(s, Source) and b"torch" in s.data]


def _trained(
    paths: Sequence[Path], interpreter: Interpreter, settings: config.Config, bar: terminal.ProgressBar
) -> list[ClassReport]:
    found: list[ClassReport] = []
    with Zygote(interpreter, workers=settings.jobs or 2, seconds=120.0) as zygote:
        for number, path in enumerate(paths[:_MOST_SMOKED]):
            bar("training classes", number, min(len(paths), _MOST_SMOKED))
            reports = smoke(str(path), interpreter, ablate="routing", examples=settings.example, zygote=zygote)
            if not isinstance(reports, Problem):
                found += reports
    return found


def _fail(message: str) -> NoReturn:
    terminal.console(stderr=True).print(f"autofix: {message}")
    raise typer.Exit(2)
