"""Whether another file of the project may initialise a parameter: `model.apply(weights_init)` in a training script.

Only files that can reach the class count: they name it, or something of the project that is built with it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from autofix.model import Problem, Source
from autofix.neighbours import neighbours, read
from autofix.syntax import Module, parse
from autofix.transforms.initialisation._parameters import Made, is_self
from autofix.transforms.initialisation._reached import family_of, is_generic, others_write
from autofix.tree import last_part, walk, words_in

_ROUNDS = 5
_DRAWS = re.compile(
    r"\binit\.|\binit_?(weight|bias|param)\w*\(|xavier|kaiming|orthogonal|glorot|(normal|uniform|constant|fill)_\(|\.data\.zero_\("
)
_OVER_ALL = re.compile(r"parameters\(|\bmodules\(|children\(")
_INITIALISER = re.compile(
    r"weight|param|xavier|kaiming|initiali[sz]e|(^|_)init$|init_(model|module|net|bert)|reset", re.I
)
_OF_KIND = re.compile(r"isinstance\([^\n]*\b(Linear|Conv\w*)\b")
_HANDED_ON = re.compile(r"\(\w*PreTrainedModel\b|\bpost_init\(\)|\.apply\([\w.]*(init|weight|xavier|kaiming)\w*\)")
_BLOCK = re.compile(rb"^(?:class|def) (\w+)", re.M)
# Names that say nothing about what is meant in another file.
_COMMON = frozenset((b"main", b"train", b"test", b"run", b"forward", b"Model", b"Module", b"Block", b"Layer", b"Net"))


def may_be_initialised_elsewhere(module: Module, made: Made) -> bool:
    """Whether a file of the project that can reach the class has what may write to the parameter, by default."""
    files = neighbours(module.path)
    if not files:
        return files is None
    names = {cls.name for cls in family_of(module, made.cls) or [made.cls]}
    texts = {path: data for path in files if b"torch" in (data := read(path))}
    for path in _reaching(module, texts, frozenset(n.encode() for n in names)):
        other = parse(Source(str(path), texts[path]))
        if not isinstance(other, Problem) and _initialises(other, made.name, names, texts):
            return True
    return False


def layers_are_initialised_elsewhere(module: Module, cls: ast.ClassDef) -> bool:
    """Whether a file of the project that can reach the class initialises layers by their kind, or hands the model to
    something that does."""
    files = neighbours(module.path)
    if not files:
        return files is None
    names = {c.name for c in family_of(module, cls) or [cls]}
    texts = {p: data for p in files if b"torch" in (data := read(p)) or b"transformers" in data}
    for path in _reaching(module, texts, frozenset(n.encode() for n in names)):
        text = texts[path].decode("utf-8", errors="replace")
        if (_OF_KIND.search(text) and _DRAWS.search(text)) or _HANDED_ON.search(text):
            return True
    return False


def _reaching(module: Module, texts: Mapping[Path, bytes], names: frozenset[bytes]) -> list[Path]:
    """The files that name the classes, or what the project builds with them. A name that several files define says
    nothing."""
    known: dict[frozenset[bytes], list[Path]] = vars(module).setdefault("_reaching", {})
    if names not in known:
        every = {Path(module.path): module.data, **texts}
        words = {path: words_in(data) for path, data in every.items()}
        reached, fresh = set(names), set(names)
        for _ in range(_ROUNDS):
            near = [data for path, data in every.items() if not fresh.isdisjoint(words[path])]
            blocks = (block for data in near for block in _blocks(data))
            named = {n for n, text in blocks if n not in _COMMON | reached and not fresh.isdisjoint(words_in(text))}
            fresh = {n for n in named if _times_defined(n, [d for p, d in every.items() if n in words[p]]) == 1}
            reached |= fresh
        known[names] = [path for path in texts if not reached.isdisjoint(words[path])]
    return known[names]


def _times_defined(name: bytes, texts: Iterable[bytes]) -> int:
    head = re.compile(rb"^(?:class|def) " + name + rb"\b", re.M)
    return sum(len(head.findall(data)) for data in texts)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The top-level classes and functions of a file, by name."""
    heads = list(_BLOCK.finditer(data))
    ends = [h.start() for h in heads[1:]] + [len(data)]
    yield from ((h[1], data[h.end() : end]) for h, end in zip(heads, ends, strict=False))


