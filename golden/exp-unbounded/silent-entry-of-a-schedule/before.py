import torch
from torch import nn


class Diffusion(nn.Module):
    def __init__(self, network, betas):
        super().__init__()
        self.network = network
        alphas = (1.0 - betas).cumprod(dim=0)
        before = torch.cat([alphas.new_ones(1), alphas[:-1]])
        variance = betas * (1.0 - before) / (1.0 - alphas)
        self.posterior_log_variance_clipped = torch.cat([variance[1:2], variance[1:]]).log()

    def extract(self, values, t, shape):
        return values[t].float().reshape(-1, *([1] * (len(shape) - 1))).expand(shape)

    def moments(self, x, t):
        mean = self.network(x, t)
        log_variance = self.extract(self.posterior_log_variance_clipped, t, x.shape)
        return {"mean": mean, "log_variance": log_variance}

    def step(self, x, t):
        out = self.moments(x, t)
        return out["mean"] + torch.exp(0.5 * out["log_variance"]) * torch.randn_like(x)
