"""Whether a call fits the function that it calls: code in which it does not raises before anything trains."""

from __future__ import annotations

import ast

from autofix.transforms.loops._loops import Function


def rejects(function: Function, call: ast.Call, *, is_method: bool) -> bool:
    """Whether Python refuses the arguments of a call: too many, an unknown keyword, one twice, or one missing.

    is_method: whether the first parameter is bound already. Never where a decorator or an unpacked argument leaves
    the signature or the arguments open.
    """
    if function.decorator_list or any(isinstance(a, ast.Starred) for a in call.args):
        return False
    given = [k.arg for k in call.keywords if k.arg is not None]
    if len(given) < len(call.keywords):
        return False
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    bound = {a.arg for a in positional[: len(call.args) + is_method]}
    named = {a.arg for a in (*arguments.args, *arguments.kwonlyargs)}
    if len(call.args) + is_method > len(positional) and arguments.vararg is None:
        return True
    if arguments.kwarg is None and not named.issuperset(given):
        return True
    if any(k in bound and k in named for k in given):
        return True
    optional = len(positional) - len(arguments.defaults)
    needed = {a.arg for a in positional[:optional]}
    needed |= {a.arg for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None}
    return not needed <= bound | set(given)
