import torch
from torch import nn


class Dispatcher(nn.Module):
    def __init__(self, dim=32, experts=4, top_k=2):
        super().__init__()
        self.top_k, self.num_experts = top_k, experts
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.Linear(dim, dim * experts)

    def forward(self, x):
        router_logits = self.gate(x)
        values, selected = torch.topk(router_logits, self.top_k, dim=-1)
        weights = torch.softmax(router_logits, dim=-1).gather(-1, selected)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return (weights.unsqueeze(-1) * chosen).sum(dim=-2), values
