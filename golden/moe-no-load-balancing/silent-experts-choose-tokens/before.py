import torch
import torch.nn.functional as F
from torch import nn


class ExpertChoice(nn.Module):
    def __init__(self, dim, num_experts=8, tokens_each=64):
        super().__init__()
        self.tokens_each = tokens_each
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        probs = self.gate(x).softmax(dim=-1)
        weights, tokens = probs.topk(self.tokens_each, dim=0)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            out = out.index_add(0, tokens[:, e], weights[:, e, None] * expert(x[tokens[:, e]]))
        return out
