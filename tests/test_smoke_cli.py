"""`autofix smoke` as a user types it: targets, exit status, formats; and what it says about the line that broke."""

from __future__ import annotations

import json
import os
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from running import interpreter, zygote

from autofix.cli import main
from autofix.deliver import smoke_report, smoke_words
from autofix.model import Problem
from autofix.registry import rule_named
from autofix.smoke.modules.smoke import Check, ClassReport, smoke
from autofix.smoke.modules.spelling import spelled
from autofix.smoke.modules.suggest import Origin, findings_in, suggest
from autofix.smoke.zygote import Zygote

__all__ = ["zygote"]

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
BASE = """
class Base(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

"""
FINE = BASE + "class Fine(Base):\n    def forward(self, x):\n        return self.proj(x)\n"
Run = Callable[..., dict[str, ClassReport]]


@pytest.fixture
def run(tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Reports by class name for a file `net.py` with this text, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def run_text(text: str, **options: Any) -> dict[str, ClassReport]:
        (tmp_path / "net.py").write_text(HEAD + text)
        reports = smoke("net.py", interpreter(), zygote=zygote, **options)
        assert not isinstance(reports, Problem), reports
        return {one.name: one for one in reports}

    return run_text


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["smoke", *arguments])
    return int(stop.value.code or 0)


# -- where it broke ----------------------------------------------------------------------------------------------

# Each class breaks at the line with the comment; the operation, the pass, and the rule where the registry has one.
BROKEN = {
    "Exp": ("return torch.exp(self.proj(x) * 1e4)", "exp", "forward", "exp-unbounded"),
    "LogZero": ("return torch.log(F.relu(self.proj(x)))", "log", "forward", "log-unprotected"),
    "LogSoftmax": ("return torch.log(torch.softmax(self.proj(x) * 1e3, dim=-1))", "log", "forward", "log-softmax"),
    "SqrtZero": ("return torch.sqrt((self.proj(x) * 0.0) ** 2)", "sqrt", "backward", "sqrt-unprotected"),
    "Acos": ("return torch.acos(self.proj(x) * 10)", "acos", "forward", "acos-domain"),
    "InPlace": ("return x.new_tensor(1e38).mul_(1e3) * self.proj(x)", "mul", "forward", ""),
}
MULTILINE = {
    "MaskedMean": (
        ["h = self.proj(x)", "keep = (h > 1e3).float()", "return (h * keep).sum(-1) / keep.sum(-1)  # here"],
        "div", "forward", "masked-mean",
    ),
    "Filled": (
        [
            "s = self.proj(x) @ x.mT", "mask = torch.ones_like(s, dtype=torch.bool).triu(0)",
            's = s.masked_fill(mask, float("-inf"))', "return s.softmax(-1) @ x  # here",
        ],
        "softmax", "forward", "mask-neg-inf",
    ),
    "Added": (
        [
            "s = self.proj(x) @ x.mT", 's = s + torch.full(s.shape[-2:], float("-inf")).triu(0)',
            "return F.softmax(s, dim=-1) @ x  # here",
        ],
        "softmax", "forward", "mask-neg-inf",
    ),
    "Indexed": (
        [
            "s = self.proj(x) @ x.mT * 2", "s[torch.ones_like(s, dtype=torch.bool).triu(0)] = -math.inf",
            "return nn.Softmax(-1)(s) @ x  # here",
        ],
        "softmax", "forward", "mask-neg-inf",
    ),
    "Where": (
        ["h = self.proj(x)", "root = torch.sqrt(h)  # here", "return torch.where(h > 0, root, torch.zeros_like(h))"],
        "sqrt", "backward", "",
    ),
}  # fmt: skip


def broken_classes() -> str:
    text = BASE
    for name, (line, *_) in BROKEN.items():
        text += f"class {name}(Base):\n    def forward(self, x):\n        {line}  # here\n\n\n"
    for name, (lines, *_) in MULTILINE.items():
        body = "".join(f"        {line}\n" for line in lines)
        text += f"class {name}(Base):\n    def forward(self, x):\n{body}\n\n"
    return text


