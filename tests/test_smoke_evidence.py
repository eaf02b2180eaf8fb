"""A fix tried on the class that runs its lines: what refutes it, what proves it, and when nothing can be said."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import interpreter, zygote

from autofix.model import Applicability, Claim, ClaimResult, Edit, Evidence, Fix, Level, Relation, Source, Span, Verdict
from autofix.smoke.modules.changes import Changes, changes_of
from autofix.smoke.modules.evidence import ModuleLevel, plan
from autofix.smoke.modules.judge import Finding, combine, judge, silent
from autofix.smoke.verify import verify
from autofix.smoke.zygote import Zygote

__all__ = ["zygote"]

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
EXACT = Claim(Relation.EQUAL)
Try = Callable[..., Finding]


def replacing(text: str, pairs: dict[str, str], claim: Claim = EXACT) -> Fix:
    """A fix that replaces texts, each of which occurs once."""
    edits = []
    for old, new in pairs.items():
        assert text.count(old) == 1, old
        at = text.index(old)
        edits.append(Edit(Span(len(text[:at].encode()), len(text[:at].encode()) + len(old.encode())), new))
    return Fix("fix", tuple(edits), Applicability.SAFE, claim)


def found_by(path: Path, fix: Fix, zygote: Zygote, **options: Any) -> Finding:
    data = path.read_bytes()
    jobs, reasons = plan([(Source(str(path), data), fix)], [0], ModuleLevel(**options), 1)
    if reasons:
        return silent(reasons[0])
    [job] = jobs
    [(_, answer)] = zygote.run([job.job])
    assert path.read_bytes() == data
    return judge(answer["results"]["0"], fix, job.job.spec["items"][0]["module"])


@pytest.fixture
def attempt(tmp_path: Path, zygote: Zygote) -> Try:
    """What module level says of a fix of a file with this text."""

    def run(text: str, pairs: dict[str, str], claim: Claim = EXACT, name: str = "net.py", **options: Any) -> Finding:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = HEAD + textwrap.dedent(text)
        path.write_text(text)
        return found_by(path, replacing(text, pairs, claim), zygote, **options)

    return run


def held(found: Finding) -> dict[str, bool | None]:
    return {claim.name: claim.held for claim in found.claims}


def detail(found: Finding, name: str = "trains") -> str:
    return next(claim.detail for claim in found.claims if claim.name == name)


NET = """
class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, dim)

    def forward(self, x):
        scores = self.proj(x)
        out = torch.log(torch.softmax(scores, dim=-1))
        return out * torch.sigmoid(self.gate(x))
