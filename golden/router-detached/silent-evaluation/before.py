import torch
from torch import nn


class Experts(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, experts)

    @torch.no_grad()
    def predict(self, x):
        weights = torch.softmax(self.gate(x), dim=-1).detach()
        return (self.experts(x) * weights).sum(dim=-1)

    def forward(self, x):
        if not self.training:
            cached = torch.softmax(self.gate(x), dim=-1).detach()
            return (self.experts(x) * cached).sum(dim=-1)
        return (self.experts(x) * torch.softmax(self.gate(x), dim=-1)).sum(dim=-1)