def test_the_operation_and_the_line_of_the_first_non_finite_value(run: Run, tmp_path: Path) -> None:
    reports = run(broken_classes(), checks=False)
    lines = (tmp_path / "net.py").read_text().splitlines()
    for name, (_, operation, when, rule) in {**BROKEN, **MULTILINE}.items():
        one = reports[name]
        assert one.verdict == "non-finite", name
        assert one.origin is not None, name
        assert (one.origin.operation, one.origin.when, one.origin.path) == (operation, when, "net.py"), name
        assert lines[one.origin.line - 1].endswith("# here"), (name, one.origin)
        assert one.origin.line > one.line
        if rule and rule_named(rule) and name != "Exp":
            assert one.rule == rule or one.rule in {f.rule for f in findings_in("net.py")}, name
    assert reports["LogSoftmax"].rule == "log-softmax"
    assert "--select log-softmax net.py" in reports["LogSoftmax"].suggestion.command
    for name in ("Filled", "Added", "Indexed"):
        assert "--select mask-neg-inf net.py" in reports[name].suggestion.command
        assert "every position of a row is masked" in smoke_words.notes_of(reports[name])
    assert reports["Exp"].rule == "exp-unbounded"
    assert "0 in" in reports["MaskedMean"].origin.detail  # type: ignore[union-attr]


