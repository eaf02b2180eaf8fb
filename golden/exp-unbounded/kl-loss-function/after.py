import torch
import torch.nn.functional as F


def loss_function(recon, x, mu, logvar):
    bce = F.mse_loss(recon, x, reduction="sum")
    # the divergence from the standard normal distribution
    logvar = logvar.clamp(min=-30.0, max=20.0)
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld
