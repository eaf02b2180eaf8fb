"""What other files of a project say: who initialises a parameter, which of two classes is trained."""

from pathlib import Path

import pytest

from autofix import engine
from autofix.cache import Cache
from autofix.neighbours import imported_from, neighbours
from autofix.rule import Options

LAYER = """
import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mixing = nn.Parameter(torch.empty(dim, dim))

    def forward(self, x):
        return x @ self.mixing
"""
MODEL = """
from layers import Mixer
from torch import nn


class Network(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mixer = Mixer(dim)
"""
INITIALISER = """
from torch import nn


def weights_init(m):
    if hasattr(m, "mixing"):
        nn.init.normal_(m.mixing, 0.0, 0.02)
"""
LINEAR_ONLY = """
from torch import nn


def weights_init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.02)
"""
APPLIED = """
import torch
from model import Network
from weights import weights_init

network = Network(16)
network.apply(weights_init)
"""
WRITTEN = """
import torch
from layers import Mixer

layer = Mixer(8)


def fill(layer):
    layer.mixing.data = torch.eye(8)
"""
LOOP = """
import torch
from model import Network


def build(dim):
    network = Network(dim)
    for p in network.parameters():
        if p.dim() > 1:
            torch.nn.init.xavier_uniform_(p)
    return network
"""
FROZEN = """
import torch
from model import Network


def build(dim):
    network = Network(dim)
    for p in network.parameters():
        p.requires_grad_(False)
    return network
"""
OFF_BY_DEFAULT = """
import torch
from model import Network


def initialize(network, kind="pytorch"):
    if kind == "pytorch":
        return
    for p in network.parameters():
        torch.nn.init.xavier_uniform_(p)


def build(dim, kind):
    network = Network(dim)
    initialize(network, kind)
    return network
"""
ASKED_FOR = """
import torch
from model import Network
from weights import weights_init


def build(dim, init=None):
    network = Network(dim)
    if init is not None:
        network.apply(weights_init)
    return network
"""
STRANGER = """
import torch
from weights import weights_init

torch.nn.Linear(3, 4).apply(weights_init)
"""
IN_PLACE_OF = """
import torch
import library
from layers import Mixer

library.modules.Mixer = Mixer
"""


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({}, True),
        ({"model.py": MODEL}, True),
        ({"model.py": MODEL, "weights.py": INITIALISER, "train.py": APPLIED}, False),
        ({"model.py": MODEL, "weights.py": LINEAR_ONLY, "train.py": APPLIED}, True),
        ({"model.py": MODEL, "train.py": LOOP}, False),
        ({"model.py": MODEL, "train.py": FROZEN}, True),
        ({"model.py": MODEL, "train.py": OFF_BY_DEFAULT}, True),
        ({"model.py": MODEL, "weights.py": INITIALISER.replace("hasattr", "getattr"), "train.py": STRANGER}, True),
        ({"model.py": MODEL, "weights.py": INITIALISER, "train.py": ASKED_FOR}, True),
        ({"check.py": WRITTEN}, False),
        ({"patch.py": IN_PLACE_OF}, False),
    ],
    ids=[
        *("alone", "built", "applied", "for-linear-layers", "loop", "frozen", "off-by-default", "stranger"),
        *("asked-for", "written", "in-place-of"),
    ],
)
def test_an_initialiser_in_another_file(tmp_path: Path, others: dict[str, str], found: bool) -> None:
    for name, text in {"layers.py": LAYER, **others}.items():
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["param-uninitialised"], []), Options(), jobs=1)
    report = engine.check([tmp_path / "layers.py"], request)
    assert bool(report.files) is found


