"""Whether anything in the file may initialise a parameter. Whatever could, counts: uncertain means initialised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix.syntax import Module
from autofix.transforms.initialisation._parameters import Made, is_self
from autofix.tree import last_part, walk

# Classes outside the file whose constructors are known to leave a subclass's own parameters alone.
_KNOWN_BASES = re.compile(
    r"torch\.nn\.(modules\.\w+\.)?\w+|torch\.jit\.ScriptModule|(pytorch_lightning|lightning(\.pytorch)?)\.LightningModule"
    r"|torch_geometric\.nn(\.conv)?\.MessagePassing|abc\.ABC|object"
)
# What fills parameters elsewhere: checkpoints, serving engines, what replaces a layer for inference, deferred and
# sharded construction.
FILLED_ELSEWHERE = re.compile(
    r"load_state_dict\(|_load_from_state_dict|load_weights|weight_loader|set_weight_attrs|from_pretrained\(|init_empty_weights"
    r"|param_init_fn|deferred_init|[\"']meta[\"']|from_float|PreTrainedModel|post_init\(\)|dequant|load_checkpoint"
    r"|hypernet|class \w*Inference"
)
_INITIAL = re.compile(
    r"init|reset|fill|copy|load|xavier|kaiming|normal_|uniform_|trunc|orthogonal|glorot|zeros?_|ones?_", re.I
)
_OVER_ALL = re.compile(
    r"parameters\(|_parameters\b|\bmodules\(|children\(|state_dict\(|_flat_weights|__dict__|all_weights"
)
_WRITES = re.compile(r"init|\w_\(|\.data\b|\bcopy_|fill|reset", re.I)
_SHAPE_ONLY = frozenset(
    ("shape", "size", "dim", "numel", "nelement", "ndim", "device", "dtype", "requires_grad", "requires_grad_", "T",
     "t", "stride", "is_cuda", "register_hook", "element_size", "grad", "type")
)  # fmt: skip
_MOVES = frozenset(("to", "unsqueeze", "view", "reshape", "expand", "transpose", "t", "type_as", "float", "repeat"))
_HARMLESS = re.compile(r"super|isinstance|len|type|id|print|register\w*|__init__")
_SETS_UP = re.compile(
    r"init|reset|build|setup|set_|load|create|make|param|weight|copy|from_|_post|assign|convert|merge|tie", re.I
)
_INITIALISERS = re.compile(r"_?(init|initialize|initialise|reset)_(weights?|parameters?|params)|init_weights_\w+")


def may_be_initialised(module: Module, made: Made) -> bool:
    """Whether the file shows, or leaves open, that something writes to the parameter before it is read."""
    if FILLED_ELSEWHERE.search(module.text):
        return True
    family = family_of(module, made.cls)
    if family is None:
        return True
    text = "\n".join(module.source(cls) for cls in family)
    if re.search(
        r"\b(getattr|setattr|vars)\(\s*self\b|__dict__(\[|\.update)|\.apply\(\s*(?!lambda\b)[\w.]*(init|reset|weight)",
        text,
    ):
        return True
    resets = re.search(r"\b(self|super\([^)]*\))\._?reset_parameters\(", text)
    if resets and made.name in ("weight", "bias") and any(not _is_plain_module(module, c) for c in family):
        return True
    if _deferred(module):
        return True
    return _mentioned(module, family, made) or _whole_module(module, family) or _by_others(module, family, made)


def reads_only(module: Module, made: Made) -> bool:
    """Whether the class computes with a buffer, and every mention of it outside its registration does just that."""
    inside = module.span(made.statement)
    mentions = [
        n
        for n in walk(made.cls)
        if isinstance(n, ast.Attribute)
        and n.attr == made.name
        and is_self(n.value)
        and not inside.start <= module.span(n).start < inside.end
    ]
    return bool(mentions) and all(_is_operand(module, n) for n in mentions)


def _is_operand(module: Module, node: ast.expr) -> bool:
    """Whether `self.<name>`, moved or indexed, is an operand of arithmetic or of a function of torch that returns
    something new."""
    current: ast.expr = node
    while isinstance(current.ctx if hasattr(current, "ctx") else ast.Load(), ast.Load):
        parent = module.parent(current)
        if isinstance(parent, ast.Subscript) and parent.value is current:
            current = parent
            continue
        if isinstance(parent, ast.BinOp):
            return True
        if isinstance(parent, ast.Call) and current in parent.args:
            dotted = module.qualified(parent.func) or ""
            known = dotted.startswith(("torch.nn.functional.", "torch.")) and not dotted.startswith("torch.ops")
            return known and not dotted.endswith(("_norm", "_")) and ".init" not in dotted
        if isinstance(parent, ast.Attribute):
            call = module.parent(parent)
            if parent.attr in ("T", "mT"):
                current = parent
                continue
            if parent.attr in _MOVES and isinstance(call, ast.Call) and call.func is parent:
                current = call
                continue
        return False
    return False


def family_of(module: Module, cls: ast.ClassDef) -> list[ast.ClassDef] | None:
    """The class, the classes of the file it derives from and those that derive from it; None when one of its bases is
    out of view and may initialise it."""
    here = {n.name: n for n in module.tree.body if isinstance(n, ast.ClassDef)}
    family, pending = [cls], [cls]
    while pending:
        current = pending.pop()
        for base in current.bases:
            known = here.get(base.id) if isinstance(base, ast.Name) else None
            if known is not None:
                if known not in family:
                    family.append(known)
                    pending.append(known)
                continue
            dotted = module.qualified(base) or (base.id if isinstance(base, ast.Name) else "")
            if isinstance(base, ast.Subscript):
                continue
            if not _KNOWN_BASES.fullmatch(dotted):
                return None
        if not current.bases:
            return None  # no module of torch: a mixin, whose class initialises it
    grown = True
    while grown:
        names = {c.name for c in family[:1]} | {c.name for c in family if _derives(c, cls, here)}
        more = [c for c in here.values() if c not in family and any(last_part(b) in names for b in c.bases)]
        family += more
        grown = bool(more)
    return family


def _derives(cls: ast.ClassDef, root: ast.ClassDef, here: dict[str, ast.ClassDef]) -> bool:
    seen: set[str] = set()
    pending = [cls]
    while pending:
        for base in pending.pop().bases:
            name = last_part(base)
            if name == root.name:
                return True
            if name in here and name not in seen:
                seen.add(name)
                pending.append(here[name])
    return False


def _is_plain_module(module: Module, cls: ast.ClassDef) -> bool:
    here = {n.name for n in module.tree.body if isinstance(n, ast.ClassDef)}
    return all(module.qualified(b) == "torch.nn.Module" or last_part(b) in here for b in cls.bases)


# -- in the class --------------------------------------------------------------------------------------------------


def _mentioned(module: Module, family: list[ast.ClassDef], made: Made) -> bool:
    """Whether a method of the class does to `self.<name>` what may write to it."""
    inside = module.span(made.statement)
    for cls in family:
        for node in walk(cls):
            if not isinstance(node, ast.Attribute) or node.attr != made.name or not is_self(node.value):
                continue
            place = module.span(node)
            if inside.start <= place.start < inside.end:
                continue
            if _may_write(module, node):
                return True
    return False


def _may_write(module: Module, node: ast.expr) -> bool:
    """Whether what is done to `self.<name>` here may write to it."""
    function = module.function_scope(node)
    name = getattr(function, "name", "")
    runs = not _SETS_UP.search(name) and not re.search(rf"\b(self|super\(\))\.{name}\(", _constructors(module, node))
    current: ast.AST = node
    while True:
        parent = module.parent(current)
        if not isinstance(getattr(current, "ctx", ast.Load()), ast.Load):
            return not _assigns_nothing(module, current)
        if isinstance(parent, ast.Attribute):
            if parent.attr in _SHAPE_ONLY:
                return False
            call = module.parent(parent)
            called = isinstance(call, ast.Call) and call.func is parent
            if called and parent.attr.endswith("_"):
                return True
            if called:
                return False if runs else not parent.attr.islower() or bool(_INITIAL.search(parent.attr))
            current = parent
            continue
        if isinstance(parent, (ast.Subscript, ast.Starred, ast.keyword)):
            current = parent
            continue
        if isinstance(parent, (ast.List, ast.Tuple, ast.Dict, ast.Set)):
            return not runs or isinstance(module.parent(parent), ast.For)
        if isinstance(parent, ast.Call):
            return _call_writes(module, parent, runs)
        if isinstance(parent, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            return not runs
        return isinstance(parent, (ast.For, ast.AugAssign, ast.Return, ast.Delete)) and not runs


def _constructors(module: Module, node: ast.AST) -> str:
    """The text of the constructor of the class around a node."""
    cls = module.class_of(node)
    constructor = module.method(cls, "__init__") if cls is not None else None
    return module.source(constructor) if constructor is not None else ""


def _assigns_nothing(module: Module, target: ast.AST) -> bool:
    """`self.w = None`, or another parameter of uninitialised memory: the branches of one choice."""
    statement = module.statement(target)
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return isinstance(statement, ast.AnnAssign)
    value = statement.value
    if isinstance(value, ast.Constant) and value.value is None:
        return True
    return bool(re.match(r"[\w.]*Parameter\(\s*[\w.]*(empty|Tensor)\(", module.source(value)))


def _call_writes(module: Module, call: ast.Call, runs: bool) -> bool:
    dotted = module.qualified(call.func) or ""
    if dotted.startswith("torch.nn.init."):
        return True
    last = last_part(call.func)
    if last.endswith("_") or _INITIAL.search(last):
        return True
    if dotted.startswith(("torch.", "math.")) or last in (
        "len",
        "isinstance",
        "print",
        "str",
        "repr",
        "hasattr",
        "type",
    ):
        return False
    return not runs


def _whole_module(module: Module, family: list[ast.ClassDef]) -> bool:
    """Whether the class hands itself to an initialiser or loops over its parameters."""
    for cls in family:
        for node in walk(cls):
            if isinstance(node, (ast.For, ast.AsyncFor)) and _loops_over_all(module, node):
                return True
            if isinstance(node, ast.Call):
                if any(is_self(a) for a in node.args) and not _HARMLESS.fullmatch(last_part(node.func)):
                    return True
                if (
                    last_part(node.func) == "apply"
                    and isinstance(node.func, ast.Attribute)
                    and is_self(node.func.value)
                ):
                    return not _specific(module, node)
    return False


def _specific(module: Module, apply: ast.Call) -> bool:
    """Whether `self.apply(f)` runs a function of this file that is for layers of torch.nn only (`_by_others` looks at
    it again)."""
    name = last_part(apply.args[0]) if apply.args else ""
    functions = [n for n in walk(module.tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    return bool(functions) and all(not is_generic(module, f) for f in functions)


def is_generic(module: Module, function: ast.FunctionDef) -> bool:
    """Whether an initialiser touches modules of every kind: it asks for no class, or for an attribute."""
    text = module.source(function)
    if re.search(r"hasattr\(|getattr\(|__name__|__class__", text):
        return True
    return "isinstance(" not in text and not re.search(r"type\(\w+\)", text)


def _loops_over_all(module: Module, loop: ast.For | ast.AsyncFor) -> bool:
    if not _OVER_ALL.search(module.source(loop.iter)):
        return False
    return any(_WRITES.search(module.source(statement)) for statement in loop.body)


# -- elsewhere in the file -----------------------------------------------------------------------------------------


def _by_others(module: Module, family: list[ast.ClassDef], made: Made) -> bool:
    """Whether code outside the class may initialise it: what names the class in an initialiser, loops over all
    parameters of a model, or writes to an attribute of this name."""
    names = {c.name for c in family}
    inside = {id(n) for c in family for n in walk(c)}
    registered = {id(n.args[0]) for n in walk(module.tree) if isinstance(n, ast.Call) and n.args and _registers(n)}
    for node in walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == made.name and others_write(module, node, names):
            return True
        if isinstance(node, ast.Constant) and node.value == made.name and id(node) not in registered:
            return True
        if id(node) not in inside and _initialises(module, node, names):
            return True
    return False


def _registers(call: ast.Call) -> bool:
    return last_part(call.func) in ("register_parameter", "register_buffer")


def _initialises(module: Module, node: ast.AST, names: set[str]) -> bool:
    """Whether a loop or a function outside the class may initialise its parameters."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        text = module.source(node)
        return _loops_over_all(module, node) and ("isinstance(" not in text or any(n in text for n in names))
    if not isinstance(node, ast.FunctionDef) or node.name == "__init__":
        return False
    if not re.search(r"init|reset|weight", node.name, re.I):
        return False
    named = any(isinstance(n, ast.Name) and n.id in names for n in walk(node))
    return named or (_is_applied(module, node) and is_generic(module, node))


