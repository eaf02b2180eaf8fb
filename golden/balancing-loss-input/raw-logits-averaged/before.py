import torch
from torch import nn


class SparseLayer(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))
        self.num_experts = num_experts
        self.top_k = top_k

    def load_balance_loss(self, scores, chosen):
        share = nn.functional.one_hot(chosen, self.num_experts).float().mean(dim=(0, 1))
        importance = scores.mean(dim=0)
        return self.num_experts * torch.sum(share * importance)

    def forward(self, x):
        logits = self.gate(x)
        values, chosen = logits.topk(self.top_k, dim=-1)
        weights = values.softmax(dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            token, place = torch.where(chosen == number)
            out[token] += weights[token, place, None] * expert(x[token])
        return out, self.load_balance_loss(logits, chosen)
