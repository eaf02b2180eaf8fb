import torch
from torch import nn


def train(model, loader, loss_fn):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
