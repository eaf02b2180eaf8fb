"""What the user configured: `[tool.autofix]` in the nearest pyproject.toml, and the command line over it."""

from __future__ import annotations

import ast
import enum
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from autofix.model import Problem, Scalar
from autofix.registry import all_rules
from autofix.rule import Options
from autofix.suppress import Suppressions, suppressions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

__all__ = ["Config", "Suppressions", "common_parent", "load", "merge", "project_root", "suggestion", "suppressions"]

ROUTINGS = ("straight-through", "soft", "gumbel")
LEVELS = ("expression", "module")  # "expression" imports nothing of the project
COMMAND_LINE = "command line"


class Sandbox(str, enum.Enum):
    """How code is isolated while it is executed."""

    AUTO = "auto"  # by the best that works
    REQUIRE = "require"  # not executed when nothing isolates it
    OFF = "off"  # limits on memory, time and files only


@dataclass(frozen=True, slots=True)
class Config:
    """One run's settings.

    root: the project's directory. select: the rules that run, empty for those that run by default; extend_select: rules
    beside these. exclude: as in .gitignore; a pattern with a slash inside is absolute.
    smoke: the project's own command, "" for none; smoke_timeout: its limit in seconds. python: the interpreter that
    executes fixes, None for the project's own. jobs: 0 for one per core. level: how far executing a fix goes, one of
    LEVELS; module_seconds: the limit of one class there. example: by "package.module:Class" or "Class", arguments for
    classes that cannot be built without being told: {"init": {...}, "forward": "..."}. sandbox: how the code is
    isolated, the value of a `Sandbox`.
    """

    root: Path
    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    unsafe_fixes: bool = False
    routing: str = "straight-through"
    max_norm: float = 1.0
    smoke: str = ""
    smoke_timeout: float = 600.0
    python: str | None = None
    allow_unverified: bool = False
    verify: bool = True
    jobs: int = 0
    level: str = "module"
    module_seconds: float = 8.0
    sandbox: str = "auto"
    example: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rule: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)

    @property
    def options(self) -> Options:
        """What of this reaches the rules."""
        return Options(routing=self.routing, max_norm=self.max_norm, rule=self.rule)


