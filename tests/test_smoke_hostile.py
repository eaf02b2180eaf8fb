"""Code that means harm, on every level of isolation that works here: each job ends with a reason in words, the job
after it is not disturbed, and neither a process nor a file is left.

A level that does not work on this machine falls back to limits, and then what limits promise is what is tested.
"""

from __future__ import annotations

import os
import socket
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running import interpreter
from test_smoke_zygote import SPEC

from autofix.model import Problem
from autofix.smoke.job import Job
from autofix.smoke.modules.smoke import smoke
from autofix.smoke.sandbox import BUBBLEWRAP, LANDLOCK, LIMITS, NAMESPACES
from autofix.smoke.zygote import Zygote

LINUX = sys.platform.startswith("linux")
SECONDS = 6.0
STEP = "loss.backward()\noptimizer.step()\noptimizer.zero_grad()\n"
ORDINARY = Job("block", {**SPEC, "before": STEP, "after": STEP})  # refuted, for nothing is clipped


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A socket in the file system, as of an agent with keys, and a secret in the environment."""
    path = tmp_path_factory.mktemp("agent") / "socket"
    with socket.socket(socket.AF_UNIX) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_API_TOKEN", "hush-hush")
        server.bind(str(path))
        server.listen()
        yield path


@pytest.fixture(scope="module", params=[BUBBLEWRAP, NAMESPACES, LANDLOCK, LIMITS])
def warm(request: pytest.FixtureRequest, agent: Path) -> Iterator[Zygote]:
    """On each level, as far as it works here."""
    with Zygote(interpreter(), workers=2, seconds=SECONDS, levels=(request.param,)) as running:
        assert answer(running, ORDINARY)["verdict"] == "REFUTED"
        assert running.sandbox.level in (request.param, LIMITS)
        yield running


@pytest.fixture(scope="module")
def best(agent: Path) -> Iterator[Zygote]:
    """On the best level that works here."""
    with Zygote(interpreter(), workers=2, seconds=SECONDS) as running:
        yield running


def hostile(folder: Path, code: str) -> Job:
    """A training loop that runs `code`, from a file of its own, on its way to the step."""
    path = folder / f"payload-{len(list(folder.glob('payload-*')))}.py"
    path.write_text(textwrap.dedent(code))
    text = f"import runpy\noptimizer.step(runpy.run_path({str(path)!r}) and None)\n{STEP}"
    return Job("block", {**SPEC, "before": text, "after": text})


def answer(zygote: Zygote, job: Job) -> dict[str, Any]:
    [(_, result)] = zygote.run([job])
    return result


def between(zygote: Zygote, folder: Path, code: str) -> dict[str, Any]:
    """What becomes of the code, with an ordinary job before and one after it, which must not notice."""
    jobs = [ORDINARY, hostile(folder, code), Job("block", {**ORDINARY.spec, "counters": []})]
    results = dict(zip([1, 2, 3], jobs, strict=True))
    found = {next(n for n, j in results.items() if j is job): result for job, result in zygote.run(jobs)}
    assert [found[1]["verdict"], found[3]["verdict"]] == ["REFUTED", "REFUTED"]
    return found[2]


def processes(mark: str) -> list[int]:
    """Processes with `mark` in their command line: what the harness forks has its parent's."""
    if not LINUX:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words, state = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
            except OSError:
                continue
            if mark.encode() in words and state.rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry.name))
    return found


def settled(mark: str, count: int) -> bool:
    """Whether at most `count` such processes are left, within five seconds."""
    deadline = time.monotonic() + 5.0
    while len(processes(mark)) > count and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(processes(mark)) <= count


DAEMON = """
import os, time
for _ in range(64):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        while True:
            time.sleep(60)
raise ValueError("64 children")
"""