"""
LOGS = {"torch.log(torch.softmax(scores, dim=-1))": "torch.log_softmax(scores, dim=-1)"}


def test_an_exact_fix_trains_as_before(attempt: Try) -> None:
    found = attempt(NET.replace("log(", "exp(").replace("softmax(", "tanh(").replace(", dim=-1", ""),
                    {"torch.exp(torch.tanh(scores))": "torch.tanh(scores).exp()"})  # fmt: skip
    assert found.verdict is Verdict.CONSISTENT
    assert held(found) == {"trains": True, "module-equal": True}
    assert "Net: 3 steps fp32, bf16, fp16: finite" in detail(found)
    assert "all 4 parameters receive a gradient" in detail(found)


def test_what_becomes_finite_is_a_witness_that_can_be_pasted(attempt: Try, tmp_path: Path) -> None:
    found = attempt(NET, LOGS)
    assert found.verdict is Verdict.PROVED
    assert held(found)["module-equal"] is True
    assert "inputs of some 1e4" in found.witness_summary
    program = "import torch\ntorch.set_num_threads(1)\n" + found.witness
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "inf" in done.stdout or "nan" in done.stdout


@pytest.mark.parametrize(
    ("pairs", "claim", "words"),
    [
        ({"torch.log(torch": "2 * torch.log(torch"}, EXACT, "it had"),
        ({"softmax(scores, dim=-1)": "softmax(scores, dim=1)"}, EXACT, "of its size"),
        ({"self.proj(x)": "self.proj(x).detach()"}, Claim(Relation.CLAMPED, change="x"), "proj.weight, proj.bias rec"),
        ({"torch.log(torch": "torch.no_such_log(torch"}, EXACT, "no_such_log"),
        ({"torch.softmax(scores, dim=-1)": "torch.softmax(scores, dim=-1) - 2"}, Claim(Relation.SOFT), "nan"),
        ({"import math": "import no_such_library"}, EXACT, "changes no statement inside"),
        ({"torch.softmax(": "half_softmax(", "import math": "from math import half_softmax"}, EXACT, "importing it"),
        ({"torch.softmax(": "1.5 * torch.softmax("}, Claim(Relation.STRAIGHT_THROUGH), "of its size"),
    ],
    ids=["doubled", "dim", "detached", "raises", "non-finite", "import-only", "import", "another-forward"],
)
def test_wrong_patches(attempt: Try, pairs: dict[str, str], claim: Claim, words: str) -> None:
    found = attempt(NET, pairs, claim)
    assert found.verdict is (None if "changes no" in words else Verdict.REFUTED)
    assert words in (found.reason or detail(found))


def test_a_stated_change_is_told_and_not_held_against_the_fix(attempt: Try) -> None:
    claim = Claim(Relation.CLAMPED, change="scores above 0.1 are held there")
    found = attempt(NET, {"softmax(scores,": "softmax(scores.clamp(max=0.1),"}, claim)
    assert found.verdict is Verdict.CONSISTENT  # scores of -1e4 still give -inf
    assert held(found)["module-equal"] is None
    assert "held there" in detail(found, "module-equal")


def test_a_gate_that_learns_keeps_its_forward(attempt: Try) -> None:
    text = """
        class Routed(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.router, self.proj = nn.Linear(dim, 4), nn.Linear(dim, 4)

            def forward(self, x):
                probs = self.router(x).softmax(-1)
                hard = (probs > 0.25).float()
                return self.proj(x) * hard
        """
    claim = Claim(Relation.STRAIGHT_THROUGH, hazard=("zero-gradient",))
    found = attempt(text, {"* hard": "* (hard + probs - probs.detach())"}, claim)
    assert found.verdict is Verdict.PROVED
    assert "router.weight, router.bias received no gradient before" in found.witness_summary
    assert held(found) == {"trains": True, "module-equal": True, "module-witness": True}


WILD = """
class Scale(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return torch.exp(self.proj(x) * 1e4)
"""


def test_a_clamp_after_the_exponential_repairs_nothing(attempt: Try) -> None:
    claim = Claim(Relation.CLAMPED, change="exponents above 20 are held there")
    after = attempt(WILD, {"torch.exp(self.proj(x) * 1e4)": "torch.exp(self.proj(x) * 1e4).clamp(max=1e4)"}, claim)
    assert after.verdict is None  # the gradient is still 0 times infinity
    assert "does not train before or after" in detail(after)
    inside = attempt(WILD, {"self.proj(x) * 1e4": "(self.proj(x) * 1e4).clamp(max=20)"}, claim)
    assert inside.verdict is Verdict.PROVED
    assert "Scale, fp32: " in inside.witness_summary


MASKED = """
class Attention(nn.Module):
    def __init__(self, dim, causal=False):
        super().__init__()
        self.causal = causal
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        scores = q @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, :], float("-inf"))
        if self.causal:
            keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            scores = scores.masked_fill(~keep, -math.inf)
        return scores.softmax(-1) @ v

    def extra(self, x):
        return self.qkv(x).pow(2).sum(-1).sqrt()
