import torch
from torch import nn


class BranchMixture(nn.Module):
    def __init__(self, channels, num_experts=4, top_k=2):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_experts))
        self.experts = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_experts))

    def forward(self, x):
        probs = self.router(x).softmax(dim=1)
        weights, chosen = probs.topk(self.top_k, dim=1)
        gate = torch.zeros_like(probs).scatter(1, chosen, weights)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            share = gate[:, index].view(-1, 1, 1, 1)
            if torch.count_nonzero(share):
                out = out + share * expert(x)
        return out
