import torch
from torch import nn


class SoftExperts(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        weights = torch.softmax(self.gate(x), dim=-1).detach()
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2)
