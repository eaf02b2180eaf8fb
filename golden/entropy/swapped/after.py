import torch


def negative_entropy(weights):
    return torch.sum(weights * torch.log(weights.clamp_min(torch.finfo(weights.dtype).tiny)), dim=1)
