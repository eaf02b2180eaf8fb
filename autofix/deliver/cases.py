"""From a witness to the code of tests: what could show its failure in the project's own code, likeliest first.

Three kinds: statements that are read from their file and run on the witness's inputs, a class that is imported and
takes the step that failed, a training loop that takes a step on one bad batch.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autofix.edits import apply_edits
from autofix.model import Fix, Level, Problem, Relation, Source
from autofix.report import Item
from autofix.smoke import expression
from autofix.smoke.modules.targets import rooted
from autofix.syntax import Module, parse

_BLOCKS = 4
_LATER = 4
_SCIENTIFIC = ("torch", "math", "numpy")
_SCORES = "added_scores"  # what a witness adds a mask to
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Case:
    """One test's code. imports: lines that the file needs for it. root: the folder that its class is imported from, by
    its path from the top; None for statements that are read from their file. only_looks: it fails with what it sees, to
    tell the next one what to expect."""

    item: Item
    name: str
    body: str
    imports: tuple[str, ...] = ()
    root: str | None = None
    only_looks: bool = False


Seen = tuple[
    list[str], list[str]
]  # what a test did on the base and with the fix: "passed", "failed" or "raised", and why
Cases = Generator[Case, Seen, None]  # tests to try; each learns what the one before it did


def cases_of(item: Item, number: int, source: Source, folder: Path) -> Cases | str:
    """RegressionTests to try for a finding, likeliest first, or why there is none to try."""
    evidence, fix = item.evidence, item.finding.fix
    if evidence is None or fix is None or not evidence.witness:
        return "its witness cannot be written down"
    if item.pass_number > 1:
        return "its fix builds on another one of the same file"
    stem = re.sub(r"\W+", "_", f"{PurePosixPath(source.path).stem}_{item.finding.start.line}", flags=re.ASCII).lower()
    name = f"test_{stem}_{item.finding.rule.replace('-', '_')}_{number + 1}"
    if evidence.level is Level.MODULE:
        return _of_class(item, name, folder)
    module = parse(source)
    if isinstance(module, Problem):
        return module.message
    if evidence.level is Level.BLOCK:
        return _of_loop(item, name, module) if fix.claim.relation is Relation.CLIP else "it is about how a loop ends"
    return _of_statements(item, name, module)


# -- classes ---------------------------------------------------------------------------------------------------


def _of_class(item: Item, name: str, folder: Path) -> Cases | str:
    """The witness of a class, with assertions where it prints."""
    assert item.evidence is not None
    lines = item.evidence.witness.splitlines()
    end = next((n for n, line in enumerate(lines) if line.startswith("print(loss)")), None)
    if end is None:
        return "its witness has an unknown form"
    root, _ = rooted(folder / item.finding.path)
    place = root.relative_to(folder).as_posix()
    path = "str(TOP)" if place == "." else f"str(TOP / {place!r})"
    given = ("import torch", "from torch import nn", "from torch.utils._pytree import tree_leaves")
    body = [line for line in lines[:end] if line and not line.startswith(given)]
    checks = [
        "loss.backward()",
        "gradients = {name: p.grad for name, p in module.named_parameters()}",
    ]
    return _of_step(item, name, [f"sys.path.insert(0, {path})", *body, *checks], place)


def _of_step(item: Item, name: str, lines: Sequence[str], root: str) -> Cases:
    for check in ("assert_finite(values, gradients)", "assert_gradient(values, gradients)"):
        yield Case(item, name, textwrap.indent("\n".join([*lines, check]), "    "), (), root)


# -- training loops --------------------------------------------------------------------------------------------


def _of_loop(item: Item, name: str, module: Module) -> Cases | str:
    """Tests that take a step of the loop with everything but the loss and the parameters stood in for."""
    fix = item.finding.fix
    assert fix is not None
    bound = fix.claim.parameters.get("max_norm")
    parameters = _clipped(fix)
    if not parameters or not isinstance(bound, (int, float)):
        return "its bound is not a number, or not one of the norm"
    functions = _functions_around(module, item) or [("", module.tree)]
    return _of_losses(item, name, parameters, float(bound), functions)


def _of_losses(item: Item, name: str, parameters: str, bound: float, functions: Sequence[tuple[str, ast.AST]]) -> Cases:
    for function, node in functions:
        for loss in _losses(node):
            given = f"{item.finding.path!r}, {function!r}, {parameters!r}, {loss!r}"
            body = f"assert_bounded(take_step({given}), {bound!r})"
            yield Case(item, name, textwrap.indent(body, "    "))


def _clipped(fix: Fix) -> str:
    """The text of the parameters whose gradients a fix clips."""
    for edit in fix.edits:
        try:
            tree = ast.parse(textwrap.dedent(edit.text).strip())
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and "clip_grad_norm" in ast.unparse(node.func):
                return ast.unparse(node.args[0])
    return ""


def _losses(function: ast.AST) -> list[str]:
    """What backward passes of a function start from."""
    found: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "backward" in node.func.attr:
            found[ast.unparse(node.args[0] if node.args else node.func.value)] = None
    return list(found)


# -- statements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Script:
    """A witness taken apart. given: definitions before the inputs. inputs: source text by name. learning: names of the
    inputs whose gradient counts. results: what is looked at."""

    given: str
    inputs: Mapping[str, str]
    learning: frozenset[str]
    before: str
    after: str
    results: tuple[str, ...]
    weights: bool
    dtype: str


def _script(text: str) -> _Script | None:
    """The parts of a witness that `harness/witness.py` wrote."""
    tree = ast.parse(text)
    given, inputs, programs, dtype = [], {}, {}, "torch.float32"
    results: tuple[str, ...] = ()
    learning: frozenset[str] = frozenset()
    weights = False
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "leaves":
            for statement in node.body[:-1]:
                if isinstance(statement, ast.Assign):
                    inputs[ast.unparse(statement.targets[0])] = ast.unparse(statement.value)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("before", "after"):
            programs[ast.unparse(node.targets[0])] = str(ast.literal_eval(node.value))
        elif isinstance(node, ast.For):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == "results":
                    weights = "softmax" in ast.unparse(inner.value)
                    results = _strings(inner.value)
                if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == "inputs":
                    learning = frozenset(_strings(inner.value))
        elif isinstance(node, ast.Expr) and "set_default_dtype" in ast.unparse(node):
            assert isinstance(node.value, ast.Call)
            dtype = ast.unparse(node.value.args[0])
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            given.append(ast.unparse(node))
    if set(programs) != {"before", "after"} or not results:
        return None
    return _Script("\n".join(given), inputs, learning, programs["before"], programs["after"], results, weights, dtype)


def _strings(node: ast.AST) -> tuple[str, ...]:
    """The names that a list or a call names; keys such as "env" are none."""
    found = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return tuple(dict.fromkeys(found))


def _of_statements(item: Item, name: str, module: Module) -> Cases | str:
    fix, evidence = item.finding.fix, item.evidence
    assert fix is not None
    assert evidence is not None
    script = _script(evidence.witness)
    if script is None:
        return "its witness has an unknown form"
    job = expression.plan(module, fix)
    if isinstance(job, str):
        return job
    texts = _texts(job.spec, script)
    if texts is None:
        return "its witness stands for other statements than those of the file"
    functions = _functions_around(module, item)
    if not functions:
        return "it stands in no function"
    return _tried(item, name, module, script, texts, functions)


def _texts(spec: Mapping[str, Any], script: _Script) -> dict[str, str] | None:
    """What each input stands for in the file, by its name in the witness."""
    for part in spec.get("parts") or [spec]:
        for variant in part["variants"]:
            known = {str(leaf["name"]): str(leaf["text"]) for leaf in variant["leaves"]}
            program = "\n".join(variant[key] for key in ("prefix", "before", "suffix") if variant[key].strip())
            if program.strip() == script.before.strip() and set(script.inputs) <= {*known, _SCORES}:
                return {name: known.get(name, name) for name in script.inputs}
    return None


def _functions_around(module: Module, item: Item) -> list[tuple[str, ast.AST]]:
    """The functions that the fix changes, by their names with those of their classes, the innermost first."""
    assert item.finding.fix is not None
    places = [e.span for e in item.finding.fix.edits] + [item.finding.span]
    found: list[tuple[str, ast.AST]] = []

    def walk(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                inner = (*names, child.name)
                span = module.span(child)
                touched = any(span.start <= p.start and p.end <= span.end for p in places)
                if isinstance(child, _FUNCTIONS) and touched:
                    found.insert(0, (".".join(inner), child))
            walk(child, inner)

    walk(module.tree, ())
    return found


def _tried(
    item: Item,
    name: str,
    module: Module,
    script: _Script,
    texts: Mapping[str, str],
    functions: list[tuple[str, ast.AST]],
) -> Cases:
    assert item.finding.fix is not None
    hazards = item.finding.fix.claim.hazard
    check = f"{'assert_gradient' if 'zero-gradient' in hazards else 'assert_finite'}(values, gradients)"
    stores = _stores(script, texts)
    fix = item.finding.fix
    patched = parse(Source(module.path, apply_edits(module.source_file, fix.edits)))
    written = set(re.findall(r"[^\W\d]\w*", " ".join(e.text for e in fix.edits)))
    for function, node in functions:
        read = written | {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        imports = () if isinstance(patched, Problem) else tuple(_imports(patched, read))
        blocks = _blocks_around(module, node, fix)
        for later, block in itertools.product(range(_LATER), blocks):
            text = _body(item, script, texts, stores, function, block, later)

            def case(check: str, only_looks: bool = False, text: str = text) -> Case:
                body = textwrap.indent(f"{text}\n{check}", "    ")
                return Case(item, name, body, imports, only_looks=only_looks)  # noqa: B023 - yielded at once

            before, after = yield case(check)
            if before[0] != "passed" or after[0] != "passed":
                continue
            before, after = yield case("show(values, gradients)", True)
            if before != after and _literal(after[1]):
                yield case(f"assert_close(values, gradients, {after[1]})")


def _literal(text: str) -> bool:
    """Whether a shown outcome is whole and finite, so that it can be written down as what is expected."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError):
        return False
    return True


