import torch
import torch.nn.functional as F
from torch import nn


class TokenExperts(nn.Module):
    def __init__(self, experts, gate, k=1):
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.gate = gate
        self.k = k

    def forward(self, x):
        tokens = x.view(-1, x.size(-1))
        kept, chosen = torch.topk(self.gate(tokens), self.k)
        weights = F.softmax(kept, dim=1)
        out = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out[token] += weights[token, rank, None] * expert(tokens[token])
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.moe = TokenExperts(
            experts=[nn.Linear(dim, dim) for _ in range(num_experts)], gate=nn.Linear(dim, num_experts, bias=False)
        )

    def forward(self, x):
        return x + self.moe(self.norm(x))
