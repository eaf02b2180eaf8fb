import torch
from torch import nn


class LatentModel(nn.Module):
    def __init__(self, latent, encoder=None):
        super().__init__()
        if encoder is None:
            self.encoder = nn.Identity()
        else:
            self.encoder = encoder
        self.latent = latent

    def _posterior(self, x):
        hidden = self.encoder(x)
        mean = hidden[..., : self.latent]
        log_var = hidden[..., self.latent :]
        return mean, log_var

    def forward(self, x):
        mean, log_var = self._posterior(x)
        sample = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(dim=-1)
        return sample, kl
