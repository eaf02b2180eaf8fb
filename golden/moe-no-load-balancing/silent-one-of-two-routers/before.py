import torch
from torch import nn


class GatedRouter(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.score = nn.Linear(dim, num_experts)
        self.skip = nn.Linear(dim, 1)

    def forward(self, x):
        probs = self.score(x).softmax(dim=-1)
        weights, chosen = probs.topk(self.top_k, dim=-1)
        return weights / weights.sum(dim=-1, keepdim=True), chosen, self.skip(x).sigmoid()


class Block(nn.Module):
    def __init__(self, dim, num_experts, top_k, draft=False):
        super().__init__()
        self.draft, self.top_k = draft, top_k
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))
        if draft:
            self.router = nn.Linear(dim, num_experts)
        else:
            self.router = GatedRouter(dim, num_experts, top_k)

    def forward(self, x):
        if self.draft:
            weights, chosen = self.router(x).softmax(dim=-1).topk(self.top_k, dim=-1)
            keep = torch.ones_like(x[..., :1])
        else:
            weights, chosen, keep = self.router(x)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return x + keep * out
