import torch
import torch.nn.functional as F
from torch import nn


class SparseMLP(nn.Module):
    def __init__(self, dim=16, experts=8, top_k=2):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(dim, experts, bias=False)

    def route(self, hidden):
        gate_logits = self.router(hidden)
        scores = F.softmax(gate_logits, dim=-1, dtype=torch.float32)
        weights, experts = scores.topk(self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)  # of the chosen ones alone
        weights = weights.to(torch.bfloat16)
        return weights, experts
