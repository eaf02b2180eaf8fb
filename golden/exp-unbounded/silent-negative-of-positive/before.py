import torch
import torch.nn.functional as F


def forward(x, sigma, gate):
    log_scale = -(x / sigma) ** 2
    log_std = -F.softplus(gate)
    return torch.exp(log_scale), torch.exp(log_std), torch.exp(-0.5 * x.pow(2)), torch.exp(-x.abs())
