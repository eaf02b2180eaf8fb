"""Targets as people type them: quotes, other systems' slashes, one colon for two, a class after a dot, near names."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autofix.config import suggestion
from autofix.model import Problem
from autofix.smoke.modules.index import ClassPlace

_MOST_LISTED = 6


def spelled(target: str, here: Path | None = None) -> str | Problem:
    """The target in the form that `targets.resolve` takes; a `Problem` where it can only be a mistake."""
    here = here or Path.cwd()
    text = target.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    text = text.removesuffix("::").removesuffix(":")
    if not text:
        return Problem("TARGET", "is empty; give a file, file.py::Class, package.module:Class, a folder or a package")
    if (here / text).exists():
        return _existing(text, here)
    path, mark, name = _parted(text)
    if "\\" in path and not (here / path).exists():
        path = path.replace("\\", "/")
    if path.startswith("~"):
        path = str(Path(path).expanduser())
    if mark and (here / path).is_file():
        wrong = _existing(path, here)
        return wrong if isinstance(wrong, Problem) else f"{path}::{name}"
    if (here / path).exists():
        return f"{path}::{name}" if name else _existing(path, here)
    if (here / f"{path}.py").is_file() and ("/" in path or mark == "::"):
        return f"{path}.py{'::' + name if name else ''}"
    if mark == "::" or "/" in path or path.endswith((".py", ".ipynb")):
        return Problem(path, f"there is no such file or folder{_near_file(here / path)}")
    return f"{path}{mark}{name}"


def _parted(text: str) -> tuple[str, str, str]:
    """Path or module, "::" or ":" or "", class. The colon after a drive's letter belongs to the path."""
    if "::" in text:
        return text.partition("::")
    drive = 2 if len(text) > 2 and text[1] == ":" and text[2] in "\\/" else 0
    path, mark, name = text[drive:].rpartition(":")
    return (text[:drive] + path, mark, name) if mark else (text, "", "")


def _existing(path: str, here: Path) -> str | Problem:
    place = here / path
    if place.is_file() and place.suffix != ".py":
        export = "; export the notebook as a script first" if place.suffix == ".ipynb" else ""
        return Problem(path, f"is no Python file{export}")
    return path


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return suggestion(path.name, [p.name for p in path.parent.iterdir() if p.suffix == ".py" or p.is_dir()])


def as_class(target: str) -> str:
    """`package.module.Class` as `package.module:Class`; "" where it cannot be one."""
    module, _, name = target.rpartition(".")
    return f"{module}:{name}" if module and name[:1].isupper() and ":" not in target else ""


def place_of(target: str) -> Path:
    """Where to look for the project's configuration: at the target's file or folder, else here."""
    text = spelled(target)
    path = Path(text.partition("::")[0]) if isinstance(text, str) else Path()
    return path if path.exists() else Path()


def no_module(problem: Problem, target: str) -> Problem:
    """With a near name from the working directory, and where else to look."""
    if "no module of this name" not in problem.message:
        return problem
    names = [p.stem for p in Path().iterdir() if p.suffix == ".py" or p.is_dir()]
    near = suggestion(target.partition(":")[0].partition(".")[0], names) or "; `--python` names another interpreter"
    return replace(problem, message=problem.message + near)


def no_class(target: str, name: str, places: Sequence[ClassPlace], files: int) -> Problem:
    """Why nothing is left to run: no module class at all, or none of this name."""
    where = f"in {files} file{'s' * (files != 1)}"
    if not name:
        return Problem(target, f"no nn.Module class {where}")
    names = list(dict.fromkeys(p.name for p in places))
    near = suggestion(name, names)
    listed = (
        f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if 0 < len(names) <= _MOST_LISTED else ""
    )
    return Problem(target, f"no nn.Module class named {name} {where}{near or listed}")


def exported(
    places: Sequence[ClassPlace], files: Sequence[tuple[Path, str]], module: str, name: str
) -> list[ClassPlace]:
    """Of several classes of one name, the one that `module` itself defines or imports; all where it does neither."""
    own = [p for p in places if p.module == module]
    if own or len(places) < 2:
        return own or list(places)
    source = next((path for path, dotted in files if dotted == module), None)
    origin = _imported_from(source, module, name) if source else ""
    chosen = [p for p in places if origin and (p.module == origin or p.module.startswith(f"{origin}."))]
    return chosen or list(places)


def _imported_from(path: Path, module: str, name: str) -> str:
    """The module that `from X import name` names in a package's `__init__`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            if not node.level:
                return node.module or ""
            parts = module.split(".")[: len(module.split(".")) - node.level + 1]
            return ".".join([*parts, *([node.module] if node.module else [])])
    return ""


def syntax_problems(files: Sequence[tuple[Path, str]]) -> list[Problem]:
    """Files that do not parse, with the line; their classes cannot be run."""
    found = []
    for path, _ in files:
        try:
            ast.parse(path.read_bytes())
        except SyntaxError as error:
            found.append(Problem(str(path), f"syntax error: {error.msg}; its classes are not run", error.lineno))
        except ValueError as error:
            found.append(Problem(str(path), f"cannot be parsed ({error}); its classes are not run"))
        except OSError as error:
            found.append(Problem(str(path), f"cannot be read ({error.strerror}); its classes are not run"))
    return found
