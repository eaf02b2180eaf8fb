"""The formats that other programs read: valid by their own schemas, and exact about places and replacements."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlparse

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autofix import engine
from autofix.deliver import formats
from autofix.deliver.places import located
from autofix.edits import apply_edits
from autofix.model import Edit, Evidence, Level, Patch, Problem, Source, Span, Verdict
from autofix.patch import before
from autofix.report import FileReport, Report, Status
from autofix.rule import Options

ROOT = Path(__file__).parent.parent
SARIF = json.loads((ROOT / "tests" / "data" / "sarif-2.1.0-rtm.5.json").read_bytes())
BODY = """\
import torch
import torch.nn.functional as F


def loss(logits, target):
    # {comment}
    p = F.softmax(logits, dim=-1)
    return "{word}", -torch.log(p).gather(1, target[:, None]).mean()
"""


def autofix(*arguments: str, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix, "COLUMNS": "200"}
    command = [sys.executable, "-m", "autofix", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, env=env, timeout=120, check=False)


def report_of(*sources: Source) -> Report:
    """What `check` reports of these texts."""
    request = engine.Request(engine.select_rules((), ()), Options())
    reports = [engine.check_source(source, request) for source in sources]
    return Report(tuple(f for r in reports for f in r.files), (), len(sources), 0.25)


def rendered(report: Report, name: str, pending: bool = True) -> Any:
    data = formats.as_bytes(report, name, pending)
    return json.loads(data) if name not in ("github", "junit") else data.decode()


def valid_sarif(log: Any) -> Any:
    jsonschema.Draft4Validator(SARIF).validate(log)
    (run,) = log["runs"]
    return run


# -- real runs -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples_as_sarif(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("out") / "autofix.sarif"
    options = ["--dry-run", "--level", "expression", "--output-format", "sarif", "--output-file", str(file)]
    done = autofix(*options, "examples/trajectory_attention", cwd=ROOT)
    assert done.returncode == 1, done.stderr.decode()
    assert done.stdout == b""
    return json.loads(file.read_bytes())


def test_sarif_of_the_examples_is_valid_and_complete(examples_as_sarif: Any) -> None:
    run = valid_sarif(examples_as_sarif)
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert "mask-neg-inf" in rules
    assert all("## The defect" in rule["help"]["markdown"] for rule in run["tool"]["driver"]["rules"])
    by_rule = {result["ruleId"]: result for result in run["results"]}
    found = by_rule["mask-neg-inf"]
    assert rules[found["ruleIndex"]] == "mask-neg-inf"
    assert found["level"] == "error"
    assert found["properties"]["evidence"]["verdict"] == "PROVED"
    assert "witness: " in found["message"]["text"]
    (location,) = found["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {
        "uri": "examples/trajectory_attention/model.py",
        "uriBaseId": "%SRCROOT%",
    }
    base = run["originalUriBaseIds"]["%SRCROOT%"]["uri"]
    assert base.endswith("/")
    assert Path(os.fsdecode(unquote_to_bytes(urlparse(base).path))) == ROOT


def test_applying_the_fixes_of_sarif_gives_what_autofix_writes(examples_as_sarif: Any) -> None:
    """Both files of the example: the replacements of all results together are the patch."""
    patched = ""
    for name in ("model.py", "train.py"):
        path = f"examples/trajectory_attention/{name}"
        text = (ROOT / path).read_text()
        results = [r for r in valid_sarif(examples_as_sarif)["results"] if path in json.dumps(r["locations"])]
        assert results
        patched += apply(text, [r["fixes"][0] for r in results])
    assert "F.log_softmax(logits, dim=-1)" in patched
    assert "torch.finfo(scores.dtype).min" in patched
    assert "clip_grad_norm_" in patched


def apply(text: str, fixes: Sequence[Any]) -> str:
    """As an editor does: by characters, from the end; lines and columns must say the same."""
    edits = [edit for fix in fixes for change in fix["artifactChanges"] for edit in change["replacements"]]
    lines = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
    for edit in sorted(edits, key=lambda e: e["deletedRegion"]["charOffset"], reverse=True):
        region = edit["deletedRegion"]
        start, end = region["charOffset"], region["charOffset"] + region["charLength"]
        assert lines[region["startLine"] - 1] + region["startColumn"] - 1 == start
        assert lines[region["endLine"] - 1] + region["endColumn"] - 1 == end
        text = text[:start] + edit["insertedContent"]["text"] + text[end:]
    return text


@pytest.mark.parametrize("name", sorted(formats.FORMATS))
def test_every_format_on_the_command_line(name: str) -> None:
    done = autofix("check", "--output-format", name, "examples/latent_flow", cwd=ROOT)
    assert done.returncode == 1
    assert b"exp-unbounded" in done.stdout
    assert b"Traceback" not in done.stderr


def test_patching_in_place_reports_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text(BODY.format(comment="", word=""))
    done = autofix("--output-format", "gitlab", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == []
    assert "log_softmax" in (tmp_path / "loss.py").read_text()


def test_an_output_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text(BODY.format(comment="", word=""))
    done = autofix("check", "--output-format", "sarif", "--output-file", "missing/a.sarif", cwd=tmp_path)
    assert done.returncode == 2
    assert b"missing/a.sarif: not written: no such file or directory" in done.stderr


def test_text_in_a_file_is_plain(tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text(BODY.format(comment="", word=""))
    done = autofix("check", "-o", "found.txt", cwd=tmp_path)
    assert done.stdout == b""
    assert (tmp_path / "found.txt").read_text().startswith("loss.py:8:")


# -- whatever the file holds -----------------------------------------------------------------------------------

words = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters='\\"{}'), max_size=8)
names = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=12)


@given(words, words, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["utf-8", "utf-8-sig"]), names)
def test_places_and_replacements_whatever_stands_around(
    comment: str, word: str, ending: str, encoding: str, name: str
) -> None:
    text = BODY.format(comment=comment, word=word).replace("\n", ending)
    source = Source(f"{name}.py", text.encode(encoding))
    report = report_of(source)
    (item,) = report.items
    assert item.finding.fix is not None

    run = valid_sarif(rendered(report, "sarif"))
    (result,) = run["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (item.finding.start.line, item.finding.start.column)
    assert (region["endLine"], region["endColumn"]) == (item.finding.end.line, item.finding.end.column)
    after = apply(text, result["fixes"])
    assert "log_softmax" in after
    assert after.count("\r") == (after.count("\n") if ending == "\r\n" else 0)
    (change,) = result["fixes"][0]["artifactChanges"]
    assert unquote_to_bytes(change["artifactLocation"]["uri"]).decode().endswith(".py")

    (diagnostic,) = rendered(report, "rdjson")["diagnostics"]
    (suggestion,) = diagnostic["suggestions"]
    assert replaced_by_bytes(text, suggestion) == after

    root = ElementTree.fromstring(rendered(report, "junit"))
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    line, end = rendered(report, "github").split("\n")
    assert end == ""
    assert line.startswith("::error file=")
    assert rendered(report, "gitlab")[0]["location"]["lines"] == {"begin": 8, "end": 8}


def replaced_by_bytes(text: str, suggestion: Any) -> str:
    """As reviewdog does: lines, and columns in bytes of UTF-8."""
    data = text.encode()
    lines = [0, *(m.end() for m in re.finditer(rb"\r\n|\r|\n", data))]
    start, end = (lines[p["line"] - 1] + p["column"] - 1 for p in map(suggestion["range"].get, ("start", "end")))
    return (data[:start] + suggestion["text"].encode() + data[end:]).decode()


def test_a_name_that_is_no_text_and_a_file_that_cannot_be_read() -> None:
    source = Source(os.fsdecode(b"l\xf6ss.py"), BODY.format(comment="", word="").encode())
    report = replace(report_of(source), problems=(Problem("bad\x01.py", "skipped: syntax error", 3),))
    run = valid_sarif(rendered(report, "sarif"))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "l%F6ss.py"
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"] == "skipped: syntax error"
    root = ElementTree.fromstring(rendered(report, "junit"))
    assert root.get("errors") == "1"
    assert "title=autofix::skipped: syntax error" in rendered(report, "github")


def test_nothing_found_is_a_case_that_passes() -> None:
    report = Report((), (), 3, 0.1)
    root = ElementTree.fromstring(rendered(report, "junit"))
    assert (root.get("tests"), root.get("failures")) == ("1", "0")
    assert valid_sarif(rendered(report, "sarif"))["results"] == []
    assert rendered(report, "gitlab") == []
    assert rendered(report, "github") == ""


# -- fingerprints ----------------------------------------------------------------------------------------------


def fingerprints(text: str) -> list[str]:
    return [one.fingerprint for one in located(report_of(Source("loss.py", text.encode())))]


def test_a_fingerprint_survives_lines_above_and_tells_twins_apart() -> None:
    once = BODY.format(comment="", word="")
    (first,) = fingerprints(once)
    (moved,) = fingerprints("# one\n# more\n" + once)
    assert first == moved
    twins = fingerprints(once + once.replace("import", "# import").replace("def loss", "def other"))
    assert len(twins) == len(set(twins)) == 2
    assert twins[0] == first


# -- only what autofix itself would apply is offered -----------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_what_is_offered_on_a_click(status: Status) -> None:
    report = report_of(Source("loss.py", BODY.format(comment="", word="").encode()))
    (file,) = report.files
    (item,) = file.items
    evidence = Evidence(Verdict.REFUTED if status is Status.REFUTED else Verdict.PROVED, Level.EXPRESSION, exact=True)
    changed = FileReport(file.path, (replace(item, status=status, evidence=evidence),), file.source)
    report = replace(report, files=(changed,))
    (result,) = valid_sarif(rendered(report, "sarif"))["results"]
    (diagnostic,) = rendered(report, "rdjson")["diagnostics"]
    offered = status in (Status.PATCHED, Status.UNWRITTEN, Status.LISTED)
    assert ("fixes" in result) == offered
    assert bool(diagnostic["suggestions"]) == offered
    assert result["properties"]["status"] == status.value
    assert result["properties"]["evidence"]["verdict"] == evidence.verdict.value


def test_what_was_patched_in_place_is_no_open_finding() -> None:
    report = report_of(Source("loss.py", BODY.format(comment="", word="").encode()))
    (file,) = report.files
    report = replace(report, files=(replace(file, items=(replace(file.items[0], status=Status.PATCHED),)),))
    (result,) = valid_sarif(rendered(report, "sarif", pending=False))["results"]
    assert (result["kind"], result["level"]) == ("informational", "none")
    assert rendered(report, "rdjson", pending=False)["diagnostics"] == []
    assert rendered(report, "github", pending=False) == ""
    assert ElementTree.fromstring(rendered(report, "junit", pending=False)).get("failures") == "0"


# -- findings of later passes ----------------------------------------------------------------------------------


@given(st.text("abc\n", min_size=4, max_size=30), st.data())
def test_what_no_edit_touched_is_found_again_in_the_original(text: str, data: st.DataObject) -> None:
    source = Source("a.py", text.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4, unique=True)))
    spans = [Span(cuts[0], cuts[1]), Span(cuts[2], cuts[3])]
    edits = tuple(Edit(s, data.draw(st.text("XY", max_size=5)), exact=True) for s in spans)
    made = Patch(source, apply_edits(source, edits), edits)
    for at, byte in enumerate(made.after):
        span = before(made, Span(at, at + 1))
        if chr(byte) in "XY":
            assert span in spans
        else:
            assert source.data[span.start : span.end] == bytes([byte])


def test_a_finding_of_a_later_pass_is_placed_in_the_file_as_it_was() -> None:
    """The second pass finds what the first uncovered, in a text that is shorter by then."""
    text = BODY.format(comment="", word="").replace("logits, dim=-1", "torch.log(F.softmax(logits, dim=-1)), dim=-1")
    request = engine.Request(engine.select_rules((), ()), Options())
    report = engine.fix_source(Source("loss.py", text.encode()), request, None)
    (file,) = report.files
    assert max(i.pass_number for i in file.items) > 1
    lines = text.split("\n")
    for one in located(report):
        start, end = one.place.start, one.place.end
        assert "log" in lines[start.line - 1]
        assert (start.line, start.column) < (end.line, end.column)
        if one.item.pass_number > 1:
            assert one.item.origin is not None
    results = valid_sarif(rendered(report, "sarif"))["results"]
    assert ["fixes" in r for r in results] == [i.pass_number == 1 and i.status is Status.PATCHED for i in file.items]