def _deferred(module: Module) -> bool:
    """Whether a class of the file has an initialiser that its own constructor does not reach: the model that holds
    the layers initialises them, from another file."""
    for cls in module.tree.body:
        if not isinstance(cls, ast.ClassDef):
            continue
        for method in cls.body:
            if isinstance(method, ast.FunctionDef) and _INITIALISERS.fullmatch(method.name):
                name = method.name
                if not re.search(rf"self\.{name}\(|apply\([^)]*\b{name}\b", module.source(cls)):
                    return True
    return False


def _is_applied(module: Module, function: ast.FunctionDef) -> bool:
    return bool(re.search(rf"\.apply\(\s*(\w+\.)*{function.name}\b", module.text))


def others_write(module: Module, node: ast.Attribute, names: set[str]) -> bool:
    """Whether `<something>.<name>` is written to, where the thing may be the class in question."""
    if is_self(node.value):
        return False
    parent = module.parent(node)
    writes = not isinstance(node.ctx, ast.Load)
    if isinstance(parent, ast.Call) and node in parent.args:
        dotted, last = module.qualified(parent.func) or "", last_part(parent.func)
        writes = dotted.startswith("torch.nn.init.") or last.endswith("_") or bool(_INITIAL.search(last))
    if isinstance(parent, ast.Attribute):
        writes = parent.attr == "data" or (parent.attr.endswith("_") and parent.attr != "requires_grad_")
    if not writes:
        return False
    root = node.value
    if isinstance(root, ast.Attribute) and is_self(root.value):
        cls = module.class_of(node)
        built = module.self_attribute(cls, root.attr) if cls else None
        if isinstance(built, ast.Call):
            dotted = module.qualified(built.func) or ""
            return not dotted.startswith("torch.nn.") and (last_part(built.func) in names or not dotted)
        return True
    function = module.function_scope(node)
    guards = [n for n in _guards(module, node) if "isinstance(" in n]
    if guards:
        return any(re.search(rf"\b{re.escape(name)}\b", g) for g in guards for name in names)
    return function is not None


def _guards(module: Module, node: ast.AST) -> Iterator[str]:
    """The conditions under which a node runs."""
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, (ast.If, ast.IfExp)):
            yield module.source(ancestor.test)
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
