import torch
from torch import nn


class MoELayer(nn.Module):
    def __init__(self, dim, num_experts, top_k=1):
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))

    def forward(self, x):
        gate_logits = self.gate(x)
        weights, selected = torch.topk(gate_logits.softmax(dim=-1, dtype=torch.float), self.top_k)
        weights = (weights / weights.sum(dim=-1, keepdim=True) if self.top_k > 1 else weights).to(x.dtype)
        results = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            token, nth = torch.where(selected == i)
            results[token] += weights[token, nth, None] * expert(x[token])
        return results
