import torch
from torch import nn


class Experts(nn.Module):
    """What is detached is a statistic; the weights themselves stay on the graph."""

    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)
        self.num_experts = experts
        self.register_buffer("usage", torch.zeros(experts))

    def forward(self, x):
        weights = torch.softmax(self.gate(x), dim=-1)
        with torch.no_grad():
            mean = torch.softmax(self.gate(x), dim=-1).flatten(0, -2).mean(dim=0)
            self.usage = self.usage * 0.9 + mean * 0.1
        self.last = weights.detach()
        self.peak = weights.max().item()
        return (self.experts(x).unflatten(-1, (self.num_experts, -1)) * weights.unsqueeze(-1)).sum(dim=-2)
