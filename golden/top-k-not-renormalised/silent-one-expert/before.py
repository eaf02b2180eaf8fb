import torch
import torch.nn.functional as F
from torch import nn


class Top1Experts(nn.Module):
    def __init__(self, dim=32, experts=8):
        super().__init__()
        self.num_experts = experts
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1)
        weights, selected = torch.topk(probs, 1, dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return (weights.unsqueeze(-1) * chosen).sum(dim=-2)
