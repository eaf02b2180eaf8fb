import torch
import torch.nn.functional as F
from torch import nn


class MMoE(nn.Module):
    def __init__(self, dim, num_experts=6, num_tasks=2):
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(dim, num_experts) for _ in range(num_tasks))
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return [(outputs * gate(x).softmax(dim=-1).unsqueeze(-2)).sum(dim=-1) for gate in self.gates]
