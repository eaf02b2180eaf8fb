import torch
from torch import nn


class Router(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.top_k = top_k

    def forward(self, x):
        logits = self.gate(x)
        scores = logits.sigmoid()
        weights, chosen = torch.topk(scores, self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        probs = scores / scores.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).eps)
        return weights, chosen, load_balancing_loss(probs, chosen)


def load_balancing_loss(probs, chosen):
    num_experts = probs.size(-1)
    share = nn.functional.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * probs.mean(dim=0)).sum()
