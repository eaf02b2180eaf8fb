import torch
import torch.nn.functional as F
from torch import nn


class HardExperts(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.num_experts = experts
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        soft = torch.softmax(self.gate(x), dim=-1)
        hard = F.one_hot(soft.argmax(dim=-1), self.num_experts).float()
        weights = hard + soft - soft.detach()
        return (self.experts(x).unflatten(-1, (self.num_experts, -1)) * weights.unsqueeze(-1)).sum(dim=-2)
