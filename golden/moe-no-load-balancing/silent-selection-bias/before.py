import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    """Sigmoid scores; a bias that follows the load takes part in the choice alone."""

    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.weight = nn.Parameter(torch.randn(num_experts, dim) * 0.02)
        self.register_buffer("e_score_correction_bias", torch.zeros(num_experts))

    def forward(self, x):
        scores = F.linear(x, self.weight).sigmoid()
        chosen = torch.topk(scores + self.e_score_correction_bias, self.top_k, dim=-1).indices
        weights = scores.gather(-1, chosen)
        return weights / weights.sum(dim=-1, keepdim=True), chosen


class MoE(nn.Module):
    def __init__(self, dim, num_experts=8, top_k=2):
        super().__init__()
        self.gate = Router(dim, num_experts, top_k)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        weights, chosen = self.gate(x)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out
