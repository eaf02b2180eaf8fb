import torch
from torch import nn


class MoELayer(nn.Module):
    def __init__(self, dim, experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        router_logits = self.router(x)
        scores, index = router_logits.topk(self.top_k, dim=-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            token, nth = torch.where(index == i)
            out[token] += scores[token, nth, None] * expert(x[token])
        return out
