"""The project's own smoke command, run before and after the patches, in two copies of the project."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autofix.model import ClaimResult, Evidence, Level, Verdict
from autofix.smoke.interpreter import Interpreter, clean_environment

_SKIPPED = {
    ".git", ".hg", ".svn", ".venv", "venv", "env", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".eggs", "build", "dist", "wandb", "runs", "mlruns", "lightning_logs",
}  # fmt: skip
_FILE_BYTES = 200 * 1024 * 1024  # larger ones (checkpoints, data) are linked, not copied
_OUTPUT_BYTES = 2 * 1024 * 1024
# A value as Python, NumPy and JSON write it, not the word in a name, a sentence or a log level.
_NON_FINITE = re.compile(r"(?<![\w.])[-+]?(?:nan|NaN|inf|Infinity)(?![\w.])")
_MEASURED = re.compile(
    r"loss|grad|norm|acc|ppl|perplexity|nll|kl|elbo|score|reward|metric|epoch|step|iter|[=:,(\[]\s*[-+]?(?:nan|inf)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of the command. status: its exit status, negative for a signal, None when it was killed for time.
    non_finite: the first lines of output that report NaN or infinity. last: the last lines of output."""

    status: int | None
    seconds: float
    non_finite: tuple[str, ...]
    last: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    @property
    def healthy(self) -> bool:
        return self.succeeded and not self.non_finite

    def describe(self) -> str:
        if self.status is None:
            return f"did not end within {self.seconds:.0f} s"
        if self.status < 0:
            return f"died of signal {-self.status}"
        if self.status > 0:
            return f"failed with exit status {self.status}"
        if self.non_finite:
            return f"reported `{self.non_finite[0]}`"
        return "succeeded with finite values"


def smoke(
    root: Path,
    command: str,
    patched: Mapping[Path, bytes],
    interpreter: Interpreter,
    *,
    seconds: float = 600.0,
) -> Evidence:
    """Evidence that `command`, run in the project at `root`, survives the patches.

    command: words as a shell would split them, but no shell runs; a leading `python` is the interpreter.
    patched: paths relative to `root`, with their new bytes. seconds: the limit of each of the two runs.
    """
    started = time.monotonic()
    words = _words(command, interpreter)
    if isinstance(words, str):
        return Evidence(Verdict.INCONCLUSIVE, Level.COMMAND, reason=words)
    try:
        with tempfile.TemporaryDirectory(prefix="autofix-smoke-", ignore_cleanup_errors=True) as folder:
            place = Path(folder)
            files = list(project_files(root))
            linked = copy_project(root, files, place / "before", {})
            before = run(words, place / "before", place / "before-home", interpreter, seconds)
            copy_project(root, files, place / "after", patched)
            after = run(words, place / "after", place / "after-home", interpreter, seconds)
    except OSError as error:
        reason = f"the smoke command cannot be run: {error.strerror or error}"
        return Evidence(Verdict.INCONCLUSIVE, Level.COMMAND, reason=reason, seconds=time.monotonic() - started)
    evidence = _judge(command, before, after, time.monotonic() - started)
    if not linked:
        return evidence
    names = ", ".join(str(p) for p in linked[:5])
    return replace(evidence, assumptions=(f"the command does not write to large files, which are links: {names}",))


def _judge(command: str, before: Outcome, after: Outcome, seconds: float) -> Evidence:
    ratio = after.seconds / max(before.seconds, 1e-3)
    summary = f"`{command}`: before, it {before.describe()}; after, it {after.describe()}"
    if before.succeeded and after.succeeded:
        summary += f" in {ratio:.2f} times the time"
    claims = (
        ClaimResult("runs", after.succeeded or not before.succeeded, f"after: {after.describe()}"),
        ClaimResult("finite", after.healthy or (None if before.non_finite else False), f"before: {before.describe()}"),
        ClaimResult("time", None, f"{before.seconds:.1f} s before, {after.seconds:.1f} s after, {ratio:.2f} times"),
    )
    if after.healthy:
        verdict, reason = (Verdict.CONSISTENT if before.healthy else Verdict.PROVED), ""
    elif before.succeeded and not after.succeeded:
        verdict, reason = Verdict.REFUTED, f"{summary}\n{after.last}"
    elif before.healthy and after.succeeded:
        verdict, reason = Verdict.REFUTED, f"{summary}: values became non-finite"
    else:
        hint = "" if before.succeeded else "\n(it ran in a copy of the project without the files that git ignores)"
        verdict, reason = Verdict.INCONCLUSIVE, f"{summary}{hint}\n{after.last}"
    witness = command if verdict in (Verdict.PROVED, Verdict.REFUTED) else ""
    return Evidence(verdict, Level.COMMAND, claims, witness, summary, reason, round(seconds, 3))


