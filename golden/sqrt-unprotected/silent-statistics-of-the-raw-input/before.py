import torch
from torch import nn


class Forecaster(nn.Module):
    def __init__(self, dim, length):
        super().__init__()
        self.length = length
        self.embed = nn.Linear(length, dim)

    def forward(self, past_values):
        patches = past_values.view(past_values.shape[0], -1, self.length)
        loc, scale = self._statistics(patches[:, 0])
        return self.embed((patches - loc[:, None]) / scale.clamp(min=1e-6)[:, None])

    @staticmethod
    def _statistics(values):
        mean = values.mean(-1, keepdim=True)
        var = ((values - mean) ** 2).mean(-1, keepdim=True)
        var = torch.clamp(var, min=0.0)
        return mean, torch.sqrt(var)
