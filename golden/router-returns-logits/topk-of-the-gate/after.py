import torch
from torch import nn


class SparseExperts(nn.Module):
    def __init__(self, dim=32, experts=4, top_k=2):
        super().__init__()
        self.top_k, self.num_experts = top_k, experts
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        weights, selected = torch.topk(torch.softmax(self.gate(x), dim=-1), self.top_k, dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return (weights.unsqueeze(-1) * chosen).sum(dim=-2)
