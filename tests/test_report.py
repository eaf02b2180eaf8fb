"""`autofix report`: real runs, read back as JSON, as Markdown and in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autofix import engine
from autofix.audit import audit
from autofix.deliver import audit_page, plots, sides
from autofix.facts import facts_of
from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span
from autofix.report import Report
from autofix.rule import Options
from autofix.smoke.traces import Point, Ray, Run, Trace, Training

ROOT = Path(__file__).parent.parent
MODEL = '''\
"""A classifier <with> "odd" & characters."""
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(padding[:, None, :], float("-inf"))
        return F.softmax(scores, dim=-1) @ v


class Classifier(nn.Module):
    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.head = nn.Linear(dim, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(F.softmax(self.head(x), dim=-1))


def train(model, optimizer, batches):
    for input_ids in batches:
        loss = model(input_ids).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
'''


def autofix(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", "autofix", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, env=env, timeout=180, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its three reports; the later ones find the evidence of the first in the cache."""
    found = tmp_path_factory.mktemp("project")
    (found / "net.py").write_text(MODEL)
    for name in ("html", "md", "json"):
        done = autofix("report", "net.py", "--format", name, "--output-file", f"report.{name}", cwd=found)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == b""
    return found


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


# -- JSON ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def test_models_and_their_properties(record: Any) -> None:
    attention, classifier = record["models"]
    assert [k["name"] for k in attention["kinds"]] == ["attention", "feed-forward"]
    found = {p["name"]: p["line"] for p in attention["properties"]}
    assert found["normalisation"] == 11
    assert found["scaled scores"] == 15
    assert "residual path" not in found
    assert attention["run"]["verdict"] == "non-finite"
    assert (attention["findings"], classifier["findings"]) == (1, 1)
    (loop,) = record["training"]
    assert (loop["name"], loop["clip"]) == ("train", None)


def test_findings_carry_evidence_and_what_is_drawn_of_it(record: Any) -> None:
    by_rule = {f["rule"]: f for f in record["findings"]}
    assert set(by_rule) == {"mask-neg-inf", "log-softmax", "grad-clip-missing"}
    ray = by_rule["log-softmax"]["trace"]["ray"]
    assert ray["scales"][0] == pytest.approx(1e-3)  # a thousandth of the witness, as a power of ten in floating point
    assert ray["scales"][-1] == 1.0
    assert ray["before"][-1]["value"] is None  # what the witness showed: not finite
    assert all(p["value"] is not None and p["gradient"] is not None for p in ray["after"])
    training = by_rule["mask-neg-inf"]["trace"]["training"]
    assert training["before"]["ended"] == "the loss is nan at step 1"
    assert len(training["after"]["losses"]) == len(training["after"]["norms"]) == 12


def test_what_to_do_first_and_the_checklist(record: Any) -> None:
    first = record["first"][0]
    assert first["words"] == "apply 3 patches whose failure was seen, and seen to end"
    assert first["command"] == "autofix net.py"
    checks = {c["words"]: c["held"] for c in record["checklist"]}
    assert checks["every training loop clips its gradients"] is False
    assert checks["attention scores are scaled"] is True
    assert record["verdict"].startswith("Training can diverge or stand still: 1 error among 3 findings")


# -- Markdown --------------------------------------------------------------------------------------------------


