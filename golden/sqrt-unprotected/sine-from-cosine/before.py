import torch


def sine(cosine):
    return torch.sqrt(1.0 - cosine**2)
