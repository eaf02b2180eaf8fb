import torch
import torch.nn.functional as F


def fit(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        model.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
