import torch
from torch import nn


class Schedule(nn.Module):
    def __init__(self, model, sigmas):
        super().__init__()
        self.model = model
        self.register_buffer("log_sigmas", sigmas.log())

    def sigma_at(self, t):
        low, high, w = t.floor().long(), t.ceil().long(), t.frac()
        log_sigma = (1 - w) * self.log_sigmas[low] + w * self.log_sigmas[high]
        return log_sigma.exp()

    def forward(self, x, t):
        return self.model(x / self.sigma_at(t)[:, None], t)
