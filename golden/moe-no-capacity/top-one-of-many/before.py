import torch
import torch.nn.functional as F
from torch import nn


class SwitchLayer(nn.Module):
    def __init__(self, dim, num_experts=64):
        super().__init__()
        self.switch = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        probs = self.switch(x).softmax(dim=-1)
        weight, chosen = probs.max(dim=-1)
        out = torch.zeros_like(x)
        for e in range(len(self.experts)):
            mine = (chosen == e).nonzero(as_tuple=True)[0]
            out[mine] = weight[mine, None] * self.experts[e](x[mine])
        return out