def test_markdown_has_every_part_and_a_patch_for_each_finding(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["## What to do first", "## Models", "## Findings", "## Checklist"]
    assert text.count("```diff") == 3
    assert "| `Attention` net.py:7 | attention, feed-forward |" in text
    assert "- [ ] every training loop clips its gradients" in text


# -- HTML ------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Every place that a page points to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [v or "" for name, v in attrs if name in ("src", "href", "data", "poster", "srcset", "action")]


def test_the_page_needs_no_other_file_and_no_script(page: str) -> None:
    links = Links()
    links.feed(page)
    assert links.links
    assert all(link.startswith("#") for link in links.links)
    assert not links.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert "url(" not in page
    assert "@import" not in page


def test_the_code_is_escaped_and_coloured(page: str) -> None:
    assert "&lt;with&gt;" not in page  # far from any change: not shown
    assert '<b class="s">&#34;</b>' in page
    assert '<tr class="x">' in page


def browser() -> str:
    """A Chromium of any name; `.ci/run` installs one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, "no Chromium here: `apt-get install chromium`, as .ci/run does"
    return found


def opened(path: Path, *options: str) -> Any:
    """What a page's title says, as JSON, after loading."""
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        "--proxy-server=http://127.0.0.1:9", f"--user-data-dir={path.parent / 'profile'}",
        "--virtual-time-budget=2000", *options, "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    found = re.search(r"<title>(.*?)</title>", done.stdout.decode(), re.DOTALL)
    assert found, done.stderr.decode()
    return json.loads(unescape(found.group(1)))


MEASURE = """<script>addEventListener("load", () => { document.title = JSON.stringify({
  fetched: performance.getEntriesByType("resource").map(entry => entry.name),
  plots: [...document.querySelectorAll("figure svg")].map(svg => {
    const box = svg.getBoundingClientRect();
    return [box.width, box.height, ...[...svg.querySelectorAll("path.after")].map(path => path.getTotalLength())];
  }),
  background: getComputedStyle(document.body).backgroundColor,
  wide: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
})})</script></body>"""


def test_what_a_page_fetches_is_seen(tmp_path: Path) -> None:
    """Of the measurement itself: a picture that a page asks for counts, though nobody answers."""
    asking = tmp_path / "asking.html"
    asking.write_text(f'<title></title><body><img src="http://example.invalid/seen.png">{MEASURE}')
    assert opened(asking)["fetched"] == ["http://example.invalid/seen.png"]


@pytest.mark.parametrize(("width", "scheme", "background"), [(1280, 1, "255, 255, 255"), (520, 0, "20, 23, 28")])
def test_in_a_browser_nothing_is_fetched_and_plots_have_size(
    page: str, tmp_path: Path, width: int, scheme: int, background: str
) -> None:
    """Wide and light, narrow and dark."""
    measured = tmp_path / "page.html"
    measured.write_text(page.replace("</body>", MEASURE))
    found = opened(measured, f"--window-size={width},900", f"--blink-settings=preferredColorScheme={scheme}")
    assert found["fetched"] == []
    assert len(found["plots"]) >= 4
    assert all(w >= 200 and h >= 80 for w, h, *_ in found["plots"])
    assert all(length > 50 for _, _, *lengths in found["plots"] for length in lengths)
    assert found["background"] == f"rgb({background})"
    assert found["wide"][0] <= found["wide"][1]  # the page itself never scrolls sideways


# -- a hundred findings ----------------------------------------------------------------------------------------


def test_a_hundred_findings_stay_below_300_kb(tmp_path: Path) -> None:
    functions = "".join(
        f"\n\ndef loss_{n}(logits, target):\n    weights = F.softmax(logits, dim=-1)\n"
        f"    values = torch.log(weights)  # number {n} of many\n    return -values.gather(1, target[:, None]).mean()\n"
        for n in range(100)
    )
    source = Source("many.py", f"import torch\nimport torch.nn.functional as F\n{functions}".encode())
    request = engine.Request(engine.select_rules((), ()), Options())
    report = engine.fix_source(source, request, None)
    side = tuple(Point(n * 1.7, n**2.1) for n in range(25))
    run = Run(tuple(n * 1.3 for n in range(12)), tuple(n * 7.1 for n in range(12)))
    trace = Trace(Ray(tuple(10.0 ** (-3 + n / 8) for n in range(25)), side, side), Training("Net", run, run))
    found = audit(report, [source], "many.py")
    drawn = tuple(replace(s, entries=tuple(replace(e, trace=trace) for e in s.entries)) for s in found.spots)
    text = audit_page.as_html(replace(found, spots=drawn), "many.py")
    assert text.count('class="finding') == 100
    assert text.count('<table class="diff">') == 100
    assert "<svg viewBox" in text.partition('id="findings"')[2]
    assert len(text.encode()) < 300_000


# -- parts -----------------------------------------------------------------------------------------------------


def test_the_same_line_is_told_once() -> None:
    source = Source("net.py", MODEL.encode())
    request = engine.Request(engine.select_rules((), ()), Options())
    one = engine.check_source(source, request)
    doubled = Report((*one.files, *one.files), (), 1, 0.0)
    found = audit(doubled, [source], "net.py")
    places = [(s.path, s.line) for s in found.spots]
    assert len(places) == len(set(places))
    assert sum(len(s.entries) for s in found.spots) == len(list(one.items))


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",)), max_size=20), min_size=1, max_size=8), st.data())
def test_both_columns_show_the_file_before_and_after(lines: list[str], data: st.DataObject) -> None:
    """Whatever the text: the rows of a change, read down, are lines of the one file and of the other."""
    text = "\n".join(line.replace("\n", " ").replace("\r", " ").replace("\0", " ") for line in lines) + "\n"
    source = Source("a.py", text.encode())
    start = text[: data.draw(st.integers(0, len(text) - 1))].encode()
    fix = Fix("t", (Edit(Span(len(start), len(start)), "X <&> 'Y'"),), Applicability.SAFE, Claim(Relation.EQUAL))
    after = (start + b"X <&> 'Y'" + source.data[len(start) :]).decode()
    for row in sides.rows(source, fix):
        for number, markup, whole in ((row.old_number, row.old, text), (row.new_number, row.new, after)):
            if number is not None:
                assert markup.striptags().split() == whole.split("\n")[number - 1].split()


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_a_plot_stays_inside_its_box(points: list[tuple[float | None, bool]]) -> None:
    side = tuple(Point(None if raised else value, value, raised) for value, raised in points)
    scales = tuple(10.0 ** (-3 + n / 8) for n in range(len(points)))
    for svg in plots.ray_plots(Ray(scales, side, side)):
        for path in re.findall(r' d="M([^"mlh]*)', svg):
            for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path):
                assert -3 <= float(x) <= 253
                assert -3 <= float(y) <= 115
        assert "nan" not in svg.partition("aria-label")[0]


def test_facts_of_a_mixture_of_experts() -> None:
    text = """\
import torch
from torch import nn


class Experts(nn.Module):
    def __init__(self, dim, count, k):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(count))
        self.router = nn.Linear(dim, count)
        nn.init.normal_(self.router.weight, std=0.02)

    def forward(self, x):
        weights, chosen = self.router(x).softmax(-1).topk(2)
        self.aux_loss = weights.mean()
        return x + sum(e(x) for e in self.experts)


class Step(nn.Module):
    def forward(self, x):
        return x + torch.tanh(x)


class Config:
    def __init__(self):
        self.experts = 8
"""
    experts, step = facts_of(Source("moe.py", text.encode())).models
    assert experts.is_kind("mixture of experts")
    assert {f.name for f in experts.routing} == {"load balancing", "top-k", "normalised weights"}
    found = experts.found("initialisation")
    assert found is not None
    assert (found.line, found.detail) == (10, "normal_")
    assert step.found("residual path") is not None
    assert not step.kinds


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    done = autofix("report", "missing.py", cwd=tmp_path)
    assert done.returncode == 2
    assert b"missing.py: no such file or directory" in done.stderr
