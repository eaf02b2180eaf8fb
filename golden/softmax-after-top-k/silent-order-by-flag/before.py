import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def __init__(self, dim, num_experts, over_all=True):
        super().__init__()
        self.over_all = over_all
        self.gate = nn.Linear(dim, num_experts, bias=False)

    def forward(self, x):
        logits = self.gate(x)
        kept, chosen = torch.topk(logits, 1, dim=-1)
        weights = F.softmax(logits, dim=-1).gather(-1, chosen) if self.over_all else F.softmax(kept, dim=-1)
        return weights, chosen
