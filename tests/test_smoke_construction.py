"""Classes constructed before and after a patch: what is told of memory that nothing wrote to."""

from __future__ import annotations

import textwrap

import pytest

from autofix import engine
from autofix.model import Applicability, Claim, Edit, Evidence, Fix, Relation, Source, Span, Verdict

HEAD = "import torch\nfrom torch import nn\n\n\n"


def tried(verify: engine.Verify, text: str, line: str, names: tuple[str, ...] = ("self.weight",)) -> Evidence:
    """The evidence for inserting `line` in place of the comment `# here` of a file."""
    source = HEAD + textwrap.dedent(text).lstrip()
    at = source.index("# here")
    edit = Edit(Span(at, at + len("# here")), line)
    claim = Claim(Relation.INITIALISED, results=names, parameters={"role": "weight"}, change="it is initialised")
    fix = Fix("initialise it", (edit,), Applicability.SAFE, claim)
    return verify([(Source("before.py", source.encode()), fix)])[0]


def claims(evidence: Evidence) -> dict[str, bool | None]:
    return {c.name: c.held for c in evidence.claims}


INIT = "nn.init.xavier_uniform_(self.weight)"


def test_bases_and_functions_of_other_files_are_stood_in_for(verify: engine.Verify) -> None:
    text = """
    from .base import Base, helper


    class Layer(Base):
        def __init__(self, config, act="relu", **kwargs):
            super().__init__(config, node_dim=0, **kwargs)
            self.act = helper(act)
            self.weight = nn.Parameter(torch.empty(config.hidden_size, config.inner))
            # here
    """
    found = tried(verify, text, INIT)
    assert found.verdict is Verdict.PROVED
    assert claims(found) == {"witness": True, "initialised": True, "scale": True, "others": True}


def test_a_flag_that_is_off_by_default_is_turned(verify: engine.Verify) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim, weighted=False):
            super().__init__()
            if weighted:
                self.weight = nn.Parameter(torch.empty(dim, dim))
                # here
    """
    found = tried(verify, text, INIT)
    assert found.verdict is Verdict.PROVED
    assert "weighted=True" in found.witness_summary


def test_a_parameter_that_is_written_to_before_has_no_witness(verify: engine.Verify) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(dim, dim))
            # here
            self.reset()

        def reset(self):
            with torch.no_grad():
                self.weight.normal_(std=0.02)
    """
    found = tried(verify, text, INIT)
    assert found.verdict is Verdict.CONSISTENT
    assert claims(found)["witness"] is None


def test_an_initialiser_out_of_reach_makes_it_inconclusive(verify: engine.Verify) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(dim, dim))
            # here
            self.reset()

        def reset(self):
            unknown_initialiser(self.weight)
    """
    found = tried(verify, text, INIT)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "may initialise it" in found.reason


def test_a_parameter_that_is_never_made_is_inconclusive(verify: engine.Verify) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()

        def build(self, dim):
            self.weight = nn.Parameter(torch.empty(dim, dim))
            # here
    """
    found = tried(verify, text, INIT)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "not made" in found.reason


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("nn.init.xavier_uniform_(torch.empty_like(self.weight))", "initialised"),
        ("self.weight = None", "initialised"),
        ("nn.init.constant_(self.weight, 0.1)", "scale"),
        ("nn.init.normal_(self.weight, std=30.0)", "scale"),
        ("nn.init.xavier_uniform_(self.weight, fan=3)", "runs"),
    ],
)
def test_what_does_not_initialise_is_refuted(verify: engine.Verify, line: str, broken: str) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(dim, dim))
            # here
    """
    found = tried(verify, text, line)
    assert found.verdict is Verdict.REFUTED
    assert claims(found)[broken] is False


def test_the_witness_runs(verify: engine.Verify, tmp_path: object) -> None:
    text = """
    class Layer(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(dim, dim))
            # here
    """
    found = tried(verify, text, INIT)
    lines: list[str] = []
    exec(found.witness, {"print": lambda *parts: lines.append(" ".join(map(str, parts)))})
    import torch

    torch.use_deterministic_algorithms(False)
    assert len(lines) == 2
    assert "tensor(0)" in lines[1]
    assert "tensor(0)" not in lines[0]
