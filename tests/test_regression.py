"""Tests made from witnesses: each fails on the base and passes with the fix, whatever the code around it looks like."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from running import interpreter, zygote  # noqa: F401 - a fixture

from autofix import engine
from autofix.deliver.proposals import Proposal, propose
from autofix.deliver.regression import RegressionTests, regression_tests
from autofix.model import Level
from autofix.rule import Options
from autofix.smoke.modules import judge
from autofix.smoke.modules.evidence import ModuleLevel
from autofix.smoke.verify import verify
from autofix.smoke.zygote import Zygote

CASES = {
    # a value that is not finite, in a branch of a method
    "mask-neg-inf": '''
import torch


class Attention:
    def forward(self, x, mask=None):
        scores = self.query(x) @ self.key(x).transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(mask[:, None], float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            return self.drop(weights)
        return scores
''',
    # no gradient arrives
    "hard-top-p-mask": """
import torch
from torch import nn


class Router(nn.Module):
    def forward(self, x):
        probs = self.router(x).softmax(-1)
        ranked, order = torch.sort(probs, dim=-1, descending=True)
        mass = torch.cumsum(ranked, dim=-1) - ranked
        keep = (mass < self.p).float()
        gates = torch.zeros_like(probs).scatter(-1, order, keep)
        return torch.einsum("bth,bthd->btd", gates, self.heads(x))
""",
    # both versions stay finite, and the one before is wrong
    "log1p": '''
import torch as th


def survival(rate):
    return th.log(1 + rate)
''',
    # a training loop whose step nothing bounds
    "grad-clip-missing": '''
import torch


def train(model, loader, optimizer, scaler, accumulate):
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = torch.nn.functional.mse_loss(model(x), y) / accumulate
        scaler.scale(loss).backward()
        if (i + 1) % accumulate == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
''',
    # an input that the statements bind again, in a file with CRLF
    "exp-unbounded": '''
import torch


class Coupling:
    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        log_s, shift = self.net(a).chunk(2, dim=-1)
        b = b * torch.exp(log_s) + shift
        return torch.cat([a, b], dim=-1), log_s.sum(-1)
'''.replace("\n", "\r\n"),
}  # fmt: skip


def _proposal(folder: Path, rule: str, modules: ModuleLevel | None = None) -> Proposal:
    request = engine.Request(engine.select_rules([rule], ()), Options(), unsafe=True, jobs=1)
    (made,), problems = propose(folder, ["."], request, lambda items: verify(items, interpreter(), modules=modules))
    assert not problems
    return made


def _made(folder: Path, rule: str, warm: Zygote, modules: ModuleLevel | None = None) -> RegressionTests:
    return regression_tests(_proposal(folder, rule, modules), folder, warm, None)


@pytest.mark.parametrize("rule", CASES)
def test_a_test_fails_before_and_passes_after(rule: str, tmp_path: Path, zygote: Zygote) -> None:  # noqa: F811
    (tmp_path / "model.py").write_bytes(CASES[rule].encode())
    made = _made(tmp_path, rule, zygote)
    assert made.left_out == ()
    assert [(t.before, t.after) for t in made.results] == [("fails", "passes")]
    assert made.path == f"tests/test_autofix_{rule.replace('-', '_')}.py"
    text = made.text.decode()
    ast.parse(text)
    assert "def show(" not in text  # what only serves to find the test is not part of it
    assert ("assert_close(values, gradients, [" in text) == (rule == "log1p")


def test_a_witness_of_a_class_imports_it(tmp_path: Path, zygote: Zygote) -> None:  # noqa: F811
    package = tmp_path / "net" / "layers"
    package.mkdir(parents=True)
    (tmp_path / "net" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("WIDTH = 4\n")
    (package / "scale.py").write_text(
        "import torch\nimport torch.nn as nn\n\nfrom . import WIDTH\n\n\n"
        "class Scale(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.net = nn.Linear(WIDTH, WIDTH)\n\n"
        "    def forward(self, x):\n        return torch.log(torch.softmax(self.net(x), dim=-1))\n"
    )
    found = _proposal(tmp_path, "log-softmax")
    (item,) = found.report.items
    assert item.evidence is not None
    step = {"class": "Scale", "plan": {"init": {}}}
    script = judge._python(step, "net.layers.scale", "fp32", {"x": ["tensor", [3, 4], "large"]})
    evidence = replace(item.evidence, level=Level.MODULE, witness=script)
    file = replace(found.report.files[0], items=(replace(item, evidence=evidence),))
    made = regression_tests(replace(found, report=replace(found.report, files=(file,))), tmp_path, zygote, None)
    assert [(t.before, t.after) for t in made.results] == [("fails", "passes")], made.left_out
    assert "from net.layers.scale import Scale" in made.text.decode()


def test_a_name_that_is_taken_is_not_overwritten(tmp_path: Path, zygote: Zygote) -> None:  # noqa: F811
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_autofix_log1p.py").write_text("")
    (tmp_path / "model.py").write_text(CASES["log1p"])
    assert _made(tmp_path, "log1p", zygote).path == "tests/test_autofix_log1p_2.py"


def test_hostile_code_in_the_file_stays_data(tmp_path: Path, zygote: Zygote) -> None:  # noqa: F811
    """A name of a file and a string of the code end up in the test as text."""
    (tmp_path / 'a\'b"""c.py').write_text(
        "import torch\n\n\ndef f(box):\n    return torch.log(1 + box['\"\"\"\\'''\\n{{ 7 * 7 }}'])\n"
    )
    made = _made(tmp_path, "log1p", zygote)
    assert made.left_out == ()
    ast.parse(made.text.decode())
    assert "49" not in made.text.decode()
