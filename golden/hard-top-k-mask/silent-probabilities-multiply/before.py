import torch
import torch.nn.functional as F
from torch import nn


class SwitchGate(nn.Module):
    """What is selected is weighted by its probability."""

    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)
        self.num_experts = experts

    def forward(self, x):
        scores = F.softmax(self.gate(x), dim=-1)
        top, indices = scores.topk(1, dim=-1)
        mask = torch.zeros_like(scores).scatter_(-1, indices, 1)
        weights = scores * mask
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2)


class SelectedValue(SwitchGate):
    def forward(self, x):
        scores = F.softmax(self.gate(x), dim=-1)
        top, indices = scores.topk(1, dim=-1)
        mask = torch.zeros_like(scores).scatter_(-1, indices, 1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2) * top
