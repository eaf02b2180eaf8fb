import torch
import torch.nn.functional as F
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class ThresholdRouter(nn.Module):
    """Top-p mixture of experts with a threshold that is meant to be learnt."""

    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.p = nn.Parameter(torch.tensor(0.6))
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1)
        top, index = probs.sort(dim=-1, descending=True)
        mass_before = top.cumsum(dim=-1) - top
        keep = mass_before < self.p
        mask = torch.zeros_like(probs).scatter_(-1, index, keep.float())
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        soft_gate = torch.sigmoid((self.p - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, index, soft_gate)
        mask = mask + (soft_gate - soft_gate.detach())
        weights = probs * mask
        weights = weights / weights.sum(dim=-1, keepdim=True)
        outputs = torch.stack([e(x) for e in self.experts], dim=-1)
        return torch.einsum("btde,bte->btd", outputs, weights)
