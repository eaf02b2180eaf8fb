import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.both = nn.Linear(width, 2 * out)
        self.spread = nn.Linear(width, out)

    def forward(self, x, shared):
        if shared:
            mean, log_std = self.both(x).chunk(2, dim=-1)
        else:
            mean, log_std = x, self.spread(x)
        log_std = log_std.clamp(min=-15.0, max=10.0)
        std = log_std.exp()
        return mean + std, log_std
