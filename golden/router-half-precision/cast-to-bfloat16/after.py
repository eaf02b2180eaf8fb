import torch
from torch import nn


class Router(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)

    def forward(self, x):
        router_logits = self.gate(x)
        probs = torch.softmax(router_logits.float(), dim=-1)
        weights, selected = torch.topk(probs, 2, dim=-1)
        weights = weights.to(torch.bfloat16)
        return weights / weights.sum(dim=-1, keepdim=True), selected
