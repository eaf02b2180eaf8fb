import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.score = nn.Linear(dim, num_experts)

    def forward(self, x):
        scores = self.score(x).sigmoid()
        weight, chosen = torch.max(scores, dim=-1)
        return weight, chosen


class SwitchLayer(nn.Module):
    def __init__(self, dim, num_experts=8):
        super().__init__()
        self.router = Router(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        weight, chosen = self.router(x)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            mine = chosen == e
            out[mine] = weight[mine].unsqueeze(-1) * expert(x[mine])
        return out
