import torch
import torch.nn.functional as F
from torch import nn


class HardSwitch(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)
        self.num_experts = experts

    def forward(self, x):
        gate_probs = F.softmax(self.gate(x), dim=-1)
        best = gate_probs.argmax(dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        gate = F.one_hot(best, self.num_experts).float()
        # straight-through: the hard choice forward, the gradient of the probabilities backward
        gate = gate + (gate_probs - gate_probs.detach())
        return (outputs * gate.unsqueeze(-1)).sum(dim=-2)