"""


def test_an_optional_mask_is_given_so_that_the_lines_run(attempt: Try) -> None:
    found = attempt(MASKED, {'float("-inf")': "torch.finfo(scores.dtype).min"}, Claim(Relation.MASK))
    assert found.verdict is Verdict.PROVED
    assert "the mask inverted" in found.witness_summary
    assert held(found)["module-equal"] is True


def test_a_flag_is_turned_so_that_the_lines_run(attempt: Try) -> None:
    found = attempt(MASKED, {"-math.inf": "torch.finfo(scores.dtype).min"}, Claim(Relation.MASK))
    assert found.verdict is Verdict.CONSISTENT
    assert held(found) == {"trains": True, "module-equal": True}


def test_a_method_that_forward_does_not_call_is_called_itself(attempt: Try) -> None:
    found = attempt(MASKED, {"sum(-1).sqrt()": "sum(-1).add(1e-12).sqrt()"})
    assert found.verdict is Verdict.CONSISTENT
    assert detail(found).startswith("Attention.extra: 3 steps")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_library\n" + NET, "No module named 'no_such_library'"),
        (NET.replace("super().__init__()", "super().__init__()\n        raise RuntimeError('licence')"), "licence"),
        (NET.replace("(nn.Module)", "(object)"), "no class of the file is an nn.Module"),
        (NET.replace("        scores =", "        if x is None:\n            return x\n        scores ="), ""),
    ],
    ids=["dependency", "constructor", "plain-class", "fine"],
)
def test_what_cannot_be_run_is_neither_for_nor_against(attempt: Try, text: str, words: str) -> None:
    found = attempt(text, LOGS)
    if not words:
        assert found.verdict is Verdict.PROVED
        return
    assert found.verdict is None
    assert held(found) == {"trains": None}
    assert words in detail(found)


def test_a_fix_of_the_constructor(attempt: Try) -> None:
    text = """
        class Mixer(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.weight = nn.Parameter(torch.empty(dim, dim))

            def forward(self, x):
                return x @ self.weight
        """
    filled = {"(torch.empty(dim, dim))": "(torch.empty(dim, dim).normal_(0.0, 0.1))"}
    found = attempt(text, filled, Claim(Relation.EQUAL, change="the weight is drawn"))
    assert found.verdict is Verdict.PROVED  # fresh memory holds NaN while the class is built
    assert "Mixer, fp32" in found.witness_summary


def test_lines_that_no_class_runs_say_nothing(attempt: Try) -> None:
    text = NET + "\ndef helper(x):\n    return torch.log(x + 1)\n"
    assert "no class of the file uses" in detail(attempt(text, {"torch.log(x + 1)": "torch.log1p(x)"}))
    dead = NET.replace("        out =", "        if x.ndim > 9:\n            return x.exp().log()\n        out =")
    found = attempt(dead, {"x.exp().log()": "x"})
    assert found.verdict is None
    assert "the changed lines did not run" in detail(found)


def test_a_function_is_tried_through_the_class_that_uses_it(attempt: Try) -> None:
    text = """
        def stable(x):
            return torch.log(torch.softmax(x, dim=-1))

        def wrapped(x):
            return stable(x) + 1

        class User(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.proj = nn.Linear(dim, dim)

            def forward(self, x):
                return wrapped(self.proj(x))
        """
    found = attempt(text, {"torch.log(torch.softmax(x, dim=-1))": "torch.log_softmax(x, dim=-1)"})
    assert found.verdict is Verdict.PROVED
    assert "User" in found.witness_summary


# -- how files are imported ----------------------------------------------------------------------------------------


def test_a_package_with_data_and_a_broken_neighbour(tmp_path: Path, zygote: Zygote) -> None:
    package = tmp_path / "src" / "pkg" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'pkg'\n")
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("")
    (package.parent / "sizes.txt").write_text("24")
    (package / "broken.py").write_text("def f(:\n")
    (package.parent / "base.py").write_text(HEAD + "class Base(nn.Module):\n    pass\n")
    text = (
        HEAD
        + "import os\nfrom importlib import resources\nfrom ..base import Base\nfrom pkg.base import Base as Same\n"
        "assert Base is Same\n"
        "SIZE = int(open(os.path.join(os.path.dirname(__file__), '..', 'sizes.txt')).read())\n"
        "assert int(resources.files('pkg').joinpath('sizes.txt').read_text()) == SIZE\n"
        + NET.replace("(nn.Module)", "(Base)").replace("(dim, dim)", "(SIZE, SIZE)").replace("self, dim", "self")
        + "\nif __name__ == '__main__':\n    raise SystemExit('run as a script')\n"
    )
    (package / "net.py").write_text(text)
    assert found_by(package / "net.py", replacing(text, LOGS), zygote).verdict is Verdict.PROVED


def test_a_namespace_package(tmp_path: Path, zygote: Zygote) -> None:
    folder = tmp_path / "space" / "inner"
    folder.mkdir(parents=True)
    (folder.parent / "base.py").write_text(HEAD + "class Base(nn.Module):\n    pass\n")
    text = HEAD + "from ..base import Base\n" + NET.replace("(nn.Module)", "(Base)")
    (folder / "net.py").write_text(text)
    assert found_by(folder / "net.py", replacing(text, LOGS), zygote).verdict is Verdict.PROVED


@pytest.mark.parametrize("name", ["types.py", "conftest.py", "torch_utils/random.py", "odd-name.py"])
def test_files_with_unusual_names(attempt: Try, name: str) -> None:
    found = attempt(NET, LOGS, name=name)
    if name == "odd-name.py":
        assert "no name that can be imported" in detail(found)
    else:
        assert found.verdict is Verdict.PROVED, detail(found)


def test_a_module_that_cannot_be_executed_twice(attempt: Try) -> None:
    text = "if 'once' in math.__dict__:\n    raise RuntimeError('registered already')\nmath.once = True\n" + NET
    found = attempt(text, LOGS)
    assert found.verdict is Verdict.PROVED
    wrong = attempt(text, {"torch.log(torch": "2 * torch.log(torch"})
    assert wrong.verdict is Verdict.REFUTED


def test_an_example_runs_what_cannot_be_guessed(attempt: Try) -> None:
    text = NET.replace("self, dim):", "self, key):\n        dim = {'open sesame': 8}[key]")
    assert attempt(text, LOGS).verdict is None
    example = {"init": {"key": "open sesame"}, "forward": "torch.randn(4, 8)"}
    found = attempt(text, LOGS, examples={"net:Net": example})
    assert held(found)["trains"] is True
    assert attempt(text, {"torch.log(torch": "2 * torch.log(torch"}, examples={"Net": example}).reason
    wrong = attempt(text, LOGS, examples={"Net": {**example, "forward": "torch.randn(4, 9)"}})
    assert wrong.verdict is None
    assert "the example given for it fails" in detail(wrong)


# -- which lines, which classes ------------------------------------------------------------------------------------


def changed(text: str, pairs: dict[str, str]) -> Changes | str:
    return changes_of(Source("net.py", text.encode()), replacing(text, pairs))


def test_changed_statements_and_their_classes() -> None:
    found = changed(HEAD + NET, LOGS)
    assert isinstance(found, Changes)
    assert found.before == found.after == ((15, 15),)
    assert found.classes == ("Net",)
    assert dict(found.methods) == {"Net": "forward"}
    text = HEAD + MASKED + "\nclass Child(Attention):\n    pass\n\nclass User(nn.Module):\n    part = Child\n"
    found = changed(text, {"        q, k, v = ": "        x = x + 1\n        q, k, v = ", "-math.inf": "-1e4"})
    assert isinstance(found, Changes)
    assert found.classes == ("Attention", "Child", "User")
    assert dict(found.methods) == {"Attention": "forward", "Child": "forward"}
    assert {"causal", "keep"} <= found.names
    assert len(found.after) == 3


def test_the_header_of_a_compound_statement_is_what_changes() -> None:
    found = changed(HEAD + MASKED, {"if self.causal:": "if self.causal and True:"})
    assert isinstance(found, Changes)
    [(first, last)] = found.before
    assert first == last


# -- both levels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "module", "expected", "level"),
    [
        (Verdict.PROVED, Verdict.CONSISTENT, Verdict.PROVED, Level.EXPRESSION),
        (Verdict.PROVED, None, Verdict.PROVED, Level.EXPRESSION),
        (Verdict.PROVED, Verdict.REFUTED, Verdict.REFUTED, Level.MODULE),
        (Verdict.CONSISTENT, Verdict.PROVED, Verdict.PROVED, Level.MODULE),
        (Verdict.CONSISTENT, Verdict.CONSISTENT, Verdict.CONSISTENT, Level.EXPRESSION),
        (Verdict.INCONCLUSIVE, Verdict.CONSISTENT, Verdict.CONSISTENT, Level.MODULE),
        (Verdict.INCONCLUSIVE, Verdict.PROVED, Verdict.PROVED, Level.MODULE),
        (Verdict.INCONCLUSIVE, None, Verdict.INCONCLUSIVE, Level.EXPRESSION),
        (Verdict.REFUTED, Verdict.PROVED, Verdict.REFUTED, Level.EXPRESSION),
    ],
)
def test_how_the_levels_join(statements: Verdict, module: Verdict | None, expected: Verdict, level: Level) -> None:
    before = Evidence(statements, Level.EXPRESSION, reason="why", seconds=1.0)
    joined = combine(before, Finding(module, (ClaimResult("trains", True, "it ran"),), "worse"), 2.0)
    assert (joined.verdict, joined.level) == (expected, level)
    assert joined.seconds == 3.0
    assert any(claim.name == "trains" for claim in joined.claims)
    if statements is Verdict.INCONCLUSIVE and module is not None:
        assert joined.reason == ""
        assert ClaimResult("expression", None, "why") in joined.claims


class Remembering:
    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Any] = {}

    def get(self, kind: str, key: str) -> Any:
        return self.values.get((kind, key))

    def put(self, kind: str, key: str, value: Any) -> None:
        self.values[kind, key] = value


def test_verify_joins_the_levels_and_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = tmp_path / "net.py", HEAD + NET
    path.write_text(text)
    standing = (Source(str(path), text.encode()), replacing(text, LOGS))
    nowhere = (Source("<stdin>", text.encode()), replacing(text, LOGS))
    store = Remembering()
    options: dict[str, Any] = {"cache": store, "seconds": 60.0, "modules": ModuleLevel()}
    told: list[tuple[int, int]] = []
    first, second = verify([standing, nowhere], interpreter(), on_modules=lambda n, of: told.append((n, of)), **options)
    assert told == [(2, 2)]
    assert (first.verdict, first.level, second.verdict) == (Verdict.PROVED, Level.EXPRESSION, Verdict.PROVED)
    assert any(c.name == "trains" and c.held for c in first.claims)
    assert any(c.name == "trains" and c.held is None and "no file" in c.detail for c in second.claims)
    without = verify([standing], interpreter(), cache=store)[0]
    assert not any(c.name == "trains" for c in without.claims)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a trial ran")

    monkeypatch.setattr("autofix.smoke.zygote.Zygote._send", refuse)
    assert verify([standing, nowhere], interpreter(), **options) == [first, second]
    monkeypatch.undo()
    (tmp_path / "other.py").write_text("x = 1\n")  # a neighbour that may be imported: the class is run again
    count = len(store.values)
    verify([standing, nowhere], interpreter(), **options)
    assert len(store.values) == count + 1


def test_an_example_in_the_configuration_reaches_both_commands(tmp_path: Path) -> None:
    text = HEAD + NET.replace("self, dim):", "self, key):\n        dim = {'open sesame': 8}[key]")
    (tmp_path / "net.py").write_text(text)
    table = '[tool.autofix.example."net:Net"]\ninit = { key = "open sesame" }\nforward = "torch.randn(4, 8)"\n'
    (tmp_path / "pyproject.toml").write_text(table)
    options = ["--python", sys.executable, "--output-format", "json", "net.py"]
    [smoked] = records(tmp_path, "smoke", *options)
    assert smoked["verdict"] == "full-gradient"
    [found] = records(tmp_path, "fix", "--dry-run", "--select", "log-softmax", "--no-cache", *options)
    assert any(c["name"] == "trains" and c["held"] for c in found["evidence"]["claims"])
    [found] = records(
        tmp_path, "fix", "--dry-run", "--select", "log-softmax", "--no-cache", "--level", "expression", *options
    )
    assert all(c["name"] != "trains" for c in found["evidence"]["claims"])
    (tmp_path / "pyproject.toml").write_text(table.replace("forward", "forwrd"))
    command = [sys.executable, "-m", "autofix", "smoke", "net.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pyproject.toml: [tool.autofix] example "net:Net" has an unknown key forwrd' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def records(where: Path, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "autofix", *arguments]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("["), done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
