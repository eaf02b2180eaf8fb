import torch
from torch import nn


class SampleGate(nn.Module):
    """One choice of experts for the whole batch."""

    def __init__(self, dim=32, experts=5, p=0.9):
        super().__init__()
        self.p = p
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        scores = torch.softmax(self.gate(x.mean(dim=(0, 1))), dim=-1)
        order = scores.argsort(descending=True)
        active = torch.zeros_like(scores)
        mass, rank = 0.0, 0
        while mass < self.p and rank < len(order):
            active[order[rank]] = 1.0
            mass += scores[order[rank]].item()
            rank += 1
        return sum(weight * expert(x) for weight, expert in zip(active, self.experts))
