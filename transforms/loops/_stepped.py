"""The model that an optimizer steps: where it is built, what of this file it is made of, and how the loop uses it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, parameter
from autofix.transforms.loops._imports import definition_elsewhere
from autofix.transforms.loops._loops import LOOPS, Function, Pair, is_optimizer_call, local_function
from autofix.tree import walk

_PLACED = ("to", "cuda", "cpu", "float", "double", "half", "bfloat16", "train", "eval", "requires_grad_", "apply")
_PARAMETERS = ("parameters", "named_parameters", "trainable_parameters", "get_parameters")
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel", "compile")
_DEPTH = 4  # assignments and calls between a model and the place where it is built


@dataclass(frozen=True, slots=True)
class Stepped:
    """What is known of the stepped model.

    built: the expressions that build it, empty when it is made out of view; made: the identifiers in them and in the
    classes and functions that they lead to, in this file or the one they are imported from; classes: how many such
    classes; used: the identifiers of the
    functions around the loop, as far as they work with this model.
    """

    built: tuple[ast.expr, ...]
    made: frozenset[str]
    classes: int
    used: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        return self.made | self.used


def stepped(module: Module, found: Pair) -> Stepped:
    """The model behind the optimizer of a loop; where the optimizer says nothing, whatever the loop calls."""
    around = list(near(module, found))
    used = frozenset(w for n in around for w in identifiers(n))
    owners = owners_of(module, found.step.optimizer)
    if owners and not _is_fed(module, owners, around):
        used = frozenset()
    roots = owners or _called(around)
    built = tuple(v for root in roots for v in origins(module, root))
    own = [cls for r in roots if is_self(r) and (cls := module.class_of(r)) is not None]
    made: set[str] = set()
    classes = 0
    for part in (*parts(module, (*built, *own)), *_parts_elsewhere(module, built)):
        classes += isinstance(part, ast.ClassDef)
        made |= set(identifiers(part))
    return Stepped(built, frozenset(made), classes, used)


def owners_of(module: Module, optimizer: ast.expr) -> list[ast.expr]:
    """`model` in `Adam(model.parameters())`, also through lists of parameters, groups and functions that build the
    optimizer of a model; empty when that is out of view."""
    out: list[ast.expr] = []
    for built in origins(module, optimizer):
        if not isinstance(built, ast.Call):
            continue
        if isinstance(built.func, ast.Attribute) and built.func.attr == "configure_optimizers":
            out.append(built.func.value)
        for given in (*built.args, *(k.value for k in built.keywords)):
            out += _owners_in(module, given, is_optimizer_call(module, built))
    return out


def _owners_in(module: Module, given: ast.expr, constructs: bool) -> list[ast.expr]:
    """constructs: whether the call is an optimizer's class, which takes parameters and no model."""
    found = [
        n.func.value
        for n in walk(given)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in _PARAMETERS
    ]
    if found or not isinstance(given, (ast.Name, ast.Attribute)):
        return found
    behind = [
        o for v in constructors(module, given) if not isinstance(v, ast.Name) for o in _owners_in(module, v, True)
    ]
    if behind or constructs:
        return behind
    name = last_name(given)
    return [given] if name in ("model", "net", "network", "module", "policy") or name.endswith("_model") else []


def origins(module: Module, node: ast.expr, depth: int = _DEPTH) -> list[ast.expr]:
    """What a name or attribute was built as, through placement on devices and arguments of functions of this file."""
    if not depth:
        return []
    plain = bare(node)
    if plain is not node and isinstance(plain, (ast.Name, ast.Attribute)):
        return origins(module, plain, depth - 1)
    if isinstance(plain, ast.Call):
        return [plain]
    if isinstance(plain, ast.Attribute) and plain.attr == "module":
        return origins(module, plain.value, depth - 1)
    values = constructors(module, plain)
    if values:
        return [o for v in values for o in origins(module, v, depth - 1)]
    if not isinstance(plain, ast.Name):
        return []
    home = next((s for s in enclosing_scopes(module, plain) if parameter(s, plain.id) is not None), None)
    passed = passed_to(module, home, plain.id) if isinstance(home, (ast.FunctionDef, ast.AsyncFunctionDef)) else []
    return [o for a in passed for o in origins(module, a, depth - 1)]


def passed_to(module: Module, function: Function, name: str) -> list[ast.expr]:
    """The arguments that the calls in this file pass for a parameter of a function or a constructor."""
    place = next((n for n, a in enumerate([*function.args.posonlyargs, *function.args.args]) if a.arg == name), None)
    out: list[ast.expr] = []
    for call in calls_of(module, function):
        keyword = next((k.value for k in call.keywords if k.arg == name), None)
        shift = 1 if place is not None and _is_method(module, function) else 0
        if keyword is not None:
            out.append(keyword)
        elif place is not None and 0 <= place - shift < len(call.args):
            argument = call.args[place - shift]
            if not any(isinstance(a, ast.Starred) for a in call.args[: place - shift + 1]):
                out.append(argument)
    return out


