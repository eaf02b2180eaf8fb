import torch


def window(size, sigma):
    x = torch.arange(size) - size // 2
    if size % 2 == 0:
        x = x + 0.5
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    return kernel / kernel.sum(-1, keepdim=True)
