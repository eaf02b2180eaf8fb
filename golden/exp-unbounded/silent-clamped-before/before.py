import torch


def reparameterize(mu, logvar):
    logvar = torch.clamp(logvar, -30.0, 20.0)
    return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
