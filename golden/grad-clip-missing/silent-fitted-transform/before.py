import torch
from torch import nn


def register(transform, warp, fixed, moving, steps=100):
    optimizer = torch.optim.Adam(transform.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.l1_loss(warp(moving, transform()), fixed)
        loss.backward()
        optimizer.step()
    return transform()
