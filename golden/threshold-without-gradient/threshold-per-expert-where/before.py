import torch
from torch import nn


class ThresholdRouter(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.thresholds = nn.Parameter(torch.full((num_experts,), 0.2))

    def forward(self, x):
        scores = self.gate(x).softmax(dim=-1)
        limit = torch.sigmoid(self.thresholds)
        weights = torch.where(scores > limit, scores, torch.zeros_like(scores))
        return weights / weights.sum(dim=-1, keepdim=True).clamp_min(1e-6)
