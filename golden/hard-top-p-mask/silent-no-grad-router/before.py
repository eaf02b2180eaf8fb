import torch
from torch import nn


class FrozenRouter(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)

    @torch.no_grad()
    def route(self, x):
        probs = self.gate(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        keep = ranked.cumsum(dim=-1) - ranked < 0.7
        return torch.zeros_like(keep).scatter(-1, order, keep).float()

    def forward(self, x, outputs):
        with torch.no_grad():
            probs = self.gate(x).softmax(dim=-1)
            ranked, order = probs.sort(dim=-1, descending=True)
            mask = torch.zeros_like(probs).scatter(-1, order, (ranked.cumsum(-1) - ranked < 0.7).float())
        return (outputs * mask.unsqueeze(-1)).sum(-2)
