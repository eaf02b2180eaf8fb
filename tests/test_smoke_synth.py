"""Arguments made up for a class: what is read from its source and documentation, and what a search makes of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from autofix.smoke.harness import synth_attempt, synth_nested, synth_search, synth_signature, synth_usage, synth_values

Load = Callable[[str], ModuleType]
HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a module and import it: specs name classes by it, and their source is read from it."""

    def loaded(text: str) -> ModuleType:
        name = "made_up_package"
        (tmp_path / f"{name}.py").write_text(HEAD + text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        synth_nested.forget()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return loaded


def test_use_is_read_from_the_source(load: Load) -> None:
    module = load("""
class Net(nn.Module):
    def __init__(self, dim, blocks, target, steps):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.blocks = nn.ModuleList(blocks)
        self.target = target
        self.steps = steps

    def forward(self, x, scores):
        b, heads, n, width = scores.shape
        for _ in range(self.steps):
            for block in self.blocks:
                y = block(x, mask=None)
        return torch.einsum("b n d, b h n m -> b h m d", x, scores) + self.target.log_prob(x)
""")
    made = synth_usage.of_class(module.Net, "__init__")
    assert made["dim"].arithmetic
    assert made["blocks"].modules
    assert made["blocks"].item_calls == [("", 1, ("mask",))]
    assert made["target"].calls == [("log_prob", 1, ())]
    assert made["steps"].arithmetic
    assert not made["steps"].iterated
    used = synth_usage.of_class(module.Net, "forward")
    assert used["x"].axes == "b n d"
    assert used["scores"].unpacked_names == ["b", "heads", "n", "width"]


def test_documentation_gives_types_and_shapes(load: Load) -> None:
    module = load('''
class Net(nn.Module):
    def forward(self, x, ratio, flag):
        """Forward.

        Args:
            x (torch.Tensor): input with shape ``[b x s x d]``
                for the query.
            ratio (torch.Tensor): of shape (bsz * n_imgs, 2), e.g. (2, 1).
            flag (bool): whether (or not, optional).
        Returns:
            torch.Tensor: of shape (b, s).
        """
        return x
''')
    found = synth_signature.documented(module.Net, "forward")
    assert {n: d.axes for n, d in found.items()} == {"x": ("b", "s", "d"), "ratio": ("bsz * n_imgs", "2"), "flag": ()}
    assert found["x"].is_tensor
    assert not found["flag"].is_tensor


COMPOSED = """
class Flow(nn.Module):
    def forward(self, z):
        raise NotImplementedError

class Scale(Flow):
    def __init__(self, shape):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(shape))

    def forward(self, z, context=None):
        return z * self.s.exp(), self.s.sum()

    def inverse(self, z, context=None):
        return z / self.s.exp(), -self.s.sum()

class Gaussian(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, *shape))

    def forward(self, num_samples=1):
        return self.loc.expand(num_samples, -1)

    def log_prob(self, z):
        return -(z - self.loc).square().sum(-1)

class Composed(nn.Module):
    def __init__(self, base, flows):
        super().__init__()
        self.base = base
        self.flows = nn.ModuleList(flows)

    def forward(self, x):
        total = 0.0
        for flow in self.flows:
            x, log_det = flow.inverse(x, context=None)
            total = total + log_det
        return total + self.base.log_prob(x)
"""


def test_arguments_are_objects_of_the_same_package(load: Load) -> None:
    found = synth_search.search(load(COMPOSED).Composed, 0)
    assert synth_values.shown(found.plan.init["base"]).startswith("Gaussian(")
    assert synth_values.shown(found.plan.init["flows"]).startswith("[Scale(")
    assert not list(synth_values.stand_ins(list(found.plan.init.values())))


def test_a_number_with_a_default_is_no_tensor(load: Load) -> None:
    assert synth_search.search(load(COMPOSED).Gaussian, 0).plan.inputs == {}


def test_the_condition_around_a_raise_names_what_to_change(load: Load) -> None:
    module = load("""
class Strict(nn.Module):
    def __init__(self, dim, groups=3):
        super().__init__()
        if dim % groups != 0:
            raise ValueError("no")
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, y=None):
        if y is None:
            raise ValueError("give me more")
        return self.proj(x) + y
""")
    found = synth_search.search(module.Strict, 0)
    assert found.plan.inputs["y"][0] == "tensor"
    assert found.trials < 20


def test_what_a_nested_network_runs_with_is_tried_on_its_wrapper(load: Load) -> None:
    module = load("""
class Tokens(nn.Module):
    def __init__(self, num_tokens, dim):
        super().__init__()
        self.num_tokens = num_tokens
        self.table = nn.Parameter(torch.zeros(num_tokens, dim))

    def forward(self, seq):
        return F.embedding(seq, self.table)

class Wrapper(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.count, self.net = net.num_tokens, net

    def forward(self, x):
        return self.net(x).mean()
""")
    found = synth_search.search(module.Wrapper, 0)
    assert found.plan.inputs["x"][2].startswith("ids:")
    assert found.trials == 1


def test_classes_too_large_are_tried_with_small_defaults(load: Load) -> None:
    module = load("""
class Slow(nn.Module):
    def __init__(self, dim, depth=50_000):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
""")
    assert synth_search.search(module.Slow, 0).plan.init["depth"] == ["value", 2]


def test_a_trial_that_computes_for_too_long_is_stopped() -> None:
    with pytest.raises(synth_attempt.TooSlow):
        _compute_under_a_limit(0.05)


def _compute_under_a_limit(seconds: float) -> None:
    with synth_attempt.limited(seconds):
        while True:
            pass
