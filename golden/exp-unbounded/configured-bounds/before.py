import torch


def reparameterize(mu, log_std):
    return mu + torch.randn_like(mu) * torch.exp(log_std)
