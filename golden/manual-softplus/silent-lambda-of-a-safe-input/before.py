import torch


def log1pexp(x):
    large = x > 18
    return torch.where(large, x, (lambda z: z.exp().log1p())(x.masked_fill(large, 0)))
