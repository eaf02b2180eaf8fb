from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from autofix import engine
from autofix.model import Problem

# A loaded machine is no failure; CI tries the same examples every time, other runs look for new ones.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Two cores are shared by the test run and the harness processes it starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches and undo journals of the tests stay away from the user's."""
    folder = tmp_path_factory.mktemp("autofix")
    kept = {name: os.environ.get(name) for name in ("AUTOFIX_CACHE_DIR", "AUTOFIX_STATE_DIR")}
    os.environ["AUTOFIX_CACHE_DIR"] = str(folder / "cache")
    os.environ["AUTOFIX_STATE_DIR"] = str(folder / "state")
    yield
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def verify() -> engine.Verify:
    """Executes fixes under the interpreter that runs the tests."""
    from autofix.smoke.interpreter import find_python
    from autofix.smoke.verify import verify as run

    interpreter = find_python(sys.executable, Path.cwd())
    assert not isinstance(interpreter, Problem)
    return lambda items: run(items, interpreter, seconds=60.0)  # verdicts must not depend on the load


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder for tests of permissions, which are run as an ordinary user even when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="autofix-test-"))
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.setegid(65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)
