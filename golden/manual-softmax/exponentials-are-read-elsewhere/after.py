import torch
import torch.nn as nn
import torch.nn.functional as F


class Gate(nn.Module):
    def __init__(self, width, experts):
        super().__init__()
        self.proj = nn.Linear(width, experts)

    def forward(self, x):
        scores = self.proj(x)
        mass = torch.exp(scores)
        gate = F.softmax(scores, dim=-1)
        return gate, mass.mean()
