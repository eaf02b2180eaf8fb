"""The tree itself: modules import in one direction only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "autofix"


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, linked folders included."""
    found: dict[str, Path] = {}
    pending = [PACKAGE]
    while pending:
        folder = pending.pop()
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and entry.name != "__pycache__":
                pending.append(entry)
            elif entry.suffix == ".py":
                parts = [*entry.relative_to(ROOT).with_suffix("").parts]
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = entry
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a module imports, wherever in its text, but for type checkers only."""
    tree = ast.parse(path.read_bytes())
    unseen = {id(n) for test in ast.walk(tree) if _for_checkers(test) for n in ast.walk(test)}
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                if inner in known or origin in known:
                    yield inner if inner in known else origin


def _for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Each circle found by a depth-first walk, as the modules on it in order."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
            return
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, [*path, name])
        done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_one_that_imports_it() -> None:
    known = modules()
    assert "autofix.smoke.harness.synth_guess" in known
    assert "autofix.transforms" in known
    graph = {name: set(imported(name, path, known)) - {name} for name, path in known.items()}
    assert circles(graph) == []


def test_a_wheel_holds_every_package() -> None:
    """A package that pyproject.toml forgets is missing only where autofix is installed, not in the tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted({".".join(path.relative_to(ROOT).parts[:-1]) for path in modules().values()})