def _stores(script: _Script, texts: Mapping[str, str]) -> dict[str, int]:
    """How often the statements bind a name that is an input too, where both versions agree on it."""
    out = {}
    for name, text in texts.items():
        if text.isidentifier():
            counts = {_bound(program, text) for program in (script.before, script.after)}
            if len(counts) == 1:
                out[name] = counts.pop()
    return out


def _bound(program: str, name: str) -> int:
    """The statements of a program that bind a name."""
    return sum(
        any(isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load) for n in ast.walk(s))
        for s in ast.parse(program).body
    )


def _blocks_around(module: Module, function: ast.AST, fix: Fix) -> list[int]:
    """The numbers of the blocks of a function that hold what a fix changes, the innermost first. They are counted as
    the test counts them."""
    places = [e.span for e in fix.edits]
    holding = []
    for number, block in enumerate(_blocks(function.body)):  # type: ignore[attr-defined]
        spans = [module.span(s) for s in block]
        if any(spans[0].start <= p.start and p.end <= spans[-1].end + 1 for p in places):
            holding.append(number)
    return list(dict.fromkeys([*holding[::-1][: _BLOCKS - 1], 0]))


def _blocks(statements: Sequence[ast.stmt]) -> Iterator[Sequence[ast.stmt]]:
    yield statements
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            continue
        for part in [statement, *getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(part, name, None)
                if isinstance(inner, list) and inner:
                    yield from _blocks(inner)


def _imports(module: Module, read: set[str]) -> Iterator[str]:
    """A file's imports of numerical libraries that bind one of the names."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                wanted = alias.name.partition(".")[0] in _SCIENTIFIC and bound in read
                if wanted and (alias.asname or alias.name not in ("torch", "math")):
                    yield f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                bound = alias.asname or alias.name
                if node.module.partition(".")[0] in _SCIENTIFIC and bound in read:
                    yield f"from {node.module} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")


def _body(
    item: Item,
    script: _Script,
    texts: Mapping[str, str],
    stores: Mapping[str, int],
    function: str,
    block: int,
    later: int,
) -> str:
    lines = []
    if script.given:
        lines += [script.given, "given = dict(locals())"]
    lines.append("inputs = {")
    for name, text in texts.items():
        value = script.inputs[name] + (".requires_grad_()" if name in script.learning else "")
        lines.append(f"    {text!r}: ({(text if text.isidentifier() else name)!r}, {value}),")
    lines.append("}")
    options = [repr(list(script.results)), "inputs", repr(dict(stores))]
    if later:
        options.append(f"later={later}")
    if script.dtype != "torch.float32":
        options.append(f"dtype={script.dtype}")
    if script.given:
        options.append("given=given")
    lines.append(f"values, gradients = run({item.finding.path!r}, {function!r}, {block}, {', '.join(options)})")
    if script.weights:
        scores = f" + inputs[{_SCORES!r}][1]" if _SCORES in script.inputs else ""
        lines.append(f"values = [torch.softmax(values[-1]{scores}, dim=-1)]")
    return "\n".join(lines)
