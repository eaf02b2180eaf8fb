import torch
from torch import nn


class SharedAndRouted(nn.Module):
    def __init__(self, dim, shared=1, routed=16, top_k=4):
        super().__init__()
        self.top_k = top_k
        self.shared_experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(shared)])
        self.routed_experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(routed)])
        self.router = nn.Linear(dim, routed)

    def forward(self, x):
        out = x
        for expert in self.shared_experts:
            out = out + expert(x)
        weights, chosen = self.router(x).softmax(dim=-1).topk(self.top_k, dim=-1)
        for e in range(len(self.routed_experts)):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * self.routed_experts[e](x[token]))
        return out
