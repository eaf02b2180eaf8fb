"""Smoke commands: each patched file belongs to a project, and each project says how a few of its steps are run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autofix.config import Config, Sandbox, load
from autofix.model import Evidence, Fix, Patch, Problem, Source, Verdict
from autofix.report import CommandReport, Report, withhold
from autofix.smoke.command import smoke
from autofix.smoke.interpreter import Interpreter, find_python
from autofix.smoke.modules.evidence import ModuleLevel
from autofix.smoke.verify import Store, unverified, verify


def run_smoke_commands(report: Report, settings: Config, command: str | None, python: str | None) -> Report:
    """The report with the evidence of every smoke command; the patches of a project whose command refutes them are
    withheld.

    command: given on the command line, for the project of the run; None takes each file's own `[tool.autofix] smoke`
    from its nearest pyproject.toml. python: the interpreter given on the command line.
    """
    groups: dict[Path, list[Patch]] = defaultdict(list)
    configs: dict[Path, Config] = {}
    for patch in report.patches:
        config = replace(settings, smoke=command) if command else _config_of(patch)
        if config is not None and config.smoke:
            configs[config.root] = config
            groups[config.root].append(patch)
    for root, patches in groups.items():
        if Sandbox.REQUIRE.value in (settings.sandbox, configs[root].sandbox):
            evidence = unverified("it was not run: a smoke command is not isolated, and --sandbox=require wants that")
        else:
            evidence = _run(configs[root], patches, python)
        report = replace(
            report, commands=(*report.commands, CommandReport(_shown(root), configs[root].smoke, evidence))
        )
        if evidence.verdict is Verdict.REFUTED:
            report = withhold(report, frozenset(p.source.path for p in patches))
    return report


def evidence_of(
    items: Sequence[tuple[Source, Fix]],
    interpreter: Interpreter | Problem,
    settings: Config,
    as_module: bool,
    cache: Store | None,
    tell: Callable[[str, int, int], None] | None = None,
) -> Sequence[Evidence]:
    """The evidence for each fix under the project's interpreter; where there is none, why they were not executed.

    as_module: also try the classes around the fixes. tell: told the stage, how many are done, and of how many.
    """
    if isinstance(interpreter, Problem):
        return [unverified(interpreter.message) for _ in items]
    return verify(
        items,
        interpreter,
        workers=settings.jobs or 2,
        cache=cache,
        on_done=lambda n: tell("verifying", n, len(items)) if tell else None,
        modules=ModuleLevel(settings.module_seconds, examples_of(items, settings)) if as_module else None,
        on_modules=lambda n, total: tell("trying classes", n, total) if tell else None,
    )


def examples_of(items: Iterable[tuple[Source, Fix]], settings: Config) -> dict[str, Mapping[str, Any]]:
    """The examples of the run's project and of each file's own."""
    found = dict(settings.example)
    for folder in {Path(source.path).parent for source, _ in items}:
        config = load(folder)
        if not isinstance(config, Problem):
            found.update(config.example)
    return found


def _config_of(patch: Patch) -> Config | None:
    config = load(Path(patch.source.path))
    return None if isinstance(config, Problem) else config


def _run(config: Config, patches: list[Patch], python: str | None) -> Evidence:
    interpreter: Interpreter | Problem = find_python(python or config.python, config.root)
    if isinstance(interpreter, Problem):
        return unverified(interpreter.message)
    root = config.root.resolve()
    patched: Mapping[Path, bytes] = {
        path.relative_to(root): p.after for p in patches if (path := Path(p.source.path).resolve()).is_relative_to(root)
    }
    return smoke(root, config.smoke, patched, interpreter, seconds=config.smoke_timeout)


def _shown(root: Path) -> str:
    """The project as a person would name it from here."""
    here = Path.cwd()
    return str(root.relative_to(here)) if root.is_relative_to(here) else str(root)
