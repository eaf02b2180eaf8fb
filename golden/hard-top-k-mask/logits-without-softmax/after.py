import torch
import torch.nn.functional as F
from torch import nn


class BranchSelector(nn.Module):
    def __init__(self, dim=32, experts=3):
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        router_logits = self.router(x)
        chosen = torch.argmax(router_logits, dim=-1)
        one_hot = F.one_hot(chosen, num_classes=3).to(x.dtype)
        # straight-through: the hard choice forward, the gradient of the probabilities backward
        soft_gate = torch.softmax(router_logits, dim=-1)
        one_hot = one_hot + (soft_gate - soft_gate.detach()).to(one_hot.dtype)
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            y = y + one_hot[..., i : i + 1] * expert(x)
        return y
