import torch
from torch import nn


def train(models, optimizers, loader, loss_fn):
    for input_ids, y in loader:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = sum(loss_fn(model(input_ids), y) for model in models)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
