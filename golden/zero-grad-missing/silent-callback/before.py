import torch
import torch.nn.functional as F


def fit(model, loader, callbacks):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        for callback in callbacks:
            callback.on_step(model)
