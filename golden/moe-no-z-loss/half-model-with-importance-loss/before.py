import torch
from torch import nn


class TopOneRouter(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.score = nn.Linear(dim, num_experts, bias=False)

    def forward(self, x):
        probs = torch.softmax(self.score(x), dim=-1)
        weight, chosen = probs.max(dim=-1)
        importance = probs.reshape(-1, probs.size(-1)).sum(dim=0)
        self.importance_loss = importance.float().var() / (importance.float().mean().square() + 1e-9)
        return weight, chosen


class Experts(nn.Module):
    def __init__(self, dim, num_experts=16):
        super().__init__()
        self.router = TopOneRouter(dim, num_experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))

    def forward(self, x):
        weight, chosen = self.router(x)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            mine = chosen == e
            out[mine] = weight[mine].unsqueeze(-1) * expert(x[mine])
        return out


def build(dim):
    return nn.Sequential(Experts(dim), nn.LayerNorm(dim), nn.Linear(dim, 10)).to(torch.bfloat16)
