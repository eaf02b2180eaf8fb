import torch
from torch import nn


def train(models, optimizers, loader, loss_fn):
    for x, y in loader:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = sum(loss_fn(model(x), y) for model in models)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
