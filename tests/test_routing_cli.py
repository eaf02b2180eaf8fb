"""`autofix routing` as people and CI run it: in a process of its own, except where only the arguments differ."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autofix.cli import main
from autofix.deliver.routing_report import known

DATA = Path(__file__).parent / "data"
TRAINING, VALIDATION = str(DATA / "balance_training.log"), str(DATA / "balance_validation.log")


def routing(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "autofix", "routing", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def inside(*arguments: str) -> object:
    """The exit status of the command run in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(["routing", *arguments])
    return stopped.value.code


def test_text() -> None:
    done = routing(TRAINING, "--validation", VALIDATION)
    out = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "layer 1: moderate" in out
    assert "CV 8.88 %, max/min 1.278" in out
    assert "validation: CV 11.00 %, max/min 1.390" in out
    assert "less even than training (layer 2)" in out
    assert "207,529" in out
    assert "…" not in out


def test_json_on_standard_input() -> None:
    done = routing("-", "--output-format", "json", stdin=Path(TRAINING).read_bytes() + b"loss 0.3\n")
    record = json.loads(done.stdout)
    assert done.returncode == 0
    assert record["log"]["rows"] == 43
    assert record["log"]["first_skipped"] == [{"line": 44, "reason": "no tensor in this line"}]
    assert [one["totals"][0] for one in record["layers"]] == [207529, 243533]
    assert record["validation"] is None
    assert done.stderr.decode().strip() == "autofix: <stdin>:44: skipped: no tensor in this line"


@pytest.mark.parametrize(
    ("bound", "status"),
    [("cv>0.3", 0), ("cv>8.8%", 1), ("max_min>1.3,dead>0", 0), ("entropy<0.998", 1), ("high", 0), ("moderate", 1)],
)
def test_fail_on(bound: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert inside(TRAINING, "--fail-on", bound) == status
    assert ("fails: " in capsys.readouterr().out) == bool(status)


def test_fail_on_in_ci() -> None:
    done = routing(TRAINING, "--fail-on", "cv>0.3", "--fail-on", "cv>8.8%")
    assert done.returncode == 1
    assert done.stdout.decode().splitlines()[-1] == "fails: cv>0.088 (layer 1)"


def test_thresholds_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert inside(TRAINING, "--high", "max_min>1.27", "--output-format", "json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in record["layers"]] == ["high", "moderate"]
    assert record["layers"][0]["because"] == ["max_min>1.27"]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


def test_plots_are_self_contained(tmp_path: Path) -> None:
    for name in ("p.svg", "p.html"):
        assert inside(TRAINING, "--validation", VALIDATION, "--plot", str(tmp_path / name)) == 0
    svg = ElementTree.parse(tmp_path / "p.svg").getroot()
    lines = svg.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 12
    assert all(len(line.attrib["points"].split()) == 43 for line in lines)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(html)
    assert tags.found.count("polyline") == 12
    assert not {"script", "link", "img"} & set(tags.found)
    assert "11.00 % ↑" in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_a_plot_of_many_experts_is_a_heat_map_and_escapes_names(tmp_path: Path) -> None:
    row = json.dumps({"<b>&": list(range(1000, 1040))})
    (tmp_path / "log.jsonl").write_text(f"{row}\n" * 30)
    assert inside(str(tmp_path / "log.jsonl"), "--plot", str(tmp_path / "p.svg")) == 0
    svg = ElementTree.parse(tmp_path / "p.svg").getroot()
    assert len(svg.findall(".//{http://www.w3.org/2000/svg}rect/{http://www.w3.org/2000/svg}title")) == 40 * 30
    assert "Layer <b>&: balanced" in {text.text for text in svg.findall(".//{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.log"], "absent.log: cannot be read: No such file"),
        (["."], ".: is a directory"),
        ([TRAINING, "--fail-on", "cvv>1"], "did you mean 'cv'?; it takes cv, max_min, gini, dead, entropy, drift"),
        ([TRAINING, "--fail-on", "hgih"], "it takes moderate, high, severe"),
        ([TRAINING, "--severe", "cv"], "--severe: 'cv' is no condition"),
        ([TRAINING, "--plot", "p.png"], "must end in .svg or .html"),
        ([TRAINING, "--plot", "absent/p.svg"], "absent/p.svg: cannot be written"),
        (["-", "--validation", "-"], "only one log"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert inside(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("autofix: ")
    assert message in lines[0]


def test_nothing_on_standard_input() -> None:
    done = routing("-")
    assert (done.returncode, done.stderr.decode().strip()) == (2, "autofix: <stdin>: is empty")


def test_without_torch_the_remedy_is_named(tmp_path: Path) -> None:
    import torch

    torch.save(torch.tensor([1, 2]), tmp_path / "t.pt")
    program = "import sys; sys.modules['torch'] = None; from autofix.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "routing", str(tmp_path / "t.pt")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert "pip install torch" in done.stderr.decode()


def test_advice_links_only_rules_that_exist() -> None:
    assert known(("no-such-rule", "log-softmax")) == ["log-softmax"]
