"""The example with the hard top-p mask does not learn to route; after the rule's own fix it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from autofix.detect import scan
from autofix.model import Source
from autofix.patch import compose
from autofix.registry import rule_named
from autofix.rule import Options

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "adaptive_heads"


def final_loss(folder: Path, *options: str) -> float:
    """The averaged loss that the last line of a training run reports."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "train.py", *options], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return float(re.findall(r"loss (\S+)", done.stdout)[-1])


def apply_fix(folder: Path) -> None:
    rule = rule_named("hard-top-p-mask")
    assert rule is not None
    path = folder / "model.py"
    source = Source("model.py", path.read_bytes())
    findings = scan(source, [rule], Options()).findings
    assert [f.severity.value for f in findings] == ["error"]
    path.write_bytes(compose(source, findings).after)


def test_it_learns_to_route_after_the_fix(tmp_path: Path) -> None:
    folder = tmp_path / "adaptive_heads"
    shutil.copytree(EXAMPLE, folder)
    everything_on = final_loss(folder, "--all-heads")
    before = final_loss(folder)
    first_step = final_loss(folder, "--max-steps", "1")
    apply_fix(folder)
    after = final_loss(folder)

    # Of four seeds, 0.38 to 0.54 before, 0.28 to 0.31 after and 0.27 to 0.29 with all heads on; the squared measurement
    # error is 0.25. Other versions of PyTorch draw other numbers, hence 1.25 where 1.4 was the least seen.
    assert before > 1.25 * everything_on
    assert after < 1.10 * everything_on
    # The forward pass is the same: so is the first loss, to the last digit printed.
    assert final_loss(folder, "--max-steps", "1") == first_step
