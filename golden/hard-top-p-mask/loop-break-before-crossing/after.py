import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


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
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        ranked_probs, order = gate_probs.sort(dim=-1, descending=True)
        mass_before = ranked_probs.cumsum(dim=-1) - ranked_probs
        soft_gate = torch.sigmoid((limit - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        active = active.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (outputs * active[:, :, None, None]).sum(dim=1)
