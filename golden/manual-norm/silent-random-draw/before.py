import torch


def on_the_sphere(n, dim):
    points = torch.randn(n, dim)
    return points / torch.sqrt((points**2).sum(-1))[:, None]
