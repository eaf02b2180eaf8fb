import torch
from torch import nn


def fit(build, x, y, steps=500):
    model = build(x.shape[-1], y.shape[-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return model
