import torch
from torch import nn


class SequenceGate(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.w_gate = nn.Linear(dim, num_experts)

    def forward(self, x):
        logits = self.w_gate(x)
        kept, chosen = torch.topk(logits, self.top_k, dim=-1)
        sparse = torch.full_like(logits, float("-inf")).scatter_(1, chosen, kept)
        return sparse.softmax(dim=-1)


class Mixture(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(num_experts)])
        self.gate = SequenceGate(dim, num_experts, top_k)

    def forward(self, x):
        weights = self.gate(x)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=2)
        return (weights.unsqueeze(-1) * outputs).sum(dim=2)
