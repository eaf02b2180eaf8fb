import torch
from torch import nn


class Router(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.experts = nn.Linear(dim, num_experts)
        self.skip = nn.Linear(dim, 1)

    def forward(self, x):
        weights = self.experts(x).softmax(dim=-1)
        skip_prob = torch.sigmoid(self.skip(x))
        return weights, skip_prob


class Layer(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.router = Router(dim, num_experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))

    def forward(self, x):
        weights, skip_prob = self.router(x)
        stays = (skip_prob <= 0.5).squeeze(-1)
        out = x.clone()
        mixed = sum(weights[stays][:, e, None] * expert(x[stays]) for e, expert in enumerate(self.experts))
        out[stays] = out[stays] + mixed
        return out
