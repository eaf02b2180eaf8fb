"""Classes built and trained without being told how, and what is said when that shows a flaw or cannot be done."""

from __future__ import annotations

import json
import shutil
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from running import interpreter, zygote

from autofix.deliver import smoke_report
from autofix.model import Problem
from autofix.smoke.modules.evidence import _python_files
from autofix.smoke.modules.smoke import ClassReport, smoke
from autofix.smoke.zygote import Zygote

__all__ = ["zygote"]

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
Smoke = Callable[..., dict[str, ClassReport]]


@pytest.fixture
def run(tmp_path: Path, zygote: Zygote) -> Smoke:
    """Reports by class name for a file with this text."""

    def run_text(text: str, **options: Any) -> dict[str, ClassReport]:
        path = tmp_path / "net.py"
        path.write_text(HEAD + textwrap.dedent(text))
        reports = smoke(str(path), interpreter(), zygote=zygote, **options)
        assert not isinstance(reports, Problem), reports
        return {one.name: one for one in reports}

    return run_text


def test_ordinary_classes_train_and_every_parameter_learns(run: Smoke) -> None:
    reports = run("""
        class FeedForward(nn.Module):
            def __init__(self, dim, hidden_dim, dropout=0.0):
                super().__init__()
                self.norm = nn.LayerNorm(dim)
                self.net = nn.Sequential(nn.Linear(dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, dim))

            def forward(self, x):
                return self.net(self.norm(x)) + x

        class Attention(nn.Module):
            def __init__(self, dim, heads, dim_head):
                super().__init__()
                assert dim == heads * dim_head, "dim must be heads times dim_head"
                self.heads = heads
                self.to_qkv = nn.Linear(dim, 3 * dim)

            def forward(self, x, mask=None):
                b, n, d = x.shape
                q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
                scores = q @ k.mT / math.sqrt(d)
                if mask is not None:
                    scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
                return (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d)

        class Classifier(nn.Module):
            def __init__(self, num_tokens: int, dim: int, depth: int, num_classes: int = 7):
                super().__init__()
                self.embed = nn.Embedding(num_tokens, dim)
                self.layers = nn.ModuleList(FeedForward(dim, 2 * dim) for _ in range(depth))
                self.out = nn.Linear(dim, num_classes)

            def forward(self, tokens):
                x = self.embed(tokens)
                for layer in self.layers:
                    x = layer(x)
                return self.out(x.mean(1))

        class Image(nn.Module):
            def __init__(self, in_channels, out_channels, kernel_size):
                super().__init__()
                self.conv = nn.Conv2d(in_channels, out_channels, kernel_size)
                self.norm = nn.GroupNorm(8, out_channels)

            def forward(self, img):
                return self.norm(self.conv(img)).flatten(2).mean(-1)
        """)
    assert {n: r.verdict for n, r in reports.items()} == dict.fromkeys(
        ("FeedForward", "Attention", "Classifier", "Image"), "full-gradient"
    )
    assert all(r.finite and r.losses and not r.missing_gradient for r in reports.values())


def test_each_verdict_is_told_apart(run: Smoke) -> None:
    reports = run("""
        class Abstract(nn.Module):
            def forward(self, x):
                raise NotImplementedError

        class Bare(nn.Module):
            def forward(self, x):
                return x.softmax(-1)

        class Partial(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.used, self.unused = nn.Linear(dim, dim), nn.Linear(dim, dim)

            def forward(self, x):
                with torch.no_grad():
                    y = self.unused(x)
                return self.used(x) + y

        class NonFinite(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.scale = nn.Linear(dim, dim)

            def forward(self, x):
                return torch.exp(self.scale(x) * 1e4)

        class Impossible(nn.Module):
            def __init__(self, dim):
                super().__init__()
                raise RuntimeError("licence key required")

            def forward(self, x):
                return x + 1

        class Broken(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(dim))

            def forward(self, x):
                y = (x * self.weight).exp()
                y += y.exp()
                return y

        class NotAModule:
            pass
        """)
    assert {n: r.verdict for n, r in reports.items()} == {
        "Bare": "no-parameters", "Partial": "partial-gradient", "NonFinite": "non-finite",
        "Impossible": "could-not-synthesise", "Broken": "failed",
    }  # fmt: skip
    assert reports["Partial"].missing_gradient == ("unused.weight", "unused.bias")
    assert reports["NonFinite"].rule == "exp-unbounded"
    assert "licence key required" in reports["Impossible"].reason
    assert "RuntimeError" in reports["Broken"].reason
    assert smoke_report.exit_status(reports.values()) == 1
    assert smoke_report.exit_status([reports["Bare"], reports["Impossible"]]) == 0


