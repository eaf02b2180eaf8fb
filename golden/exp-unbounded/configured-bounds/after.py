import torch


def reparameterize(mu, log_std):
    log_std = log_std.clamp(min=-5.0, max=1.0)
    return mu + torch.randn_like(mu) * torch.exp(log_std)
