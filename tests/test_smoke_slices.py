"""Which statements a trial runs, and what its leaves are."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span
from autofix.smoke.expression import plan
from autofix.smoke.places import locate
from autofix.smoke.slices import cut
from autofix.syntax import Module, parse

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


def prepare(source: str, pairs: list[tuple[str, str]], **claim: Any) -> tuple[Module, Fix]:
    data = source.encode()
    edits = []
    for old, new in pairs:
        start = data.index(old.encode())
        edits.append(Edit(Span(start, start + len(old.encode())), new))
    module = parse(Source("case.py", data))
    assert isinstance(module, Module)
    return module, Fix("case", tuple(edits), Applicability.SAFE, Claim(**{"relation": Relation.EQUAL, **claim}))


def variant(source: str, pairs: list[tuple[str, str]], **claim: Any) -> dict[str, Any]:
    job = plan(*prepare(HEAD + source, pairs, **claim))
    assert not isinstance(job, str), job
    assert job.kind == "expression"
    first: dict[str, Any] = job.spec["variants"][0]
    return first


def roles(spec: dict[str, Any]) -> dict[str, str]:
    return {leaf["text"]: leaf["roles"][0] for leaf in spec["leaves"]}


def test_an_inserted_statement_is_matched_by_position() -> None:
    source = "def f(x):\n    a = x + 1\n    b = torch.exp(a)\n    return b\n"
    module, fix = prepare(HEAD + source, [("    b =", "    a = a.clamp(max=5)\n    b =")])
    text = fix.edits[0].text
    assert text
    after = parse(Source("case.py", (HEAD + source).replace("    b =", text).encode()))
    assert isinstance(after, Module)
    place = locate(module, after, fix)
    assert not isinstance(place, str)
    part = cut(place, 4)
    assert [ast.unparse(s) for s in part.prefix] == ["a = x + 1"]
    assert [ast.unparse(s) for s in part.before] == ["b = torch.exp(a)"]
    assert [ast.unparse(s) for s in part.after] == ["a = a.clamp(max=5)", "b = torch.exp(a)"]


def test_an_unchanged_statement_between_two_changed_ones_runs_on_both_sides() -> None:
    source = "def f(x, y):\n    a = torch.log(x)\n    a = a + y\n    b = torch.exp(a)\n    return b\n"
    spec = variant(source, [("torch.log(x)", "x.log()"), ("torch.exp(a)", "a.exp()")])
    assert spec["before"] == "a = torch.log(x)\na = a + y\nb = torch.exp(a)"
    assert spec["after"] == "a = x.log()\na = a + y\nb = a.exp()"


def test_definitions_are_taken_from_enclosing_blocks_up_to_the_function() -> None:
    source = "def f(x, flag):\n    a = x * 2\n    if flag:\n        for i in range(3):\n            b = torch.exp(a)\n"
    spec = variant(source, [("torch.exp(a)", "a.exp()")])
    assert spec["prefix"] == "a = x * 2"
    assert spec["before"] == "b = torch.exp(a)"


def test_what_leads_from_what_the_patch_reads_runs_however_far_it_is() -> None:
    source = (
        "def f(logits, index, a):\n    probs = F.softmax(logits, dim=-1)\n    b = a + 1\n    c = b + 1\n"
        "    if c.sum() > 0:\n        d = c + 1\n        e = d + 1\n        picked = probs.gather(-1, index)\n"
        "        loss = e - torch.log(picked)\n        return loss\n    return c\n"
    )
    spec = variant(source, [("torch.log(picked)", "F.log_softmax(logits, dim=-1).gather(-1, index)")])
    assert "probs = torch.nn.functional.softmax(logits, dim=-1)" in spec["prefix"].splitlines()
    assert "logits" in roles(spec)
    assert "probs" not in roles(spec)


def test_a_module_that_the_patch_alone_names_leads_nowhere() -> None:
    source = (
        "def f(x, y):\n    a = torch.stack([x, x], -1)\n    b = a + 1\n    c = b + 1\n    d = c + 1\n    e = d + 1\n"
        "    g = e + 1\n    h = (g - y).clamp(min=0).sqrt()\n    return h\n"
    )
    spec = variant(source, [("clamp(min=0)", "clamp(min=torch.finfo(y.dtype).tiny)")])
    assert "a = torch.stack([x, x], -1)" not in spec["prefix"].splitlines()


def test_a_short_method_runs_where_the_patch_alone_reads_what_it_returns() -> None:
    source = (
        "class Router(nn.Module):\n    def scale(self, x):\n        y = x * self.weight\n        return y.tanh()\n\n"
        "    def forward(self, x):\n        return torch.log(torch.sigmoid(x))\n"
    )
    spec = variant(source, [("torch.log(torch.sigmoid(x))", "F.logsigmoid(x) + 0 * self.scale(x)")])
    assert "def self_scale(x):" in spec["prelude"]
    assert "self.weight" in roles(spec)
    assert "self.scale(x)" not in roles(spec)


def test_a_name_redefined_under_a_branch_is_a_leaf() -> None:
    source = "def f(x, flag):\n    a = x * 2\n    if flag:\n        a = x * 3\n    b = torch.exp(a)\n    return b\n"
    spec = variant(source, [("torch.exp(a)", "a.exp()")])
    assert spec["prefix"] == ""
    assert roles(spec) == {"a": "float"}


def test_imports_and_constants_at_module_level_do_not_widen_the_region() -> None:
    source = "\n\ndef f(x):\n    return torch.exp(x)\n"
    pairs = [("import torch\n", "import math\nimport torch\n"), ("torch.exp(x)", "torch.exp(x.clamp(max=LIMIT))")]
    data = (HEAD + source).encode()
    end = len(HEAD.encode())
    module, fix = prepare(HEAD + source, pairs)
    constant = Edit(Span(end, end), "\nLIMIT = 5.0\n")
    whole = Fix(fix.title, (*fix.edits, constant), fix.applicability, fix.claim)
    assert data
    job = plan(module, whole)
    assert not isinstance(job, str), job
    first = job.spec["variants"][0]
    assert "LIMIT = 5.0" in first["prelude"]
    assert first["after"] == "returned = torch.exp(x.clamp(max=LIMIT))"


def test_roles_come_from_use() -> None:
    source = (
        "def f(self, scores, m, keep, idx, t, d):\n"
        "    s = scores.masked_fill(m | ~keep, -1e9).gather(d, idx)\n"
        "    loss = F.cross_entropy(torch.log(s.softmax(dim=d)), t)\n"
    )
    spec = variant(source, [("torch.log(s.softmax(dim=d))", "s.log_softmax(dim=d)")])
    assert roles(spec) == {"scores": "float", "m": "bool", "keep": "bool", "idx": "index", "t": "index", "d": "dim"}


def test_constants_come_from_defaults_the_module_and_the_constructor() -> None:
    source = (
        "EPS = 1e-6\n"
        "class M(nn.Module):\n"
        "    def __init__(self, scale=0.5):\n"
        "        super().__init__()\n"
        "        self.scale = scale\n"
        "        self.act = nn.Softmax(dim=-1)\n"
        "        self.drop = nn.Dropout(0.1)\n"
        "    def forward(self, x, power=2.0):\n"
        "        return torch.log(self.drop(self.act(x * self.scale)) ** power + EPS)\n"
    )
    spec = variant(source, [("torch.log(", "1 * torch.log(")])
    by_text = {leaf["text"]: leaf for leaf in spec["leaves"]}
    assert by_text["self.scale"]["value"] == 0.5
    assert by_text["power"]["value"] == 2.0
    assert "EPS = 1e-06" in spec["prelude"]
    assert spec["before"] == "returned = torch.log(torch.nn.Softmax(dim=-1)(x * self_scale) ** power + EPS)"


def test_a_domain_from_a_name_is_a_stated_assumption() -> None:
    source = "def f(prob):\n    return torch.exp(prob)\n"
    job = plan(*prepare(HEAD + source, [("torch.exp(prob)", "prob.exp()")]))
    assert not isinstance(job, str)
    assert job.spec["assumptions"] == ["prob is taken as probability, from its name"]


def test_a_reshaped_mask_is_a_leaf_where_it_is_used() -> None:
    source = "def f(s, mask):\n    s = s.masked_fill(mask[:, None, None, :], -1e9)\n    return s.softmax(-1)\n"
    spec = variant(source, [("-1e9", "torch.finfo(s.dtype).min")], relation=Relation.MASK)
    assert roles(spec)["mask[:, None, None, :]"] == "bool"
    assert spec["suffix"] == "returned = s.softmax(-1)"


def test_a_patch_of_a_test_runs_the_test_alone() -> None:
    source = "def f(x):\n    if torch.exp(x).sum() > 1:\n        launch()\n"
    spec = variant(source, [("torch.exp(x)", "x.exp()")])
    assert spec["before"] == "returned = torch.exp(x).sum() > 1"


def test_statements_of_two_functions_are_two_parts() -> None:
    source = "def f(x):\n    return torch.exp(x)\n\ndef g(x):\n    return torch.log(x)\n"
    pairs = [("torch.exp(x)", "x.exp()"), ("torch.log(x)", "x.log()")]
    job = plan(*prepare(HEAD + source, pairs))
    assert not isinstance(job, str), job
    assert [p["variants"][0]["after"] for p in job.spec["parts"]] == ["returned = x.exp()", "returned = x.log()"]


@pytest.mark.parametrize(
    ("source", "pairs", "reason"),
    [
        pytest.param(
            "def f(x):\n    return torch.exp(x)\n",
            [("torch.exp(x)", "torch.exp(x")],
            "does not parse",
            id="syntax error",
        ),
        pytest.param(
            "def f(x):\n    return torch.exp(x)\n", [("exp(x)", "exp(other)")], "reads other", id="a foreign value"
        ),
    ],
)
def test_what_cannot_be_planned_says_why(source: str, pairs: list[tuple[str, str]], reason: str) -> None:
    told = plan(*prepare(HEAD + source, pairs))
    assert isinstance(told, str)
    assert reason in told


def test_results_of_one_opaque_call_are_leaves_by_the_names_they_are_bound_to() -> None:
    source = (
        "def f(self, losses, batch):\n"
        "    loss_mask, num_tokens = self.roll(batch, shifts=-1)\n"
        "    total = (losses * loss_mask).sum()\n"
        "    return total / num_tokens\n"
    )
    spec = variant(source, [("/ num_tokens", "/ num_tokens.clamp_min(1)")])
    found = {leaf["text"]: (leaf["roles"][0], leaf["domain"]) for leaf in spec["leaves"]}
    assert found["self.roll(batch, shifts=-1)[0]"] == ("bool", "")
    assert found["self.roll(batch, shifts=-1)[1]"] == ("float", "count")
    assert "self.roll(batch, shifts=-1)" not in found
    assert "num_tokens is taken as a count, from its name" in spec_assumptions(source)


def spec_assumptions(source: str) -> list[str]:
    job = plan(*prepare(HEAD + source, [("/ num_tokens", "/ num_tokens.clamp_min(1)")]))
    assert not isinstance(job, str), job
    stated: list[str] = job.spec["assumptions"]
    return stated


def test_a_changed_argument_of_an_unpacked_call_is_compared_by_itself() -> None:
    source = "def f(self, x):\n    hidden, rest = self.encode(torch.log(x))\n    return hidden + rest\n"
    spec = variant(source, [("torch.log(x)", "torch.log(x.clamp_min(1e-6))")])
    assert "torch.log(x)" in spec["before"]
    assert "self.encode" not in str(roles(spec))


@pytest.mark.parametrize(
    ("note", "role"),
    [("int", "int"), ("Optional[int]", "int"), ("int | None", "int"), ("float", "scalar"), ("torch.Tensor", "float")],
)
def test_the_annotation_of_a_parameter_says_what_a_number_is(note: str, role: str) -> None:
    source = f"def f(x, depth: {note}):\n    return x * 2.0 / (depth - 1.0)\n"
    spec = variant(source, [("(depth - 1.0)", "max(depth - 1.0, 1.0)")])
    assert roles(spec)["depth"] == role


def test_a_mask_unpacked_from_a_list_is_named_as_what_it_is_bound_to() -> None:
    source = (
        "def f(losses, labels):\n    labels, loss_mask = labels[0], labels[1]\n"
        "    return (losses * loss_mask).sum() / loss_mask.sum()\n"
    )
    spec = variant(source, [("/ loss_mask.sum()", "/ loss_mask.sum().clamp_min(1)")])
    assert roles(spec)["labels[1]"] == "bool"


def test_the_rank_of_a_mask_is_that_of_what_it_is_expanded_to() -> None:
    source = (
        "def f(scores, keep, b, n, t):\n    keep = keep.unsqueeze(1).expand(b, n, t)\n"
        "    return scores + (1 - keep) * -10000.0\n"
    )
    spec = variant(source, [("-10000.0", "torch.finfo(scores.dtype).min")])
    assert next(leaf["rank"] for leaf in spec["leaves"] if leaf["text"] == "keep") == 2