def test_uninitialised_memory_is_a_finding_and_not_chance(run: Smoke) -> None:
    reports = run("""
        class Mixer(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.weight = nn.Parameter(torch.empty(dim, dim))

            def forward(self, x):
                return x @ self.weight
        """)
    assert reports["Mixer"].verdict == "non-finite"
    origin = reports["Mixer"].origin
    assert origin is not None
    assert (origin.operation, origin.when, origin.line) == ("empty", "initialisation", 10)


def test_configurations_are_real_classes_where_there_are_any(run: Smoke) -> None:
    reports = run("""
        from dataclasses import dataclass

        @dataclass
        class BlockConfig:
            hidden_size: int = 4096
            num_heads: int = 32

        class Block(nn.Module):
            def __init__(self, config: BlockConfig):
                super().__init__()
                self.proj = nn.Linear(config.hidden_size, config.num_heads * 2)

            def forward(self, hidden_states):
                return self.proj(hidden_states)

        class Loose(nn.Module):
            def __init__(self, args):
                super().__init__()
                self.proj = nn.Linear(args.n_embd, args.n_embd, bias=args.bias)

            def forward(self, x):
                return self.proj(x)
        """)
    assert reports["Block"].verdict == "full-gradient"
    assert "BlockConfig" in reports["Block"].arguments["config"]
    assert reports["Block"].stand_ins == ()
    assert reports["Loose"].verdict == "full-gradient"


def test_a_child_is_replayed_from_its_parent(run: Smoke) -> None:
    reports = run("""
        class Odd(nn.Module):
            def __init__(self, table):
                super().__init__()
                if table != {"secret": [1, 2, 3]}:
                    raise ValueError("wrong table")
                self.out = nn.Linear(32, 5)

            def forward(self, x):
                return self.out(x)

        class Parent(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.proj = nn.Linear(dim, 32)
                self.odd = Odd({"secret": [1, 2, 3]})

            def forward(self, x):
                return self.odd(self.proj(x))
        """)
    assert reports["Odd"].verdict == "full-gradient"
    assert "of Parent" in reports["Odd"].arguments[""]


def test_the_same_seed_gives_the_same_losses(run: Smoke) -> None:
    text = """
        class Noisy(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.net = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(0.5), nn.Linear(dim, 3))

            def forward(self, x):
                return self.net(x) * torch.rand(())
        """
    first, second, other = (run(text, seed=seed, checks=False)["Noisy"] for seed in (1, 1, 2))
    assert first.losses == second.losses
    assert first.losses != other.losses


def test_hostile_classes_cost_only_themselves(run: Smoke) -> None:
    reports = run(
        """
        class Loops(nn.Module):
            def __init__(self, dim):
                super().__init__()
                import signal
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    pass

            def forward(self, x):
                return x + 1

        class Exits(nn.Module):
            def forward(self, x):
                import os
                os._exit(3)

        class Huge(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(100_000_000_000))

            def forward(self, x):
                return x * self.weight

        class Fine(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.proj = nn.Linear(dim, dim)

            def forward(self, x):
                return self.proj(x)
        """,
        seconds=2.0,
    )
    assert {n: r.verdict for n, r in reports.items()} == {
        "Loops": "could-not-synthesise", "Exits": "could-not-synthesise", "Huge": "could-not-synthesise",
        "Fine": "full-gradient",
    }  # fmt: skip
    assert "was killed" in reports["Loops"].reason
    assert "exit status 3" in reports["Exits"].reason


