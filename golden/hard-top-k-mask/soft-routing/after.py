import torch
import torch.nn.functional as F
from torch import nn


class Top1Experts(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.num_experts = experts
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        index = probs.argmax(dim=-1)
        mask = F.one_hot(index, self.num_experts).float()
        mask = mask * probs
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
