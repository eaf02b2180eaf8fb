import torch
from torch import nn


def invert(generator, target, steps=500):
    latent = torch.randn(1, 512, requires_grad=True)
    pose = nn.Parameter(torch.zeros(6))
    opt = torch.optim.Adam([{"params": [latent], "lr": 0.1}, {"params": [pose]}], lr=0.01)
    for _ in range(steps):
        opt.zero_grad()
        loss = (generator(latent, pose) - target).square().mean()
        loss.backward()
        opt.step()
    return latent, pose
