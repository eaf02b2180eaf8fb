"""`autofix smoke TARGET`: a few training steps of every module class, without being told how."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Collection
from typing import Annotated, NoReturn

import typer

from autofix import config
from autofix.deliver import smoke_report, terminal
from autofix.model import Problem
from autofix.smoke.interpreter import find_python
from autofix.smoke.modules.smoke import CLASS_SECONDS, smoke
from autofix.smoke.modules.spelling import place_of

_FAIL_ON = (*smoke_report.VERDICTS, "check", "nothing")


class SmokeFormat(str, enum.Enum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


class Device(str, enum.Enum):
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Dtype(str, enum.Enum):
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Ablation(str, enum.Enum):
    ROUTING = "routing"


def smoke_command(
    target: Annotated[
        str, typer.Argument(help="file.py, file.py::Class, package.module:Class, a folder or a package.")
    ],
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and inputs.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the steps run.")] = Device.CPU,
    dtype: Annotated[Dtype, typer.Option(help="Of the steps; bfloat16 and float16 mean autocast.")] = Dtype.FLOAT32,
    ablate: Annotated[Ablation | None, typer.Option(help="Also train with every expert or head on.")] = None,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Also try unusual inputs, half precision and more.")
    ] = True,
    timeout: Annotated[
        float, typer.Option("--timeout", "--seconds", min=0.1, help="The limit of one class, in seconds.")
    ] = CLASS_SECONDS,
    python: Annotated[
        str | None,
        typer.Option(
            help="The interpreter of your project, with torch installed.", show_default="the active virtual environment"
        ),
    ] = None,
    sandbox: Annotated[
        config.Sandbox | None,
        typer.Option(
            help="How code is isolated: by the best that works here (auto), not executed at all when nothing isolates "
            "it (require), by limits on memory, time and files only (off).",
            show_default="auto",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "--workers", "-j", min=1, help="Processes.", show_default="the configured number, or 2"),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What makes the exit status 1 (repeat, or separate by commas): {', '.join(_FAIL_ON)}.",
            show_default=",".join(smoke_report.FAILING),
        ),
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="The same as --fail-on nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every check and every layer.")] = False,
    output_format: Annotated[SmokeFormat, typer.Option(help="How classes are reported.")] = SmokeFormat.TEXT,
) -> None:
    """Build every nn.Module class of TARGET with made-up arguments and train it for a few steps.

    Exit status: 0 nothing non-finite, 1 a class is non-finite or fails (see --fail-on), 2 usage or internal error, or
    nothing could be imported.
    """
    failing = _failing(fail_on, exit_zero)
    if not math.isfinite(timeout):
        _fail("--timeout must be a number of seconds")
    settings = config.load(place_of(target))
    if isinstance(settings, Problem):
        _fail(f"{settings.path}: {settings.message}")
    isolation = sandbox.value if sandbox else settings.sandbox
    interpreter = find_python(python or settings.python, settings.root, sandbox=isolation)
    if isinstance(interpreter, Problem):
        _fail(f"{interpreter.path}: {interpreter.message}")
    err = terminal.console(stderr=True)
    problems: list[Problem] = []
    with terminal.ProgressBar(err) as bar:
        reports = smoke(
            target,
            interpreter,
            steps=steps,
            seed=seed,
            device=device.value,
            dtype=dtype.value,
            ablate=ablate.value if ablate else "",
            workers=jobs or settings.jobs or 2,
            seconds=timeout,
            on_done=lambda done, total: bar("classes", done, total),
            on_problem=problems.append,
            examples=settings.example,
            checks=checks,
        )
    terminal.show_problems(err, problems)
    if isinstance(reports, Problem):
        _fail(f"{reports.path}{f':{reports.line}' if reports.line else ''}: {reports.message}")
    if output_format is SmokeFormat.JSON:
        sys.stdout.write(smoke_report.as_json(reports))
    elif output_format is SmokeFormat.JUNIT:
        sys.stdout.write(smoke_report.as_junit(reports, failing))
    else:
        smoke_report.show(terminal.console(), reports, verbose)
    if ablate and not any(one.ablation for one in reports):
        err.print("autofix: --ablate routing: no class here that trains chooses experts or heads by an attribute")
    if smoke_report.nothing_imported(reports):
        _fail(f"{target}: nothing could be imported by {interpreter.path}; `--python` names another interpreter")
    unread = 1 if problems and failing else 0
    raise typer.Exit(smoke_report.exit_status(reports, failing) or unread)


def _failing(names: list[str] | None, exit_zero: bool) -> Collection[str]:
    """The kinds of report that make the exit status 1."""
    if exit_zero:
        return ()
    if not names:
        return smoke_report.FAILING
    given = [part.strip() for name in names for part in name.split(",") if part.strip()]
    for name in given:
        if name not in _FAIL_ON:
            _fail(f"--fail-on knows no {name!r}{config.suggestion(name, _FAIL_ON)}; it takes {', '.join(_FAIL_ON)}")
    return tuple(name for name in given if name != "nothing")


def _fail(message: str) -> NoReturn:
    terminal.console(stderr=True).print(f"autofix: {message}")
    raise typer.Exit(2)
