"""Constructs a class from a file's text, with made-up arguments, without the modules that the file imports.

What the constructor does is run statement by statement; one that raises is left out and told.
"""

from __future__ import annotations

import ast
import builtins
import copy
from typing import Any, NamedTuple

import torch

_SIZES = (48, 32, 64, 40, 56)
_OWN = (
    "torch", "math", "typing", "typing_extensions", "functools", "itertools", "collections", "dataclasses", "abc",
    "copy", "enum", "numpy",
)  # fmt: skip


class Built(NamedTuple):
    """What construction made. skipped: the statements that raised, with what. arguments: as Python. methods: of the
    class, by name. alone: nothing of another file was stood in for."""

    module: Any
    skipped: list[tuple[ast.stmt, str]]
    arguments: str
    methods: dict[str, ast.FunctionDef]
    reason: str = ""
    alone: bool = False


class OutOfView(torch.nn.Module):  # type: ignore[misc]
    """Stands in for a base class of another file: it takes any arguments and initialises nothing of its subclass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def reset_parameters(self) -> None:
        """Nothing of its own to initialise."""


class StandIn:
    """Something of another module: an object with any attribute, a function that returns another, a size."""

    def __init__(self, name: str, number: int) -> None:
        self.__dict__.update(_name=name, _number=number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return guess(name, "", len(name), self._number)

    def __call__(self, *args: Any, **kwargs: Any) -> StandIn:
        return self

    def __index__(self) -> int:
        return _SIZES[0]

    __int__ = __index__

    def __repr__(self) -> str:
        return f"<stand-in for {self._name}>"


def build(text: str, name: str, number: int) -> Built:
    """Construct class `name` of a file with the `number`-th set of made-up arguments."""
    tree = ast.parse(text)
    scope = _scope(tree, number)
    cls: Any = scope.get(name)
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None or not isinstance(cls, type) or not issubclass(cls, torch.nn.Module):
        return Built(None, [], "", {}, f"the class {name} cannot be defined without the modules that its file imports")
    methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    function = methods.get("__init__")
    if function is None:
        return Built(None, [], "", {}, f"the class {name} has no constructor of its own")
    given = _arguments(function, number)
    torch.manual_seed(0)
    module: torch.nn.Module = object.__new__(cls)
    torch.nn.Module.__init__(module)
    space = {**scope, **given, "self": module, "__the_class__": cls}
    skipped: list[tuple[ast.stmt, str]] = []
    _run(function.body, space, skipped)
    alone = not skipped and not any(isinstance(v, StandIn) or v is OutOfView for v in space.values())
    return Built(module, skipped, _written(function, given), methods, alone=alone)


def _scope(tree: ast.Module, number: int) -> dict[str, Any]:
    """What the top level of the file defines: functions, classes, constants, and stand-ins for what it imports."""
    space: dict[str, Any] = {"__name__": "autofix_trial", "__builtins__": builtins}
    known = set(dir(builtins))
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _import(node, space, number)
        elif isinstance(node, ast.ClassDef):
            _define(node, space)
        elif isinstance(node, (ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Try, ast.If)):
            _attempt([node], space)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for name in names - known - set(space):
        if any(isinstance(n, ast.alias) and (n.asname or n.name) == name for n in ast.walk(tree)):
            space[name] = StandIn(name, number)
    return space


def _import(node: ast.Import | ast.ImportFrom, space: dict[str, Any], number: int) -> None:
    root = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
    relative = isinstance(node, ast.ImportFrom) and node.level
    if not relative and root.partition(".")[0] in (*_OWN, "__future__") and not _attempt([node], space):
        return
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        space.setdefault(name, StandIn(name, number))


def _define(node: ast.ClassDef, space: dict[str, Any]) -> None:
    """Define a class, with the bases that are known; a torch module where none is."""
    bases = []
    for base in node.bases:
        try:
            found = eval(compile(ast.Expression(base), "<trial>", "eval"), space)
        except Exception:
            continue
        if isinstance(found, type) or getattr(found, "__origin__", None) is not None:
            bases.append(base)
    if not bases and node.bases:
        space.setdefault("__out_of_view__", OutOfView)
        bases = [ast.Name("__out_of_view__", ast.Load())]
    decorators = [d for d in node.decorator_list if "dataclass" in ast.dump(d)]
    plain = ast.ClassDef(node.name, bases, [], node.body, decorators)
    for extra in ("type_params",):
        if hasattr(node, extra):
            setattr(plain, extra, [])
    _attempt([ast.copy_location(plain, node)], space)


def _attempt(statements: list[ast.stmt], space: dict[str, Any]) -> str:
    """Run statements; what they raised, in words, or nothing."""
    tree = ast.fix_missing_locations(ast.Module(statements, []))
    try:
        exec(compile(tree, "<trial>", "exec"), space)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return ""


def _run(body: list[ast.stmt], space: dict[str, Any], skipped: list[tuple[ast.stmt, str]]) -> None:
    """Run the statements of a constructor one by one; of a choice, the branch that the arguments take."""
    for statement in body:
        if isinstance(statement, ast.Return):
            return
        if isinstance(statement, ast.If):
            try:
                test = eval(compile(ast.Expression(_named(statement.test)), "<trial>", "eval"), space)
                chosen = statement.body if test else statement.orelse
            except Exception as error:
                skipped.append((statement, f"{type(error).__name__}: {error}"[:200]))
                continue
            _run(chosen, space, skipped)
            continue
        error_text = _attempt([_named(statement)], space)
        if error_text:
            skipped.append((statement, error_text))


def _named(node: Any) -> Any:
    return _Super().visit(copy.deepcopy(node))


class _Super(ast.NodeTransformer):
    """`super()` needs a function of the class around it: name the class."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            node.args = [ast.Name("__the_class__", ast.Load()), ast.Name("self", ast.Load())]
        return node


