import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel


class Mixer(nn.Module):
    def __init__(self, width, n_experts):
        super().__init__()
        self.scores = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, n_experts))

    def forward(self, hidden):
        return self.scores(hidden.mean(1)).softmax(-1)

    def load_balance_loss(self, weights):
        return weights.mean(0).pow(2).sum()


class Projection(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden):
        return self.norm(self.linear(hidden))


def load_specialists(names):
    return [AutoModel.from_pretrained(name).eval().requires_grad_(False) for name in names]


def mix(router: Mixer, projection: Projection, specialists, loader):
    optimizer = torch.optim.AdamW(list(router.parameters()) + list(projection.parameters()), lr=1e-4)
    for batch in loader:
        with torch.no_grad():
            hidden = [s(batch["input_ids"], batch["attention_mask"]).last_hidden_state for s in specialists]
        weights = router(projection(hidden[0]))
        loss = F.nll_loss(weights.clamp_min(1e-6).log(), batch["domain"]) + 0.01 * router.load_balance_loss(weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
