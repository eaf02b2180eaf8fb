"""Which classes of some files are `nn.Module` classes, told from the source alone: nothing is imported here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MODULE_ENDINGS = ("Module", "Model", "Block", "Layer", "Head", "Network", "Net", "Encoder", "Decoder", "Mixin")
_TORCH_BASES = frozenset(
    f"{prefix}.{name}"
    for prefix in ("nn", "torch.nn")
    for name in (
        "Module", "Sequential", "ModuleList", "ModuleDict", "Linear", "Embedding", "LayerNorm", "GroupNorm", "Conv1d",
        "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d",
        "MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoder",
        "TransformerDecoderLayer", "LSTM", "GRU", "RNN", "Dropout", "Identity", "Parameter", "GELU", "ReLU",
    )
)  # fmt: skip

_PLAIN = frozenset("object ABC Protocol Enum NamedTuple TypedDict Exception dict list tuple str".split())


@dataclass(frozen=True, slots=True)
class ClassPlace:
    """A class statement. module: its dotted module. known: whether the source alone says that it is an
    `nn.Module`; None when a base lies outside the files that were read."""

    name: str
    module: str
    path: Path
    line: int
    known: bool | None


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    module: str
    path: Path
    line: int
    bases: tuple[str, ...]


def index(files: Iterable[tuple[Path, str]]) -> list[ClassPlace]:
    """The classes that may be `nn.Module` classes, in the order of the files and of their lines.

    files: each with its dotted module name. A file that does not parse has none: importing it says why.
    """
    found: dict[str, _Class] = {}
    imports: dict[str, dict[str, str]] = {}
    for path, module in files:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        imports[module] = dict(_imports(tree, module, path.name == "__init__.py"))
        for one in _classes(tree, module, path):
            found[f"{module}.{one.name}"] = one
    verdicts: dict[str, bool | None] = {}
    places = []
    for key, one in found.items():
        known = _is_module(key, found, imports, verdicts)
        if known is not False:
            places.append(ClassPlace(one.name, one.module, one.path, one.line, known))
    return places


def _classes(tree: ast.Module, module: str, path: Path) -> Iterator[_Class]:
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.ClassDef):
            bases = tuple(_dotted(base) for base in node.bases)
            yield _Class(node.name, module, path, node.lineno, bases)
        elif isinstance(node, (ast.If, ast.Try, ast.With)) and not _is_script(node):
            for body in ("body", "orelse", "finalbody"):
                pending += getattr(node, body, [])


def _is_script(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    return ""


def _imports(tree: ast.Module, module: str, package: bool) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            keep = len(parts) - node.level + (1 if package else 0)
            start = parts[: max(0, keep)] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"


def _is_module(
    key: str, found: dict[str, _Class], imports: dict[str, dict[str, str]], verdicts: dict[str, bool | None]
) -> bool | None:
    if key in verdicts:
        return verdicts[key]
    verdicts[key] = False  # a class among its own bases
    one = found[key]
    answers = [_base(base, one, found, imports, verdicts) for base in one.bases]
    verdicts[key] = True if True in answers else (None if None in answers else False)
    return verdicts[key]


def _base(
    base: str,
    one: _Class,
    found: dict[str, _Class],
    imports: dict[str, dict[str, str]],
    verdicts: dict[str, bool | None],
) -> bool | None:
    if base in _PLAIN:
        return False
    local = f"{one.module}.{base}"
    if local in found:
        return _is_module(local, found, imports, verdicts)
    first, _, rest = base.partition(".")
    target = imports.get(one.module, {}).get(first)
    full = f"{target}.{rest}" if target and rest else (target or base)
    if full in _TORCH_BASES or full.startswith("torch.nn."):
        return True
    if full in found:
        return _is_module(full, found, imports, verdicts)
    if target is None and base.split(".")[0] not in imports.get(one.module, {}):
        return None
    last = full.rpartition(".")[2]
    if last.endswith(_MODULE_ENDINGS):
        return None
    return None if target and not _is_standard(target) else False


def _is_standard(name: str) -> bool:
    return name.split(".")[0] in sys.stdlib_module_names
