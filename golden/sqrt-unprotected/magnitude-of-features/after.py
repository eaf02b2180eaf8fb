import torch
from torch import nn


class MatchMagnitude(nn.Module):
    """Give a projection the magnitude of what it projects."""

    def __init__(self, dim):
        super().__init__()
        self.project = nn.Linear(dim, dim)

    def forward(self, hidden):
        magnitude = torch.mean(hidden**2, dim=-1, keepdim=True).clamp_min(torch.finfo(hidden.dtype).tiny) ** 0.5
        return nn.functional.normalize(self.project(hidden), dim=-1) * magnitude