def load(start: Path) -> Config | Problem:
    """The settings for a run that starts at `start` (a file or a directory, existing or not)."""
    file = _upwards(start, "pyproject.toml")
    root = project_root(start)
    if file is None:
        return Config(root)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return Problem(str(file), f"cannot be read ({error.strerror}); make it readable or run elsewhere")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Problem(str(file), f"is not valid TOML ({error}); correct it")
    tool = document.get("tool")
    table = tool.get("autofix", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        return Problem(str(file), "[tool.autofix] must be a table")
    values = {key.replace("-", "_"): value for key, value in table.items()}
    if len(values) < len(table):
        return Problem(str(file), "[tool.autofix] gives a key twice, with a hyphen and with an underscore")
    return _checked(Config(root), values, str(file))


def merge(config: Config, **command_line: object) -> Config | Problem:
    """The settings with what the command line gives; None means not given."""
    given = {key: value for key, value in command_line.items() if value is not None}
    return _checked(config, given, COMMAND_LINE)


def common_parent(places: Sequence[Path]) -> Path:
    """The directory (or the only file) that all the places lie in; the working directory when there are none."""
    if not places:
        return Path.cwd()
    return Path(os.path.commonpath([os.path.abspath(p) for p in places]))


def project_root(start: Path) -> Path:
    """The directory of the nearest pyproject.toml, else the top of the repository, else `start`'s own directory."""
    for name in ("pyproject.toml", ".git"):
        found = _upwards(start, name)
        if found:
            return found.parent
    start = start.absolute()
    return start if start.is_dir() else start.parent


def _upwards(start: Path, name: str) -> Path | None:
    start = Path(os.path.abspath(start))
    return next((p / name for p in (start, *start.parents) if (p / name).exists()), None)


# -- checking --------------------------------------------------------------------------------------------------


def _checked(config: Config, values: Mapping[str, object], place: str) -> Config | Problem:
    """`config` with the values, or the first thing that is wrong with them."""
    settled: dict[str, Any] = {}
    for key, value in values.items():
        shown = _shown(key, place)
        check = _CHECKS.get(key)
        if check is None:
            return Problem(place, f"unknown key {shown}{suggestion(key.replace('_', '-'), _known_keys())}")
        wrong = check(value)
        if wrong:
            return Problem(place, f"{shown} {wrong}")
        settled[key] = tuple(value) if isinstance(value, (list, tuple)) else value
    if place != COMMAND_LINE and "exclude" in settled:
        settled["exclude"] = tuple(_below(config.root, pattern) for pattern in settled["exclude"])
    return replace(config, **settled)


def _shown(key: str, place: str) -> str:
    name = key.replace("_", "-")
    return f"--{name}" if place == COMMAND_LINE else f"[tool.autofix] {name}"


def _known_keys() -> list[str]:
    return [f.name.replace("_", "-") for f in fields(Config) if f.name != "root"]


def _below(root: Path, pattern: str) -> str:
    """An exclude pattern that is anchored, anchored at the project's root."""
    if "/" not in pattern.rstrip("/") or pattern.startswith("**/"):
        return pattern
    escaped = re.sub(r"([\\*?\[\]!#])", r"\\\1", str(root))
    return f"{escaped}/{pattern.lstrip('/')}"


def _rule_names(value: object) -> str:
    wrong = _strings(value)
    if wrong:
        return wrong
    known = [r.name for r in all_rules()]
    for name in value if isinstance(value, (list, tuple)) else ():
        if name not in known:
            return f"names no rule {name!r}{suggestion(name, known)}; see `autofix rules`"
    return ""


def _strings(value: object) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return ""
    return f"must be a list of strings, not {_named(value)}"


def _string(value: object) -> str:
    return "" if isinstance(value, str) else f"must be a string, not {_named(value)}"


def _boolean(value: object) -> str:
    return "" if isinstance(value, bool) else f"must be true or false, not {_named(value)}"


def _positive(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"must be a number, not {_named(value)}"
    return "" if 0 < value < float("inf") else f"must be a positive number, not {value}"


def _count(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, not {_named(value)}"
    return "" if value >= 0 else f"must be 0 (one per core) or more, not {value}"


def _routing(value: object) -> str:
    if value in ROUTINGS:
        return ""
    close = suggestion(value, ROUTINGS) if isinstance(value, str) else ""
    return f"must be one of {', '.join(ROUTINGS)}, not {_named(value)}{close}"


def _sandbox(value: object) -> str:
    known = [one.value for one in Sandbox]
    if value in known:
        return ""
    close = suggestion(value, known) if isinstance(value, str) else ""
    return f"must be one of {', '.join(known)}, not {_named(value)}{close}"


def _level(value: object) -> str:
    if value in LEVELS:
        return ""
    close = suggestion(value, LEVELS) if isinstance(value, str) else ""
    return f"must be one of {', '.join(LEVELS)}, not {_named(value)}{close}"


def _examples(value: object) -> str:
    if not isinstance(value, dict):
        return f"must hold one table per class, not {_named(value)}"
    for name, table in value.items():
        shown = f'"{name}"'
        if not re.fullmatch(r"(\w+(\.\w+)*:)?\w+(\.\w+)*", name):
            return f'{shown} must be called like "package.module:Class"'
        if not isinstance(table, dict):
            return f"{shown} must be a table, not {_named(table)}"
        for key, item in table.items():
            check = _EXAMPLE_CHECKS.get(key)
            if check is None:
                return f"{shown} has an unknown key {key}{suggestion(key, _EXAMPLE_CHECKS)}"
            wrong = check(item)
            if wrong:
                return f"{shown} {key} {wrong}"
        if not table:
            return f"{shown} must give init or forward"
    return ""


def _init(value: object) -> str:
    """The constructor's arguments travel to the harness as JSON."""
    if not isinstance(value, dict):
        return f"must be a table of the constructor's arguments, not {_named(value)}"
    for name, item in value.items():
        try:
            json.dumps(item, allow_nan=False)
        except (TypeError, ValueError):
            return f"argument {name} must be a number, a string, true, false, a list or a table"
    return ""


def _call(value: object) -> str:
    if not isinstance(value, str):
        return _string(value)
    try:
        made: ast.expr | None = ast.parse(f"call({value}\n)", mode="eval").body
    except (SyntaxError, ValueError):
        made = None
    if not isinstance(made, ast.Call) or not isinstance(made.func, ast.Name):
        return f'must be the arguments of a call, such as "torch.randn(2, 8), mask=None", not {value!r}'
    return ""


_EXAMPLE_CHECKS: Mapping[str, Callable[[object], str]] = {"init": _init, "forward": _call}


def _rule_tables(value: object) -> str:
    if not isinstance(value, dict):
        return f"must hold one table per rule, not {_named(value)}"
    wrong = _rule_names(list(value))
    if wrong:
        return wrong
    for name, table in value.items():
        if not isinstance(table, dict):
            return f"{name} must be a table, not {_named(table)}"
        for key, item in table.items():
            if not isinstance(item, (str, int, float, bool)):
                return f"{name}.{key} must be a single value, not {_named(item)}"
            wrong = _routing(item) if key == "routing" else _positive(item) if key == "temperature" else ""
            if wrong:
                return f"{name}.{key} {wrong}"
    return ""


def _named(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else repr(value)


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "select": _rule_names,
    "extend_select": _rule_names,
    "ignore": _rule_names,
    "exclude": _strings,
    "unsafe_fixes": _boolean,
    "routing": _routing,
    "max_norm": _positive,
    "smoke": _string,
    "smoke_timeout": _positive,
    "python": _string,
    "allow_unverified": _boolean,
    "verify": _boolean,
    "jobs": _count,
    "level": _level,
    "sandbox": _sandbox,
    "module_seconds": _positive,
    "example": _examples,
    "rule": _rule_tables,
}


# -- suggestions -----------------------------------------------------------------------------------------------


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known name is close (at most a third of its letters differ), else nothing."""
    ranked = sorted((_distance(name.lower(), other.lower()), other) for other in known)
    if not ranked or 3 * ranked[0][0] > max(len(name), len(ranked[0][1])):
        return ""
    return f"; did you mean {ranked[0][1]!r}?"


def _distance(one: str, other: str) -> int:
    """Edit distance (insert, delete, substitute)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
