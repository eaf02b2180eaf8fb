import torch
from torch import nn


class VAE(nn.Module):
    def reparameterize(self, mu, logvar):
        """Sample with the gradient going to mu and logvar."""
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std
