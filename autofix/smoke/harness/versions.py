"""A version of a file in a process of its own: executed under the module's name, its class found, run and measured."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import linecache
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import (
    child,
    contrast,
    measure,
    synth_guess,
    synth_host,
    synth_inputs,
    synth_names,
    synth_nested,
    synth_search,
    synth_signature,
    synth_source,
    synth_step,
    synth_trial,
    synth_usage,
)
from .synth_plan import Plan

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

_REACH_SECONDS = 3.0  # of processor time: other arguments with which the changed lines may run
_SEARCH_SECONDS = 0.7
Work = Callable[[], dict[str, Any]]


# -- processes ---------------------------------------------------------------------------------------------------


def forked(work: Work, spec: dict[str, Any], *closed: int) -> dict[str, Any]:
    """What `work` returns in a fork of this process, killed after spec["class_seconds"], or when it has computed for
    spec["processor_seconds"]; {"reason"} where it returns nothing. closed: descriptors that the fork must not hold."""
    seconds = float(spec["class_seconds"])
    reading, writing = os.pipe()
    host = os.getpid()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        for number in (reading, *closed):
            os.close(number)
        _become(work, float(spec["processor_seconds"]), writing, host)
    os.close(writing)
    text = synth_host._read(reading, started + seconds)
    os.close(reading)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    took = time.monotonic() - started
    try:
        result: dict[str, Any] = json.loads(text)
    except ValueError:
        computed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        late = took >= seconds or computed
        seconds = seconds if took >= seconds else float(spec["processor_seconds"])
        result = {"reason": synth_host._why(status, late, seconds), "died": not late}
    return result


def _become(work: Work, seconds: float, out: int, host: int) -> None:
    code = 1
    try:
        os.setsid()
        synth_host._die_with(host)
        if resource is not None:
            child._lower(resource.RLIMIT_CPU, int(seconds) + 1)
        try:
            result = work()
        except MemoryError:
            result = {"reason": "it asked for more memory than a trial may use"}
        except BaseException as error:
            result = {"reason": f"{type(error).__name__}: {child.first_line(error)}{child._place(error)}"}
        synth_host._say(out, result)
        code = 0
    finally:
        os._exit(code)


# -- versions of a file ------------------------------------------------------------------------------------------


def imported(name: str, path: str) -> str:
    """Import the file; the name under which it stands in `sys.modules`. A file that is called like a module that is
    there already (`types.py`) gets a name of its own: the library's must stay what others import."""
    if "." not in name and synth_host._is_taken(name, path):
        name = f"{name}_under_trial"
        _execute(name, path)
        return name
    found = importlib.import_module(name)
    if not synth_host._same(getattr(found, "__file__", None), path):
        raise ImportError(f"{name} is another file: {getattr(found, '__file__', None)}")
    return name


def _execute(name: str, path: str) -> Any:
    places = [os.path.dirname(path)] if os.path.basename(path) == "__init__.py" else None
    loader = synth_host._OverlayLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, made)
    return made


def _load(name: str, path: str, text: str) -> Any:
    """Execute this text in place of the file, under the same name: what its classes refer to is itself."""
    synth_source.OVERLAY[os.path.realpath(path)] = text
    synth_nested.forget()
    source = importlib.util.decode_source(text.encode("latin-1"))
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)  # what `inspect` reads
    return _execute(name, path)


