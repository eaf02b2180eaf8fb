import torch
import torch.nn.functional as F
from torch import nn


class Experts(nn.Module):
    def __init__(self, dim=32, experts=8, normalize_weights=True):
        super().__init__()
        self.num_experts, self.normalize_weights = experts, normalize_weights
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def combine(self, chosen, shares):
        total = shares.sum(dim=-1, keepdim=True) if self.normalize_weights else 1.0
        return chosen.sum(dim=-2) / total

    def forward(self, x):
        weights, selected = torch.topk(F.softmax(self.gate(x), dim=-1), 2, dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return self.combine(weights.unsqueeze(-1) * chosen, weights)