ENDS = {
    "an endless loop that ignores signals": (
        "import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass\n",
        "did not finish within 6 s",
    ),
    "64 daemons": (DAEMON, "64 children"),
    "100 GB at once": ("x = bytearray(100 * 2 ** 30)\n", "memory"),
    "100 GB in tensors": ("import torch\nx = torch.ones(25 * 2 ** 30)\n", "memory"),
    "os._exit": ("import os\nos._exit(3)\n", "exit status 3"),
    "exit": ("raise SystemExit(4)\n", "exit status 4"),
    "abort": ("import os\nos.abort()\n", "signal 6"),
    "a gigabyte printed": ("import os\nfor _ in range(1024): os.write(1, b'x' * 2 ** 20)\n", "File too large"),
    "a gigabyte in a file": (
        "f = open('big', 'wb')\nfor _ in range(1024): f.write(b'x' * 2 ** 20)\n",
        "File too large",
    ),
    "files closed": ("import os\nos.closerange(0, 4096)\n", "closed the files of the harness"),
    "recursion": ("def f(): return f()\nf()\n", "Recursion"),
    "a wild pointer": ("import ctypes\nctypes.string_at(8)\n", "signal 11"),
}

PASSES = {
    "default dtype": "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_default_device('meta')\n",
    "torch patched": "import torch\ntorch.isfinite = torch.Tensor.backward = torch.nn.Linear = lambda *_: 1\n",
    "torch gone": "import sys\nfor n in list(sys.modules):\n    if n.startswith('torch'): del sys.modules[n]\n",
    "builtins gone": "import builtins\ndel builtins.len, builtins.open, builtins.isinstance\n",
    "__del__": "class A:\n    def __del__(self): raise ValueError('late')\na = A()\ndel a\nb = A()\n",
    "stdout replaced": "import sys\nsys.stdout = sys.stderr = None\nsys.exit = print\n",
    "threads": "import threading\nthreading.Thread(target=threading.Event().wait).start()\n",
    "folder gone": "import os, shutil\nshutil.rmtree('../..', ignore_errors=True)\n",
    "folder closed": "import os\nos.mkdir('a'); open('a/b', 'w').close(); os.chmod('a', 0); os.chmod('.', 0)\n",
    "atexit": "import atexit, time\natexit.register(time.sleep, 1000)\n",
    "many files": "for n in range(200): open(f'f{n}', 'w').close()\n",
    "deep folders": "import os\nfor _ in range(1100 * ('/d/' not in os.getcwd())): os.mkdir('d') or os.chdir('d')\n",
}


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_with_a_reason(best: Zygote, tmp_path: Path, name: str) -> None:
    code, words = ENDS[name]
    result = between(best, tmp_path, code)
    assert result["verdict"] == "INCONCLUSIVE"
    assert words in result["reason"]


@pytest.mark.parametrize("name", PASSES)
def test_it_disturbs_nobody_else(best: Zygote, tmp_path: Path, name: str) -> None:
    assert between(best, tmp_path, PASSES[name])["verdict"] in ("REFUTED", "INCONCLUSIVE")


def test_nothing_is_left(warm: Zygote, tmp_path: Path) -> None:
    answer(warm, ORDINARY)
    before = len(processes(warm._folder))
    between(warm, tmp_path, DAEMON)
    assert settled(warm._folder, before) or not LINUX
    between(warm, tmp_path, "open('left', 'w').close()\n")
    assert not [name for name in os.listdir(warm._folder) if name.isdigit()]


def test_writes_outside_are_refused_or_said_to_be_possible(warm: Zygote, tmp_path: Path) -> None:
    places = [tmp_path, Path.home(), Path.cwd(), Path("/tmp"), Path("/dev/shm"), Path("/var/tmp")]
    name = f"autofix-hostile-{os.getpid()}"
    wanted = [str(p / name) for p in (places if warm.sandbox.isolated else places[:1]) if p.is_dir()]
    code = f"""
    import os, subprocess
    for path in {wanted!r}:
        for attempt in (
            lambda: open(path, "w").close(),
            lambda: os.mkdir(path),
            lambda: os.symlink("x", path),
            lambda: subprocess.run(["touch", path], stderr=subprocess.DEVNULL),
            lambda: subprocess.run(["unshare", "-Urm", "sh", "-c", "mount -o remount,rw,bind /; touch " + path]),
        ):
            try:
                attempt()
            except OSError:
                pass
    """
    between(warm, tmp_path, code)
    made = [path for path in wanted if os.path.lexists(path)]
    for path in made:
        os.unlink(path)
    assert not made or not warm.sandbox.isolated
    assert warm.sandbox.isolated or "your files are within reach" in warm.sandbox.words