def _class(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def original(known: str, item: dict[str, Any], name: str, spec: dict[str, Any], fresh: bool = False) -> Work:
    """Find arguments for a class of the original and measure it. fresh: the module was imported as this version."""

    def work() -> dict[str, Any]:
        try:
            found = sys.modules[known] if fresh else _load(known, item["path"], item["before"])
        except Exception as error:
            return {"fresh": True, "reason": f"{type(error).__name__}: {child.first_line(error)}"}
        kind, seed = _class(found, name), int(spec["seed"])
        if not synth_trial.is_concrete(kind):
            return {}
        child._seed(seed)
        example = item.get("examples", {}).get(name)
        try:
            given = synth_trial._given(kind, example, seed) if example else synth_search.search(kind, seed)
        except synth_search.Abstract:
            return {}
        except (synth_search.NotFound, synth_trial._BadExample) as error:
            return {"reason": str(error)}
        plan = given.plan
        outcome = synth_trial._stepped(kind, plan, spec)
        if outcome.verdict == synth_step.NON_FINITE:
            plan, outcome, _ = synth_trial._other_domain(kind, plan, outcome, spec)
        return _measured(kind, plan, spec, item, "")

    return work


def reaching(known: str, item: dict[str, Any], name: str, spec: dict[str, Any], plan: dict[str, Any]) -> Work:
    """Measure the original with other arguments, or through the changed method itself, so that the lines run."""

    def work() -> dict[str, Any]:
        kind, seed = _class(_load(known, item["path"], item["before"]), name), int(spec["seed"])
        child._seed(seed)
        base = Plan(plan["init"], plan["inputs"])
        until = time.process_time() + _REACH_SECONDS
        synth_search.SECONDS = _SEARCH_SECONDS
        for entry, starts in _ways(kind, base, item, name, seed):
            _enter(kind, entry)
            for start in starts:
                if time.process_time() > until:
                    break
                with contextlib.suppress(synth_search.NotFound):
                    found = synth_search.search(kind, seed, [start] if start is not None else None).plan
                    lines = measure.lines_run(kind, found, seed, item["path"])
                    if contrast.covers(lines, item["before_ranges"]):
                        return _measured(kind, found, spec, item, entry)
        return {"reason": "the changed lines did not run"}

    return work


def patched(
    known: str, item: dict[str, Any], name: str, spec: dict[str, Any], before: dict[str, Any], fresh: bool = False
) -> Work:
    """Measure the class of the patched file with the plan that ran the original."""

    def work() -> dict[str, Any]:
        try:
            found = sys.modules[known] if fresh else _load(known, item["path"], item["after"])
        except Exception as error:
            return {"reason": f"importing it raised {type(error).__name__}: {child.first_line(error)}", "died": True}
        kind = _class(found, name)
        if kind is None:
            return {"reason": f"the patched file has no class {name}", "died": True}
        child._seed(int(spec["seed"]))
        _enter(kind, before["entry"])
        plan = Plan(before["plan"]["init"], before["plan"]["inputs"])
        return {"measure": measure.measure(kind, plan, spec, item["path"], before["measure"])}

    return work


def _measured(kind: type, plan: Plan, spec: dict[str, Any], item: dict[str, Any], entry: str) -> dict[str, Any]:
    shown = synth_trial._result(synth_step.Outcome(""), plan, 1)
    found = measure.measure(kind, plan, spec, item["path"])
    wanted = ("plan", "arguments", "inputs", "stand_ins")
    return {"measure": found, "entry": entry, **{key: shown[key] for key in wanted}}


def _enter(kind: type, entry: str) -> None:
    """Let `entry` be what is called in place of forward; "" leaves it as it is."""
    if entry:
        synth_usage.ENTRIES[f"{kind.__module__}:{kind.__qualname__}"] = entry


# -- other ways to the changed lines -----------------------------------------------------------------------------


def _ways(
    kind: type, base: Plan, item: dict[str, Any], name: str, seed: int
) -> Iterator[tuple[str, Iterator[Plan | None]]]:
    """An entry, and plans to start from: None guesses everything anew."""
    yield "", _variants(kind, base, set(item["names"]), seed)
    method = item["methods"].get(name, "")
    if method and method != synth_usage.entry(kind) and not method.startswith("__"):
        yield method, iter([Plan(base.init), None])


def _variants(kind: type, base: Plan, names: set[str], seed: int) -> Iterator[Plan]:
    """The plan with a flag turned, or with an optional input given: each alone, then all together."""
    changes: list[Callable[[Plan], Plan]] = []
    known = synth_guess.arguments(kind)
    for parameter in synth_signature.constructor_parameters(kind):
        spec = base.init.get(parameter.name)
        value = spec[1] if spec is not None and spec[0] == "value" else parameter.default
        if parameter.name not in names:
            continue
        if isinstance(value, bool):
            changes.append(_with_init(parameter.name, ["value", not value]))
        elif value is None and parameter.name in known:
            options = synth_guess.candidates(known[parameter.name], synth_nested.Builder(seed))
            changes += [_with_init(parameter.name, option) for option in options[:1] if option != ["value", None]]
    changes += _optional_inputs(kind, base, names, seed)
    for change in changes:
        yield change(base)
    if len(changes) > 1:
        plan = base
        for change in reversed(changes):  # the likeliest of several for one input is the last to be set
            plan = change(plan)
        yield plan


def _optional_inputs(kind: type, base: Plan, names: set[str], seed: int) -> list[Callable[[Plan], Plan]]:
    maker = synth_nested.Builder(seed)
    try:
        sizes = synth_inputs.guess(synth_search.construct(kind, base, seed), base.init, maker)[1]
    except Exception:
        return []
    changes: list[Callable[[Plan], Plan]] = []
    for entry in synth_inputs.entries(kind).values():
        parameter = entry.parameter
        if entry.is_variadic:
            continue
        wanted = parameter.name in names or synth_names.MASKS.search(parameter.name.lower())
        given = base.inputs.get(parameter.name, ["value", parameter.default])
        if not wanted or given not in (["value", None], ["value", False]):
            continue
        options = synth_inputs.value(entry, sizes, maker)
        useful = [o for o in options if o not in (["value", None], ["value", False])]
        changes += [_with_input(parameter.name, option) for option in useful[:2]]
    return changes


def _with_init(name: str, spec: Any) -> Callable[[Plan], Plan]:
    return lambda plan: plan.with_init(name, spec)


def _with_input(name: str, spec: Any) -> Callable[[Plan], Plan]:
    return lambda plan: plan.with_input(name, spec)