PROJECTION = """
from torch import nn


class Projection(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        return self.out(x)
"""
BY_KIND = """
import torch
from layers import Projection
from torch import nn


class Network(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.projection = Projection(dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                torch.nn.init.trunc_normal_(module.weight, std=0.02)
"""
OF_A_FRAMEWORK = """
from layers import Projection
from transformers import PreTrainedModel


class Network(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.projection = Projection(config.dim)
        self.post_init()
"""


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({}, True),
        ({"model.py": BY_KIND}, False),
        ({"model.py": BY_KIND.replace("Projection", "Attention")}, True),
        ({"model.py": OF_A_FRAMEWORK}, False),
        ({"train.py": APPLIED.replace("model import Network", "layers import Projection")}, False),
    ],
    ids=["alone", "by-kind", "another-class", "of-a-framework", "applied"],
)
def test_layers_that_another_file_initialises(tmp_path: Path, others: dict[str, str], found: bool) -> None:
    for name, text in {"layers.py": PROJECTION, **others}.items():
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["init-missing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "layers.py"], request).files) is found


def test_no_scan_is_remembered_that_depends_on_other_files(tmp_path: Path) -> None:
    for name, text in {"layers.py": LAYER, "model.py": MODEL, "weights.py": "", "train.py": APPLIED}.items():
        (tmp_path / name).write_text(text)
    rules = engine.select_rules(["param-uninitialised"], [])
    request = engine.Request(rules, Options(), jobs=1, cache=Cache(tmp_path / "results.sqlite3"))
    assert engine.check([tmp_path / "layers.py"], request).files
    (tmp_path / "weights.py").write_text(INITIALISER)
    assert not engine.check([tmp_path / "layers.py"], request).files


MOE = (Path(__file__).parent.parent / "golden/moe-no-load-balancing/softmax-of-the-chosen-logits/before.py").read_text()


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({}, True),
        ({"copy.py": MOE}, False),
        ({"copy.py": MOE, "train.py": "from layers import *"}, True),
        ({"convert_weights.py": ""}, False),
    ],
    ids=["alone", "copied", "imported", "port"],
)
def test_a_class_that_another_file_has_as_well(tmp_path: Path, others: dict[str, str], found: bool) -> None:
    for name, text in {"layers.py": MOE, **others}.items():
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["moe-no-load-balancing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "layers.py"], request).files) is found


def test_a_project_ends_where_its_mark_is(tmp_path: Path) -> None:
    for name in ("other/a.py", "mine/pyproject.toml", "mine/train.py", "mine/pkg/__init__.py", "mine/pkg/layer.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = neighbours(str(tmp_path / "mine/pkg/layer.py"))
    assert found is not None
    assert {p.relative_to(tmp_path.resolve()).as_posix() for p in found} == {"mine/train.py", "mine/pkg/__init__.py"}


def test_a_package_without_a_mark_ends_beside_it(tmp_path: Path) -> None:
    for name in ("demo.py", "aside/a.py", "pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/layer.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = neighbours(str(tmp_path / "pkg/sub/layer.py"))
    assert found is not None
    shown = {p.relative_to(tmp_path.resolve()).as_posix() for p in found}
    assert shown == {"demo.py", "pkg/__init__.py", "pkg/sub/__init__.py"}


def test_a_text_that_is_no_file_has_no_neighbours() -> None:
    assert neighbours("<stdin>") == ()


TRAINING = """
import torch
from nets import build

model = build(16)
optimizer = torch.optim.Adam(model.parameters())
for batch, labels in load():
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(batch), labels)
    loss.backward()
    optimizer.step()
"""
TRANSFORMER = """
from torch import nn

def build(width):
    return nn.Sequential(nn.TransformerEncoderLayer(width, 4), nn.Linear(width, 1))
"""
PERCEPTRON = """
from torch import nn

def build(width):
    return nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 1))
"""


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({}, False),
        ({"nets.py": TRANSFORMER}, True),
        ({"nets.py": PERCEPTRON}, False),
        ({"nets/__init__.py": "from .encoders import build", "nets/encoders.py": TRANSFORMER}, True),
        ({"nets/__init__.py": "from encoders import *", "encoders.py": TRANSFORMER}, False),
        ({"nets.py": "def build(:"}, False),
        ({"nets.py": "from nets import build"}, False),
        ({"a/nets.py": TRANSFORMER, "b/nets.py": PERCEPTRON}, False),
    ],
    ids=["alone", "transformer", "perceptron", "handed-on", "star", "syntax-error", "circle", "two-of-the-name"],
)
def test_a_model_of_another_file_gives_the_reason_to_clip(tmp_path: Path, others: dict[str, str], found: bool) -> None:
    for name, text in {"train.py": TRAINING, **others}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "train.py"], request).files) is found


