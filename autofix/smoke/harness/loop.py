"""Executes turns of a transformed loop in a namespace of real objects and stand-ins."""

from __future__ import annotations

import ast
import builtins
import importlib
import itertools
import traceback
from collections.abc import Callable, Container, Iterable
from typing import Any

from .stand import Clock, Stand, is_counter
from .transform import Region
from .world import World

# Modules that a loop may use for real; everything else that it imports is a stand-in.
_REAL = {"torch", "math", "itertools", "functools", "contextlib", "random", "copy", "collections", "operator"}
_TURNS = 64
# An attribute that a plain tensor lacks belongs to another kind of tensor (sharded, quantised), not to a slip.
_OPAQUE = ("stand-in", "Stand", "'Tensor' object has no attribute")
_CODE = "<training loop>"


class RegionError(Exception):
    """An error of the code under trial. opaque: it comes from a stand-in, so it says nothing about the code."""

    def __init__(self, text: str, opaque: bool) -> None:
        super().__init__(text)
        self.opaque = opaque


class Loop:
    """One side of the patch, ready to be turned."""

    def __init__(
        self, spec: dict[str, Any], region: Region, preferences: dict[str, bool], world: World, forced: Container[str]
    ) -> None:
        self.spec = spec
        self.world = world
        self.preferences = preferences
        self.reached = False
        self.assumed: set[str] = set()
        self.forced = forced
        self._outcomes: dict[str, set[bool]] = {}
        self._whiles = 0
        self._losses = set(spec["losses"])
        self.space: dict[str, Any] = {}
        self._owned: dict[str, Any] = {}
        self._fill(region)
        carriers = [*spec["accelerators"], *spec["fabrics"], *spec["lightning"]]
        exec(region.compile(carriers, spec["scalers"], _CODE), self.space)  # user code: this process exists for it
        self._turn: Callable[[], Any] = self.space["__turn__"]

    def turn(self, number: int) -> None:
        """One turn, as the loop's own number `number`.

        Raises:
            RegionError: a statement that trains, or one of the patch, failed.
        """
        Clock.turn = number
        self.space.update(dict.fromkeys(self._numbered, number))
        for name in self._losses - self._assigned:
            self.space[name] = Stand(name)
        self._restore()
        if not self.spec["backward"]:
            self.world.backward()
        try:
            self._turn()
        except MemoryError:
            raise
        except Exception as error:
            if "allocate memory" in str(error):
                raise
            raise _region_error(error) from error

    # -- the namespace ---------------------------------------------------------------------------------

    def _fill(self, region: Region) -> None:
        space = self.space
        space["__builtins__"] = {**vars(builtins), "print": _quiet, "input": _quiet, "isinstance": _isinstance}
        names = region.names() - set(dir(builtins))
        for name in names:
            space[name] = 0 if is_counter(name) else Stand(name)
        for name, dotted in region.imports.items():
            space[name] = _imported(dotted)
        starts = dict.fromkeys(self.spec["counters"], 0)
        for path, value in [*starts.items(), *self.spec["constants"].items()]:
            self._bind(path, value)
            self._owned.pop(path, None)  # a number may be overwritten
        for path, value in sorted(self.world.objects.items(), key=lambda item: item[0].count(".")):
            self._bind(path, value)
        self._assigned = region.assigned()
        free = names - self._assigned - set(self.spec["constants"]) - set(self._owned)
        self._numbered = {n for n in free if is_counter(n) and n not in region.imports}
        self._numbered |= {self.spec["index"]} - {""}
        space.update(
            __choose__=self._choose, __iterate__=self._iterate, __unpack__=_unpack, __attempt__=_attempt,
            __context__=_context, __lost__=self._lost, __restore__=self._restore, __not__=_not, __is_none__=_is_none,
            __reached__=self._mark, __loss__=lambda thunk: self.world.as_loss(_attempt(thunk)),
        )  # fmt: skip

    def _bind(self, path: str, value: Any) -> None:
        """Put a real object where its path leads: a name, an attribute or a constant subscript of stand-ins."""
        node = ast.parse(path, mode="eval").body
        if isinstance(node, ast.Name):
            self._owned[node.id] = self.space[node.id] = value
        elif isinstance(node, ast.Attribute):
            owner = self._follow(node.value)
            if isinstance(owner, Stand):
                owner.__dict__[node.attr] = value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            owner = self._follow(node.value)
            if isinstance(owner, Stand):
                owner[node.slice.value] = value

    def _follow(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.space.setdefault(node.id, Stand(node.id))
        if isinstance(node, ast.Attribute):
            return getattr(self._follow(node.value), node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return self._follow(node.value)[node.slice.value]
        return Stand(ast.unparse(node))

    # -- what the transformed code calls ----------------------------------------------------------------

    def _mark(self) -> None:
        self.reached = True

    def _choose(self, test: Callable[[], Any], key: str) -> bool:
        """The truth of a condition; where a stand-in hides it, the branch that trains."""
        if key in self.forced:
            return self._assume(key)
        taken = self._believe(test, key)
        self._outcomes.setdefault(key, set()).add(taken)
        return taken

    def stuck(self) -> set[str]:
        """Conditions that never took the branch that trains (`if step > 10_000`)."""
        return {k for k, seen in self._outcomes.items() if self.preferences.get(k) not in (None, *seen)}

    def _assume(self, key: str) -> bool:
        taken = self.preferences[key]
        self.assumed.add(f"`{key.rpartition('#')[0]}` is {'true' if taken else 'false'}")
        return taken

    def _believe(self, test: Callable[[], Any], key: str) -> bool:
        try:
            value = test()
        except Exception:
            value = Stand(key)
        if not isinstance(value, Stand):
            return bool(value)
        worth, known = value.worth()
        if known:
            return bool(worth)
        if key == "while":
            self._whiles += 1
            return self._whiles % 3 != 0
        if key not in self.preferences:
            return False
        return self._assume(key)

    def _iterate(self, source: Callable[[], Any]) -> Iterable[Any]:
        try:
            return itertools.islice(iter(source()), _TURNS)
        except Exception:
            return [Stand("item"), Stand("item")]

    def _lost(self, *names: str) -> None:
        for name in names:
            self.space[name] = Stand(name)

    def _restore(self) -> None:
        """A real object that a stand-in has overwritten comes back; an opaque loss becomes a real one."""
        for name, value in self._owned.items():
            if type(self.space.get(name)) is Stand:
                self.space[name] = value
        for name in self._losses:
            if isinstance(self.space.get(name), Stand):
                self.space[name] = self.world.loss()


def _quiet(*_: Any, **__: Any) -> str:
    return ""


def _isinstance(value: Any, kind: Any) -> Any:
    """Unknown for a stand-in or an unknown class."""
    if isinstance(value, Stand):
        return Stand("isinstance()")
    try:
        return isinstance(value, kind)
    except TypeError:
        return Stand("isinstance()")


def _not(value: Any) -> Any:
    if not isinstance(value, Stand):
        return not value
    worth, known = value.worth()
    return Stand(f"not {value._path}", not worth, known)


def _is_none(value: Any) -> Any:
    """A bound or a count that is known by its name is a number; anything else opaque may be None."""
    return Stand("is None", False, value.worth()[1]) if isinstance(value, Stand) else value is None


def _unpack(value: Any, shape: Any) -> Any:
    """`value` in the nested form of a target; an opaque one gives a stand-in for each name."""
    if not isinstance(shape, tuple):
        return value
    if "*" in shape:
        return value if not isinstance(value, Stand) else [Stand("item") for _ in shape]
    if isinstance(value, Stand):
        return [_unpack(Stand(f"{value._path}[{n}]"), part) for n, part in enumerate(shape)]
    values = list(value)
    if len(values) != len(shape):
        raise ValueError(f"expected {len(shape)} values to unpack, got {len(values)}")
    return [_unpack(v, part) for v, part in zip(values, shape)]  # noqa: B905


def _attempt(thunk: Callable[[], Any]) -> Any:
    try:
        return thunk()
    except MemoryError:
        raise
    except Exception:
        return Stand("value")


def _context(thunk: Callable[[], Any]) -> Any:
    value = _attempt(thunk)
    real = hasattr(type(value), "__enter__") and "profiler" not in type(value).__module__
    return value if real else Stand("context")


def _imported(dotted: str) -> Any:
    """The thing itself for torch and a few modules of the standard library, else a stand-in."""
    if dotted.partition(".")[0] not in _REAL:
        return Stand(dotted)
    parts = dotted.split(".")
    try:
        value = importlib.import_module(parts[0])
        for number, part in enumerate(parts[1:], 2):
            if not hasattr(value, part):
                importlib.import_module(".".join(parts[:number]))
            value = getattr(value, part)
    except (ImportError, AttributeError):
        return Stand(dotted)
    return value


def _region_error(error: Exception) -> RegionError:
    """What failed, at which line of the region, and whether a stand-in is to blame."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if f.filename == _CODE]
    where = f" (line {lines[-1]} of the block)" if lines else ""
    first = (str(error).strip().splitlines() or ["no message"])[0][:200]
    text = f"{type(error).__name__}: {first}{where}"
    return RegionError(text, opaque=any(word in str(error) for word in _OPAQUE))
