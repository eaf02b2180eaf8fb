import torch
from torch import nn


class MaskedExperts(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, experts)

    def forward(self, x, lengths):
        valid = (torch.arange(x.size(1)) < lengths.unsqueeze(-1)).float()
        weights = torch.softmax(self.gate(x), dim=-1)
        active = (x.norm(dim=-1) > 0.1).float()
        return (self.experts(x) * weights).sum(dim=-1) * valid * active
