import torch


def angular_gaussian(scale, count):
    x = torch.distributions.Normal(0.0, scale).sample((count,)).view(2, -1)
    x /= x.norm(dim=0)[None, ...]
    return x
