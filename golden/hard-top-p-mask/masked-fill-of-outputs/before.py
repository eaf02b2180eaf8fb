import torch
from torch import nn


class SparseExperts(nn.Module):
    def __init__(self, dim=32, n_experts=4, top_p=0.75):
        super().__init__()
        self.top_p = top_p
        self.router = nn.Linear(dim, n_experts)
        self.weight = nn.Parameter(torch.randn(n_experts, dim, dim) / dim**0.5)

    def forward(self, x):
        out = torch.einsum("btd,edf->btef", x, self.weight)
        router_probs = self.router(x).softmax(-1)
        values, indices = torch.topk(router_probs, k=router_probs.size(-1), dim=-1)
        cum = torch.cumsum(values, dim=-1)
        keep = torch.cat([torch.ones_like(cum[..., :1], dtype=torch.bool), cum[..., :-1] < self.top_p], dim=-1)
        mask = torch.zeros_like(router_probs, dtype=torch.bool).scatter(-1, indices, keep)
        out = out.masked_fill(~mask.unsqueeze(-1), 0.0)
        return out.sum(dim=-2)
