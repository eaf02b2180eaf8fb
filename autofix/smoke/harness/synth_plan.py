"""A plan: constructor arguments and forward inputs as data. A failure: what happened when it was tried."""

from __future__ import annotations

import ast
import json
import types
from collections.abc import Iterator
from typing import Any

from . import synth_source, synth_usage
from .synth_values import Spec


class Plan:
    """Immutable by convention: every change makes another plan.

    inputs: by parameter name; "*" is what `*args` gets; None while they are still to be guessed from the built
    module.
    """

    def __init__(self, init: dict[str, Spec], inputs: dict[str, Spec] | None = None) -> None:
        self.init = init
        self.inputs: dict[str, Spec] = inputs or {}
        self.guessed = inputs is not None
        self.init_key = json.dumps(init, sort_keys=True)
        self.key = self.init_key + (json.dumps(inputs, sort_keys=True) if inputs is not None else "")

    def as_json(self) -> dict[str, Any]:
        return {"init": self.init, "inputs": self.inputs}

    def _given(self) -> dict[str, Spec] | None:
        return self.inputs if self.guessed else None

    def with_init(self, name: str, spec: Spec) -> Plan:
        return Plan({**self.init, name: spec}, self._given())

    def without_init(self, name: str) -> Plan:
        return Plan({n: s for n, s in self.init.items() if n != name}, self._given())

    def with_inputs(self, inputs: dict[str, Spec]) -> Plan:
        return Plan(self.init, inputs)

    def with_input(self, name: str, spec: Spec) -> Plan:
        return Plan(self.init, {**self.inputs, name: spec})

    def without_input(self, name: str) -> Plan:
        return Plan(self.init, {n: s for n, s in self.inputs.items() if n != name})

    def fresh(self) -> Plan:
        """The same construction; inputs are guessed anew."""
        return Plan(self.init)

    def with_attribute(self, name: str, attribute: str, spec: Spec) -> Plan:
        """Another value for one attribute of a configuration object."""
        config = self.init[name]
        if config[0] == "permissive":
            return self.with_init(name, ["permissive", {**config[1], attribute: spec}])
        if config[0] == "new":
            given = config[4] if len(config) > 4 else {}
            return self.with_init(name, [*config[:4], {**given, attribute: spec}])
        return self

    def scaled(self, old: int, new: int) -> Plan:
        """Every size `old` becomes `new`."""
        return Plan({n: _exchanged(s, old, new) for n, s in self.init.items()}, self._given())

    def replaced(self, old: int, new: int) -> Iterator[Plan]:
        """Each argument that is `old` becomes `new`: all of them, then one at a time."""
        holders = [n for n, s in self.init.items() if _exchanged(s, old, new) != s]
        if len(holders) > 1:
            yield self.scaled(old, new)
        for name in holders:
            yield self.with_init(name, _exchanged(self.init[name], old, new))


def _exchanged(spec: Spec, old: int, new: int) -> Spec:
    if not isinstance(spec, (list, tuple)) or not spec:
        return spec
    if spec[0] == "value":
        return ["value", new] if type(spec[1]) is int and spec[1] == old else spec
    if spec[0] in ("list", "tuple", "modules"):
        return [spec[0], [_exchanged(item, old, new) for item in spec[1]]]
    if spec[0] == "dict":
        return ["dict", {n: _exchanged(s, old, new) for n, s in spec[1].items()}]
    if spec[0] == "linear":
        return spec
    if spec[0] == "new":
        given = {n: _exchanged(s, old, new) for n, s in spec[2].items()}
        return [spec[0], spec[1], given, [_exchanged(s, old, new) for s in spec[3]], *spec[4:]]
    return spec


class Failure:
    """An exception of the code under trial.

    stage: "construct", "forward" or "backward". values: the arguments that were passed, by name. progress: how far
    it came; more is better.
    """

    def __init__(
        self, kind: type, stage: str, error: BaseException, values: dict[str, Any], finished: int, harness: str
    ) -> None:
        self.kind = kind
        self.stage = stage
        self.error = error
        self.values = values
        self.message = f"{type(error).__name__}: {error}"[:2000]
        self.frames = [(f, n) for f, n in _frames(error) if not f.f_code.co_filename.startswith(harness)]
        names = ("__init__",) if stage == "construct" else (synth_usage.entry(kind),)
        self.abstract_name = ""
        self.own = [
            (f, n) for f, n in self.frames if f.f_code.co_name in names and isinstance(f.f_locals.get("self"), kind)
        ]
        line = self.own[-1][1] if self.own else 0
        level = {"construct": 0, "forward": 1, "backward": 2}[stage]
        self.progress = (level, finished, line)

    @property
    def abstract(self) -> bool:
        """Whether it ended in a method of the class itself that only raises NotImplementedError."""
        if self.abstract_name:
            return True
        if not isinstance(self.error, NotImplementedError) or not self.frames:
            return False
        frame = self.frames[-1][0]
        owner = frame.f_locals.get("self")
        method = getattr(self.kind, frame.f_code.co_name, None)
        if type(owner) is not self.kind or method is None or not synth_usage.refuses(method):
            return False
        self.abstract_name = frame.f_code.co_name
        return True

    def is_own(self, frame: types.FrameType) -> bool:
        return any(frame is f for f, _ in self.own)

    def statements(self) -> Iterator[tuple[types.FrameType, ast.stmt]]:
        """The statement under way in each frame, the innermost first; frames of torch itself are left out."""
        for frame, line in reversed(self.frames):
            filename = frame.f_code.co_filename
            if "/torch/" in filename and "site-packages" in filename:
                continue
            statement = synth_source.statement_at(filename, line)
            if isinstance(statement, ast.Raise):  # what it was raised for stands in the `if` around it
                for test in synth_source.conditions_at(filename, line)[:2]:
                    yield frame, ast.Expr(test)
            if statement is not None:
                yield frame, _head(statement)

    @property
    def place(self) -> str:
        """Where it was raised: the innermost frame of the user's own code."""
        for frame, line in reversed(self.frames):
            if "site-packages/torch/" not in frame.f_code.co_filename:
                return f"{frame.f_code.co_filename.rpartition('/')[2]}:{line}"
        return ""

    def release(self) -> None:
        """Let go of the frames, which keep every tensor of the trial alive."""
        _ = self.abstract  # asked while the frames are there
        self.frames, self.own, self.values = [], [], {}
        self.error.__traceback__ = None


def _head(statement: ast.stmt) -> ast.stmt:
    """A compound statement without its body: the failing line is its header."""
    if isinstance(statement, (ast.If, ast.While)):
        return ast.Expr(statement.test)
    if isinstance(statement, ast.For):
        return ast.Expr(statement.iter)
    return statement


def _frames(error: BaseException) -> Iterator[tuple[types.FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
