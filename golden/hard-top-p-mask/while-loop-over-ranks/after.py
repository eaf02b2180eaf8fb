import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


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
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        ranked, ranks = scores.sort(dim=-1, descending=True)
        mass_before = ranked.cumsum(dim=-1) - ranked
        soft_gate = torch.sigmoid((self.p - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, ranks, soft_gate)
        active = active + (soft_gate - soft_gate.detach())
        return sum(weight * expert(x) for weight, expert in zip(active, self.experts))
