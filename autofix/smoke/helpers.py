"""Small pure functions of the file that a slice calls: their source is kept, so that they run too."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from autofix.smoke.slices import stores
from autofix.syntax import Module

_MOST_STATEMENTS = 12


class Unopenable(Exception):
    """The statements cannot be run out of their place; the message says why."""


class Opener(Protocol):
    """What opens the statements of a file: names in full, opaque parts as leaves."""

    helpers: dict[str, str]

    @property
    def leaves(self) -> Mapping[str, Any]: ...

    def inside(self, names: set[str], share: bool = False) -> Opener: ...

    def read(self) -> set[str]: ...

    def open(self, statements: Sequence[ast.stmt], result: bool = True) -> list[ast.stmt]: ...

    def expression(self, node: ast.expr) -> ast.expr: ...


def helper_source(function: ast.FunctionDef, opener: Opener) -> str | None:
    """The function with library names in full, or None when it needs anything that is not torch or its arguments."""
    if function.decorator_list or len(list(_statements(function))) > _MOST_STATEMENTS:
        return None
    own = {a.arg for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]}
    inner = opener.inside(own | stores(function.body) | {function.name})
    opener.helpers.setdefault(function.name, "")  # so that recursion ends
    try:
        body = [_rebuild(statement, inner) for statement in function.body]
        arguments = ast.parse(f"def f({_signature(function)}): pass").body[0]
    except Unopenable:
        return None
    finally:
        del opener.helpers[function.name]
    if inner.leaves:
        return None
    copy = ast.FunctionDef(function.name, arguments.args, body, [], None)  # type: ignore[attr-defined]
    return ast.unparse(ast.fix_missing_locations(copy))


def autograd_source(cls: ast.ClassDef) -> str:
    """An autograd function as it stands, its base in full."""
    copy = ast.ClassDef(cls.name, [ast.parse("torch.autograd.Function", mode="eval").body], [], cls.body, [])
    return ast.unparse(ast.fix_missing_locations(copy))


def method_source(method: ast.FunctionDef, name: str, opener: Opener) -> str | None:
    """A method as a function `name` without its first argument, whose attributes of `self` are leaves of `opener`; None
    when it is more than a few statements in a row, or needs anything else."""
    if method.decorator_list or not method.args.args or len(list(_statements(method))) > _MOST_STATEMENTS:
        return None
    plain = ast.FunctionDef(name, method.args, method.body, [], None)
    own = {a.arg for a in method.args.args[1:]}
    inner = opener.inside(own | stores(method.body), share=True)
    try:
        body = [_rebuild(statement, inner) for statement in method.body if not _is_docstring(statement)]
        arguments = _signature(plain).partition(", ")[2]
    except Unopenable:
        return None
    if any(not text.startswith("self.") for text in inner.read()):
        return None
    head = ast.parse(f"def f({arguments}): pass").body[0]
    copy = ast.FunctionDef(name, head.args, body, [], None)  # type: ignore[attr-defined]
    return ast.unparse(ast.fix_missing_locations(copy))


def carrier_source(name: str) -> str:
    """Stands in for an autograd function of another file that hands its first argument on and gives a gradient of one
    to the losses behind it."""
    return (
        f"class {name}(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, output, *losses):\n"
        "        ctx.losses = losses\n"
        "        return output\n\n"
        "    @staticmethod\n"
        "    def backward(ctx, gradient):\n"
        "        ones = [torch.ones_like(x) if isinstance(x, torch.Tensor) else None for x in ctx.losses]\n"
        "        return (gradient, *ones)"
    )


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _rebuild(statement: ast.stmt, opener: Opener) -> ast.stmt:
    if isinstance(statement, ast.If):
        return ast.If(
            opener.expression(statement.test),
            [_rebuild(s, opener) for s in statement.body],
            [_rebuild(s, opener) for s in statement.orelse],
        )
    if isinstance(statement, ast.Return):
        return ast.Return(opener.expression(statement.value) if statement.value is not None else None)
    if isinstance(statement, (ast.Assign, ast.Expr)):
        opened = opener.open([statement], result=False)
        return opened[0] if opened else ast.Pass()
    raise Unopenable(type(statement).__name__)


def _signature(function: ast.FunctionDef) -> str:
    args = [*function.args.posonlyargs, *function.args.args]
    if function.args.vararg or function.args.kwarg or function.args.kwonlyargs:
        raise Unopenable("a helper with variable arguments")
    defaults: list[ast.expr | None] = [None] * (len(args) - len(function.args.defaults)) + list(function.args.defaults)
    return ", ".join(
        a.arg + (f"={ast.unparse(d)}" if d is not None else "") for a, d in zip(args, defaults, strict=True)
    )


def _statements(function: ast.FunctionDef) -> Iterable[ast.stmt]:
    return (n for n in ast.walk(function) if isinstance(n, ast.stmt))


def is_stored(module: Module, node: ast.Name) -> bool:
    """Whether the function around a name binds it, so that it is not the builtin."""
    return bool(module.flow(node).stores(node.id)) or is_local(module, node)


def is_local(module: Module, node: ast.Name) -> bool:
    """Whether the innermost function binds the name itself."""
    scope = module.function_scope(node)
    if isinstance(scope, ast.Module):
        return False
    args = scope.args  # type: ignore[attr-defined]
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return any(a is not None and a.arg == node.id for a in every) or bool(module.flow(node).stores(node.id))
