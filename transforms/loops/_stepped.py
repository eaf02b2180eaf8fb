"""The model that an optimizer steps: where it is built, what of this file it is made of, and how the loop uses it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import bindings, constructors, enclosing_scopes, last_name, parameter
from autofix.transforms.loops._handed import argument, handed_in
from autofix.transforms.loops._imports import definition_elsewhere
from autofix.transforms.loops._loops import LOOPS, Function, Pair, is_optimizer_call, local_function
from autofix.tree import walk

_PLACED = ("to", "cuda", "cpu", "float", "double", "half", "bfloat16", "train", "eval", "requires_grad_", "apply")
_PARAMETERS = ("parameters", "named_parameters", "trainable_parameters", "get_parameters")
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel", "compile")
_BUILDS = re.compile(r"^_*[A-Z]|build|create|make|instantiate|from_pretrained|load|^get_|_model$|hub")
_DEFINITIONS = 12  # classes and functions of other files that a model is followed into
_CONTAINERS = ("ModuleList", "ModuleDict", "Sequential")
_DEPTH = 4  # assignments and calls between a model and the place where it is built


@dataclass(frozen=True, slots=True)
class Stepped:
    """What is known of the stepped model.

    built: the expressions of this file that build it, empty when it is made out of view; makers: the names of what
    they call, and of what other files call that hand the model to this one; nodes: those of these expressions and of
    the classes and functions that they lead to, in this file and others of the project; made: the identifiers among
    them; classes: how many such classes; whole: whether they show every layer; used: the identifiers of the functions
    around the loop, as far as they work with this model.
    """

    built: tuple[ast.expr, ...]
    makers: tuple[str, ...]
    nodes: tuple[ast.AST, ...]
    made: frozenset[str]
    classes: int
    whole: bool
    used: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        """What says of which kind the model is: where all of it is in view, what the loop calls beside it says
        nothing (frozen models, a tokenizer, a borrowed embedding)."""
        return self.made if self.whole else self.made | self.used


def stepped(module: Module, found: Pair) -> Stepped:
    """The model behind the optimizer of a loop; where the optimizer says nothing, whatever the loop calls."""
    around = list(near(module, found))
    used = frozenset(w for n in around for w in identifiers(n))
    owners = owners_of(module, found.step.optimizer)
    if owners and not _is_fed(module, owners, around):
        used = frozenset()
    roots = owners or _called(around)
    made_of = [[*origins(module, r), *_filled(module, r)] or annotated(module, r) for r in roots]
    built = tuple(v for values in made_of for v in values)
    own = [cls for r in roots if is_self(r) and (cls := module.class_of(r)) is not None]
    others = _built_elsewhere(module, found.step.optimizer, owners)
    nodes, whole = _making((module, (*built, *own)), *others)
    made = frozenset(w for n in nodes for w in identifiers(n))
    classes = sum(isinstance(n, ast.ClassDef) for n in nodes)
    empty = any(isinstance(b, ast.Call) and last_name(b.func) in _CONTAINERS and not b.args for b in built)
    whole = whole and not (empty and not any(_filled(module, r) for r in roots))
    makers = tuple(last_name(v) for v in (*built, *(v for _, values in others for v in values)))
    return Stepped(built, makers, tuple(nodes), made, classes, whole and bool(owners) and all(made_of), used)


def _built_elsewhere(
    module: Module, optimizer: ast.expr, owners: list[ast.expr]
) -> list[tuple[Module, tuple[ast.expr, ...]]]:
    """The expressions that build the model in other files of the project, which hand it, or its optimizer, to this."""
    if owners:
        open_ = [o for o in owners if not origins(module, o) and not _filled(module, o) and not annotated(module, o)]
        given = [(m, a) for o in open_ for m, a in handed_in(module, o)]
    else:
        made = origins(module, optimizer)
        given = [] if made else [(m, o) for m, a in handed_in(module, optimizer) for o in owners_of(m, a)]
    return [(m, tuple(origins(m, a))) for m, a in given]


def stepped_layers(module: Module, optimizer: ast.expr) -> list[ast.expr]:
    """The expressions that build what an optimizer steps, containers opened; empty where one is out of view."""
    made_of = [_filled(module, o) or origins(module, o) for o in owners_of(module, optimizer)]
    return [bare(v) for values in made_of for v in values] if all(made_of) else []


def owners_of(module: Module, optimizer: ast.expr) -> list[ast.expr]:
    """`model` in `Adam(model.parameters())`, also through lists of parameters, groups and functions that build the
    optimizer of a model; empty when that is out of view."""
    out: list[ast.expr] = []
    configured = [o for c in _configured(module, optimizer) for o in origins(module, c)]
    made = configured or origins(module, optimizer)
    for built in made:
        if not isinstance(built, ast.Call):
            continue
        if isinstance(built.func, ast.Attribute) and built.func.attr == "configure_optimizers":
            out.append(built.func.value)
        for given in (*built.args, *(k.value for k in built.keywords)):
            out += _owners_in(module, given, is_optimizer_call(module, built))
    return out


def _configured(module: Module, optimizer: ast.expr) -> list[ast.expr]:
    """What Lightning's `configure_optimizers` returns in the place of `b` in `a, b = self.optimizers()`."""
    out: list[ast.expr] = []
    for statement, _ in bindings(module, optimizer):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
            continue
        cls = module.class_of(statement)
        method = module.method(cls, "configure_optimizers") if cls is not None else None
        if method is None or last_name(statement.value.func) != "optimizers":
            continue
        target = statement.targets[0]
        named = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        place = next((n for n, e in enumerate(named) if last_name(e) == last_name(optimizer)), 0)
        for value in (n.value for n in walk(method) if isinstance(n, ast.Return)):
            while isinstance(value, (ast.Tuple, ast.List)) and value.elts and isinstance(value.elts[0], ast.List):
                value = value.elts[0]
            listed = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
            if place < len(listed) and (chosen := listed[place]) is not None:
                out.append(chosen)
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


