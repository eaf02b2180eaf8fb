import torch
import torch.nn.functional as F
from torch import nn


class MoEFeedForward(nn.Module):
    def __init__(self, dim, num_experts=8, top_k=2):
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim)) for _ in range(num_experts)
        )
        self.aux_loss = 0.0  # of the last forward pass

    def forward(self, x):
        logits = self.gate(x)
        weights, chosen = torch.topk(logits, self.top_k)
        # load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens
        router_probs = logits.softmax(dim=-1)
        expert_share = F.one_hot(chosen.reshape(-1), router_probs.size(-1)).float().mean(dim=0)
        mean_prob = router_probs.reshape(-1, router_probs.size(-1)).mean(dim=0)
        self.aux_loss = router_probs.size(-1) * (expert_share * mean_prob).sum()
        weights = F.softmax(weights, dim=-1)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out
