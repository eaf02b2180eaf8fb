import torch
import torch.nn as nn
import torch.nn.functional as F


class Gate(nn.Module):
    def __init__(self, width, experts):
        super().__init__()
        self.proj = nn.Linear(width, experts)

    def forward(self, x):
        mass = torch.exp(self.proj(x))
        gate = mass / mass.sum(dim=-1, keepdim=True)
        return gate, mass.mean()
