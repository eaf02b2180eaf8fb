import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def __init__(self, width, experts, normalise):
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.normalise = normalise

    def forward(self, x):
        weights = F.softmax(self.gate(x), dim=-1)
        if self.normalise:
            weights /= weights.sum(dim=-1, keepdim=True)
        return weights