RECIPE = """
import torch

class Recipe:
    def setup(self, cfg, model):
        self._model = model
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=cfg.lr)

    def train(self, loader):
        for batch in loader:
            loss = self._model(batch["input_ids"], labels=batch["labels"]).loss
            loss.backward()
            self._optimizer.step()
            self._optimizer.zero_grad()
"""
CLIPPED = RECIPE.replace(
    "            self._optimizer.step()",
    """            if self._clip_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(self._model.parameters(), max_norm=float(self._clip_grad_norm))
            self._optimizer.step()""",
)


BY_ATTRIBUTE = CLIPPED.replace("self._clip_grad_norm", "args.grad_clip")
BY_LOCAL_NAME = CLIPPED.replace(
    "        for batch", "        bound = self.cfg.optim.max_grad_norm\n        for batch"
).replace("float(self._clip_grad_norm)", "bound")
BY_LIGHTNING = CLIPPED.replace("torch.nn.utils.clip_grad_norm_(", "self.clip_gradients(")


@pytest.mark.parametrize(
    ("others", "advised"),
    [
        ({}, False),
        ({"full.py": CLIPPED}, True),
        ({"full.py": BY_LIGHTNING}, True),
        (
            {"full.py": CLIPPED.replace("float(self._clip_grad_norm)", "1.0").replace("clip_grad_norm is", "on is")},
            False,
        ),
        ({"full.py": CLIPPED.replace("def train", "def fit")}, False),
        ({"other/full.py": CLIPPED}, False),
    ],
    ids=["alone", "setting", "lightning", "constant", "another-function", "another-folder"],
)
def test_a_setting_of_the_file_beside_it_is_preferred_to_a_number(
    tmp_path: Path, others: dict[str, str], advised: bool
) -> None:
    for name, text in {"lora.py": RECIPE, **others}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    (found,) = engine.check([tmp_path / "lora.py"], request).items
    assert (found.finding.fix is None) is advised
    assert ("full.py beside it clips by the setting 'clip_grad_norm'" in found.finding.unfixed_reason) is advised


@pytest.mark.parametrize("spelled", ["max_norm=bound", "bound"])
def test_a_setting_that_reaches_the_clip_through_a_local_name_is_one(tmp_path: Path, spelled: str) -> None:
    beside = BY_LOCAL_NAME.replace("max_norm=bound", spelled)
    for name, text in {"lora.py": RECIPE, "full.py": beside}.items():
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    (found,) = engine.check([tmp_path / "lora.py"], request).items
    assert "full.py beside it clips by the setting 'max_grad_norm'" in found.finding.unfixed_reason


@pytest.mark.parametrize("reads", ["attribute", "dictionary"])
def test_of_several_settings_beside_it_the_one_that_is_read_as_the_file_reads_its_own(
    tmp_path: Path, reads: str
) -> None:
    own = RECIPE if reads == "attribute" else RECIPE.replace("cfg.lr", 'cfg.get("lr", 1e-4)')
    by_dictionary = CLIPPED.replace("self._clip_grad_norm", 'cfg.get("max_grad_norm", 1.0)')
    for name, text in {"lora.py": own, "a.py": BY_ATTRIBUTE, "b.py": by_dictionary}.items():
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    (found,) = engine.check([tmp_path / "lora.py"], request).items
    setting = "a.py beside it clips by the setting 'grad_clip'"
    if reads == "dictionary":
        setting = "b.py beside it clips by the setting 'max_grad_norm'"
    assert setting in found.finding.unfixed_reason


