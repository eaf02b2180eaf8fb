import torch


def normalize(x, eps):
    mean = x.mean(dim=1, keepdim=True)
    var = x.pow(2).mean(dim=1, keepdim=True) - mean.pow(2)
    return (x - mean) * torch.rsqrt(var + eps)