def _filled(module: Module, node: ast.expr) -> list[ast.expr]:
    """What is put into a container of layers that a class keeps: `self.heads[task] = Linear(...)`."""
    cls = module.class_of(node)
    if cls is None or not isinstance(node, ast.Attribute) or not is_self(node.value):
        return []
    return [
        n.value
        for n in walk(cls)
        if isinstance(n, ast.Assign)
        and any(isinstance(t, ast.Subscript) and ast.unparse(t.value) == ast.unparse(node) for t in n.targets)
    ]


def annotated(module: Module, node: ast.expr) -> list[ast.expr]:
    """The class of the project that a parameter is annotated with: `Router` in `def fit(self, router: Router)`."""
    if not isinstance(node, ast.Name):
        return []
    homes = (parameter(s, node.id) for s in enclosing_scopes(module, node))
    given = next((a.annotation for a in homes if a is not None), None)
    if not isinstance(given, (ast.Name, ast.Attribute)):
        return []
    here = any(isinstance(s, ast.ClassDef) and s.name == last_name(given) for s in module.tree.body)
    return [given] if here or definition_elsewhere(module, given) is not None else []


def passed_to(module: Module, function: Function, name: str) -> list[ast.expr]:
    """The arguments that the calls in this file pass for a parameter of a function or a constructor."""
    bound = is_method(module, function)
    given = (argument(call, function, name, bound=bound) for call in calls_of(module, function))
    return [a for a in given if a is not None]


def calls_of(module: Module, function: Function) -> list[ast.Call]:
    """The calls of a function, a method of `self`, or (for `__init__`) a class, in this file."""
    if function.name == "__init__":
        cls = module.class_of(function)
        name = cls.name if cls is not None else ""
        return module.calls(name) if name else []
    return [n for n in module.calls(function.name) if local_function(module, n) is function]


def is_method(module: Module, function: Function) -> bool:
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


def _making(*roots: tuple[Module, Sequence[ast.AST]]) -> tuple[list[ast.AST], bool]:
    """The nodes that some expressions of some files lead to, in the files of the project that define what they call,
    and whether that is all: no layer comes from another package, an argument or a function that is not found."""
    nodes: list[ast.AST] = []
    whole = True
    pending: list[tuple[Module, Sequence[ast.AST]]] = list(roots)
    seen: set[tuple[str, str]] = set()
    while pending:
        file, tops = pending.pop()
        fresh = list(parts(file, tops))
        nodes += fresh
        whole = whole and not any(_takes_layers(n) for n in fresh if isinstance(n, ast.ClassDef))
        built = [t.func if isinstance(t, ast.Call) else t for t in map(_bare_or_itself, tops)]
        makers = [f for f in _makers(fresh) if _BUILDS.search(last_name(f))]
        for func in (*makers, *(b for b in built if isinstance(b, ast.expr))):
            if (file.qualified(func) or "").startswith("torch."):
                continue
            found = definition_elsewhere(file, func) if len(seen) < _DEFINITIONS else None
            if found is None:
                whole = whole and _is_here(file, func)
            elif (key := (found[0].path, found[1].name)) not in seen:
                seen.add(key)
                pending.append((found[0], [found[1]]))
    return nodes, whole


def _bare_or_itself(node: ast.AST) -> ast.AST:
    return bare(node) if isinstance(node, ast.expr) else node


def _makers(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    """What is called among some nodes, and what their classes derive from."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node.func
        elif isinstance(node, ast.ClassDef):
            yield from node.bases


def _is_here(module: Module, func: ast.expr) -> bool:
    """Whether a name is a class, function or method of this file, or a class that is no layer."""
    name = last_name(func)
    if isinstance(func, ast.Attribute) and is_self(func.value):
        return True
    if name.endswith(("Error", "Exception", "Warning")):
        return True
    return isinstance(func, ast.Name) and any(
        isinstance(s, (ast.ClassDef, ast.FunctionDef)) and s.name == name for s in module.tree.body
    )


def _takes_layers(cls: ast.ClassDef) -> bool:
    """Whether a class calls something that it was handed: `self.backbone = backbone`, then `self.backbone(x)`."""
    kept = {
        t.attr
        for n in walk(cls)
        if isinstance(n, ast.Assign) and isinstance(n.value, ast.Name)
        for t in n.targets
        if isinstance(t, ast.Attribute) and is_self(t.value)
    }
    called = (n.func for n in walk(cls) if isinstance(n, ast.Call))
    return any(isinstance(f, ast.Attribute) and is_self(f.value) and f.attr in kept for f in called)


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