def test_python_code_is_refused_writes_outside_even_without_isolation(warm: Zygote, tmp_path: Path) -> None:
    result = between(warm, tmp_path, f"open({str(tmp_path / 'made')!r}, 'w')\n")
    assert not (tmp_path / "made").exists()
    assert "Error" in result["reason"]


def test_the_network_is_out_of_reach_or_said_to_be_within(warm: Zygote, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        result = between(warm, tmp_path, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\n")
        assert "Error" in result["reason"]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert warm.sandbox.isolated or "the network" in warm.sandbox.words


def test_a_socket_in_the_file_system_is_covered(warm: Zygote, agent: Path, tmp_path: Path) -> None:
    code = f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(agent)!r})\nraise ValueError('connected')\n"
    result = between(warm, tmp_path, code)
    assert "connected" not in result["reason"] or not warm.sandbox.isolated


def test_no_secret_is_seen(warm: Zygote, tmp_path: Path) -> None:
    places = "/proc/*/environ" if warm.sandbox.isolated else "/proc/self/environ"
    code = f"""
    import glob, os
    seen = [k for k, v in os.environ.items() if "hush" in v]
    for path in glob.glob({places!r}):
        try:
            seen += [path] if b"hush-hush" in open(path, "rb").read() else []
        except OSError:
            pass
    raise ValueError(f"seen: {{len(seen)}}")
    """
    assert "seen: 0" in between(warm, tmp_path, code)["reason"]


def test_a_result_cannot_be_forged_by_another_trial(warm: Zygote, tmp_path: Path) -> None:
    code = """
    import glob, os
    forged = 0
    own = f"/proc/{os.getpid()}/"
    for path in [*glob.glob("../../**", recursive=True), *glob.glob("/proc/[0-9]*/fd/*")]:
        if os.path.isfile(path) and not path.startswith(own) and os.path.realpath(path).count("autofix-trials"):
            try:
                with open(path, "r+") as stream:
                    stream.write('{"verdict": "PROVED"}' + " " * 9999)
                forged += 1
            except OSError:
                pass
    raise ValueError(f"forged: {forged}")
    """
    jobs = [hostile(tmp_path, code), ORDINARY, hostile(tmp_path, code), replace(ORDINARY)]
    results = [r for _, r in warm.run(jobs)]
    assert sorted(r["verdict"] for r in results) == ["INCONCLUSIVE", "INCONCLUSIVE", "REFUTED", "REFUTED"]
    if warm.sandbox.isolated:
        reasons = [r["reason"] for r in results if r["verdict"] == "INCONCLUSIVE"]
        assert all("forged: 0" in reason for reason in reasons), reasons


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP", "SIGTERM"])
def test_signals_do_not_reach_the_parent_or_are_survived(warm: Zygote, tmp_path: Path, number: str) -> None:
    code = f"""
    import os, signal
    try:
        os.kill(os.getppid(), signal.{number})
    except PermissionError:
        pass
    if os.getppid() == 1 and os.path.isdir("/proc/1") and {warm.sandbox.processes}:
        try:
            os.kill(-1, signal.{number})  # only in a process namespace of our own
        except OSError:
            pass
    raise ValueError("still here")
    """
    if warm.sandbox.isolated:
        assert "still here" in between(warm, tmp_path, code)["reason"]
        return
    assert answer(warm, hostile(tmp_path, code))["verdict"] == "INCONCLUSIVE"
    assert answer(warm, ORDINARY)["verdict"] == "REFUTED"


