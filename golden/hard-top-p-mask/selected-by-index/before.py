import torch
from torch import nn


class DispatchedExperts(nn.Module):
    def __init__(self, dim=32, experts=4, p=0.6):
        super().__init__()
        self.p = p
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        probs = self.gate(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        keep = ranked.cumsum(dim=-1) - ranked < self.p
        chosen = torch.zeros_like(keep).scatter(-1, order, keep)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = chosen[..., index]
            out[rows] += expert(x[rows])
        return out
