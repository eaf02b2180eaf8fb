import torch
from torch import nn


class Balanced(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        logits = self.gate(x)
        choice = logits.argmax(dim=-1)
        self.logits = logits
        return outputs[torch.arange(x.shape[0], device=x.device), choice]


class TaughtElsewhere(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        choice = self.gate(x).argmax(dim=-1)
        return outputs[torch.arange(x.shape[0], device=x.device), choice]

    def routing_loss(self, x, labels):
        return nn.functional.cross_entropy(self.gate(x), labels)