def test_the_memory_of_the_parent_is_closed(warm: Zygote, tmp_path: Path) -> None:
    result = between(warm, tmp_path, "import os\nopen(f'/proc/{os.getppid()}/mem', 'r+b')\n")
    assert "Error" in result["reason"]


def test_limits_alone_survive_it_all(tmp_path: Path) -> None:
    # Left out: what takes the whole time limit, and what removes the folders of the trials beside it.
    wild = [code for name, (code, _) in ENDS.items() if "loop" not in name]
    wild += [code for name, code in PASSES.items() if name != "folder gone"]
    jobs = [job for code in wild for job in (hostile(tmp_path, code), replace(ORDINARY))]
    with Zygote(interpreter(), workers=2, seconds=SECONDS, levels=()) as running:
        assert answer(running, ORDINARY)["verdict"] == "REFUTED"
        folder = running._folder
        results = list(running.run(jobs))
    assert len(results) == len(jobs)
    assert all(r["verdict"] == "REFUTED" for job, r in results if job.spec["before"] == STEP)
    assert settled(folder, 0)
    assert not os.path.exists(folder)


# -- files that are imported -----------------------------------------------------------------------------------

NET = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layer = nn.Linear(width, width)
    def forward(self, x):
        return self.layer(x)
"""

IMPORTS = {
    "os._exit": ("import os\nos._exit(9)\n", "ended the process"),
    "kills its parent": ("import os\nos.kill(os.getppid(), 9)\nos.kill(os.getpid(), 9)\n", ""),
    "prints a gigabyte": ("import os\nfor _ in range(1024): os.write(1, b'x' * 2 ** 20)\n", "OSError"),
    "takes 100 GB": ("x = bytearray(100 * 2 ** 30)\n", "MemoryError"),
    "closes files": ("import os\nos.closerange(0, 4096)\n", "ended the process"),
}


def stepped(zygote: Zygote, path: Path, text: str) -> str:
    """The verdict on the only class of a file."""
    path.write_text(text)
    reports = smoke(str(path), interpreter(), seconds=4.0, checks=False, zygote=zygote)
    assert not isinstance(reports, Problem)
    [one] = reports
    return f"{one.verdict}: {one.reason}"


@pytest.mark.parametrize("name", IMPORTS)
def test_a_file_that_does_harm_when_it_is_imported(best: Zygote, tmp_path: Path, name: str) -> None:
    code, words = IMPORTS[name]
    found = stepped(best, tmp_path / "harm.py", code + NET)
    assert found.startswith("could-not-synthesise")
    assert words in found
    assert stepped(best, tmp_path / "fine.py", NET).startswith("full-gradient")


def test_an_import_that_leaves_daemons_and_spoils_torch(best: Zygote, tmp_path: Path) -> None:
    assert stepped(best, tmp_path / "fine.py", NET).startswith("full-gradient")
    before = len(processes(best._folder))
    code = DAEMON.replace('raise ValueError("64 children")', "") + PASSES["default dtype"].replace("meta", "cpu")
    assert stepped(best, tmp_path / "harm.py", code + NET)
    assert settled(best._folder, before) or not LINUX
    assert stepped(best, tmp_path / "fine.py", NET).startswith("full-gradient")


def test_a_class_that_never_ends_is_killed(best: Zygote, tmp_path: Path) -> None:
    endless = NET.replace("return self", "while True: pass\n        return self")
    ended = stepped(best, tmp_path / "endless.py", endless)
    assert "within 4 s" in ended or "of processor time" in ended
    assert stepped(best, tmp_path / "fine.py", NET).startswith("full-gradient")


def test_a_class_with_a_billion_parameters_is_refused_before_it_runs(best: Zygote, tmp_path: Path) -> None:
    huge = NET.replace("self.layer = nn.Linear(width, width)", "self.layer = nn.Linear(width, 2 ** 28)")
    found = stepped(best, tmp_path / "huge.py", huge)
    assert found.startswith("could-not-synthesise")
    assert "parameters" in found or "memory" in found
