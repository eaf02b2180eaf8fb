import torch
from torch import nn


class BudgetGate(nn.Module):
    """A budget of probability for each sample's experts; the expert that would exceed it stays off."""

    def __init__(self, dim=32, experts=5):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.budget = nn.Linear(dim, 1)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        pooled = x.mean(dim=1)
        gate_probs = self.gate(pooled).softmax(dim=-1)
        limit = 0.5 + 0.5 * torch.sigmoid(self.budget(pooled))
        ranked, ranking = gate_probs.sort(dim=-1, descending=True)
        active = torch.zeros_like(gate_probs, dtype=torch.bool)
        for i in range(x.size(0)):
            total = 0.0
            for p, e in zip(ranked[i], ranking[i]):
                total = total + p.item()
                if total > limit[i, 0].item():
                    break
                active[i, e] = True
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (outputs * active[:, :, None, None]).sum(dim=1)
