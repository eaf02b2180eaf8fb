import torch


@torch.no_grad()
def weights(log_w):
    return torch.exp(log_w).clamp(max=20.0)