def _words(command: str, interpreter: Interpreter) -> list[str] | str:
    """The command as an argument list, or why it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"the smoke command is not well quoted: {error}"
    if not words:
        return "the smoke command is empty"
    if re.fullmatch(r"python[\d.]*", words[0]):
        words[0] = interpreter.path
    return words


# -- copying ---------------------------------------------------------------------------------------------------


def project_files(root: Path) -> Iterator[Path]:
    """The project's files and links, relative to `root`: what git tracks or would track, else a walk that leaves
    out environments, caches and outputs."""
    listed = _git_files(root)
    if listed is not None:
        yield from (p for p in listed if os.path.lexists(root / p) and not _is_folder(root / p))
        return
    for folder, names, files in os.walk(root):
        here = Path(folder)
        links = [n for n in names if (here / n).is_symlink()]
        names[:] = sorted(
            n for n in names if n not in _SKIPPED and n not in links and not (here / n / "pyvenv.cfg").exists()
        )
        for name in sorted([*files, *links]):
            yield (here / name).relative_to(root)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _git_files(root: Path) -> list[Path] | None:
    """Tracked and untracked files that are not ignored; None outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return None
    return [Path(os.fsdecode(name)) for name in dict.fromkeys(done.stdout.split(b"\0")) if name]


def copy_project(root: Path, files: list[Path], target: Path, patched: Mapping[Path, bytes]) -> list[Path]:
    """A copy of `files` in `target`, with the patched bytes in place of the originals; links stay links. Files too
    large to copy become links to the originals: they are returned."""
    target.mkdir()
    linked: list[Path] = []
    for relative in files:
        source, copy = root / relative, target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.symlink_to(os.readlink(source))
        elif source.is_file() and source.stat().st_size > _FILE_BYTES and relative not in patched:
            copy.symlink_to(source.resolve())
            linked.append(relative)
        elif source.is_file():
            shutil.copy2(source, copy)
    for relative, data in patched.items():
        copy = target / relative
        if not copy.resolve().is_relative_to(target.resolve()):
            continue  # reached through a link that leads out of the copy: never written
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
    return linked


# -- running ---------------------------------------------------------------------------------------------------


def run(words: list[str], where: Path, home: Path, interpreter: Interpreter, seconds: float) -> Outcome:
    """Run one command in `where` with a clean environment and a home of its own; everything it started is killed
    when it ends or its time is over.

    Raises:
        OSError: it cannot be started.
    """
    home.mkdir()
    environment = clean_environment()
    folder = str(Path(interpreter.path).parent)
    environment.update(
        HOME=str(home), TMPDIR=str(home), PATH=os.pathsep.join([folder, environment.get("PATH", os.defpath)]),
        PYTHONUNBUFFERED="1", MPLBACKEND="Agg",
    )  # fmt: skip
    environment.setdefault("LANG", "C.UTF-8")
    output = home / "autofix-output"
    started = time.monotonic()
    with output.open("wb") as stream:
        process = subprocess.Popen(
            words, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _kill(process)
    return Outcome(status, time.monotonic() - started, *_read(output))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole session, also when the command itself has ended: it may have left others behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(output: Path) -> tuple[tuple[str, ...], str]:
    """Lines that report NaN or infinity, and the last lines."""
    with output.open("rb") as stream:
        head = stream.read(_OUTPUT_BYTES)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(len(head), size - _OUTPUT_BYTES))
        text = (head + stream.read()).decode("utf-8", "replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    bad = [line[:200] for line in lines if _NON_FINITE.search(line) and _MEASURED.search(line)]
    return tuple(bad[:5]), "\n".join(line[:300] for line in lines[-8:])
