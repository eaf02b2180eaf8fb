"""Makes the statements of a training loop executable among stand-ins.

What trains (backward, step, clipping, unscaling, zeroing, and the patch itself) stays as it is. Around it, statements
that fail only leave stand-ins behind, conditions on stand-ins take the branch that trains, loops over stand-ins turn
twice, and handlers, assertions and raises are left out so that nothing hides an error of the patch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

TRAINING = {
    "backward", "manual_backward", "step", "unscale_", "clip_grad_norm_", "clip_grad_norm", "clip_grad_value_",
    "clip_gradients", "clip_grads_with_norm_", "zero_grad", "backward_pass", "optimizer_step",
}  # fmt: skip
_TURNS = 64  # of a loop inside the region: an opaque or endless one must not eat the time


class Region:
    """The statements of one side (before or after), parsed from `text`, with what is known about them.

    imports: what its names mean, as the file of that side imports them.
    """

    def __init__(self, text: str, changed: Iterable[int], imports: Mapping[str, str]) -> None:
        self.imports = imports
        self.tree = ast.parse(text)
        body = self.tree.body
        if len(body) == 1 and isinstance(body[0], ast.If) and ast.unparse(body[0].test) == "__region__":
            body = body[0].body
        self.body = body
        self.changed = set(changed)
        self.keys: dict[ast.If, str] = {}
        counts: dict[str, int] = {}
        for node in _in_order(body):
            if isinstance(node, ast.If):
                text = ast.unparse(node.test)
                counts[text] = counts.get(text, 0) + 1
                self.keys[node] = f"{text}#{counts[text]}"

    @classmethod
    def of(cls, spec: Mapping[str, Any], side: str) -> Region:
        """The statements of `side`, "before" or "after", of a planned trial."""
        return cls(spec[side], spec[f"{side}_changed"], spec[f"{side}_imports"])

    def preferences(self) -> dict[str, bool]:
        """For each `if`, which branch trains: the one with the patch, else the one with an optimizer's step, else
        the one with another training call. Missing where neither does, and where nothing but the patch trains in an
        `if` that was there before: whether that is the right place is what the trial must find out."""
        out: dict[str, bool] = {}
        for node, key in self.keys.items():
            if node.lineno not in self.changed and not self._trained_before(node):
                continue
            for measure in (self._has_patch, _has_step, _has_training):
                yes, no = measure(node.body), measure(node.orelse)
                if yes or no:
                    out[key] = yes
                    break
        return out

    def _trained_before(self, node: ast.If) -> bool:
        found = [n for n in ast.walk(node) if isinstance(n, ast.Call) and n.lineno not in self.changed]
        return any(_call_name(call) in TRAINING for call in found)

    def _has_patch(self, body: list[ast.stmt]) -> bool:
        return any(s.lineno in self.changed for s in _in_order(body) if isinstance(s, ast.stmt))

    def names(self) -> set[str]:
        """Every plain name that is read or bound."""
        return {n.id for s in self.body for n in ast.walk(s) if isinstance(n, ast.Name)}

    def assigned(self) -> set[str]:
        """Every plain name that is bound, nested functions included."""
        names = [n for s in self.body for n in ast.walk(s) if isinstance(n, ast.Name)]
        return {n.id for n in names if not isinstance(n.ctx, ast.Load)}

    def compile(self, carriers: Iterable[str], scalers: Iterable[str], name: str) -> Any:
        """Code that defines `__turn__`, one turn of the loop, in the namespace it is executed in."""
        maker = _Maker(self, set(carriers), set(scalers))
        body = maker.block(self.body)
        turn = ast.For(_store("__once"), _tuple(ast.Constant(0)), body or [ast.Pass()], [])
        bound = sorted(_bound(body) | {"__once"})
        function = ast.parse("def __turn__(): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = [ast.Global(bound), turn]
        module = ast.Module([function], [])
        return compile(ast.fix_missing_locations(module), name, "exec")


class _Maker:
    def __init__(self, region: Region, carriers: set[str], scalers: set[str]) -> None:
        self.region = region
        self.expressions = _Expressions(carriers, scalers)
        self.fresh = 0

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for statement in statements:
            if statement.lineno in self.region.changed:
                out.append(_at(statement, ast.Expr(_call("__reached__"))))
            out.extend(_at(statement, s) for s in self.statement(statement))
        return out

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        method = getattr(self, "_" + type(node).__name__, None)
        if method is not None:
            result: list[ast.stmt] = method(node)
            return result
        return self._simple(node)

    def _simple(self, node: ast.stmt) -> list[ast.stmt]:
        essential = node.lineno in self.region.changed or _has_training([node])
        targets = sorted(_bound([node]))
        first = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.Assign) and isinstance(first, (ast.Tuple, ast.List)):
            node.value = _call("__unpack__", node.value, _shape(first))
        new = self.expressions.visit(node)
        restore = [ast.Expr(_call("__restore__"))] if targets else []
        if essential:
            return [new, *restore]
        lost = ast.Expr(_call("__lost__", *[ast.Constant(t) for t in targets]))
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [lost])
        return [ast.Try([new], [handler], [], []), *restore]

    # -- compound statements ---------------------------------------------------------------------------

    def _If(self, node: ast.If) -> list[ast.stmt]:
        key = self.region.keys.get(node, "")
        test = _call("__choose__", _lambda(self.expressions.visit(node.test)), ast.Constant(key))
        return [ast.If(test, self.block(node.body) or [ast.Pass()], self.block(node.orelse))]

    def _For(self, node: ast.For) -> list[ast.stmt]:
        self.fresh += 1
        item = f"__item{self.fresh}"
        source = _call("__iterate__", _lambda(self.expressions.visit(node.iter)))
        value: ast.expr = ast.Name(item, ast.Load())
        if isinstance(node.target, (ast.Tuple, ast.List)):
            value = _call("__unpack__", value, _shape(node.target))
        take = ast.Assign([node.target], value)
        body = [take, ast.Expr(_call("__restore__")), *self.block(node.body)]
        return [ast.For(_store(item), source, body, self.block(node.orelse))]

    _AsyncFor = _For

    def _While(self, node: ast.While) -> list[ast.stmt]:
        self.fresh += 1
        test = _call("__choose__", _lambda(self.expressions.visit(node.test)), ast.Constant("while"))
        stop = ast.If(ast.UnaryOp(ast.Not(), test), [ast.Break()], [])
        turns = _call("range", ast.Constant(_TURNS))
        return [ast.For(_store(f"__turn{self.fresh}"), turns, [stop, *self.block(node.body)], [])]

    def _With(self, node: ast.With) -> list[ast.stmt]:
        items = [
            ast.withitem(
                _call("__context__", _lambda(self.expressions.visit(i.context_expr))),
                i.optional_vars if isinstance(i.optional_vars, (ast.Name, ast.Attribute)) else None,
            )
            for i in node.items
        ]
        return [ast.With(items, self.block(node.body))]

    _AsyncWith = _With

    def _Try(self, node: ast.Try) -> list[ast.stmt]:
        return self.block([*node.body, *node.orelse, *node.finalbody])

    _TryStar = _Try

    def _Match(self, node: Any) -> list[ast.stmt]:
        """The first case that trains."""
        bodies: list[list[ast.stmt]] = [case.body for case in node.cases]
        chosen = next((b for b in bodies if self.region._has_patch(b) or _has_training(b)), [])
        return self.block(chosen)

    def _FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = {a.arg for a in [*arguments, node.args.vararg, node.args.kwarg] if a is not None}
        body = self.block(node.body)
        shared = sorted(_bound(body) - own)
        new = ast.parse(f"def {node.name}(): pass").body[0]
        assert isinstance(new, ast.FunctionDef)
        new.args = self.expressions.visit(node.args)
        new.body = [*([ast.Global(shared)] if shared else []), *(body or [ast.Pass()])]
        return [new]

    _AsyncFunctionDef = _FunctionDef

    # -- statements that are left out -------------------------------------------------------------------

    def _nothing(self, node: ast.stmt) -> list[ast.stmt]:
        return [ast.Pass()]

    _Assert = _Raise = _Delete = _Global = _Nonlocal = _nothing

    def _Return(self, node: ast.Return) -> list[ast.stmt]:
        if node.value is None:
            return [ast.Return(None)]
        value = self.expressions.visit(node.value)
        return [ast.Return(_call("__attempt__", _lambda(value)))]

    def _Break(self, node: ast.stmt) -> list[ast.stmt]:
        return [node]

    _Continue = _Pass = _Break


class _Expressions(ast.NodeTransformer):
    """Losses become real where they are differentiated; opaque truth values stay opaque."""

    def __init__(self, carriers: set[str], scalers: set[str]) -> None:
        self.carriers = carriers
        self.scalers = scalers

    def visit_Await(self, node: ast.Await) -> Any:
        return self.visit(node.value)

    def visit_Yield(self, node: ast.Yield) -> Any:
        return self.visit(node.value) if node.value is not None else ast.Constant(None)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> Any:
        return self.visit(node.value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        return _call("__not__", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        other = node.comparators[0]
        if len(node.ops) == 1 and isinstance(other, ast.Constant) and other.value is None:
            if isinstance(node.ops[0], ast.Is):
                return _call("__is_none__", node.left)
            if isinstance(node.ops[0], ast.IsNot):
                return _call("__not__", _call("__is_none__", node.left))
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        function = node.func
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        self.generic_visit(node)
        if not isinstance(function, ast.Attribute):
            return node
        carried = function.attr in ("backward", "manual_backward") and owner in self.carriers and node.args
        if carried or (function.attr == "scale" and owner in self.scalers and node.args):
            node.args[0] = _call("__loss__", _lambda(node.args[0]))
        elif function.attr == "backward":
            function.value = _call("__loss__", _lambda(function.value))
        return node


def _in_order(body: list[ast.stmt]) -> list[ast.AST]:
    out: list[ast.AST] = []
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        out.append(node)
        pending.extend(reversed(list(ast.iter_child_nodes(node))))
    return out


def _calls(body: Iterable[ast.AST]) -> set[str]:
    return {_call_name(n) for s in body for n in ast.walk(s) if isinstance(n, ast.Call)}


def _call_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _has_training(body: list[ast.stmt]) -> bool:
    return bool(_calls(body) & TRAINING)


def _has_step(body: list[ast.stmt]) -> bool:
    return bool(_calls(body) & {"step", "optimizer_step"})


def _bound(body: Iterable[ast.AST]) -> set[str]:
    """Plain names that statements bind, those of nested functions apart."""
    names: set[str] = set()
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).partition(".")[0] for a in node.names if a.name != "*")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
            continue
        pending.extend(ast.iter_child_nodes(node))
    return names


def _shape(target: ast.expr) -> ast.expr:
    """How a target unpacks: nested tuples, `None` for one value, "*" for a starred one."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return ast.Tuple([_shape(e) for e in target.elts], ast.Load())
    return ast.Constant("*" if isinstance(target, ast.Starred) else None)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _lambda(body: ast.expr) -> ast.Lambda:
    none = ast.arguments(posonlyargs=[], args=[], vararg=None, kwonlyargs=[], kw_defaults=[], kwarg=None, defaults=[])
    return ast.Lambda(none, body)


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _tuple(*values: ast.expr) -> ast.Tuple:
    return ast.Tuple(list(values), ast.Load())


def _at(original: ast.stmt, new: ast.stmt) -> ast.stmt:
    """Give made nodes the line of the statement they came from: errors name it."""
    for node in ast.walk(new):
        if isinstance(node, (ast.stmt, ast.expr, ast.excepthandler)) and not hasattr(node, "lineno"):
            ast.copy_location(node, original)
    return new
