"""`autofix smoke TARGET`: a few training steps of every module class, without being told how."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from autofix import config
from autofix.deliver import smoke_report, terminal
from autofix.model import Problem
from autofix.smoke.interpreter import find_python
from autofix.smoke.modules.smoke import CLASS_SECONDS, smoke


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
    target: Annotated[str, typer.Argument(help="file.py, file.py::Class, package.module:Class, or a package.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of weights and inputs.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the steps run.")] = Device.CPU,
    dtype: Annotated[Dtype, typer.Option(help="Of weights and inputs.")] = Dtype.FLOAT32,
    ablate: Annotated[Ablation | None, typer.Option(help="Also train with every expert or head on.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="The limit of one class.")] = CLASS_SECONDS,
    python: Annotated[str | None, typer.Option(help="The interpreter of your project.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 2,
    output_format: Annotated[SmokeFormat, typer.Option(help="How classes are reported.")] = SmokeFormat.TEXT,
) -> None:
    """Build every nn.Module class of TARGET with made-up arguments and train it for a few steps."""
    err = terminal.console(stderr=True)
    interpreter = find_python(python, config.project_root(Path()))
    if isinstance(interpreter, Problem):
        terminal.show_problems(err, [interpreter])
        raise typer.Exit(2)
    with terminal.ProgressBar(err) as bar:
        reports = smoke(
            target,
            interpreter,
            steps=steps,
            seed=seed,
            device=device.value,
            dtype=dtype.value,
            ablate=ablate.value if ablate else "",
            workers=jobs,
            seconds=seconds,
            on_done=lambda done, total: bar("classes", done, total),
        )
    if isinstance(reports, Problem):
        terminal.show_problems(err, [reports])
        raise typer.Exit(2)
    if output_format is SmokeFormat.JSON:
        sys.stdout.write(smoke_report.as_json(reports))
    elif output_format is SmokeFormat.JUNIT:
        sys.stdout.write(smoke_report.as_junit(reports))
    else:
        smoke_report.show(terminal.console(), reports)
    raise typer.Exit(smoke_report.exit_status(reports))
