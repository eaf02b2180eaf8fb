"""What `autofix smoke TARGET` means: files, the folder they are imported from, and which class is asked for."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autofix.model import Problem
from autofix.smoke.interpreter import Interpreter, clean_environment

_SKIPPED = frozenset(("tests", "test", "testing", "__pycache__", "examples", "docs", "benchmarks", "node_modules"))
_FIND = """
import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
print(spec.origin or list(spec.submodule_search_locations)[0])
"""
_FIND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """root: the folder that goes on `sys.path`. files: each with its dotted module name. name: one class, or empty
    for all."""

    root: Path
    files: tuple[tuple[Path, str], ...]
    name: str = ""


def resolve(target: str, interpreter: Interpreter, here: Path | None = None) -> Target | Problem:
    """A file, `file.py::Class`, a folder, `package.module:Class` or `package.module`."""
    here = here or Path.cwd()
    path_text, _, name = target.partition("::")
    path = here / path_text
    if path.is_file():
        return Target(*_rooted(path), name=name)
    if path.is_dir():
        return _of_folder(path, target)
    if name or path_text.endswith(".py") or os.sep in path_text:
        return Problem(target, "there is no such file or folder")
    dotted, _, name = target.partition(":")
    return _of_module(dotted, name, interpreter, here)


def place_of(target: str) -> Path:
    """Where a target's configuration is looked for: at the target when it is a path, else here."""
    path = Path(target.partition("::")[0])
    return path if path.exists() else Path()


def rooted(path: Path) -> tuple[Path, str]:
    """The folder that a file is imported from, and its dotted module name."""
    root = _root(path)
    return root, _dotted(path, root)


def _rooted(path: Path) -> tuple[Path, tuple[tuple[Path, str], ...]]:
    root, module = rooted(path)
    return root, ((path.resolve(), module),)


def import_paths(path: Path, root: Path) -> list[str]:
    """Folders for `sys.path`: the one that the file is imported from, then what imports of its neighbours by their
    full name may start from: the project's folder and its `src`."""
    found = [root]
    for folder in (root, *root.parents):
        if (folder / "pyproject.toml").is_file() or (folder / "setup.py").is_file() or (folder / ".git").exists():
            found += [place for place in (folder / "src", folder) if place.is_dir()]
            break
    return list(dict.fromkeys(str(place) for place in found))


def _root(path: Path) -> Path:
    """The folder above the outermost package that holds `path`; packages without `__init__.py` count as far as the
    file's own relative imports reach."""
    folder = path.resolve().parent
    least = _relative_levels(path)
    while folder.parent != folder and ((folder / "__init__.py").is_file() or least > 0):
        folder, least = folder.parent, least - 1
    return folder


def _relative_levels(path: Path) -> int:
    """How many packages the relative imports of a file need around it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    return max((node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0)


def _dotted(path: Path, root: Path) -> str:
    parts = list(path.resolve().relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def _of_folder(folder: Path, target: str) -> Target | Problem:
    files = list(_python_files(folder.resolve()))
    if not files:
        return Problem(target, "there is no Python file in this folder")
    package = (folder / "__init__.py").is_file()
    root = _root(folder / "__init__.py") if package else folder.resolve()
    return Target(root, tuple((path, _dotted(path, root)) for path in files))


def _python_files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in _SKIPPED and not entry.name.startswith(".") and entry.name.isidentifier():
                yield from _python_files(entry)
        elif entry.suffix == ".py" and entry.stem.isidentifier() and entry.name not in ("setup.py", "conftest.py"):
            yield entry


def _of_module(dotted: str, name: str, interpreter: Interpreter, here: Path) -> Target | Problem:
    """Find the file without importing anything: below the working directory, else where the interpreter has the
    package."""
    if not dotted or not all(part.isidentifier() for part in dotted.split(".")):
        return Problem(dotted, "this is neither a file, a folder, nor a dotted module name")
    first, *rest = dotted.split(".")
    for base in (here, here / "src", *_installed(first, interpreter)):
        place = (base / first).joinpath(*rest)
        file = place.with_suffix(".py")
        if file.is_file():
            root, files = _rooted(file)
            return Target(root, files, name)
        if place.is_dir() and any(place.glob("*.py")):
            if name:
                init = place / "__init__.py"
                root, files = _rooted(init)
                return Target(root, tuple((p, _dotted(p, root)) for p in _python_files(place)), name)
            return _of_folder(place, dotted)
    return Problem(dotted, f"no module of this name below {here} or in {interpreter.path}")


def _installed(package: str, interpreter: Interpreter) -> list[Path]:
    """The folder that holds a package or a module in the interpreter's own paths."""
    try:
        done = subprocess.run(
            [interpreter.path, "-c", _FIND, package],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FIND_SECONDS,
            env=clean_environment(),
            cwd=Path(interpreter.path).parent,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = done.stdout.strip().splitlines()
    if done.returncode or not found:
        return []
    place = Path(found[-1])
    return [place.parent.parent if place.name == "__init__.py" else place.parent]
