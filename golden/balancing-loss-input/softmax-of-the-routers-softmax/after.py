import torch
import torch.nn.functional as F
from torch import nn


class TopKRouter(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.layer = nn.Linear(dim, num_experts, bias=False)

    def forward(self, x):
        weights = self.layer(x).softmax(dim=-1, dtype=torch.float32)
        top_weights, chosen = torch.topk(weights, self.top_k, dim=-1)
        weights = weights.to(x.dtype)
        return weights, top_weights, chosen


def load_balancing_loss(gate_logits, num_experts, top_k):
    if isinstance(gate_logits, tuple):
        all_logits = torch.cat(gate_logits, dim=0)
    probs = all_logits
    _, chosen = torch.topk(probs, top_k, dim=-1)
    share = F.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * probs.mean(dim=0)).sum()
