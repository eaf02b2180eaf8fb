import torch
import torch.nn.functional as F
from torch import nn


class NoisyRouter(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.score = nn.Linear(dim, num_experts)
        self.noise = nn.Linear(dim, num_experts)

    def forward(self, x):
        logits = self.score(x)
        noisy = logits + torch.randn_like(logits) * F.softplus(self.noise(x))
        kept, chosen = noisy.topk(self.top_k, dim=-1)
        sparse = torch.full_like(noisy, float("-inf")).scatter(-1, chosen, kept)
        return F.softmax(sparse, dim=-1), chosen


class SparseMoE(nn.Module):
    def __init__(self, dim, num_experts=8, top_k=2):
        super().__init__()
        self.router = NoisyRouter(dim, num_experts, top_k)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(num_experts)])

    def forward(self, x):
        weights, chosen = self.router(x)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            hit = (chosen == i).any(dim=-1)
            if hit.any():
                out[hit] = out[hit] + weights[hit, i].unsqueeze(-1) * expert(x[hit])
        return out
