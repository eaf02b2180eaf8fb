import torch
import torch.nn.functional as F

from .utils import prepare_step


def fit(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        prepare_step(model, optimizer)
        F.mse_loss(model(x), y).backward()
        optimizer.step()