EXPERT = "from torch import nn\n\nclass Expert(nn.Module):\n    def __init__(self, width):\n        {}\n"
LENT = """
import torch
from moe import Expert
from transformers import AutoModelForCausalLM

lm_head = AutoModelForCausalLM.from_pretrained("gpt").lm_head
layer = Expert(16)
optimizer = torch.optim.AdamW(layer.parameters())
for batch, labels in load():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(lm_head(layer(batch)), labels).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("layer", "found"),
    [("self.up = nn.Linear(width, width)", False), ("self.mix = nn.MultiheadAttention(width, 4)", True)],
)
def test_a_class_is_found_where_two_files_may_be_the_one_imported(tmp_path: Path, layer: str, found: bool) -> None:
    files = {"train.py": LENT, "moe/__init__.py": "from .layers import Expert", "moe/moe/moe.py": "", "moe.py": ""}
    for name, text in {**files, "moe/layers.py": EXPERT.format(layer)}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "train.py"], request).files) is found


@pytest.mark.parametrize(("sparse", "fixed"), [("True", False), ("sparse", False), ("False", True)])
def test_a_model_of_another_file_with_sparse_gradients_is_not_clipped(tmp_path: Path, sparse: str, fixed: bool) -> None:
    layer = f"self.lstm = nn.LSTM(width, width)\n        self.embed = nn.Embedding(9, width, sparse={sparse})"
    (tmp_path / "train.py").write_text(LENT)
    (tmp_path / "moe.py").write_text(EXPERT.format(layer))
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    (found,) = engine.check([tmp_path / "train.py"], request).items
    assert (found.finding.fix is not None) is fixed
    assert ("sparse gradients of an embedding" in (found.finding.unfixed_reason or "")) is not fixed


@pytest.mark.parametrize(("argument", "found"), [("grad_clip_type=None", False), ("support=None", True)])
def test_an_optimizer_of_the_project_that_may_clip_decides_itself(tmp_path: Path, argument: str, found: bool) -> None:
    training = LENT.replace("import torch\n", "import torch\nfrom optimizers import Adam\n").replace(
        "torch.optim.AdamW", "Adam"
    )
    (tmp_path / "train.py").write_text(training)
    (tmp_path / "moe.py").write_text(EXPERT.format("self.lstm = nn.LSTM(width, width)"))
    (tmp_path / "optimizers.py").write_text(
        f"import torch\n\nclass Adam(torch.optim.Adam):\n    def __init__(self, params, lr=1e-3, *, {argument}):\n"
        "        super().__init__(params, lr)\n"
    )
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "train.py"], request).files) is found


HANDED = """
import torch

class Trainer:
    def __init__(self, config, model, optimizer, loader):
        self.model, self.loader = model, loader
        self.optimizer = optimizer

    def epoch(self):
        for batch in self.loader:
            self.optimizer.zero_grad()
            self.model(batch).sum().backward()
            self.optimizer.step()
"""
MAIN = """
import torch
from torch import nn
from engine.trainer import Trainer

def main(config, loader):
    model = nn.{}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    Trainer(config, model, optimizer=optimizer, loader=loader).epoch()
"""
RECURRENT = MAIN.format("LSTM(8, 8)")
OPEN = "from engine.trainer import Trainer\n\ndef resume(*state):\n    return Trainer(*state)\n"


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({"main.py": RECURRENT}, True),
        ({"main.py": MAIN.format("Linear(8, 8)")}, False),
        ({"tests/test_main.py": RECURRENT}, False),
        ({"main.py": RECURRENT, "resume.py": OPEN}, False),
        ({"main.py": RECURRENT.replace("engine.trainer", "others.trainer"), "others/trainer.py": HANDED}, False),
    ],
    ids=["recurrent", "linear", "in-a-test", "open", "another-trainer"],
)
def test_a_model_that_another_file_hands_over_gives_the_reason_to_clip(
    tmp_path: Path, others: dict[str, str], found: bool
) -> None:
    for name, text in {"engine/trainer.py": HANDED, "setup.py": "", **others}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    request = engine.Request(engine.select_rules(["grad-clip-missing"], []), Options(), jobs=1)
    assert bool(engine.check([tmp_path / "engine/trainer.py"], request).files) is found


def test_the_nearest_file_is_imported(tmp_path: Path) -> None:
    for name in ("a/train.py", "a/b/nets.py", "c/nets.py", "setup.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    train = tmp_path / "a/train.py"
    assert imported_from(str(train), "nets.build") == tmp_path / "a/b/nets.py"
    assert imported_from(str(train), ".b.nets.build") == tmp_path / "a/b/nets.py"
    assert imported_from(str(train), "..c.nets.build") == tmp_path / "c/nets.py"
    assert imported_from(str(train), "torch.nn.Linear") is None
    assert imported_from(str(train), "....................nets.build") is None
