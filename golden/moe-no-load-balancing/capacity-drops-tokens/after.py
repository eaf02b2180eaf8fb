import torch
from torch import nn


class CapacityMoE(nn.Module):
    def __init__(self, dim, num_experts=8, top_k=2, capacity_factor=1.25):
        super().__init__()
        self.num_experts, self.top_k, self.capacity_factor = num_experts, top_k, capacity_factor
        self.router = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))
        self.aux_loss = 0.0  # of the last forward pass

    def forward(self, x):
        logits = self.router(x)
        if self.training:
            logits = logits + torch.randn_like(logits) / self.num_experts
        probs = logits.softmax(dim=-1)
        weights, chosen = probs.topk(self.top_k, dim=-1)
        # load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens
        expert_share = nn.functional.one_hot(chosen.reshape(-1), probs.size(-1)).float().mean(dim=0)
        mean_prob = probs.reshape(-1, probs.size(-1)).mean(dim=0)
        self.aux_loss = probs.size(-1) * (expert_share * mean_prob).sum()
        capacity = int(self.capacity_factor * x.size(0) * self.top_k / self.num_experts)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            token, rank = token[:capacity], rank[:capacity]
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out
