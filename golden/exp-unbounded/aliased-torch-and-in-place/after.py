import torch as t
from torch import nn


class Head(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.out = nn.Linear(width, 2 * out)

    def forward(self, x):
        params = self.out(x)
        loc, log_sigma = t.split(params, params.shape[-1] // 2, dim=-1)
        log_sigma = log_sigma.clamp(min=-15.0, max=10.0)
        scale = log_sigma.clone().exp_()
        return loc + scale * t.randn_like(loc), log_sigma
