import torch
from torch import nn


class MixtureLayer(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        with torch.no_grad():
            logits = self.router(x)
            weights = torch.softmax(logits, dim=-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2)