def test_the_suggested_command_patches_that_line(run: Run, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    one = run(broken_classes(), checks=False)["LogSoftmax"]
    assert one.origin is not None
    with pytest.raises(SystemExit):
        main([*one.suggestion.command.split()[1:], "--no-verify", "--allow-unverified", "--no-cache"])
    diff = capsysbinary.readouterr().out.decode()
    assert "+        return F.log_softmax(self.proj(x) * 1e3, dim=-1)" in diff


def test_a_library_called_by_the_class_is_not_blamed(run: Run) -> None:
    text = BASE + textwrap.dedent("""
        class Attends(Base):
            def __init__(self, dim):
                super().__init__(dim)
                self.attend = nn.MultiheadAttention(dim, 4, batch_first=True)

            def forward(self, x):
                mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
                return self.attend(x, x, x, attn_mask=mask)[0]  # here
        """)
    origin = run(text, checks=False)["Attends"].origin
    assert origin is not None
    assert origin.code.endswith("# here")


def test_uninitialised_memory_is_traced_to_the_line_that_took_it(run: Run) -> None:
    text = BASE + textwrap.dedent("""
        class Mixer(Base):
            def __init__(self, dim):
                super().__init__(dim)
                self.mix = nn.Parameter(torch.empty(dim, dim))  # here

            def forward(self, x):
                return self.proj(x) @ self.mix
        """)
    one = run(text, checks=False)["Mixer"]
    assert one.origin is not None
    assert one.origin.when == "initialisation"
    assert one.origin.code.endswith("# here")
    assert "mix" in one.origin.detail


def test_what_is_finite_has_no_origin_and_masks_are_no_fault(run: Run) -> None:
    text = BASE + textwrap.dedent("""
        class Causal(Base):
            def forward(self, x):
                s = self.proj(x) @ x.mT
                s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), float("-inf"))
                return s.softmax(-1) @ x
        """)
    one = run(text)["Causal"]
    assert one.verdict == "full-gradient"
    assert one.origin is None
    assert all(c.held is not False or c.name == "large" for c in one.checks)


def test_an_operation_without_a_rule_gets_words_and_an_unknown_one_nothing() -> None:
    assert suggest(Origin("std", "forward")).words
    assert suggest(Origin("frobnicate", "forward")).words == ""
    assert "float16" in suggest(Origin("linear", "forward", dtype="float16")).words


# -- checks ------------------------------------------------------------------------------------------------------


def checks(one: ClassReport) -> dict[str, Check]:
    return {c.name: c for c in one.checks}


def test_initialisation_gradients_and_zero_weights(run: Run) -> None:
    reports = run(
        BASE
        + textwrap.dedent("""
        class Wild(Base):
            def __init__(self, dim):
                super().__init__(dim)
                nn.init.normal_(self.proj.weight, std=1e3)

            def forward(self, x):
                return self.proj(x)

        class Steep(Base):
            def __init__(self, dim):
                super().__init__(dim)
                nn.init.normal_(self.proj.weight, std=10.0)

            def forward(self, x):
                return self.proj(x)

        class Vanishing(Base):
            def __init__(self, dim):
                super().__init__(dim)
                self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(12))

            def forward(self, x):
                x = self.proj(x)
                for layer in self.layers:
                    x = torch.sigmoid(layer(x * 0.1))
                return x

        class Stuck(Base):
            def __init__(self, dim):
                super().__init__(dim)
                self.inner = nn.Parameter(torch.zeros(dim, dim))
                self.outer = nn.Parameter(torch.zeros(dim, dim))

            def forward(self, x):
                return self.proj(x) + x @ self.inner @ self.outer

        class Adapter(Base):
            def __init__(self, dim, rank):
                super().__init__(dim)
                self.down = nn.Parameter(torch.randn(dim, rank) * 0.1)
                self.up = nn.Parameter(torch.zeros(rank, dim))

            def forward(self, x):
                return self.proj(x) + x @ self.down @ self.up
        """)
    )
    assert "proj.weight up to" in checks(reports["Wild"])["initialisation"].detail
    assert "multiplies the scale" in checks(reports["Steep"])["initialisation"].detail
    assert "vanishes" in checks(reports["Vanishing"])["gradient flow"].detail
    stuck = checks(reports["Stuck"])["gradient flow"]
    assert stuck.held is False
    assert "inner, outer" in stuck.detail
    assert checks(reports["Adapter"])["gradient flow"].held is True
    layers = reports["Vanishing"].layers
    assert [layer.name for layer in layers] == ["proj", *(f"layers.{n}" for n in range(12))]
    assert layers[0].gradient is not None
    assert layers[-1].gradient is not None
    assert layers[0].gradient < 1e-5 * layers[-1].gradient


def test_inputs_and_precisions_that_break_it_say_where(run: Run) -> None:
    reports = run(
        BASE
        + textwrap.dedent("""
        class Divides(Base):
            def forward(self, x):
                return self.proj(x) / x.norm(dim=-1, keepdim=True)

        class Normed(Base):
            def __init__(self, dim):
                super().__init__(dim)
                self.norm = nn.BatchNorm1d(dim)

            def forward(self, x):
                return self.norm(self.proj(x.mean(1)))
        """)
    )
    zeros = checks(reports["Divides"])["zeros"]
    assert (zeros.held, zeros.finite) == (False, False)
    assert zeros.origin is not None
    assert zeros.origin.operation == "div"
    assert not reports["Divides"].finite
    single = checks(reports["Normed"])["batch of one"]
    assert single.held is None
    assert "Expected more than 1 value per channel" in single.detail
    names = set(checks(reports["Divides"]))
    assert {"initialisation", "gradient flow", "bf16", "fp16", "large", "tiny", "ones", "loss falls"} <= names


def test_a_check_that_was_not_run_says_so(run: Run) -> None:
    text = BASE + textwrap.dedent("""
        class Slow(Base):
            def forward(self, x):
                for _ in range(1500):
                    x = x + self.proj(x) * 1e-4
                return x
        """)
    found = checks(run(text, steps=1)["Slow"])
    late = [c for c in found.values() if c.held is None]
    assert late
    assert all("0.5 s of processor time" in c.detail for c in late)
    assert "long sequence" in found


def test_float64_is_no_autocast(run: Run) -> None:
    text = BASE + "class Double(Base):\n    def forward(self, x):\n        return self.proj(x).log_softmax(-1)\n"
    single, double = (run(text, dtype=dtype, checks=False)["Double"] for dtype in ("float32", "float64"))
    assert single.verdict == double.verdict == "full-gradient"
    assert single.losses != double.losses
    assert single.losses == pytest.approx(double.losses, rel=1e-4)  # the same weights, rounded once to float32


def test_a_predicted_threshold_is_ablated(run: Run) -> None:
    text = BASE + textwrap.dedent("""
        class Heads(Base):
            def __init__(self, dim, heads=4):
                super().__init__(dim)
                self.router, self.threshold = nn.Linear(dim, heads), nn.Linear(dim, 1)
                self.mix = nn.ModuleList(nn.Linear(dim, dim) for _ in range(heads))

            def forward(self, x):
                p, order = self.router(x).softmax(-1).sort(-1, descending=True)
                keep = p.cumsum(-1) - p < torch.sigmoid(self.threshold(x))
                gate = torch.zeros_like(p).scatter(-1, order, keep.to(p.dtype))
                return sum(gate[..., i, None] * head(x) for i, head in enumerate(self.mix))
        """)
    one = run(text, ablate="routing", checks=False)["Heads"]
    assert one.ablation["changed"] == ["threshold: what it predicts -> 1"]
    lines = smoke_words.ablation_lines(one)
    assert lines[1].startswith("    as it is")
    assert lines[2].startswith("    all on")
    assert len({len(line.split()[-8]) for line in lines[1:3]}) == 1
    assert one.verdict == "partial-gradient"
    assert set(one.missing_gradient) >= {"router.weight", "threshold.weight"}
    assert one.rule == "hard-top-p-mask"


# -- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(HEAD + FINE)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("from .one import Fine\n")
    for name in ("one", "two"):
        (tmp_path / "pkg" / f"{name}.py").write_text(HEAD + FINE)
    (tmp_path / "bad.py").write_text("import torch\nclass X(\n")
    (tmp_path / "lost.py").write_text("import no_such_library\nfrom torch import nn\n\nclass A(nn.Module):\n    pass\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("net.py", "net.py"),
        ("net.py::Fine", "net.py::Fine"),
        ("net.py:Fine", "net.py::Fine"),
        ("net.py::", "net.py"),
        ("'net.py::Fine'", "net.py::Fine"),
        (" net.py ", "net.py"),
        (".\\net.py::Fine", "./net.py::Fine"),
        ("pkg\\one.py", "pkg/one.py"),
        ("pkg/one:Fine", "pkg/one.py::Fine"),
        ("net::Fine", "net.py::Fine"),
        ("pkg", "pkg"),
        ("pkg.one:Fine", "pkg.one:Fine"),
        ("torch.nn:Linear", "torch.nn:Linear"),
    ],
)
def test_targets_as_people_type_them(project: Path, target: str, meant: str) -> None:
    assert spelled(target) == meant


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("net.py::Fne", "no nn.Module class named Fne in 1 file; did you mean 'Fine'?"),
        ("net.py::Other", "there are Base, Fine"),
        ("nett.py", "there is no such file or folder; did you mean 'net.py'?"),
        ("bad.py", "bad.py:2: syntax error"),
        ("empty.py", "no nn.Module class in 1 file"),
        ("notes.txt", "is no Python file"),
        ("", "is empty; give a file"),
        ("pkgg.one:Fine", "did you mean 'pkg'?"),
        ("???", "neither a file, a folder, nor a dotted module name"),
    ],
)
def test_a_wrong_target_is_one_clear_line_and_status_2(
    project: Path, target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(target) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_absent_device_is_one_line(project: Path, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    found = status("net.py::Fine", "--device", device, "--no-checks")
    err = capsys.readouterr().err
    assert (found, err.count(f"sees no {device} device")) == ((0, 0) if there else (2, 1))


def test_options_that_are_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("net.py", "--fail-on", "nonfinite") == 2
    assert "did you mean 'non-finite'?" in capsys.readouterr().err
    assert status("net.py", "--steps", "0") == 2
    assert status("net.py", "--dtype", "float8") == 2
    assert status("net.py", "--python", "no-such-python") == 2


def test_json_and_the_exit_status(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("pkg:Fine", "--output-format", "json") == 0
    [element] = json.loads(capsys.readouterr().out)
    keys = ("class", "path", "line", "verdict", "missing_gradient", "stand_ins", "reason", "seconds")
    assert set(keys) <= set(element)
    assert (element["class"], element["path"], element["verdict"]) == ("Fine", "pkg/one.py", "full-gradient")
    assert element["layers"][0]["name"] == "proj"
    (project / "net.py").write_text(HEAD + broken_classes())
    assert status("net.py::Exp", "--output-format", "json", "--exit-zero") == 0
    [element] = json.loads(capsys.readouterr().out)
    assert element["origin"]["operation"] == "exp"
    assert element["origin"]["line"] == element["line"] + 2


def test_a_module_that_cannot_be_imported_is_neither_pass_nor_failure(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("lost.py") == 2
    captured = capsys.readouterr()
    assert "importing lost failed: ModuleNotFoundError: No module named 'no_such_library'" in captured.out
    assert "`--python` names another interpreter" in captured.err


def report(verdict: str, **more: Any) -> ClassReport:
    return ClassReport("Net", "net", "net.py", 3, verdict, **more)


def test_what_a_run_fails_on() -> None:
    weak = Check("zeros", False, "the loss is nan", finite=False)
    steep = Check("gradient flow", False, "explodes")
    cases: Iterable[tuple[ClassReport, tuple[str, ...], int]] = [
        (report("full-gradient"), smoke_report.FAILING, 0),
        (report("non-finite"), smoke_report.FAILING, 1),
        (report("failed"), smoke_report.FAILING, 1),
        (report("could-not-synthesise"), smoke_report.FAILING, 0),
        (report("could-not-synthesise"), ("could-not-synthesise",), 1),
        (report("full-gradient", checks=(weak,)), smoke_report.FAILING, 1),
        (report("full-gradient", checks=(steep,)), smoke_report.FAILING, 0),
        (report("full-gradient", checks=(steep,)), ("check",), 1),
        (report("partial-gradient"), ("partial-gradient",), 1),
        (report("non-finite"), (), 0),
    ]
    for one, fail_on, expected in cases:
        assert smoke_report.exit_status([one], fail_on) == expected, (one, fail_on)
        suite = ElementTree.fromstring(smoke_report.as_junit([one], fail_on).partition("\n")[2])
        assert suite.attrib["failures"] == str(expected)


# -- text --------------------------------------------------------------------------------------------------------


def rendered(reports: list[ClassReport], terminal: bool, width: int = 60, verbose: bool = False) -> str:
    with open(os.devnull, "w") as nowhere:
        console = Console(
            width=width, force_terminal=terminal, no_color=True, highlight=False, soft_wrap=True, markup=False,
            file=nowhere, record=True, _environ={"TERM": "xterm", "NO_COLOR": "1"},
        )  # fmt: skip
        smoke_report.show(console, reports, verbose)
    return console.export_text()


def test_lines_stay_within_the_terminal(run: Run) -> None:
    reports = list(run(broken_classes() + FINE.removeprefix(BASE)).values())
    for verbose in (False, True):
        lines = rendered(reports, terminal=True, verbose=verbose).splitlines()
        assert max(map(len, lines)) <= 60
    text = rendered(reports, terminal=True)
    assert "net.py:" in text
    assert "Fine" in text
    assert "\x1b" not in text


def test_a_pipe_gets_one_line_a_class(run: Run) -> None:
    reports = list(run(broken_classes() + FINE.removeprefix(BASE)).values())
    heads = [line for line in rendered(reports, terminal=False).splitlines() if line.startswith("net.py:")]
    assert heads == [f"net.py:{one.line}: {one.name}: {one.verdict}" for one in reports]


def test_a_sparkline_keeps_its_scale() -> None:
    assert smoke_words.sparkline([3.0, 2.0, 1.0], 1.0, 3.0) == "█▅▁"
    assert smoke_words.sparkline([2.0, float("nan")], 1.0, 3.0) == "▅×"
    assert smoke_words.sparkline([1.0, 1.0], 1.0, 1.0) == "▁▁"
