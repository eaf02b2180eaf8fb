import torch
from torch import nn


class Posterior(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.head = nn.Linear(width, 2 * latent)

    def forward(self, h):
        mean, log_var = self.head(h).float().chunk(2, dim=-1)
        std = torch.exp(0.5 * log_var)
        kl = 0.5 * (mean.pow(2) + log_var.exp() - 1.0 - log_var).sum(-1)
        return mean + std * torch.randn_like(std), kl
