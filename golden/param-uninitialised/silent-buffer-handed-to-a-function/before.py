import torch
from torch import nn

from .kernels import fill


class Statistics(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_buffer("running_mean", torch.empty(features))
        self.register_buffer("scratch", torch.empty(features))

    def forward(self, x):
        fill(self.scratch, x)
        return nn.functional.batch_norm(x, self.running_mean, self.scratch, training=True)
