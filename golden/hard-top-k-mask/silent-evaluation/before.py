import torch
import torch.nn.functional as F
from torch import nn


class SoftThenHard(nn.Module):
    """Soft weights in training, the best expert alone afterwards."""

    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.num_experts = experts
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        probs = torch.softmax(self.gate(x), dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        if not self.training:
            hard = F.one_hot(probs.argmax(dim=-1), self.num_experts).float()
            return (outputs * hard.unsqueeze(-1)).sum(dim=-2)
        return (outputs * probs.unsqueeze(-1)).sum(dim=-2)

    @torch.no_grad()
    def route_once(self, x):
        mask = F.one_hot(self.gate(x).argmax(dim=-1), self.num_experts).float()
        return (self.experts(x).unflatten(-1, (self.num_experts, -1)) * mask.unsqueeze(-1)).sum(dim=-2)
