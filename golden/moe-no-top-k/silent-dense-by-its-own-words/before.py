import torch
import torch.nn.functional as F
from torch import nn


class MaskedMixture(nn.Module):
    """Top-k gating with dense compute, for studies of specialisation with few experts: what is not chosen is masked."""

    def __init__(self, dim, num_experts=4, top_k=2):
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(num_experts)])

    def forward(self, x):
        logits = self.gate(x)
        chosen = logits.topk(self.top_k, dim=-1).indices
        mask = torch.zeros_like(logits).scatter(-1, chosen, 1.0)
        weights = F.softmax(logits, dim=-1) * mask
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return (torch.stack([e(x) for e in self.experts], dim=-1) * weights.unsqueeze(-2)).sum(dim=-1)