def test_a_package_with_relative_imports_and_data(tmp_path: Path, zygote: Zygote) -> None:
    package = tmp_path / "pkg"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "sizes.txt").write_text("24")
    (package / "base.py").write_text(
        HEAD + "class Base(nn.Module):\n    def go(self, x):\n        return self.proj(x)\n"
    )
    (package / "inner" / "net.py").write_text(
        HEAD + "from pathlib import Path\nfrom ..base import Base\n"
        "SIZE = int((Path(__file__).parent.parent / 'sizes.txt').read_text())\n\n"
        "class Net(Base):\n    def __init__(self):\n        super().__init__()\n"
        "        self.proj = nn.Linear(SIZE, 2)\n\n"
        "    def forward(self, x):\n        return self.go(x)\n"
    )
    (package / "broken.py").write_text(HEAD + "import no_such_library\n\nclass Lost(nn.Module):\n    pass\n")
    reports = smoke(str(package), interpreter(), zygote=zygote)
    assert not isinstance(reports, Problem)
    assert [(r.name, r.verdict) for r in reports] == [("Lost", "could-not-synthesise"), ("Net", "full-gradient")]
    assert "no_such_library" in reports[0].reason
    one = smoke(f"{package / 'inner' / 'net.py'}::Net", interpreter(), checks=False, zygote=zygote)
    assert not isinstance(one, Problem)
    assert [r.name for r in one] == ["Net"]


def test_targets_that_do_not_exist_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    for target in (str(tmp_path / "none.py"), str(tmp_path / "empty.py"), "no_such_package_here:Net", "???"):
        assert isinstance(smoke(target, interpreter()), Problem)


def test_a_torch_class_by_its_dotted_name(zygote: Zygote) -> None:
    reports = smoke("torch.nn.modules.linear:Linear", interpreter(), checks=False, zygote=zygote)
    assert not isinstance(reports, Problem)
    assert [r.verdict for r in reports] == ["full-gradient"]


def test_renderings(run: Smoke) -> None:
    reports = list(
        run("""
        class Log(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.proj = nn.Linear(dim, dim)

            def forward(self, x):
                return (x.abs() / x.abs().sum(-1, keepdim=True)).matmul(self.proj.weight)
        """).values()
    )
    [element] = json.loads(smoke_report.as_json(reports))
    assert {"class", "path", "line", "verdict", "missing_gradient", "stand_ins", "reason", "seconds"} <= set(element)
    assert element["class"] == "Log"
    assert element["line"] == 7
    assert any(c["name"] == "zeros" and c["held"] is False for c in element["checks"])
    suite = ElementTree.fromstring(smoke_report.as_junit(reports).partition("\n")[2])
    assert suite.attrib["failures"] == "1"
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    smoke_report.show(console, reports)
    text = console.export_text()
    assert "Log" in text
    assert "zeros" in text


def test_an_example_of_the_user_is_used_and_judged(run: Smoke) -> None:
    text = """
        class Keyed(nn.Module):
            def __init__(self, key):
                super().__init__()
                if key[::-1] != "emases nepo":
                    raise ValueError("wrong key")
                self.proj = nn.Linear(6, 2)

            def forward(self, pair, *, scale):
                return self.proj(pair) * scale
        """
    key = {"init": {"key": "open sesame"}, "forward": "torch.randn(4, 6), scale=2.0"}
    assert run(text)["Keyed"].verdict == "could-not-synthesise"
    assert run(text, examples={"Keyed": key})["Keyed"].verdict == "full-gradient"
    wrong = run(text, examples={"net:Keyed": {**key, "forward": "torch.randn(4, 7), scale=2.0"}})["Keyed"]
    assert wrong.verdict == "failed"
    assert "the example given for it fails" in wrong.reason


def test_ablation_turns_every_expert_on(run: Smoke) -> None:
    reports = run(
        """
        class Experts(nn.Module):
            def __init__(self, dim, num_experts=4, top_k=1):
                super().__init__()
                self.num_experts, self.top_k = num_experts, top_k
                self.gate = nn.Linear(dim, num_experts)
                self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))

            def forward(self, x):
                weights, chosen = self.gate(x).softmax(-1).topk(self.top_k, dim=-1)
                every = torch.stack([expert(x) for expert in self.experts], dim=-2)
                index = chosen[..., None].expand(*chosen.shape, x.shape[-1])
                return (weights[..., None] * every.gather(-2, index)).sum(-2)
        """,
        ablate="routing",
    )
    ablation = reports["Experts"].ablation
    assert ablation["changed"] == ["top_k: 1 -> 4"]
    assert len(ablation["routed_losses"]) == len(ablation["dense_losses"]) == 8
    assert any(line.startswith("ablation: top_k") for line in smoke_report.notes_of(reports["Experts"]))


def test_a_folder_that_vanishes_while_files_are_listed_costs_nothing(tmp_path: Path) -> None:
    for name in ("a.py", "gone/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = _python_files(tmp_path)
    assert next(listed) == tmp_path / "a.py"
    shutil.rmtree(tmp_path / "gone")
    assert list(listed) == []