def calls_of(module: Module, function: Function) -> list[ast.Call]:
    """The calls of a function, a method of `self`, or (for `__init__`) a class, in this file."""
    if function.name == "__init__":
        cls = module.class_of(function)
        name = cls.name if cls is not None else ""
        return module.calls(name) if name else []
    return [n for n in module.calls(function.name) if local_function(module, n) is function]


def _is_method(module: Module, function: Function) -> bool:
    cls = module.class_of(function)
    return cls is not None and any(s is function for s in cls.body)


def bare(model: ast.expr) -> ast.expr:
    """`Net()` in `DDP(Net().to(device)).train()`."""
    while isinstance(model, ast.Call):
        if isinstance(model.func, ast.Attribute) and model.func.attr in _PLACED:
            model = model.func.value
        elif last_name(model.func) in _WRAPPERS and model.args:
            model = model.args[0]
        else:
            break
    return model


def parts(module: Module, roots: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of some expressions, and of the classes and functions of this file that are named in them."""
    tops = {s.name: s for s in module.tree.body if isinstance(s, (ast.ClassDef, ast.FunctionDef))}
    pending: list[ast.AST] = list(roots)
    seen = {id(p) for p in pending}
    while pending:
        for node in walk(pending.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in tops and id(tops[node.id]) not in seen:
                seen.add(id(tops[node.id]))
                pending.append(tops[node.id])


def _parts_elsewhere(module: Module, built: Iterable[ast.expr]) -> Iterator[ast.AST]:
    """The same of what is imported from other files of the project, in those files."""
    for value in built:
        called = bare(value)
        found = definition_elsewhere(module, called.func) if isinstance(called, ast.Call) else None
        if found is not None:
            yield from parts(found[0], found[1:])


def _called(around: list[ast.AST]) -> list[ast.expr]:
    """The things that are called, or whose methods are called, each once: `model` and `self.net`."""
    out: dict[str, ast.expr] = {}
    for node in around:
        if not isinstance(node, ast.Call):
            continue
        for called in (node.func, node.func.value if isinstance(node.func, ast.Attribute) else None):
            if isinstance(called, ast.Name) or (isinstance(called, ast.Attribute) and is_self(called.value)):
                out.setdefault(ast.unparse(called), called)
    return [c for name, c in out.items() if name != "self" or any(_runs_itself(n) for n in around)]


def _runs_itself(node: ast.AST) -> bool:
    """`self(x)` or `self.forward(x)`: the class is the model."""
    if not isinstance(node, ast.Call):
        return False
    return is_self(node.func) or (
        isinstance(node.func, ast.Attribute) and node.func.attr == "forward" and is_self(node.func.value)
    )


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_fed(module: Module, owners: list[ast.expr], around: list[ast.AST]) -> bool:
    """Whether the loop hands the model its data, hands the model to something, or uses it out of view."""
    names = {ast.unparse(o) for o in owners}
    mentioned = False
    for node in around:
        if not isinstance(node, ast.Call):
            continue
        given = [*node.args, *(k.value for k in node.keywords)]
        if any(isinstance(g, (ast.Name, ast.Attribute)) and ast.unparse(g) in names for g in given):
            return True
        func = node.func
        while isinstance(func, ast.Attribute) and ast.unparse(func) not in names:
            func = func.value
        if isinstance(func, (ast.Name, ast.Attribute)) and ast.unparse(func) in names:
            mentioned |= last_name(node.func) not in (*_PARAMETERS, *_PLACED, "zero_grad")
            if given and last_name(node.func) not in (*_PLACED, "zero_grad", "state_dict"):
                return True
    return not mentioned


def near(module: Module, found: Pair) -> Iterator[ast.AST]:
    """The functions around the backward pass and the step, and those of this file that they call."""
    scopes: list[ast.AST] = []
    for call in (found.step.call, found.backward.call, found.call):
        function = module.function_scope(call)
        if function is module.tree:
            loops = [a for a in module.ancestors(call) if isinstance(a, LOOPS)]
            scopes.append(loops[-1] if loops else found.first)
        else:
            scopes.append(function)
    if found.backward.helper is not None:
        scopes.append(found.backward.helper)
    called = [f for s in scopes for n in walk(s) if isinstance(n, ast.Call) and (f := local_function(module, n))]
    seen: set[int] = set()
    for scope in (*scopes, *called):
        if id(scope) not in seen:
            seen.add(id(scope))
            yield from walk(scope)


def identifiers(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        padding = node.attr == "rnn" and isinstance(node.value, ast.Attribute)  # torch.nn.utils.rnn.pad_sequence
        return () if padding and last_name(node.value) == "utils" else (node.attr,)
    if isinstance(node, (ast.arg, ast.keyword)):
        return (node.arg or "",)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return (node.slice.value,)  # `batch["input_ids"]`
    return ()
