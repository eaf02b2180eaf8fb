import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.head = nn.Linear(width, 2 * latent)

    def forward(self, h):
        mean, logvar = self.head(h).chunk(2, dim=-1)
        std = torch.exp(0.5 * logvar)
        latent = mean + std * torch.randn_like(std)
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1.0 - logvar).sum(-1)
        return latent, kl
