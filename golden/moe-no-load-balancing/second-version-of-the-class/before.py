import torch
from torch import nn


class SparseMoE(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(num_experts)])

    def forward(self, x):
        weights, chosen = self.gate(x).softmax(dim=-1).topk(self.top_k, dim=-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == i)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out


print(SparseMoE(16, 8, 2)(torch.randn(4, 16)).shape)


# with larger experts
class SparseMoE(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)]
        )

    def forward(self, x):
        weights, chosen = self.gate(x).softmax(dim=-1).topk(self.top_k, dim=-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == i)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out


print(SparseMoE(16, 8, 2)(torch.randn(4, 16)).shape)
