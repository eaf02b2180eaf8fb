import torch
from torch import nn


class SigmoidExperts(nn.Module):
    def __init__(self, dim=32, experts=4, top_k=2):
        super().__init__()
        self.top_k, self.num_experts = top_k, experts
        self.router = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        top, selected = torch.topk(self.router(x), self.top_k, dim=-1)
        weights = torch.sigmoid(top.float()).to(x.dtype)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return (weights.unsqueeze(-1) * chosen).sum(dim=-2)