# -- arguments -----------------------------------------------------------------------------------------------------


def _arguments(function: ast.FunctionDef, number: int) -> dict[str, Any]:
    """A value for every parameter of a constructor: its default where it has a plain one."""
    args = function.args
    positional = [*args.posonlyargs, *args.args][1:]
    pairs: list[tuple[ast.arg, ast.expr | None]] = []
    absent: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    pairs += zip(positional, [*absent, *args.defaults][-len(positional) :] if positional else [])  # noqa: B905
    pairs += zip(args.kwonlyargs, args.kw_defaults)  # noqa: B905
    given: dict[str, Any] = {}
    for position, (arg, default) in enumerate(pairs):
        kind = ast.unparse(arg.annotation) if arg.annotation is not None else ""
        try:
            value = ast.literal_eval(default)  # type: ignore[arg-type]
            given[arg.arg] = True if value is False and number == 1 else value
        except (ValueError, TypeError):
            given[arg.arg] = guess(arg.arg, kind, position, number)
    if args.vararg:
        given[args.vararg.arg] = ()
    if args.kwarg:
        given[args.kwarg.arg] = {}
    return given


def guess(name: str, kind: str, position: int, number: int) -> Any:
    """A value that a parameter or an attribute of this name is likely to take. kind: its annotation's text."""
    low = name.lower()
    if low in ("device", "dtype") or "Optional" in kind or "None" in kind:
        return None
    if any(w in low for w in ("config", "cfg", "args", "hparams", "opts")) or low in ("c", "opt", "params"):
        return StandIn(name, number)
    if kind == "bool" or low.startswith(("use_", "is_", "with_", "has_")) or low in ("bias", "affine", "learnable"):
        return True
    if kind == "str" or low in ("activation", "act", "mode", "method"):
        return "relu"
    if kind == "float" or any(w in low for w in ("dropout", "eps", "rate", "alpha", "momentum", "slope", "std")):
        return 0.1
    if "shape" in low or any(w in kind.lower() for w in ("tuple", "list", "sequence")):
        return (_SIZES[0], _SIZES[1])
    if "kernel" in low:
        return 3
    if any(w in low for w in ("stride", "dilation", "groups", "padding", "layers", "depth")):
        return 1
    if "head" in low and "dim" not in low:
        return 2
    if "expert" in low or "group" in low:
        return 16
    return _SIZES[0] if number == 1 else _SIZES[position % len(_SIZES)] if number == 0 else 8


def _written(function: ast.FunctionDef, given: dict[str, Any]) -> str:
    """The arguments as Python."""
    skip = {a.arg for a in (function.args.vararg, function.args.kwarg) if a is not None}
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if name not in skip)