def _initialises(other: Module, name: str, classes: set[str], texts: Mapping[Path, bytes]) -> bool:
    for node in walk(other.tree):
        if isinstance(node, ast.Attribute) and node.attr == name and others_write(other, node, classes):
            return True
        if isinstance(node, ast.Assign) and _takes_the_place(node, classes):
            return True
        if isinstance(node, ast.For) and _draws_all(other, node) and not _asked_for(other, node):
            return True
        if isinstance(node, ast.Call) and not _asked_for(other, node):
            called = _initialiser(node)
            if called and any(_is_general(other, f, classes) for other, f in _defined(other, called, texts)):
                return True
    return False


def _takes_the_place(node: ast.Assign, classes: set[str]) -> bool:
    """`modeling_mixtral.MixtralExperts = Experts`: another package builds the class, and fills or initialises it."""
    target = node.targets[0]
    return isinstance(target, ast.Attribute) and not is_self(target.value) and last_part(node.value) in classes


def _initialiser(call: ast.Call) -> str:
    """The function that `model.apply(f)` or `f(model)` runs, when its name is an initialiser's; empty otherwise."""
    applied = last_part(call.func) == "apply" and isinstance(call.func, ast.Attribute) and len(call.args) == 1
    name = last_part(call.args[0]) if applied else last_part(call.func)
    return name if call.args and _INITIALISER.search(name) and not name.startswith("__") else ""


def _defined(other: Module, name: str, texts: Mapping[Path, bytes]) -> Iterator[tuple[Module, ast.FunctionDef]]:
    """The functions of that name in this file, else in the others of the project."""
    here = [n for n in walk(other.tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    yield from ((other, f) for f in here)
    if here:
        return
    head = f"def {name}(".encode()
    for path, data in texts.items():
        module = parse(Source(str(path), data)) if head in data else None
        if isinstance(module, Module):
            found = (n for n in module.tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
            yield from ((module, f) for f in found)


def _is_general(module: Module, function: ast.FunctionDef, classes: set[str]) -> bool:
    """Whether an initialiser touches modules of every kind, or one of the classes, when called with its defaults."""
    text = module.source(function)
    if not _DRAWS.search(text) or _returns_by_default(function):
        return False
    named = any(re.search(rf"\b{re.escape(c)}\b", text) for c in classes)
    return named or is_generic(module, function)


def _draws_all(module: Module, loop: ast.For) -> bool:
    """Whether a loop draws every parameter of a model anew."""
    if not _OVER_ALL.search(module.source(loop.iter)):
        return False
    function = module.function_scope(loop)
    if isinstance(function, ast.FunctionDef) and _returns_by_default(function):
        return False
    text = module.source(loop)
    return bool(_DRAWS.search(text)) and "isinstance(" not in text


def _asked_for(module: Module, node: ast.AST) -> bool:
    """Whether the code runs only where an option that may be left out is given: `if args.init is not None:`."""
    inner = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.If) and inner in ancestor.body and "is not None" in module.source(ancestor.test):
            return True
        inner = ancestor
    return False


def _returns_by_default(function: ast.FunctionDef) -> bool:
    """`def initialize(model, kind="pytorch"): if kind == "pytorch": return`."""
    arguments = function.args.args
    defaults = dict(zip((a.arg for a in reversed(arguments)), reversed(function.args.defaults), strict=False))
    for statement in function.body:
        if isinstance(statement, ast.If) and isinstance(statement.body[0], ast.Return):
            test = statement.test
            if not isinstance(test, ast.Compare) or not isinstance(test.left, ast.Name):
                continue
            default = defaults.get(test.left.id)
            if default is not None and ast.dump(default) == ast.dump(test.comparators[0]):
                return isinstance(test.ops[0], (ast.Eq, ast.Is))
    return False
