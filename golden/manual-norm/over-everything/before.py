import torch


def gradient_norm(grad):
    return torch.sqrt(torch.sum(grad * grad))
