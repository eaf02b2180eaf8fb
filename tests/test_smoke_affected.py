"""What of the statements a patch reaches, and what leaves that say the same thing are bound to."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from test_smoke_expression import execute, make_fix

from autofix.model import Relation
from autofix.smoke.affected import focused, passed_on
from autofix.smoke.expression import plan
from autofix.smoke.naming import last_word

HAZARDS = ("value", "gradient")


def _statements(text: str) -> list[ast.stmt]:
    return ast.parse(text).body


@pytest.mark.parametrize(
    ("before", "after", "which"),
    [
        ("f(a, log(x))", "f(a, log1p(x))", 1),
        ("f(a, value=log(x))", "f(a, value=log1p(x))", "value"),
        ("log(x).render()", "log1p(x).render()", ""),
        ("f(log(x), log(x))", "f(log1p(x), log1p(x))", None),
        ("f(x)", "g(x)", None),
        ("f(x)", "f(x, 1)", None),
        ("not a call", "f(x)", None),
    ],
)
def test_the_argument_that_differs_is_found(before: str, after: str, which: Any) -> None:
    found = passed_on([before], [after])
    assert found == ({before: which, after: which} if which is not None else {})


def test_the_argument_of_a_call_is_found_from_one_of_its_results() -> None:
    assert passed_on(["f(log(x))[0]"], ["f(log1p(x))[0]"]) == {"f(log(x))": 0, "f(log1p(x))": 0}


@pytest.mark.parametrize(
    ("before", "after", "results", "expected"),
    [
        ("a = x\nb = exp(x)", "a = x\nb = exp2(x)", ["a", "b"], ["b"]),
        ("a = exp(x)\nb = a + 1", "a = exp2(x)\nb = a + 1", ["b"], ["b"]),
        ("r = (x / g, log(g))", "r = (x / g, log2(g))", ["r"], ["r[1]"]),
        ("g = exp(x)\nr = (g, x)", "g = exp2(x)\nr = (g, x)", ["r"], ["r[0]"]),
        ("a = x", "a = x", ["a"], ["a"]),
    ],
    ids=["one of two", "through a name", "an item", "an item through a name", "nothing differs"],
)
def test_results_that_a_patch_leaves_alone_are_left_out(
    before: str, after: str, results: list[str], expected: list[str]
) -> None:
    assert focused(results, _statements(before), _statements(after)) == expected


def test_what_an_opaque_call_is_given_is_compared() -> None:
    source = 'class M:\n    def f(self, x):\n        return self.keep("x", torch.log(torch.sigmoid(x)))\n'
    pairs = [("torch.log(torch.sigmoid(x))", "F.logsigmoid(x)")]
    found = execute(source, pairs, relation=Relation.EQUAL, hazard=HAZARDS)
    assert found["verdict"] == "PROVED"
    assert "what `self.keep` makes of its argument is left out" in found["assumptions"]
    wrong = execute(source, [(pairs[0][0], "F.logsigmoid(-x)")], relation=Relation.EQUAL, hazard=HAZARDS)
    assert wrong["verdict"] == "REFUTED"


def test_a_failure_beside_the_patch_is_not_held_against_it() -> None:
    source = "def f(x, y):\n    gate = torch.sigmoid(x)\n    return y / gate, torch.log(gate)\n"
    found = execute(source, [("torch.log(gate)", "F.logsigmoid(x)")], relation=Relation.EQUAL, hazard=HAZARDS)
    assert found["verdict"] == "PROVED"


def test_a_branch_on_the_dtype_of_a_mask_is_reached() -> None:
    source = (
        "def f(scores, mask):\n"
        "    if mask.dtype == torch.bool:\n"
        "        mask = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(mask, -torch.inf)\n"
        "    return torch.softmax(scores + mask, dim=-1)\n"
    )
    pairs = [("-torch.inf", "torch.finfo(scores.dtype).min")]
    found = execute(source, pairs, relation=Relation.MASK, hazard=HAZARDS)
    assert found["verdict"] == "PROVED"


def test_attributes_made_from_a_distribution_are_that_distribution_s() -> None:
    source = (
        "class Mixture:\n"
        "    def __init__(self, logits):\n"
        "        self.categorical = Categorical(logits=logits)\n"
        "        self.probs = self.categorical.probs\n\n"
        "    def log_prob(self, distance):\n"
        "        return torch.log((self.probs * torch.exp(-distance)).sum(-1))\n"
    )
    old = "torch.log((self.probs * torch.exp(-distance)).sum(-1))"
    new = "torch.logsumexp(self.categorical.logits - distance, dim=-1)"
    found = execute(source, [(old, new)], relation=Relation.EQUAL, hazard=HAZARDS)
    assert found["verdict"] == "PROVED"


def test_einsum_with_an_ellipsis_says_how_many_dimensions_there_are() -> None:
    source = (
        'def f(q, k):\n    s = torch.einsum("...qd,...kd->...qk", q, k)\n    return torch.log(torch.softmax(s, -1))\n'
    )
    module, fix = make_fix(
        "import torch\n\n" + source,
        [("torch.log(torch.softmax(s, -1))", "torch.log_softmax(s, -1)")],
        relation=Relation.EQUAL,
    )
    job = plan(module, fix)
    assert not isinstance(job, str)
    assert [len(leaf["shape"]) for leaf in job.spec["variants"][0]["leaves"]] == [3, 3]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("mask[:, 0]", "mask"),
        ("self.mask[:, None].expand(2, 3)", "mask"),
        ("batch['loss_mask']", "loss_mask"),
        ("self.forward(mask)", "self"),
        ("make_mask(x)", "make_mask"),
        ("a.b", "b"),
    ],
)
def test_the_word_that_names_a_leaf(text: str, word: str) -> None:
    assert last_word(text) == word
