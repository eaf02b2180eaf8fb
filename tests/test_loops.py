"""What the golden cases of the training-loop rules cannot show: regions, layout of odd files, severities."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from autofix.detect import scan
from autofix.model import Finding, Relation, Severity, Source
from autofix.patch import apply_edits
from autofix.rule import Options
from autofix.transforms.loops._signatures import rejects
from autofix.transforms.loops.grad_clip_misplaced import RULE as MISPLACED
from autofix.transforms.loops.grad_clip_missing import RULE
from autofix.transforms.loops.grad_norm_of_last import RULE as OF_LAST

_HEADER = "import torch\n\n\n"


def findings(text: str, path: str = "train.py", max_norm: float = 1.0) -> tuple[Finding, ...]:
    return scan(Source(path, text.encode()), [RULE], Options(max_norm=max_norm)).findings


def patched(text: str, max_norm: float = 1.0) -> str:
    edits = [e for f in findings(text, max_norm=max_norm) if f.fix for e in f.fix.edits]
    return apply_edits(Source("train.py", text.encode()), edits).decode()


def loop(body: str, optimizer: str = "torch.optim.Adam(model.parameters())") -> str:
    """A training function around the indented statements `body`."""
    return f"{_HEADER}def train(model, loader, loss_fn):\n    optimizer = {optimizer}\n    for x, y in loader:\n{body}"


PLAIN = loop(
    "        loss_fn(model.lstm(x), y).backward()\n        print(y)\n"
    "        optimizer.step()\n        optimizer.zero_grad()\n"
)


def test_the_region_reaches_from_the_backward_pass_to_the_step() -> None:
    (finding,) = findings(PLAIN)
    assert finding.fix is not None
    claim = finding.fix.claim
    assert claim.relation is Relation.CLIP
    assert claim.region is not None
    assert PLAIN[claim.region.start : claim.region.end] == (
        "loss_fn(model.lstm(x), y).backward()\n        print(y)\n        optimizer.step()"
    )


def test_the_bound_comes_from_the_options() -> None:
    (finding,) = findings(PLAIN, max_norm=0.25)
    assert finding.fix is not None
    assert finding.fix.claim.parameters == {"max_norm": 0.25}
    assert "max_norm=0.25)" in patched(PLAIN, max_norm=0.25)


def test_the_message_says_what_clipping_does_not_do() -> None:
    (finding,) = findings(PLAIN)
    assert "does not cure NaN" in finding.message


def test_line_endings_are_kept() -> None:
    after = patched(PLAIN.replace("\n", "\r\n"))
    assert after.count("\n") == after.count("\r\n") == PLAIN.count("\n") + 1


@pytest.mark.parametrize("unit", ["  ", "    ", "\t"])
def test_a_guard_is_indented_as_the_file_is(unit: str) -> None:
    text = (
        "import torch\nfrom accelerate import Accelerator\n\n\ndef train(model, loader, optimizer):\n"
        f"{unit}accelerator = Accelerator()\n{unit}for x in loader:\n"
        f"{unit * 2}accelerator.backward(model.lstm(x))\n{unit * 2}optimizer.step()\n{unit * 2}optimizer.zero_grad()\n"
    )
    expected = (
        f"{unit * 2}if accelerator.sync_gradients:\n"
        f"{unit * 3}accelerator.clip_grad_norm_(model.parameters(), max_norm=1.0)\n{unit * 2}optimizer.step()\n"
    )
    assert expected in patched(text)


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (
            "        loss_fn(model.lstm(x), y).backward(); optimizer.step()\n",
            "clip_grad_norm_(model.parameters(), max_norm=1.0); opt",
        ),
        (
            "        loss_fn(model.lstm(x), y).backward()\n        if y: optimizer.step()\n",
            "if y: torch.nn.utils.clip_grad_norm_(",
        ),
    ],
    ids=["after a semicolon", "after a colon"],
)
def test_a_step_that_shares_its_line_is_clipped_in_that_line(body: str, written: str) -> None:
    assert written in patched(loop(body))


@pytest.mark.parametrize(
    "body",
    [
        "        loss_fn(model.lstm(x), y).backward()\n        [optimizer.step() for _ in y]\n",
        "        loss_fn(model.lstm(x), y).backward()\n        y and optimizer.step()\n",
    ],
    ids=["in a comprehension", "in an expression"],
)
def test_no_fix_is_offered_where_none_can_be_written(body: str) -> None:
    (finding,) = findings(loop(body))
    assert finding.fix is None
    assert finding.unfixed_reason


@pytest.mark.parametrize(
    "constructor",
    [
        "torch.optim.LBFGS(model.parameters())",
        "torch.optim.Rprop(model.parameters())",
        "torch.optim.Adam([torch.zeros(3, requires_grad=True)])",
        "Lamb(model.parameters(), max_grad_norm=1.0)",
        "Muon(model.parameters(), lr=0.02)",
    ],
)
def test_optimizers_that_need_no_clipping_are_left_alone(constructor: str) -> None:
    body = "        loss_fn(model.lstm(x), y).backward()\n        optimizer.step()\n"
    assert findings(loop(body)) != ()
    assert findings(loop(body, constructor)) == ()


@pytest.mark.parametrize(
    "path", ["test_train.py", "train_test.py", "conftest.py", "tests/helpers.py", "benchmarks/adam.py"]
)
def test_tests_and_benchmarks_are_left_alone(path: str) -> None:
    assert findings(PLAIN, path) == ()


def test_a_folder_above_the_project_says_nothing_about_it() -> None:
    assert findings(PLAIN, "/home/me/tests/project/train.py") != ()


def test_players_that_take_turns_are_information_and_branches_are_not_players() -> None:
    turns = loop(
        "        loss_fn(model.lstm(x), y).backward()\n        optimizer.step()\n"
        "        discriminator_loss(x, y).backward()\n        other_optimizer.step()\n"
    )
    assert {f.severity for f in findings(turns)} == {Severity.INFO}
    branches = loop(
        "        if y:\n            loss_fn(lstm(x), y).backward()\n            optimizer.step()\n"
        "        else:\n            loss_fn(x, lstm(y)).backward()\n            other_optimizer.step()\n"
    )
    assert {f.severity for f in findings(branches)} == {Severity.WARNING}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("loss = loss_fn(model.lstm(x), y)", "recurrent"),
        ("loss = loss_fn(model(input_ids=x), y)", "attention"),
        ("loss = -(model.log_prob(x) * y.advantages).mean()", "policy"),
        ("loss = -model.flow.log_prob(x).mean()", "log-likelihood"),
        ("loss = loss_fn(model(x), y)\n        if not torch.isfinite(loss):\n            continue", "not finite"),
    ],
)
def test_a_warning_says_what_makes_large_gradients_likely(body: str, reason: str) -> None:
    (found,) = findings(loop(f"        {body}\n        loss.backward()\n        optimizer.step()\n"))
    assert found.severity is Severity.WARNING
    assert reason in found.message


def test_an_ordinary_loop_is_left_alone_until_something_says_that_it_was_meant_to_clip() -> None:
    ordinary = loop("        loss_fn(model(x), y).backward()\n        optimizer.step()\n")
    assert findings(ordinary) == ()
    commented = ordinary.replace("        optimizer.step", "        # clip_grad_norm_(ps, 1.0)\n        optimizer.step")
    (found,) = findings(commented)
    assert found.severity is Severity.INFO
    assert found.fix is None


def test_the_branch_without_a_scaler_is_clipped_as_the_one_with_it() -> None:
    text = loop(
        "        if scaler is not None:\n            scaler.scale(loss_fn(model(x), y)).backward()\n"
        "            scaler.step(optimizer)\n        else:\n            loss_fn(model(x), y).backward()\n"
        "            optimizer.step()\n"
    )
    assert patched(text).count("clip_grad_norm_(") == 2


@pytest.mark.parametrize("reason", ["lstm", "input_ids"])
def test_only_what_the_stepped_model_is_fed_is_a_reason(reason: str) -> None:
    loss = "loss = loss_fn({}({}), y) + model.angles().square().mean()"
    body = f"        {loss}\n        loss.backward()\n        optimizer.step()\n"
    assert findings(loop(body.format("model", reason))) != ()
    assert findings(loop(body.format("frozen", reason))) == ()


def test_the_gradients_of_an_earlier_finished_loop_are_not_these() -> None:
    text = PLAIN + "    for x in loader:\n        relax(x)\n        other_optimizer.step()\n"
    assert len(findings(text)) == 1


HEADS = ["a, b", "a, b=1", "a, /, b", "a, *b", "a, *, b", "a, *, b=1", "a, **b", "self, a", ""]
GIVEN = ["", "1", "1, 2", "1, 2, 3", "b=1", "1, b=2", "1, c=2", "a=1, b=2", "1, a=2"]
OUT_OF_VIEW = ["@wrapped\ndef f(a): pass\nf(1, 2)", "def f(a): pass\nf(*b)", "def f(a): pass\nf(**b)"]


def refused(head: str, given: str) -> bool:
    """Whether Python raises where a function or method with the parameters `head` is called."""
    defined: dict[str, Any] = {}
    exec(f"class A:\n    def f({head}): pass" if head.startswith("self") else f"def f({head}): pass", defined)
    try:
        eval(f"A().f({given})" if head.startswith("self") else f"f({given})", defined)
    except TypeError:
        return True
    return False


def parsed(code: str) -> tuple[ast.FunctionDef, ast.Call]:
    function, statement = ast.parse(code).body
    assert isinstance(function, ast.FunctionDef)
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    return function, statement.value


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_call_is_rejected_where_python_refuses_it(head: str, given: str) -> None:
    function, call = parsed(f"def f({head}): pass\nf({given})")
    assert rejects(function, call, is_method=head.startswith("self")) is refused(head, given)


@pytest.mark.parametrize("code", OUT_OF_VIEW)
def test_a_call_is_not_rejected_where_its_arguments_are_out_of_view(code: str) -> None:
    assert not rejects(*parsed(code), is_method=False)


LATE = """import torch
def train(model, loader, criterion, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        # the weights move
        optimizer.step()
        # clip what is left, say 1 \u00f6
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # bound
"""
IN_TIME = """import torch
def train(model, loader, criterion, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        # clip what is left, say 1 \u00f6
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # bound
        # the weights move
        optimizer.step()
"""
SUMMED_LATE = """import torch
def clip(parameters):
    total = 0.0
    for p in parameters:
        n = p.grad.norm() ** 2
    # all of them
    total += n  # squares
    return total ** 0.5
"""
SUMMED = SUMMED_LATE.replace("    # all", "        # all").replace("    total +=", "        total +=")
LAYOUTS = {
    "plain": lambda text: text,
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "tabs": lambda text: text.replace("    ", "\t"),
    "mark": lambda text: "\ufeff" + text,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("before", "after"), [(LATE, IN_TIME), (SUMMED_LATE, SUMMED)], ids=["clip", "sum"])
def test_statements_move_with_their_comments_in_any_layout(layout: str, before: str, after: str) -> None:
    source = Source("train.py", LAYOUTS[layout](before).encode())
    edits = [e for f in scan(source, [MISPLACED, OF_LAST], Options()).findings if f.fix for e in f.fix.edits]
    assert apply_edits(source, edits).decode() == LAYOUTS[layout](after)


@pytest.mark.parametrize(
    "text",
    [
        SUMMED_LATE.replace("+= n", "+= n; count = 1"),
        SUMMED_LATE.replace("parameters:\n        n", "parameters: n"),
        LATE.replace("step()\n", "step(); ").replace(
            "        # clip what is left, say 1 \u00f6\n        torch", "torch"
        ),
        LATE.replace("        torch.nn", "        seen = 1; torch.nn"),
    ],
    ids=["sum-and-more", "loop-on-one-line", "step-and-clip", "more-and-clip"],
)
def test_statements_that_share_a_line_do_not_move(text: str) -> None:
    (found,) = scan(Source("train.py", text.encode()), [MISPLACED, OF_LAST], Options()).findings
    assert found.fix is None
    assert "shares its line" in found.unfixed_reason
